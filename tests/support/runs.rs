//! Complete runs of the simulated core, and changes made to the emulator in the meantime.

use super::{Action, Core, Held, Json, Request, Wire, differences, json};
use azimage::emulator;
use time::OffsetDateTime;

impl Core {
    /// Creates an object without errors, and checks that the next plan is empty.
    #[track_caller]
    pub fn create<'c>(&'c self, type_name: &'c str, config: &'c Json) -> impl Future<Output = Held> + 'c {
        let at = std::panic::Location::caller();
        async move {
            let plan = self.plan(type_name, None, config).await;
            assert_eq!(plan.action, Action::Create);
            let applied = self.apply(&plan).await;
            assert!(
                !applied.diagnostics.has_errors(),
                "creating {type_name} ({at}): {:?}",
                applied.diagnostics
            );
            let held = applied.held.unwrap();
            self.assert_no_changes(&held, config).await
        }
    }

    /// Refreshes and plans, and checks that nothing changes.
    pub async fn assert_no_changes(&self, held: &Held, config: &Json) -> Held {
        let plan = self.plan(&held.type_name, Some(held), config).await;
        assert_eq!(plan.action, Action::NoOp, "not idempotent: {}", differences(&held.state, &plan.state));
        let read = self
            .refresh(held)
            .await
            .unwrap_or_else(|diagnostics| panic!("reading {}: {diagnostics:?}", held.type_name));
        let read = read.unwrap_or_else(|| panic!("{} was deleted", held.type_name));
        assert_eq!(
            read.state,
            held.state,
            "a read changed something: {}",
            differences(&held.state, &read.state)
        );
        let plan = self.plan(&held.type_name, Some(&read), config).await;
        assert_eq!(
            plan.action,
            Action::NoOp,
            "not empty after refresh: {}",
            differences(&read.state, &plan.state)
        );
        read
    }

    /// Refreshes, plans the given action, applies it, and checks that the next plan is empty.
    pub async fn change(&self, held: &Held, config: &Json, action: Action) -> Held {
        let name = held.type_name.as_str();
        let read = self
            .refresh(held)
            .await
            .unwrap_or_else(|diagnostics| panic!("reading {name}: {diagnostics:?}"))
            .unwrap();
        let plan = self.plan(name, Some(&read), config).await;
        let differ = differences(&read.state, &plan.state);
        assert_eq!(plan.action, action, "because of {:?}: {differ}", plan.replace);
        let applied = self.apply(&plan).await;
        assert!(!applied.diagnostics.has_errors(), "{action:?} of {name}: {:?}", applied.diagnostics);
        self.assert_no_changes(&applied.held.unwrap(), config).await
    }

    /// A control call of the emulator.
    pub fn control(&self, method: &str, path: &str, body: Json) -> Json {
        let (status, body) = self.send(method, &format!("/_emulator/{path}"), &body, false);
        assert!(status < 300, "{method} {path}: {status} {body}");
        body
    }

    /// Makes operations take practically forever, until [`Core::finish_operations`].
    pub fn slow_operations(&self) {
        self.control("PUT", "settings", json!({"time_scale": 0.0001}));
    }

    /// Completes all running operations; later ones complete immediately.
    pub fn finish_operations(&self) {
        self.control("POST", "clock/advance", json!({"seconds": 1e8}));
        self.control("PUT", "settings", json!({"time_scale": 0}));
    }

    /// Adds a scripted fault.
    pub fn fault(&self, fault: Json) {
        self.control("POST", "faults", fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.control("DELETE", "faults", json!({}));
    }

    /// A request of another client, executed instantly. The api-version is added if it is missing.
    pub fn azure(&self, method: &str, path: &str, body: Json) -> (u16, Json) {
        let api = if path.to_lowercase().contains("/galleries") {
            "2026-03-03"
        } else if ["/disks/", "/snapshots/", "/diskencryptionsets/"]
            .iter()
            .any(|k| path.to_lowercase().contains(k))
        {
            "2026-03-02"
        } else {
            "2026-03-01"
        };
        let sign = if path.contains('?') { '&' } else { '?' };
        let url = if path.contains("api-version") {
            path.to_owned()
        } else {
            format!("{path}{sign}api-version={api}")
        };
        self.send(method, &url, &body, true)
    }

    /// A request of another client, whose operation takes time.
    pub fn client_request(&self, method: &str, path: &str, body: Json) -> (u16, Json) {
        self.send(method, path, &body, false)
    }

    /// The object with this ID in Azure.
    pub fn azure_object(&self, id: &str) -> Json {
        let (status, body) = self.azure("GET", id, Json::Null);
        assert_eq!(status, 200, "GET {id}: {body}");
        body
    }

    /// Merges a patch into the object with this ID, as another client.
    pub fn tamper(&self, id: &str, patch: Json) {
        let (status, body) = self.azure("PATCH", id, patch);
        assert!(status < 300, "PATCH {id}: {status} {body}");
    }

    pub fn exists(&self, id: &str) -> bool {
        self.azure("GET", id, Json::Null).0 == 200
    }

    fn send(&self, method: &str, url: &str, body: &Json, by_hand: bool) -> (u16, Json) {
        let request = emulator::Request {
            method: method.into(),
            url: url.into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        };
        let now = OffsetDateTime::now_utc();
        let response = if by_hand {
            self.emulator.handle_by_hand(&request, now)
        } else {
            self.emulator.handle(&request, now)
        };
        (response.status, serde_json::from_slice(&response.body).unwrap_or(Json::Null))
    }

    /// Stop, which must return immediately even while other calls are running.
    pub async fn stop(&self) {
        let begun = std::time::Instant::now();
        let answer = self.service.stop(Request::new(Default::default())).await.unwrap().into_inner();
        assert!(answer.error.is_empty());
        assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    }
}
