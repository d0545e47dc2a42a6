//! Violations of every rule of `guardrails {}`, and configurations that satisfy it: as errors and as warnings, with
//! values that are known at plan or only at apply.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/core.rs"]
mod core;
#[path = "support/data_reads.rs"]
mod data_reads;

use crate::core::{Action, Core, Diagnostics, Json, UNKNOWN, json, merge, patched, path_text};
use azimage::schema::Value;
use cases::{put, rg};

const DEFINITION: &str = "azimage_image_definition";
const VERSION: &str = "azimage_image_version";
const IMAGE: &str = "azimage_managed_image";
const PIN: &str = "azimage_marketplace_pin";
const LOOKUP: &str = "azimage_marketplace_image";

/// A rule, with configurations of one resource type that violate or satisfy it.
struct Row {
    rule: &'static str,
    /// The value of the rule.
    set: Json,
    type_name: &'static str,
    /// A configuration that violates the rule.
    breaks: Json,
    /// A configuration that satisfies the rule.
    keeps: Json,
    /// Merge patches that make a deciding value of `breaks` unknown.
    open: Vec<Json>,
    /// The path of the violation.
    path: &'static str,
    /// Texts in its summary and its detail.
    says: Vec<&'static str>,
    /// The object that an apply would create in Azure.
    id: Option<String>,
    prepare: fn(&Core),
}

fn version(patch: Json) -> Json {
    let base = json!({
        "version": "1.5.0", "image_definition_id": rg("galleries/gal/images/def"),
        "source": {"managed_image_id": rg("images/img")},
        "target_region": [{"name": "East US", "regional_replica_count": 2}],
    });
    patched(&base, &patch)
}

fn regions(list: &[(&str, i64)]) -> Json {
    let one = |(name, count): &(&str, i64)| json!({"name": name, "regional_replica_count": count});
    json!({"target_region": list.iter().map(one).collect::<Vec<_>>()})
}

fn version_id(number: &str) -> String {
    rg(&format!("galleries/gal/images/def/versions/{number}"))
}

fn publish(core: &Core, number: &str) {
    put(
        core,
        &version_id(number),
        json!({"location": "eastus", "properties": {
            "publishingProfile": {"targetRegions": [{"name": "eastus"}]},
            "storageProfile": {"source": {"id": rg("images/img")}},
        }}),
    );
}

// 1.0.9 is not the newest version, although it sorts last as text.
fn with_versions(core: &Core) {
    cases::with_sources(core);
    for number in ["1.0.9", "1.0.100"] {
        publish(core, number);
    }
}

// A running machine in its own resource group that was not generalized.
fn machine() -> String {
    rg("virtualMachines/golden-vm").replace("/rg/", "/vm-rg/")
}

fn urn(version: &str) -> String {
    format!("contoso:linux:9:{version}")
}

fn market(core: &Core, change: &str, version: &str, more: Json) {
    let mut body = json!({"publisher": "contoso", "offer": "linux", "sku": "9", "version": version});
    merge(&mut body, &more);
    core.control("POST", &format!("marketplace/{change}"), body);
}

fn with_market(core: &Core) {
    for version in ["9.2.20", "9.10.3", "9.11.0", "9.12.0"] {
        market(core, "publish", version, json!({}));
    }
    market(core, "deprecate", "9.11.0", json!({"alternative": {"type": "Plan", "value": "10"}}));
    market(core, "deprecate", "9.12.0", json!({"time": "2039-01-01T00:00:00Z"}));
}

