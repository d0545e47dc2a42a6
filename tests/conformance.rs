//! The emulator answers recorded requests as the service did: recordings are replayed in order and the answers compared.
//!
//! The recordings lie beside the repository (`AZIMAGE_SHARED` names the folder that holds `recordings/`); where they are
//! absent the test says so and passes. Compared are status, headers that clients act on, and bodies with the order of their
//! keys; dates, GUIDs and counters only by their kind. What may differ is listed in [`ACCEPTED`], each with its reason.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "conformance/created.rs"]
mod created;

use std::collections::HashMap;
use std::path::PathBuf;

use azimage::emulator::json::Json;
use azimage::emulator::{Emulator, Request, Response};
use time::{Duration, OffsetDateTime};

/// A difference that is known: where (file, path in the answer; both are prefixes, `*` is any) and why it stands.
struct Accepted {
    file: &'static str,
    at: &'static str,
    why: &'static str,
}

const ACCEPTED: &[Accepted] = &[
    Accepted {
        file: "*",
        at: "properties.storageProfile.imageReference.exactVersion",
        why: "the newest version in the emulator's catalogue is a later one",
    },
    Accepted {
        file: "*",
        at: "properties.instanceView.vmAgent.vmAgentVersion",
        why: "the emulator's machines have a later agent",
    },
    Accepted {
        file: "test_vm_with_",
        at: "properties.instanceView.osVersion",
        why: "what is in an image of a gallery was not kept",
    },
    Accepted {
        file: "test_vm_with_",
        at: "header x-ms-ratelimit-remaining-resource",
        why: "the classes of operations of machines had other names in 2023",
    },
    Accepted {
        file: "test_vm_trusted_launch",
        at: "header x-ms-ratelimit-remaining-resource",
        why: "as above",
    },
    Accepted {
        file: "test_vm_image_list",
        at: "[]",
        why: "the emulator's catalogue has fewer offers and skus; the form of each entry is that of the other recordings",
    },
    Accepted {
        file: "test_vm_image_terms",
        at: "properties.licenseTextLink",
        why: "the link to the text is made up, since the text itself is not there",
    },
    Accepted { file: "test_vm_image_terms", at: "properties.marketplaceTermsLink", why: "as above" },
    Accepted { file: "test_vm_image_terms", at: "properties.privacyPolicyLink", why: "as above" },
    Accepted {
        file: "*",
        at: "properties.features",
        why: "the features of an image are the same for all its versions here; the service's changed from version to version",
    },
    Accepted {
        file: "test_resource_graph",
        at: "data[]",
        why: "the recorded subscription held other resources; that there are as many rows is compared by count",
    },
    Accepted { file: "test_resource_graph", at: "totalRecords", why: "as above" },
    Accepted {
        file: "test_resource_graph_paged_query",
        at: "$skipToken",
        why: "the name of the answering cluster stands in it",
    },
    Accepted {
        file: "test_run_command_v2",
        at: "header x-ms-ratelimit-remaining-resource",
        why: "the classes of operations of machines had other names in 2023",
    },
    Accepted {
        file: "test_vm_run_command_with_parameters",
        at: "header x-ms-ratelimit-remaining-resource",
        why: "as above",
    },
    Accepted {
        file: "test_vm_boot_diagnostics",
        at: "header x-ms-ratelimit-remaining-resource",
        why: "as above",
    },
    Accepted {
        file: "test_vm_boot_diagnostics",
        at: "consoleScreenshotBlobUri",
        why: "the blobs are on the emulator's own host",
    },
    Accepted { file: "test_vm_boot_diagnostics", at: "serialConsoleLogBlobUri", why: "as above" },
    Accepted {
        file: "test_create_disk_from_diff_gallery_image_version",
        at: "properties.osType",
        why: "what made the image was not kept",
    },
    Accepted {
        file: "test_create_disk_from_diff_gallery_image_version",
        at: "properties.supportedCapabilities",
        why: "as above",
    },
    Accepted {
        file: "test_resource_graph_query_error",
        at: "error.message",
        why: "a time and an identifier stand in the text",
    },
    Accepted {
        file: "test_role_assignment_create_update",
        at: "value[]",
        why: "the recorded subscription held other assignments, above this one",
    },
    Accepted {
        file: "test_aks_create_default_service_with_virtual_node_addon",
        at: "error.message",
        why: "the service names the existing assignment by now, and so does the emulator",
    },
    Accepted {
        file: "test_create_disk_from_diff_gallery_image_version",
        at: "header azure-asyncoperation",
        why: "recorded before polling URLs were signed",
    },
    Accepted {
        file: "test_aks_create_default_service_with_virtual_node_addon",
        at: "header x-ms-failure-cause",
        why: "the recording's headers were cut down",
    },
    Accepted { file: "test_resource_policy_identity", at: "header x-ms-failure-cause", why: "as above" },
    Accepted {
        file: "test_resource_graph_paged_query",
        at: "$skipToken",
        why: "the token is opaque, and the emulator's own",
    },
    Accepted {
        file: "test_image_build_trigger",
        at: "properties.source.exactVersion",
        why: "the emulator's catalogue has fewer versions",
    },
    Accepted {
        file: "test_image_build_managed_image",
        at: "properties.storageProfile.osDisk.blobUri",
        why: "the storage account's name is made up",
    },
    Accepted {
        file: "test_image_build_shared_image",
        at: "properties.storageProfile.osDiskImage.source",
        why: "as above",
    },
    Accepted {
        file: "test_vm_generalize",
        at: "properties.output.resources[].properties.storageProfile.osDisk",
        why: "the storage account's name is made up",
    },
    Accepted {
        file: "test_vm_generalize",
        at: "resources[].properties.storageProfile.osDisk",
        why: "as above",
    },
];

