//! The surface of the protocol, whatever the resource: garbage in every message, unknowns in every place, schemas that core
//! loads, a provider that is not configured, and the codec that carries all of it.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;

use crate::core::oracle::{self, implied_type, schema_complaints};
use crate::core::{Action, Core, Json, Told, UNKNOWN, checked, decode, dynamic, json, merge, patched, pb, serve, value};
use azimage::framework::Server;
use azimage::provider::Provider;
use azimage::rpc::Service;
use azimage::schema::{Type, Value, msgpack};
use pb::provider_server::Provider as Wire;
use pb::schema::Block;
use prost::Message;
use tonic::{Code, Request};

type Rpc = Service<Provider>;

fn garbage(seed: u64) -> Vec<Option<pb::DynamicValue>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all: Vec<Option<pb::DynamicValue>> = Vec::new();
    let bytes = |msgpack: &[u8], json: &[u8]| Some(pb::DynamicValue { msgpack: msgpack.to_vec(), json: json.to_vec() });
    // well-formed and of the wrong type, cut off, endless nesting, keys that are no text
    let wrong: [&[u8]; 14] = [
        b"\xc3", b"\x01", b"\xa1a", b"\x90", b"\x80", b"\x91\xc0", b"\x81\x01\x02", b"\x81\xa1a", b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xd4\x00", b"\xc1", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    ];
    all.extend(wrong.iter().map(|wrong| bytes(wrong, b"")));
    all.push(bytes(&[0x91; 100_000], b""));
    all.push(bytes(&[0x81; 100_000], b""));
    for json in ["{", "[]", "3", "\"x\"", "nul", "\u{0}"] {
        all.push(bytes(b"", json.as_bytes()));
    }
    for _ in 0..40 {
        let length = random.usize(1..60);
        let mut noise: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        // null and extensions would be fine
        if matches!(noise[0], 0xc0 | 0xc7..=0xc9 | 0xd4..=0xd8) {
            noise[0] = 0xc1;
        }
        all.push(bytes(&noise, b""));
    }
    all
}

// An answer to garbage: an error for the user, and never a bug of ours.
#[track_caller]
fn assert_refused(rpc: &str, diagnostics: &[pb::Diagnostic]) {
    assert!(diagnostics.iter().any(|told| told.severity == 1), "{rpc} took garbage: {:?}", Told(diagnostics.to_vec()));
    for told in diagnostics {
        assert!(matches!(told.severity, 1 | 2) && !told.summary.is_empty());
        assert!(!told.summary.contains("bug of its own"), "{rpc}: {}", told.detail);
    }
}

// Item 22, and the "never a panic".
#[tokio::test]
async fn garbage_in_every_value_of_every_call_is_an_error() {
    let core = Core::new().await;
    let rpc = &core.service;
    for dv in garbage(7) {
        let request = pb::prepare_provider_config::Request { config: dv.clone() };
        assert_refused("prepare", &rpc.prepare_provider_config(Request::new(request)).await.unwrap().into_inner().diagnostics);
        let request = pb::configure::Request { config: dv.clone(), ..Default::default() };
        assert_refused("configure", &rpc.configure(Request::new(request)).await.unwrap().into_inner().diagnostics);
        for name in core.schema.data_source_schemas.keys() {
            let type_name = name.clone();
            let request = pb::validate_data_source_config::Request { type_name: type_name.clone(), config: dv.clone() };
            assert_refused("validate data", &rpc.validate_data_source_config(Request::new(request)).await.unwrap().into_inner().diagnostics);
            let request = pb::read_data_source::Request { type_name, config: dv.clone(), ..Default::default() };
            assert_refused("read data", &rpc.read_data_source(Request::new(request)).await.unwrap().into_inner().diagnostics);
        }
        for name in core.schema.resource_schemas.keys() {
            let type_name = name.clone();
            let request = pb::validate_resource_type_config::Request { type_name, config: dv.clone(), client_capabilities: None };
            assert_refused("validate", &rpc.validate_resource_type_config(Request::new(request)).await.unwrap().into_inner().diagnostics);
            let request = pb::read_resource::Request { type_name: name.clone(), current_state: dv.clone(), private: b"\xff".to_vec(), ..Default::default() };
            let answer = rpc.read_resource(Request::new(request)).await.unwrap().into_inner();
            assert_refused("read", &answer.diagnostics);
            let good = dynamic(&oracle::nothing(core.block(name)), &core.ty(name));
            for place in 0..2 {
                let pick = |at: usize| if at == place { dv.clone() } else { good.clone() };
                let request = pb::plan_resource_change::Request {
                    type_name: name.clone(),
                    prior_state: pick(0),
                    proposed_new_state: good.clone(),
                    config: pick(1),
                    prior_private: b"not ours".to_vec(),
                    ..Default::default()
                };
                assert_refused("plan", &rpc.plan_resource_change(Request::new(request)).await.unwrap().into_inner().diagnostics);
            }
            for place in 0..3 {
                let pick = |at: usize| if at == place { dv.clone() } else { good.clone() };
                let request = pb::apply_resource_change::Request {
                    type_name: name.clone(),
                    prior_state: pick(0),
                    planned_state: pick(1),
                    config: pick(2),
                    planned_private: b"\x00".to_vec(),
                    ..Default::default()
                };
                let before = request.prior_state.clone();
                let answer = rpc.apply_resource_change(Request::new(request)).await.unwrap().into_inner();
                assert_refused("apply", &answer.diagnostics);
                assert_eq!(answer.new_state, before, "what was in the state stays");
            }
            let request = pb::generate_resource_config::Request { type_name: name.clone(), state: dv.clone() };
            assert_refused("generate", &rpc.generate_resource_config(Request::new(request)).await.unwrap().into_inner().diagnostics);
            let identity = Some(pb::ResourceIdentityData { identity_data: dv.clone() });
            let request = pb::import_resource_state::Request { type_name: name.clone(), identity, ..Default::default() };
            assert_refused("import", &rpc.import_resource_state(Request::new(request)).await.unwrap().into_inner().diagnostics);
        }
    }
}

