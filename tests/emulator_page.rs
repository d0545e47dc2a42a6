//! The emulator's page in headless Chromium: loads it and checks what its script renders from the state.
//!
//! `AZIMAGE_CHROMIUM` names the browser (default: `chromium`, `chromium-browser` or `google-chrome` on `PATH`). Where there is
//! none the test is reported as ignored.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/external.rs"]
#[macro_use]
mod external;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use azimage::emulator::server::{self, ServeOptions};
use azimage::emulator::settings::Options;
use azimage::emulator::{Emulator, Request};
use time::OffsetDateTime;
use tokio::net::TcpListener;

const GROUP: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg/providers/Microsoft.Compute";

fn browser() -> PathBuf {
    external::program("chromium", "AZIMAGE_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"])
}

fn send(emulator: &Emulator, method: &str, url: &str, body: &str) -> u16 {
    let request = Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: vec![("Authorization".to_owned(), "Bearer x".to_owned())],
        body: body.as_bytes().to_vec(),
    };
    emulator.handle(&request, OffsetDateTime::now_utc()).status
}

fn put(emulator: &Emulator, rest: &str, body: &str) {
    let status = send(emulator, "PUT", &format!("{GROUP}{rest}?api-version=2026-03-03"), body);
    assert_eq!(status, 201, "{rest}");
}

fn version(emulator: &Emulator, name: &str) {
    let body = format!(
        r#"{{"location":"eastus","properties":{{"publishingProfile":{{"targetRegions":[{{"name":"eastus","regionalReplicaCount":2}},{{"name":"westeurope"}}]}},"storageProfile":{{"source":{{"virtualMachineId":"{GROUP}/virtualMachines/golden-vm"}}}}}}}}"#
    );
    put(emulator, &format!("/galleries/golden/images/web/versions/{name}"), &body);
}

/// The document after the page's script has run, and the browser's error output.
async fn document(browser: &Path, url: &str) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let work = tokio::process::Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--virtual-time-budget=2500",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("the browser exits in time")
        .unwrap();
    assert!(output.status.success());
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains("CONSOLE")).collect(),
    )
}

/// The text of an HTML fragment: tags become spaces.
fn text(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => {
                inside = true;
                text.push(' ');
            }
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text from the element with this ID up to the next element with an ID.
fn part(document: &str, id: &str) -> String {
    let start = document.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id}"));
    let rest = &document[start..];
    let rest = &rest[rest.find('>').unwrap() + 1..];
    text(&rest[..rest.find("id=\"").unwrap_or(rest.find("<noscript").unwrap())])
}

#[tokio::main(flavor = "multi_thread")]
async fn shows_galleries_operations_and_requests() {
    let browser = browser();
    let emulator = Arc::new(Emulator::in_memory().with_options(Options::served()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving =
        tokio::spawn(server::serve(listener, Arc::clone(&emulator), None, ServeOptions::default(), async {
            let _ = stopped.await;
        }));

    let (empty, complaints) = document(&browser, &url).await;
    assert_eq!(complaints, "");
    assert!(part(&empty, "versions").contains("No galleries yet."), "{empty}");
    assert!(part(&empty, "speed").starts_with("quick time"));

    send(&emulator, "PUT", "/_emulator/settings", r#"{"time_scale":0}"#);
    put(&emulator, "/galleries/golden", r#"{"location":"eastus"}"#);

    put(
        &emulator,
        "/galleries/golden/images/web",
        r#"{"location":"eastus","properties":{"osType":"Linux","osState":"Specialized","hyperVGeneration":"V2","features":[{"name":"SecurityType","value":"Standard"}],"identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
    );
    version(&emulator, "1.9.0");
    send(
        &emulator,
        "POST",
        "/_emulator/faults",
        r#"{"method":"PUT","path":"/versions/","fail_region":"westeurope"}"#,
    );
    version(&emulator, "1.10.0");
    send(&emulator, "PUT", "/_emulator/settings", r#"{"time_scale":1}"#);
    version(&emulator, "1.11.0");
    send(&emulator, "POST", "/_emulator/clock/advance", r#"{"seconds":120}"#);
    assert_eq!(send(&emulator, "GET", &format!("{GROUP}/galleries/none?api-version=2026-03-03"), ""), 404);

    let (lively, complaints) = document(&browser, &url).await;
    assert_eq!(complaints, "");
    let versions = part(&lively, "versions");
    assert!(versions.contains("golden my-rg eastus Succeeded web 3 versions"), "{versions}");
    assert!(versions.contains("version state East US West Europe published"), "{versions}");
    let lines: Vec<&str> = ["1.11.0", "1.10.0", "1.9.0"]
        .iter()
        .map(|name| {
            let rest = &versions
                [versions.find(&format!(" {name} ")).unwrap_or_else(|| panic!("{name}: {versions}"))..];
            rest.split(" 1.").nth(1).unwrap()
        })
        .collect();
    assert!(lines[0].starts_with("11.0 Creating ×2 ") && lines[0].contains(" % ×1 "), "{lines:?}");
    assert!(lines[1].starts_with("10.0 Failed ×2 completed ×1 failed"), "{versions}");
    assert!(lines[2].starts_with("9.0 Succeeded ×2 completed ×1 completed"), "{lines:?}");
    assert!(lively.contains(r#"class="cell Replicating""#) && lively.contains(r#"class="cell Failed""#));
    assert_eq!(part(&lively, "version-count"), "3");
    let operations = part(&lively, "operations");
    assert!(operations.contains("create my-rg/galleries/golden/images/web/versions/1.11.0"), "{operations}");
    assert!(operations.contains(" %"), "{operations}");
    let requests = part(&lively, "requests");
    assert!(requests.contains("GET my-rg/galleries/none 404"), "{requests}");
    assert!(requests.contains("PUT my-rg/galleries/golden 201"), "{requests}");
    assert!(part(&lively, "resources").contains("my-rg/virtualMachines/golden-vm eastus Succeeded"));
    assert!(part(&lively, "speed").starts_with("time × 1"));
    assert_eq!(part(&lively, "link"), "Running operations");

    send(&emulator, "POST", "/_emulator/clock/advance", r#"{"seconds":86400}"#);
    let (finished, _) = document(&browser, &url).await;
    assert!(part(&finished, "versions").contains("1.11.0 Succeeded ×2 completed ×1 completed"));
    assert!(part(&finished, "operations").starts_with("None."));

    stop.send(()).unwrap();
    serving.await.unwrap();
}

tests!(shows_galleries_operations_and_requests,);
