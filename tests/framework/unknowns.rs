//! Configurations with unknown values in every position, and errors that point at invalid values.

use crate::cases;
use crate::core::oracle::{self, implied_type};
use crate::core::{Core, Json, UNKNOWN, checked, dynamic, json, patched, pb};
use azimage::schema::Value;
use pb::provider_server::Provider as Wire;
use pb::schema::Block;
use tonic::Request;

// An unknown value is never an error, in any attribute, alone or combined.
#[tokio::test]
async fn validation_accepts_unknown_values() {
    let core = Core::new().await;
    for case in cases::all() {
        let block = core.block(case.type_name);
        let full = core.config(case.type_name, &patched(&case.small, &case.full));
        let mut configs = vec![Value::Unknown, Value::Null, unknown_everywhere(block)];
        holes(&full, &mut |hole| configs.push(hole));
        for config in configs {
            let diagnostics = core.validate(case.type_name, &config).await;
            assert!(!diagnostics.has_errors(), "{}: {diagnostics:?} for {config:#?}", case.name);
        }
    }
    for (name, schema) in &core.schema.data_source_schemas {
        let block = schema.block.as_ref().unwrap();
        for config in [Value::Unknown, Value::Null, unknown_everywhere(block)] {
            let request = pb::validate_data_source_config::Request {
                type_name: name.clone(),
                config: dynamic(&config, &implied_type(block)),
            };
            let answer =
                core.service.validate_data_source_config(Request::new(request)).await.unwrap().into_inner();
            let diagnostics = checked(block, answer.diagnostics);
            assert!(!diagnostics.has_errors(), "{name}: {diagnostics:?}");
        }
    }
    let block = core.schema.provider.as_ref().unwrap().block.as_ref().unwrap();
    for config in [Value::Unknown, Value::Null, unknown_everywhere(block)] {
        let request = pb::prepare_provider_config::Request { config: dynamic(&config, &implied_type(block)) };
        let answer = core.service.prepare_provider_config(Request::new(request)).await.unwrap().into_inner();
        let diagnostics = checked(block, answer.diagnostics);
        assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    }
}

// Plans with every attribute unknown in turn, for a new object and for an existing one.
#[tokio::test(start_paused = true)]
async fn core_accepts_plans_with_any_attribute_unknown() {
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
                if let Err(diagnostics) = plan {
                    panic!("{}: {diagnostics:?} for {config:#?}", case.name);
                }
            }
        }
    }
}

