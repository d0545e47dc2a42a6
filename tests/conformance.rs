//! The emulator responds to recorded requests as the service did: replays recordings in order and compares the responses.
//!
//! The recordings lie beside the repository (`AZIMAGE_SHARED` names the folder that holds `recordings/`); where they are
//! absent the test is reported as ignored. Compared are status, headers that clients act on, and bodies with the order of their
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

/// A known difference: prefixes of file names and of paths in the response (`*` is any), and the reason.
struct Accepted {
    files: &'static [&'static str],
    at: &'static [&'static str],
    why: &'static str,
}

const ACCEPTED: &[Accepted] = &[
    Accepted {
        files: &["*"],
        at: &["properties.storageProfile.imageReference.exactVersion"],
        why: "the newest version in the emulator's catalogue is a later one",
    },
    Accepted {
        files: &["*"],
        at: &["properties.instanceView.vmAgent.vmAgentVersion"],
        why: "the emulator's machines have a later agent",
    },
    Accepted {
        files: &["test_vm_with_", "test_gallery_e2e", "test_image_build_managed_image"],
        at: &["properties.instanceView.osVersion"],
        why: "the content of gallery images was not kept",
    },
    Accepted {
        files: &["test_vm_image_list"],
        at: &["[]"],
        why: "the emulator's catalogue has fewer offers and SKUs; other recordings show the form of each entry",
    },
    Accepted {
        files: &["test_vm_image_terms"],
        at: &[
            "properties.licenseTextLink",
            "properties.marketplaceTermsLink",
            "properties.privacyPolicyLink",
        ],
        why: "the links are made up, because the emulator does not have the texts",
    },
    Accepted {
        files: &["*"],
        at: &["properties.features"],
        why: "all versions of an image have the same features here; the service's changed between versions",
    },
    Accepted {
        files: &["test_resource_graph"],
        at: &["data[]", "totalRecords"],
        why: "the recorded subscription contained other resources; the number of rows is compared",
    },
    Accepted {
        files: &["test_resource_graph_paged_query"],
        at: &["$skipToken"],
        why: "the token is opaque and contains the name of the cluster",
    },
    Accepted {
        files: &[
            "test_run_command_v2",
            "test_vm_run_command_with_parameters",
            "test_vm_boot_diagnostics",
            "test_vm_with_",
            "test_vm_trusted_launch",
        ],
        at: &["header x-ms-ratelimit-remaining-resource"],
        why: "the budgets of machine operations had other names in 2023",
    },
    Accepted {
        files: &["test_vm_boot_diagnostics"],
        at: &["consoleScreenshotBlobUri", "serialConsoleLogBlobUri"],
        why: "the blobs are on the emulator's own host",
    },
    Accepted {
        files: &["test_create_disk_from_diff_gallery_image_version"],
        at: &["properties.osType", "properties.supportedCapabilities"],
        why: "the requests that created the image were not kept",
    },
    Accepted {
        files: &["test_resource_graph_query_error"],
        at: &["error.message"],
        why: "the text contains a time and an identifier",
    },
    Accepted {
        files: &["test_role_assignment_create_update"],
        at: &["value[]"],
        why: "the recorded subscription had other assignments at higher scopes",
    },
    Accepted {
        files: &["test_aks_create_default_service_with_virtual_node_addon"],
        at: &["error.message"],
        why: "the service names the existing assignment by now, and so does the emulator",
    },
    Accepted {
        files: &["test_create_disk_from_diff_gallery_image_version"],
        at: &["header azure-asyncoperation"],
        why: "recorded before polling URLs were signed",
    },
    Accepted {
        files: &["test_aks_create_default_service_with_virtual_node_addon", "test_resource_policy_identity"],
        at: &["header x-ms-failure-cause"],
        why: "the recordings do not contain all headers",
    },
    Accepted {
        files: &["test_image_build_trigger"],
        at: &["properties.source.exactVersion"],
        why: "the emulator's catalogue has fewer versions",
    },
    Accepted {
        files: &["test_image_build_managed_image"],
        at: &["etag"],
        why: "recorded before machines had one",
    },
    Accepted {
        files: &["test_image_build_managed_image"],
        at: &["properties.storageProfile.osDisk.blobUri"],
        why: "the storage account's name is made up",
    },
    Accepted {
        files: &["test_image_build_shared_image"],
        at: &["properties.storageProfile.osDiskImage.source"],
        why: "the storage account's name is made up",
    },
    Accepted {
        files: &["test_vm_generalize"],
        at: &[
            "properties.output.resources[].properties.storageProfile.osDisk",
            "resources[].properties.storageProfile.osDisk",
        ],
        why: "the storage account's name is made up",
    },
];

