//! Malformed input: garbage in every message, states of other versions, and foreign private state.

use crate::cases;
use crate::core::oracle;
use crate::core::{Action, Core, Diagnostics, Json, decode, dynamic, json, merge, patched, pb};
use azimage::schema::Value;
use pb::provider_server::Provider as Wire;
use tonic::Request;

pub fn garbage(seed: u64) -> Vec<Option<pb::DynamicValue>> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all: Vec<Option<pb::DynamicValue>> = Vec::new();
    let bytes = |msgpack: &[u8], json: &[u8]| {
        Some(pb::DynamicValue { msgpack: msgpack.to_vec(), json: json.to_vec() })
    };
    // the wrong type, truncated, endlessly nested, keys that are not strings
    let wrong: [&[u8]; 14] = [
        b"\xc3",
        b"\x01",
        b"\xa1a",
        b"\x90",
        b"\x80",
        b"\x91\xc0",
        b"\x81\x01\x02",
        b"\x81\xa1a",
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xd4\x00",
        b"\xc1",
        b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
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
        // null and extensions are valid
        if matches!(noise[0], 0xc0 | 0xc7..=0xc9 | 0xd4..=0xd8) {
            noise[0] = 0xc1;
        }
        all.push(bytes(&noise, b""));
    }
    all
}

// The response to garbage must be an error for the user, not a panic.
#[track_caller]
pub fn assert_refused(rpc: &str, diagnostics: &[pb::Diagnostic]) {
    assert!(
        diagnostics.iter().any(|diagnostic| diagnostic.severity == 1),
        "{rpc} accepted garbage: {:?}",
        Diagnostics(diagnostics.to_vec())
    );
    for diagnostic in diagnostics {
        assert!(matches!(diagnostic.severity, 1 | 2) && !diagnostic.summary.is_empty());
        assert!(!diagnostic.summary.contains(azimage::rpc::BUG), "{rpc}: {}", diagnostic.detail);
    }
}

#[tokio::test]
async fn refuses_garbage_in_every_value_of_every_call() {
    let core = Core::new().await;
    let rpc = &core.service;
    for dv in garbage(7) {
        let request = pb::prepare_provider_config::Request { config: dv.clone() };
        assert_refused(
            "prepare",
            &rpc.prepare_provider_config(Request::new(request)).await.unwrap().into_inner().diagnostics,
        );
        let request = pb::configure::Request { config: dv.clone(), ..Default::default() };
        assert_refused(
            "configure",
            &rpc.configure(Request::new(request)).await.unwrap().into_inner().diagnostics,
        );
        for name in core.schema.data_source_schemas.keys() {
            let type_name = name.clone();
            let request =
                pb::validate_data_source_config::Request { type_name: type_name.clone(), config: dv.clone() };
            assert_refused(
                "validate data",
                &rpc.validate_data_source_config(Request::new(request))
                    .await
                    .unwrap()
                    .into_inner()
                    .diagnostics,
            );
            let request =
                pb::read_data_source::Request { type_name, config: dv.clone(), ..Default::default() };
            assert_refused(
                "read data",
                &rpc.read_data_source(Request::new(request)).await.unwrap().into_inner().diagnostics,
            );
        }
        for name in core.schema.resource_schemas.keys() {
            let type_name = name.clone();
            let request = pb::validate_resource_type_config::Request {
                type_name,
                config: dv.clone(),
                client_capabilities: None,
            };
            assert_refused(
                "validate",
                &rpc.validate_resource_type_config(Request::new(request))
                    .await
                    .unwrap()
                    .into_inner()
                    .diagnostics,
            );
            let request = pb::read_resource::Request {
                type_name: name.clone(),
                current_state: dv.clone(),
                private: b"\xff".to_vec(),
                ..Default::default()
            };
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
                assert_refused(
                    "plan",
                    &rpc.plan_resource_change(Request::new(request)).await.unwrap().into_inner().diagnostics,
                );
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
                assert_eq!(answer.new_state, before, "the state is kept");
            }
            let request =
                pb::generate_resource_config::Request { type_name: name.clone(), state: dv.clone() };
            assert_refused(
                "generate",
                &rpc.generate_resource_config(Request::new(request)).await.unwrap().into_inner().diagnostics,
            );
            let identity = Some(pb::ResourceIdentityData { identity_data: dv.clone() });
            let request = pb::import_resource_state::Request {
                type_name: name.clone(),
                identity,
                ..Default::default()
            };
            assert_refused(
                "import",
                &rpc.import_resource_state(Request::new(request)).await.unwrap().into_inner().diagnostics,
            );
        }
    }
}

#[tokio::test]
async fn refuses_garbage_in_every_stored_json() {
    let core = Core::new().await;
    let rpc = &core.service;
    for text in ["", "{", "[]", "3", "null", "\"x\"", "{\"timeouts\":3}", "\u{feff}{}", "{\"id\":[]}"] {
        for name in core.schema.resource_schemas.keys() {
            let raw = Some(pb::RawState { json: text.as_bytes().to_vec(), flatmap: Default::default() });
            let request = pb::upgrade_resource_state::Request {
                type_name: name.clone(),
                version: 0,
                raw_state: raw.clone(),
            };
            assert_refused(
                "upgrade",
                &rpc.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner().diagnostics,
            );
            let request = pb::move_resource_state::Request {
                target_type_name: name.clone(),
                source_type_name: "azurerm_image".into(),
                source_provider_address: "registry.terraform.io/hashicorp/azurerm".into(),
                source_state: raw.clone(),
                ..Default::default()
            };
            assert_refused(
                "move",
                &rpc.move_resource_state(Request::new(request)).await.unwrap().into_inner().diagnostics,
            );
            if !text.is_empty() && text != "null" {
                let request = pb::upgrade_resource_identity::Request {
                    type_name: name.clone(),
                    version: 0,
                    raw_identity: raw,
                };
                let answer = rpc.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
                // unknown attributes of an identity are dropped, as in states
                if !text.starts_with("{\"") {
                    assert_refused("upgrade identity", &answer.diagnostics);
                }
            }
        }
    }
}