#[tokio::test]
async fn garbage_in_every_stored_json_is_an_error() {
    let core = Core::new().await;
    let rpc = &core.service;
    for text in ["", "{", "[]", "3", "null", "\"x\"", "{\"timeouts\":3}", "\u{feff}{}", "{\"id\":[]}"] {
        for name in core.schema.resource_schemas.keys() {
            let raw = Some(pb::RawState { json: text.as_bytes().to_vec(), flatmap: Default::default() });
            let request = pb::upgrade_resource_state::Request { type_name: name.clone(), version: 0, raw_state: raw.clone() };
            assert_refused("upgrade", &rpc.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner().diagnostics);
            let request = pb::move_resource_state::Request {
                target_type_name: name.clone(),
                source_type_name: "azurerm_image".into(),
                source_provider_address: "registry.terraform.io/hashicorp/azurerm".into(),
                source_state: raw.clone(),
                ..Default::default()
            };
            assert_refused("move", &rpc.move_resource_state(Request::new(request)).await.unwrap().into_inner().diagnostics);
            if !text.is_empty() && text != "null" {
                let request = pb::upgrade_resource_identity::Request { type_name: name.clone(), version: 0, raw_identity: raw };
                let answer = rpc.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
                // attributes that an identity does not have are dropped, as in states
                if !text.starts_with("{\"") {
                    assert_refused("upgrade identity", &answer.diagnostics);
                }
            }
        }
    }
}

// Items 43, 44, 46.
#[tokio::test]
async fn stored_state_is_read_leniently_and_never_guessed() {
    let core = Core::new().await;
    let rpc = &core.service;
    for case in cases::all() {
        let name = case.type_name.to_owned();
        let upgrade = async |version: i64, raw: pb::RawState| {
            let request = pb::upgrade_resource_state::Request { type_name: name.clone(), version, raw_state: Some(raw) };
            rpc.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner()
        };
        let raw = |json: &Json| pb::RawState { json: json.to_string().into_bytes(), flatmap: Default::default() };
        // attributes of other versions of this provider: unknown ones go, missing ones are null, blocks are empty
        let mut old = case.small.clone();
        merge(&mut old, &json!({"gone_since": {"a": [1]}, "id": "x"}));
        let answer = upgrade(0, raw(&old)).await;
        assert!(answer.diagnostics.is_empty(), "{:?}", Told(answer.diagnostics));
        let state = decode(&answer.upgraded_state, &core.ty(&name));
        assert!(state.is_wholly_known());
        let mut expected = core.config(&name, &case.small);
        expected.set("id", "x".into());
        assert_eq!(state, expected);
        for version in [1, 99, -1] {
            let answer = upgrade(version, raw(&old)).await;
            assert_refused("upgrade", &answer.diagnostics);
            assert!(Told(answer.diagnostics).errors().contains(&version.to_string()));
        }
        let flat = pb::RawState { json: Vec::new(), flatmap: [("id".to_owned(), "x".to_owned())].into() };
        let answer = upgrade(0, flat.clone()).await;
        Told(answer.diagnostics).assert_error(&["0.11"]);
        let request = pb::move_resource_state::Request {
            target_type_name: name.clone(),
            source_type_name: "azurerm_image".into(),
            source_state: Some(flat),
            ..Default::default()
        };
        assert_refused("move", &rpc.move_resource_state(Request::new(request)).await.unwrap().into_inner().diagnostics);
        // a state from before there were identities has none to upgrade, and that is fine
        let request = pb::upgrade_resource_identity::Request { type_name: name.clone(), version: 0, raw_identity: Some(Default::default()) };
        let answer = rpc.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
        assert!(answer.diagnostics.is_empty() && answer.upgraded_identity.is_none());
    }
}

// Item 44: an identity that is stored as JSON comes back the same.
#[tokio::test(start_paused = true)]
async fn identities_survive_an_upgrade_and_fill_in_where_they_are_missing() {
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let held = core.create(case.type_name, &case.small).await;
        let identity = held.identity.clone().unwrap();
        let raw = azimage::schema::json::encode(&identity).to_string().into_bytes();
        let request = pb::upgrade_resource_identity::Request {
            type_name: case.type_name.into(),
            version: 0,
            raw_identity: Some(pb::RawState { json: raw, flatmap: Default::default() }),
        };
        let answer = core.service.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
        let upgraded = decode(&answer.upgraded_identity.unwrap().identity_data, &core.identity_type(case.type_name));
        assert_eq!(upgraded, identity);
        let mut without = held.clone();
        without.identity = None;
        let (read, _) = core.read(&without).await.unwrap();
        assert_eq!(read.unwrap().identity, Some(identity.clone()), "{}", case.name);
        // optional parts may be left out: they are the provider's
        let mut partly = identity.clone();
        let fields = &core.identities[case.type_name].identity_attributes;
        for field in fields.iter().filter(|field| field.optional_for_import) {
            partly.set(&field.name, Value::Null);
        }
        let brought = core.import(case.type_name, "", Some(&partly)).await.unwrap();
        assert_eq!(brought.identity, Some(identity.clone()), "{}", case.name);
        for field in fields.iter().filter(|field| field.required_for_import) {
            let mut lacking = identity.clone();
            lacking.set(&field.name, Value::Null);
            let told = core.import(case.type_name, "", Some(&lacking)).await.unwrap_err();
            told.assert_error(&[&field.name]);
        }
    }
}