/// Requests that are not replayed: file, numbers (none is all), a part of their URL, and why.
const SKIPPED: &[(&str, &[i64], &str, &str)] = &[
    ("test_image_build_managed_image", &[56, 59], "", "what created the machine was not kept"),
    (
        "test_vm_create_custom_data_activity_log_2019",
        &[],
        "",
        "it asks for days that are long past here, and what created the machine was not kept",
    ),
    (
        "test_run_command_v2",
        &[11],
        "",
        "an hour has passed here since the machine was created, and its agent is ready",
    ),
    ("test_vm_boot_diagnostics", &[22], "", "the blobs are on the emulator's own host"),
    (
        "manual_2026_excerpts",
        &[11, 12, 13, 14, 15, 16, 17, 18, 19, 21],
        "",
        "an excerpt: what comes before it was not kept",
    ),
    ("test_resource_graph_management_groups_query", &[], "", "the emulator has no management groups"),
    (
        "test_resource_policy_identity",
        &[21, 22, 23, 24, 25, 37, 38, 39, 40],
        "",
        "an hour passes between two requests here, so that the directory knows the principal at the second one",
    ),
    (
        "test_role_assignment_audits",
        &[],
        "eventtypes",
        "role assignments leave no events in the emulator's activity log",
    ),
    ("test_gallery_e2e", &[101], "", "what created the machine was not kept"),
    ("aso_Test_Compute_Image_20220301_CRUD", &[22], "", "what deleted the snapshot was not kept"),
];

