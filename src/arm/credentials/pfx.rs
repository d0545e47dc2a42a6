//! Reads the private keys and certificates of PKCS#12 bundles (PFX).
//! <https://www.rfc-editor.org/rfc/rfc7292>
//!
//! It supports bundles of OpenSSL (new and `-legacy`), Windows, Key Vault, Java and macOS. Their checksum (MAC) distinguishes
//! a wrong password from a damaged file. RC4 and public-key protection, which are no longer used, are not supported.

use std::cell::Cell;
use std::num::NonZeroU32;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
use ring::{digest, hmac, pbkdf2};

use super::der::{Der, Malformed, tag};

/// The contents of a bundle.
#[derive(Default)]
pub struct Bundle {
    /// Private keys as PKCS#8, in DER.
    pub keys: Vec<Vec<u8>>,
    /// Certificates (X.509), in DER, in the bundle's order.
    pub certificates: Vec<Vec<u8>>,
}

/// Why a bundle cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The bytes are not PKCS#12, or are damaged.
    NotPkcs12,
    /// The password is wrong.
    WrongPassword,
    /// Its protection is not supported; the text describes it.
    Unsupported(&'static str),
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::NotPkcs12
    }
}

/// The maximum number of key derivation rounds of all parts together. Common bundles need thousands; more than this could
/// take minutes.
const MAXIMUM_ROUNDS: u32 = 5_000_000;

/// Opens the bundle `bytes` with `password`, which is empty if there is none.
pub fn open(bytes: &[u8], password: &str) -> Result<Bundle, Unreadable> {
    // Some programs encode an empty password as two zero bytes, others as no bytes.
    let utf16 = password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let first = open_as(bytes, &Password::new(password, &utf16));
    match first {
        Err(Unreadable::WrongPassword) if password.is_empty() => open_as(bytes, &Password::new("", &[])),
        first => first,
    }
}

/// A password in the two encodings for key derivation, and the number of rounds that are left.
struct Password<'a> {
    plain: &'a str,
    utf16: &'a [u8],
    rounds_left: Cell<u32>,
}

impl<'a> Password<'a> {
    fn new(plain: &'a str, utf16: &'a [u8]) -> Self {
        Self { plain, utf16, rounds_left: Cell::new(MAXIMUM_ROUNDS) }
    }

    /// The number of rounds in `integer`, which is subtracted from the rounds that are left.
    fn rounds(&self, integer: &[u8]) -> Result<NonZeroU32, Unreadable> {
        let rounds = rounds(integer)?;
        let left = self.rounds_left.get().checked_sub(rounds.get()).ok_or(TOO_MUCH_WORK)?;
        self.rounds_left.set(left);
        Ok(rounds)
    }
}

fn open_as(bytes: &[u8], password: &Password<'_>) -> Result<Bundle, Unreadable> {
    let mut pfx = Der::new(bytes).sequence()?;
    if pfx.take(tag::INTEGER)? != [3] {
        return Err(Unreadable::NotPkcs12);
    }
    let mut safe = pfx.sequence()?;
    match safe.take(tag::OID)? {
        oid::DATA => {}
        oid::SIGNED_DATA => {
            return Err(Unreadable::Unsupported("it is signed with a key instead of a password"));
        }
        _ => return Err(Unreadable::NotPkcs12),
    }
    let content = safe.inside(tag::EXPLICIT_0)?.octets()?;
    if !pfx.is_empty() {
        check(&content, pfx.sequence()?, password)?;
    }
    let mut bundle = Bundle::default();
    let mut parts = Der::new(&content).sequence()?;
    while !parts.is_empty() {
        let mut part = parts.sequence()?;
        match part.take(tag::OID)? {
            oid::DATA => bags(&part.inside(tag::EXPLICIT_0)?.octets()?, password, &mut bundle)?,
            oid::ENCRYPTED_DATA => {
                let mut encrypted = part.inside(tag::EXPLICIT_0)?.sequence()?;
                encrypted.take(tag::INTEGER)?;
                let mut info = encrypted.sequence()?;
                info.take(tag::OID)?;
                let algorithm = info.sequence()?;
                let plain = decrypt(algorithm, &info.octets_tagged_0()?, password)?;
                // As for keys, wrong padding means a wrong password.
                bags(&plain, password, &mut bundle).map_err(|why| match why {
                    Unreadable::NotPkcs12 => Unreadable::WrongPassword,
                    why => why,
                })?;
            }
            _ => {
                return Err(Unreadable::Unsupported(
                    "a part of it is encrypted for a key instead of a password",
                ));
            }
        }
    }
    Ok(bundle)
}

