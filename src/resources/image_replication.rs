//! `azimage_image_replication`: waits until an image version has reached its regions, and writes nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::arm::id::IMAGE_VERSION;
use crate::arm::{ResourceId, Target, region};
use crate::azure::attributes::{check_location, id_of};
use crate::azure::context::scope;
use crate::azure::replication::{Replication, Wanted, wait_until};
use crate::azure::{Call, Context, fault, identity};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, Failed, IdentityField, ImportFrom, Op, Operations, Resource, Timeouts};
use crate::model;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Path, Set, Value};

model! {
    /// Waits until an image version has its replicas, and changes nothing. It fails if a region fails or the time runs out,
    /// and never affects the version itself. Put it between a version with `wait_for_replication = "none"` and the resources
    /// that need the replicas.
    pub struct Model {
        /// The ARM id of the image version.
        pub id: Option<String> = computed(),
        /// The id of the image version to wait for.
        pub image_version_id: String = id_of(required(), IMAGE_VERSION).force_new(),
        /// The regions to wait for, in any spelling. All target regions of the version unless set.
        pub regions: Option<Set<String>> = optional().equivalent_if(region::same_region).check_text(check_location).check(check_regions),
        /// The state of the replication by region: `Completed`, `Replicating`, `Failed` or `Unknown`.
        pub replication_state: Option<BTreeMap<String, String>> = computed().volatile(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

/// The resource type.
pub struct ImageReplication;

const IDENTITY: &[IdentityField] =
    &[IdentityField { name: "image_version_id", required: true, doc: "The id of the image version." }];

#[async_trait]
impl Resource<Context> for ImageReplication {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_image_replication";

    fn identity(&self) -> &'static [IdentityField] {
        IDENTITY
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        // the ID, because image_version_id may have another spelling
        vec![model.id.clone().or_else(|| Some(model.image_version_id.clone()))]
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(120, 5, 120, 5)
    }

    fn import(&self, _context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        let id = match from {
            ImportFrom::Id(id) => id,
            ImportFrom::Identity(given) => identity::text(given, &IDENTITY[0]),
        };
        let id = identity::parse(id, IMAGE_VERSION, Self::TYPE_NAME)?;
        Ok(Model { id: Some(id.to_string()), image_version_id: id.to_string(), ..Model::default() })
    }

    fn prepare(&self, _context: Option<&Context>, draft: &mut Draft<'_>) {
        // the ID follows from the version and the regions
        if let Some(Ok(id)) = draft.planned.get("image_version_id").as_str().map(ResourceId::parse) {
            draft.planned.set("id", Value::string(id.to_string()));
        }
        // wait again for regions that are missing or unfinished
        if !draft.is_create()
            && !is_complete(draft.prior.get("replication_state"), draft.planned.get("regions"))
        {
            draft.planned.set("replication_state", Value::Unknown);
        }
    }

    async fn check(&self, context: &Context, op: &Op, draft: &Draft<'_>, found: &mut Diagnostics) {
        let Some(Ok(id)) = draft.planned.get("image_version_id").as_str().map(ResourceId::parse) else {
            return;
        };
        if !draft.changes("regions") {
            return;
        }
        for name in draft.planned.get("regions").elements().iter().filter_map(Value::as_str) {
            if let Some(why) = context.unknown_location(op, id.subscription_id(), name).await {
                found.error(Path::attribute("regions"), "Invalid value for regions", why);
            }
        }
    }
}

#[async_trait]
impl Operations<Context> for ImageReplication {
    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        let Call { context, op, .. } = call;
        let id = id_of_version(&state)?;
        let doing = format!("reading the replication of image version {:?}", id.name());
        let scope = scope(op, &doing);
        let target = target(&id).query("$expand", "ReplicationStatus");
        let found = context.client.get_opt(&scope, &target).await;
        let body = found.map_err(|error| fault::diagnostic(&error, &doing, &id.to_string()))?;
        Ok(body.map(|body| flatten(&id, &state, &Replication::parse(&body))))
    }

    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, .. } = call;
        wait(context, op, &plan).await.map_err(Failed::from)
    }

    async fn update(&self, call: Call<'_>, _prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        let Call { context, op, .. } = call;
        wait(context, op, &plan).await.map_err(Failed::from)
    }

    async fn delete(&self, _call: Call<'_>, _prior: Model) -> Result<(), Diagnostics> {
        Ok(())
    }
}

