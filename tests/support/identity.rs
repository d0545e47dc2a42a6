//! The certificate that a host presents: P-521 and self-signed, as Terraform creates it; or P-256.

use p521::ecdsa::{Signature, SigningKey as P521Key, signature::Signer as _};
use rustls::{
    SignatureAlgorithm, SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, Signer, SigningKey},
};
use std::sync::Arc;

/// A certificate and its key. Tests may combine a certificate with another key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub key: Arc<dyn SigningKey>,
}

impl Identity {
    /// The certificate that Terraform and OpenTofu create at each start of a plugin.
    pub fn p521() -> Self {
        let key = P521Key::from_slice(&random_scalar()).unwrap();
        Self { certificate: p521_certificate(&key).into(), key: Arc::new(P521(Arc::new(key))) }
    }

    /// A certificate that another host might create.
    pub fn p256() -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Self {
            certificate: certificate.der().clone(),
            key: rustls::crypto::ring::sign::any_ecdsa_type(&key).unwrap(),
        }
    }

    /// The encoding in `PLUGIN_CLIENT_CERT`.
    pub fn pem(&self) -> String {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let text = STANDARD.encode(&self.certificate);
        let lines: Vec<_> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }
}

/// Presents the certificate regardless of the server's CA hints, if the server accepts its signature scheme.
impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.key.choose_scheme(schemes)?;
        Some(Arc::new(CertifiedKey::new(vec![self.certificate.clone()], self.key.clone())))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone)]
struct P521(Arc<P521Key>);

impl SigningKey for P521 {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ECDSA_NISTP521_SHA512).then(|| Box::new(self.clone()) as _)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for P521 {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature: Signature = self.0.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}

/// A scalar below the order of the curve, whose first byte is one.
fn random_scalar() -> [u8; 66] {
    let mut scalar = [0; 66];
    fastrand::fill(&mut scalar[1..]);
    scalar
}

const OID_EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const OID_P521: &[u8] = &[0x2b, 0x81, 4, 0, 0x23];
const OID_ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4];
const OID_ORGANIZATION: &[u8] = &[0x55, 4, 10];
const OID_COMMON_NAME: &[u8] = &[0x55, 4, 3];
const OID_KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
const OID_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const OID_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
const OID_CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const OID_SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

/// Builds X.509 by hand, because no library here signs with this curve.
fn p521_certificate(key: &P521Key) -> Vec<u8> {
    let algorithm = sequence(&[oid(OID_ECDSA_SHA512)]);
    let attribute = |name, value: &str| tlv(0x31, &sequence(&[oid(name), tlv(0x13, value.as_bytes())]));
    let name = sequence(&[attribute(OID_ORGANIZATION, "HashiCorp"), attribute(OID_COMMON_NAME, "localhost")]);
    let validity = sequence(&[tlv(0x17, b"200101000000Z"), tlv(0x18, b"20991231235959Z")]);
    let public = key.verifying_key().to_sec1_point(false);
    let public = sequence(&[sequence(&[oid(OID_EC_KEY), oid(OID_P521)]), bits(0, public.as_bytes())]);
    let critical = || tlv(1, &[0xff]);
    let extensions = sequence(&[
        // Digital signature, key encipherment, key agreement, certificate signing.
        sequence(&[oid(OID_KEY_USAGE), critical(), tlv(4, &bits(2, &[0b1010_1100]))]),
        sequence(&[
            oid(OID_EXTENDED_KEY_USAGE),
            tlv(4, &sequence(&[oid(OID_CLIENT_AUTH), oid(OID_SERVER_AUTH)])),
        ]),
        sequence(&[oid(OID_BASIC_CONSTRAINTS), critical(), tlv(4, &sequence(&[critical()]))]),
        sequence(&[oid(OID_ALTERNATIVE_NAME), tlv(4, &sequence(&[tlv(0x82, b"localhost")]))]),
    ]);
    let body = sequence(&[
        tlv(0xa0, &tlv(2, &[2])),
        tlv(2, &[&[1][..], &random_scalar()[1..8]].concat()),
        algorithm.clone(),
        name.clone(),
        validity,
        name,
        public,
        tlv(0xa3, &extensions),
    ]);
    let signature: Signature = key.sign(&body);
    sequence(&[body, algorithm, bits(0, signature.to_der().as_bytes())])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn oid(id: &[u8]) -> Vec<u8> {
    tlv(6, id)
}

fn bits(unused: u8, bytes: &[u8]) -> Vec<u8> {
    tlv(3, &[&[unused][..], bytes].concat())
}

/// Tag, length, value.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = match value.len() {
        short @ 0..0x80 => vec![short as u8],
        middle @ 0x80..0x100 => vec![0x81, middle as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [&[tag][..], &length, value].concat()
}