/// Verifies the checksum of `content`, which depends on the password.
fn check(content: &[u8], mut mac: Der<'_>, password: &Password<'_>) -> Result<(), Unreadable> {
    let mut info = mac.sequence()?;
    let hash = info.sequence()?.take(tag::OID)?.to_vec();
    let expected = info.octets()?;
    let salt = mac.octets()?;
    let rounds = if mac.is_empty() { 1 } else { password.rounds(mac.take(tag::INTEGER)?)?.get() };
    let (hash, algorithm) = match hash.as_slice() {
        oid::SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        oid::SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        oid::SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        oid::SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => {
            return Err(Unreadable::Unsupported(
                "its checksum is not HMAC with SHA-1, SHA-256, SHA-384 or SHA-512",
            ));
        }
    };
    let length = hash.output_len();
    let key = derive(hash, Purpose::Mac, password.utf16, &salt, rounds, length);
    hmac::verify(&hmac::Key::new(algorithm, &key), content, &expected).map_err(|_| Unreadable::WrongPassword)
}

/// Adds the keys and certificates of the bags in `content`.
fn bags(content: &[u8], password: &Password<'_>, bundle: &mut Bundle) -> Result<(), Unreadable> {
    let mut bags = Der::new(content).sequence()?;
    while !bags.is_empty() {
        let mut bag = bags.sequence()?;
        let kind = bag.take(tag::OID)?;
        let mut value = bag.inside(tag::EXPLICIT_0)?;
        match kind {
            oid::KEY_BAG => bundle.keys.push(value.element(tag::SEQUENCE)?.to_vec()),
            oid::SHROUDED_KEY_BAG => {
                let mut shrouded = value.sequence()?;
                let algorithm = shrouded.sequence()?;
                let key = decrypt(algorithm, &shrouded.octets()?, password)?;
                // Without a checksum, a wrong password may produce valid padding by chance.
                Der::new(&key).sequence().map_err(|_| Unreadable::WrongPassword)?;
                bundle.keys.push(key);
            }
            oid::CERTIFICATE_BAG => {
                let mut certificate = value.sequence()?;
                if certificate.take(tag::OID)? == oid::X509 {
                    bundle.certificates.push(certificate.inside(tag::EXPLICIT_0)?.octets()?);
                }
            }
            // revocation lists and other secrets are ignored
            _ => {}
        }
    }
    Ok(())
}

