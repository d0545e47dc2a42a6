//! Starts the built binary as a process: handshake, certificates, socket, logs, shutdown and debug mode. Other files
//! test the responses of its calls.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/plugin_client.rs"]
mod plugin_client;

use azimage::{
    plugin::{
        self,
        proto::{
            health::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient},
            plugin::{ConnInfo, grpc_broker_client::GrpcBrokerClient, grpc_stdio_client::GrpcStdioClient},
        },
    },
    rpc::proto::tfplugin5::{
        DynamicValue, call_function, configure, get_provider_schema,
        provider_client::ProviderClient,
        provider_server::{Provider, ProviderServer},
    },
};
use futures_util::{StreamExt, future::join_all, stream};
use plugin_client::{ClientTls, Ended, Identity, Launch, Plugin, connect};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    sync::{Barrier, Notify},
    time::timeout,
};
use tonic::{Code, Request, Response, Status, async_trait, service::Routes, transport::Channel};

const BINARY: &str = env!("CARGO_BIN_EXE_terraform-provider-azimage");
/// The maximum time for which a host may wait for a stopped plugin.
const SOON: Duration = Duration::from_secs(1);

/// Makes a call that every plugin answers.
async fn is_serving(channel: Channel) -> bool {
    let request = HealthCheckRequest { service: "plugin".into() };
    HealthClient::new(channel)
        .check(request)
        .await
        .is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}

// ---- Start ----

#[tokio::test]
async fn explains_its_purpose_when_started_by_hand() {
    for cookie in [None, Some("d602bf8f")] {
        let launch = Launch::new(BINARY);
        let launch = match cookie {
            None => launch.env_remove("TF_PLUGIN_MAGIC_COOKIE"),
            Some(cookie) => launch.env("TF_PLUGIN_MAGIC_COOKIE", cookie),
        };
        let ended = launch.run().ended().await;
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""), "{cookie:?}");
        assert_eq!(ended.stderr.lines().count(), 3, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn always_announces_protocol_5() {
    for versions in [Some("5,6"), Some("6,5"), Some("6"), None] {
        let launch = Launch::new(BINARY);
        let launch = match versions {
            None => launch.env_remove("PLUGIN_PROTOCOL_VERSIONS"),
            Some(versions) => launch.env("PLUGIN_PROTOCOL_VERSIONS", versions),
        };
        let handshake = launch.start().await.handshake;
        assert_eq!((handshake.core.as_str(), handshake.protocol.as_str()), ("1", "5"), "{versions:?}");
        assert_eq!((handshake.network.as_str(), handshake.transport.as_str()), ("unix", "grpc"));
        assert!(!handshake.certificate.is_empty());
        assert_eq!(handshake.multiplexing, None);
    }
}

#[tokio::test]
async fn reports_multiplexing_only_when_requested() {
    let plugin = Launch::new(BINARY).env("PLUGIN_MULTIPLEX_GRPC", "true").start().await;
    assert_eq!(plugin.handshake.multiplexing.as_deref(), Some("false"));
    assert!(is_serving(plugin.channel().await).await);
}

#[tokio::test]
async fn reports_an_unreadable_host_certificate() {
    for pem in ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let ended = Launch::new(BINARY).env("PLUGIN_CLIENT_CERT", pem).run().ended().await;
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""));
        assert!(ended.stderr.contains("PLUGIN_CLIENT_CERT"), "{}", ended.stderr);
    }
}

// ---- Trust ----

/// Verifies like Go: whether the certificate is valid for `name` at `when`, with itself as the root.
fn is_good_for(certificate: &[u8], name: &str, when: Duration) -> bool {
    let certificate = CertificateDer::from(certificate);
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto).build().unwrap();
    let name = ServerName::try_from(name).unwrap();
    verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::since_unix_epoch(when)).is_ok()
}

#[tokio::test]
async fn presents_a_valid_certificate_for_localhost() {
    // every client in these tests checks that it is also the certificate that the server presents
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let certificate = Plugin::start(BINARY).await.handshake.certificate;
    let year = Duration::from_secs(365 * 24 * 3600);
    for (name, when, good) in [
        ("localhost", now, true),
        ("localhost", now - Duration::from_secs(20), true),
        ("localhost", now + 20 * year, true),
        ("localhost", now - Duration::from_secs(3600), false),
        ("example.com", now, false),
    ] {
        assert_eq!(is_good_for(&certificate, name, when), good, "{name} {when:?}");
    }
}

