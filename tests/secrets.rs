//! Runs with every kind of credential at `TF_LOG=trace`, including failed runs. Secrets may occur only where the user
//! put them.
#![cfg(unix)] // the stand-in for az is a shell script
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/cli.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value as Json;
use support::{GALLERY, HEAD, SUBSCRIPTION, Served, Workspace, definition, ran, terraform};

const CLIENT_SECRET: &str = "cS~secret-of/the+client=1";
const SECRET_IN_FILE: &str = "secret-in-a-file-2";
const PASSWORD: &str = "pässword";
const OIDC_TOKEN: &str = "federated.token.of-the-pipeline-3";
const REQUEST_TOKEN: &str = "request-token-4";
const ISSUED_TOKEN: &str = "issued.federated.token-5";
const AZ_TOKEN: &str = "token-of-az-6";
const MSI_TOKEN: &str = "token-of-msi-7";
const OTLP_HEADER: &str = "key-of-the-collector-8";
const SIGNATURES: [&str; 2] = ["aGVsbG8+d29y/bGQ5OTk5", "c2lnbmVkL+J5+bm9ib2R5"];
const QUOTED: &str = "token-that-is-quoted-9";
/// The common prefix of the emulator's signed tokens.
const SIGNED_TOKEN: &str = "eyJ0eXAiOiJKV1Qi";

fn percent(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn sas(signature: &str) -> String {
    format!("https://account.blob.core.windows.net/vhds/os.vhd?sv=2024-11-04&sp=r&sig={}", percent(signature))
}

/// A secret in every encoding in which it could be written.
fn forms(secret: &str) -> Vec<String> {
    let mut forms =
        vec![secret.to_owned(), percent(secret), percent(secret).to_lowercase(), percent(&percent(secret))];
    forms.push(Json::from(secret).to_string().trim_matches('"').to_owned());
    // base64 has three possible alignments; the characters at both ends, which depend on the neighbouring bytes, are
    // omitted
    for shift in 0..3 {
        let text = ["x".repeat(shift).as_str(), secret].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let whole = engine.encode(&text);
            forms.push(whole[shift + 1..whole.len() - 2].to_owned());
        }
    }
    forms.retain(|form| form.len() >= 8);
    forms.sort();
    forms.dedup();
    forms
}

fn secrets() -> BTreeMap<&'static str, Vec<String>> {
    let mut secrets: BTreeMap<&str, Vec<String>> = [
        ("the client secret", CLIENT_SECRET),
        ("the secret in a file", SECRET_IN_FILE),
        ("the certificate's password", PASSWORD),
        ("the federated token", OIDC_TOKEN),
        ("the pipeline's request token", REQUEST_TOKEN),
        ("the token that the pipeline issued", ISSUED_TOKEN),
        ("az's token", AZ_TOKEN),
        ("the managed identity's token", MSI_TOKEN),
        ("the collector's key", OTLP_HEADER),
        ("a signature", SIGNATURES[0]),
        ("another signature", SIGNATURES[1]),
        ("a quoted token", QUOTED),
    ]
    .map(|(name, secret)| (name, forms(secret)))
    .into();
    let bundle = STANDARD.encode(bundle());
    secrets.insert("the certificate", vec![bundle[100..140].to_owned(), bundle[1000..1040].to_owned()]);
    secrets.insert("a token of the service", vec![SIGNED_TOKEN.to_owned()]);
    secrets
}

fn bundle() -> Vec<u8> {
    let path = "tests/fixtures/client-certificate/modern.pfx";
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Answers every request with `answer`, and collects the bodies of the requests.
fn serve(answer: String) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (url, kept) =
        (format!("http://{}", listener.local_addr().unwrap()), Arc::new(Mutex::new(Vec::new())));
    let bodies = kept.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, kept, answer) = (stream.unwrap(), kept.clone(), answer.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut head = String::new();
                    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
                    if head.is_empty() {
                        return;
                    }
                    let head = head.to_lowercase();
                    let length = head
                        .split("content-length: ")
                        .nth(1)
                        .and_then(|rest| rest.lines().next()?.parse().ok());
                    let mut body = vec![0; length.unwrap_or(0)];
                    reader.read_exact(&mut body).unwrap();
                    kept.lock().unwrap().extend(body);
                    let length = answer.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}"
                    );
                }
            });
        }
    });
    (url, bodies)
}

