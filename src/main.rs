//! The binary: a plugin when Terraform starts it, an emulator or a little help when people do.

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

/// What Go's provider servers take too: a state can be large.
const MAXIMUM_MESSAGE: usize = 256 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("-debug" | "--debug") => plugin::debug(services),
        Some("-version" | "--version" | "version") => print(&version()),
        Some("-help" | "--help" | "help") => print(HELP),
        #[cfg(feature = "emulator")]
        Some("emulator") => {
            ExitCode::from(azimage::emulator::cli::main(arguments[1..].to_vec()).clamp(0, 255) as u8)
        }
        _ => plugin::serve(services),
    }
}

fn services(calls_off: Arc<Notify>) -> Routes {
    let server = Arc::new(Server::new(Provider));
    let stopped = server.clone();
    // what runs then ends truthfully, as after an interrupt
    tokio::spawn(async move {
        loop {
            calls_off.notified().await;
            stopped.stop();
        }
    });
    let service = Arc::new(Service::new(server));
    // the first that every host asks for: made while it is still shaking hands
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

  (no arguments)        serve as a plugin; Terraform and OpenTofu start it so
  -debug                serve any number of runs, and print how they find it
  emulator …            a pretend Azure Resource Manager: emulator --help
  -version              version, commit and protocol";

#[allow(clippy::print_stdout)] // not a plugin here: people read it
fn print(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}
