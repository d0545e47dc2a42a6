//! The binary: a plugin when Terraform starts it, and commands for people.

#![warn(clippy::print_stdout, clippy::unwrap_used)]

use std::process::ExitCode;
use std::sync::Arc;

use azimage::framework::Server;
use azimage::plugin;
use azimage::provider::Provider;
use azimage::rpc::Service;
use azimage::rpc::proto::tfplugin5::provider_server::ProviderServer;
use tokio::sync::Notify;
use tonic::service::Routes;

/// The largest gRPC message, as in Go's provider servers: a state can be large.
const MAXIMUM_MESSAGE: usize = 256 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("-debug" | "--debug") => plugin::debug(services),
        Some("-version" | "--version" | "version") => print(&version()),
        Some("-help" | "--help" | "help") => print(HELP),
        Some("report") => azimage::report::cli::main(std::env::args_os().skip(2).collect()),
        #[cfg(feature = "emulator")]
        Some("emulator") => {
            ExitCode::from(azimage::emulator::cli::main(arguments[1..].to_vec()).clamp(0, 255) as u8)
        }
        _ => plugin::serve(services),
    }
}

fn services(interrupted: Arc<Notify>) -> Routes {
    let service = Arc::new(Service::new(Arc::new(
        Server::new(Provider).detecting_destroy(plugin::host::is_destroying),
    )));
    let stopped = service.clone();
    // stop running operations as after an interrupt
    tokio::spawn(async move {
        loop {
            interrupted.notified().await;
            stopped.stop_all();
        }
    });
    // every host requests the schema first: build it during the handshake
    let prepared = service.clone();
    tokio::task::spawn_blocking(move || prepared.prepare());
    Routes::new(ProviderServer::from_arc(service).max_decoding_message_size(MAXIMUM_MESSAGE))
}

fn version() -> String {
    format!(
        "terraform-provider-azimage {} ({}), plugin protocol 5",
        env!("CARGO_PKG_VERSION"),
        env!("AZIMAGE_COMMIT")
    )
}

const HELP: &str = "\
terraform-provider-azimage: a Terraform and OpenTofu provider for Azure VM images

  (no arguments)        serve as a plugin; started by Terraform and OpenTofu
  -debug                serve any number of runs, and print the variable that they need
  emulator …            an emulated Azure Resource Manager: see emulator --help
  report …              where image versions are, who uses them and what they cost: see report --help
  -version              version, commit and protocol";

#[allow(clippy::print_stdout)] // a person reads this, not Terraform
fn print(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}