fn main_tf() -> String {
    let account = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/account"
    );
    let definition = definition("d", "g", "");
    format!(
        r#"{HEAD}
variable "signed" {{
  type      = list(string)
  sensitive = true
}}
{GALLERY}
resource "azimage_managed_image" "i" {{
  name                = "img"
  resource_group_name = "rg"
  location            = "eastus"
  os_disk {{
    os_type  = "Linux"
    os_state = "Generalized"
    blob_uri = var.signed[0]
  }}
}}
{definition}resource "azimage_image_version" "v" {{
  version             = "1.0.0"
  image_definition_id = azimage_image_definition.d.id
  source {{
    os_disk {{
      vhd_uri            = var.signed[1]
      storage_account_id = {account:?}
    }}
  }}
}}
resource "azimage_gallery_application" "a" {{
  name              = "app"
  gallery_id        = azimage_gallery.g.id
  supported_os_type = "Linux"
}}
resource "azimage_gallery_application_version" "a" {{
  name                   = "1.0.0"
  gallery_application_id = azimage_gallery_application.a.id
  source {{
    media_link                 = var.signed[0]
    default_configuration_link = var.signed[1]
  }}
  manage_action {{
    install = "install"
    remove  = "remove"
  }}
}}
data "azimage_gallery" "g" {{
  name                = azimage_gallery.g.name
  resource_group_name = "rg"
}}
"#
    )
}

/// A folder with the files that contain secrets, the environment of each kind of credential, and the collected spans.
struct Credentials {
    _folder: tempfile::TempDir,
    kinds: Vec<(&'static str, Vec<(&'static str, String)>)>,
    spans: (String, Arc<Mutex<Vec<u8>>>),
}

fn credentials() -> Credentials {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8], mode: u32| -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let az = format!(
        "#!/bin/sh\necho '{{\"accessToken\":\"{AZ_TOKEN}\",\"expires_on\":4102444800,\"tokenType\":\"Bearer\"}}'\n"
    );
    file("az", az.as_bytes(), 0o755);
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let (pipeline, _) = serve(format!("{{\"value\":\"{ISSUED_TOKEN}\"}}"));
    let (msi, _) = serve(format!(
        "{{\"access_token\":\"{MSI_TOKEN}\",\"expires_in\":\"3600\",\"token_type\":\"Bearer\"}}"
    ));
    let client = || ("ARM_CLIENT_ID", "22222222-2222-2222-2222-222222222222".to_owned());
    let secret = || ("ARM_CLIENT_SECRET", CLIENT_SECRET.to_owned());
    let certificate = || ("ARM_CLIENT_CERTIFICATE", STANDARD.encode(bundle()));
    let password = || ("ARM_CLIENT_CERTIFICATE_PASSWORD", PASSWORD.to_owned());
    let oidc = || ("ARM_USE_OIDC", "true".to_owned());
    let token = || ("ARM_OIDC_TOKEN", OIDC_TOKEN.to_owned());
    let asking = || {
        [
            ("ARM_OIDC_REQUEST_URL", format!("{pipeline}/token?x=1")),
            ("ARM_OIDC_REQUEST_TOKEN", REQUEST_TOKEN.to_owned()),
        ]
    };
    let mut everything = vec![client(), secret(), certificate(), password(), oidc(), token()];
    everything.extend(asking());
    everything.extend([("ARM_USE_MSI", "true".to_owned()), ("ARM_MSI_ENDPOINT", msi.clone())]);
    let open = file("secret", SECRET_IN_FILE.as_bytes(), 0o644);
    let kinds = vec![
        ("everything", everything),
        ("client certificate", vec![client(), certificate(), password()]),
        ("client secret", vec![client(), secret()]),
        ("client secret", vec![client(), ("ARM_CLIENT_SECRET_FILE_PATH", open)]),
        ("OIDC token", vec![client(), oidc(), token()]),
        ("OIDC of GitHub Actions", [vec![client(), oidc()], asking().into()].concat()),
        ("managed identity", vec![("ARM_USE_MSI", "true".to_owned()), ("ARM_MSI_ENDPOINT", msi)]),
        ("Azure CLI", vec![("PATH", path)]),
    ];
    Credentials { _folder: folder, kinds, spans: serve("{}".to_owned()) }
}