#[tokio::test]
async fn the_host_can_connect_with_every_key_type_and_tls_version() {
    for identity in [Identity::p521(), Identity::p256()] {
        let plugin = Launch::new(BINARY).identity(Some(identity.clone())).start().await;
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let versions: &'static [_] = vec![version].leak();
            let tls = ClientTls { versions, ..plugin.tls(Some(identity.clone())) };
            let channel = connect(&plugin.handshake.socket(), Some(tls)).await.unwrap();
            assert!(is_serving(channel).await, "{version:?}");
        }
    }
}

#[tokio::test]
async fn refuses_other_clients() {
    let plugin = Plugin::start(BINARY).await;
    let host = plugin.identity.clone().unwrap();
    let stolen = Identity { certificate: host.certificate.clone(), key: Identity::p521().key };
    let stolen_p256 = Identity { certificate: host.certificate.clone(), key: Identity::p256().key };
    for (who, tls) in [
        ("no certificate", Some(plugin.tls(None))),
        ("another certificate", Some(plugin.tls(Some(Identity::p521())))),
        ("another kind of certificate", Some(plugin.tls(Some(Identity::p256())))),
        ("the certificate without its key", Some(plugin.tls(Some(stolen)))),
        ("the certificate and another kind of key", Some(plugin.tls(Some(stolen_p256)))),
        ("plain text", None),
    ] {
        // with TLS 1.3, the client completes the handshake before the server checks its certificate
        let got_in = match connect(&plugin.handshake.socket(), tls).await {
            Ok(channel) => is_serving(channel).await,
            Err(_) => false,
        };
        assert!(!got_in, "{who}");
        assert!(is_serving(plugin.channel().await).await, "after {who}");
    }
}

#[tokio::test]
async fn a_stalled_client_does_not_delay_others() {
    let plugin = Plugin::start(BINARY).await;
    let mut stalled = Vec::new();
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = UnixStream::connect(&plugin.handshake.address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        stalled.push(stream);
    }
    // long before the server closes the stalled connections
    assert!(
        timeout(Duration::from_secs(8), async { is_serving(plugin.channel().await).await }).await.unwrap()
    );
}

#[tokio::test]
async fn without_a_certificate_the_transport_is_plain() {
    let plugin = Launch::new(BINARY).identity(None).start().await;
    assert!(plugin.handshake.line.ends_with("|grpc|"), "{}", plugin.handshake.line);
    assert!(is_serving(plugin.channel().await).await);
}

// ---- Socket ----

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[tokio::test]
async fn the_socket_is_private_and_removed_at_exit() {
    let dir = tempfile::tempdir().unwrap();
    for variable in ["TMPDIR", "PLUGIN_UNIX_SOCKET_DIR"] {
        for (end, code) in [("Shutdown", 0), ("TERM", 128 + 15), ("HUP", 128 + 1)] {
            let plugin = Launch::new(BINARY).env(variable, dir.path()).start().await;
            let socket = plugin.handshake.socket();
            let private = socket.parent().unwrap();
            assert!(socket.starts_with(dir.path()), "{socket:?}");
            assert_eq!(private.metadata().unwrap().permissions().mode() & 0o777, 0o700);
            let ended = match end {
                "Shutdown" => plugin.shut_down().await,
                signal => {
                    plugin.running.signal(signal);
                    plugin.running.ended().await
                }
            };
            assert_eq!(ended.status.code(), Some(code), "{end}: {}", ended.stderr);
            assert!(is_empty(dir.path()), "{end}");
        }
    }
}

#[tokio::test]
async fn a_directory_too_deep_for_a_socket_is_avoided_or_reported() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("x".repeat(100));
    std::fs::create_dir(&deep).unwrap();

    let plugin = Launch::new(BINARY).env("TMPDIR", &deep).start().await;
    assert!(plugin.handshake.address.starts_with("/tmp/"), "{}", plugin.handshake.address);
    assert!(is_serving(plugin.channel().await).await);
    plugin.shut_down().await;

    let ended = Launch::new(BINARY).env("PLUGIN_UNIX_SOCKET_DIR", &deep).run().ended().await;
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains(deep.to_str().unwrap()), "{}", ended.stderr);
}

// ---- Small services ----

#[tokio::test]
async fn health_reports_only_the_plugin() {
    let plugin = Plugin::start(BINARY).await;
    let channel = plugin.channel().await;
    assert!(is_serving(channel.clone()).await);
    let unknown = HealthClient::new(channel).check(HealthCheckRequest { service: "unknown".into() }).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
}