async fn wait(context: &Context, op: &Op, plan: &Model) -> Result<Model, Diagnostics> {
    let id = id_of_version(plan)?;
    let scope = scope(op, format!("waiting for the replication of image version {:?}", id.name()));
    let wanted = match &plan.regions {
        Some(regions) if !regions.is_empty() => Wanted::Regions(regions.to_vec()),
        _ => Wanted::All,
    };
    match wait_until(&context.client, &scope, &target(&id), &wanted).await {
        Ok(look) => Ok(flatten(&id, plan, &look.replication)),
        Err(unready) => Err(unready.diagnostic(scope.what(), &id.to_string()).into()),
    }
}

fn target(id: &ResourceId) -> Target {
    Target::at(id.to_string())
}

fn id_of_version(model: &Model) -> Result<ResourceId, Diagnostic> {
    ResourceId::parse_as(&model.image_version_id, IMAGE_VERSION).map_err(|error| {
        Diagnostic::error("image_version_id names no image version", error.to_string())
            .at(Path::attribute("image_version_id"))
    })
}

fn flatten(id: &ResourceId, known: &Model, replication: &Replication) -> Model {
    Model {
        id: Some(id.to_string()),
        image_version_id: known.image_version_id.clone(),
        regions: known.regions.clone(),
        replication_state: Some(replication.states()),
        timeouts: known.timeouts.clone(),
    }
}

// Whether all configured regions were complete at the last read. Regions with an unknown state are ignored.
fn is_complete(states: &Value, regions: &Value) -> bool {
    let done = |state: &Value| state.as_str() == Some("Completed");
    if regions.is_empty() {
        return states.entries().all(|(_, state)| done(state));
    }
    regions.elements().iter().filter_map(Value::as_str).all(|region| {
        let name = region::normalise(region);
        states.entries().any(|(have, state)| *have == name && done(state))
    })
}

