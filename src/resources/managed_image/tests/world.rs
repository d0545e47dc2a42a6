//! A pretend service with one virtual machine and the images made of it, for the tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::GROUP;
use crate::arm::{Method, Request, Response, Transport, TransportError};

/// What the pretend service holds.
#[derive(Clone)]
pub struct World {
    /// `None` once it is deleted.
    pub machine: Option<Machine>,
    pub images: BTreeMap<String, Json>,
    /// Method and last part of the path of each call, GETs of machines and images left out.
    pub writes: Vec<String>,
    /// Bodies of PUTs.
    pub sent: Vec<Json>,
    /// The next call that contains this text is answered with this status, code and message.
    pub refuse: Vec<(&'static str, u16, &'static str, &'static str)>,
    /// What a new image's provisioning state is.
    pub comes_out: &'static str,
    /// Disks, snapshots and disk encryption sets that do not exist.
    pub missing: Vec<&'static str>,
    /// Those in another region.
    pub elsewhere: Vec<&'static str>,
}

/// Its one machine.
#[derive(Clone)]
pub struct Machine {
    pub power: &'static str,
    pub generalized: bool,
    pub agent: Option<&'static str>,
    pub security: Option<&'static str>,
    pub generation: Option<&'static str>,
}

/// The way to it.
pub struct Service(pub Arc<Mutex<World>>);

#[async_trait]
impl Transport for Service {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let mut world = self.0.lock().unwrap();
        let (status, mut body) = world.answer(&request);
        // The service names the resource in every answer.
        if let Some(resource) = body.as_object_mut().filter(|_| status < 300) {
            let path = url::Url::parse(&request.url).unwrap().path().to_owned();
            resource.entry("id").or_insert_with(|| json!(path));
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        Ok(Response { status, headers: vec![("x-ms-request-id".into(), "1".into())], body })
    }
}

impl World {
    fn answer(&mut self, request: &Request) -> (u16, Json) {
        let url = url::Url::parse(&request.url).unwrap();
        let path = url.path().to_owned();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let call = format!("{} {name}", request.method);
        if request.method != Method::Get {
            self.writes.push(call.clone());
        }
        if let Some(at) = self.refuse.iter().position(|(text, ..)| call.contains(text)) {
            let (_, status, code, message) = self.refuse.remove(at);
            return (status, json!({"error": {"code": code, "message": message}}));
        }
        let absent = (
            404,
            json!({"error": {"code": "ResourceNotFound", "message": format!("{path} was not found.")}}),
        );
        let body: Json =
            request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        if path.contains("/virtualMachines/") {
            let Some(machine) = &mut self.machine else { return absent };
            return match (request.method, name.as_str()) {
                (Method::Get, _) => (200, machine.show(url.query().unwrap_or_default())),
                (Method::Post, "deallocate") => {
                    machine.power = "deallocated";
                    machine.agent = None;
                    (200, Json::Null)
                }
                (Method::Post, "generalize") if machine.power == "running" => (
                    409,
                    json!({"error": {"code": "OperationNotAllowed", "message": "Operation 'generalize' is not allowed on VM 'vm' since the VM is running."}}),
                ),
                (Method::Post, "generalize") => {
                    machine.generalized = true;
                    (200, Json::Null)
                }
                _ => absent,
            };
        }
        if ["/disks/", "/snapshots/", "/diskEncryptionSets/"].iter().any(|kind| path.contains(kind)) {
            let generation = if name == "vm_os" { "V2" } else { "V1" };
            let location = if self.elsewhere.contains(&name.as_str()) { "eastus" } else { "westeurope" };
            return match self.missing.contains(&name.as_str()) {
                true => absent,
                false => (200, json!({"location": location, "properties": {"hyperVGeneration": generation}})),
            };
        }
        match (request.method, self.images.get(&path).cloned()) {
            (Method::Get, Some(image)) => (200, image),
            (Method::Get, None) => absent,
            (Method::Delete, image) => {
                self.images.remove(&path);
                (if image.is_some() { 200 } else { 204 }, Json::Null)
            }
            (Method::Patch, Some(mut image)) => {
                image["tags"] = body["tags"].clone();
                self.images.insert(path, image.clone());
                (200, image)
            }
            (Method::Put, old) => {
                self.sent.push(body.clone());
                let mut image = body;
                image["name"] = json!(name);
                if old.is_none() {
                    image["location"] =
                        json!(image["location"].as_str().unwrap().to_lowercase().replace(' ', ""));
                    fill(&mut image);
                }
                image["properties"]["provisioningState"] = json!(self.comes_out);
                self.images.insert(path, image.clone());
                (if old.is_some() { 200 } else { 201 }, image)
            }
            _ => absent,
        }
    }
}

// What the service adds to a new image.
fn fill(image: &mut Json) {
    let properties = &mut image["properties"];
    if properties.get("sourceVirtualMachine").is_some() {
        properties["storageProfile"]["osDisk"] = json!({"osType": "Linux", "osState": "Generalized", "managedDisk": {"id": format!("{GROUP}/disks/vm_os")}});
        properties["storageProfile"]["dataDisks"] =
            json!([{"lun": 0, "managedDisk": {"id": format!("{GROUP}/disks/vm_d0")}}]);
    }
    if properties.get("hyperVGeneration").is_none() {
        properties["hyperVGeneration"] = json!("V1");
    }
    let fill = |disk: &mut Json| {
        for (name, value) in [
            ("diskSizeGB", json!(30)),
            ("caching", json!("None")),
            ("storageAccountType", json!("Premium_LRS")),
        ] {
            if disk.get(name).is_none() {
                disk[name] = value;
            }
        }
    };
    fill(&mut properties["storageProfile"]["osDisk"]);
    if let Some(disks) = properties["storageProfile"]["dataDisks"].as_array_mut() {
        disks.iter_mut().for_each(fill);
    }
}

impl Machine {
    fn show(&self, query: &str) -> Json {
        let mut statuses = vec![
            json!({"code": "ProvisioningState/succeeded"}),
            json!({"code": format!("PowerState/{}", self.power)}),
        ];
        if self.generalized {
            statuses.push(json!({"code": "OSState/generalized", "displayStatus": "VM generalized"}));
        }
        let mut machine = json!({"name": "vm", "location": "westeurope", "properties": {
            "storageProfile": {"osDisk": {"managedDisk": {"id": format!("{GROUP}/disks/vm_os")}}}}});
        if let Some(security) = self.security {
            machine["properties"]["securityProfile"] = json!({"securityType": security});
        }
        if query.contains("instanceView") {
            let mut view = json!({"statuses": statuses});
            if let Some(generation) = self.generation {
                view["hyperVGeneration"] = json!(generation);
            }
            if let Some(agent) = self.agent {
                view["vmAgent"] = json!({"vmAgentVersion": "2.9", "statuses": [{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": agent}]});
            }
            machine["properties"]["instanceView"] = view;
        }
        machine
    }
}
