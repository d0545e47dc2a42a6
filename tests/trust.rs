//! The client connects only to hosts with a valid certificate, over TLS 1.2 or newer, regardless of redirects and
//! environment variables.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azimage::arm::{HttpTransport, Method, Request, Transport};
use azimage::framework::Server;
use azimage::provider::Provider;
use azimage::schema::Body;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

const TOKEN: &str = "Bearer token-of-trust";

/// The test body, run in a separate process because trusted authorities belong to the process.
#[tokio::test]
#[ignore = "the others run it, each with an environment of its own"]
async fn runs_in_a_separate_process() {
    let Ok(url) = std::env::var("ASK") else { return };
    let headers = vec![("Authorization".to_owned(), TOKEN.to_owned())];
    let request = Request { method: Method::Get, url, headers, body: None };
    match HttpTransport::new().send(request).await {
        Ok(answer) => println!("\nANSWER {}", answer.status),
        Err(error) => println!("\nANSWER {error} (lasting: {})", error.is_lasting()),
    }
}

/// The result of a request to `url` if `authority` is trusted and the environment contains `env`.
fn request(url: &str, authority: &Path, env: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["runs_in_a_separate_process", "--exact", "--ignored", "--nocapture"]).env_clear();
    command.env("ASK", url).env("SSL_CERT_FILE", authority).envs(env.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = text.lines().find_map(|line| line.strip_prefix("ANSWER "));
    answer.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

/// Serves TLS with one certificate, and counts the requests.
fn serve(certificate: &rcgen::Certificate, key: &KeyPair) -> (u16, Arc<AtomicUsize>) {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let (listener, requests) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicUsize::new(0)));
    let (port, config, counted) = (listener.local_addr().unwrap().port(), Arc::new(config), requests.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::Stream::new(&mut tls, &mut stream);
            if matches!(tls.read(&mut [0; 4096]), Ok(1..)) {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
            }
        }
    });
    (port, requests)
}

/// A certificate authority, and the file with its certificate.
fn authority(folder: &Path) -> (CertifiedIssuer<'static, KeyPair>, std::path::PathBuf) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = folder.join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    (authority, path)
}

/// A certificate for `name` whose validity starts and ends this many days from now.
fn params(name: &str, [from, to]: [i64; 2]) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "a server");
    params.not_before = OffsetDateTime::now_utc() + time::Duration::days(from);
    params.not_after = OffsetDateTime::now_utc() + time::Duration::days(to);
    params
}

// Variables with which other tools disable verification.
const SWITCHES: [(&str, &str); 10] = [
    ("ARM_SKIP_TLS_VERIFY", "true"),
    ("ARM_INSECURE", "true"),
    ("ARM_DISABLE_SSL_VERIFICATION", "true"),
    ("AZURE_CLI_DISABLE_CONNECTION_VERIFICATION", "1"),
    ("ADAL_PYTHON_SSL_NO_VERIFY", "1"),
    ("TF_INSECURE_SKIP_VERIFY", "1"),
    ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
    ("GIT_SSL_NO_VERIFY", "1"),
    ("PYTHONHTTPSVERIFY", "0"),
    ("SSL_VERIFY_NONE", "1"),
];

#[test]
fn accepts_only_valid_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, path) = authority(folder.path());
    let alone = |name: &str, days| {
        let key = KeyPair::generate().unwrap();
        (params(name, days).self_signed(&key).unwrap(), key)
    };
    let signed = |name: &str, days| {
        let key = KeyPair::generate().unwrap();
        (params(name, days).signed_by(&key, &authority).unwrap(), key)
    };
    let rows = [
        ("good", signed("127.0.0.1", [-1, 1]), "200"),
        ("expired", signed("127.0.0.1", [-9, -1]), "certificate expired"),
        ("of tomorrow", signed("127.0.0.1", [1, 9]), "not valid yet"),
        ("of another host", signed("management.azure.com", [-1, 1]), "not valid for name"),
        ("self-signed", alone("127.0.0.1", [-1, 1]), "UnknownIssuer"),
    ];
    for (name, (certificate, key), says) in rows {
        let (port, requests) = serve(&certificate, &key);
        for env in [&[][..], &SWITCHES] {
            let answer = request(&format!("https://127.0.0.1:{port}/"), &path, env);
            assert!(answer.contains(says), "{name}: {answer}");
            let refused = says != "200";
            assert_eq!(answer.contains("lasting: true"), refused, "{name}: {answer}");
            assert_eq!(requests.swap(0, Ordering::SeqCst) == 0, refused, "{name} received a request");
        }
    }
}