// The same region in two spellings is a mistake.
fn check_regions(regions: &Value) -> Result<(), String> {
    let mut seen = Vec::new();
    for region in regions.elements().iter().filter_map(Value::as_str) {
        let name = region::normalise(region);
        if seen.contains(&name) {
            return Err(format!("names the region {region:?} twice"));
        }
        seen.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::arm::Method;
    use crate::azure::testing::{FakeArm, op};
    use crate::framework::Private;
    use crate::schema::Slot;

    const ID: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i/versions/1.0.0";

    fn version(east: (&str, i64), west: (&str, i64)) -> Json {
        let entry = |region: &str, (state, progress): (&str, i64)| json!({"region": region, "state": state, "progress": progress, "details": if state == "Failed" { "no capacity" } else { "" }});
        json!({"properties": {
            "provisioningState": "Succeeded",
            "publishingProfile": {"targetRegions": [{"name": "East US"}, {"name": "West Europe"}]},
            "replicationStatus": {"aggregatedState": "InProgress", "summary": [entry("East US", east), entry("West Europe", west)]}}})
    }

    fn plan(regions: &[&str]) -> Model {
        Model {
            image_version_id: ID.to_owned(),
            regions: (!regions.is_empty()).then(|| regions.iter().map(|r| r.to_string()).collect()),
            ..Model::default()
        }
    }

    async fn run(arm: &std::sync::Arc<FakeArm>, op: &Op, regions: &[&str]) -> Result<Model, Failed<Model>> {
        let context = arm.context();
        ImageReplication.create(Call::new(&context, op, &mut Private::default()), plan(regions)).await
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_exactly_the_configured_regions() {
        let arm = FakeArm::new();
        let path = format!("{ID}?$expand=ReplicationStatus");
        arm.get(&path, version(("Completed", 100), ("Completed", 100)));
        arm.next(3, Method::Get, &path, 200, version(("Completed", 100), ("Replicating", 40)));
        let state = run(&arm, &op(), &["EAST US"]).await.unwrap();
        assert_eq!(state.id.as_deref(), Some(ID));
        assert_eq!(state.replication_state.as_ref().unwrap()["westeurope"], "Replicating");
        let state = run(&arm, &op(), &[]).await.unwrap();
        assert_eq!(state.replication_state.unwrap()["westeurope"], "Completed");
        assert_eq!(arm.calls().len(), 4);
        assert!(arm.calls().iter().all(|call| call.starts_with("GET")), "writes nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_wait_names_the_regions_and_leaves_no_state() {
        let arm = FakeArm::new();
        arm.get(ID, version(("Completed", 100), ("Failed", 10)));
        let failed = run(&arm, &op(), &[]).await.unwrap_err();
        assert!(failed.state.is_none());
        let told = failed.diagnostics.0[0].to_string();
        assert!(told.contains("westeurope: no capacity"), "{told}");
        // the failed region is not waited for
        assert!(run(&arm, &op(), &["eastus"]).await.is_ok());
        let told = run(&arm, &op(), &["uksouth"]).await.unwrap_err().diagnostics.0[0].to_string();
        assert!(told.contains("not replicated to uksouth") && told.contains("eastus, westeurope"), "{told}");

        arm.get(ID, version(("Completed", 100), ("Replicating", 40)));
        let short = Op::new(Duration::from_secs(90), Default::default());
        let told = run(&arm, &short, &[]).await.unwrap_err().diagnostics.0[0].to_string();
        assert!(told.contains("1m30s") && told.contains("westeurope 40 %"), "{told}");

        let told = run(&FakeArm::new(), &op(), &[]).await.unwrap_err().diagnostics.0[0].to_string();
        assert!(told.contains("does not exist"), "{told}");
    }

    #[tokio::test]
    async fn a_read_removes_a_version_that_is_gone() {
        let arm = FakeArm::new();
        let context = arm.context();
        let gone = ImageReplication
            .read(Call::new(&context, &op(), &mut Private::default()), plan(&[]))
            .await
            .unwrap();
        assert!(gone.is_none());
        arm.get(ID, version(("Completed", 100), ("Failed", 10)));
        let read = ImageReplication
            .read(Call::new(&context, &op(), &mut Private::default()), plan(&["East US"]))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(read.regions.unwrap().to_vec(), ["East US"]);
        assert_eq!(read.replication_state.unwrap()["westeurope"], "Failed");
    }

    #[test]
    fn plans_to_wait_again_if_a_region_is_missing() {
        let states = |west: &str| {
            Value::Map(
                [("eastus".to_owned(), "Completed".into()), ("westeurope".to_owned(), west.into())].into(),
            )
        };
        let regions = |names: &[&str]| Value::Set(names.iter().map(|name| Value::from(*name)).collect());
        let rows = [
            (states("Completed"), Value::Null, true),
            (states("Replicating"), Value::Null, false),
            (states("Replicating"), regions(&["East US"]), true),
            (states("Failed"), regions(&["West Europe"]), false),
            (states("Completed"), regions(&["uksouth"]), false),
            (states("Completed"), Value::Set(vec![Value::Unknown]), true),
        ];
        for (states, regions, complete) in rows {
            assert_eq!(is_complete(&states, &regions), complete, "{states:?} {regions:?}");
        }
        assert!(check_regions(&regions(&["East US", "eastus"])).is_err());
    }

    #[tokio::test]
    async fn a_region_that_does_not_exist_is_refused_at_plan() {
        let arm = FakeArm::new();
        let locations = json!({"value": [{"name": "eastus"}, {"name": "marscentral"}]});
        arm.get("/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/locations", locations);
        let context = arm.context();
        for (region, errors) in [("West Europe", 0), ("marscentral", 0), ("westeuorpe", 1)] {
            let config = plan(&[region]).encode();
            let (planned, prior) = (config.clone(), Value::Null);
            let draft = Draft::new(&config, &prior, planned);
            let mut found = Diagnostics::new();
            Resource::check(&ImageReplication, &context, &op(), &draft, &mut found).await;
            assert_eq!(found.0.len(), errors, "{region}");
        }
    }

    #[test]
    fn a_plan_knows_the_id_and_unfinished_regions() {
        let prior = |west: &str| {
            Model {
                id: Some(ID.to_owned()),
                replication_state: Some(BTreeMap::from([("westeurope".to_owned(), west.to_owned())])),
                ..plan(&[])
            }
            .encode()
        };
        for (prior, waits) in [(Value::Null, true), (prior("Completed"), false), (prior("Replicating"), true)]
        {
            let planned = if prior.is_null() { plan(&[]).encode() } else { prior.clone() };
            let config = plan(&[]).encode();
            let mut draft = Draft::new(&config, &prior, planned);
            Resource::prepare(&ImageReplication, None, &mut draft);
            assert_eq!(draft.planned.get("id").as_str(), Some(ID));
            assert_eq!(draft.changes("replication_state"), waits && !prior.is_null());
        }
    }

    #[test]
    fn imports_by_id_and_identity() {
        let upper = ID.to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions");
        let stub = ImageReplication.import(None, &ImportFrom::Id(ID.to_owned())).unwrap();
        assert_eq!(stub.image_version_id, ID);
        assert!(ImageReplication.import(None, &ImportFrom::Id(upper)).is_ok());
        let given = BTreeMap::from([("image_version_id".to_owned(), ID.to_owned())]);
        let stub = ImageReplication.import(None, &ImportFrom::Identity(given)).unwrap();
        assert_eq!(ImageReplication.identify(&stub), [Some(ID.to_owned())]);
        assert_eq!(Model::decode(&stub.encode()), stub);
    }
}