#[tokio::test]
async fn errors_point_at_invalid_values() {
    let core = Core::new().await;
    let rows: Vec<(cases::Case, Json, &str, &str)> = vec![
        (cases::gallery(), json!({"name": "my-gallery"}), "name", "hyphen"),
        (cases::gallery(), json!({"name": ""}), "name", "1 to 80"),
        (cases::gallery(), json!({"location": "west-europe"}), "location", "region"),
        (cases::gallery(), json!({"subscription_id": "mine"}), "subscription_id", "GUID"),
        (cases::gallery(), json!({"tags": {"a/b": "x"}}), "tags", "a/b"),
        (
            cases::gallery(),
            json!({"soft_delete": {"enabled": true, "retention_days": 0}}),
            "soft_delete.retention_days",
            "between",
        ),
        (cases::gallery(), json!({"identity": {"type": "userassigned"}}), "identity.type", "UserAssigned"),
        (
            cases::gallery(),
            json!({"identity": {"type": "UserAssigned"}}),
            "identity.identity_ids",
            "identity_ids",
        ),
        (cases::gallery(), json!({"sharing": {"permission": "Community"}}), "sharing.community", "community"),
        (
            cases::gallery(),
            json!({"sharing": {"permission": "Private", "tenant_ids": [cases::GUID_A]}}),
            "sharing.tenant_ids",
            "Groups",
        ),
        (cases::gallery(), json!({"timeouts": {"create": "soon"}}), "timeouts.create", "duration"),
        (cases::image_definition(), json!({"gallery_id": "gal"}), "gallery_id", "galleries"),
        (cases::image_definition(), json!({"os_type": "linux"}), "os_type", "Linux"),
        (cases::image_definition(), json!({"hyper_v_generation": "v2"}), "hyper_v_generation", "V2"),
        (
            cases::image_definition(),
            json!({"end_of_life_date": "2031-01-01"}),
            "end_of_life_date",
            "2027-12-31T00:00:00Z",
        ),
        (
            cases::image_definition(),
            json!({"identifier": {"publisher": "a b"}}),
            "identifier.publisher",
            "' '",
        ),
        (
            cases::image_definition(),
            json!({"recommended": {"minimum_vcpus": 8, "maximum_vcpus": 2}}),
            "recommended.minimum_vcpus",
            "8 is greater than 2",
        ),
        (
            cases::image_definition(),
            json!({"recommended": {"minimum_vcpus": 0}}),
            "recommended.minimum_vcpus",
            "between",
        ),
        (cases::image_definition(), json!({"features": {"SecurityType": "x"}}), "features", "security_type"),
        (
            cases::image_definition(),
            json!({"hyper_v_generation": "V1", "security_type": "TrustedLaunch"}),
            "security_type",
            "V2",
        ),
        (
            cases::image_definition(),
            json!({"eula": "x", "privacy_statement_uri": "ftp://x"}),
            "privacy_statement_uri",
            "https://",
        ),
        (cases::image_version(), json!({"version": "1.0"}), "version", "1.0"),
        (cases::image_version(), json!({"version": "1.0.4294967296"}), "version", "4294967296"),
        (cases::image_version(), json!({"version": "latest"}), "version", "latest"),
        (
            cases::image_version(),
            json!({"source": {"virtual_machine_id": cases::rg("virtualMachines/v")}}),
            "source.virtual_machine_id",
            "more than one source",
        ),
        (cases::image_version(), json!({"source": {"managed_image_id": null}}), "source", "source is empty"),
        (
            cases::image_version(),
            json!({"source": {"managed_image_id": cases::rg("disks/d")}}),
            "source.managed_image_id",
            "id",
        ),
        (
            cases::image_version(),
            json!({"target_region": [{"name": "West Europe"}, {"name": "westeurope"}]}),
            "target_region",
            "given twice",
        ),
        (
            cases::image_version(),
            json!({"target_region": [{"name": "eastus", "regional_replica_count": 101}]}),
            "target_region",
            "between 1 and 100",
        ),
        (cases::image_version(), json!({"replication_mode": "Shallow"}), "replication_mode", "Shallow"),
        (
            cases::image_version(),
            json!({"block_deletion_before_end_of_life": true, "end_of_life_date": null}),
            "end_of_life_date",
            "missing",
        ),
        (cases::image_version(), json!({"wait_for_replication": "some"}), "wait_for_replication", "home"),
        (cases::image_version(), json!({"uefi_settings_json": "[]"}), "uefi_settings_json", "object"),
        (
            cases::image_version(),
            json!({"target_region": [{"name": "eastus", "encryption": {}}]}),
            "target_region",
            "empty",
        ),
        (
            cases::version_of_disks(),
            json!({"source": {"data_disk": [{"lun": 1}]}}),
            "source.data_disk",
            "exactly one",
        ),
        (cases::version_of_disks(), json!({"source": {"os_disk": null}}), "source.data_disk", "os_disk"),
        (cases::captured_image(), json!({"capture": null}), "", "no source"),
        (
            cases::image_of_disks(),
            json!({"os_disk": {"snapshot_id": cases::rg("snapshots/s")}}),
            "os_disk.snapshot_id",
            "more than one source",
        ),
        (cases::image_of_disks(), json!({"os_disk": {"size_gb": 0}}), "os_disk.size_gb", "between"),
        (cases::image_replication(), json!({"regions": ["East US", "eastus"]}), "regions", "twice"),
        (cases::pin(), json!({"urn": "Canonical:ubuntu-24_04-lts:server:latest"}), "urn", "latest"),
        (cases::pin(), json!({"urn": "Canonical"}), "urn", ":"),
        (cases::agreement(), json!({"plan": ""}), "plan", "empty"),
    ];
    for (case, patch, path, says) in rows {
        // patches that make the small configuration invalid in exactly one way
        let mut base = case.small.clone();
        if patch.get("end_of_life_date") == Some(&Json::Null) {
            base["end_of_life_date"] = Json::Null;
        }
        let config = core.config(case.type_name, &patched(&base, &patch));
        let diagnostics = core.validate(case.type_name, &config).await;
        assert!(
            diagnostics.error_paths().contains(&path.to_owned()),
            "{} {patch}: {diagnostics:?}",
            case.name
        );
        let text = diagnostics.errors();
        assert!(text.contains(says), "{} {patch}: no {says:?} in {text}", case.name);
    }
}

// An object with every configurable value unknown.
pub fn unknown_everywhere(block: &Block) -> Value {
    let mut config = oracle::nothing(block);
    for attribute in block.attributes.iter().filter(|attribute| attribute.required || attribute.optional) {
        config.set(&attribute.name, Value::Unknown);
    }
    for nested in &block.block_types {
        config.set(&nested.type_name, Value::Unknown);
    }
    config
}

// The value with each nested value, at any depth, unknown in turn.
fn holes(value: &Value, out: &mut dyn FnMut(Value)) {
    match value {
        Value::Object(fields) | Value::Map(fields) => {
            for (name, field) in fields {
                let mut with = |inner: Value| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), inner);
                    out(if matches!(value, Value::Map(_)) {
                        Value::Map(fields)
                    } else {
                        Value::Object(fields)
                    });
                };
                // null values are not configured or not configurable
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
                    out(if matches!(value, Value::Set(_)) {
                        Value::Set(elements)
                    } else {
                        Value::List(elements)
                    });
                };
                // of a list of blocks with an unknown one, core makes the whole list unknown
                if !matches!((value, element), (Value::List(_), Value::Object(_))) {
                    with(Value::Unknown);
                }
                holes(element, &mut with);
            }
        }
        _ => {}
    }
}

// Unknown elements of a set may become equal to others.
#[tokio::test(start_paused = true)]
async fn a_set_may_shrink_when_its_elements_become_known() {
    let case = cases::image_definition();
    let core = Core::new().await;
    (case.prepare)(&core);
    let types = |types: Json| patched(&case.small, &json!({"disallowed_disk_types": types}));
    let open = core.config(case.type_name, &types(json!(["Standard_LRS", UNKNOWN, UNKNOWN])));
    let one = types(json!(["Standard_LRS"]));
    let plan = core.try_plan(case.type_name, None, &open).await.unwrap();
    let applied = core.apply_as(&plan, &core.config(case.type_name, &one)).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    core.assert_no_changes(&applied.held.unwrap(), &one).await;
}