fn rows() -> Vec<Row> {
    let tagged = |type_name, base: Json, id: &str, prepare| Row {
        rule: "required_tags",
        set: json!(["os", "approved-by"]),
        type_name,
        keeps: patched(&base, &json!({"tags": {"os": "linux", "Approved-By": "me"}})),
        breaks: patched(&base, &json!({"tags": {"os": "linux"}})),
        open: vec![json!({"tags": UNKNOWN})],
        path: "tags",
        says: vec!["the tag \"approved-by\" is missing", "default_tags"],
        id: Some(id.to_owned()),
        prepare,
    };
    let pin = |version: &str| json!({"location": "eastus", "urn": urn(version)});
    vec![
        Row {
            rule: "minimum_replicas",
            set: json!(2),
            type_name: VERSION,
            breaks: version(regions(&[("East US", 1), ("westeurope", 2)])),
            keeps: version(regions(&[("East US", 2), ("westeurope", 2)])),
            open: vec![
                json!({"target_region": UNKNOWN}),
                json!({"target_region": [{"name": "East US", "regional_replica_count": UNKNOWN}, {"name": "westeurope", "regional_replica_count": 2}]}),
            ],
            path: "target_region",
            says: vec!["East US has 1 of 2 replicas", "regional_replica_count = 2"],
            id: Some(version_id("1.5.0")),
            prepare: cases::with_sources,
        },
        Row {
            rule: "minimum_replicas",
            set: json!(3),
            type_name: VERSION,
            breaks: version(json!({"target_region": []})),
            keeps: version(regions(&[("eastus", 3)])),
            open: vec![json!({"target_region": UNKNOWN})],
            path: "target_region",
            says: vec!["without a target_region the version has one replica", "regional_replica_count = 3"],
            id: Some(version_id("1.5.0")),
            prepare: cases::with_sources,
        },
        Row {
            rule: "required_regions",
            set: json!(["North Europe", "EAST US"]),
            type_name: VERSION,
            breaks: version(regions(&[("eastus", 1), ("West Europe", 1)])),
            keeps: version(regions(&[("eastus", 1), ("northeurope", 1)])),
            open: vec![
                json!({"target_region": UNKNOWN}),
                json!({"target_region": [{"name": "eastus", "regional_replica_count": 1}, {"name": UNKNOWN, "regional_replica_count": 1}]}),
            ],
            path: "target_region",
            says: vec!["not replicated to North Europe", "name = \"North Europe\""],
            id: Some(version_id("1.5.0")),
            prepare: cases::with_sources,
        },
        tagged(VERSION, version(json!({})), &version_id("1.5.0"), cases::with_sources),
        tagged(
            DEFINITION,
            cases::image_definition().small,
            cases::image_definition().id.as_ref().unwrap(),
            cases::image_definition().prepare,
        ),
        tagged(
            IMAGE,
            cases::image_of_disks().small,
            cases::image_of_disks().id.as_ref().unwrap(),
            cases::image_of_disks().prepare,
        ),
        Row {
            rule: "versions_must_increase",
            set: json!(true),
            type_name: VERSION,
            breaks: version(json!({"version": "1.0.12"})),
            keeps: version(json!({"version": "1.0.101"})),
            open: vec![json!({"version": UNKNOWN}), json!({"image_definition_id": UNKNOWN})],
            path: "version",
            says: vec!["1.0.12 is not greater than 1.0.100", "such as 1.0.101"],
            id: Some(version_id("1.0.12")),
            prepare: with_versions,
        },
        Row {
            rule: "maximum_versions_per_definition",
            set: json!(2),
            type_name: VERSION,
            breaks: version(json!({})),
            keeps: version(json!({"image_definition_id": rg("galleries/gal/images/def2")})),
            open: vec![json!({"version": UNKNOWN}), json!({"image_definition_id": UNKNOWN})],
            path: "version",
            says: vec!["1.5.0 would be version 3", "2 are allowed", "the oldest are 1.0.9, 1.0.100"],
            id: Some(version_id("1.5.0")),
            prepare: with_versions,
        },
        Row {
            rule: "deny_deprecated",
            set: json!(true),
            type_name: PIN,
            breaks: pin("9.11.0"),
            keeps: pin("9.10.3"),
            open: vec![json!({"urn": UNKNOWN}), json!({"location": UNKNOWN})],
            path: "urn",
            says: vec!["contoso:linux:9:9.11.0 is Deprecated", "proposes contoso:linux:10:latest"],
            id: None,
            prepare: with_market,
        },
        Row {
            rule: "deny_deprecated",
            set: json!(true),
            type_name: PIN,
            breaks: pin("9.12.0"),
            keeps: pin("9.2.20"),
            open: vec![json!({"urn": UNKNOWN})],
            path: "urn",
            says: vec!["contoso:linux:9:9.12.0 is ScheduledForDeprecation", "newer version"],
            id: None,
            prepare: with_market,
        },
        Row {
            rule: "require_generalized_source",
            set: json!(true),
            type_name: VERSION,
            breaks: version(json!({"source": {"managed_image_id": null, "virtual_machine_id": machine()}})),
            keeps: version(
                json!({"source": {"managed_image_id": null, "virtual_machine_id": rg("virtualMachines/golden-vm")}}),
            ),
            open: vec![
                json!({"source": {"virtual_machine_id": UNKNOWN}}),
                json!({"image_definition_id": UNKNOWN}),
            ],
            path: "source.virtual_machine_id",
            says: vec!["\"golden-vm\" is not generalized", "az vm generalize"],
            id: Some(version_id("1.5.0")),
            prepare: cases::with_sources,
        },
    ]
}