// Item 42: bytes that the provider did not write, and those that it did, come back or are dropped, and hurt nobody.
#[tokio::test(start_paused = true)]
async fn foreign_private_bytes_hurt_nobody() {
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let mut held = core.create(case.type_name, &case.small).await;
        for bytes in [&b"\xff\x00nonsense"[..], b"[]", b"{\"operation\":3}", b"{\"operation\":{\"url\":\"https://evil.example/\"}}"] {
            held.private = bytes.to_vec();
            let read = core.refresh(&held).await.unwrap().unwrap();
            assert_eq!(read.state, held.state);
            let full = patched(&case.small, &case.full);
            let plan = core.plan(case.type_name, Some(&held), &full).await;
            let applied = core.apply(&plan).await;
            assert!(!applied.told.has_errors(), "{}: {:?}", case.name, applied.told);
            held = core.change(&applied.held.unwrap(), &case.small, Action::Update).await;
        }
        // private bytes that are ours travel on
        held.private = b"{\"kept\":1}".to_vec();
        let (read, _) = core.read(&held).await.unwrap();
        assert_eq!(read.unwrap().private, b"{\"kept\":1}", "{}", case.name);
        held.private = b"{\"operation\":\"\"}".to_vec();
        assert!(core.destroy(&held).await.held.is_none());
    }
}

