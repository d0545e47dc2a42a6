//! Controls the emulator that serves the benchmark: its contents, its latency and its request counters.

use std::collections::HashMap;
use std::sync::Arc;

use azimage::arm::{HttpTransport, Method, Request, Transport};
use serde_json::{Value as Json, json};

/// The resource group of all objects.
pub const GROUP: &str = "bench";

/// The served emulator.
pub struct Emulator {
    base: String,
    subscription: String,
    runtime: tokio::runtime::Runtime,
    transport: Arc<HttpTransport>,
}

impl Emulator {
    /// Connects to the emulator that started this process.
    pub fn connect() -> Emulator {
        let emulator = Emulator {
            base: std::env::var("AZIMAGE_EMULATOR").unwrap(),
            subscription: std::env::var("ARM_SUBSCRIPTION_ID").unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            transport: Arc::new(HttpTransport::new()),
        };
        emulator.call(
            Method::Put,
            "/_emulator/settings",
            json!({"time_scale": 0, "auto_create_resource_groups": true}),
        );
        // a fault with an unreachable condition counts the requests that it could apply to
        let never = json!({"faults": [{"path": "^/subscriptions/", "skip": 1_000_000_000, "status": 500}]});
        emulator.call(Method::Put, "/_emulator/faults", never);
        emulator
    }

    /// Delays every response of ARM by this time.
    pub fn latency(&self, milliseconds: u64) {
        let rules = json!([{"path": "^/subscriptions/", "milliseconds": milliseconds}]);
        self.call(
            Method::Put,
            "/_emulator/settings",
            json!({"latency": if milliseconds == 0 { json!([]) } else { rules }}),
        );
    }

    /// Enables or disables ARM's request budgets.
    pub fn throttle(&self, on: bool) {
        self.call(Method::Put, "/_emulator/settings", json!({"throttling": on}));
    }

    /// The number of requests that were refused with 429.
    pub fn throttled(&self) -> u64 {
        self.call(Method::Get, "/_emulator/summary", Json::Null)["throttledCount"].as_u64().unwrap()
    }

    /// The number of ARM requests.
    pub fn requests(&self) -> u64 {
        self.call(Method::Get, "/_emulator/faults", Json::Null)["faults"][0]["seen"].as_u64().unwrap_or(0)
    }

    /// Creates a gallery with this many definitions, and versions that are spread over them.
    pub fn seed(&self, definitions: usize, versions: usize) {
        self.arm(
            Method::Put,
            "disks/golden",
            json!({"location": "westeurope", "sku": {"name": "Premium_LRS"}, "properties": {
                "osType": "Linux", "hyperVGeneration": "V2", "diskSizeGB": 30,
                "creationData": {"createOption": "Empty"},
            }}),
        );
        let disk = json!({
            "osType": "Linux", "osState": "Generalized", "managedDisk": {"id": self.id("disks/golden")},
        });
        self.arm(
            Method::Put,
            "images/golden",
            json!({"location": "westeurope", "properties": {
                "hyperVGeneration": "V2", "storageProfile": {"osDisk": disk},
            }}),
        );
        self.arm(Method::Put, "galleries/bench", json!({"location": "westeurope", "properties": {}}));
        for definition in 0..definitions {
            self.arm(
                Method::Put,
                &format!("galleries/bench/images/d{definition}"),
                json!({"location": "westeurope", "properties": {
                    "osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2",
                    "identifier": {"publisher": "contoso", "offer": "linux", "sku": format!("d{definition}")},
                }}),
            );
        }
        for version in 0..versions {
            let (definition, version) = (version % definitions, version / definitions);
            self.arm(
                Method::Put,
                &format!("galleries/bench/images/d{definition}/versions/1.0.{version}"),
                json!({"location": "westeurope", "tags": {"build": format!("1.0.{version}")}, "properties": {
                    "publishingProfile": {"targetRegions": [{
                        "name": "westeurope", "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS",
                    }]},
                    "storageProfile": {"source": {"id": self.id("images/golden")}},
                }}),
            );
        }
    }

    /// The published date of each version, by definition and then by version.
    pub fn published(&self, definitions: usize) -> Vec<HashMap<String, String>> {
        self.call(Method::Put, "/_emulator/settings", json!({"page_size": 100_000}));
        let of = |definition: usize| {
            let list =
                self.id(&format!("galleries/bench/images/d{definition}/versions?api-version=2024-03-03"));
            let answer = self.call(Method::Get, &list, Json::Null);
            let one = |version: &Json| {
                let date = &version["properties"]["publishingProfile"]["publishedDate"];
                (version["name"].as_str().unwrap().to_owned(), date.as_str().unwrap().to_owned())
            };
            answer["value"].as_array().unwrap().iter().map(one).collect()
        };
        let all = (0..definitions).map(of).collect();
        self.call(Method::Put, "/_emulator/settings", json!({"page_size": null}));
        all
    }

    fn id(&self, rest: &str) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{GROUP}/providers/Microsoft.Compute/{rest}",
            self.subscription
        )
    }

    fn arm(&self, method: Method, rest: &str, body: Json) {
        let api = match rest.split('/').next() {
            // newer API versions give definitions a security type, and azurerm would replace them because of it
            Some("galleries") => "2024-03-03",
            Some("disks") => "2026-03-02",
            _ => "2026-03-01",
        };
        self.call(method, &format!("{}?api-version={api}", self.id(rest)), body);
    }

    fn call(&self, method: Method, path: &str, body: Json) -> Json {
        let request = Request {
            method,
            url: format!("{}{path}", self.base),
            headers: vec![
                ("Content-Type".to_owned(), "application/json".to_owned()),
                ("Authorization".to_owned(), "Bearer bench".to_owned()),
            ],
            body: (!body.is_null()).then(|| body.to_string().into_bytes()),
        };
        let answer = self
            .runtime
            .block_on(self.transport.send(request))
            .unwrap_or_else(|why| panic!("{path}: {}", why.message));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status < 300, "{path}: {} {text}", answer.status);
        serde_json::from_str(&text).unwrap_or(Json::Null)
    }
}
