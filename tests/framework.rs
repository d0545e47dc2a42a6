//! The protocol for all resource types: schemas, a provider that is not configured, and interrupted calls. Garbage, unknown
//! values, data sources and functions are tested in the files below.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;
#[path = "framework/enforcing.rs"]
mod enforcing;
#[path = "framework/garbage.rs"]
mod garbage;
#[path = "framework/known_ids.rs"]
mod known_ids;
#[path = "framework/planning.rs"]
mod planning;
#[path = "framework/reading.rs"]
mod reading;
#[path = "framework/unknowns.rs"]
mod unknowns;

use crate::core::oracle::{self, schema_complaints};
use crate::core::{Action, Core, Diagnostics, UNKNOWN, checked, decode, dynamic, json, patched, pb, serve};
use azimage::schema::{Type, Value, msgpack};
use garbage::assert_refused;
use pb::provider_server::Provider as Wire;
use pb::schema::Block;
use prost::Message;
use tonic::{Code, Request};
use unknowns::unknown_everywhere;

#[tokio::test]
async fn every_schema_satisfies_the_rules_of_core() {
    let core = Core::new().await;
    let schema = &core.schema;
    let provider = schema.provider.as_ref().unwrap();
    assert_eq!(schema_complaints(provider.block.as_ref().unwrap(), oracle::RESERVED_PROVIDER), []);
    for (name, schema) in schema.resource_schemas.iter().chain(&schema.data_source_schemas) {
        assert!(name.starts_with("azimage_"), "{name}");
        assert!(schema.version >= 0);
        assert_eq!(schema_complaints(schema.block.as_ref().unwrap(), oracle::RESERVED), [], "{name}");
        assert_documented(name, schema.block.as_ref().unwrap());
    }
    assert_documented("provider", provider.block.as_ref().unwrap());
    assert!(schema.provider_meta.is_none());
    for (name, identity) in &core.identities {
        assert!(schema.resource_schemas.contains_key(name));
        assert!(identity.version > 0, "above azapi's");
        assert!(!identity.identity_attributes.is_empty());
        for attribute in &identity.identity_attributes {
            assert!(
                attribute.required_for_import != attribute.optional_for_import,
                "{name}.{}",
                attribute.name
            );
            assert!(!attribute.description.is_empty());
            let ty = Type::from_json(&serde_json::from_slice(&attribute.r#type).unwrap());
            assert!(
                matches!(ty, Some(Type::String | Type::Number | Type::Bool)),
                "{name}.{}",
                attribute.name
            );
        }
    }
    let is_word = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    for (name, function) in &schema.functions {
        assert!(is_word(name), "{name}");
        assert!(!function.summary.is_empty());
        let returns = function.r#return.as_ref().unwrap();
        assert!(Type::from_json(&serde_json::from_slice(&returns.r#type).unwrap()).is_some());
        let mut seen = Vec::new();
        for parameter in function.parameters.iter().chain(&function.variadic_parameter) {
            assert!(
                is_word(&parameter.name) && !seen.contains(&&parameter.name),
                "{name}({})",
                parameter.name
            );
            assert!(Type::from_json(&serde_json::from_slice(&parameter.r#type).unwrap()).is_some());
            assert!(!parameter.description.is_empty());
            seen.push(&parameter.name);
        }
    }
}

fn assert_documented(path: &str, block: &Block) {
    assert!(!block.description.is_empty(), "{path} has no description");
    for attribute in &block.attributes {
        assert!(
            !attribute.write_only,
            "{path}.{} is write-only: add a test that it is never returned",
            attribute.name
        );
        let text = &attribute.description;
        assert!(
            text.ends_with('.'),
            "the description of {path}.{} is not a complete sentence: {text:?}",
            attribute.name
        );
    }
    for nested in &block.block_types {
        assert_documented(&format!("{path}.{}", nested.type_name), nested.block.as_ref().unwrap());
    }
}

// Schemas must not depend on the process, its state or the order of calls.
#[tokio::test]
async fn returns_the_same_schema_every_time() {
    let core = Core::new().await;
    let (_, fresh) = serve();
    let again = fresh.get_schema(Request::new(Default::default())).await.unwrap().into_inner();
    assert_eq!(again.encode_to_vec(), core.schema.encode_to_vec());
    let twice = core.service.get_schema(Request::new(Default::default())).await.unwrap().into_inner();
    assert_eq!(twice.encode_to_vec(), again.encode_to_vec());
    assert!(again.encode_to_vec().len() < 1 << 20);
    let functions =
        fresh.get_functions(Request::new(Default::default())).await.unwrap().into_inner().functions;
    assert_eq!(functions, again.functions);
    let names = fresh.get_metadata(Request::new(Default::default())).await.unwrap().into_inner();
    let listed: Vec<&String> = names.resources.iter().map(|resource| &resource.type_name).collect();
    assert_eq!(listed, again.resource_schemas.keys().collect::<Vec<_>>());
    assert_eq!(names.data_sources.len(), again.data_source_schemas.len());
    assert_eq!(names.functions.len(), again.functions.len());
    assert_eq!(names.server_capabilities, again.server_capabilities);
}

#[tokio::test]
async fn reports_its_server_capabilities() {
    let core = Core::new().await;
    let expected = pb::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: true,
        generate_resource_config: true,
    };
    assert_eq!(core.schema.server_capabilities, Some(expected));
}

// Terraform may skip GetProviderSchema.
#[tokio::test(start_paused = true)]
async fn answers_calls_before_its_schema_is_requested() {
    let core = Core::new().await;
    let (_, fresh) = serve();
    let case = cases::gallery();
    let config = core.config(case.type_name, &case.small);
    let request = pb::validate_resource_type_config::Request {
        type_name: case.type_name.into(),
        config: dynamic(&config, &core.ty(case.type_name)),
        client_capabilities: None,
    };
    let answer = fresh.validate_resource_type_config(Request::new(request)).await.unwrap().into_inner();
    assert!(answer.diagnostics.is_empty());
}

#[tokio::test]
async fn unsupported_calls_are_unimplemented() {
    let (_, rpc) = serve();
    macro_rules! assert_unimplemented {
        ($($method:ident),*) => {$(
            let Err(status) = rpc.$method(Request::new(Default::default())).await else { panic!("{}", stringify!($method)) };
            assert_eq!(status.code(), Code::Unimplemented, "{}", stringify!($method));
        )*};
    }
    assert_unimplemented!(
        validate_ephemeral_resource_config,
        open_ephemeral_resource,
        renew_ephemeral_resource,
        close_ephemeral_resource
    );
}

#[tokio::test]
async fn errors_name_types_that_do_not_exist() {
    let (_, rpc) = serve();
    let type_name = || "azimage_unicorn".to_owned();
    let mut all = Vec::new();
    macro_rules! ask {
        ($method:ident, $module:ident, $field:ident) => {
            let request = pb::$module::Request { $field: type_name(), ..Default::default() };
            let answer = rpc.$method(Request::new(request)).await.unwrap().into_inner();
            all.push((stringify!($method), answer.diagnostics));
        };
    }
    ask!(validate_resource_type_config, validate_resource_type_config, type_name);
    ask!(validate_data_source_config, validate_data_source_config, type_name);
    ask!(upgrade_resource_state, upgrade_resource_state, type_name);
    ask!(upgrade_resource_identity, upgrade_resource_identity, type_name);
    ask!(read_resource, read_resource, type_name);
    ask!(plan_resource_change, plan_resource_change, type_name);
    ask!(apply_resource_change, apply_resource_change, type_name);
    ask!(import_resource_state, import_resource_state, type_name);
    ask!(move_resource_state, move_resource_state, target_type_name);
    ask!(generate_resource_config, generate_resource_config, type_name);
    ask!(read_data_source, read_data_source, type_name);
    for (method, diagnostics) in all {
        assert_refused(method, &diagnostics);
        assert!(Diagnostics(diagnostics).errors().contains("azimage_unicorn"), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn plans_while_the_provider_configuration_is_unknown() {
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let full = patched(&case.small, &case.full);
        let held = core.create(case.type_name, &full).await;
        let next = core.new_run(json!({})).await;
        let diagnostics =
            next.configure(&json!({"subscription_id": UNKNOWN, "environment": "emulator"})).await;
        assert!(!diagnostics.has_errors(), "{diagnostics:?}");
        // a create is planned with the known values
        let created = next.plan(case.type_name, None, &full).await;
        assert_eq!(created.action, Action::Create);
        // an existing object keeps its last known state
        let (read, diagnostics) = next.read(&held).await.unwrap();
        diagnostics.assert_warning(&["not refreshed"]);
        assert_eq!(read.unwrap().state, held.state);
        let plan = next.plan(case.type_name, Some(&held), &full).await;
        assert_ne!(plan.action, Action::Replace, "{}: {:?}", case.name, plan.replace);
        // at apply the configuration is known, and the result matches the first plan
        let known = core.new_run(json!({})).await;
        assert!(core.destroy(&held).await.held.is_none());
        let applied = known.apply(&created).await;
        assert!(!applied.diagnostics.has_errors(), "{}: {:?}", case.name, applied.diagnostics);
        // applying while it is unknown is an error and keeps the state
        let refused = next.apply(&created).await;
        refused.diagnostics.assert_error(&["not configured"]);
        let kept = next.destroy(&applied.held.unwrap()).await;
        kept.diagnostics.assert_error(&["not configured", "after apply"]);
        assert!(kept.held.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unconfigured_provider_refuses_calls_and_keeps_the_state() {
    let core = Core::new().await;
    let case = cases::gallery();
    let held = core.create(case.type_name, &case.small).await;
    let (_, rpc) = serve();
    let ty = core.ty(case.type_name);
    let request = pb::read_resource::Request {
        type_name: case.type_name.into(),
        current_state: dynamic(&held.state, &ty),
        ..Default::default()
    };
    let answer = rpc.read_resource(Request::new(request)).await.unwrap().into_inner();
    Diagnostics(answer.diagnostics).assert_error(&["not configured"]);
    assert_eq!(decode(&answer.new_state, &ty), held.state);
    let request = pb::apply_resource_change::Request {
        type_name: case.type_name.into(),
        prior_state: dynamic(&held.state, &ty),
        planned_private: b"{\"a\":1}".to_vec(),
        ..Default::default()
    };
    let answer = rpc.apply_resource_change(Request::new(request)).await.unwrap().into_inner();
    Diagnostics(answer.diagnostics).assert_error(&["not configured"]);
    assert_eq!(decode(&answer.new_state, &ty), held.state);
    assert_eq!(answer.private, b"{\"a\":1}");
}

// A provider in debug mode serves many runs.
#[tokio::test(start_paused = true)]
async fn the_last_configuration_applies() {
    let core = Core::with(json!({"default_tags": {"run": "1"}})).await;
    let case = cases::gallery();
    let held = core.create(case.type_name, &case.small).await;
    let state_path = core.schema.provider.is_some();
    assert!(state_path);
    let next = core.new_run(json!({"default_tags": {"run": "2"}})).await;
    let plan = next.plan(case.type_name, Some(&held), &case.small).await;
    assert_eq!(plan.action, Action::Update);
    // after an invalid configuration, the old one no longer applies
    let diagnostics = next.configure(&json!({"environment": "emulator", "metadata_host": "x"})).await;
    diagnostics.assert_error(&["metadata_host"]);
}

// The provider accepts every configuration that it generates.
#[tokio::test(start_paused = true)]
async fn generates_a_valid_configuration_from_any_state() {
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let full = patched(&case.small, &case.full);
        let held = core.create(case.type_name, &full).await;
        let config = core.generate(&held).await;
        let diagnostics = core.validate(case.type_name, &config).await;
        assert!(!diagnostics.has_errors(), "{}: {diagnostics:?}", case.name);
        for attribute in &core.block(case.type_name).attributes {
            let computed = attribute.computed && !attribute.optional;
            assert!(
                !computed || config.get(&attribute.name).is_null(),
                "{}.{} cannot be configured",
                case.name,
                attribute.name
            );
        }
        let request = pb::generate_resource_config::Request { type_name: case.type_name.into(), state: None };
        let answer = core.service.generate_resource_config(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(core.block(case.type_name), answer.diagnostics);
        assert!(diagnostics.has_errors() || decode(&answer.config, &core.ty(case.type_name)).is_null());
    }
}

// Interrupts several concurrent calls, and then makes further calls.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_running_calls_but_not_later_ones() {
    let core = Core::new().await;
    cases::with_version(&core);
    core.slow_operations();
    let replication = cases::image_replication();
    core.tamper(&cases::rg("galleries/gal/images/def/versions/1.0.0"), json!({"tags": {"a": "b"}}));
    let slow = patched(&cases::gallery().small, &json!({"name": "slow"}));
    let version = patched(&cases::image_version().small, &json!({"version": "3.0.0"}));
    let (one, two) = (
        core.plan("azimage_gallery", None, &slow).await,
        core.plan("azimage_image_version", None, &version).await,
    );
    let begun = tokio::time::Instant::now();
    let interrupt = async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        core.stop().await;
        core.stop().await;
    };
    let (one, two, ()) = tokio::join!(core.apply(&one), core.apply(&two), interrupt);
    assert!(begun.elapsed() < std::time::Duration::from_secs(4));
    for applied in [one, two] {
        assert!(!applied.diagnostics.has_errors() && applied.held.is_some_and(|held| !held.tainted));
    }
    let waited = core.plan(replication.type_name, None, &replication.small).await;
    let applied = core.apply(&waited).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
}

// When the caller disconnects, a write that was sent completes, and no further request is sent.
#[tokio::test(start_paused = true)]
async fn completes_a_write_but_starts_no_other_after_the_caller_disconnects() {
    for (method, made) in [("PUT", true), ("GET", false)] {
        let core = Core::new().await;
        let case = cases::gallery();
        let ty = core.ty(case.type_name);
        let config = core.config(case.type_name, &case.small);
        let (planned, _) = core.plan_once(case.type_name, &Value::Null, &config, b"", None).await;
        let request = pb::apply_resource_change::Request {
            type_name: case.type_name.into(),
            planned_state: planned.planned_state,
            config: dynamic(&config, &ty),
            ..Default::default()
        };
        let path = "galleries/gal$";
        core.fault(json!({"method": method, "path": path, "hold": "before"}));
        let call = core.service.apply_resource_change(Request::new(request));
        assert!(tokio::time::timeout(std::time::Duration::from_millis(500), call).await.is_err());
        assert!(!core.exists(&cases::rg("galleries/gal")));
        core.control("POST", "held", json!({"then": "go"}));
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        assert_eq!(core.exists(&cases::rg("galleries/gal")), made, "{method}");
    }
}

// A configuration may be JSON, unknown values may use any msgpack extension, and empty bytes are null.
#[tokio::test]
async fn accepts_every_encoding_of_values() {
    let core = Core::new().await;
    let case = cases::gallery();
    let ty = core.ty(case.type_name);
    let config = core.config(case.type_name, &patched(&case.small, &case.full));
    let as_json = pb::DynamicValue {
        msgpack: Vec::new(),
        json: azimage::schema::json::encode(&config).to_string().into_bytes(),
    };
    let mut plans = Vec::new();
    for dv in [dynamic(&config, &ty), Some(as_json)] {
        core.begin_graph_walk();
        let request = pb::plan_resource_change::Request {
            type_name: case.type_name.into(),
            prior_state: Some(pb::DynamicValue::default()),
            proposed_new_state: dv.clone(),
            config: dv,
            ..Default::default()
        };
        let answer = core.service.plan_resource_change(Request::new(request)).await.unwrap().into_inner();
        assert!(
            !Diagnostics(answer.diagnostics.clone()).has_errors(),
            "{:?}",
            Diagnostics(answer.diagnostics)
        );
        plans.push(answer.planned_state);
    }
    assert_eq!(plans[0], plans[1]);
    // refined unknowns, and unknown extensions
    for unknown in [
        &b"\xd4\x00\x00"[..],
        b"\xc7\x03\x0c\x81\x01\xc2",
        b"\xd5\x63ab",
        b"\xc7\x00\x00",
        b"\xc8\x00\x02\x0cab",
    ] {
        assert_eq!(msgpack::decode(unknown, &Type::String).unwrap(), Value::Unknown, "{unknown:x?}");
        assert_eq!(msgpack::decode(unknown, &ty).unwrap(), Value::Unknown);
    }
    assert_eq!(msgpack::encode(&Value::Unknown, &ty), b"\xd4\x00\x00");
    // objects that are null, empty or wholly unknown round-trip
    let block = core.block(case.type_name);
    let round = |value: &Value| msgpack::decode(&msgpack::encode(value, &ty), &ty).unwrap();
    for value in [Value::Null, oracle::nothing(block), unknown_everywhere(block), config] {
        assert_eq!(round(&value), value);
    }
}

// Two providers in one process, as in acceptance tests, share nothing.
#[tokio::test(start_paused = true)]
async fn two_providers_in_one_process_are_independent() {
    let (a, b) = (
        Core::with(json!({"default_tags": {"a": "1"}})).await,
        Core::with(json!({"default_tags": {"b": "2"}})).await,
    );
    let case = cases::gallery();
    let one = a.create(case.type_name, &case.small).await;
    assert!(!b.exists(one.text("id")));
    let two = b.create(case.type_name, &case.small).await;
    assert_ne!(one.get("tags_all"), two.get("tags_all"));
    a.stop().await;
    assert!(b.refresh(&two).await.unwrap().is_some());
}
