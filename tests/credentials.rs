//! Signing in with a managed identity of the environment, with `az`, and for many hours.

#![cfg(unix)] // the substitute for az is a shell script

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azimage::arm::credentials::auto;
use azimage::arm::{
    Client, Cloud, CloudSource, Credentials, HttpTransport, Options, Request, Response, Scope, Target,
    Transport, TransportError,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The test body, run in a separate process because environment variables belong to the process.
#[tokio::test]
#[ignore = "run by the other tests, each with its own environment"]
async fn runs_in_a_separate_process() {
    let Ok(what) = std::env::var("SIGN_IN_BY") else { return };
    let credentials = Credentials {
        use_msi: what == "msi",
        client_id: std::env::var("SIGN_IN_CLIENT").ok(),
        auxiliary_tenant_ids: vec!["tenant-2".into()],
        ..Credentials::default()
    };
    let tokens = || auto(credentials, CloudSource::Known(Cloud::public()), Arc::new(HttpTransport::new()));
    let answer = match what.as_str() {
        "forty" => {
            let tokens = tokens();
            let calls = (0..40).map(|_| {
                let tokens = tokens.clone();
                tokio::spawn(async move { tokens.token().await.is_err() })
            });
            let mut failed = 0;
            for call in calls.collect::<Vec<_>>() {
                failed += u32::from(call.await.unwrap());
            }
            Ok(format!("{failed} failed"))
        }
        "interrupted" => {
            let tokens = tokens();
            let waiting = tokio::time::timeout(Duration::from_secs(2), tokens.token()).await;
            Ok(waiting.map_or("interrupted".to_owned(), |_| "answered".to_owned()))
        }
        "auxiliary" => tokens().auxiliary().await.map(|tokens| tokens[0].expose().to_owned()),
        _ => tokens().token().await.map(|token| token.expose().to_owned()),
    };
    match answer {
        Ok(text) => println!("\nANSWER {text}"),
        Err(error) => println!("\nANSWER error: {error}"),
    }
}

/// The answer of the test process in an environment that contains only `env`.
fn answer(what: &str, env: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["runs_in_a_separate_process", "--exact", "--ignored", "--nocapture"]);
    command.env_clear().env("SIGN_IN_BY", what).envs(env.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text.lines().find_map(|line| line.strip_prefix("ANSWER "));
    answer.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

/// Serves one request with `body` and returns the request's head in lower case.
fn serve_once(status: &'static str, body: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = String::new();
        for line in BufReader::new(stream.try_clone().unwrap()).lines() {
            let line = line.unwrap();
            if line.is_empty() {
                break;
            }
            head.push_str(&line);
            head.push('\n');
        }
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let _ = stream.read(&mut [0]);
        head.to_lowercase()
    });
    (url, served)
}

#[test]
fn signs_in_with_the_managed_identity_of_app_service() {
    let body = r#"{"access_token":"token-of-app-service","expires_on":"4102444800","resource":"r","token_type":"Bearer"}"#;
    for (client, asked) in [(None, false), (Some("identity-1"), true)] {
        let (url, served) = serve_once("200 OK", body);
        let endpoint = format!("{url}/msi/token");
        let mut env = vec![("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "header-secret")];
        env.extend(client.map(|client| ("SIGN_IN_CLIENT", client)));
        assert_eq!(answer("msi", &env), "token-of-app-service");
        let head = served.join().unwrap();
        assert!(head.starts_with("get /msi/token?api-version=2019-08-01&"), "{head}");
        assert!(head.contains("\nx-identity-header: header-secret\n"), "{head}");
        assert!(head.contains("resource=https%3a%2f%2fmanagement.azure.com"), "{head}");
        assert_eq!(head.contains("client_id=identity-1"), asked, "{head}");
    }
}

#[test]
fn reports_refusals_of_app_service_without_its_secret() {
    let (url, served) =
        serve_once("400 Bad Request", r#"{"statusCode":400,"message":"No managed identity found"}"#);
    let error = answer("msi", &[("IDENTITY_ENDPOINT", &url), ("IDENTITY_HEADER", "header-secret")]);
    served.join().unwrap();
    assert!(error.contains("answered 400: No managed identity found (is this identity assigned"), "{error}");
    assert!(!error.contains("header-secret"), "{error}");
}

/// A folder with an `az` that records its arguments and then runs `script`.
struct Az {
    dir: TempDir,
    path: String,
}

impl Az {
    fn new(script: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let az = dir.path().join("az");
        let text = format!("#!/bin/sh\necho \"$*\" >>'{}/arguments'\n{script}\n", dir.path().display());
        std::fs::write(&az, text).unwrap();
        std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        Self { dir, path }
    }

    fn answer(&self, what: &str) -> String {
        answer(what, &[("PATH", &self.path)])
    }

    fn arguments(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("arguments")).unwrap_or_default()
    }
}

const AZ_TOKEN: &str = r#"case "$*" in
*"--tenant tenant-2"*) token=token-of-tenant-2 ;;
*) token=token-of-az ;;
esac
echo '{"accessToken":"'$token'","expires_on":4102444800,"tokenType":"Bearer"}'"#;