/// Opens both streams that a host keeps open, and sends on one of them.
async fn open_streams(
    channel: &Channel,
) -> (tonic::Streaming<ConnInfo>, tonic::Streaming<plugin::proto::plugin::StdioData>) {
    let offers = stream::iter([ConnInfo { service_id: 1, ..ConnInfo::default() }]).chain(stream::pending());
    let broker = GrpcBrokerClient::new(channel.clone()).start_stream(offers).await.unwrap().into_inner();
    let stdio = GrpcStdioClient::new(channel.clone()).stream_stdio(()).await.unwrap().into_inner();
    (broker, stdio)
}

#[tokio::test]
async fn writes_only_to_its_log() {
    let plugin = Plugin::start(BINARY).await;
    let channel = plugin.channel().await;
    let (mut broker, mut stdio) = open_streams(&channel).await;
    ProviderClient::new(channel).get_schema(get_provider_schema::Request {}).await.unwrap();

    let line = format!("{}\n", plugin.handshake.line);
    let ended = plugin.shut_down().await;
    assert!(broker.message().await.is_ok_and(|item| item.is_none()));
    assert!(stdio.message().await.is_ok_and(|item| item.is_none()));
    assert_eq!((ended.stdout, ended.stderr.as_str()), (line, ""));
}

#[tokio::test]
async fn broker_stream_ends_with_the_hosts() {
    let plugin = Plugin::start(BINARY).await;
    let offers = stream::iter([ConnInfo::default()]);
    let mut broker =
        GrpcBrokerClient::new(plugin.channel().await).start_stream(offers).await.unwrap().into_inner();
    let ended = timeout(Duration::from_secs(10), broker.message()).await.expect("the stream ends");
    assert!(ended.unwrap().is_none());
}

// ---- Size and number of messages ----

#[tokio::test]
async fn accepts_large_requests_and_has_a_small_schema() {
    let plugin = Plugin::start(BINARY).await;
    let mut provider = ProviderClient::new(plugin.channel().await).max_decoding_message_size(64 << 20);
    let large = DynamicValue { msgpack: vec![0; 60 << 20], json: vec![] };
    let request = call_function::Request { name: "no_such_function".into(), arguments: vec![large] };
    if let Err(status) = provider.call_function(request).await {
        assert!(!matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status}");
    }
    // larger messages would fail to decode
    provider.get_schema(get_provider_schema::Request {}).await.unwrap();
}

#[tokio::test]
async fn fifty_calls_are_answered_at_the_same_time() {
    let plugin = misbehaving().start().await;
    let provider = ProviderClient::new(plugin.channel().await);
    let calls = join_all((0..CONCURRENT_CALLS).map(|_| call(provider.clone(), "meet")));
    let answers = timeout(Duration::from_secs(20), calls).await.expect("all calls are answered");
    assert!(answers.iter().all(Result::is_ok));
}

// ---- Log ----

#[tokio::test]
async fn log_lines_have_the_hosts_format() {
    let plugin = Launch::new(BINARY).env("TF_LOG", "trace").start().await;
    let mut provider = ProviderClient::new(plugin.channel().await);
    provider.get_schema(get_provider_schema::Request {}).await.unwrap();
    let ended = plugin.shut_down().await;
    assert!(ended.stderr.lines().count() > 0);
    for line in ended.stderr.lines() {
        assert!(line.len() < 64 << 10);
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
        let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("{key} of {line}"));
        assert!(["trace", "debug", "info", "warn", "error"].contains(&text("@level")), "{line}");
        text("@message");
        assert!(text("@module").contains("azimage"), "{line}");
        let shape: String =
            text("@timestamp").chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000000Z");
    }
}

#[tokio::test]
async fn the_first_variable_that_is_set_determines_the_log_level() {
    for (variables, logs) in [
        (&[("TF_LOG", "error")][..], false),
        (&[("TF_LOG", "trace"), ("TF_LOG_PROVIDER", "error")], false),
        (&[("TF_LOG", "error"), ("TF_LOG_PROVIDER", "trace")], true),
        (&[("TF_LOG_PROVIDER", "trace"), ("TF_LOG_PROVIDER_AZIMAGE", "off")], false),
    ] {
        let launch =
            variables.iter().fold(Launch::new(BINARY), |launch, (name, value)| launch.env(name, value));
        let ended = launch.start().await.shut_down().await;
        assert_eq!(!ended.stderr.is_empty(), logs, "{variables:?}: {}", ended.stderr);
    }
}