/// Decrypts `data` with the algorithm and parameters in `algorithm`.
fn decrypt(mut algorithm: Der<'_>, data: &[u8], password: &Password<'_>) -> Result<Vec<u8>, Unreadable> {
    let name = algorithm.take(tag::OID)?;
    let mut parameters = algorithm.sequence()?;
    if name == oid::PBES2 {
        let mut derivation = parameters.sequence()?;
        let mut cipher = parameters.sequence()?;
        if derivation.take(tag::OID)? != oid::PBKDF2 {
            return Err(Unreadable::Unsupported("its key is not derived with PBKDF2"));
        }
        let mut derivation = derivation.sequence()?;
        let salt = derivation.octets()?;
        let rounds = password.rounds(derivation.take(tag::INTEGER)?)?;
        let mut function = pbkdf2::PBKDF2_HMAC_SHA1;
        while !derivation.is_empty() {
            // the key's length, which also follows from the cipher, or the function
            if let Ok(mut named) = derivation.sequence() {
                function = match named.take(tag::OID)? {
                    oid::HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
                    oid::HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
                    oid::HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
                    oid::HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
                    _ => return Err(Unreadable::Unsupported("its key is derived with an unusual hash")),
                };
            } else {
                derivation.take(tag::INTEGER)?;
            }
        }
        let name = cipher.take(tag::OID)?;
        let iv = cipher.octets()?;
        let key = |length: usize| {
            let mut key = vec![0; length];
            pbkdf2::derive(function, rounds, &salt, password.plain.as_bytes(), &mut key);
            key
        };
        match name {
            oid::AES_128 => cbc(aes::Aes128::new_from_slice(&key(16)), &iv, data),
            oid::AES_192 => cbc(aes::Aes192::new_from_slice(&key(24)), &iv, data),
            oid::AES_256 => cbc(aes::Aes256::new_from_slice(&key(32)), &iv, data),
            oid::TRIPLE_DES => cbc(des::TdesEde3::new_from_slice(&key(24)), &iv, data),
            _ => Err(Unreadable::Unsupported("it is not encrypted with AES or Triple DES")),
        }
    } else {
        let salt = parameters.octets()?;
        let rounds = password.rounds(parameters.take(tag::INTEGER)?)?.get();
        let derive = |purpose, length| {
            derive(&digest::SHA1_FOR_LEGACY_USE_ONLY, purpose, password.utf16, &salt, rounds, length)
        };
        let key = |length| derive(Purpose::Key, length);
        let iv = derive(Purpose::Iv, 8);
        match name {
            oid::SHA1_TRIPLE_DES => cbc(des::TdesEde3::new_from_slice(&key(24)), &iv, data),
            oid::SHA1_RC2_128 => cbc(Ok(rc2::Rc2::new_with_eff_key_len(&key(16), 128)), &iv, data),
            oid::SHA1_RC2_40 => cbc(Ok(rc2::Rc2::new_with_eff_key_len(&key(5), 40)), &iv, data),
            _ => Err(Unreadable::Unsupported("it is not encrypted with AES, Triple DES or RC2")),
        }
    }
}

/// Decrypts with cipher block chaining. Wrong padding means a wrong key.
fn cbc<C: BlockCipherDecrypt>(
    cipher: Result<C, aes::cipher::common::InvalidLength>,
    iv: &[u8],
    data: &[u8],
) -> Result<Vec<u8>, Unreadable> {
    let cipher = cipher.map_err(|_| Unreadable::NotPkcs12)?;
    let iv = iv.try_into().map_err(|_| Unreadable::NotPkcs12)?;
    cbc::Decryptor::inner_iv_init(cipher, iv)
        .decrypt_padded_vec::<Pkcs7>(data)
        .map_err(|_| Unreadable::WrongPassword)
}

/// The purpose of derived bytes.
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// PKCS#12's own key derivation: RFC 7292, appendix B.2.
fn derive(
    hash: &'static digest::Algorithm,
    purpose: Purpose,
    password: &[u8],
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Vec<u8> {
    let block = hash.block_len();
    let filled = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().copied().cycle().take(bytes.len().div_ceil(block) * block).collect()
    };
    let mut input = [filled(salt), filled(password)].concat();
    let mut derived = Vec::with_capacity(length + hash.output_len());
    loop {
        let mut sum = digest::digest(hash, &[vec![purpose as u8; block], input.clone()].concat());
        for _ in 1..rounds {
            sum = digest::digest(hash, sum.as_ref());
        }
        derived.extend_from_slice(sum.as_ref());
        if derived.len() >= length {
            derived.truncate(length);
            return derived;
        }
        // To each block of the input, as a number, add the hash (repeated to a block's length) and one.
        let addend: Vec<u8> = sum.as_ref().iter().copied().cycle().take(block).collect();
        for part in input.chunks_mut(block) {
            let mut carry = 1_u16;
            for (digit, more) in part.iter_mut().zip(&addend).rev() {
                carry += u16::from(*digit) + u16::from(*more);
                *digit = (carry & 0xff) as u8;
                carry >>= 8;
            }
        }
    }
}

fn rounds(integer: &[u8]) -> Result<NonZeroU32, Unreadable> {
    let number = integer
        .iter()
        .try_fold(0_u32, |number, byte| number.checked_mul(256).map(|number| number + u32::from(*byte)));
    number.and_then(NonZeroU32::new).filter(|rounds| rounds.get() <= MAXIMUM_ROUNDS).ok_or(TOO_MUCH_WORK)
}

const TOO_MUCH_WORK: Unreadable =
    Unreadable::Unsupported("deriving its key needs an unreasonable number of rounds");