/// Settings that a recording needs beside those of all.
const SETTINGS: &[(&str, &str)] = &[
    ("test_resource_policy_identity", r#"{"eventual_consistency":true}"#),
    // Hours pass here between requests that were seconds apart, and the run must still be queued.
    ("test_image_builder_cancel", r#"{"time_scale":0.0065}"#),
];

/// What failed in a recording for reasons that were not kept.
const FAULTS: &[(&str, &str)] = &[(
    "test_image_builder_vm_profile",
    r#"{"method":"PUT","path":"/imageTemplates/","fail_operation":{"code":"Unauthorized","message":"Not authorized to access the resource: /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/img_tmpl_vmprofile000001/providers/Microsoft.Network/virtualNetworks/vnet_000002. Please check the user assigned identity has the correct permissions. For more details, go to https://aka.ms/azvmimagebuilderts."}}"#,
)];

/// Something for a query without a filter to find: more than one page of three.
const RESOURCES_TO_LIST: &[Prepared] = &[
    (
        "PUT",
        "listed/providers/Microsoft.Network/networkInterfaces/nic1?api-version=2022-09-01",
        r#"{"location":"westus"}"#,
    ),
    (
        "PUT",
        "listed/providers/Microsoft.Network/networkInterfaces/nic2?api-version=2022-09-01",
        r#"{"location":"westus"}"#,
    ),
    (
        "PUT",
        "listed/providers/Microsoft.Network/networkInterfaces/nic3?api-version=2022-09-01",
        r#"{"location":"westus"}"#,
    ),
    (
        "PUT",
        "listed/providers/Microsoft.Network/networkInterfaces/nic4?api-version=2022-09-01",
        r#"{"location":"westus"}"#,
    ),
    (
        "PUT",
        "listed/providers/Microsoft.Network/networkInterfaces/nic5?api-version=2022-09-01",
        r#"{"location":"westus"}"#,
    ),
    (
        "PUT",
        "listed/providers/Microsoft.Network/networkInterfaces/nic6?api-version=2022-09-01",
        r#"{"location":"westus"}"#,
    ),
    (
        "PUT",
        "listed/providers/Microsoft.Network/networkInterfaces/nic7?api-version=2022-09-01",
        r#"{"location":"westus"}"#,
    ),
    (
        "PUT",
        "listed/providers/Microsoft.Network/networkInterfaces/nic8?api-version=2022-09-01",
        r#"{"location":"westus"}"#,
    ),
];

/// Method, path below the resource groups, body.
type Prepared = (&'static str, &'static str, &'static str);

/// What a recording's own requests do not create, since they were cut down to the interesting ones: file, and requests below
/// the subscription (method, path, body).
const PREPARED: &[(&str, &[Prepared])] = &[
    (
        "test_vm_run_command_with_parameters",
        &[(
            "PUT",
            "cli_test_vm_run_command_w_params000001/providers/Microsoft.Compute/virtualMachines/test-run-command-vm2?api-version=2022-11-01",
            r#"{"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"}},"diagnosticsProfile":{"bootDiagnostics":{"enabled":true}}}}"#,
        )],
    ),
    (
        "test_image_build_shared_image",
        &[
            (
                "PUT",
                "img_tmpl_sig000001/providers/Microsoft.Compute/galleries/ib_sig000003?api-version=2022-03-03",
                r#"{"location":"westus"}"#,
            ),
            (
                "PUT",
                "img_tmpl_sig000001/providers/Microsoft.Compute/galleries/ib_sig000003/images/image1?api-version=2022-03-03",
                r#"{"location":"westus","properties":{"osType":"Linux","osState":"Generalized","hyperVGeneration":"V1","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
            ),
        ],
    ),
    ("test_resource_graph_query", RESOURCES_TO_LIST),
    ("test_resource_graph_paged_query", RESOURCES_TO_LIST),
    ("test_resource_graph_skip_token_query", RESOURCES_TO_LIST),
    (
        "test_role_assignment_create_update",
        &[("PUT", "cli_role_assign000001?api-version=2022-09-01", r#"{"location":"westus"}"#)],
    ),
    (
        "test_aks_create_default_service_with_virtual_node_addon",
        &[
            (
                "PUT",
                "clitest000001/providers/Microsoft.Network/virtualNetworks/clitest.vn000002?api-version=2022-09-01",
                r#"{"location":"westus"}"#,
            ),
            (
                "PUT",
                "clitest000001/providers/Microsoft.Network/virtualNetworks/clitest.vn000002/providers/Microsoft.Authorization/roleAssignments/f323fcb5-bf7d-408f-935e-1fa519de0550?api-version=2022-04-01",
                r#"{"properties":{"roleDefinitionId":"/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c","principalId":"1571adef-1c85-4f66-880f-926ee3136272"}}"#,
            ),
        ],
    ),
    (
        "test_community_gallery_operations",
        &[(
            "PUT",
            "cli_test_community_gallery_operations_000001/providers/Microsoft.Compute/virtualMachines/vm000002?api-version=2022-11-01",
            r#"{"location":"centraluseuap","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux","name":"vm000002_disk1_00000000000000000000000000000000"}}}}"#,
        )],
    ),
    (
        "test_create_image_version_with_allow_replicated_location_deletion",
        &[(
            "PUT",
            "clitest.rg000001/providers/Microsoft.Compute/virtualMachines/vm000002?api-version=2022-11-01",
            r#"{"location":"centraluseuap","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux","name":"vm000002_disk1_00000000000000000000000000000000"}}}}"#,
        )],
    ),
    (
        "test_gallery_e2e",
        &[(
            "PUT",
            "clitest.rg000001/providers/Microsoft.Compute/virtualMachines/vm1?api-version=2022-11-01",
            r#"{"location":"eastus2","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"},"dataDisks":[{"lun":0,"createOption":"Empty","diskSizeGB":10}]}}}"#,
        )],
    ),
    (
        "test_replication_mode",
        &[(
            "PUT",
            "clitest.rg000001/providers/Microsoft.Compute/virtualMachines/vm_000007?api-version=2022-11-01",
            r#"{"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux","name":"vm_000007_disk1_00000000000000000000000000000000"}}}}"#,
        )],
    ),
    (
        "test_vm_capture_zone_resilient_image",
        &[(
            "PUT",
            "cli_test_generalize_vm000001/providers/Microsoft.Compute/virtualMachines/vm-generalize?api-version=2022-11-01",
            r#"{"location":"francecentral","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"}}}}"#,
        )],
    ),
    (
        "test_vm_custom_image_management",
        &[(
            "PUT",
            "cli_test_vm_custom_image_mgmt_000001/providers/Microsoft.Compute/virtualMachines/vm1?api-version=2022-11-01",
            r#"{"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"}}}}"#,
        )],
    ),
    (
        "test_vm_generalize",
        &[
            (
                "PUT",
                "cli_test_generalize_vm000001/providers/Microsoft.Compute/virtualMachines/vm-generalize?api-version=2022-11-01",
                r#"{"location":"westus","properties":{"hardwareProfile":{"vmSize":"Standard_DS1_v2"},"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux","name":"cli-test-os-disk","vhd":{"uri":"https://vhdstorageb1d2d53d93c670.blob.core.windows.net/vhds/osdisk_b1d2d53d93.vhd"}}}}}"#,
            ),
            (
                "POST",
                "cli_test_generalize_vm000001/providers/Microsoft.Compute/virtualMachines/vm-generalize/powerOff?api-version=2022-11-01",
                "",
            ),
        ],
    ),
];

fn prepare(file: &str) -> Vec<(&'static str, String, &'static str)> {
    PREPARED
        .iter()
        .filter(|(name, _)| *name == file)
        .flat_map(|(_, requests)| requests.iter())
        .map(|(method, tail, body)| {
            let url = format!("/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{tail}");
            (*method, url, *body)
        })
        .collect()
}

fn recordings_are_answered_as_they_were() {
    let folder = external::shared("recordings");
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let mut report = Vec::new();
    let (mut compared, mut skipped) = (0, 0);
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut replay = Replay::new(&name);
        let exchanges: Vec<Json> = text.lines().map(|line| Json::parse(line.as_bytes()).unwrap()).collect();
        replay.look_ahead(&exchanges);
        replay.create(&exchanges);
        for (index, exchange) in exchanges.iter().enumerate() {
            match replay.exchange(index, exchange) {
                Some(differences) => {
                    compared += 1;
                    report.extend(differences);
                }
                None => skipped += 1,
            }
        }
    }
    println!("{compared} exchanges compared, {skipped} skipped");
    assert!(report.is_empty(), "{} differences:\n{}", report.len(), report.join("\n"));
}

/// One recording being replayed.
struct Replay {
    file: String,
    emulator: Emulator,
    now: OffsetDateTime,
    /// Operations: the recorded GUID and the URLs that the emulator gave for it (status, monitor).
    operations: HashMap<String, (String, String)>,
    /// Names that the service made up, and what the emulator made up instead.
    names: HashMap<String, String>,
    /// Where each operation is last seen running.
    running: HashMap<String, usize>,
}

impl Replay {
    fn new(file: &str) -> Replay {
        let mut replay = Replay {
            file: file.to_owned(),
            emulator: Emulator::in_memory(),
            now: time::macros::datetime!(2025-01-07 05:52:23 UTC),
            operations: HashMap::new(),
            names: HashMap::new(),
            running: HashMap::new(),
        };
        let settings = r#"{"time_scale":1,"recorded_polling":true}"#;
        replay.send("PUT", "/_emulator/settings", settings);
        for (_, settings) in SETTINGS.iter().filter(|(name, _)| *name == file) {
            replay.send("PUT", "/_emulator/settings", settings);
        }
        for (_, fault) in FAULTS.iter().filter(|(name, _)| *name == file) {
            replay.send("PUT", "/_emulator/faults", fault);
        }
        for (method, url, body) in prepare(file) {
            let response = replay.send(method, &url, body);
            assert!(
                response.status < 300,
                "{file}: preparing {url}: {}",
                String::from_utf8_lossy(&response.body)
            );
            replay.now += Duration::hours(1);
        }
        replay
    }

    fn send(&mut self, method: &str, url: &str, body: &str) -> Response {
        let request = Request {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: vec![("Host".to_owned(), "management.azure.com".to_owned())],
            body: body.as_bytes().to_vec(),
        };
        self.now += Duration::milliseconds(10);
        self.emulator.handle(&request, self.now)
    }

    fn look_ahead(&mut self, exchanges: &[Json]) {
        for (index, exchange) in exchanges.iter().enumerate() {
            let running = body_of(exchange.get("response_body")).text("status") == Some("InProgress");
            if running && let Some(guid) = guid_of_operation(exchange.text("uri").unwrap_or_default()) {
                self.running.insert(guid, index);
            }
        }
    }

    /// Creates the resources whose creation was not kept.
    fn create(&mut self, exchanges: &[Json]) {
        let mut requests: Vec<(&str, String, String)> = created::REQUESTS
            .iter()
            .filter(|(file, ..)| *file == self.file)
            .map(|(_, method, tail, body)| {
                let groups = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups";
                (*method, format!("{groups}/{tail}"), (*body).to_owned())
            })
            .collect();
        for (_, number) in created::CREATED.iter().filter(|(file, _)| *file == self.file) {
            let shows = |exchange: &&Json| exchange.int("n") == Some(*number);
            let shown = exchanges.iter().find(shows).unwrap();
            let (url, body) = (shown.text("uri").unwrap(), body_of(shown.get("response_body")));
            let url = url.replace("$expand=instanceView&", "");
            requests.push(("PUT", url, created::body_of(&body).compact()));
        }
        for (method, url, body) in requests {
            let response = self.send(method, &url, &body);
            let answer = String::from_utf8_lossy(&response.body).into_owned();
            assert!(response.status < 300, "{}: creating {url}: {answer}", self.file);
            self.now += Duration::hours(1);
        }
    }

    /// Replays one exchange; `None` when it is skipped.
    fn exchange(&mut self, index: usize, recorded: &Json) -> Option<Vec<String>> {
        let uri = recorded.text("uri").unwrap_or_default();
        let number = recorded.int("n").unwrap_or(index as i64 + 1);
        if SKIPPED.iter().any(|(file, n, part, why)| {
            !why.is_empty()
                && (*file == "*" || *file == self.file)
                && (n.is_empty() || n.contains(&number))
                && uri.contains(part)
        }) {
            return None;
        }
        if recorded.get("status").is_none_or(Json::is_null) {
            // An exchange without an answer only prepares what follows.
            let body = recorded.get("request_body").map(Json::compact).unwrap_or_default();
            self.send(recorded.text("method").unwrap_or_default(), uri, &body);
            self.now += Duration::hours(1);
            return None;
        }
        let answer = body_of(recorded.get("response_body"));
        let still_running =
            self.operations.keys().any(|guid| self.running.get(guid).is_some_and(|last| *last >= index));
        if !still_running {
            // Whatever runs has ended by the time the recording goes on.
            self.now += Duration::hours(1);
        }
        let url = match guid_of_operation(uri) {
            Some(guid) => {
                let (status, monitor) = self.operations.get(&guid)?;
                if uri.contains("monitor=true") { monitor.clone() } else { status.clone() }
            }
            None => self.names.iter().fold(uri.to_owned(), |uri, (theirs, ours)| uri.replace(theirs, ours)),
        };
        let body = match recorded.get("request_body") {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(body) => body.compact(),
        };
        let response = self.send(recorded.text("method").unwrap_or_default(), &url, &body);
        let headers = |name: &str| -> Option<String> {
            recorded
                .get("response_headers")?
                .pairs()
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .and_then(|(_, value)| value.as_str().map(str::to_owned))
        };
        if let Some(guid) = headers("azure-asyncoperation").as_deref().and_then(guid_of_operation) {
            let ours = |name: &str| header(&response, name).unwrap_or_default().to_owned();
            self.operations.insert(guid, (ours("azure-asyncoperation"), ours("location")));
        }
        let mut differences = Vec::new();
        let status = recorded.int("status").unwrap_or(0);
        if status != i64::from(response.status) {
            let body = String::from_utf8_lossy(&response.body).into_owned();
            differences.push((
                "HTTP status".to_owned(),
                status.to_string(),
                format!("{} {body}", response.status),
            ));
        }
        // Excerpts do not have all headers: what they lack says nothing there.
        let excerpt = self.file.starts_with("manual");
        // The command line's recordings have Retry-After taken out.
        let scrubbed = self.file.starts_with("test_");
        for name in [
            "azure-asyncoperation",
            "location",
            "content-type",
            "x-ms-failure-cause",
            "retry-after",
            "x-ms-ratelimit-remaining-resource",
        ] {
            let theirs = headers(name).map(|value| shape(name, &value));
            let mut ours = header(&response, name).map(|value| shape(name, value));
            // Until 2024 poll URLs were not signed.
            if theirs.as_ref().is_some_and(|theirs| !theirs.ends_with(",t,c,s,h")) {
                ours = ours.map(|ours| ours.trim_end_matches(",t,c,s,h").to_owned());
            }
            let unknown = (excerpt && theirs.is_none()) || (scrubbed && name == "retry-after");
            if differences.is_empty() && theirs != ours && !unknown {
                differences.push((format!("header {name}"), format!("{theirs:?}"), format!("{ours:?}")));
            }
        }
        let ours = Json::parse(&response.body).unwrap_or_default();
        const PUBLIC: &str = "properties.sharingProfile.communityGalleryInfo.publicNames";
        for (theirs, ours) in answer.list(PUBLIC).iter().zip(ours.list(PUBLIC)) {
            if let (Some(theirs), Some(ours)) = (theirs.as_str(), ours.as_str()) {
                self.names.insert(theirs.to_owned(), ours.to_owned());
            }
        }
        const UNIQUE: &str = "properties.identifier.uniqueName";
        if let (Some(theirs), Some(ours)) = (answer.text(UNIQUE), ours.text(UNIQUE)) {
            self.names.insert(theirs.to_owned(), ours.to_owned());
        }
        for (theirs, ours) in answer.list("value").iter().zip(ours.list("value")) {
            // The unique name of a shared gallery, by which it is asked for from then on.
            if let (Some(_), Some(theirs), Some(ours)) =
                (theirs.at("identifier.uniqueId"), theirs.text("name"), ours.text("name"))
            {
                self.names.insert(theirs.to_owned(), ours.to_owned());
            }
        }
        if status == i64::from(response.status) {
            compare("", &answer, &ours, &mut differences);
        }
        let what = format!(
            "{} n={number} {} {}",
            self.file,
            recorded.text("method").unwrap_or_default(),
            uri.split('?').next().unwrap_or_default().rsplit("/providers/").next().unwrap_or_default()
        );
        Some(
            differences
                .into_iter()
                .filter(|(at, ..)| !accepted(&self.file, at))
                .map(|(at, theirs, ours)| format!("{what}: {at}: recorded {theirs}, emulated {ours}"))
                .collect(),
        )
    }
}

fn accepted(file: &str, at: &str) -> bool {
    ACCEPTED.iter().any(|accepted| {
        debug_assert!(!accepted.why.is_empty());
        let fits = |pattern: &str, text: &str| pattern == "*" || text.starts_with(pattern);
        fits(accepted.file, file) && fits(accepted.at, at)
    })
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn body_of(recorded: Option<&Json>) -> Json {
    match recorded {
        Some(Json::String(text)) => Json::parse(text.as_bytes()).unwrap_or_else(|_| text.as_str().into()),
        Some(body) => body.clone(),
        None => Json::Null,
    }
}

/// The GUID in `…/capsOperations/{guid}?…`.
fn guid_of_operation(url: &str) -> Option<String> {
    let lower = url.to_ascii_lowercase();
    ["/capsoperations/", "/operations/", "/diskoperations/"]
        .iter()
        .find_map(|part| lower.split_once(part))
        .map(|(_, rest)| rest.chars().take_while(|c| *c != '?' && *c != '/').collect())
}

/// A header without what changes from call to call.
fn shape(name: &str, value: &str) -> String {
    match name {
        "azure-asyncoperation" | "location" => {
            let Ok(url) = url::Url::parse(value) else { return plain(value) };
            let names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
            format!("{} {}", plain(url.path()), names.join(","))
        }
        "x-ms-ratelimit-remaining-resource" => value
            .split(',')
            .map(|part| part.split(';').next().unwrap_or_default().trim())
            .collect::<Vec<_>>()
            .join(","),
        _ => value.to_owned(),
    }
}

/// Texts with GUIDs, dates and signatures replaced by their kind.
fn plain(text: &str) -> String {
    thread_local! {
        static GUID: regex_lite::Regex =
            regex_lite::Regex::new("(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|_?[0-9a-f]{32}").unwrap();
        static DATE: regex_lite::Regex =
            regex_lite::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)$").unwrap();
    }
    if DATE.with(|date| date.is_match(text)) {
        return format!("<date{}>", if text.ends_with('Z') { " Z" } else { "" });
    }
    GUID.with(|guid| guid.replace_all(&group(text), "<guid>").into_owned())
}

/// Resource group names were replaced in some places only; what is left of them is whether they are in upper case.
fn group(text: &str) -> String {
    let Some((before, rest)) = text.split_once("/resourceGroups/") else {
        return text.to_owned();
    };
    let (name, after) = rest.split_once('/').unwrap_or((rest, ""));
    let shown = if name == name.to_uppercase() { "<RG>" } else { "<rg>" };
    format!("{before}/resourceGroups/{shown}/{after}")
}

type Difference = (String, String, String);

fn compare(at: &str, theirs: &Json, ours: &Json, differences: &mut Vec<Difference>) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match (theirs, ours) {
        (Json::Object(a), Json::Object(b)) => {
            let keys =
                |pairs: &[(String, Json)]| pairs.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
            let (mut left, mut right) = (keys(a), keys(b));
            for key in &left {
                if !right.contains(key) {
                    differences.push((below(key), "present".into(), "absent".into()));
                }
            }
            for key in &right {
                if !left.contains(key) {
                    differences.push((below(key), "absent".into(), "present".into()));
                }
            }
            left.retain(|key| right.contains(key));
            right.retain(|key| left.contains(key));
            if left != right {
                differences.push((format!("{at} (order)"), left.join(","), right.join(",")));
            }
            for key in left {
                if let (Some(x), Some(y)) = (theirs.get(&key), ours.get(&key)) {
                    compare(&below(&key), x, y, differences);
                }
            }
        }
        (Json::Array(a), Json::Array(b)) => {
            if a.len() != b.len() {
                differences.push((
                    format!("{at}[]"),
                    format!("{} entries", a.len()),
                    format!("{} entries", b.len()),
                ));
            }
            for (x, y) in a.iter().zip(b) {
                compare(&format!("{at}[]"), x, y, differences);
            }
        }
        (Json::String(a), Json::String(b)) => {
            let (a, b) = if at.ends_with("properties.signature") {
                (a.len().to_string(), b.len().to_string())
            } else if at == "etag" {
                // A count of changes.
                (a.len().min(1).to_string(), b.len().min(1).to_string())
            } else if at.ends_with("uniqueName") {
                // The name in it was left as it was when names elsewhere were replaced.
                (
                    plain(a).split_once("<guid>-").is_some().to_string(),
                    plain(b).split_once("<guid>-").is_some().to_string(),
                )
            } else {
                (plain(a), plain(b))
            };
            if a != b {
                differences.push((at.to_owned(), format!("'{a}'"), format!("'{b}'")));
            }
        }
        _ if theirs == ours => {}
        _ => differences.push((at.to_owned(), theirs.compact(), ours.compact())),
    }
}

tests!(recordings_are_answered_as_they_were,);
