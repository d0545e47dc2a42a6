//! The `report` command on the emulator's state: its three formats, and its page in a browser at two widths.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/external.rs"]
#[macro_use]
mod external;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_terraform-provider-azimage");
const GROUP: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg/providers/Microsoft.Compute";

/// A state with a gallery of two versions; one is in use.
struct State(TempDir);

impl State {
    fn new() -> State {
        let state = State(TempDir::new().unwrap());
        let image = r#"{"location":"eastus","properties":{"osType":"Linux","osState":"Specialized","hyperVGeneration":"V2","features":[{"name":"SecurityType","value":"Standard"}],"identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#;
        std::fs::File::create(state.path()).unwrap();
        state.put("galleries/golden", r#"{"location":"eastus"}"#);
        state.put("galleries/golden/images/web", image);
        for number in ["1.9.0", "1.10.0"] {
            let body = format!(
                r#"{{"location":"eastus","tags":{{"base":"Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.202401010"}},"properties":{{"publishingProfile":{{"targetRegions":[{{"name":"eastus","regionalReplicaCount":2}}]}},"storageProfile":{{"source":{{"virtualMachineId":"{GROUP}/virtualMachines/golden-vm"}}}}}}}}"#
            );
            state.put(&format!("galleries/golden/images/web/versions/{number}"), &body);
        }
        state.emulator(&["advance", "86400"]);
        let machine = format!(
            r#"{{"location":"eastus","properties":{{"hardwareProfile":{{"vmSize":"Standard_D2s_v5"}},"storageProfile":{{"imageReference":{{"id":"{GROUP}/galleries/golden/images/web/versions/1.10.0"}},"osDisk":{{"createOption":"FromImage"}}}},"networkProfile":{{"networkInterfaces":[]}}}}}}"#
        );
        state.put("virtualMachines/web-1", &machine);
        state.emulator(&["advance", "86400"]);
        state
    }

    fn path(&self) -> String {
        self.0.path().join("state.json").display().to_string()
    }

    fn emulator(&self, arguments: &[&str]) {
        let output = Command::new(BINARY)
            .args(["emulator", "--state", &self.path()])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn put(&self, rest: &str, body: &str) {
        self.emulator(&["put", &format!("{GROUP}/{rest}"), body]);
    }

    fn report(&self, arguments: &[&str]) -> Output {
        Command::new(BINARY)
            .args(["report", &format!("--emulator={}", self.path())])
            .args(arguments)
            .output()
            .unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.report(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn json_contains_users_costs_and_versions_to_remove() {
    let report: Json =
        serde_json::from_str(&State::new().text(&["--format", "json", "--keep-latest", "1"])).unwrap();
    let definition = &report["galleries"][0]["definitions"][0];
    let version = |index: usize| &definition["versions"][index];
    assert_eq!((&version(0)["version"], &version(1)["version"]), (&"1.10.0".into(), &"1.9.0".into()));
    assert_eq!(version(0)["users"][0]["name"], "web-1");
    assert_eq!(version(1)["users"], Json::Array(Vec::new()));
    assert_eq!(
        (&version(0)["retention"]["action"], &version(1)["retention"]["action"]),
        (&"keep".into(), &"remove".into())
    );
    assert_eq!(version(0)["regions"][0]["state"], "Completed");
    assert_eq!(
        version(0)["base_image"]["urn"],
        "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.202401010"
    );
    let sum: f64 =
        (0..2).map(|index| version(index)["monthly_cost"].as_str().unwrap().parse::<f64>().unwrap()).sum();
    assert!(sum > 0.0);
    assert_eq!(format!("{sum:.2}"), report["monthly_cost"].as_str().unwrap());
}

fn markdown_contains_a_table_and_a_wrong_gallery_is_an_error() {
    let state = State::new();
    let text = state.text(&[
        "--format",
        "markdown",
        "--no-usage",
        "--no-cost",
        &format!("{GROUP}/galleries/golden"),
    ]);
    assert!(text.contains("| 1.10.0 | Succeeded | eastus ×2 |"), "{text}");
    assert!(!text.contains("used by") && !text.contains("cost"), "{text}");
    let output = state.report(&[&format!("{GROUP}/galleries/none")]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("none") && output.stdout.is_empty(), "{error}");
}

/// The page's document after the browser has rendered it in a window of `width` pixels.
fn document(browser: &Path, page: &Path, width: u32, dark: bool) -> String {
    let profile = TempDir::new().unwrap();
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},1400"));
    if dark {
        command.args(["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]);
    }
    let output = command.arg(format!("file://{}", page.display())).output().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn page_fits_wide_and_narrow_windows_in_both_schemes() {
    let browser =
        external::program("chromium", "AZIMAGE_CHROMIUM", &["chromium", "chromium-browser", "google-chrome"]);
    let state = State::new();
    let page = state.0.path().join("report.html");
    let written = state.text(&["--output", &page.display().to_string()]);
    assert_eq!(written, "");
    // the page measures itself, and tells the page around it
    let probe = r#"<script>
      const across = [...document.querySelectorAll("main *")]
        .filter(part => !part.closest(innerWidth <= 700 ? "thead" : ".scroll"))
        .filter(part => part.getBoundingClientRect().right > innerWidth + 1);
      const fits = document.documentElement.scrollWidth <= innerWidth && !across.length;
      const sorts = getComputedStyle(document.querySelector(".sort")).display !== "none" || document.querySelector("th button").offsetWidth > 0;
      const found = [innerWidth, fits ? "fits" : "too wide", sorts ? "sortable" : "not sortable", getComputedStyle(document.body).backgroundColor].join(" ");
      document.title = found;
      parent.postMessage(found, "*");
    </script>"#;
    let html = std::fs::read_to_string(&page).unwrap().replace("</body>", &format!("{probe}</body>"));
    std::fs::write(&page, html).unwrap();
    // the browser makes no window narrower than 500 pixels, so a phone is a frame
    let phone = state.0.path().join("phone.html");
    let frame = r#"<title></title><iframe src="report.html" style="border:0;height:1400px;width:360px"></iframe><script>onmessage = event => { document.title = event.data; };</script>"#;
    std::fs::write(&phone, frame).unwrap();
    for (dark, background) in [(false, "rgb(255, 255, 255)"), (true, "rgb(20, 23, 27)")] {
        for (page, width) in [(&page, 1280), (&phone, 360)] {
            let document = document(&browser, page, width.max(500), dark);
            let title =
                document.split("</title>").next().unwrap_or_default().rsplit("<title>").next().unwrap();
            assert_eq!(title, format!("{width} fits sortable {background}"), "{width} {dark}");
        }
        let document = document(&browser, &page, 1280, dark);
        for part in ["golden", "1.10.0", "web-1", "aria-sort=\"descending\""] {
            assert!(document.contains(part), "{dark}: no {part}");
        }
    }
}

tests!(
    json_contains_users_costs_and_versions_to_remove,
    markdown_contains_a_table_and_a_wrong_gallery_is_an_error,
    page_fits_wide_and_narrow_windows_in_both_schemes,
);
