//! The host's side of a plugin process: starts the binary like Terraform, parses its handshake, connects with mutual TLS, and
//! collects its output and exit status.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "identity.rs"]
mod identity;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use hyper_util::rt::TokioIo;
pub use identity::Identity;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::UnixStream,
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

pub const COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";
/// A timeout far above the duration of any step, even on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A plugin to start.
pub struct Launch {
    command: Command,
    identity: Option<Identity>,
    temporary: TempDir,
}

impl Launch {
    /// Terraform's environment: cookie, versions, ports and a P-521 certificate, without the test environment's variables for
    /// logging and plugins.
    pub fn new(binary: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(binary);
        let temporary = tempfile::tempdir().unwrap();
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["PLUGIN_", "TF_", "ARM_", "AZURE_"].iter().any(|prefix| text.starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command
            .env("TF_PLUGIN_MAGIC_COOKIE", COOKIE)
            .env("PLUGIN_PROTOCOL_VERSIONS", "6,5")
            // a plugin that is killed leaves its socket behind
            .env("TMPDIR", temporary.path())
            .env("PLUGIN_MIN_PORT", "10000")
            .env("PLUGIN_MAX_PORT", "25000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { command, identity: None, temporary }.identity(Some(Identity::p521()))
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(args);
        self
    }

    /// The certificate to announce; without one the transport is plaintext.
    pub fn identity(mut self, identity: Option<Identity>) -> Self {
        match &identity {
            Some(identity) => self.command.env("PLUGIN_CLIENT_CERT", identity.pem()),
            None => self.command.env_remove("PLUGIN_CLIENT_CERT"),
        };
        self.identity = identity;
        self
    }

    /// Starts it and waits for its handshake.
    pub async fn start(self) -> Plugin {
        let (running, identity) = self.spawn();
        let handshake = running.first_line_with("1|").await;
        Plugin { handshake: Handshake::parse(&handshake), identity, running }
    }

    /// Starts it without expecting a handshake.
    pub fn run(self) -> Running {
        self.spawn().0
    }

    fn spawn(mut self) -> (Running, Option<Identity>) {
        let mut child = self.command.spawn().expect("the plugin's binary starts");
        let stdout = Output::gather(child.stdout.take().unwrap());
        let stderr = Output::gather(child.stderr.take().unwrap());
        (Running { child, stdout, stderr, _temporary: self.temporary }, self.identity)
    }
}

/// The fields of the handshake line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    pub line: String,
    pub core: String,
    pub protocol: String,
    pub network: String,
    pub address: String,
    pub transport: String,
    /// The server's certificate in DER; empty for plaintext.
    pub certificate: Vec<u8>,
    pub multiplexing: Option<String>,
}

impl Handshake {
    /// Parses a line like the host: six or seven fields, base64 without padding.
    pub fn parse(line: &str) -> Self {
        let fields: Vec<_> = line.split('|').map(str::to_owned).collect();
        let [core, protocol, network, address, transport, certificate, rest @ ..] = &fields[..] else {
            panic!("too few fields: {line:?}")
        };
        assert!(rest.len() <= 1, "too many fields: {line:?}");
        Self {
            line: line.to_owned(),
            core: core.clone(),
            protocol: protocol.clone(),
            network: network.clone(),
            address: address.clone(),
            transport: transport.clone(),
            certificate: STANDARD_NO_PAD.decode(certificate).expect("unpadded base64"),
            multiplexing: rest.first().cloned(),
        }
    }

    pub fn socket(&self) -> PathBuf {
        assert_eq!(self.network, "unix");
        PathBuf::from(&self.address)
    }
}

/// A started process.
pub struct Running {
    child: Child,
    pub stdout: Output,
    pub stderr: Output,
    _temporary: TempDir,
}

/// The exit status and output of a process.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// The time between the request to end and the exit.
    pub took: Duration,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the plugin runs")
    }

    /// Sends a signal by name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.unwrap().success(), "sending SIG{name}");
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the process to exit and for the rest of its output.
    pub async fn ended(mut self) -> Ended {
        let began = Instant::now();
        let status = timeout(TIMEOUT, self.child.wait()).await.expect("the plugin ends").unwrap();
        let took = began.elapsed();
        Ended { status, stdout: self.stdout.all().await, stderr: self.stderr.all().await, took }
    }

    /// The first line of standard output that starts with `beginning`, without its line ending.
    pub async fn first_line_with(&self, beginning: &str) -> String {
        self.stdout
            .until(|text| {
                let complete = text.rfind('\n').map_or("", |end| &text[..end]);
                complete.lines().find(|line| line.starts_with(beginning)).map(str::to_owned)
            })
            .await
            .unwrap_or_else(|text| {
                panic!("no line with {beginning:?} in {text:?}; stderr: {}", self.stderr.so_far())
            })
    }
}