#[test]
fn runs_az_from_the_path() {
    let az = Az::new(AZ_TOKEN);
    assert_eq!(az.answer("cli"), "token-of-az");
    assert_eq!(
        az.arguments(),
        "account get-access-token -o json --scope https://management.azure.com/.default\n"
    );
    // for an auxiliary tenant, the same user's token in that tenant
    assert_eq!(az.answer("auxiliary"), "token-of-tenant-2");
}

#[test]
fn reports_the_error_output_of_az() {
    let signed_out = Az::new("echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1");
    let error = signed_out.answer("cli");
    assert!(error.contains("Azure CLI: ERROR: Please run 'az login' to setup account."), "{error}");
    let old = Az::new(
        r#"echo '{"accessToken":"t","expiresOn":"2026-01-01 00:00:00.000000","tokenType":"Bearer"}'"#,
    );
    let error = old.answer("cli");
    assert!(error.contains("2.54.0"), "{error}");
    assert!(answer("cli", &[("PATH", "/nowhere")]).contains("az not found on PATH"));
}

#[test]
fn failing_az_is_run_once_for_forty_waiting_calls() {
    let az = Az::new("sleep 1; echo 'ERROR: expired' >&2; exit 1");
    let begun = std::time::Instant::now();
    let answer = az.answer("forty");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(answer, "40 failed");
    assert_eq!(az.arguments().lines().count(), 1);
}