// ---- End ----

#[track_caller]
fn assert_ended_well(ended: &Ended) {
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.took < SOON, "{:?}", ended.took);
}

#[tokio::test]
async fn shutdown_ends_the_process_with_open_streams() {
    let plugin = Plugin::start(BINARY).await;
    let channel = plugin.channel().await;
    let streams = open_streams(&channel).await;
    assert_ended_well(&plugin.shut_down().await);
    drop(streams);
}

#[tokio::test]
async fn shutdown_ends_the_process_with_running_calls() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["wait", "never return", "block a thread"] {
        let plugin = misbehaving().env("TMPDIR", dir.path()).start().await;
        let running = tokio::spawn(call(ProviderClient::new(plugin.channel().await), name));
        began(&plugin, name).await;
        assert_ended_well(&plugin.shut_down().await);
        assert!(is_empty(dir.path()));
        // the running call still returned its response
        assert_eq!(running.await.unwrap().is_ok(), name == "wait", "{name}");
    }
}

// A signal that ends a job goes to the whole process group. The host receives it too, collects the responses, and
// then ends the provider.
#[tokio::test]
async fn a_termination_stops_running_operations_and_waits_for_the_host() {
    for signal in ["TERM", "HUP"] {
        let mut plugin = misbehaving().start().await;
        let provider = ProviderClient::new(plugin.channel().await);
        let running = tokio::spawn(call(provider.clone(), "wait"));
        began(&plugin, "wait").await;
        plugin.running.signal(signal);
        assert!(
            timeout(SOON, running).await.unwrap().unwrap().is_ok(),
            "a running call returns its response"
        );
        assert!(call(provider.clone(), "return").await.is_ok() && plugin.running.is_alive());
        if signal == "TERM" {
            plugin.running.signal(signal);
        } else {
            drop(provider);
        }
        // a second signal ends the process, or the absence of connections
        assert!(!plugin.running.ended().await.status.success());
    }
    let plugin = misbehaving().start().await;
    let provider = ProviderClient::new(plugin.channel().await);
    assert!(call(provider, "return").await.is_ok());
    plugin.running.signal("TERM");
    assert_ended_well(&plugin.shut_down().await);
}

#[tokio::test]
async fn ignores_interrupts_because_the_host_handles_them() {
    let mut plugin = misbehaving().start().await;
    let provider = ProviderClient::new(plugin.channel().await);
    let running = tokio::spawn(call(provider.clone(), "wait"));
    began(&plugin, "wait").await;
    for _ in 0..10 {
        plugin.running.signal("INT");
        assert!(call(provider.clone(), "return").await.is_ok());
    }
    assert!(plugin.running.is_alive() && !running.is_finished());
    #[cfg(target_os = "linux")]
    {
        // child processes inherit ignored signals, but not caught ones
        let status = std::fs::read_to_string(format!("/proc/{}/status", plugin.running.pid())).unwrap();
        let mask = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap() >> 1 & 1
        };
        assert_eq!((mask("SigIgn:"), mask("SigCgt:")), (0, 1));
    }
    assert_ended_well(&plugin.shut_down().await);
}

// ---- Panics ----

#[tokio::test]
async fn a_panic_in_a_call_becomes_an_error_and_a_log_line() {
    let plugin = misbehaving().env("TF_LOG", "error").start().await;
    let provider = ProviderClient::new(plugin.channel().await);
    let status = call(provider.clone(), "panic").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("as requested"), "{status}");
    assert!(call(provider, "return").await.is_ok());

    let stderr = plugin.shut_down().await.stderr;
    let line = stderr.lines().find(|line| line.contains("as requested")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["@level"], "error");
    assert!(line["location"].as_str().unwrap().contains(".rs:"), "{line}");
    assert!(!stderr.lines().any(|line| line.starts_with("panic: ")), "{stderr}");
}

// A core file would contain the memory of the process.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crash_leaves_no_core_file() {
    // with a host whose limit allows core files
    let script = "ulimit -S -c unlimited; exec \"$0\"";
    let plugin = Launch::new("sh").args(["-c", script, BINARY]).start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", plugin.running.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().nth(4), Some("0"), "{line}");
}