struct Story {
    served: Served,
    workspace: Workspace,
    said: String,
    runs: usize,
}

impl Story {
    /// Runs terraform with one kind of credential. Returns whether it succeeded.
    fn run(&mut self, env: &[(&str, String)], arguments: &[&str]) -> bool {
        self.runs += 1;
        let mut command = self.workspace.command(arguments);
        command.arg("-no-color").envs(env.iter().map(|(name, value)| (name, value)));
        command
            .env("TF_LOG", "trace")
            .env("TF_LOG_PATH", self.workspace.path().join(format!("run-{}.log", self.runs)));
        let ran = ran(&command.output().unwrap());
        self.said += &ran.text;
        ran.code == 0
    }

    fn fault(&self, fault: &str) {
        self.served.by_hand(&["faults", "clear"]);
        if !fault.is_empty() {
            self.served.by_hand(&["fault", fault]);
        }
    }
}

fn secrets_occur_only_where_the_user_put_them() {
    let terraform = terraform("");
    let served = Served::start();
    let mut workspace = Workspace::new(&terraform);
    workspace.env("ARM_METADATA_HOSTNAME", served.url.trim_start_matches("https://"));
    workspace.env("SSL_CERT_FILE", served.dir.path().join("tls/ca.pem").display().to_string());
    workspace.env("ARM_SUBSCRIPTION_ID", SUBSCRIPTION);
    workspace.env("ARM_TENANT_ID", "11111111-1111-1111-1111-111111111111");
    workspace.env("TF_VAR_signed", serde_json::to_string(&SIGNATURES.map(sas)).unwrap());
    let Credentials { _folder, kinds, spans: (collector, spans) } = credentials();
    workspace.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    workspace.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Basic {OTLP_HEADER}"));
    workspace.write("main.tf", &main_tf());
    let mut story = Story { served, workspace, said: String::new(), runs: 0 };

    // an error message of the service may quote anything
    let quote = format!("the service quotes 'Bearer {QUOTED}' of {}", sas(SIGNATURES[0]));
    let refusal = serde_json::json!({"error": {"code": "AuthorizationFailed", "message": quote, "details": [{"code": "D", "message": quote}]}});
    let everything = kinds[0].1.clone();
    for fault in [
        format!(r#"{{"method":"PUT","path":"/images/img","count":0,"status":403,"body":{refusal}}}"#),
        format!(
            r#"{{"method":"PUT","path":"/images/img","count":0,"status":400,"body":{:?}}}"#,
            format!("<html>{quote}")
        ),
    ] {
        story.fault(&fault);
        assert!(!story.run(&everything, &["apply", "-auto-approve"]), "{fault}");
        assert!(story.said.contains("quotes"), "{}", story.said);
    }
    story.fault("");
    for (name, env) in &kinds {
        assert!(story.run(env, &["plan", "-out=kept.plan"]), "{name}: {}", story.said);
    }
    assert!(story.run(&everything, &["apply", "kept.plan"]), "{}", story.said);
    assert!(story.run(&everything, &["apply", "-refresh-only", "-auto-approve"]), "{}", story.said);
    assert!(story.run(&everything, &["plan", "-detailed-exitcode", "-out=kept.plan"]), "{}", story.said);
    let mut wrong = kinds[1].1.clone();
    wrong.last_mut().unwrap().1 = format!("{PASSWORD} and more");
    assert!(!story.run(&wrong, &["plan"]), "{}", story.said);
    story.fault(r#"{"path":"/images/img","count":0,"malformed":true}"#);
    assert!(!story.run(&everything, &["plan"]));
    story.fault("");
    check_kept(&story.workspace, &story.said);
    assert!(story.run(&everything, &["destroy", "-auto-approve"]), "{}", story.said);

    let log = whole(story.workspace.path(), "log");
    let log = String::from_utf8_lossy(&log);
    for (name, _) in &kinds[1..] {
        assert!(log.contains(&format!(" with {name}: ")), "no run signed in with {name}");
    }
    assert!(
        log.contains("Other users can read the credentials")
            || story.said.contains("Other users can read the credentials")
    );
    assert!(log.contains("[TRACE] provider"), "the log level was not trace");
    search("the log", log.as_bytes(), &[]);
    search("terraform's output", story.said.as_bytes(), &[]);
    let spans = spans.lock().unwrap();
    assert!(String::from_utf8_lossy(&spans).contains("azimage_image_version"), "no spans were sent");
    search("the spans", &spans, &[]);
}

/// The concatenated contents of all files whose names end in `end`.
fn whole(folder: &Path, end: &str) -> Vec<u8> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == end));
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
}

