//! Every operation of the published descriptions works on the emulator, or is refused as not emulated.
//!
//! Each operation is tried on resources that exist, so that a 404 cannot look like an answer. The descriptions lie beside the
//! repository (`AZIMAGE_SHARED` names the folder that holds them); where they are absent the test is reported as ignored.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/external.rs"]
#[macro_use]
mod external;

use std::collections::BTreeSet;

use azimage::emulator::coverage::GAPS;
use azimage::emulator::{Emulator, Request};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

const S: &str = "/subscriptions/5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10";
const ROLE: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const ASSIGNMENT: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f11";
const CUSTOM_ROLE: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f12";

/// Operations whose error is the right answer for what is there: operation, status, code, and why.
const REFUSED: &[(&str, u64, &str, &str)] = &[
    ("DenyAssignments.get", 404, "ResourceNotFound", "nobody can create a deny assignment"),
    ("DenyAssignments.get_by_id", 404, "ResourceNotFound", "as above"),
    ("Deployments.cancel", 409, "DeploymentNotRunning", "the deployment has ended"),
    ("Deployments.cancel_at_scope", 409, "DeploymentNotRunning", "as above"),
    ("Deployments.cancel_at_subscription_scope", 409, "DeploymentNotRunning", "as above"),
    ("VirtualMachineImageTemplates.cancel", 409, "*", "no run is in progress"),
    ("Galleries.delete", 409, "CannotDeleteResource", "the gallery has children"),
    ("GalleryImages.delete", 409, "CannotDeleteResource", "as above"),
    ("GalleryApplications.delete", 409, "CannotDeleteResource", "as above"),
    ("GalleryScripts.delete", 409, "CannotDeleteResource", "as above"),
    ("GalleryInVMAccessControlProfiles.delete", 409, "CannotDeleteResource", "as above"),
    ("Resources.delete", 409, "CannotDeleteResource", "as above"),
    ("Resources.delete_by_id", 409, "CannotDeleteResource", "as above"),
    ("VirtualMachineImageTemplates.create_or_update", 409, "Conflict", "a template cannot be replaced"),
    ("Tags.delete", 409, "*", "the tag has values"),
    ("Disks.delete", 409, "*", "the disk is attached"),
    ("VirtualMachines.generalize", 409, "OperationNotAllowed", "the machine runs"),
    ("VirtualMachines.capture", 409, "OperationNotAllowed", "the machine is not generalized"),
];

/// Bodies that cannot be made from what a GET returns.
fn body_of(operation: &str, world: &World) -> Option<Value> {
    let template = json!({"$schema": "x", "contentVersion": "1.0.0.0", "resources": []});
    let deployment = json!({"properties": {"mode": "Incremental", "template": template}});
    let mut above = deployment.clone();
    above["location"] = "eastus".into();
    Some(match operation {
        "Deployments.create_or_update_at_subscription_scope"
        | "Deployments.validate_at_subscription_scope"
        | "Deployments.what_if_at_subscription_scope" => above,
        _ if operation.starts_with("Deployments.") => deployment,
        "RoleAssignments.create" | "RoleAssignments.create_by_id" => assignment(),
        "GallerySharingProfile.update" => json!({"operationType": "Reset"}),
        "VirtualMachines.capture" => {
            json!({"vhdPrefix": "p", "destinationContainerName": "c", "overwriteVhds": true})
        }
        "VirtualMachines.run_command" => json!({"commandId": "RunShellScript", "script": ["echo a"]}),
        "VirtualMachines.install_patches" => json!({"rebootSetting": "Never"}),
        "VirtualMachines.attach_detach_data_disks" => json!({}),
        "Disks.grant_access" | "Snapshots.grant_access" => json!({"access": "Read", "durationInSeconds": 60}),
        "ResourceGroups.export_template" => json!({"resources": ["*"]}),
        "Resources.move_resources" | "Resources.validate_move_resources" => {
            json!({"resources": [world.compute("disks/d")], "targetResourceGroup": format!("{S}/resourceGroups/rg")})
        }
        "Tags.update_at_scope" => json!({"operation": "Merge", "properties": {"tags": {"a": "b"}}}),
        "ResourceGraphClient.resources" => json!({"query": "resources | project id"}),
        "Galleries.update" | "VirtualMachines.update" => json!({"tags": {"a": "b"}}),
        _ => return None,
    })
}

