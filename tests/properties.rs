//! Properties of plans and applies, checked for every resource type over configurations generated from its schema. The
//! configurations are deterministic; `AZIMAGE_PROPERTIES=20` tries twenty times as many.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;
#[path = "support/generate.rs"]
mod generate;

use crate::core::oracle::{self, plan_complaints};
use crate::core::{Action, Core, Held, differences, patched, serve};
use azimage::framework::change::{Change, Planned};
use azimage::framework::provider::Entry;
use azimage::framework::{Private, Server};
use azimage::provider::Provider;
use azimage::schema::{Type, Value, msgpack};
use cases::Case;
use generate::{Pool, around};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

type Known = Entry<azimage::azure::Context>;

fn times() -> u32 {
    std::env::var("AZIMAGE_PROPERTIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Runs `test` with `cases` values of `strategy`, and fails if it skipped most of them.
fn check(
    what: &str,
    cases: u32,
    strategy: impl Strategy<Value = (Value, Value)>,
    test: impl Fn(Value, Value) -> Result<bool, TestCaseError>,
) {
    let config = Config {
        cases: cases * times(),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let (tried, all) = (std::cell::Cell::new(0_u32), config.cases);
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&strategy, |(one, other)| {
        tried.set(tried.get() + u32::from(test(one, other)?));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{what}: {error}");
    }
    assert!(tried.get() * 5 >= all, "{what}: only {} of {all} were valid", tried.get());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

fn bases(core: &Core, case: &Case) -> Vec<Value> {
    let full = patched(&case.small, &case.full);
    vec![core.config(case.type_name, &case.small), core.config(case.type_name, &full)]
}

fn is_valid(server: &Server<Provider>, entry: &Known, config: &Value) -> bool {
    !server.validate_resource(entry, config).has_errors()
}

/// A plan of an unconfigured provider: it depends only on the schema, the resource's plan logic and the
/// configuration.
fn plan(server: &Server<Provider>, entry: &Known, config: &Value, prior: &Value) -> Planned {
    server.run_ids().clear();
    let change = Change { prior: prior.clone(), config: config.clone(), private: Private::default() };
    futures_util::FutureExt::now_or_never(server.plan(entry, change))
        .expect("planning without a provider performs no I/O")
}

/// Replaces every unknown value by a known one.
fn with_known_values(value: Value, ty: &Type) -> Value {
    match (value, ty) {
        (Value::Unknown, Type::String) => "made".into(),
        (Value::Unknown, Type::Number) => Value::int(7),
        (Value::Unknown, Type::Bool) => true.into(),
        (Value::Unknown, Type::List(_)) => Value::List(Vec::new()),
        (Value::Unknown, Type::Set(_)) => Value::Set(Vec::new()),
        (Value::Unknown, Type::Map(_)) => Value::Map(Default::default()),
        (Value::Unknown, _) => Value::Null,
        (Value::Object(fields), Type::Object(types)) => {
            let regions =
                fields.get("regions").into_iter().flat_map(Value::elements).filter_map(Value::as_str);
            let complete = regions.map(|name| (azimage::arm::region::normalise(name), "Completed".into()));
            let complete = Value::Map(complete.collect());
            Value::object(fields.into_iter().map(|(name, field)| {
                // an unfinished object still has planned changes
                let field = match (field.is_unknown(), name.as_str()) {
                    (true, "provisioning_state") => "Succeeded".into(),
                    (true, "replication_state") => complete.clone(),
                    _ => with_known_values(field, &types[&name]),
                };
                (name, field)
            }))
        }
        (Value::List(elements), Type::List(ty)) => {
            Value::List(elements.into_iter().map(|e| with_known_values(e, ty)).collect())
        }
        (Value::Set(elements), Type::Set(ty)) => {
            Value::Set(elements.into_iter().map(|e| with_known_values(e, ty)).collect())
        }
        (value, _) => value,
    }
}

#[test]
fn plans_are_deterministic_and_accepted_by_core() {
    let core = runtime().block_on(Core::new());
    let (server, _) = serve();
    for case in cases::all() {
        let Ok(entry) = server.resource(case.type_name) else { panic!("{}", case.name) };
        let (block, ty, pool) = (core.block(case.type_name), entry.ty(), Pool::of(&case));
        let open = around(entry.body(), bases(&core, &case), &pool, true);
        check(case.name, 60, (open.clone(), open), |config, before| {
            if !is_valid(&server, entry, &config) {
                return Ok(false);
            }
            // from no prior state, and from the planned state of another configuration
            let before = plan(&server, entry, &before.unknown_to_null(), &Value::Null);
            for prior in [Value::Null, with_known_values(before.state, ty)] {
                let planned = plan(&server, entry, &config, &prior);
                let again = plan(&server, entry, &config, &prior);
                prop_assert_eq!(msgpack::encode(&planned.state, ty), msgpack::encode(&again.state, ty));
                prop_assert_eq!(&planned.replace, &again.replace);
                prop_assert_eq!(&planned.diagnostics, &again.diagnostics);
                if planned.diagnostics.has_errors() {
                    continue;
                }
                let complaints = plan_complaints(block, &prior, &config, &planned.state);
                prop_assert!(complaints.is_empty(), "{:?}", complaints);
                // planning over the wire gives the same plan
                let read = msgpack::decode(&msgpack::encode(&planned.state, ty), ty).unwrap();
                prop_assert_eq!(read, planned.state);
            }
            Ok(true)
        });
    }
}

#[test]
fn planning_a_planned_state_shows_no_changes() {
    for case in cases::all() {
        // with a context: without one, the provider's default tags are unknown, and therefore also the merged tags
        let runtime = runtime();
        let core = runtime.block_on(Core::new());
        (case.prepare)(&core);
        let Ok(entry) = core.server.resource(case.type_name) else { panic!("{}", case.name) };
        let (ty, pool) = (entry.ty(), Pool::of(&case));
        let known = around(entry.body(), bases(&core, &case), &pool, false);
        let plan = |config: &Value, prior: &Value| {
            let change = Change { prior: prior.clone(), config: config.clone(), private: Private::default() };
            runtime.block_on(core.server.plan(entry, change))
        };
        check(case.name, 30, (known.clone(), known), |config, before| {
            if !is_valid(&core.server, entry, &config) {
                return Ok(false);
            }
            let before = plan(&before, &Value::Null);
            for prior in [Value::Null, with_known_values(before.state, ty)] {
                let planned = plan(&config, &prior);
                if planned.diagnostics.has_errors() {
                    continue;
                }
                let applied = with_known_values(planned.state, ty);
                let next = plan(&config, &applied);
                prop_assert!(next.replace.is_empty(), "{:?}", next.replace);
                prop_assert_eq!(
                    msgpack::encode(&next.state, ty),
                    msgpack::encode(&applied, ty),
                    "{}",
                    differences(&applied, &next.state)
                );
            }
            Ok(true)
        });
    }
}

// The simulated core checks every plan against the configuration and every result against the plan, which is most of the test.
#[test]
fn apply_results_match_the_plan() {
    for case in cases::all() {
        let runtime = runtime();
        let core = runtime.block_on(Core::new());
        (case.prepare)(&core);
        let entry = core.server.resource(case.type_name).ok().unwrap();
        let known = around(entry.body(), bases(&core, &case), &Pool::of(&case), false);
        check(case.name, 8, (known.clone(), known), |config, next| {
            let one = (is_valid(&core.server, entry, &config))
                .then(|| runtime.block_on(apply_and_replan(&core, &case, &config, None)));
            let Some(held) = one.flatten() else { return Ok(false) };
            let mut held = Some(held);
            if is_valid(&core.server, entry, &next) {
                held = runtime.block_on(apply_and_replan(&core, &case, &next, held));
            }
            if let Some(held) = held {
                let gone = runtime.block_on(core.destroy(&held));
                prop_assert!(gone.held.is_none(), "{:?}", gone.diagnostics);
            }
            Ok(true)
        });
    }
}

/// Plans, applies, and checks that the next plan is empty. Returns the object if the service accepted it.
async fn apply_and_replan(core: &Core, case: &Case, config: &Value, held: Option<Held>) -> Option<Held> {
    let Ok(planned) = core.try_plan(case.type_name, held.as_ref(), config).await else { return held };
    let applied = core.apply(&planned).await;
    if applied.diagnostics.has_errors() {
        return applied.held;
    }
    let held = applied.held?;
    let again = core.try_plan(case.type_name, Some(&held), config).await.unwrap();
    assert_eq!(again.action, Action::NoOp, "{}: {}", case.name, differences(&held.state, &again.state));
    let read = core.refresh(&held).await.unwrap().unwrap();
    let again = core.try_plan(case.type_name, Some(&read), config).await.unwrap();
    assert_eq!(again.action, Action::NoOp, "{}: {}", case.name, differences(&read.state, &again.state));
    let complaints = oracle::object_complaints(core.block(case.type_name), &planned.state, &read.state);
    assert!(complaints.is_empty(), "a refresh reverted planned values: {complaints:?}");
    Some(read)
}
