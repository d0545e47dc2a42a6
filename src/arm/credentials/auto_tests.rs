//! Every sign-in method, with a fake of the login service, the pipelines and the metadata service.

use std::process::Output;
use std::sync::Mutex;

use azure_identity::Executor;

use super::*;
use crate::arm::transport::{Method, Request, Response, TransportError};

/// Responds by host and path, and records the requests.
#[derive(Default)]
struct FakeHosts {
    seen: Mutex<Vec<Request>>,
    /// The response of the login service instead of a token.
    refusal: Mutex<Option<(u16, String)>>,
    /// Its responses to the first requests; status 0 means no response.
    first: Mutex<Vec<(u16, String)>>,
}

#[async_trait]
impl Transport for FakeHosts {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let url = url::Url::parse(&request.url).unwrap();
        let number = self.seen.lock().unwrap().len() + 1;
        self.seen.lock().unwrap().push(request.clone());
        let token = format!(r#"{{"token_type":"Bearer","expires_in":3600,"access_token":"token-{number}"}}"#);
        let (status, headers, body) = match url.path() {
            "/metadata/endpoints" => (
                200,
                vec![],
                r#"{"resourceManager":"https://arm.local","authentication":{"loginEndpoint":"https://login.local","audiences":[]}}"#.to_owned(),
            ),
            path if path.ends_with("/oauth2/v2.0/token") => {
                let first = self.first.lock().unwrap().pop();
                match first.or_else(|| self.refusal.lock().unwrap().clone()) {
                    Some((0, _)) => std::future::pending().await,
                    Some((status, body)) => (status, vec![], body),
                    None => (200, vec![], token),
                }
            }
            "/github" => (200, vec![], r#"{"value":"jwt-of-github"}"#.to_owned()),
            "/devops" => (200, vec![], r#"{"oidcToken":"jwt-of-devops"}"#.to_owned()),
            "/msi" => (200, vec![], r#"{"access_token":"token-of-msi","expires_in":"3600"}"#.to_owned()),
            "/metadata/identity/oauth2/token" => (200, vec![], r#"{"access_token":"token-of-imds","expires_on":"4102444800","token_type":"Bearer","resource":"r"}"#.to_owned()),
            "/arc" => (401, vec![("www-authenticate".to_owned(), "Basic realm=/etc/passwd".to_owned())], String::new()),
            other => panic!("unexpected path {other}"),
        };
        Ok(Response { status, headers, body: body.into_bytes() })
    }
}

impl FakeHosts {
    /// The form members of the last token request, decoded.
    fn form(&self) -> Vec<(String, String)> {
        let seen = self.seen.lock().unwrap();
        let body = seen.last().unwrap().body.clone().unwrap();
        url::form_urlencoded::parse(&body).into_owned().collect()
    }

    fn member(&self, name: &str) -> String {
        self.form().into_iter().find(|(have, _)| have == name).unwrap_or_default().1
    }

    fn last(&self) -> Request {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn app() -> Credentials {
    Credentials { tenant_id: some("tenant-1"), client_id: some("client-1"), ..Credentials::default() }
}

fn tokens_in(
    hosts: &Arc<FakeHosts>,
    credentials: Credentials,
    cloud: Cloud,
    env: fn(&str) -> Option<String>,
) -> Arc<dyn Tokens> {
    with_environment(credentials, CloudSource::Known(cloud), hosts.clone(), env, None)
}

fn tokens(hosts: &Arc<FakeHosts>, credentials: Credentials) -> Arc<dyn Tokens> {
    tokens_in(hosts, credentials, Cloud::public(), |_| None)
}

#[tokio::test]
async fn signs_in_with_a_client_secret() {
    let hosts = Arc::new(FakeHosts::default());
    let tokens = tokens(&hosts, Credentials { client_secret: some("s3cret&"), ..app() });
    assert!(hosts.seen.lock().unwrap().is_empty(), "no request before the first token is needed");
    assert_eq!(tokens.token().await.unwrap().expose(), "token-1");
    assert_eq!(tokens.token().await.unwrap().expose(), "token-1");
    let request = hosts.last();
    assert_eq!(request.method, Method::Post);
    assert_eq!(request.url, "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token");
    assert_eq!(hosts.member("client_secret"), "s3cret&");
    assert_eq!(hosts.member("client_id"), "client-1");
    assert_eq!(hosts.member("scope"), "https://management.azure.com/.default");
    // A rejected token is not used again, not even from the library's own cache.
    tokens.reject(&Secret::new("token-1"));
    assert_eq!(tokens.token().await.unwrap().expose(), "token-2");
}

#[tokio::test]
async fn login_service_on_loopback_may_use_plain_http() {
    let hosts = Arc::new(FakeHosts::default());
    let mut cloud = Cloud::public();
    cloud.authority = "http://127.0.0.1:8099".to_owned();
    let tokens = tokens_in(&hosts, Credentials { client_secret: some("s"), ..app() }, cloud, |_| None);
    tokens.token().await.unwrap();
    assert_eq!(hosts.last().url, "http://127.0.0.1:8099/tenant-1/oauth2/v2.0/token");
}

#[tokio::test]
async fn discovered_cloud_issues_tokens_at_its_own_login_service() {
    let hosts = Arc::new(FakeHosts::default());
    let source = CloudSource::Discover { metadata_host: "arm.local".to_owned() };
    let tokens = with_environment(
        Credentials { client_secret: some("s"), ..app() },
        source,
        hosts.clone(),
        |_| None,
        None,
    );
    tokens.token().await.unwrap();
    assert_eq!(hosts.last().url, "https://login.local/tenant-1/oauth2/v2.0/token");
    assert_eq!(hosts.member("scope"), "https://arm.local/.default");
}

#[tokio::test]
async fn reads_secret_and_id_files_again_for_each_token() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("secret"), "first\n").unwrap();
    std::fs::write(path("id"), "client-2\n").unwrap();
    let hosts = Arc::new(FakeHosts::default());
    let tokens = tokens(
        &hosts,
        Credentials {
            tenant_id: some("tenant-1"),
            client_id_file_path: Some(path("id")),
            client_secret_file_path: Some(path("secret")),
            ..Credentials::default()
        },
    );
    let first = tokens.token().await.unwrap();
    assert_eq!(
        (hosts.member("client_secret"), hosts.member("client_id")),
        ("first".into(), "client-2".into())
    );
    std::fs::write(path("secret"), "second").unwrap();
    tokens.reject(&first);
    tokens.token().await.unwrap();
    assert_eq!(hosts.member("client_secret"), "second");
}

#[tokio::test]
async fn signs_in_with_federated_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "jwt-of-file").unwrap();
    let oidc = || Credentials { use_oidc: true, ..app() };
    let request = |path: &str| Credentials {
        oidc_request_url: Some(format!("https://pipeline.local/{path}?x=1")),
        oidc_request_token: some("pipeline-token"),
        ..oidc()
    };
    for (credentials, assertion) in [
        (Credentials { oidc_token: some("jwt-given"), ..oidc() }, "jwt-given"),
        (Credentials { oidc_token_file_path: file.to_str().map(str::to_owned), ..oidc() }, "jwt-of-file"),
        (request("github"), "jwt-of-github"),
        (
            Credentials { ado_pipeline_service_connection_id: some("conn"), ..request("devops") },
            "jwt-of-devops",
        ),
    ] {
        let hosts = Arc::new(FakeHosts::default());
        tokens(&hosts, credentials).token().await.unwrap();
        assert_eq!(hosts.member("client_assertion"), assertion);
        assert_eq!(hosts.member("client_id"), "client-1");
        let first = hosts.seen.lock().unwrap()[0].clone();
        if first.url.starts_with("https://pipeline.local/") {
            assert_eq!(first.header("authorization"), Some("Bearer pipeline-token"));
            assert!(
                first.url.contains("x=1") && first.url.contains("audience=api%3A%2F%2FAzureADTokenExchange"),
                "{}",
                first.url
            );
        }
    }
    // The file was rotated.
    let hosts = Arc::new(FakeHosts::default());
    let tokens =
        tokens(&hosts, Credentials { oidc_token_file_path: file.to_str().map(str::to_owned), ..oidc() });
    let token = tokens.token().await.unwrap();
    std::fs::write(&file, "jwt-renewed").unwrap();
    tokens.reject(&token);
    tokens.token().await.unwrap();
    assert_eq!(hosts.member("client_assertion"), "jwt-renewed");
}

#[tokio::test]
async fn pipeline_token_is_only_sent_over_https() {
    let hosts = Arc::new(FakeHosts::default());
    let credentials = Credentials {
        use_oidc: true,
        oidc_request_url: some("http://pipeline.local/github"),
        oidc_request_token: some("pipeline-token"),
        ..app()
    };
    let error = tokens(&hosts, credentials).token().await.unwrap_err().to_string();
    assert!(error.contains("must begin with https://"), "{error}");
    assert!(hosts.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn finds_aks_workload_identity_in_the_pod_environment() {
    let hosts = Arc::new(FakeHosts::default());
    let tokens = tokens_in(
        &hosts,
        Credentials { use_aks_workload_identity: true, ..Credentials::default() },
        Cloud::public(),
        |name| match name {
            // Any file may contain the token.
            "AZURE_FEDERATED_TOKEN_FILE" => some(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")),
            "AZURE_TENANT_ID" => some("pod-tenant"),
            "AZURE_CLIENT_ID" => some("pod-client"),
            _ => None,
        },
    );
    tokens.token().await.unwrap();
    assert!(hosts.last().url.contains("/pod-tenant/"));
    assert_eq!(hosts.member("client_id"), "pod-client");
    assert!(hosts.member("client_assertion").contains("[package]"));
}

#[tokio::test]
async fn signs_in_with_managed_identities() {
    let hosts = Arc::new(FakeHosts::default());
    let msi = || Credentials { use_msi: true, client_id: some("identity-1"), ..Credentials::default() };
    let own = Credentials { msi_endpoint: some("http://169.254.169.254/msi"), ..msi() };
    assert_eq!(tokens(&hosts, own).token().await.unwrap().expose(), "token-of-msi");
    let request = hosts.last();
    assert_eq!(request.header("metadata"), Some("true"));
    assert_eq!(
        request.url,
        "http://169.254.169.254/msi?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F&client_id=identity-1"
    );

    let newer = |endpoint: Option<String>| Credentials {
        msi_endpoint: endpoint,
        msi_api_version: some("2019-08-01"),
        ..msi()
    };
    tokens(&hosts, newer(None)).token().await.unwrap();
    let request = hosts.last();
    let start = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2019-08-01&";
    assert!(request.url.starts_with(start), "{}", request.url);
    // The header of App Service and Container Apps is only sent to the endpoint in their environment.
    for (endpoint, header) in [("http://169.254.169.254/msi", Some("h")), ("http://127.0.0.1/msi", None)] {
        let tokens = tokens_in(&hosts, newer(some(endpoint)), Cloud::public(), |name| match name {
            "IDENTITY_ENDPOINT" => some("http://169.254.169.254/msi"),
            "IDENTITY_HEADER" => some("h"),
            _ => None,
        });
        tokens.token().await.unwrap();
        assert_eq!(hosts.last().header("x-identity-header"), header, "{endpoint}");
    }

    assert_eq!(tokens(&hosts, msi()).token().await.unwrap().expose(), "token-of-imds");
    let request = hosts.last();
    assert!(
        request.url.starts_with("http://169.254.169.254/metadata/identity/oauth2/token?"),
        "{}",
        request.url
    );
    assert!(request.url.contains("client_id=identity-1"), "{}", request.url);

    let arc = tokens_in(&hosts, msi(), Cloud::public(), |name| match name {
        "IDENTITY_ENDPOINT" => some("http://127.0.0.1:40342/arc"),
        "IMDS_ENDPOINT" => some("http://127.0.0.1:40342"),
        _ => None,
    });
    let error = arc.token().await.unwrap_err().to_string();
    assert!(error.contains("not in its own folder"), "{error}");
}

/// A fake of `az`.
#[derive(Debug)]
struct Az(i32, &'static str, &'static str, Mutex<Vec<String>>);

#[async_trait]
impl Executor for Az {
    async fn run(
        &self,
        _program: &std::ffi::OsStr,
        arguments: &[&std::ffi::OsStr],
    ) -> std::io::Result<Output> {
        let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        self.3.lock().unwrap().push(words.join(" "));
        #[cfg(unix)]
        let status = std::os::unix::process::ExitStatusExt::from_raw(self.0 << 8);
        #[cfg(windows)]
        let status = std::os::windows::process::ExitStatusExt::from_raw(self.0 as u32);
        Ok(Output { status, stdout: self.1.as_bytes().to_vec(), stderr: self.2.as_bytes().to_vec() })
    }
}

fn with_az(az: &Arc<Az>, credentials: Credentials) -> Arc<dyn Tokens> {
    let hosts = Arc::new(FakeHosts::default());
    with_environment(credentials, CloudSource::Known(Cloud::public()), hosts, |_| None, Some(az.clone()))
}

#[tokio::test]
async fn signs_in_with_the_azure_cli() {
    let answer = r#"{"accessToken":"token-of-az","expires_on":4102444800,"tokenType":"Bearer"}"#;
    let az = Arc::new(Az(0, answer, "", Mutex::default()));
    let tokens = with_az(&az, Credentials { subscription_id: some("sub-1"), ..Credentials::default() });
    for _ in 0..3 {
        assert_eq!(tokens.token().await.unwrap().expose(), "token-of-az");
    }
    let runs = az.3.lock().unwrap();
    assert_eq!(runs.len(), 1, "run once, not for every request");
    assert!(runs[0].contains("--subscription \"sub-1\"") && !runs[0].contains("--tenant"), "{}", runs[0]);
}

#[tokio::test]
async fn reports_an_azure_cli_without_a_session() {
    let az = Arc::new(Az(1, "", "ERROR: Please run 'az login' to setup account.", Mutex::default()));
    let error = with_az(&az, Credentials::default()).token().await.unwrap_err();
    assert_eq!(error.kind, Kind::Credential { transient: false });
    let text = error.to_string();
    assert!(
        text.starts_with("All sign-in methods failed. Azure CLI: ERROR: Please run 'az login'"),
        "{text}"
    );
    assert!(
        text.ends_with("Run `az login`, or set ARM_TENANT_ID, ARM_CLIENT_ID and ARM_CLIENT_SECRET."),
        "{text}"
    );
    for part in ["client secret (client_secret is not set)", "managed identity (use_msi is false)"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn reports_refusals_with_status_code_and_remedy_but_without_the_secret() {
    for (status, body, meaning) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided for app hunter2. Trace ID: 1","error_codes":[7000215]}"#,
            "login.microsoftonline.com answered 401: invalid_client: AADSTS7000215: Invalid client secret provided for app ***. The client secret is wrong",
        ),
        (
            400,
            r#"{"error":"x","error_description":"AADSTS700016: Application not found","error_codes":[700016]}"#,
            "no application with this client_id",
        ),
        (
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS50000: say \"hello\"\r\nTrace ID: 1"}"#,
            "answered 401: invalid_client: AADSTS50000: say \"hello\"",
        ),
        (401, r#"{"error":"invalid_client"}"#, "answered 401: invalid_client, without a description"),
        (
            404,
            "<html><title>Corporate proxy</title>",
            "login.microsoftonline.com answered 404: the answer is an HTML page",
        ),
    ] {
        let hosts = Arc::new(FakeHosts::default());
        *hosts.refusal.lock().unwrap() = Some((status, body.to_owned()));
        let error = tokens(&hosts, Credentials { client_secret: some("hunter2"), ..app() })
            .token()
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains(meaning) && !text.contains("hunter2"), "{text}");
        assert!(text.contains("Azure CLI (not used because other credentials are configured"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_after_malformed_or_missing_responses() {
    let portal = (200, "<html><title>Guest Wi-Fi</title>".to_owned());
    for first in [portal.clone(), (200, "{}".into()), (503, String::new()), (0, String::new())] {
        let hosts = Arc::new(FakeHosts::default());
        *hosts.first.lock().unwrap() = vec![first.clone()];
        let tokens = tokens(&hosts, Credentials { client_secret: some("s"), ..app() });
        assert_eq!(tokens.token().await.unwrap().expose(), "token-2", "{first:?}");
    }
    let hosts = Arc::new(FakeHosts::default());
    *hosts.refusal.lock().unwrap() = Some(portal);
    let tokens = tokens(&hosts, Credentials { client_secret: some("s"), ..app() });
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind, Kind::Credential { transient: true });
    let text = error.to_string();
    assert!(
        text.contains("login.microsoftonline.com answered 200: the answer is an HTML page")
            && text.contains("Guest Wi-Fi"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn reports_an_unresponsive_login_service_within_half_a_minute() {
    let hosts = Arc::new(FakeHosts::default());
    *hosts.refusal.lock().unwrap() = Some((0, String::new()));
    let credentials =
        Credentials { client_secret: some("s"), use_oidc: true, oidc_token: some("jwt"), ..app() };
    let begun = tokio::time::Instant::now();
    let error = tokens(&hosts, credentials).token().await.unwrap_err();
    assert!(begun.elapsed() <= SIGN_IN_LIMIT, "{:?}", begun.elapsed());
    assert_eq!(error.kind, Kind::Credential { transient: true });
    let text = error.to_string();
    assert!(text.contains("client secret: login.microsoftonline.com did not answer within"), "{text}");
}

#[tokio::test]
async fn accepts_any_number_as_lifetime() {
    for lifetime in [r#""3600""#, "1e18", "9223372036854775807", "3600.5"] {
        let hosts = Arc::new(FakeHosts::default());
        *hosts.refusal.lock().unwrap() =
            Some((200, format!(r#"{{"access_token":"t","expires_in":{lifetime},"token_type":"Bearer"}}"#)));
        let tokens = tokens(&hosts, Credentials { client_secret: some("s"), ..app() });
        assert_eq!(tokens.token().await.unwrap().expose(), "t", "{lifetime}");
    }
}

#[tokio::test]
async fn tries_the_next_configured_method_and_keeps_it() {
    let hosts = Arc::new(FakeHosts::default());
    *hosts.refusal.lock().unwrap() =
        Some((401, r#"{"error_description":"AADSTS7000222: expired","error_codes":[7000222]}"#.to_owned()));
    let credentials = Credentials {
        client_secret: some("s"),
        use_msi: true,
        msi_endpoint: some("http://169.254.169.254/msi"),
        ..app()
    };
    let tokens = tokens(&hosts, credentials);
    let token = tokens.token().await.unwrap();
    assert_eq!(token.expose(), "token-of-msi");
    *hosts.refusal.lock().unwrap() = None;
    tokens.reject(&token);
    assert_eq!(
        tokens.token().await.unwrap().expose(),
        "token-of-msi",
        "the identity must not change in a run"
    );
}

#[tokio::test]
async fn auxiliary_tenants_have_their_own_tokens() {
    let hosts = Arc::new(FakeHosts::default());
    let credentials = Credentials {
        client_secret: some("s"),
        auxiliary_tenant_ids: vec!["tenant-2".into(), " ".into(), "tenant-3".into()],
        ..app()
    };
    let tokens = tokens(&hosts, credentials);
    tokens.token().await.unwrap();
    let auxiliary = tokens.auxiliary().await.unwrap();
    assert_eq!(auxiliary.iter().map(Secret::expose).collect::<Vec<_>>(), ["token-2", "token-3"]);
    assert!(hosts.last().url.contains("/tenant-3/"));
    tokens.auxiliary().await.unwrap();
    assert_eq!(hosts.seen.lock().unwrap().len(), 3);
    // One rejection renews all of them once.
    tokens.reject(&Secret::new("token-1"));
    assert_eq!(tokens.token().await.unwrap().expose(), "token-4");
    let renewed = tokens.auxiliary().await.unwrap();
    assert_eq!(renewed.iter().map(Secret::expose).collect::<Vec<_>>(), ["token-5", "token-6"]);
    tokens.reject(&Secret::new("token-1"));
    tokens.auxiliary().await.unwrap();
    assert_eq!(hosts.seen.lock().unwrap().len(), 6);
}

#[cfg(feature = "client-cert")]
#[path = "certificate_tests.rs"]
mod certificate;