/// Requests that are not replayed: file, numbers (none means all), part of their URL, and the reason.
const SKIPPED: &[(&str, &[i64], &str, &str)] = &[
    (
        "test_vm_create_custom_data_activity_log_2019",
        &[],
        "",
        "it queries past days, and the requests that created the machine were not kept",
    ),
    (
        "test_vm_boot_diagnostics",
        &[22],
        "",
        "an hour has passed here since the machine was created, so its log exists",
    ),
    ("test_resource_graph_management_groups_query", &[], "", "the emulator has no management groups"),
    (
        "test_resource_policy_identity",
        &[21, 22, 23, 24, 25, 37, 38, 39, 40],
        "",
        "an hour passes between two requests here, so the directory already knows the principal at the second one",
    ),
    (
        "test_role_assignment_audits",
        &[],
        "eventtypes",
        "role assignments create no events in the emulator's activity log",
    ),
];

/// Additional settings of a recording.
const SETTINGS: &[(&str, &str)] = &[
    ("test_resource_policy_identity", r#"{"eventual_consistency":true}"#),
    // Hours pass here between requests that were seconds apart, and the run must still be queued.
    ("test_image_builder_cancel", r#"{"time_scale":0.0065}"#),
];

/// Faults that reproduce failures of a recording whose causes were not kept.
const FAULTS: &[(&str, &str)] = &[(
    "test_image_builder_vm_profile",
    r#"{"method":"PUT","path":"/imageTemplates/","fail_operation":{"code":"Unauthorized","message":"Not authorized to access the resource: /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/img_tmpl_vmprofile000001/providers/Microsoft.Network/virtualNetworks/vnet_000002. Please check the user assigned identity has the correct permissions. For more details, go to https://aka.ms/azvmimagebuilderts."}}"#,
)];

/// A request that must come before a recording, because its own requests were reduced to the interesting ones. Paths are below
/// the resource groups.
enum Prepared {
    /// Creates a resource.
    Put { path: &'static str, api: &'static str, body: &'static str },
    /// Creates a Linux machine from an image, with further members of its operating system disk and of its properties.
    Machine {
        path: (&'static str, &'static str),
        location: &'static str,
        os_disk: &'static str,
        properties: &'static str,
    },
    /// Stops a machine.
    PowerOff { path: (&'static str, &'static str) },
    /// Creates resources for a query without a filter: more than two pages of three.
    Interfaces,
}

const BOOT_DIAGNOSTICS: &str = r#","diagnosticsProfile":{"bootDiagnostics":{"enabled":true}}"#;
const NAMED_DISK: &str = r#","name":"vm000002_disk1_00000000000000000000000000000000""#;

const PREPARED: &[(&str, &[Prepared])] = &[
    (
        "test_vm_run_command_with_parameters",
        &[Prepared::Machine {
            path: ("cli_test_vm_run_command_w_params000001", "test-run-command-vm2"),
            location: "westus",
            os_disk: "",
            properties: BOOT_DIAGNOSTICS,
        }],
    ),
    (
        "test_image_build_shared_image",
        &[
            Prepared::Put {
                path: "img_tmpl_sig000001/providers/Microsoft.Compute/galleries/ib_sig000003",
                api: "2022-03-03",
                body: r#"{"location":"westus"}"#,
            },
            Prepared::Put {
                path: "img_tmpl_sig000001/providers/Microsoft.Compute/galleries/ib_sig000003/images/image1",
                api: "2022-03-03",
                body: r#"{"location":"westus","properties":{"osType":"Linux","osState":"Generalized","hyperVGeneration":"V1","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
            },
        ],
    ),
    ("test_resource_graph_query", &[Prepared::Interfaces]),
    ("test_resource_graph_paged_query", &[Prepared::Interfaces]),
    ("test_resource_graph_skip_token_query", &[Prepared::Interfaces]),
    (
        "test_role_assignment_create_update",
        &[Prepared::Put {
            path: "cli_role_assign000001",
            api: "2022-09-01",
            body: r#"{"location":"westus"}"#,
        }],
    ),
    (
        "test_aks_create_default_service_with_virtual_node_addon",
        &[
            Prepared::Put {
                path: "clitest000001/providers/Microsoft.Network/virtualNetworks/clitest.vn000002",
                api: "2022-09-01",
                body: r#"{"location":"westus"}"#,
            },
            Prepared::Put {
                path: "clitest000001/providers/Microsoft.Network/virtualNetworks/clitest.vn000002/providers/Microsoft.Authorization/roleAssignments/f323fcb5-bf7d-408f-935e-1fa519de0550",
                api: "2022-04-01",
                body: r#"{"properties":{"roleDefinitionId":"/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c","principalId":"1571adef-1c85-4f66-880f-926ee3136272"}}"#,
            },
        ],
    ),
    (
        "test_community_gallery_operations",
        &[Prepared::Machine {
            path: ("cli_test_community_gallery_operations_000001", "vm000002"),
            location: "centraluseuap",
            os_disk: NAMED_DISK,
            properties: "",
        }],
    ),
    (
        "test_create_image_version_with_allow_replicated_location_deletion",
        &[Prepared::Machine {
            path: ("clitest.rg000001", "vm000002"),
            location: "centraluseuap",
            os_disk: NAMED_DISK,
            properties: "",
        }],
    ),
    (
        "test_gallery_e2e",
        &[Prepared::Put {
            path: "clitest.rg000001/providers/Microsoft.Compute/virtualMachines/vm1",
            api: "2022-11-01",
            body: r#"{"location":"eastus2","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"},"dataDisks":[{"lun":0,"createOption":"Empty","diskSizeGB":10}]}}}"#,
        }],
    ),
    (
        "test_replication_mode",
        &[Prepared::Machine {
            path: ("clitest.rg000001", "vm_000007"),
            location: "westus",
            os_disk: r#","name":"vm_000007_disk1_00000000000000000000000000000000""#,
            properties: "",
        }],
    ),
    (
        "test_vm_capture_zone_resilient_image",
        &[Prepared::Machine {
            path: ("cli_test_generalize_vm000001", "vm-generalize"),
            location: "francecentral",
            os_disk: "",
            properties: "",
        }],
    ),
    (
        "test_vm_custom_image_management",
        &[Prepared::Machine {
            path: ("cli_test_vm_custom_image_mgmt_000001", "vm1"),
            location: "westus",
            os_disk: "",
            properties: "",
        }],
    ),
    (
        "test_vm_generalize",
        &[
            Prepared::Machine {
                path: ("cli_test_generalize_vm000001", "vm-generalize"),
                location: "westus",
                os_disk: r#","name":"cli-test-os-disk","vhd":{"uri":"https://vhdstorageb1d2d53d93c670.blob.core.windows.net/vhds/osdisk_b1d2d53d93.vhd"}"#,
                properties: r#","hardwareProfile":{"vmSize":"Standard_DS1_v2"}"#,
            },
            Prepared::PowerOff { path: ("cli_test_generalize_vm000001", "vm-generalize") },
        ],
    ),
];

impl Prepared {
    /// Method, URL and body of its requests.
    fn requests(&self) -> Vec<(&'static str, String, String)> {
        let url = |path: &str, api: &str| {
            format!(
                "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{path}?api-version={api}"
            )
        };
        let machine = |(group, name): (&str, &str), action: &str| {
            let path = format!("{group}/providers/Microsoft.Compute/virtualMachines/{name}{action}");
            url(&path, "2022-11-01")
        };
        match self {
            Prepared::Put { path, api, body } => vec![("PUT", url(path, api), (*body).to_owned())],
            Prepared::Machine { path, location, os_disk, properties } => {
                let body = format!(
                    r#"{{"location":"{location}","properties":{{"storageProfile":{{"osDisk":{{"createOption":"FromImage","osType":"Linux"{os_disk}}}}}{properties}}}}}"#
                );
                vec![("PUT", machine(*path, ""), body)]
            }
            Prepared::PowerOff { path } => vec![("POST", machine(*path, "/powerOff"), String::new())],
            Prepared::Interfaces => (1..=8)
                .map(|number| {
                    let path = format!("listed/providers/Microsoft.Network/networkInterfaces/nic{number}");
                    ("PUT", url(&path, "2022-09-01"), r#"{"location":"westus"}"#.to_owned())
                })
                .collect(),
        }
    }
}

fn prepare(file: &str) -> Vec<(&'static str, String, String)> {
    let prepared = PREPARED.iter().filter(|(name, _)| *name == file).flat_map(|(_, prepared)| *prepared);
    prepared.flat_map(Prepared::requests).collect()
}

fn responds_to_recorded_requests_as_the_service_did() {
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
        replay.send_before(0);
        replay.create(0, &exchanges);
        for index in 0..exchanges.len() {
            match replay.exchange(index, &exchanges) {
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

fn request(method: &str, url: &str, body: &str) -> Request {
    Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: vec![("Host".to_owned(), "management.azure.com".to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

/// The replay of one recording.
struct Replay {
    file: String,
    emulator: Emulator,
    now: OffsetDateTime,
    /// Operations by recorded GUID: the emulator's URLs (status, monitor).
    operations: HashMap<String, (String, String)>,
    /// Names that the service generated, and those that the emulator generated instead.
    names: HashMap<String, String>,
    /// The last exchange in which each operation is running.
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
            let response = replay.send(method, &url, &body);
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
        self.now += Duration::milliseconds(10);
        self.emulator.handle(&request(method, url, body), self.now)
    }

    fn look_ahead(&mut self, exchanges: &[Json]) {
        for (index, exchange) in exchanges.iter().enumerate() {
            let running = body_of(exchange.get("response_body")).text("status") == Some("InProgress");
            if running && let Some(guid) = guid_of_operation(exchange.text("uri").unwrap_or_default()) {
                self.running.insert(guid, index);
            }
        }
    }

    /// Creates the resources whose creation before an exchange the recording does not contain.
    fn create(&mut self, before: i64, exchanges: &[Json]) {
        let file = self.file.clone();
        let missing = created::CREATED.iter().filter(|one| one.file == file && one.before == before);
        for created::Created { shown, seconds, .. } in missing {
            let shown = exchanges.iter().find(|exchange| exchange.int("n") == Some(*shown)).unwrap();
            let (url, body) = (shown.text("uri").unwrap(), body_of(shown.get("response_body")));
            let url = url.replace("$expand=instanceView&", "");
            let request = request("PUT", &url, &created::body_of(&body).compact());
            // By hand, because a machine may use an image of a gallery whose creation was not kept either.
            let response = match *seconds < 3_600 {
                true => self.emulator.handle(&request, self.now),
                false => self.emulator.handle_by_hand(&request, self.now),
            };
            let answer = String::from_utf8_lossy(&response.body);
            assert!(response.status < 300, "{file}: PUT {url}: {answer}");
            self.now += Duration::seconds(*seconds);
        }
    }

    /// Sends the requests that the recording lacks before an exchange.
    fn send_before(&mut self, number: i64) {
        let file = self.file.clone();
        for request in created::REQUESTS.iter().filter(|one| one.file == file && one.before == number) {
            self.prepare(request.method, request.url, request.body);
        }
    }

    fn prepare(&mut self, method: &str, url: &str, body: &str) {
        let response = self.send(method, url, body);
        let answer = String::from_utf8_lossy(&response.body).into_owned();
        assert!(response.status < 300, "{}: {method} {url}: {answer}", self.file);
        self.now += Duration::hours(1);
    }

    /// Replays one exchange; `None` if it is skipped.
    fn exchange(&mut self, index: usize, exchanges: &[Json]) -> Option<Vec<String>> {
        let recorded = &exchanges[index];
        let uri = recorded.text("uri").unwrap_or_default();
        let number = recorded.int("n").unwrap_or(index as i64 + 1);
        self.send_before(number);
        if SKIPPED.iter().any(|(file, n, part, why)| {
            !why.is_empty()
                && (*file == "*" || *file == self.file)
                && (n.is_empty() || n.contains(&number))
                && uri.contains(part)
        }) {
            return None;
        }
        if recorded.get("status").is_none_or(Json::is_null) {
            // An exchange without a response only prepares the following ones.
            let body = recorded.get("request_body").map(Json::compact).unwrap_or_default();
            self.send(recorded.text("method").unwrap_or_default(), uri, &body);
            self.now += Duration::hours(1);
            return None;
        }
        let answer = body_of(recorded.get("response_body"));
        let still_running =
            self.operations.keys().any(|guid| self.running.get(guid).is_some_and(|last| *last >= index));
        if !still_running {
            // All operations have ended before the recording continues.
            self.now += Duration::hours(1);
        }
        if number > 0 {
            self.create(number, exchanges);
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
        // Excerpts do not contain all headers.
        let excerpt = self.file.starts_with("manual");
        // The Azure CLI removes Retry-After from its recordings.
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
            // Before 2024, poll URLs were not signed.
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
            // The unique name of a shared gallery, which later requests use.
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
    let is_any = |patterns: &[&str], text: &str| {
        patterns.iter().any(|pattern| *pattern == "*" || text.starts_with(pattern))
    };
    ACCEPTED.iter().any(|accepted| {
        debug_assert!(!accepted.why.is_empty());
        is_any(accepted.files, file) && is_any(accepted.at, at)
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

/// A header without the parts that change from call to call.
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

/// A text with GUIDs, dates and signatures replaced by their kind.
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

/// Replaces the resource group's name, which the recordings replaced only in some places. Its case is kept.
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
                // The number of changes.
                (a.len().min(1).to_string(), b.len().min(1).to_string())
            } else if at.ends_with("uniqueName") {
                // The recordings did not replace the name in it.
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

tests!(responds_to_recorded_requests_as_the_service_did,);
