//! A run of terraform is exported as one trace to the collector in the environment.

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/cli.rs"]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use support::{EMULATOR, GALLERY, HEAD, Workspace, terraform};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Collects spans until the end of the test.
fn collect() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let spans = Arc::new(Mutex::new(Vec::new()));
    let kept = spans.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, kept) = (stream.unwrap(), kept.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let mut head = String::new();
                    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
                    let head = head.to_lowercase();
                    let Some(length) = head.split("content-length: ").nth(1) else { return };
                    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
                    reader.read_exact(&mut body).unwrap();
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
                    kept.lock().unwrap().extend(spans.iter().cloned());
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                }
            });
        }
    });
    (url, spans)
}

fn a_run_is_one_trace() {
    let terraform = terraform("");
    let (url, spans) = collect();
    let mut workspace = Workspace::new(&terraform);
    workspace.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    workspace.env("TRACEPARENT", PARENT);
    workspace.write("main.tf", &format!("{HEAD}{EMULATOR}{GALLERY}"));
    workspace.apply().ok();

    let spans = spans.lock().unwrap();
    let trace = PARENT.split('-').nth(1).unwrap();
    assert!(spans.iter().all(|span| span["traceId"] == trace), "{spans:#?}");
    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    // each process that terraform starts sends its own span when it ends
    let processes = named("terraform-provider-azimage");
    assert!(processes.len() > 1, "{spans:#?}");
    assert!(processes.iter().all(|process| process["parentSpanId"] == "00f067aa0ba902b7"));
    let applies = named("ApplyResourceChange azimage_gallery");
    assert_eq!(applies.len(), 1, "{spans:#?}");
    assert!(processes.iter().any(|process| process["spanId"] == applies[0]["parentSpanId"]));
    // the write runs in a separate task, and still belongs to its call
    let puts = named("PUT Microsoft.Compute/galleries");
    assert!(
        !puts.is_empty() && puts.iter().all(|put| put["parentSpanId"] == applies[0]["spanId"]),
        "{spans:#?}"
    );
}

tests!(a_run_is_one_trace,);