#[tokio::test]
async fn reads_stored_states_leniently() {
    let core = Core::new().await;
    let rpc = &core.service;
    for case in cases::all() {
        let name = case.type_name.to_owned();
        let upgrade = async |version: i64, raw: pb::RawState| {
            let request = pb::upgrade_resource_state::Request {
                type_name: name.clone(),
                version,
                raw_state: Some(raw),
            };
            rpc.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner()
        };
        let raw =
            |json: &Json| pb::RawState { json: json.to_string().into_bytes(), flatmap: Default::default() };
        // states of other provider versions: unknown attributes are dropped, missing ones are null, missing blocks are empty
        let mut old = case.small.clone();
        merge(&mut old, &json!({"gone_since": {"a": [1]}, "id": "x"}));
        let answer = upgrade(0, raw(&old)).await;
        assert!(answer.diagnostics.is_empty(), "{:?}", Diagnostics(answer.diagnostics));
        let state = decode(&answer.upgraded_state, &core.ty(&name));
        assert!(state.is_wholly_known());
        let mut expected = core.config(&name, &case.small);
        expected.set("id", "x".into());
        let Ok(entry) = core.server.resource(&name) else { panic!("there is no {name}") };
        assert_eq!(state, azimage::framework::import::complete(entry.body(), expected));
        for version in [1, 99, -1] {
            let answer = upgrade(version, raw(&old)).await;
            assert_refused("upgrade", &answer.diagnostics);
            assert!(Diagnostics(answer.diagnostics).errors().contains(&version.to_string()));
        }
        let flat = pb::RawState { json: Vec::new(), flatmap: [("id".to_owned(), "x".to_owned())].into() };
        let answer = upgrade(0, flat.clone()).await;
        Diagnostics(answer.diagnostics).assert_error(&["0.11"]);
        let request = pb::move_resource_state::Request {
            target_type_name: name.clone(),
            source_type_name: "azurerm_image".into(),
            source_state: Some(flat),
            ..Default::default()
        };
        assert_refused(
            "move",
            &rpc.move_resource_state(Request::new(request)).await.unwrap().into_inner().diagnostics,
        );
        // states written before identities existed have none to upgrade
        let request = pb::upgrade_resource_identity::Request {
            type_name: name.clone(),
            version: 0,
            raw_identity: Some(Default::default()),
        };
        let answer = rpc.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
        assert!(answer.diagnostics.is_empty() && answer.upgraded_identity.is_none());
    }
}

// An identity that is stored as JSON is returned unchanged.
#[tokio::test(start_paused = true)]
async fn an_upgrade_keeps_identities_and_completes_missing_parts() {
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
        let answer =
            core.service.upgrade_resource_identity(Request::new(request)).await.unwrap().into_inner();
        let upgraded =
            decode(&answer.upgraded_identity.unwrap().identity_data, &core.identity_type(case.type_name));
        assert_eq!(upgraded, identity);
        let mut without = held.clone();
        without.identity = None;
        let (read, _) = core.read(&without).await.unwrap();
        assert_eq!(read.unwrap().identity, Some(identity.clone()), "{}", case.name);
        if cases::NOT_IMPORTABLE.contains(&case.type_name) {
            continue;
        }
        // optional parts may be missing: they default to the provider's
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
            let diagnostics = core.import(case.type_name, "", Some(&lacking)).await.unwrap_err();
            diagnostics.assert_error(&[&field.name]);
        }
    }
}

// Private data of this or another provider is returned or dropped, and causes no error.
#[tokio::test(start_paused = true)]
async fn foreign_private_state_causes_no_error() {
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        let mut held = core.create(case.type_name, &case.small).await;
        for bytes in [
            &b"\xff\x00nonsense"[..],
            b"[]",
            b"{\"operation\":3}",
            b"{\"operation\":{\"url\":\"https://evil.example/\"}}",
        ] {
            held.private = bytes.to_vec();
            let read = core.refresh(&held).await.unwrap().unwrap();
            assert_eq!(read.state, held.state);
            let full = patched(&case.small, &case.full);
            let plan = core.plan(case.type_name, Some(&held), &full).await;
            let applied = core.apply(&plan).await;
            assert!(!applied.diagnostics.has_errors(), "{}: {:?}", case.name, applied.diagnostics);
            held = core.change(&applied.held.unwrap(), &case.small, Action::Update).await;
        }
        // our own private state is passed on
        held.private = b"{\"kept\":1}".to_vec();
        let (read, _) = core.read(&held).await.unwrap();
        assert_eq!(read.unwrap().private, b"{\"kept\":1}", "{}", case.name);
        held.private = b"{\"operation\":\"\"}".to_vec();
        assert!(core.destroy(&held).await.held.is_none());
    }
}