// A server that supports only `version`. Returns the client hello, and the client's reaction to that version.
fn old_server(version: [u8; 2]) -> (u16, std::thread::JoinHandle<(Vec<u8>, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let hello = record(&mut stream);
        // ServerHello: version, 32 bytes, no session, ECDHE-RSA-AES128-SHA, no compression
        let mut chosen = version.to_vec();
        chosen.extend([7; 32]);
        chosen.extend([0, 0xc0, 0x13, 0]);
        let mut message = vec![2, 0, 0, chosen.len() as u8];
        message.extend(chosen);
        let mut bytes = vec![22, version[0], version[1], 0, message.len() as u8];
        bytes.extend(message);
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        (hello, answer)
    });
    (port, served)
}

fn record(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut body).unwrap();
    body
}

#[test]
fn refuses_tls_before_1_2() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = authority(folder.path());
    for version in [[3, 2], [3, 1], [3, 0]] {
        let (port, served) = old_server(version);
        let answer = request(&format!("https://127.0.0.1:{port}/"), &path, &SWITCHES);
        assert!(!answer.starts_with("200"), "{version:?}: {answer}");
        let (hello, alert) = served.join().unwrap();
        // supported_versions: only 1.3 and 1.2
        assert!(hello.windows(9).any(|part| part == [0, 43, 0, 5, 4, 3, 4, 3, 3]), "{hello:x?}");
        // a fatal alert, and then nothing
        assert!(matches!(alert.as_slice(), [21, 3, _, 0, 2, 2, _]), "{version:?}: {alert:x?}");
    }
}

#[test]
fn redirects_receive_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = authority(folder.path());
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        elsewhere.set_nonblocking(true).unwrap();
        let to = format!("http://{}/stolen", elsewhere.local_addr().unwrap());
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", here.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(String::new()));
        let kept = seen.clone();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = here.accept().unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&head[..read]));
            let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        assert_eq!(
            request(&url, &path, &[]),
            status.to_string(),
            "the transport returns a redirect, and the client refuses it"
        );
        served.join().unwrap();
        assert!(seen.lock().unwrap().contains(TOKEN), "the requested host receives the token");
        assert!(elsewhere.accept().is_err(), "{status} was followed");
    }
}

#[test]
fn no_setting_disables_verification() {
    fn names(body: &Body, all: &mut Vec<String>) {
        all.extend(body.attributes.iter().map(|attribute| attribute.name.to_owned()));
        for block in &body.blocks {
            names(&block.body, all);
        }
    }
    let mut all = Vec::new();
    names(Server::new(Provider).body(), &mut all);
    assert!(all.len() > 30);
    for name in all {
        for word in ["insecure", "skip", "verify", "tls", "ssl", "trust"] {
            assert!(!name.contains(word), "{name}: TLS is always verified");
        }
    }
    // the code does not use the libraries' functions that disable it
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            read += 1;
            for word in ["danger_accept", "tls_danger", ".dangerous()", "ServerCertVerifier"] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
    assert!(read > 100);
}

#[test]
fn reports_an_unusable_certificate_file() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.pem");
    let answer = request("https://127.0.0.1:9/", &absent, &[]);
    assert!(answer.contains("SSL_CERT_FILE names") && answer.contains("absent.pem"), "{answer}");
    assert!(answer.contains("cannot be read: No such file") && answer.contains("lasting: true"), "{answer}");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "hello").unwrap();
    let answer = request("https://127.0.0.1:9/", &empty, &[]);
    assert!(answer.contains("empty.pem") && answer.contains("no certificate in PEM form"), "{answer}");
}

#[test]
fn reports_the_status_of_a_proxy_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let (_, trusted) = authority(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden by policy\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let proxy = format!("http://127.0.0.1:{port}");
    let answer = request("https://management.azure.com/", &trusted, &[("HTTPS_PROXY", &proxy)]);
    for part in
        [&format!("127.0.0.1:{port}"), "HTTPS_PROXY", "management.azure.com:443", "403 Forbidden by policy"]
    {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    assert!(answer.contains("lasting: true"), "{answer}");
    let socks = format!("socks5://127.0.0.1:{port}");
    let answer = request("https://management.azure.com/", &trusted, &[("HTTPS_PROXY", &socks)]);
    assert!(answer.contains("socks5:// proxy, which is not supported; use an http:// proxy"), "{answer}");
}
