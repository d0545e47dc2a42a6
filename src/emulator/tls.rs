//! A private certificate authority and a server certificate for this machine's loopback names, kept in a folder.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use super::files;

/// How long certificates last. They are renewed in the last thirty days.
const LIFETIME: Duration = Duration::days(730);
const RENEWAL: Duration = Duration::days(30);
/// The line before the certificate that holds its expiry. PEM readers skip it.
const UNTIL: &str = "valid-until: ";

/// Why the certificates could not be provided.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The folder cannot be used.
    #[error("keeping the emulator's certificates in {folder}: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A certificate could not be made.
    #[error("making the emulator's certificates: {0}")]
    Making(#[from] rcgen::Error),
    /// rustls rejects the certificates.
    #[error("using the certificates in {folder}: {why}; delete the folder to have new ones made")]
    Using {
        /// The folder.
        folder: String,
        /// The cause.
        why: String,
    },
}

/// Reads or creates `ca.pem`, `server.pem` and `server.key` in a folder; clients trust `ca.pem`.
pub fn config(folder: &Path, now: OffsetDateTime) -> Result<Arc<ServerConfig>, TlsError> {
    let io = |source| TlsError::Folder { folder: folder.display().to_string(), source };
    fs::create_dir_all(folder).map_err(io)?;
    // The lock keeps two servers that start at once from mixing their certificate and key.
    let lock = files::open_beside(&folder.join(""), ".lock", false).map_err(io)?;
    lock.lock().map_err(io)?;
    if let Some(config) = reuse(folder, now) {
        return Ok(config);
    }
    make(folder, now)?;
    load(folder)
}

fn reuse(folder: &Path, now: OffsetDateTime) -> Option<Arc<ServerConfig>> {
    let text = fs::read_to_string(folder.join("server.pem")).ok()?;
    let until = text.lines().find_map(|line| line.strip_prefix(UNTIL))?;
    let until = OffsetDateTime::from_unix_timestamp(until.trim().parse().ok()?).ok()?;
    if now + RENEWAL > until || !folder.join("ca.pem").is_file() {
        return None;
    }
    load(folder).ok()
}

fn load(folder: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let using = |why: String| TlsError::Using { folder: folder.display().to_string(), why };
    let chain = CertificateDer::pem_file_iter(folder.join("server.pem"))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| using(error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_file(folder.join("server.key")).map_err(|error| using(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| using(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn make(folder: &Path, now: OffsetDateTime) -> Result<(), TlsError> {
    let until = now + LIFETIME;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "azimage emulator authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.not_before = now - Duration::days(1);
    authority.not_after = until;
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::new(vec!["localhost".to_owned()])?;
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        server.subject_alt_names.push(SanType::IpAddress(address));
    }
    server.distinguished_name.push(DnType::CommonName, "azimage emulator");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Python's strict verification requires it.
    server.use_authority_key_identifier_extension = true;
    server.not_before = now - Duration::days(1);
    server.not_after = until;
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;

    let write = |name: &str, text: String| {
        write_private(folder, name, &text)
            .map_err(|source| TlsError::Folder { folder: folder.display().to_string(), source })
    };
    write("ca.pem", authority.pem())?;
    write("server.key", key.serialize_pem())?;
    write("server.pem", format!("{UNTIL}{}\n{}", until.unix_timestamp(), certificate.pem()))
}

fn write_private(folder: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let fresh = folder.join(format!(".{name}.new"));
    let _ = fs::remove_file(&fresh);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if name.ends_with(".key") {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file = options.open(&fresh)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    fs::rename(fresh, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_reused_until_close_to_expiry() {
        let folder = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        let read = || fs::read_to_string(folder.path().join("ca.pem")).unwrap();
        config(folder.path(), now).unwrap();
        let first = read();
        config(folder.path(), now + Duration::days(600)).unwrap();
        assert_eq!(read(), first);
        config(folder.path(), now + Duration::days(720)).unwrap();
        assert_ne!(read(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(folder.path().join("server.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