fn assignment() -> Value {
    json!({"properties": {
        "roleDefinitionId": format!("{S}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}"),
        "principalId": "1571adef-1c85-4f66-880f-926ee3136272"
    }})
}

struct World {
    emulator: Emulator,
    now: OffsetDateTime,
    community: String,
}

impl World {
    fn ask(&mut self, method: &str, url: &str, body: Option<&Value>) -> (u64, Value) {
        let request = Request {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: vec![("Host".into(), "management.azure.com".into())],
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        let response = self.emulator.handle(&request, self.now);
        (u64::from(response.status), serde_json::from_slice(&response.body).unwrap_or_default())
    }

    fn put(&mut self, path: &str, api: &str, body: Value) {
        let (status, answer) = self.ask("PUT", &format!("{path}?api-version={api}"), Some(&body));
        assert!(status < 300, "{path}: {status} {answer}");
        self.now += Duration::hours(1);
    }

    fn post(&mut self, path: &str, api: &str, body: Option<Value>) {
        let (status, answer) = self.ask("POST", &format!("{path}?api-version={api}"), body.as_ref());
        assert!(status < 300, "{path}: {status} {answer}");
        self.now += Duration::hours(1);
    }

    fn compute(&self, tail: &str) -> String {
        format!("{S}/resourceGroups/my-rg/providers/Microsoft.Compute/{tail}")
    }

    /// A subscription with one resource of each described type.
    fn new() -> World {
        let mut world = World {
            emulator: Emulator::in_memory(),
            now: time::macros::datetime!(2026-11-02 09:14:03 UTC),
            community: String::new(),
        };
        let compute = |tail: &str| format!("{S}/resourceGroups/my-rg/providers/Microsoft.Compute/{tail}");
        const G: &str = "2026-03-03";
        const C: &str = "2026-04-01";
        const D: &str = "2026-03-02";
        let eastus = |properties: Value| json!({"location": "eastus", "properties": properties});
        let shared = json!({"permissions": "Groups"});
        world.put(
            &compute("galleries/gal"),
            G,
            eastus(json!({"sharingProfile": shared, "softDeletePolicy": {"isSoftDeleteEnabled": true}})),
        );
        let subscription = S.rsplit('/').next().unwrap();
        let groups = json!([
            {"type": "Subscriptions", "ids": [subscription]},
            {"type": "AADTenants", "ids": ["11111111-1111-1111-1111-111111111111"]},
        ]);
        let share = json!({"operationType": "Add", "groups": groups});
        world.post(&compute("galleries/gal/share"), G, Some(share));
        let info = json!({
            "publisherUri": "https://x", "publisherContact": "a@b.c", "eula": "e", "publicNamePrefix": "public"
        });
        let community = json!({"sharingProfile": {"permissions": "Community", "communityGalleryInfo": info}});
        world.put(&compute("galleries/comm"), G, eastus(community));
        world.post(&compute("galleries/comm/share"), G, Some(json!({"operationType": "EnableCommunity"})));
        let (_, shown) = world.ask("GET", &format!("{}?api-version={G}", compute("galleries/comm")), None);
        let public = &shown["properties"]["sharingProfile"]["communityGalleryInfo"]["publicNames"][0];
        world.community = public.as_str().unwrap().to_owned();
        world.post(&compute("virtualMachines/golden-vm/deallocate"), C, None);
        world.post(&compute("virtualMachines/golden-vm/generalize"), C, None);
        world.put(
            &compute("images/captured"),
            C,
            eastus(json!({
                "hyperVGeneration": "V2", "sourceVirtualMachine": {"id": compute("virtualMachines/golden-vm")}
            })),
        );
        for gallery in ["gal", "comm"] {
            let definition = compute(&format!("galleries/{gallery}/images/img"));
            let identifier = json!({"publisher": "p", "offer": "o", "sku": "s"});
            world.put(
                &definition,
                G,
                eastus(json!({
                    "osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "identifier": identifier
                })),
            );
            for version in ["1.0.0", "1.1.0"] {
                world.put(
                    &format!("{definition}/versions/{version}"),
                    G,
                    eastus(json!({"storageProfile": {"source": {"id": compute("images/captured")}}})),
                );
            }
        }
        let (status, _) = world.ask(
            "DELETE",
            &format!("{}?api-version={G}", compute("galleries/gal/images/img/versions/1.1.0")),
            None,
        );
        assert_eq!(status, 202);
        world.put(&compute("galleries/gal/applications/app"), G, eastus(json!({"supportedOSType": "Linux"})));
        let actions = json!({"install": "i", "remove": "r"});
        let profile = json!({"source": {"mediaLink": "https://x/a.zip"}, "manageActions": actions});
        world.put(
            &compute("galleries/gal/applications/app/versions/1.0.0"),
            G,
            eastus(json!({"publishingProfile": profile})),
        );
        world.put(&compute("galleries/gal/scripts/script"), G, eastus(json!({"supportedOSType": "Linux"})));
        let profile = json!({"source": {"scriptLink": "https://x/a.sh"}});
        world.put(
            &compute("galleries/gal/scripts/script/versions/1.0.0"),
            G,
            eastus(json!({"publishingProfile": profile})),
        );
        let access = compute("galleries/gal/inVMAccessControlProfiles/access");
        world.put(&access, G, eastus(json!({"osType": "Linux", "applicableHostEndpoint": "IMDS"})));
        world.put(
            &format!("{access}/versions/1.0.0"),
            G,
            eastus(json!({"mode": "Audit", "defaultAccess": "Allow"})),
        );
        let reference = json!({"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"});
        world.put(
            &compute("virtualMachines/vm"),
            C,
            eastus(json!({
                "storageProfile": {"imageReference": reference},
                "diagnosticsProfile": {"bootDiagnostics": {"enabled": true}}
            })),
        );
        let empty = json!({"creationData": {"createOption": "Empty"}, "diskSizeGB": 8});
        world.put(&compute("disks/d"), D, eastus(empty));
        let copy = json!({"creationData": {"createOption": "Copy", "sourceResourceId": compute("disks/d")}});
        world.put(&compute("snapshots/s"), D, eastus(copy));
        let key = json!({"activeKey": {"keyUrl": "https://v.vault.azure.net/keys/k/1"}});
        let mut set = eastus(key);
        set["identity"] = json!({"type": "SystemAssigned"});
        world.put(&compute("diskEncryptionSets/e"), D, set);
        let group = format!("{S}/resourceGroups/my-rg");
        let disk = json!({
            "type": "Microsoft.Compute/disks", "apiVersion": D, "name": "deployed", "location": "eastus",
            "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 8}
        });
        let template = json!({"$schema": "x", "contentVersion": "1.0.0.0", "resources": [disk]});
        let deployment = json!({"properties": {"mode": "Incremental", "template": template}});
        world.put(
            &format!("{group}/providers/Microsoft.Resources/deployments/dep"),
            "2025-04-01",
            deployment.clone(),
        );
        let group_of = json!({
            "type": "Microsoft.Resources/resourceGroups", "apiVersion": "2025-04-01", "name": "made",
            "location": "eastus"
        });
        let mut above = deployment;
        above["location"] = "eastus".into();
        above["properties"]["template"]["resources"] = json!([group_of]);
        world.put(&format!("{S}/providers/Microsoft.Resources/deployments/dep"), "2025-04-01", above);
        for scope in [group.clone(), compute("galleries/gal"), compute("galleries/gal/images/img")] {
            let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{ASSIGNMENT}");
            world.put(&path, "2022-04-01", assignment());
        }
        let permission = json!({"actions": ["*/read"]});
        world.put(
            &format!("{group}/providers/Microsoft.Authorization/roleDefinitions/{CUSTOM_ROLE}"),
            "2022-04-01",
            json!({"properties": {"roleName": "Custom", "type": "CustomRole", "permissions": [permission]}}),
        );
        let templates = format!("{group}/providers/Microsoft.VirtualMachineImages/imageTemplates/t");
        let identity = format!("{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/builder");
        let source = json!({
            "type": "PlatformImage", "publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server",
            "version": "latest"
        });
        let to = json!({
            "type": "ManagedImage", "runOutputName": "out", "location": "eastus", "imageId": compute("images/built")
        });
        world.put(
            &templates,
            "2025-10-01",
            json!({
                "location": "eastus",
                "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}},
                "properties": {"source": source, "customize": [], "distribute": [to]}
            }),
        );
        world.post(&format!("{templates}/run"), "2025-10-01", None);
        let trigger = json!({"properties": {"kind": "SourceImage"}});
        world.put(&format!("{templates}/triggers/trigger"), "2025-10-01", trigger);
        world.put(
            &format!("{group}/providers/Microsoft.ResourceGraph/queries/q"),
            "2021-03-01",
            json!({"location": "global", "properties": {"query": "resources"}}),
        );
        world.put(&format!("{S}/tagNames/cost"), "2025-04-01", json!(null));
        world.put(&format!("{S}/tagNames/cost/tagValues/low"), "2025-04-01", json!(null));
        let terms = format!(
            "{S}/providers/Microsoft.MarketplaceOrdering/agreements/fortinet/offers/fortinet_fortigate-vm_v5/plans/fortinet_fg-vm_payg_2023"
        );
        world.post(&format!("{terms}/sign"), "2021-01-01", None);
        world
    }

    /// Locks the subscription, the group and a resource.
    fn lock(&mut self) {
        let group = format!("{S}/resourceGroups/my-rg");
        for scope in [S.to_owned(), group, self.compute("galleries/gal/images/img")] {
            let path = format!("{scope}/providers/Microsoft.Authorization/locks/lock");
            self.put(&path, "2020-05-01", json!({"properties": {"level": "CanNotDelete"}}));
        }
    }

    /// The URL of an operation, with the names of what is there.
    fn url(&self, operation: &Value) -> String {
        let name = operation["op"].as_str().unwrap();
        let compute = |tail: &str| self.compute(tail).trim_start_matches('/').to_owned();
        let mut path = operation["p"].as_str().unwrap().to_owned();
        let mut put = |parameter: &str, value: &str| path = path.replace(&format!("{{{parameter}}}"), value);
        let subscription = S.rsplit('/').next().unwrap();
        let shared = format!("{subscription}-GAL");
        for (parameter, value) in [
            ("subscriptionId", subscription),
            ("resourceGroupName", "my-rg"),
            ("sourceResourceGroupName", "my-rg"),
            ("galleryName", "gal"),
            ("galleryImageName", "img"),
            ("galleryImageVersionName", "1.0.0"),
            ("galleryApplicationName", "app"),
            ("galleryApplicationVersionName", "1.0.0"),
            ("galleryScriptName", "script"),
            ("galleryScriptVersionName", "1.0.0"),
            ("inVMAccessControlProfileName", "access"),
            ("inVMAccessControlProfileVersionName", "1.0.0"),
            ("galleryUniqueName", &shared),
            ("publicGalleryName", &self.community),
            ("sharedGallerySubscriptionId", subscription),
            ("sharedGalleryName", "gal"),
            ("artifactType", "Images"),
            ("artifactName", "img"),
            ("location", "eastus"),
            ("edgeZone", "losangeles"),
            ("vmName", "vm"),
            ("imageName", "captured"),
            ("diskName", "d"),
            ("snapshotName", "s"),
            ("diskEncryptionSetName", "e"),
            ("publisherName", "Canonical"),
            ("offer", "ubuntu-24_04-lts"),
            ("skus", "server"),
            ("version", "latest"),
            ("offerType", "virtualmachine"),
            ("publisherId", "fortinet"),
            ("offerId", "fortinet_fortigate-vm_v5"),
            ("planId", "fortinet_fg-vm_payg_2023"),
            ("tagName", "cost"),
            ("tagValue", "low"),
            ("resourceProviderNamespace", "Microsoft.Compute"),
            ("deploymentName", "dep"),
            ("operationId", "none"),
            ("groupId", "group"),
            ("lockName", "lock"),
            ("roleAssignmentName", ASSIGNMENT),
            ("roleDefinitionId", CUSTOM_ROLE),
            ("denyAssignmentId", "d"),
            ("imageTemplateName", "t"),
            ("triggerName", "trigger"),
            ("runOutputName", "out"),
            ("scope", &format!("{}/resourceGroups/my-rg", S.trim_start_matches('/'))),
            ("resourceId", &compute("galleries/gal")),
            ("roleId", &format!("{}/providers/Microsoft.Authorization/roleDefinitions/{ROLE}", &S[1..])),
            (
                "roleAssignmentId",
                &format!(
                    "{}/providers/Microsoft.Authorization/roleAssignments/{ASSIGNMENT}",
                    compute("galleries/gal")
                ),
            ),
        ] {
            if parameter == "denyAssignmentId" && name.ends_with("get_by_id") {
                put(parameter, &format!("{}/providers/Microsoft.Authorization/denyAssignments/d", &S[1..]));
            }
            if parameter != "version" || !name.starts_with("Gallery") {
                put(parameter, value);
            }
        }
        put("parentResourcePath", "galleries/gal");
        let typed = if path.contains("{parentResourcePath}") || path.contains("galleries/gal/") {
            ("images", "img")
        } else {
            ("galleries", "gal")
        };
        let name_of_resource = if name.starts_with("GraphQuery.") { "q" } else { typed.1 };
        let path = path.replace("{resourceType}", typed.0).replace("{resourceName}", name_of_resource);
        assert!(!path.contains('{'), "{name}: no value for a parameter of {path}");
        let api = operation["v"].as_str().unwrap_or("2026-03-03");
        format!("{path}{}api-version={api}", if path.contains('?') { '&' } else { '?' })
    }
}

/// What is wrong with the answer to an operation; `None` if nothing is.
fn fault(operation: &Value, world: &mut World, gaps: &mut BTreeSet<&'static str>) -> Option<String> {
    let (name, method) = (operation["op"].as_str().unwrap(), operation["m"].as_str().unwrap());
    let mut url = world.url(operation);
    if name.starts_with("DeploymentOperations.get") {
        let list = url.replace("/none?", "?");
        let (_, listed) = world.ask("GET", &list, None);
        if let Some(id) = listed["value"][0]["operationId"].as_str() {
            url = url.replace("/none?", &format!("/{id}?"));
        }
    }
    let body = body_of(name, world).or_else(|| match method {
        "PUT" | "PATCH" => {
            let (status, shown) = world.ask("GET", &url, None);
            Some(if status == 200 && method == "PUT" { shown } else { json!({}) })
        }
        _ => None,
    });
    let body = body.filter(|_| matches!(method, "PUT" | "PATCH" | "POST"));
    let (status, answer) = world.ask(method, &url, body.as_ref());
    let code = answer["error"]["code"].as_str().unwrap_or_default();
    if status == 501 && code == "NotEmulated" {
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        let gap = GAPS
            .iter()
            .find(|gap| message.contains(&format!(" {}'", gap.path)) && message.ends_with(gap.instead));
        return match gap {
            Some(gap) => {
                gaps.insert(gap.path);
                None
            }
            None => Some(format!("is refused, and the guide does not list it: {message}")),
        };
    }
    let described = operation["st"].as_array().unwrap().iter().any(|known| known.as_u64() == Some(status));
    let refused = REFUSED.iter().any(|(known, known_status, known_code, _)| {
        *known == name && *known_status == status && (*known_code == "*" || *known_code == code)
    });
    // HEAD says by 404 that something is absent, which it is not here.
    let found = status != 404 || refused;
    ((!described && !refused) || !found).then(|| format!("{status} {answer:.300}"))
}

fn described_operations_work_or_are_refused() {
    let file = external::shared("descriptions").join("arm.json");
    let arm: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut gaps = BTreeSet::new();
    let mut faults = Vec::new();
    let mut tried = 0;
    // What only reads shares a world. Locks would stop everything else, so they are in one of their own.
    let (mut read, mut locked) = (World::new(), World::new());
    locked.lock();
    for api in arm["apis"].as_array().unwrap() {
        for operation in api["ops"].as_array().unwrap() {
            tried += 1;
            let reads = matches!(operation["m"].as_str(), Some("GET" | "HEAD"));
            let locks = operation["op"].as_str().unwrap().starts_with("ManagementLocks.");
            let mut own;
            let world = match (reads, locks) {
                (true, false) => &mut read,
                (true, true) => &mut locked,
                _ => {
                    own = World::new();
                    if locks {
                        own.lock();
                    }
                    &mut own
                }
            };
            if let Some(fault) = fault(operation, world, &mut gaps) {
                let (name, method) = (&operation["op"], &operation["m"]);
                faults.push(format!("{} {name} {method} {fault}", api["id"]));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {tried} operations:\n{}", faults.len(), faults.join("\n"));
    assert!(tried > 300, "{tried}");
    for gap in GAPS {
        assert!(gaps.contains(gap.path), "{} is not described, or it is not refused", gap.path);
    }
}

tests!(described_operations_work_or_are_refused);
