//! Mutual TLS with two certificates that live as long as the process: its own, sent in the handshake line, and the
//! host's, from the environment. The host's certificate is the only one accepted.

use super::StartError;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        AlgorithmIdentifier, CertificateDer, InvalidSignature, PrivateKeyDer, PrivatePkcs8KeyDer,
        SignatureVerificationAlgorithm, UnixTime, alg_id, pem::PemObject,
    },
    server::{
        NoServerSessionStorage, ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio_rustls::TlsAcceptor;

/// Allows for clock differences between the containers of host and plugin.
const BACKDATED: Duration = Duration::from_secs(30);
/// As long as the host's own certificate is valid; the key never leaves this process.
const VALID: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The TLS configuration of a listener.
pub struct Tls {
    /// Accepts handshakes.
    pub acceptor: TlsAcceptor,
    /// The process's certificate in DER, for the handshake line.
    pub certificate: Vec<u8>,
}

impl Tls {
    /// Makes a key and a certificate for `localhost`, and accepts only the owner of the certificate `client` (PEM).
    pub fn new(client: &str, now: OffsetDateTime) -> Result<Self, StartError> {
        let client = CertificateDer::from_pem_slice(client.as_bytes())
            .map_err(|error| StartError::ClientCertificate(format!("{error:?}")))?;
        ParsedCertificate::try_from(&client)
            .map_err(|error| StartError::ClientCertificate(error.to_string()))?;

        let (certificate, key) =
            own_certificate(now).map_err(|error| StartError::Certificate(error.to_string()))?;
        let crypto = crypto();
        let verifier = Pinned { client, usual: crypto.signature_verification_algorithms };
        let mut config = ServerConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_client_cert_verifier(Arc::new(verifier)))
            .and_then(|builder| builder.with_single_cert(vec![certificate.clone().into()], key))
            .map_err(|error| StartError::Certificate(error.to_string()))?;
        // Hosts from Terraform 1.12 on refuse a server that does not choose this.
        config.alpn_protocols = vec![b"h2".to_vec()];
        // One host with one or two connections never resumes a session.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }
}

/// The cryptography provider. Ring starts in a tenth of the time of its alternative, and a Terraform run starts the
/// plugin several times.
fn crypto() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A self-signed P-256 certificate. The host trusts exactly the bytes in the handshake line, and checks little more
/// than the name `localhost`.
fn own_certificate(now: OffsetDateTime) -> Result<(Vec<u8>, PrivateKeyDer<'static>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "azimage");
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.not_before = now - BACKDATED;
    params.not_after = now + VALID;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.der().to_vec(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
}

/// Accepts one certificate, compared byte by byte, and only from a client that can sign with its key.
///
/// The standard verifier cannot be used: the host's certificate is a self-signed CA, which webpki refuses as an
/// end-entity certificate.
#[derive(Debug)]
struct Pinned {
    client: CertificateDer<'static>,
    usual: WebPkiSupportedAlgorithms,
}

impl Pinned {
    /// The algorithms for a signature scheme. Hosts sign with P-521, which ring cannot check.
    fn algorithms(&self, scheme: SignatureScheme) -> &WebPkiSupportedAlgorithms {
        if scheme == SignatureScheme::ECDSA_NISTP521_SHA512 { &P521_ALGORITHMS } else { &self.usual }
    }
}

impl ClientCertVerifier for Pinned {
    /// Deliberately empty: a Go client sends no certificate unless this list is empty or contains its issuer.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *end_entity == self.client {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::General("the client's certificate is not the one in PLUGIN_CLIENT_CERT".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, self.algorithms(signed.scheme))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, self.algorithms(signed.scheme))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = P521_ALGORITHMS.supported_schemes();
        schemes.extend(self.usual.supported_schemes());
        schemes
    }
}

static P521_ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[&P521],
    mapping: &[(SignatureScheme::ECDSA_NISTP521_SHA512, &[&P521])],
};

/// ECDSA over P-521 with SHA-512.
#[derive(Debug)]
struct P521;

impl SignatureVerificationAlgorithm for P521 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA512
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        use p521::ecdsa::{Signature, VerifyingKey, signature::Verifier};
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature).map_err(|_| InvalidSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p521::ecdsa::{Signature, SigningKey, signature::Signer};

    #[test]
    fn reports_an_invalid_certificate() {
        let now = OffsetDateTime::now_utc();
        for pem in [
            "",
            "nonsense",
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let error = Tls::new(pem, now).err().unwrap().to_string();
            assert!(error.contains("PLUGIN_CLIENT_CERT"), "{pem:?}: {error}");
        }
    }

    #[test]
    fn rejects_invalid_p521_signatures() {
        let key = SigningKey::from_slice(&[1; 66]).unwrap();
        let public = key.verifying_key().to_sec1_point(false);
        let signature: Signature = key.sign(b"message");
        let signature = signature.to_der();
        let verify =
            |message: &[u8], signature: &[u8]| P521.verify_signature(public.as_bytes(), message, signature);
        assert!(verify(b"message", signature.as_bytes()).is_ok());
        assert!(verify(b"massage", signature.as_bytes()).is_err());
        assert!(verify(b"message", &signature.as_bytes()[1..]).is_err());
        assert!(verify(b"message", b"").is_err());
        assert!(P521.verify_signature(b"", b"message", signature.as_bytes()).is_err());
    }

    #[test]
    fn offers_p521_because_hosts_use_it() {
        let usual = crypto().signature_verification_algorithms;
        assert!(!usual.supported_schemes().contains(&SignatureScheme::ECDSA_NISTP521_SHA512));
        let verifier = Pinned { client: CertificateDer::from(vec![]), usual };
        let schemes = verifier.supported_verify_schemes();
        assert!(schemes.contains(&SignatureScheme::ECDSA_NISTP521_SHA512));
        assert!(schemes.contains(&SignatureScheme::ECDSA_NISTP256_SHA256));
        assert!(verifier.client_auth_mandatory());
    }
}
