//! Client certificates: checks the assertions like the login service does.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{digest, signature};
use serde_json::{Value, json};

use super::super::super::der::{Der, tag};
use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/client-certificate");
const PASSWORD: &str = "pässword";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}/{name}")).unwrap()
}

fn with_path(path: impl Into<String>, password: &str) -> Credentials {
    Credentials {
        client_certificate_path: Some(path.into()),
        client_certificate_password: some(password),
        ..app()
    }
}

/// The header and claims of an assertion whose signature matches the client's certificate.
fn opened(assertion: &str) -> (Value, Value) {
    let (statement, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let certificate = fixture("client.der");
    let mut fields = Der::new(&certificate).sequence().unwrap().sequence().unwrap();
    // it has the first version, which is omitted
    fields.take(tag::INTEGER).unwrap();
    for _ in ["algorithm", "issuer", "validity", "subject"] {
        fields.sequence().unwrap();
    }
    let mut key = fields.sequence().unwrap();
    key.sequence().unwrap();
    let key = &key.take(3).unwrap()[1..];
    signature::UnparsedPublicKey::new(&signature::RSA_PSS_2048_8192_SHA256, key)
        .verify(statement.as_bytes(), &signature)
        .expect("the signature is the certificate's");
    let (header, claims) = statement.split_once('.').unwrap();
    let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    (part(header), part(claims))
}

#[tokio::test]
async fn assertion_contains_client_audience_and_validity() {
    let base64 = |name: &str| STANDARD.encode(fixture(name));
    // wrapped lines, like the output of the command `base64`
    let wrapped = base64("modern.pfx")
        .as_bytes()
        .chunks(76)
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join("\n");
    for credentials in [
        with_path(format!("{FOLDER}/modern.pfx"), PASSWORD),
        with_path(format!("{FOLDER}/legacy.pfx"), PASSWORD),
        Credentials {
            client_certificate: Some(wrapped),
            client_certificate_password: some(PASSWORD),
            ..app()
        },
        // without a password; it takes precedence over the secret
        Credentials {
            client_certificate: Some(base64("null-password.pfx")),
            client_secret: some("s"),
            ..app()
        },
    ] {
        let hosts = Arc::new(FakeHosts::default());
        assert_eq!(tokens(&hosts, credentials).token().await.unwrap().expose(), "token-1");
        assert_eq!(
            (hosts.member("client_id").as_str(), hosts.member("client_secret").as_str()),
            ("client-1", "")
        );
        assert_eq!(
            hosts.member("client_assertion_type"),
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );

        let (header, mut claims) = opened(&hosts.member("client_assertion"));
        let certificate = fixture("client.der");
        let thumbprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &certificate));
        // The root is left out.
        let expected = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint, "x5c": [STANDARD.encode(&certificate)]});
        assert_eq!(header, expected);
        let mut number = |name: &str| claims.as_object_mut().unwrap().remove(name).unwrap().as_i64().unwrap();
        let (issued, from, until) = (number("iat"), number("nbf"), number("exp"));
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        assert!(
            (now - 30..=now).contains(&issued) && from == issued && until == from + 600,
            "{issued} {from} {until}"
        );
        let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(id.as_str().map(str::len), Some(36));
        let audience = "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token";
        assert_eq!(claims, json!({"aud": audience, "iss": "client-1", "sub": "client-1"}));
    }
}

#[tokio::test]
async fn each_assertion_is_unique_and_for_one_tenant() {
    let hosts = Arc::new(FakeHosts::default());
    let credentials = Credentials {
        auxiliary_tenant_ids: vec!["tenant-2".into()],
        ..with_path(format!("{FOLDER}/modern.pfx"), PASSWORD)
    };
    let tokens = tokens(&hosts, credentials);
    tokens.token().await.unwrap();
    let (_, home) = opened(&hosts.member("client_assertion"));
    tokens.auxiliary().await.unwrap();
    let (_, other) = opened(&hosts.member("client_assertion"));
    assert_ne!(home["jti"], other["jti"]);
    assert_eq!(other["aud"], "https://login.microsoftonline.com/tenant-2/oauth2/v2.0/token");
}

#[tokio::test]
async fn reads_a_renewed_file_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.pfx");
    std::fs::write(&path, fixture("modern.pfx")).unwrap();
    let hosts = Arc::new(FakeHosts::default());
    let tokens = tokens(&hosts, with_path(path.to_str().unwrap(), PASSWORD));
    let first = tokens.token().await.unwrap();
    // now in base64, like Key Vault's
    std::fs::write(&path, STANDARD.encode(fixture("legacy.pfx"))).unwrap();
    tokens.reject(&first);
    tokens.token().await.unwrap();
    opened(&hosts.member("client_assertion"));
    std::fs::write(&path, fixture("no-key.pfx")).unwrap();
    tokens.reject(&Secret::new("token-2"));
    let error = tokens.token().await.unwrap_err().to_string();
    assert!(error.contains("no private key"), "{error}");
}

#[tokio::test]
async fn errors_explain_what_is_wrong_with_a_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let pem = dir.path().join("bundle.pem").to_str().unwrap().to_owned();
    std::fs::write(&pem, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let path = |name: &str| format!("{FOLDER}/{name}");
    let given = |text: &str| Credentials { client_certificate: some(text), ..app() };
    for (credentials, why) in [
        (with_path(path("modern.pfx"), "wrong"), "client_certificate_password does not open it"),
        (with_path(path("modern.pfx"), ""), "it has a password: set client_certificate_password"),
        (with_path(path("no-key.pfx"), PASSWORD), "it contains no private key"),
        (with_path(path("ec.pfx"), PASSWORD), "Azure takes RSA keys"),
        (with_path(path("client.der"), ""), "it is not a PKCS#12 bundle"),
        (with_path(path("absent.pfx"), ""), "absent.pfx\" (client_certificate_path): "),
        (with_path(pem, ""), "it is PEM, not PKCS#12; convert it with openssl pkcs12 -export"),
        (given("%%%"), "client_certificate is not base64"),
        (given("aGVsbG8="), "client_certificate: it is not a PKCS#12 bundle"),
    ] {
        let hosts = Arc::new(FakeHosts::default());
        let error = tokens(&hosts, credentials).token().await.unwrap_err().to_string();
        assert!(error.contains("client certificate: ") && error.contains(why), "{why}: {error}");
        assert!(!error.contains(PASSWORD) && hosts.seen.lock().unwrap().is_empty(), "{error}");
    }
}

#[tokio::test]
async fn reports_a_certificate_that_is_not_registered_with_the_application() {
    let hosts = Arc::new(FakeHosts::default());
    *hosts.refusal.lock().unwrap() = Some((
        401,
        r#"{"error":"invalid_client","error_description":"AADSTS700027: The certificate …"}"#.to_owned(),
    ));
    let credentials = with_path(format!("{FOLDER}/modern.pfx"), PASSWORD);
    let error = tokens(&hosts, credentials).token().await.unwrap_err().to_string();
    assert!(error.contains("not registered with the application"), "{error}");
}