/// Object identifiers: the DER content without tag and length.
#[rustfmt::skip]
mod oid {
    pub const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    pub const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
    pub const ENCRYPTED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 6];
    pub const KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 1];
    pub const SHROUDED_KEY_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 2];
    pub const CERTIFICATE_BAG: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 10, 1, 3];
    pub const X509: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 22, 1];
    pub const SHA1_TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
    pub const SHA1_RC2_128: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 5];
    pub const SHA1_RC2_40: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 6];
    pub const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
    pub const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
    pub const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 7];
    pub const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
    pub const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 10];
    pub const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 11];
    pub const TRIPLE_DES: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 3, 7];
    pub const AES_128: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];
    pub const AES_192: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 22];
    pub const AES_256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
    pub const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
    pub const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
    pub const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
    pub const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/fixtures/client-certificate/", $name)).as_slice()
        };
    }

    const PASSWORD: &str = "pässword";

    #[test]
    fn opens_bundles_of_many_programs() {
        for (name, bytes, password, certificates) in [
            ("modern", fixture!("modern.pfx"), PASSWORD, 2),
            ("legacy", fixture!("legacy.pfx"), PASSWORD, 2),
            ("Triple DES, as Windows does it", fixture!("triple-des.pfx"), PASSWORD, 1),
            ("RC2 and SHA-512", fixture!("rc2-128.pfx"), PASSWORD, 1),
            ("AES-128, AES-192, SHA-384", fixture!("aes-128.pfx"), PASSWORD, 1),
            ("no checksum", fixture!("no-mac.pfx"), PASSWORD, 1),
            ("an empty password", fixture!("no-password.pfx"), "", 1),
            ("no password at all", fixture!("null-password.pfx"), "", 1),
        ] {
            let bundle = open(bytes, password).unwrap_or_else(|why| panic!("{name}: {why:?}"));
            assert_eq!((bundle.keys.len(), bundle.certificates.len()), (1, certificates), "{name}");
            assert!(bundle.certificates.iter().any(|der| der == fixture!("client.der")), "{name}");
            assert!(ring::rsa::KeyPair::from_pkcs8(&bundle.keys[0]).is_ok(), "{name}");
        }
    }

    #[test]
    fn errors_explain_why_a_bundle_cannot_be_opened() {
        let fail = |bytes, password| open(bytes, password).err();
        for bytes in [fixture!("modern.pfx"), fixture!("legacy.pfx"), fixture!("no-mac.pfx")] {
            for password in ["", "password", "pässword "] {
                assert_eq!(fail(bytes, password), Some(Unreadable::WrongPassword));
            }
        }
        assert_eq!(fail(fixture!("client.der"), ""), Some(Unreadable::NotPkcs12));
        assert_eq!(fail(b"-----BEGIN CERTIFICATE-----", ""), Some(Unreadable::NotPkcs12));
        assert_eq!(fail(b"", ""), Some(Unreadable::NotPkcs12));
        assert_eq!(open(fixture!("no-key.pfx"), PASSWORD).map(|bundle| bundle.keys.len()).ok(), Some(0));
    }

    #[test]
    fn damaged_bundles_cause_no_panic() {
        let whole = fixture!("null-password.pfx");
        for length in 0..whole.len() {
            assert!(open(&whole[..length], "").is_err(), "{length}");
        }
        // set each byte of the outer headers in turn to extreme values
        for at in 0..45 {
            for value in [0, 0x80, 0xff] {
                let mut damaged = whole.to_vec();
                damaged[at] = value;
                let _ = open(&damaged, "");
            }
        }
    }

    #[test]
    fn limits_the_number_of_rounds() {
        assert_eq!(rounds(&[8, 0]).map(NonZeroU32::get), Ok(2048));
        assert_eq!(rounds(&[0, 0xff]).map(NonZeroU32::get), Ok(255));
        for wrong in
            [&[][..], &[0], &[1, 0, 0, 0], &[0x7f, 0xff, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xff]]
        {
            assert!(rounds(wrong).is_err(), "{wrong:?}");
        }
        // the limit applies to all parts together
        let password = Password::new("", &[]);
        let half = (MAXIMUM_ROUNDS / 2).to_be_bytes();
        assert!(password.rounds(&half).is_ok() && password.rounds(&half).is_ok());
        assert_eq!(password.rounds(&[1]), Err(TOO_MUCH_WORK));
    }
}