/// The data read from a pipe so far.
pub struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    changed: Arc<tokio::sync::Notify>,
    reader: JoinHandle<()>,
}

impl Output {
    fn gather(mut pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let changed = Arc::new(tokio::sync::Notify::new());
        let (kept, notify) = (text.clone(), changed.clone());
        let reader = tokio::spawn(async move {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut part).await {
                kept.lock().unwrap().extend(&part[..count]);
                notify.notify_one();
            }
            notify.notify_one();
        });
        Self { text, changed, reader }
    }

    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    /// Waits until `found` returns a value for the text; returns the text if it never does.
    pub async fn until<T>(&self, found: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let wait = async {
            loop {
                let finished = self.reader.is_finished();
                let text = self.so_far();
                if let Some(found) = found(&text) {
                    return Ok(found);
                }
                if finished {
                    return Err(text);
                }
                self.changed.notified().await;
            }
        };
        timeout(TIMEOUT, wait).await.unwrap_or_else(|_| Err(self.so_far()))
    }

    async fn all(&mut self) -> String {
        let _ = timeout(TIMEOUT, &mut self.reader).await;
        self.so_far()
    }
}

/// A started process whose handshake is known.
pub struct Plugin {
    pub handshake: Handshake,
    pub identity: Option<Identity>,
    pub running: Running,
}

impl Plugin {
    /// Starts the binary like Terraform.
    pub async fn start(binary: impl AsRef<OsStr>) -> Self {
        Launch::new(binary).start().await
    }

    /// A channel to it, like Terraform's.
    pub async fn channel(&self) -> Channel {
        let tls = self.identity.clone().map(|identity| self.tls(Some(identity)));
        connect(&self.handshake.socket(), tls).await.expect("the plugin accepts connections")
    }

    /// The client's TLS configuration: trusts only the handshake's certificate, and presents `identity`.
    pub fn tls(&self, identity: Option<Identity>) -> ClientTls {
        ClientTls { server: self.handshake.certificate.clone(), identity, versions: rustls::ALL_VERSIONS }
    }

    /// Requests a shutdown over a separate connection, and waits for the exit.
    pub async fn shut_down(self) -> Ended {
        use azimage::plugin::proto::plugin::{Empty, grpc_controller_client::GrpcControllerClient};
        let mut controller = GrpcControllerClient::new(self.channel().await);
        let began = Instant::now();
        controller.shutdown(Empty {}).await.expect("Shutdown is answered");
        let ended = self.running.ended().await;
        Ended { took: began.elapsed(), ..ended }
    }
}

/// The TLS configuration of a client.
#[derive(Clone)]
pub struct ClientTls {
    pub server: Vec<u8>,
    pub identity: Option<Identity>,
    pub versions: &'static [&'static SupportedProtocolVersion],
}

impl ClientTls {
    /// Performs the handshake and requires HTTP/2, as hosts since Terraform 1.12 do.
    pub async fn handshake(
        self,
        stream: UnixStream,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<UnixStream>> {
        let crypto = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(crypto.clone())
            .with_protocol_versions(self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PinnedCertificate {
                server: self.server.into(),
                crypto,
            }));
        let mut config = match self.identity {
            Some(identity) => config.with_client_cert_resolver(Arc::new(identity)),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(stream),
            other => Err(std::io::Error::other(format!("the server chose the protocol {other:?}"))),
        }
    }
}

/// A channel over the socket, encrypted or not.
pub async fn connect(socket: &Path, tls: Option<ClientTls>) -> Result<Channel, tonic::transport::Error> {
    let socket = socket.to_owned();
    Endpoint::from_static("http://localhost")
        .connect_with_connector(tower::service_fn(move |_| {
            let (socket, tls) = (socket.clone(), tls.clone());
            async move {
                let stream = UnixStream::connect(socket).await?;
                let stream: Box<dyn Duplex> = match tls {
                    Some(tls) => Box::new(tls.handshake(stream).await?),
                    None => Box::new(stream),
                };
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        }))
        .await
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Trusts one certificate, if it is valid for `localhost`.
#[derive(Debug)]
struct PinnedCertificate {
    server: CertificateDer<'static>,
    crypto: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity != self.server {
            return Err(rustls::Error::General(
                "the server's certificate differs from the one in its handshake line".into(),
            ));
        }
        rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.crypto.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.crypto.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto.signature_verification_algorithms.supported_schemes()
    }
}