#[test]
fn kills_a_hanging_az_after_the_last_caller_gave_up() {
    let az = Az::new("sleep 300 & echo $! >\"$(dirname \"$0\")/child\"; wait");
    assert_eq!(az.answer("interrupted"), "interrupted");
    let child = std::fs::read_to_string(az.dir.path().join("child")).unwrap();
    let is_running = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    for _ in 0..50 {
        if !is_running(child.trim()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the child of az is still running");
}

/// How long tokens are valid, and how often the pipeline writes a new one.
const VALID: Duration = Duration::from_secs(3600);
const ROTATED: Duration = Duration::from_secs(50 * 60);
/// How long the operation takes.
const LONG: Duration = Duration::from_secs(6 * 3600);

/// A login service and a Resource Manager that check the time, and a pipeline that rotates the file of its token.
struct Hours {
    began: Instant,
    file: PathBuf,
    given: AtomicU32,
    rotations: AtomicU32,
    /// The number of requests with an expired token or without a token.
    late: Mutex<Vec<String>>,
}

impl Hours {
    fn new(file: &Path) -> Self {
        let hours = Self {
            began: Instant::now(),
            file: file.to_owned(),
            given: AtomicU32::new(0),
            rotations: AtomicU32::new(u32::MAX),
            late: Mutex::default(),
        };
        hours.rotate();
        hours
    }

    /// Issues a token that contains its issue time: now, or the last rotation.
    fn rotate(&self) {
        let number = (self.began.elapsed().as_secs() / ROTATED.as_secs()) as u32;
        if self.rotations.swap(number, Ordering::SeqCst) != number {
            std::fs::write(&self.file, format!("jwt@{}", u64::from(number) * ROTATED.as_secs())).unwrap();
        }
    }

    fn is_valid(&self, token: &str) -> bool {
        let birth = token.rsplit_once('@').and_then(|(_, birth)| birth.parse().ok()).map(Duration::from_secs);
        birth.is_some_and(|birth| self.began.elapsed() < birth + VALID)
    }

    fn login(&self, request: &Request) -> Response {
        let body = request.body.clone().unwrap_or_default();
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
        let assertion =
            form.iter().find(|(name, _)| name == "client_assertion").map_or("", |(_, value)| value);
        if !self.is_valid(assertion) {
            let error = json!({"error": "invalid_client", "error_description": "AADSTS700024: expired"});
            return response(401, &[], &error);
        }
        self.given.fetch_add(1, Ordering::SeqCst);
        let tenant = request.url.split('/').nth(3).unwrap_or_default();
        let token = format!("{tenant}@{}", self.began.elapsed().as_secs());
        response(200, &[], &json!({"token_type": "Bearer", "expires_in": 3600, "access_token": token}))
    }
}

fn response(status: u16, headers: &[(&str, &str)], body: &serde_json::Value) -> Response {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Response { status, headers, body: body.to_string().into_bytes() }
}

#[async_trait]
impl Transport for Hours {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.rotate();
        if request.url.starts_with("https://login.") {
            return Ok(self.login(&request));
        }
        for (header, tenant) in [("authorization", "home"), ("x-ms-authorization-auxiliary", "other")] {
            let token = request.header(header).unwrap_or_default();
            if !token.starts_with(&format!("Bearer {tenant}@")) || !self.is_valid(token) {
                self.late.lock().unwrap().push(format!("{header} {token} after {:?}", self.began.elapsed()));
            }
        }
        let poll =
            [("azure-asyncoperation", "https://management.azure.com/operation"), ("retry-after", "60")];
        Ok(if request.url.contains("/operation") {
            let status = if self.began.elapsed() < LONG { "InProgress" } else { "Succeeded" };
            response(200, &poll[1..], &json!({"status": status}))
        } else if request.body.is_some() {
            response(201, &poll, &json!({"properties": {"provisioningState": "Creating"}}))
        } else {
            response(200, &[], &json!({"properties": {"provisioningState": "Succeeded"}}))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn hours_of_apply_never_use_an_expired_token() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("token");
    let service = Arc::new(Hours::new(&file));
    let credentials = Credentials {
        tenant_id: Some("home".into()),
        auxiliary_tenant_ids: vec!["other".into()],
        client_id: Some("client".into()),
        use_oidc: true,
        oidc_token_file_path: Some(file.to_str().unwrap().into()),
        ..Credentials::default()
    };
    let cloud = CloudSource::Known(Cloud::public());
    let tokens = auto(credentials, cloud.clone(), service.clone());
    let options =
        Options { user_agent: "test".into(), max_concurrent_requests: 4, correlation_id: String::new() };
    let client = Client::new(service.clone(), tokens, cloud, options);
    let scope = Scope::new(Duration::from_secs(8 * 3600), CancellationToken::new(), "creating v");
    let target = Target::new(
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0",
        "2024-03-03",
    );
    let accepted = client.put(&scope, &target, &json!({"location": "eastus"})).await.unwrap();
    client.wait(&scope, &accepted.operation.expect("the operation is running")).await.unwrap();

    assert!(service.began.elapsed() >= LONG);
    assert_eq!(*service.late.lock().unwrap(), Vec::<String>::new());
    // A token of one hour is renewed every 55 minutes for each tenant, not for each request.
    let given = service.given.load(Ordering::SeqCst);
    assert!((14..=16).contains(&given), "{given} tokens were fetched");
}