// The state, the private state and the plan contain the user's values exactly where the user put them.
fn check_kept(workspace: &Workspace, said: &str) {
    let mut state: Json =
        serde_json::from_slice(&std::fs::read(workspace.path().join("terraform.tfstate")).unwrap())
            .unwrap_or_else(|error| panic!("{error}: {said}"));
    for resource in state["resources"].as_array().unwrap() {
        let private = resource["instances"][0]["private"].as_str().unwrap_or_default();
        search("private state", &STANDARD.decode(private).unwrap(), &[]);
    }
    let mut found = 0;
    without_addresses(&mut state, &mut found);
    assert_eq!(found, 4, "the state contains every address: {state:#}");
    search("the state", state.to_string().as_bytes(), &[]);
    // the plan is a zip file; the configuration and the variables in it belong to the user
    let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\n\
                  [sys.stdout.buffer.write(z.read(n)) for n in z.namelist() if not n.startswith('tfconfig/')]";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(workspace.path().join("kept.plan"))
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stdout.len() > 1000,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    search("the plan", &output.stdout, &["a signature", "another signature"]);
    let plan = output.stdout;
    for signature in SIGNATURES.map(sas) {
        let places: Vec<usize> = plan
            .windows(signature.len())
            .enumerate()
            .filter(|(_, part)| *part == signature.as_bytes())
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty());
        // it must follow the attribute that the user assigned it to, or be among the variables
        let elsewhere = places.iter().filter(|at| {
            let before = String::from_utf8_lossy(&plan[at.saturating_sub(24)..**at]).into_owned();
            !before.contains("_uri") && !before.contains("_link")
        });
        assert!(elsewhere.count() <= 1, "{signature} occurs elsewhere in the plan");
    }
}

fn without_addresses(json: &mut Json, found: &mut usize) {
    match json {
        Json::Object(fields) => {
            for (name, value) in fields {
                const ADDRESSES: [&str; 4] =
                    ["blob_uri", "vhd_uri", "media_link", "default_configuration_link"];
                if ADDRESSES.contains(&name.as_str()) && value.is_string() {
                    *value = Json::Null;
                    *found += 1;
                }
                without_addresses(value, found);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| without_addresses(item, found)),
        _ => {}
    }
}

#[track_caller]
fn search(what: &str, text: &[u8], but: &[&str]) {
    let text = String::from_utf8_lossy(text);
    for (secret, forms) in secrets() {
        for form in forms.iter().filter(|_| !but.contains(&secret)) {
            if let Some(at) = text.find(form.as_str()) {
                let start =
                    (0..=at.saturating_sub(300)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                let end = (at + 200..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
                panic!("{secret} ({form}) is in {what}: {}", &text[start..end]);
            }
        }
    }
}

// The search finds secrets in every encoding.
fn the_search_finds_secrets_in_every_encoding() {
    for text in [
        format!("x{CLIENT_SECRET}y"),
        format!("q={}", percent(CLIENT_SECRET)),
        STANDARD.encode(format!("ab{CLIENT_SECRET}cd")),
        STANDARD.encode(format!("a{CLIENT_SECRET}")),
        URL_SAFE_NO_PAD.encode(format!("abc:{CLIENT_SECRET}")),
        sas(SIGNATURES[1]),
        format!("{SIGNED_TOKEN}LCJhbGciOiJSUzI1NiJ9"),
    ] {
        let found = std::panic::catch_unwind(|| search("a text", text.as_bytes(), &[]));
        assert!(found.is_err(), "{text}");
    }
    search("a text", b"nothing to hide", &[]);
}

tests!(secrets_occur_only_where_the_user_put_them, the_search_finds_secrets_in_every_encoding,);
