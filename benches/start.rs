//! Measures the start of the provider: until its handshake line, and until the response with its schema, over mutual
//! TLS as in Terraform. Terraform starts a provider about four times in an apply.
//!
//! ```text
//! cargo bench --bench start
//! AZIMAGE_BENCH_RUNS=400 AZIMAGE_BENCH_PROVIDER=/path/to/another/build cargo bench --bench start
//! ```
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the output is for people, and a panic ends the benchmark"
)]

#[path = "../tests/support/plugin_client.rs"]
mod plugin_client;

use std::time::{Duration, Instant};

use azimage::rpc::proto::tfplugin5::get_provider_schema::Request;
use azimage::rpc::proto::tfplugin5::provider_client::ProviderClient;
use plugin_client::Plugin;

/// The measured moments, in chronological order.
const MOMENTS: [&str; 4] =
    ["handshake line", "connected", "schema answered", "ended after the shutdown request"];

#[tokio::main]
async fn main() {
    let provider = std::env::var("AZIMAGE_BENCH_PROVIDER")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_terraform-provider-azimage").to_owned());
    let runs: usize =
        std::env::var("AZIMAGE_BENCH_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let mut took: [Vec<Duration>; MOMENTS.len()] = Default::default();
    for _ in 0..runs {
        for (all, one) in took.iter_mut().zip(once(&provider).await) {
            all.push(one);
        }
    }
    println!("{runs} starts, milliseconds since the start of the process");
    println!();
    println!("| | minimum | median | 95th percentile |");
    println!("|---|---:|---:|---:|");
    for (moment, mut all) in MOMENTS.iter().zip(took) {
        all.sort();
        let at = |share: usize| all[(all.len() * share / 100).min(all.len() - 1)].as_secs_f64() * 1e3;
        println!("| {moment} | {:.2} | {:.2} | {:.2} |", at(0), at(50), at(95));
    }
}

async fn once(provider: &str) -> [Duration; MOMENTS.len()] {
    // creating the host's own key must not count as the provider's time
    let launch = plugin_client::Launch::new(provider);
    let began = Instant::now();
    let plugin: Plugin = launch.start().await;
    let announced = began.elapsed();
    let channel = plugin.channel().await;
    let connected = began.elapsed();
    let mut client = ProviderClient::new(channel).max_decoding_message_size(256 << 20);
    let schema = client.get_schema(Request {}).await.unwrap().into_inner();
    let answered = began.elapsed();
    assert!(!schema.resource_schemas.is_empty() && schema.diagnostics.is_empty());
    let ended = plugin.shut_down().await;
    assert!(ended.status.success(), "{ended:?}");
    [announced, connected, answered, ended.took]
}
