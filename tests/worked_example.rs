//! The worked example of CONTRIBUTING.md: its code is quoted from files that are compiled and applied here.

#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "worked_example/case.rs"]
mod case;
#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;
#[path = "worked_example/snapshot.rs"]
mod snapshot;

use std::path::Path;

use azimage::azure::Context;
use azimage::framework::action::AnyAction;
use azimage::framework::change::{Change, Planned};
use azimage::framework::data_source::AnyDataSource;
use azimage::framework::function::Function;
use azimage::framework::provider::Entry;
use azimage::framework::resource::AnyResource;
use azimage::framework::{Private, Provider, Server};
use azimage::schema::{Body, Diagnostics, Value, json as state_json};
use core::{Core, Json, json, patched};
use snapshot::Snapshot;

/// The provider with the example in place of its resources.
struct WithExample;

impl Provider for WithExample {
    type Context = Context;

    fn body(&self) -> Body {
        azimage::provider::Provider.body()
    }

    fn resources(&self) -> Vec<Box<dyn AnyResource<Context>>> {
        vec![Box::new(Snapshot)]
    }

    fn data_sources(&self) -> Vec<Box<dyn AnyDataSource<Context>>> {
        Vec::new()
    }

    fn actions(&self) -> Vec<Box<dyn AnyAction<Context>>> {
        Vec::new()
    }

    fn functions(&self) -> Vec<Box<dyn Function>> {
        Vec::new()
    }

    fn configure(&self, config: &Value, version: &str, found: &mut Diagnostics) -> Option<Context> {
        azimage::provider::Provider.configure(config, version, found)
    }
}

/// The example resource, and the object that it manages.
struct Run<'s> {
    server: &'s Server<WithExample>,
    entry: &'s Entry<Context>,
    state: Value,
    private: Private,
}

impl Run<'_> {
    fn config(&self, config: &Json) -> Value {
        let config = state_json::decode(config, self.entry.ty()).unwrap();
        let found = self.server.validate_resource(self.entry, &config);
        assert!(!found.has_errors(), "{found:?}");
        config
    }

    async fn plan(&self, config: &Json) -> Planned {
        // each plan is a separate run
        self.server.run_ids().clear();
        let change =
            Change { prior: self.state.clone(), config: self.config(config), private: self.private.clone() };
        let planned = self.server.plan(self.entry, change).await;
        assert!(!planned.diagnostics.has_errors(), "{:?}", planned.diagnostics);
        planned
    }

    async fn apply(&mut self, config: &Json) {
        let planned = self.plan(config).await;
        assert!(planned.replace.is_empty(), "{:?}", planned.replace);
        self.finish(planned.state, self.config(config), planned.private).await;
        assert_eq!(
            self.plan(config).await.state,
            self.state,
            "applying {config} does not end in an empty plan"
        );
    }

    async fn finish(&mut self, planned: Value, config: Value, private: Private) {
        let applied = self.server.apply(self.entry, self.state.clone(), planned, &config, private).await;
        assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
        (self.state, self.private) = (applied.state, applied.private);
    }

    async fn destroy(&mut self) {
        self.finish(Value::Null, Value::Null, self.private.clone()).await;
        assert!(self.state.is_null());
    }

    async fn refresh(&mut self) {
        let read = self.server.read(self.entry, self.state.clone(), self.private.clone()).await;
        assert!(!read.diagnostics.has_errors(), "{:?}", read.diagnostics);
        (self.state, self.private) = (read.state, read.private);
    }
}

#[tokio::test(start_paused = true)]
async fn the_example_can_be_applied() {
    let case = case::snapshot();
    let core = Core::new().await;
    (case.prepare)(&core);
    let server = Server::new(WithExample);
    let config = json!({"environment": "emulator", "emulator": {"state_path": core.state_path()}});
    let found = server.configure(&state_json::decode(&config, server.ty()).unwrap(), "1.15.0");
    assert!(!found.has_errors(), "{found:?}");
    let entry = server.resource(case.type_name).unwrap();
    let mut run = Run { server: &server, entry, state: Value::Null, private: Private::default() };
    let planned = run.plan(&case.small).await;
    assert_eq!(planned.state.get("id").as_str(), case.id.as_deref());
    let full = patched(&case.small, &case.full);
    run.apply(&case.small).await;
    run.apply(&full).await;
    for (patch, _) in &case.updates {
        run.apply(&patched(&full, patch)).await;
        run.apply(&full).await;
    }
    for patch in &case.same {
        assert_eq!(run.plan(&patched(&full, patch)).await.state, run.state, "{patch}");
    }
    for (patch, paths) in &case.forces {
        let replace = run.plan(&patched(&full, patch)).await.replace;
        assert_eq!(replace.iter().map(ToString::to_string).collect::<Vec<_>>(), *paths, "{patch}");
    }
    for (patch, names) in &case.drifts {
        core.tamper(case.id.as_deref().unwrap(), patch.clone());
        let before = run.state.clone();
        run.refresh().await;
        for name in *names {
            assert_ne!(run.state.get(name), before.get(name), "{patch}: {name}");
        }
        run.apply(&full).await;
    }
    run.destroy().await;
    assert!(!core.exists(case.id.as_deref().unwrap()));
    // values that force a replacement can also be set at creation
    for (patch, _) in &case.forces {
        run.apply(&patched(&full, patch)).await;
        run.destroy().await;
    }
}

/// The Rust code of CONTRIBUTING.md is part of the files above, except for its indentation.
#[test]
fn the_guide_quotes_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let code = [read("tests/worked_example/snapshot.rs"), read("tests/worked_example/case.rs")].concat();
    let guide = read("CONTRIBUTING.md");
    let quoted: Vec<&str> =
        guide.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(quoted.len(), 3);
    for block in quoted {
        assert!(
            code.contains(block),
            "CONTRIBUTING.md quotes code that is not in tests/worked_example:\n{block}"
        );
    }
}