// A provider with one rule.
async fn ruled(row: &Row, mode: Option<&str>) -> Core {
    let core = Core::new().await;
    (row.prepare)(&core);
    let mut rules = json!({"mode": mode});
    rules[row.rule] = row.set.clone();
    core.new_run(json!({"guardrails": rules})).await
}

fn name(rule: &str) -> String {
    format!("Guardrail {rule}: ")
}

// Fails unless the diagnostics are exactly the expected violations with this severity and path.
#[track_caller]
fn assert_violates(diagnostics: &Diagnostics, row: &Row, severity: i32) {
    let all: Vec<_> =
        diagnostics.0.iter().filter(|diagnostic| diagnostic.summary.starts_with("Guardrail ")).collect();
    assert_eq!(all.len(), 1, "{} for {}: {diagnostics:?}", row.rule, row.type_name);
    let one = all[0];
    assert!(one.summary.starts_with(&name(row.rule)), "{diagnostics:?}");
    assert_eq!(one.severity, severity, "{diagnostics:?}");
    assert_eq!(path_text(one.attribute.as_ref()), row.path, "{diagnostics:?}");
    let text = format!("{}\n{}", one.summary, one.detail);
    for part in &row.says {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[track_caller]
fn assert_silent(diagnostics: &Diagnostics) {
    assert!(
        !diagnostics.0.iter().any(|diagnostic| diagnostic.summary.starts_with("Guardrail ")),
        "{diagnostics:?}"
    );
}

fn made(core: &Core, row: &Row) -> bool {
    row.id.as_ref().is_some_and(|id| core.exists(id))
}

#[tokio::test(start_paused = true)]
async fn plan_refuses_violations() {
    for row in rows() {
        for mode in [None, Some("error")] {
            let core = ruled(&row, mode).await;
            let diagnostics = core.plan_refused(row.type_name, None, &row.breaks).await;
            assert_violates(&diagnostics, &row, 1);
            assert_eq!(diagnostics.error_paths(), [row.path], "only the rule is violated: {diagnostics:?}");
            assert!(!made(&core, &row), "{}", row.rule);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn mode_warn_only_warns_about_violations() {
    for row in rows() {
        let core = ruled(&row, Some("warn")).await;
        let plan = core.plan(row.type_name, None, &row.breaks).await;
        assert_violates(&plan.diagnostics, &row, 2);
        let applied = core.apply(&plan).await;
        if row.rule == "require_generalized_source" {
            // the service rejects this too, so the request was sent
            applied.diagnostics.assert_error(&["OperationNotAllowed", "to be Generalized"]);
            continue;
        }
        assert!(!applied.diagnostics.has_errors(), "{}: {:?}", row.rule, applied.diagnostics);
        assert!(applied.held.is_some_and(|held| !held.tainted));
        assert!(row.id.is_none() || made(&core, &row), "{}", row.rule);
    }
}

#[tokio::test(start_paused = true)]
async fn valid_configurations_get_no_diagnostics() {
    for row in rows() {
        let core = ruled(&row, None).await;
        let plan = core.plan(row.type_name, None, &row.keeps).await;
        assert_silent(&plan.diagnostics);
        let applied = core.apply(&plan).await;
        assert!(!applied.diagnostics.has_errors(), "{}: {:?}", row.rule, applied.diagnostics);
        assert_silent(&applied.diagnostics);
        let held = applied.held.unwrap();
        let plan = core.plan(row.type_name, Some(&held), &row.keeps).await;
        assert_eq!(plan.action, Action::NoOp, "{}", row.rule);
        assert_silent(&plan.diagnostics);
    }
}

#[tokio::test(start_paused = true)]
async fn unset_rules_do_not_apply() {
    // without the rule, a machine that is not generalized is still rejected where the service would reject it
    let rows = || rows().into_iter().filter(|row| row.rule != "require_generalized_source");
    for row in rows() {
        for unset in
            [json!({}), json!({"guardrails": {"mode": "error"}}), json!({"guardrails": {row.rule: null}})]
        {
            let core = Core::new().await;
            (row.prepare)(&core);
            let core = core.new_run(unset).await;
            let plan = core.plan(row.type_name, None, &row.breaks).await;
            assert_silent(&plan.diagnostics);
        }
    }
    // false is off too
    for row in rows().filter(|row| row.set == json!(true)) {
        let core = ruled(&Row { set: json!(false), ..row }, None).await;
        let row = rows().find(|other| other.rule == row.rule).unwrap();
        assert_silent(&core.plan(row.type_name, None, &row.breaks).await.diagnostics);
    }
}

#[tokio::test(start_paused = true)]
async fn apply_checks_unknown_values_before_it_sends_anything() {
    for row in rows() {
        for open in &row.open {
            let core = ruled(&row, None).await;
            let config = core.config(row.type_name, &patched(&row.breaks, open));
            let plan = core.try_plan(row.type_name, None, &config).await;
            let plan = plan.unwrap_or_else(|diagnostics| panic!("{} with {open}: {diagnostics:?}", row.rule));
            assert_silent(&plan.diagnostics);
            // the value turns out to violate the rule
            let known = core.config(row.type_name, &row.breaks);
            let applied = core.apply_as(&plan, &known).await;
            assert_violates(&applied.diagnostics, &row, 1);
            assert!(applied.held.is_none(), "{} with {open}", row.rule);
            assert!(!made(&core, &row), "{} with {open}: a request was sent", row.rule);
            // the value turns out to satisfy the rule
            let open = core.config(row.type_name, &patched(&row.keeps, open));
            let plan = core.try_plan(row.type_name, None, &open).await.unwrap();
            let known = core.config(row.type_name, &row.keeps);
            let applied = core.apply_as(&plan, &known).await;
            assert!(!applied.diagnostics.has_errors(), "{}: {:?}", row.rule, applied.diagnostics);
        }
    }
}

// Versions that the same run publishes do not count, in any order.
#[tokio::test(start_paused = true)]
async fn versions_of_one_run_may_be_published_in_any_order() {
    let core = Core::new().await;
    with_versions(&core);
    let rules = json!({"guardrails": {"versions_must_increase": true}});
    let core = core.new_run(rules.clone()).await;
    let at = |number: &str| version(json!({"version": number}));
    let (smaller, greater) =
        (core.plan(VERSION, None, &at("1.1.0")).await, core.plan(VERSION, None, &at("1.2.0")).await);
    for plan in [&greater, &smaller] {
        let applied = core.apply(plan).await;
        assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    }
    assert!(core.exists(&version_id("1.1.0")) && core.exists(&version_id("1.2.0")));
    // they count in the next run, and versions that another client publishes meanwhile count in this run
    let diagnostics = core.new_run(rules).await.plan_refused(VERSION, None, &at("1.1.5")).await;
    diagnostics.assert_error(&["versions_must_increase", "1.1.5 is not greater than 1.2.0"]);
    let plan = core.plan(VERSION, None, &at("1.3.0")).await;
    publish(&core, "1.4.0");
    let applied = core.apply(&plan).await;
    applied.diagnostics.assert_error(&["versions_must_increase", "1.3.0 is not greater than 1.4.0"]);
    assert!(!core.exists(&version_id("1.3.0")));
}

#[tokio::test(start_paused = true)]
async fn planned_versions_of_one_run_count_towards_the_maximum() {
    let core = Core::new().await;
    with_versions(&core);
    let rules = json!({"guardrails": {"maximum_versions_per_definition": 3}});
    let core = core.new_run(rules.clone()).await;
    let at = |number: &str| version(json!({"version": number}));
    let third = core.plan(VERSION, None, &at("2.0.0")).await;
    // planning the same version again does not count twice
    core.plan(VERSION, None, &at("2.0.0")).await;
    let diagnostics = core.plan_refused(VERSION, None, &at("2.1.0")).await;
    diagnostics.assert_error(&[
        "maximum_versions_per_definition",
        "2.1.0 would be version 4",
        "3 are allowed",
    ]);
    assert_eq!(diagnostics.error_paths(), ["version"]);
    // Terraform starts a new provider process for the apply
    let applied = core.new_run(rules).await.apply(&third).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    // existing versions can be changed, regardless of their number
    let held = applied.held.unwrap();
    let tighter = core.new_run(json!({"guardrails": {"maximum_versions_per_definition": 1}})).await;
    let changed = patched(&at("2.0.0"), &json!({"tags": {"a": "b"}}));
    assert_eq!(tighter.plan(VERSION, Some(&held), &changed).await.action, Action::Update);
}

// A version that a killed run left is joined or refused when it is created, and does not violate the rule itself.
#[tokio::test(start_paused = true)]
async fn an_existing_version_does_not_violate_the_rules_itself() {
    let core = Core::new().await;
    with_versions(&core);
    let core = core.new_run(json!({"guardrails": {"versions_must_increase": true}})).await;
    let plan = core.plan(VERSION, None, &version(json!({"version": "1.0.100"}))).await;
    assert_silent(&plan.diagnostics);
    let diagnostics = core.plan_refused(VERSION, None, &version(json!({"version": "1.0.9"}))).await;
    diagnostics.assert_error(&["1.0.9 is not greater than 1.0.100"]);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_version_does_not_count_towards_the_maximum() {
    let core = Core::new().await;
    with_versions(&core);
    let rules = json!({"guardrails": {"maximum_versions_per_definition": 2}});
    let core = core.new_run(rules.clone()).await;
    let held = core.import(VERSION, &version_id("1.0.100"), None).await.unwrap();
    let next = |policy: &str| version(json!({"deletion_policy": policy}));
    let plan = core.plan(VERSION, Some(&held), &next("delete")).await;
    assert_eq!(plan.action, Action::Replace);
    assert_silent(&plan.diagnostics);
    // Terraform starts a new provider process for the apply
    let applied = core.new_run(rules.clone()).await.apply(&plan).await;
    assert!(!applied.diagnostics.has_errors(), "{:?}", applied.diagnostics);
    // a retained version stays in Azure and counts
    let held = core.change(&applied.held.unwrap(), &next("retain"), Action::Update).await;
    let third = patched(&next("retain"), &json!({"version": "1.6.0"}));
    let diagnostics = core.new_run(rules).await.plan_refused(VERSION, Some(&held), &third).await;
    diagnostics.assert_error(&["1.6.0 would be version 3"]);
}

#[tokio::test(start_paused = true)]
async fn default_tags_count_towards_required_tags() {
    for row in rows().into_iter().filter(|row| row.rule == "required_tags") {
        let core = Core::new().await;
        (row.prepare)(&core);
        let rules = json!({"guardrails": {"required_tags": row.set}, "default_tags": {"approved-by": "all"}});
        let core = core.new_run(rules).await;
        core.create(row.type_name, &row.breaks).await;
        let no_prerequisites = patched(&row.breaks, &json!({"tags": null}));
        let diagnostics = core.plan_refused(row.type_name, None, &no_prerequisites).await;
        diagnostics.assert_error(&["the tag \"os\" is missing"]);
        assert!(!diagnostics.errors().contains("approved-by\" is missing"), "{diagnostics:?}");
    }
}

// Updates of existing objects are checked like new objects.
#[tokio::test(start_paused = true)]
async fn updates_must_satisfy_the_rules_too() {
    for row in rows().into_iter().filter(|row| ["required_tags", "minimum_replicas"].contains(&row.rule)) {
        let core = ruled(&row, None).await;
        let leave = json!({"allow_deletion_of_replicated_locations": true});
        let leave = if row.type_name == VERSION { leave } else { json!({}) };
        let held = core.create(row.type_name, &patched(&row.keeps, &leave)).await;
        let diagnostics = core.plan_refused(row.type_name, Some(&held), &patched(&row.breaks, &leave)).await;
        assert_violates(&diagnostics, &row, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn deny_latest_applies_to_every_way_to_request_latest() {
    let core = Core::new().await;
    with_market(&core);
    let parts = json!({"location": "eastus", "publisher": "contoso", "offer": "linux", "sku": "9"});
    let by_urn = |version: &str| json!({"location": "eastus", "urn": urn(version)});
    let at = |version: &str| patched(&parts, &json!({"version": version}));
    let breaks = [(parts.clone(), "version"), (at("latest"), "version"), (by_urn("latest"), "urn")];
    let strict = core.new_run(json!({"guardrails": {"deny_latest": true}})).await;
    let lenient = core.new_run(json!({"guardrails": {"deny_latest": true, "mode": "warn"}})).await;
    for (config, path) in &breaks {
        let diagnostics = strict.data(LOOKUP, config).await.unwrap_err();
        diagnostics.assert_error(&["Guardrail deny_latest: ", "azimage_marketplace_pin", "constraint"]);
        assert_eq!(diagnostics.error_paths(), [*path]);
        let (found, diagnostics) = lenient.read_data_source(LOOKUP, config).await;
        assert_eq!(found.unwrap().get("exact_version").as_str(), Some("9.12.0"));
        diagnostics.assert_warning(&["Guardrail deny_latest: "]);
        assert_eq!(path_text(diagnostics.0[0].attribute.as_ref()), *path);
        for unset in [json!({}), json!({"guardrails": {"deny_latest": false}})] {
            let (found, diagnostics) = core.new_run(unset).await.read_data_source(LOOKUP, config).await;
            assert!(found.is_some() && diagnostics.0.is_empty(), "{diagnostics:?}");
        }
    }
    for config in [at("9.2.20"), at("~> 9.2"), by_urn("9.2.20"), by_urn("< 9.10.3")] {
        let (found, diagnostics) = strict.read_data_source(LOOKUP, &config).await;
        assert!(found.is_some() && diagnostics.0.is_empty(), "{config}: {diagnostics:?}");
    }
    // unknown values are looked up and checked during apply
    let open = patched(&parts, &json!({"version": UNKNOWN}));
    assert!(strict.data(LOOKUP, &open).await.unwrap().is_unknown());
}

#[tokio::test(start_paused = true)]
async fn deny_deprecated_applies_to_lookups() {
    let core = Core::new().await;
    with_market(&core);
    let strict = core.new_run(json!({"guardrails": {"deny_deprecated": true}})).await;
    let lenient = core.new_run(json!({"guardrails": {"deny_deprecated": true, "mode": "warn"}})).await;
    let by_urn = |version: &str| json!({"location": "eastus", "urn": urn(version)});
    for (version, state) in [("9.11.0", "Deprecated"), ("9.12.0", "ScheduledForDeprecation")] {
        let by_parts = json!({"location": "eastus", "publisher": "contoso", "offer": "linux", "sku": "9", "version": version});
        for (config, path) in [(by_urn(version), "urn"), (by_parts, "version")] {
            let diagnostics = strict.data(LOOKUP, &config).await.unwrap_err();
            diagnostics.assert_error(&["Guardrail deny_deprecated: ", version, state]);
            assert_eq!(diagnostics.error_paths(), [path]);
            let (found, diagnostics) = lenient.read_data_source(LOOKUP, &config).await;
            assert_eq!(found.unwrap().get("deprecation_state").as_str(), Some(state));
            diagnostics.assert_warning(&["Guardrail deny_deprecated: ", state]);
            let (_, diagnostics) = core.new_run(json!({})).await.read_data_source(LOOKUP, &config).await;
            assert!(!diagnostics.has_errors());
            assert_silent(&diagnostics);
        }
    }
    let (found, diagnostics) = strict.read_data_source(LOOKUP, &by_urn("9.10.3")).await;
    assert!(found.is_some() && diagnostics.0.is_empty(), "{diagnostics:?}");
}

// An existing pin is checked with the result of the last refresh.
#[tokio::test(start_paused = true)]
async fn deny_deprecated_applies_to_pins_of_withdrawn_images() {
    let core = Core::new().await;
    with_market(&core);
    let config = json!({"location": "eastus", "urn": urn("9.10.3")});
    let held = core.create(PIN, &config).await;
    market(&core, "withdraw", "9.10.3", json!({}));
    let strict = core.new_run(json!({"guardrails": {"deny_deprecated": true}})).await;
    let read = strict.refresh(&held).await.unwrap().unwrap();
    let diagnostics = strict.plan_refused(PIN, Some(&read), &config).await;
    diagnostics.assert_error(&["Guardrail deny_deprecated: ", "is withdrawn"]);
    assert_eq!(diagnostics.error_paths(), ["urn"]);
    let lenient = core.new_run(json!({"guardrails": {"deny_deprecated": true, "mode": "warn"}})).await;
    let plan = lenient.plan(PIN, Some(&read), &config).await;
    assert_eq!(plan.action, Action::NoOp);
    plan.diagnostics.assert_warning(&["Guardrail deny_deprecated: ", "is withdrawn"]);
    let free = core.new_run(json!({})).await;
    assert_silent(&free.plan(PIN, Some(&read), &config).await.diagnostics);
}

#[tokio::test(start_paused = true)]
async fn require_generalized_source_applies_to_captures() {
    let core = Core::new().await;
    cases::with_sources(&core);
    let core = core.new_run(json!({"guardrails": {"require_generalized_source": true}})).await;
    let capture = |generalize: bool, machine: &str| {
        json!({
            "name": "captured", "resource_group_name": "rg", "location": "eastus",
            "capture": {"virtual_machine_id": machine, "generalize": generalize},
        })
    };
    let diagnostics = core.plan_refused(IMAGE, None, &capture(false, &machine())).await;
    diagnostics.assert_error(&["Guardrail require_generalized_source: ", "Set generalize = true"]);
    assert!(diagnostics.error_paths().contains(&"capture.generalize".to_owned()), "{diagnostics:?}");
    // the machine is known only at apply
    let open = core.config(IMAGE, &capture(false, UNKNOWN));
    let plan = core.try_plan(IMAGE, None, &open).await.unwrap();
    assert_silent(&plan.diagnostics);
    let known = core.config(IMAGE, &capture(false, &machine()));
    let applied = core.apply_as(&plan, &known).await;
    applied.diagnostics.assert_error(&["Guardrail require_generalized_source: "]);
    assert!(applied.held.is_none() && !core.exists(&rg("images/captured")));
    // a machine that is generalized already, and one that will be
    let done = capture(false, &rg("virtualMachines/golden-vm"));
    assert_silent(&core.plan(IMAGE, None, &done).await.diagnostics);
    core.create(IMAGE, &capture(true, &machine())).await;
}

// Terraform plans the removal of one version and the creation of another in any order.
#[tokio::test(start_paused = true)]
async fn a_removal_that_is_planned_later_makes_room() {
    let core = Core::new().await;
    cases::with_sources(&core);
    let version = |number: &str| {
        json!({"version": number, "image_definition_id": cases::rg("galleries/gal/images/def"),
            "source": {"managed_image_id": cases::rg("images/img")}})
    };
    const VERSION: &str = "azimage_image_version";
    let old = core.create(VERSION, &version("1.0.0")).await;
    let core = core.new_run(json!({"guardrails": {"maximum_versions_per_definition": 1}})).await;
    let old = core.refresh(&old).await.unwrap().unwrap();
    let removal = async {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        core.plan_once(VERSION, &old.state, &Value::Null, &old.private, old.identity.as_ref()).await
    };
    let new = core.config(VERSION, &version("1.1.0"));
    let (plan, _) = tokio::join!(core.try_plan_in_graph_walk(VERSION, None, &new), removal);
    assert!(plan.is_ok(), "{plan:?}");
    let refused = core.plan_refused(VERSION, None, &version("1.2.0")).await;
    refused.assert_error(&["maximum_versions_per_definition"]);
}

// Terraform plans ten objects at a time, and all ten may be new versions.
#[tokio::test(start_paused = true)]
async fn new_versions_do_not_keep_removals_from_being_planned() {
    let core = Core::new().await;
    cases::with_sources(&core);
    let version = |major: u32, number: u32| {
        json!({"version": format!("{major}.0.{number}"), "image_definition_id": cases::rg("galleries/gal/images/def"),
            "source": {"managed_image_id": cases::rg("images/img")}})
    };
    let mut old = Vec::new();
    for number in 0..12 {
        old.push(core.create(VERSION, &version(1, number)).await);
    }
    let core = core.new_run(json!({"guardrails": {"maximum_versions_per_definition": 12}})).await;
    let slots = tokio::sync::Semaphore::new(10);
    let creations = (0..12).map(async |number| {
        let _slot = slots.acquire().await.unwrap();
        let config = core.config(VERSION, &version(2, number));
        core.try_plan_in_graph_walk(VERSION, None, &config).await.err()
    });
    let removals = old.iter().map(async |old| {
        let _slot = slots.acquire().await.unwrap();
        core.plan_once(VERSION, &old.state, &Value::Null, &old.private, old.identity.as_ref()).await
    });
    let (creations, removals) =
        (futures_util::future::join_all(creations), futures_util::future::join_all(removals));
    let (errors, _) = tokio::join!(creations, removals);
    assert!(errors.iter().all(Option::is_none), "{errors:?}");
    let one_more = core.config(VERSION, &version(3, 0));
    core.try_plan_in_graph_walk(VERSION, None, &one_more)
        .await
        .unwrap_err()
        .assert_error(&["3.0.0 would be version 13"]);
}