#[tokio::test]
async fn other_panics_are_reported_in_the_hosts_format() {
    let plugin = misbehaving().start().await;
    call(ProviderClient::new(plugin.channel().await), "panic on a thread").await.unwrap();
    let stderr = plugin.shut_down().await.stderr;
    let report: Vec<_> = stderr.lines().skip_while(|line| !line.starts_with("panic: ")).collect();
    assert_eq!(report[0], "panic: on a separate thread");
    assert!(report.iter().any(|line| line.contains("protocol_process.rs:")), "{stderr}");
}

// ---- Reattach ----

#[tokio::test]
async fn debug_mode_serves_many_hosts_until_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    for flag in ["-debug", "--debug"] {
        let launch = Launch::new(BINARY).env_remove("TF_PLUGIN_MAGIC_COOKIE").env("TMPDIR", dir.path());
        let running = launch.args([flag]).run();
        let variable = running.first_line_with("\tTF_REATTACH_PROVIDERS='").await;
        let value = variable.trim().trim_start_matches("TF_REATTACH_PROVIDERS='").trim_end_matches('\'');
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        for host in ["registry.terraform.io", "registry.opentofu.org"] {
            let provider = &value[format!("{host}/azimage/azimage")];
            assert_eq!(provider["Protocol"], "grpc");
            assert_eq!(provider["ProtocolVersion"], 5);
            assert_eq!(provider["Pid"], running.pid());
            assert_eq!(provider["Test"], true);
            assert_eq!(provider["Addr"]["Network"], "unix");
        }
        let socket =
            value["registry.terraform.io/azimage/azimage"]["Addr"]["String"].as_str().unwrap().to_owned();

        // Each run first checks whether the provider is reachable, then connects again and configures it.
        for _ in 0..2 {
            drop(UnixStream::connect(&socket).await.unwrap());
            let channel = connect(Path::new(&socket), None).await.unwrap();
            let mut provider = ProviderClient::new(channel.clone());
            provider.get_schema(get_provider_schema::Request {}).await.unwrap();
            // the response to an empty configuration is irrelevant
            let answer = provider.configure(configure::Request::default()).await;
            assert!(!answer.is_err_and(|status| status.code() == Code::Unavailable));
        }

        let kept = connect(Path::new(&socket), None).await.unwrap();
        let streams = open_streams(&kept).await;
        running.signal("INT");
        let ended = running.ended().await;
        assert_ended_well(&ended);
        assert_eq!(ended.stderr, "");
        assert!(is_empty(dir.path()));
        drop(streams);
    }
}

// ---- A provider that misbehaves on request ----

/// Starts this test program as a plugin.
fn misbehaving() -> Launch {
    let launch = Launch::new(std::env::current_exe().unwrap());
    launch.args(["--exact", "misbehaving_provider", "--ignored", "--nocapture"])
}

#[test]
#[ignore = "started by other tests as a process of its own"]
fn misbehaving_provider() {
    let code = plugin::serve(|calls_off| {
        Routes::new(ProviderServer::new(Misbehaving { calls_off, meeting: Barrier::new(CONCURRENT_CALLS) }))
    });
    assert_eq!(code, ExitCode::SUCCESS);
}

/// How many concurrent calls it waits for.
const CONCURRENT_CALLS: usize = 50;

struct Misbehaving {
    calls_off: Arc<Notify>,
    meeting: Barrier,
}

#[async_trait]
impl Provider for Misbehaving {
    async fn call_function(
        &self,
        request: Request<call_function::Request>,
    ) -> Result<Response<call_function::Response>, Status> {
        let name = request.into_inner().name;
        eprintln!("began {name}");
        match name.as_str() {
            "return" => {}
            "wait" => self.calls_off.notified().await,
            "never return" => std::future::pending().await,
            "block a thread" => std::thread::sleep(Duration::from_secs(60)),
            "meet" => _ = self.meeting.wait().await,
            "panic" => panic!("as requested"),
            "panic on a thread" => drop(std::thread::spawn(|| panic!("on a separate thread")).join()),
            other => return Err(Status::invalid_argument(other)),
        }
        Ok(Response::new(call_function::Response::default()))
    }
}

async fn call(mut provider: ProviderClient<Channel>, name: &str) -> Result<(), Status> {
    let request = call_function::Request { name: name.to_owned(), arguments: vec![] };
    provider.call_function(request).await.map(drop)
}

/// Waits until the provider has started the call `name`.
async fn began(plugin: &Plugin, name: &str) {
    let line = format!("began {name}");
    plugin.running.stderr.until(|text| text.contains(&line).then_some(())).await.unwrap();
}