// Item 25.
#[tokio::test]
async fn core_loads_every_schema() {
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
        assert_eq!(identity.version, 0);
        assert!(!identity.identity_attributes.is_empty());
        for attribute in &identity.identity_attributes {
            assert!(attribute.required_for_import != attribute.optional_for_import, "{name}.{}", attribute.name);
            assert!(!attribute.description.is_empty());
            let ty = Type::from_json(&serde_json::from_slice(&attribute.r#type).unwrap());
            assert!(matches!(ty, Some(Type::String | Type::Number | Type::Bool)), "{name}.{}", attribute.name);
        }
    }
    let is_word = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    for (name, function) in &schema.functions {
        assert!(is_word(name), "{name}");
        assert!(!function.summary.is_empty());
        let returns = function.r#return.as_ref().unwrap();
        assert!(Type::from_json(&serde_json::from_slice(&returns.r#type).unwrap()).is_some());
        let mut seen = Vec::new();
        for parameter in function.parameters.iter().chain(&function.variadic_parameter) {
            assert!(is_word(&parameter.name) && !seen.contains(&&parameter.name), "{name}({})", parameter.name);
            assert!(Type::from_json(&serde_json::from_slice(&parameter.r#type).unwrap()).is_some());
            assert!(!parameter.description.is_empty());
            seen.push(&parameter.name);
        }
    }
}

fn assert_documented(path: &str, block: &Block) {
    assert!(!block.description.is_empty(), "{path} is not described");
    for attribute in &block.attributes {
        let text = &attribute.description;
        assert!(text.ends_with('.'), "{path}.{} wants a whole sentence: {text:?}", attribute.name);
    }
    for nested in &block.block_types {
        assert_documented(&format!("{path}.{}", nested.type_name), nested.block.as_ref().unwrap());
    }
}

// Item 26: by any process, in any state, in any order.
#[tokio::test]
async fn the_schema_is_the_same_every_time() {
    let core = Core::new().await;
    let (_, fresh) = serve();
    let again = fresh.get_schema(Request::new(Default::default())).await.unwrap().into_inner();
    assert_eq!(again.encode_to_vec(), core.schema.encode_to_vec());
    let twice = core.service.get_schema(Request::new(Default::default())).await.unwrap().into_inner();
    assert_eq!(twice.encode_to_vec(), again.encode_to_vec());
    assert!(again.encode_to_vec().len() < 1 << 20);
    let functions = fresh.get_functions(Request::new(Default::default())).await.unwrap().into_inner().functions;
    assert_eq!(functions, again.functions);
    let names = fresh.get_metadata(Request::new(Default::default())).await.unwrap().into_inner();
    let listed: Vec<&String> = names.resources.iter().map(|resource| &resource.type_name).collect();
    assert_eq!(listed, again.resource_schemas.keys().collect::<Vec<_>>());
    assert_eq!(names.data_sources.len(), again.data_source_schemas.len());
    assert_eq!(names.functions.len(), again.functions.len());
    assert_eq!(names.server_capabilities, again.server_capabilities);
}

// Item 27.
#[tokio::test]
async fn core_is_told_what_it_may_rely_on() {
    let core = Core::new().await;
    let expected = pb::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: true,
        generate_resource_config: true,
    };
    assert_eq!(core.schema.server_capabilities, Some(expected));
}

// Item 26: a process that is never asked for its schema answers everything else.
#[tokio::test(start_paused = true)]
async fn nobody_has_to_ask_for_the_schema_first() {
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

// Item 28.
#[tokio::test]
async fn what_is_not_offered_is_unimplemented() {
    let (_, rpc) = serve();
    macro_rules! unimplemented {
        ($($method:ident),*) => {$(
            let Err(status) = rpc.$method(Request::new(Default::default())).await else { panic!("{}", stringify!($method)) };
            assert_eq!(status.code(), Code::Unimplemented, "{}", stringify!($method));
        )*};
    }
    unimplemented!(
        validate_ephemeral_resource_config, open_ephemeral_resource, renew_ephemeral_resource, close_ephemeral_resource,
        list_resource, validate_list_resource_config, plan_action, invoke_action, validate_action_config
    );
}

#[tokio::test]
async fn types_that_do_not_exist_are_named() {
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
        assert!(Told(diagnostics).errors().contains("azimage_unicorn"), "{method}");
    }
}

// Item 29: unknown is no error, in any place, alone or together.
#[tokio::test]
async fn validation_lets_unknowns_pass() {
    let core = Core::new().await;
    for case in cases::all() {
        let block = core.block(case.type_name);
        let full = core.config(case.type_name, &patched(&case.small, &case.full));
        let mut configs = vec![Value::Unknown, Value::Null, unknown_everywhere(block)];
        holes(&full, &mut |hole| configs.push(hole));
        for config in configs {
            let told = core.validate(case.type_name, &config).await;
            assert!(!told.has_errors(), "{}: {told:?} for {config:#?}", case.name);
        }
    }
    for (name, schema) in &core.schema.data_source_schemas {
        let block = schema.block.as_ref().unwrap();
        for config in [Value::Unknown, Value::Null, unknown_everywhere(block)] {
            let request = pb::validate_data_source_config::Request { type_name: name.clone(), config: dynamic(&config, &implied_type(block)) };
            let answer = core.service.validate_data_source_config(Request::new(request)).await.unwrap().into_inner();
            let told = checked(block, answer.diagnostics);
            assert!(!told.has_errors(), "{name}: {told:?}");
        }
    }
    let block = core.schema.provider.as_ref().unwrap().block.as_ref().unwrap();
    for config in [Value::Unknown, Value::Null, unknown_everywhere(block)] {
        let request = pb::prepare_provider_config::Request { config: dynamic(&config, &implied_type(block)) };
        let answer = core.service.prepare_provider_config(Request::new(request)).await.unwrap().into_inner();
        let told = checked(block, answer.diagnostics);
        assert!(!told.has_errors(), "{told:?}");
    }
}

// Everything that a user may write, unknown.
fn unknown_everywhere(block: &Block) -> Value {
    let mut config = oracle::nothing(block);
    for attribute in block.attributes.iter().filter(|attribute| attribute.required || attribute.optional) {
        config.set(&attribute.name, Value::Unknown);
    }
    for nested in &block.block_types {
        config.set(&nested.type_name, Value::Unknown);
    }
    config
}

// The same value with each part of it, at any depth, unknown in turn.
fn holes(value: &Value, out: &mut dyn FnMut(Value)) {
    match value {
        Value::Object(fields) | Value::Map(fields) => {
            for (name, field) in fields {
                let mut with = |inner: Value| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), inner);
                    out(if matches!(value, Value::Map(_)) { Value::Map(fields) } else { Value::Object(fields) });
                };
                // null stands for what is not configured, or not configurable
                if !field.is_null() {
                    with(Value::Unknown);
                    holes(field, &mut with);
                }
            }
        }
        Value::List(elements) | Value::Set(elements) => {
            for (at, element) in elements.iter().enumerate() {
                let mut with = |inner: Value| {
                    let mut elements = elements.clone();
                    elements[at] = inner;
                    out(if matches!(value, Value::Set(_)) { Value::Set(elements) } else { Value::List(elements) });
                };
                with(Value::Unknown);
                holes(element, &mut with);
            }
        }
        _ => {}
    }
}

// Items 30, 37, 29: plans with every part unknown in turn, of a new object and of one that exists.
#[tokio::test(start_paused = true)]
async fn plans_with_any_unknown_are_what_core_takes() {
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let full = patched(&case.small, &case.full);
        let held = core.create(case.type_name, &full).await;
        let config = core.config(case.type_name, &full);
        let mut configs = vec![unknown_everywhere(core.block(case.type_name))];
        holes(&config, &mut |hole| configs.push(hole));
        for config in configs {
            for prior in [None, Some(&held)] {
                let plan = core.try_plan(case.type_name, prior, &config).await;
                if let Err(told) = plan {
                    panic!("{}: {told:?} for {config:#?}", case.name);
                }
            }
        }
    }
}

// Item 50, and bad values that can be known before anything is done.
#[tokio::test]
async fn bad_values_are_refused_where_they_stand() {
    let core = Core::new().await;
    let rows: Vec<(cases::Case, Json, &str, &str)> = vec![
        (cases::gallery(), json!({"name": "my-gallery"}), "name", "hyphen"),
        (cases::gallery(), json!({"name": ""}), "name", "1 to 80"),
        (cases::gallery(), json!({"location": "west-europe"}), "location", "region"),
        (cases::gallery(), json!({"subscription_id": "mine"}), "subscription_id", "GUID"),
        (cases::gallery(), json!({"tags": {"a/b": "x"}}), "tags", "a/b"),
        (cases::gallery(), json!({"soft_delete": {"enabled": true, "retention_days": 0}}), "soft_delete.retention_days", "between"),
        (cases::gallery(), json!({"identity": {"type": "userassigned"}}), "identity.type", "UserAssigned"),
        (cases::gallery(), json!({"identity": {"type": "UserAssigned"}}), "identity.identity_ids", "identity_ids"),
        (cases::gallery(), json!({"sharing": {"permission": "Community"}}), "sharing.community", "community"),
        (cases::gallery(), json!({"sharing": {"permission": "Private", "tenant_ids": [cases::GUID_A]}}), "sharing.tenant_ids", "Groups"),
        (cases::gallery(), json!({"timeouts": {"create": "soon"}}), "timeouts.create", "duration"),
        (cases::image_definition(), json!({"gallery_id": "gal"}), "gallery_id", "galleries"),
        (cases::image_definition(), json!({"os_type": "linux"}), "os_type", "Linux"),
        (cases::image_definition(), json!({"hyper_v_generation": "v2"}), "hyper_v_generation", "V2"),
        (cases::image_definition(), json!({"end_of_life_date": "2031-01-01"}), "end_of_life_date", "2027-12-31T00:00:00Z"),
        (cases::image_definition(), json!({"identifier": {"publisher": "a b"}}), "identifier.publisher", "' '"),
        (cases::image_definition(), json!({"recommended": {"minimum_vcpus": 8, "maximum_vcpus": 2}}), "recommended.minimum_vcpus", "8 is more than 2"),
        (cases::image_definition(), json!({"recommended": {"minimum_vcpus": 0}}), "recommended.minimum_vcpus", "between"),
        (cases::image_definition(), json!({"features": {"SecurityType": "x"}}), "features", "security_type"),
        (cases::image_definition(), json!({"hyper_v_generation": "V1", "security_type": "TrustedLaunch"}), "security_type", "V2"),
        (cases::image_definition(), json!({"eula": "x", "privacy_statement_uri": "ftp://x"}), "privacy_statement_uri", "https://"),
        (cases::image_version(), json!({"version": "1.0"}), "version", "1.0"),
        (cases::image_version(), json!({"version": "1.0.4294967296"}), "version", "4294967296"),
        (cases::image_version(), json!({"version": "latest"}), "version", "latest"),
        (cases::image_version(), json!({"source": {"virtual_machine_id": cases::rg("virtualMachines/v")}}), "source.virtual_machine_id", "more than one way"),
        (cases::image_version(), json!({"source": {"managed_image_id": null}}), "source", "names no bits"),
        (cases::image_version(), json!({"source": {"managed_image_id": cases::rg("disks/d")}}), "source.managed_image_id", "id"),
        (cases::image_version(), json!({"target_region": [{"name": "West Europe"}, {"name": "westeurope"}]}), "target_region", "given twice"),
        (cases::image_version(), json!({"target_region": [{"name": "eastus", "regional_replica_count": 101}]}), "target_region", "between 1 and 100"),
        (cases::image_version(), json!({"replication_mode": "Shallow"}), "replication_mode", "Shallow"),
        (cases::image_version(), json!({"block_deletion_before_end_of_life": true, "end_of_life_date": null}), "end_of_life_date", "missing"),
        (cases::image_version(), json!({"wait_for_replication": "some"}), "wait_for_replication", "home"),
        (cases::image_version(), json!({"uefi_settings_json": "[]"}), "uefi_settings_json", "object"),
        (cases::image_version(), json!({"target_region": [{"name": "eastus", "encryption": {}}]}), "target_region", "empty"),
        (cases::version_of_disks(), json!({"source": {"data_disk": [{"lun": 1}]}}), "source.data_disk", "exactly one"),
        (cases::version_of_disks(), json!({"source": {"os_disk": null}}), "source.data_disk", "os_disk"),
        (cases::captured_image(), json!({"capture": null}), "", "no source"),
        (cases::image_of_disks(), json!({"os_disk": {"snapshot_id": cases::rg("snapshots/s")}}), "os_disk.snapshot_id", "more than one source"),
        (cases::image_of_disks(), json!({"os_disk": {"size_gb": 0}}), "os_disk.size_gb", "between"),
        (cases::image_replication(), json!({"regions": ["East US", "eastus"]}), "regions", "twice"),
        (cases::pin(), json!({"urn": "Canonical:ubuntu-24_04-lts:server:latest"}), "urn", "latest"),
        (cases::pin(), json!({"urn": "Canonical"}), "urn", ":"),
        (cases::agreement(), json!({"plan": ""}), "plan", "empty"),
    ];
    for (case, patch, path, says) in rows {
        // a patch of the small configuration, with what it needs to be wrong in one way only
        let mut base = case.small.clone();
        if patch.get("end_of_life_date") == Some(&Json::Null) {
            base["end_of_life_date"] = Json::Null;
        }
        let config = core.config(case.type_name, &patched(&base, &patch));
        let told = core.validate(case.type_name, &config).await;
        assert!(told.error_paths().contains(&path.to_owned()), "{} {patch}: {told:?}", case.name);
        let text = told.errors();
        assert!(text.contains(says), "{} {patch}: no {says:?} in {text}", case.name);
    }
}

// Items 57, 58.
#[tokio::test(start_paused = true)]
async fn a_provider_whose_configuration_is_unknown_still_plans() {
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let full = patched(&case.small, &case.full);
        let held = core.create(case.type_name, &full).await;
        let next = core.again(json!({})).await;
        let told = next.configure(&json!({"subscription_id": UNKNOWN, "environment": "emulator"})).await;
        assert!(!told.has_errors(), "{told:?}");
        // a creation is planned with what is known
        let created = next.plan(case.type_name, None, &full).await;
        assert_eq!(created.action, Action::Create);
        // what exists is kept as it was last seen
        let (read, told) = next.read(&held).await.unwrap();
        told.assert_warning(&["not refreshed"]);
        assert_eq!(read.unwrap().state, held.state);
        let plan = next.plan(case.type_name, Some(&held), &full).await;
        assert_ne!(plan.action, Action::Replace, "{}: {:?}", case.name, plan.replace);
        // at apply it is known, and the first plan's promises hold
        let known = core.again(json!({})).await;
        assert!(core.destroy(&held).await.held.is_none());
        let applied = known.apply(&created).await;
        assert!(!applied.told.has_errors(), "{}: {:?}", case.name, applied.told);
        // and applied while it is still unknown, it is an error that loses nothing
        let refused = next.apply(&created).await;
        refused.told.assert_error(&["not configured"]);
        let kept = next.destroy(&applied.held.unwrap()).await;
        kept.told.assert_error(&["not configured", "after apply"]);
        assert!(kept.held.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_configuration_work_is_refused_and_nothing_is_lost() {
    let core = Core::new().await;
    let case = cases::gallery();
    let held = core.create(case.type_name, &case.small).await;
    let (_, rpc) = serve();
    let ty = core.ty(case.type_name);
    let request = pb::read_resource::Request { type_name: case.type_name.into(), current_state: dynamic(&held.state, &ty), ..Default::default() };
    let answer = rpc.read_resource(Request::new(request)).await.unwrap().into_inner();
    Told(answer.diagnostics).assert_error(&["not configured"]);
    assert_eq!(decode(&answer.new_state, &ty), held.state);
    let request = pb::apply_resource_change::Request {
        type_name: case.type_name.into(),
        prior_state: dynamic(&held.state, &ty),
        planned_private: b"{\"a\":1}".to_vec(),
        ..Default::default()
    };
    let answer = rpc.apply_resource_change(Request::new(request)).await.unwrap().into_inner();
    Told(answer.diagnostics).assert_error(&["not configured"]);
    assert_eq!(decode(&answer.new_state, &ty), held.state);
    assert_eq!(answer.private, b"{\"a\":1}");
}

// Item 16: a debugged provider serves many runs.
#[tokio::test(start_paused = true)]
async fn the_last_configuration_counts() {
    let core = Core::with(json!({"default_tags": {"run": "1"}})).await;
    let case = cases::gallery();
    let held = core.create(case.type_name, &case.small).await;
    let state_path = core.schema.provider.is_some();
    assert!(state_path);
    let next = core.again(json!({"default_tags": {"run": "2"}})).await;
    let plan = next.plan(case.type_name, Some(&held), &case.small).await;
    assert_eq!(plan.action, Action::Update);
    // a configuration that cannot be does not leave the old one in force
    let told = next.configure(&json!({"environment": "emulator", "metadata_host": "x"})).await;
    told.assert_error(&["metadata_host"]);
}

// Item 51.
#[tokio::test(start_paused = true)]
async fn a_data_source_says_what_it_was_asked_in_the_same_words() {
    const NAME: &str = "azimage_marketplace_image";
    let core = Core::new().await;
    let parts = json!({"location": "East US", "publisher": "kinvolk", "offer": "flatcar-container-linux-free", "sku": "stable-gen2"});
    let latest = core.data(NAME, &parts).await.unwrap();
    assert_eq!(latest.get("location").as_str(), Some("East US"));
    let constrained = core.data(NAME, &patched(&parts, &json!({"version": "~> 4081.2"}))).await.unwrap();
    assert_eq!(constrained.get("version").as_str(), Some("4081.2.1"), "documented to come back exact");
    assert_eq!(constrained.get("exact_version").as_str(), Some("4081.2.1"));
    let urn = constrained.get("exact_urn").as_str().unwrap().to_owned();
    assert_eq!(urn, cases::URN.replace("3374.2.5", "4081.2.1"));
    let exact = core.data(NAME, &json!({"location": "eastus", "urn": urn})).await.unwrap();
    assert_eq!(exact.get("urn").as_str(), Some(urn.as_str()));
    assert_eq!(exact.get("id"), constrained.get("id"));
    // twice the same is the same
    assert_eq!(core.data(NAME, &parts).await.unwrap(), latest);
    // what is not known yet is read at apply
    assert!(core.data(NAME, &patched(&parts, &json!({"sku": UNKNOWN}))).await.unwrap().is_unknown());
    // what does not exist is an error, not null
    for (patch, says) in [
        (json!({"version": "9.9.9"}), "9.9.9"),
        (json!({"version": "~> 9.9"}), "~> 9.9"),
        (json!({"sku": "unstable"}), "unstable"),
        (json!({"publisher": "nobody"}), "nobody"),
        (json!({"version": "one"}), "one"),
        (json!({"urn": "a:b:c:1.0.0"}), "urn"),
    ] {
        let told = core.data(NAME, &patched(&parts, &patch)).await.unwrap_err();
        told.assert_error(&[says]);
    }
    core.fault(json!({"path": "publishers", "count": 0, "status": 403, "code": "AuthorizationFailed", "message": "No."}));
    let fresh = core.again(json!({})).await;
    fresh.data(NAME, &parts).await.unwrap_err().assert_error(&["AuthorizationFailed"]);
}

// Item 52.
#[tokio::test]
async fn functions_answer_without_a_configuration_and_point_at_the_wrong_argument() {
    let (_, rpc) = serve();
    let signatures = rpc.get_functions(Request::new(Default::default())).await.unwrap().into_inner().functions;
    let call = async |name: &str, arguments: &[Json]| {
        let signature = &signatures[name];
        let types = signature.parameters.iter().map(|parameter| type_of(&parameter.r#type));
        let arguments = types.zip(arguments).map(|(ty, json)| dynamic(&core::typed(json, &ty), &ty).unwrap()).collect();
        let request = pb::call_function::Request { name: name.into(), arguments };
        let answer = rpc.call_function(Request::new(request)).await.unwrap().into_inner();
        match answer.error {
            Some(error) => {
                assert!(answer.result.is_none() && !error.text.is_empty());
                assert!(!error.text.contains("bug"), "{}", error.text);
                Err((error.function_argument, error.text))
            }
            None => {
                let ty = type_of(&signature.r#return.as_ref().unwrap().r#type);
                Ok(azimage::schema::json::encode(&decode(&answer.result, &ty)))
            }
        }
    };
    type Row = (&'static str, Vec<Json>, Result<Json, i64>);
    let rows: Vec<Row> = vec![
        ("format_urn", vec![json!("a"), json!("b"), json!("c"), json!("1.0.0")], Ok(json!("a:b:c:1.0.0"))),
        ("format_urn", vec![json!("a"), json!("b"), json!(""), json!("1.0.0")], Err(2)),
        ("parse_urn", vec![json!("a:b:c:1.0.0")], Ok(json!({"publisher": "a", "offer": "b", "sku": "c", "version": "1.0.0"}))),
        ("parse_urn", vec![json!("a:b")], Err(0)),
        ("version_bump", vec![json!("1.2.3"), json!("minor")], Ok(json!("1.3.0"))),
        ("version_bump", vec![json!("1.2.3"), json!("huge")], Err(1)),
        ("version_bump", vec![json!("x"), json!("minor")], Err(0)),
        ("version_satisfies", vec![json!("1.10.0"), json!("~> 1.9")], Ok(json!(true))),
        ("version_satisfies", vec![json!("1.10.0"), json!("~~ 1")], Err(1)),
        ("version_sort", vec![json!(["1.10.0", "1.9.0"])], Ok(json!(["1.9.0", "1.10.0"]))),
        ("version_sort", vec![json!(["1.10.0", null])], Err(0)),
        ("version_sort", vec![json!(["1.10.0", "x"])], Err(0)),
        ("version_latest", vec![json!(["1.10.0", "1.9.0", "2.0.0"]), json!("< 2")], Ok(json!("1.10.0"))),
        ("version_latest", vec![json!(["1.10.0"]), json!("> ")], Err(1)),
        ("parse_image_id", vec![json!("no id")], Err(0)),
    ];
    for (name, arguments, expected) in rows {
        let first = call(name, &arguments).await;
        assert_eq!(first, call(name, &arguments).await, "{name} is the same every time");
        match (first, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name} {arguments:?}"),
            (Err((argument, _)), Err(expected)) => assert_eq!(argument, Some(expected), "{name} {arguments:?}"),
            (found, expected) => panic!("{name} {arguments:?}: {found:?}, not {expected:?}"),
        }
    }
    for (name, signature) in &signatures {
        assert!(signature.parameters.iter().all(|p| !p.allow_null_value && !p.allow_unknown_values), "{name}");
        // core never lets null, nothing, too few, too many or garbage through: errors all the same
        let good = || vec![Some(pb::DynamicValue { msgpack: b"\xc0".to_vec(), json: vec![] }); signature.parameters.len()];
        for arguments in [vec![], good(), vec![Some(pb::DynamicValue::default()); signature.parameters.len()], [good(), good(), good()].concat()] {
            let request = pb::call_function::Request { name: name.clone(), arguments: arguments.into_iter().flatten().collect() };
            let answer = rpc.call_function(Request::new(request)).await.unwrap().into_inner();
            assert!(answer.error.is_some() && answer.result.is_none(), "{name}");
        }
        for dv in garbage(11) {
            let arguments = vec![dv.unwrap(); signature.parameters.len()];
            let request = pb::call_function::Request { name: name.clone(), arguments };
            let answer = rpc.call_function(Request::new(request)).await.unwrap().into_inner();
            let text = answer.error.map(|error| error.text).unwrap_or_default();
            assert!(!text.contains("bug of its own"), "{name}: {text}");
        }
    }
    let request = pb::call_function::Request { name: "unicorn".into(), arguments: vec![] };
    let answer = rpc.call_function(Request::new(request)).await.unwrap().into_inner();
    assert!(answer.error.unwrap().text.contains("unicorn"));
}

fn type_of(bytes: &[u8]) -> Type {
    Type::from_json(&serde_json::from_slice(bytes).unwrap()).unwrap()
}

// Item 56: every generated configuration is one that the provider takes itself; and no state is an error or null.
#[tokio::test(start_paused = true)]
async fn a_configuration_can_be_generated_from_any_state() {
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let full = patched(&case.small, &case.full);
        let held = core.create(case.type_name, &full).await;
        let config = core.generate(&held).await;
        let told = core.validate(case.type_name, &config).await;
        assert!(!told.has_errors(), "{}: {told:?}", case.name);
        for attribute in &core.block(case.type_name).attributes {
            let computed = attribute.computed && !attribute.optional;
            assert!(!computed || config.get(&attribute.name).is_null(), "{}.{} is not the user's", case.name, attribute.name);
        }
        let request = pb::generate_resource_config::Request { type_name: case.type_name.into(), state: None };
        let answer = core.service.generate_resource_config(Request::new(request)).await.unwrap().into_inner();
        let told = checked(core.block(case.type_name), answer.diagnostics);
        assert!(told.has_errors() || decode(&answer.config, &core.ty(case.type_name)).is_null());
    }
}

// Item 59, 17: many at once, stopped in the middle, and again.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_all_that_is_under_way_and_nothing_that_comes_later() {
    let core = Core::new().await;
    cases::with_version(&core);
    core.control("PUT", "settings", json!({"time_scale": 0.0001}));
    let replication = cases::image_replication();
    core.tamper(&cases::rg("galleries/gal/images/def/versions/1.0.0"), json!({"tags": {"a": "b"}}));
    let slow = patched(&cases::gallery().small, &json!({"name": "slow"}));
    let version = patched(&cases::image_version().small, &json!({"version": "3.0.0"}));
    let (one, two) = (core.plan("azimage_gallery", None, &slow).await, core.plan("azimage_image_version", None, &version).await);
    let begun = tokio::time::Instant::now();
    let interrupt = async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        core.stop().await;
        core.stop().await;
    };
    let (one, two, ()) = tokio::join!(core.apply(&one), core.apply(&two), interrupt);
    assert!(begun.elapsed() < std::time::Duration::from_secs(4));
    for applied in [one, two] {
        assert!(!applied.told.has_errors() && applied.held.is_some_and(|held| !held.tainted));
    }
    let waited = core.plan(replication.type_name, None, &replication.small).await;
    let applied = core.apply(&waited).await;
    assert!(!applied.told.has_errors(), "{:?}", applied.told);
}

// A caller that hangs up in the middle of a write does not cut it off.
#[tokio::test(start_paused = true)]
async fn a_write_goes_on_when_the_caller_is_gone() {
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
    core.control("PUT", "settings", json!({"latency": [{"method": "GET", "path": "galleries/gal$", "milliseconds": 1000}]}));
    let call = core.service.apply_resource_change(Request::new(request));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(500), call).await.is_err());
    assert!(!core.exists(&cases::rg("galleries/gal")));
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert!(core.exists(&cases::rg("galleries/gal")));
}

// Items 18, 19, 23 through the surface: a configuration in JSON is a configuration, any extension is unknown, no bytes are null.
#[tokio::test]
async fn values_come_in_every_form_that_core_has() {
    let core = Core::new().await;
    let case = cases::gallery();
    let ty = core.ty(case.type_name);
    let config = core.config(case.type_name, &patched(&case.small, &case.full));
    let as_json = pb::DynamicValue { msgpack: Vec::new(), json: azimage::schema::json::encode(&config).to_string().into_bytes() };
    let mut plans = Vec::new();
    for dv in [dynamic(&config, &ty), Some(as_json)] {
        let request = pb::plan_resource_change::Request {
            type_name: case.type_name.into(),
            prior_state: Some(pb::DynamicValue::default()),
            proposed_new_state: dv.clone(),
            config: dv,
            ..Default::default()
        };
        let answer = core.service.plan_resource_change(Request::new(request)).await.unwrap().into_inner();
        assert!(!Told(answer.diagnostics.clone()).has_errors(), "{:?}", Told(answer.diagnostics));
        plans.push(answer.planned_state);
    }
    assert_eq!(plans[0], plans[1]);
    // refined unknowns, and extensions of later cores
    for unknown in [&b"\xd4\x00\x00"[..], b"\xc7\x03\x0c\x81\x01\xc2", b"\xd5\x63ab", b"\xc7\x00\x00", b"\xc8\x00\x02\x0cab"] {
        assert_eq!(msgpack::decode(unknown, &Type::String).unwrap(), Value::Unknown, "{unknown:x?}");
        assert_eq!(msgpack::decode(unknown, &ty).unwrap(), Value::Unknown);
    }
    assert_eq!(msgpack::encode(&Value::Unknown, &ty), b"\xd4\x00\x00");
    // a whole configuration that is unknown plans to nothing that could be wrong
    let block = core.block(case.type_name);
    let round = |value: &Value| msgpack::decode(&msgpack::encode(value, &ty), &ty).unwrap();
    for value in [Value::Null, oracle::nothing(block), unknown_everywhere(block), config] {
        assert_eq!(round(&value), value);
    }
}

// Two providers in one process, as tests of others may have them, do not meet.
#[tokio::test(start_paused = true)]
async fn two_providers_in_one_process_do_not_meet() {
    let (a, b) = (Core::with(json!({"default_tags": {"a": "1"}})).await, Core::with(json!({"default_tags": {"b": "2"}})).await);
    let case = cases::gallery();
    let one = a.create(case.type_name, &case.small).await;
    assert!(!b.exists(one.text("id")));
    let two = b.create(case.type_name, &case.small).await;
    assert_ne!(one.get("tags_all"), two.get("tags_all"));
    let server: &Server<Provider> = &a.server;
    server.stop();
    assert!(b.refresh(&two).await.unwrap().is_some());
    let _: &Rpc = &a.service;
    let _ = value(a.block(case.type_name), &case.small);
}
