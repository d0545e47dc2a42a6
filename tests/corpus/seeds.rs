//! Seeds for the fuzzers, taken from the project's test cases, fixtures and emulator, so that mutations start from
//! valid inputs.

use super::cases::{self, Case, rg};
use super::core::{Core, Json, dynamic, json, patched, pb};
use super::fuzz::{values, wire};
use azimage::schema::{Type, json as state_json, msgpack};
use prost::Message;

/// A seed: the name of its fuzzer, its own name, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// All seeds.
pub async fn all() -> Vec<Seed> {
    let mut all = texts();
    for case in cases::all() {
        let core = Core::new().await;
        (case.prepare)(&core);
        of_case(&core, &case, &mut all).await;
    }
    data_sources(&Core::new().await, &mut all);
    functions(&mut all);
    bundles(&mut all);
    all
}

fn texts() -> Vec<Seed> {
    let rows: &[(&'static str, &str, &str)] = &[
        ("urn", "exact", cases::URN),
        (
            "urn",
            "latest",
            "Canonical:ubuntu-24_04-lts:server:latest\ncanonical:Ubuntu-24_04-lts:SERVER:24.04.202601140",
        ),
        (
            "urn",
            "constraint",
            "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:~> 22.04.2025, != 22.04.9",
        ),
        ("urn", "slashes", "Canonical/ubuntu-24_04-lts/server/latest"),
        ("constraint", "pessimistic", "~> 22.04.2025\n22.04.202601140\n22.05\n22.4\nlatest"),
        ("constraint", "many", ">= 1.0, < 2.0, != 1.5\n1.0\n1.5.0\n1.50\n001.2\n2\n18446744073709551616.0"),
        ("constraint", "gallery", "1.2.3\n1.2.3\n2147483647.0.0\n0.0.2147483647\n1.2\n1.2.3.4"),
        ("constraint", "latest", " Latest \n1\nv2\n1.0-rc\n1..2"),
        ("constraint", "foreign", "^1.2 || ~1\n1.2"),
        ("duration", "hours", "1h30m"),
        ("duration", "small", "1.5h250ms10us7µs3μs9ns"),
        ("duration", "century", "888888h"),
        ("retry_after", "seconds", "retry-after: 7"),
        (
            "retry_after",
            "date",
            "Retry-After: Mon, 02 Nov 2026 09:00:30 GMT\nDate: Mon, 02 Nov 2026 09:00:00 GMT",
        ),
        (
            "retry_after",
            "old-dates",
            "retry-after: Monday, 02-Nov-26 09:00:30 GMT\ndate: Mon Nov  2 09:00:30 2026",
        ),
        (
            "retry_after",
            "far",
            "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\ndate: Thu, 01 Jan 1970 00:00:00 GMT",
        ),
        ("retry_after", "milliseconds", "x-ms-retry-after-ms: 40\nretry-after-ms: 250\nretry-after: 1e300"),
        (
            "id",
            "version",
            "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10/resourceGroups/rg/providers/Microsoft.Compute/galleries/g/images/i/versions/1.2.3",
        ),
        (
            "id",
            "case",
            "/SUBSCRIPTIONS/s/resourcegroups/RG/PROVIDERS/microsoft.compute/GALLERIES/g/\n/subscriptions/S/resourceGroups/rg/providers/Microsoft.Compute/galleries/G",
        ),
        (
            "id",
            "extension",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/g/providers/Microsoft.Authorization/roleAssignments/r",
        ),
        ("id", "subscription", "/subscriptions/s"),
        (
            "id",
            "marketplace",
            "/subscriptions/s/providers/Microsoft.MarketplaceOrdering/agreements/p/offers/o/plans/a",
        ),
        (
            "metadata",
            "one",
            "https://arm.local:8443 200\n\n{\"name\":\"local\",\"resourceManager\":\"https://arm.local:8443/\",\"authentication\":{\"loginEndpoint\":\"https://login.local/\",\"audiences\":[\"https://aud/\"]},\"suffixes\":{\"storage\":\"core.local\"}}",
        ),
        (
            "metadata",
            "list",
            "http://127.0.0.1:9 200\n\n[{\"resourceManager\":\"http://localhost:9\",\"authentication\":{\"loginEndpoint\":\"http://[::1]:9/\"}},{\"resourceManager\":\"http://127.0.0.1:9\",\"authentication\":{\"loginEndpoint\":\"https://b\"}}]",
        ),
        ("metadata", "page", "management.azure.com 200\n\n<html>"),
        ("metadata", "refused", "https://h 404\n\nhttps://login.example.com/"),
        (
            "store",
            "header",
            "{\"azimage_emulator_state\":1,\"generation\":\"a\",\"seed\":3,\"sequence\":0}\n",
        ),
        (
            "store",
            "records",
            "{\"azimage_emulator_state\":1,\"generation\":\"a\",\"seed\":3,\"sequence\":7}\n{\"put\":{\"r|/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups|g\":{\"doc\":{\"id\":\"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g\",\"location\":\"eastus\"},\"_exp\":5}}}\n{\"del\":[\"x\"],\"put\":{\"settings\":{\"time_scale\":0.5}}}\n{\"torn",
        ),
        (
            "store",
            "json",
            "{\"a\":[1,-2.5e3,true,null,\"\\u00e9\\n\"],\"b\":{},\"a\":{\"c\":18446744073709551615}}",
        ),
    ];
    let mut all: Vec<Seed> = rows
        .iter()
        .map(|(target, name, text)| (*target, (*name).to_owned(), text.as_bytes().to_vec()))
        .collect();
    all.extend(requests());
    all
}

fn requests() -> Vec<Seed> {
    let put = |path: &str, api: &str, body: &str| {
        format!("PUT {path}?api-version={api}\ncontent-type: application/json\n\n{body}")
    };
    let get = |path: &str| format!("GET {path}?api-version=2024-03-03\nx-ms-client-request-id: 1\n\n");
    let (gallery, definition) = (rg("galleries/gal"), rg("galleries/gal/images/def"));
    let version = rg("galleries/gal/images/def/versions/1.0.0");
    let definition_body = cases::definition("def").to_string();
    let image = "{\"location\":\"eastus\",\"properties\":{\"hyperVGeneration\":\"V2\",\"storageProfile\":{\"osDisk\":{\"osType\":\"Linux\",\"osState\":\"Generalized\",\"managedDisk\":{\"id\":\"DISK\"}}}}}";
    let image = image.replace("DISK", &rg("disks/os"));
    let version_body = json!({"location": "eastus", "properties": {
        "publishingProfile": {"targetRegions": [{"name": "East US", "regionalReplicaCount": 2}]},
        "storageProfile": {"source": {"id": rg("images/img")}}}});
    let location = "{\"location\":\"eastus\",\"tags\":{\"a\":\"b\"},\"properties\":{\"description\":\"d\"}}";
    let fault =
        "POST /_emulator/faults\n\n{\"method\":\"GET\",\"path\":\"galleries\",\"count\":1,\"status\":503}";
    let market = "GET /subscriptions/s/providers/Microsoft.Compute/locations/eastus/publishers/kinvolk/artifacttypes/vmimage/offers/flatcar-container-linux-free/skus/stable-gen2/versions?api-version=2024-07-01&$top=3&$orderby=name%20desc\n\n";
    let files: [(&str, Vec<String>); 6] = [
        (
            "galleries",
            vec![
                put(&gallery, "2024-03-03", location),
                put(&definition, "2024-03-03", &definition_body),
                put(&rg("images/img"), "2024-07-01", &image),
                put(&version, "2024-03-03", &version_body.to_string()),
                get(&version),
                get(&rg("galleries")),
                format!("PATCH {gallery}?api-version=2024-03-03\n\n{{\"tags\":null}}"),
                format!("DELETE {definition}?api-version=2024-03-03\n\n"),
            ],
        ),
        ("faults", vec![fault.to_owned(), get(&gallery), get(&gallery), "GET /_emulator\n\n".to_owned()]),
        (
            "settings",
            vec![
                "PUT /_emulator/settings\n\n{\"time_scale\":0.5,\"throttling\":true,\"page_size\":1}".to_owned(),
                "POST /_emulator/advance\n\n{\"seconds\":10}".to_owned(),
                get("/subscriptions"),
            ],
        ),
        ("marketplace", vec![market.to_owned(), get("/metadata/endpoints")]),
        (
            "machines",
            vec![
                format!("POST {}/generalize?api-version=2024-07-01\n\n{{}}", rg("virtualMachines/golden-vm")),
                get(&rg("virtualMachines/golden-vm")),
                put(&rg("disks/os"), "2024-03-02", "{\"location\":\"eastus\",\"properties\":{\"creationData\":{\"createOption\":\"Empty\"},\"diskSizeGB\":30}}"),
            ],
        ),
        (
            "token",
            vec!["POST /tenant/oauth2/v2.0/token\n\ngrant_type=client_credentials&client_id=a&client_secret=b&scope=c".to_owned()],
        ),
    ];
    files.map(|(name, parts)| ("emulator", name.to_owned(), parts.join("\n---\n").into_bytes())).into()
}

async fn of_case(core: &Core, case: &Case, all: &mut Vec<Seed>) {
    let name = case.name.replace(' ', "-");
    let (type_name, ty) = (case.type_name.to_owned(), core.ty(case.type_name));
    let full = patched(&case.small, &case.full);
    let config = core.config(case.type_name, &full);
    let held = core.create(case.type_name, &full).await;
    let state = state_json::encode(&held.state);
    all.push(("state", name.clone(), state.to_string().into_bytes()));
    let place = values::types().iter().position(|known| *known == ty).unwrap();
    for (kind, value) in [("config", &config), ("state", &held.state)] {
        let mut bytes = vec![u8::try_from(place).unwrap()];
        bytes.extend(msgpack::encode(value, &ty));
        all.push(("msgpack", format!("{name}-{kind}"), bytes));
    }
    // the service's response for the object
    if let Some(id) = &case.id {
        let body = core.azure_object(id);
        let found = format!("200\nx-ms-request-id: 1\n\n{body}");
        let missing = "404\n\n{\"error\":{\"code\":\"ResourceNotFound\",\"message\":\"gone\"}}";
        let accepted = format!(
            "201\nazure-asyncoperation: https://management.azure.com/op?api-version=1\nretry-after: 2\n\n{body}"
        );
        let done = "200\n\n{\"status\":\"Succeeded\"}";
        for (verb, answers) in [
            ("read", vec![found.as_str()]),
            ("read-gone", vec!["503\nretry-after: 1\n\n<html><title>Bad gateway</title>", missing]),
            ("create", vec![missing, missing, &accepted, done, &found]),
            ("update", vec![&found, &found, &accepted, done, &found]),
            ("delete", vec!["202\nlocation: https://management.azure.com/op\n\n", "204\n\n", missing]),
        ] {
            let head = format!("{} {type_name}\n\n{state}", verb.split('-').next().unwrap());
            let text = format!("{head}\n---\n{}", answers.join("\n---\n"));
            all.push(("arm", format!("{name}-{verb}"), text.into_bytes()));
        }
    }
    calls(core, case, &held, all).await;
}

async fn calls(core: &Core, case: &Case, held: &super::core::Held, all: &mut Vec<Seed>) {
    let name = case.name.replace(' ', "-");
    let (type_name, ty) = (case.type_name.to_owned(), core.ty(case.type_name));
    let config = dynamic(&core.config(case.type_name, &case.small), &ty);
    let state = dynamic(&held.state, &ty);
    let mut push =
        |call: &str, message: Vec<u8>| all.push(("rpc", format!("{name}-{call}"), coded(call, &message)));
    let request = pb::validate_resource_type_config::Request {
        type_name: type_name.clone(),
        config: config.clone(),
        client_capabilities: None,
    };
    push("ValidateResourceTypeConfig", request.encode_to_vec());
    let (planned, _) = core
        .plan_once(
            case.type_name,
            &azimage::schema::Value::Null,
            &core.config(case.type_name, &case.small),
            b"",
            None,
        )
        .await;
    let request = pb::plan_resource_change::Request {
        type_name: type_name.clone(),
        prior_state: state.clone(),
        proposed_new_state: config.clone(),
        config: config.clone(),
        ..Default::default()
    };
    push("PlanResourceChange", request.encode_to_vec());
    let request = pb::apply_resource_change::Request {
        type_name: type_name.clone(),
        planned_state: planned.planned_state,
        config,
        ..Default::default()
    };
    push("ApplyResourceChange", request.encode_to_vec());
    let request = pb::read_resource::Request {
        type_name: type_name.clone(),
        current_state: state.clone(),
        ..Default::default()
    };
    push("ReadResource", request.encode_to_vec());
    let request = pb::generate_resource_config::Request { type_name: type_name.clone(), state };
    push("GenerateResourceConfig", request.encode_to_vec());
    let raw = |json: &Json| pb::RawState { json: json.to_string().into_bytes(), flatmap: Default::default() };
    let request = pb::upgrade_resource_state::Request {
        type_name: type_name.clone(),
        version: 0,
        raw_state: Some(raw(&case.small)),
    };
    push("UpgradeResourceState", request.encode_to_vec());
    let identity = held.identity.as_ref().unwrap();
    let request = pb::upgrade_resource_identity::Request {
        type_name: type_name.clone(),
        version: 0,
        raw_identity: Some(raw(&state_json::encode(identity))),
    };
    push("UpgradeResourceIdentity", request.encode_to_vec());
    let identity =
        pb::ResourceIdentityData { identity_data: dynamic(identity, &core.identity_type(case.type_name)) };
    let request = pb::import_resource_state::Request {
        type_name: type_name.clone(),
        id: case.id.clone().unwrap_or_default(),
        identity: Some(identity),
        ..Default::default()
    };
    push("ImportResourceState", request.encode_to_vec());
    if let Some(source) = case.azurerm {
        let request = pb::move_resource_state::Request {
            source_provider_address: "registry.terraform.io/hashicorp/azurerm".into(),
            source_type_name: source.into(),
            source_state: Some(raw(&json!({"id": case.id, "name": "n", "location": "eastus"}))),
            target_type_name: type_name,
            ..Default::default()
        };
        push("MoveResourceState", request.encode_to_vec());
    }
}

// A message, preceded by the byte that selects its call.
fn coded(call: &str, message: &[u8]) -> Vec<u8> {
    let place = wire::CALLS.iter().position(|known| *known == call).unwrap();
    let mut bytes = vec![u8::try_from(place).unwrap()];
    bytes.extend(message);
    bytes
}

fn data_sources(core: &Core, all: &mut Vec<Seed>) {
    let marketplace = json!({"location": "eastus", "publisher": "kinvolk", "offer": "flatcar-container-linux-free", "sku": "stable-gen2"});
    let definition = rg("galleries/gal/images/def");
    let rows = [
        (
            "azimage_marketplace_image",
            marketplace.clone(),
            json!([{"name": "3374.2.5"}, {"name": "4081.2.1"}]),
        ),
        ("azimage_marketplace_images", marketplace, json!([{"name": "3374.2.5"}])),
        (
            "azimage_gallery",
            json!({"name": "g", "resource_group_name": "rg"}),
            json!({"id": rg("galleries/g"), "location": "eastus", "properties": {}}),
        ),
        (
            "azimage_image_version",
            json!({"image_definition_id": definition}),
            json!({"value": [{"name": "1.0.0", "location": "eastus", "properties": {"provisioningState": "Succeeded"}}]}),
        ),
        (
            "azimage_managed_images",
            json!({"resource_group_name": "rg"}),
            json!({"value": [], "nextLink": "https://management.azure.com/next"}),
        ),
    ];
    for (type_name, config, answer) in rows {
        let block = core.schema.data_source_schemas[type_name].block.as_ref().unwrap();
        let value = super::core::value(block, &config);
        let ty = super::core::oracle::implied_type(block);
        let text = format!("data {type_name}\n\n{config}\n---\n200\n\n{answer}");
        all.push(("arm", type_name.to_owned(), text.into_bytes()));
        let request = pb::read_data_source::Request {
            type_name: type_name.into(),
            config: dynamic(&value, &ty),
            ..Default::default()
        };
        all.push((
            "rpc",
            format!("{type_name}-ReadDataSource"),
            coded("ReadDataSource", &request.encode_to_vec()),
        ));
        let request = pb::validate_data_source_config::Request {
            type_name: type_name.into(),
            config: dynamic(&value, &ty),
        };
        let message = request.encode_to_vec();
        all.push(("rpc", format!("{type_name}-Validate"), coded("ValidateDataSourceConfig", &message)));
    }
    let block = core.schema.provider.as_ref().unwrap().block.as_ref().unwrap();
    let config = super::core::value(
        block,
        &json!({"environment": "usgovernment", "client_id": "c", "tenant_id": "t"}),
    );
    let config = dynamic(&config, &super::core::oracle::implied_type(block));
    let request = pb::prepare_provider_config::Request { config: config.clone() };
    all.push(("rpc", "provider".into(), coded("PrepareProviderConfig", &request.encode_to_vec())));
    let request =
        pb::configure::Request { config, terraform_version: "1.14.0".into(), client_capabilities: None };
    all.push(("rpc", "configure".into(), coded("Configure", &request.encode_to_vec())));
    all.push(("rpc", "nothing".into(), coded("calls without arguments", b"")));
}

fn functions(all: &mut Vec<Seed>) {
    let text = |text: &str| pb::DynamicValue {
        msgpack: msgpack::encode(&text.into(), &Type::String),
        json: Vec::new(),
    };
    let list = pb::DynamicValue {
        msgpack: msgpack::encode(
            &azimage::schema::Value::List(vec!["1.0.0".into(), "1.10.0".into()]),
            &Type::list(Type::String),
        ),
        json: Vec::new(),
    };
    for (name, arguments) in [
        ("parse_urn", vec![text(cases::URN)]),
        ("parse_image_id", vec![text(&rg("galleries/g/images/i/versions/1.0.0"))]),
        ("version_bump", vec![text("1.2.3"), text("minor")]),
        ("version_satisfies", vec![text("1.2.3"), text("~> 1.2")]),
        ("version_sort", vec![list.clone()]),
        ("version_latest", vec![list, text("< 1.5")]),
    ] {
        let request = pb::call_function::Request { name: name.into(), arguments };
        all.push(("rpc", name.into(), coded("CallFunction", &request.encode_to_vec())));
    }
}

fn bundles(all: &mut Vec<Seed>) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/client-certificate");
    for name in [
        "modern",
        "legacy",
        "triple-des",
        "rc2-128",
        "aes-128",
        "no-mac",
        "no-password",
        "null-password",
        "no-key",
    ] {
        let bytes = std::fs::read(folder.join(format!("{name}.pfx"))).unwrap();
        all.push(("pfx", name.to_owned(), bytes));
    }
}
