//! Signs in as an application with a certificate: a signed assertion instead of a secret.
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>

use super::Context;
use crate::arm::host_request::Failure;
use crate::arm::token::Fresh;

/// Signs in with the certificate and key of the configured bundle or bundle file. A file is read again for every token,
/// because certificates are renewed.
#[cfg(feature = "client-cert")]
pub async fn fetch(context: &Context<'_>) -> Result<Fresh, Failure> {
    use super::{oidc, set};
    let settings = context.credentials;
    let given = set(&settings.client_certificate).map(str::to_owned);
    let path = set(&settings.client_certificate_path).map(str::to_owned);
    // Not trimmed: a password may contain spaces.
    let password = settings.client_certificate_password.clone().unwrap_or_default();
    let (tenant, client) = (context.tenant()?, context.client_id()?);
    let audience = format!("{}/{tenant}/oauth2/v2.0/token", context.cloud.authority.trim_end_matches('/'));
    let subject = client.clone();
    // Deriving the bundle's key can take most of a second.
    let assertion = tokio::task::spawn_blocking(move || {
        let (bytes, place) = signed::bytes(given.as_deref(), path.as_deref())?;
        let identity = signed::Identity::read(&bytes, &password).map_err(|why| format!("{place}: {why}"))?;
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        identity.assertion(&subject, &audience, now, &uuid::Uuid::new_v4().to_string())
    });
    let assertion: Result<String, String> =
        assertion.await.map_err(|error| format!("signing the assertion: {error}"))?;
    let assertion = assertion?;
    oidc::exchange(context, tenant, client, assertion).await
}

/// Fails, because this build lacks the feature.
#[cfg(not(feature = "client-cert"))]
pub async fn fetch(_context: &Context<'_>) -> Result<Fresh, Failure> {
    Err("this build cannot sign in with a client certificate: it was built without the feature \"client-cert\""
        .into())
}

#[cfg(feature = "client-cert")]
mod signed {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use ring::rand::SystemRandom;
    use ring::{digest, rsa, signature};
    use serde_json::json;

    use super::super::der::{Der, Malformed, tag};
    use super::super::pfx::{self, Unreadable};

    /// The validity of an assertion in seconds. It is used immediately, but clocks differ.
    const VALIDITY: i64 = 600;

    /// A private key and its certificate chain.
    pub struct Identity {
        key: rsa::KeyPair,
        /// The key's certificate, followed by its issuers, in DER.
        chain: Vec<Vec<u8>>,
    }

    /// The bundle's bytes, and the name of their source for messages.
    pub fn bytes(given: Option<&str>, path: Option<&str>) -> Result<(Vec<u8>, String), String> {
        if let Some(text) = given {
            let bytes = decode(text.as_bytes())
                .ok_or("client_certificate is not base64: set it to a PKCS#12 bundle in base64, or set client_certificate_path")?;
            return Ok((bytes, "client_certificate".to_owned()));
        }
        let path = path.ok_or("client_certificate is not set")?;
        let place = format!("{path:?} (client_certificate_path)");
        let bytes = super::super::files::read_bytes("client_certificate_path", path)?;
        // Key Vault returns bundles in base64, so files may contain base64 too.
        Ok((decode(&bytes).unwrap_or(bytes), place))
    }

    /// Decodes base64 that may contain white space.
    fn decode(text: &[u8]) -> Option<Vec<u8>> {
        let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
    }

    impl Identity {
        /// The first key of the bundle that has a certificate.
        pub fn read(bytes: &[u8], password: &str) -> Result<Self, String> {
            if bytes.starts_with(b"-----BEGIN") {
                return Err(format!("it is PEM, not PKCS#12; {CONVERT}"));
            }
            let bundle = pfx::open(bytes, password).map_err(|why| match why {
                Unreadable::NotPkcs12 => format!("it is not a PKCS#12 bundle (.pfx, .p12); {CONVERT}"),
                Unreadable::WrongPassword if password.is_empty() => {
                    "it has a password: set client_certificate_password".to_owned()
                }
                Unreadable::WrongPassword => "client_certificate_password does not open it".to_owned(),
                Unreadable::Unsupported(what) => format!("{what}; {CONVERT}"),
            })?;
            if bundle.keys.is_empty() {
                return Err(
                    "it contains no private key: export the certificate together with its key".to_owned()
                );
            }
            let mut refused = String::new();
            for key in &bundle.keys {
                let key = match rsa::KeyPair::from_pkcs8(key) {
                    Ok(key) => key,
                    Err(error) => {
                        refused = format!(
                            "its private key cannot be used ({error}): Azure takes RSA keys of 2048 to 4096 bits"
                        );
                        continue;
                    }
                };
                // A certificate contains its public key in the same encoding as the key pair.
                let public = key.public().as_ref();
                let own = bundle
                    .certificates
                    .iter()
                    .find(|der| der.windows(public.len()).any(|part| part == public));
                match own {
                    Some(own) => return Ok(Self { chain: chain(own, &bundle.certificates), key }),
                    None => refused = "it contains no certificate for its private key".to_owned(),
                }
            }
            Err(refused)
        }

        /// A signed assertion that identifies the application `client` to the service at `audience`.
        pub fn assertion(&self, client: &str, audience: &str, now: i64, id: &str) -> Result<String, String> {
            let own = self.chain.first().map(Vec::as_slice).unwrap_or_default();
            let header = json!({
                "alg": "PS256",
                "typ": "JWT",
                "x5t#S256": URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, own)),
                // the chain allows applications that trust any certificate of a subject and issuer
                "x5c": self.chain.iter().map(|der| STANDARD.encode(der)).collect::<Vec<_>>(),
            });
            let claims = json!({
                "aud": audience,
                "iss": client,
                "sub": client,
                "jti": id,
                "iat": now,
                "nbf": now,
                "exp": now + VALIDITY,
            });
            let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let statement = format!("{}.{}", encoded(&header), encoded(&claims));
            let mut signature = vec![0; self.key.public().modulus_len()];
            self.key
                .sign(&signature::RSA_PSS_SHA256, &SystemRandom::new(), statement.as_bytes(), &mut signature)
                .map_err(|_| "signing with the certificate's key failed: Azure takes RSA keys of 2048 to 4096 bits")?;
            Ok(format!("{statement}.{}", URL_SAFE_NO_PAD.encode(signature)))
        }
    }

    const CONVERT: &str =
        "convert it with openssl pkcs12 -export -in cert.pem -inkey key.pem -out bundle.pfx";

    /// `own` and its issuers among `certificates`, without the root, which the login service must know anyway.
    fn chain(own: &[u8], certificates: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut chain = vec![own.to_vec()];
        let mut at = names(own).ok();
        while let Some((issuer, subject)) = at
            && issuer != subject
            && chain.len() < 10
        {
            let next = certificates.iter().find(|der| names(der).is_ok_and(|(_, subject)| subject == issuer));
            let Some(next) = next else { break };
            at = names(next).ok();
            if at.is_some_and(|(issuer, subject)| issuer != subject) {
                chain.push(next.clone());
            }
        }
        chain
    }

    /// The issuer and subject of a certificate.
    fn names(certificate: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
        let mut fields = Der::new(certificate).sequence()?.sequence()?;
        // the version is optional
        let _ = fields.take(tag::EXPLICIT_0);
        fields.take(tag::INTEGER)?;
        fields.sequence()?;
        let issuer = fields.take(tag::SEQUENCE)?;
        fields.sequence()?;
        Ok((issuer, fields.take(tag::SEQUENCE)?))
    }
}
