//! The emulator's table of request shapes matches the published API descriptions.
//!
//! `UPDATE=1 cargo test --test emulator_shapes` rewrites the table. The descriptions are stored beside the repository
//! (`AZIMAGE_SHARED` names the folder); where they are absent the test is reported as ignored.

#![cfg(feature = "emulator")]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use azimage::emulator::call::Method;
use azimage::emulator::ids::type_of;
use azimage::emulator::json::Json;
use azimage::emulator::shapes::{check_body, must_be_complete};
use serde_json::{Value, json};

const HEADER: &str = "\
# Request bodies of the published API descriptions; written by `UPDATE=1 cargo test --test emulator_shapes`.
# body METHOD type target model    target is `-` where Resource Manager itself reads the body
# from target path first[..last]   api-versions that have the member, where not all of them do
# write target path first          the first api-version that takes a member which older ones only show
# value target path value first    the same for a value of an enum
# model Name [?discriminator=Value>Model|…] member[!]:type …    `!` is required; types: str int num bool date any,
#                                  - read-only, [T] list, {T} map, #Enum, @Model
# enum Name value|value…
";

/// The descriptions to read, each with the prefix of its names in the table. If a description has two versions, the newer one
/// is read.
const APIS: &[(&str, char)] = &[
    ("gallery@2026-03-03", 'g'),
    ("compute@2026-04-01", 'c'),
    ("ordering", 'o'),
    ("resources", 'r'),
    ("deployments", 'd'),
    ("locks", 'l'),
    ("authorization", 'a'),
    ("imagebuilder", 'i'),
    ("resourcegraph", 'q'),
];

/// The service's name for the root of a body in the `target` of its errors. Types that are not listed have none.
const TARGETS: &[(&str, &str)] = &[
    ("microsoft.compute/galleries", "gallery"),
    ("microsoft.compute/galleries/images", "galleryImage"),
    ("microsoft.compute/galleries/images/versions", "galleryImageVersion"),
    ("microsoft.compute/galleries/applications", "galleryApplication"),
    ("microsoft.compute/galleries/applications/versions", "galleryApplicationVersion"),
    ("microsoft.compute/galleries/scripts", "galleryScript"),
    ("microsoft.compute/galleries/scripts/versions", "galleryScriptVersion"),
    ("microsoft.compute/galleries/invmaccesscontrolprofiles", "galleryInVMAccessControlProfile"),
    (
        "microsoft.compute/galleries/invmaccesscontrolprofiles/versions",
        "galleryInVMAccessControlProfileVersion",
    ),
    ("microsoft.compute/galleries/share", "sharingUpdate"),
    ("microsoft.compute/images", "image"),
    ("microsoft.compute/virtualmachines", "vm"),
    ("microsoft.compute/virtualmachines/capture", "vmCaptureParameters"),
    ("microsoft.compute/virtualmachines/runcommand", "runCommandInput"),
    ("microsoft.compute/disks", "disk"),
    ("microsoft.compute/disks/begingetaccess", "grantAccessData"),
    ("microsoft.compute/snapshots", "snapshot"),
    ("microsoft.compute/snapshots/begingetaccess", "grantAccessData"),
    ("microsoft.compute/diskencryptionsets", "diskEncryptionSet"),
    ("microsoft.virtualmachineimages/imagetemplates", "imageTemplate"),
    ("microsoft.virtualmachineimages/imagetemplates/triggers", "trigger"),
];

/// The names of the roots in `field-history.json`.
const HISTORY: &[(&str, &str)] = &[
    ("gallery", "gallery"),
    ("definition", "galleryImage"),
    ("version", "galleryImageVersion"),
    ("share", "sharingUpdate"),
];

/// Values that recordings show earlier than the history: target, path, value, api-version.
const RECORDED: &[(&str, &str, &str, &str)] =
    &[("gallery", "properties.sharingProfile.permissions", "Community", "2021-10-01")];

/// Members that recordings show earlier or later than the history: target, path, api-version.
const RECORDED_MEMBERS: &[(&str, &str, &str)] = &[
    ("galleryImageVersion", "properties.safetyProfile.reportedForPolicyViolation", "2022-01-03"),
    ("gallery", "properties.sharingStatus", "2022-01-03"),
];

/// Members that are read-only in older api-versions: target, path, first api-version that accepts them in a body.
const WRITTEN: &[(&str, &str, &str)] = &[("galleryImageVersion", "properties.storageProfile", "2019-07-01")];

/// Members whose values are not a closed list, such as machine sizes, which are added every month.
const OPEN_ENUMS: &[&str] = &["VirtualMachineSizeTypes"];

/// The history lacks 2024-03-03. Of the later members only this one was new in 2025-03-03.
fn since(path: &str, first: &str) -> String {
    let later = path.contains("storageAccountStrategy");
    if first == "2025-03-03" && !later { "2024-03-03".to_owned() } else { first.to_owned() }
}

struct Description<'a> {
    api: &'a Value,
    prefix: char,
}

impl Description<'_> {
    fn name(&self, model: &str) -> String {
        format!("{}.{model}", self.prefix)
    }

    /// A member's type in the notation of the table.
    fn kind(&self, kind: &str, used: &mut BTreeSet<String>) -> String {
        let inner = |kind: &str| kind[1..kind.len() - 1].to_owned();
        if kind.starts_with('[') {
            return format!("[{}]", self.kind(&inner(kind), used));
        }
        if kind.starts_with('{') {
            return format!("{{{}}}", self.kind(&inner(kind), used));
        }
        match kind.split_once(':') {
            Some(("m", model)) => {
                used.insert(kind.to_owned());
                format!("@{}", self.name(model))
            }
            Some(("enum", name)) if OPEN_ENUMS.contains(&name) => "str".to_owned(),
            Some(("enum", name)) => {
                used.insert(kind.to_owned());
                format!("#{}", self.name(name))
            }
            // The literal of a discriminator, which the line of its base type already contains.
            Some(("lit", _)) => "str".to_owned(),
            _ => match kind {
                "str" | "int" | "bool" | "any" => kind.to_owned(),
                "datetime" => "date".to_owned(),
                "float" => "num".to_owned(),
                "duration" => "str".to_owned(),
                other => panic!("unknown type {other:?}"),
            },
        }
    }

    fn members(&self, model: &str) -> BTreeMap<String, Value> {
        let model = &self.api["models"][model];
        let bases = model["a"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut members: BTreeMap<String, Value> = bases.flat_map(|base| self.members(base)).collect();
        for (name, member) in model["p"].as_object().into_iter().flatten() {
            members.insert(name.clone(), member.clone());
        }
        members
    }

    fn model(&self, name: &str, used: &mut BTreeSet<String>) -> String {
        let model = &self.api["models"][name];
        let mut line = format!("model {}", self.name(name));
        if let Some(key) = model["k"].as_str() {
            let mut cases = Vec::new();
            for (other, derived) in self.api["models"].as_object().unwrap() {
                let bases = derived["a"].as_array().into_iter().flatten();
                if let Some(value) = derived["d"].as_str()
                    && bases.into_iter().any(|base| base == name)
                {
                    used.insert(format!("m:{other}"));
                    cases.push(format!("{value}>{}", self.name(other)));
                }
            }
            if !cases.is_empty() {
                write!(line, " ?{key}={}", cases.join("|")).unwrap();
            }
        }
        for (member, spec) in self.members(name) {
            let read_only = spec["ro"] == 1;
            let kind = if read_only { "-".to_owned() } else { self.kind(spec["t"].as_str().unwrap(), used) };
            let required = spec["req"] == 1 && !read_only && member != "location";
            write!(line, " {member}{}:{kind}", if required { "!" } else { "" }).unwrap();
        }
        line
    }
}

/// The type of a described path; `None` for paths without a fixed type.
fn described_type(path: &str) -> Option<String> {
    Some(type_of(path)).filter(|kind| !kind.is_empty() && !kind.contains('{'))
}

/// Whether the table lacks a body: Resource Graph checks queries itself, with errors of its own, and deployments to a tenant or
/// a management group are not emulated.
fn is_exempt(method: &str, body: &str) -> bool {
    (method == "POST" && body == "m:QueryRequest") || body.starts_with("m:ScopedDeployment") || body == "any"
}

fn table(shared: &Path) -> String {
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(shared.join("descriptions").join(name)).unwrap()).unwrap()
    };
    let (arm, history) = (read("arm.json"), read("field-history.json"));
    let (mut bodies, mut models, mut enums) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut all_values = BTreeSet::new();
    for (id, prefix) in APIS {
        let api = arm["apis"].as_array().unwrap().iter().find(|api| api["id"] == *id).unwrap();
        let description = Description { api, prefix: *prefix };
        let mut used = BTreeSet::new();
        for operation in api["ops"].as_array().unwrap() {
            let method = operation["m"].as_str().unwrap();
            let (Some(kind), Some(body)) =
                (described_type(operation["p"].as_str().unwrap()), operation["body"].as_str())
            else {
                continue;
            };
            if is_exempt(method, body) {
                continue;
            }
            let target = TARGETS.iter().find(|(name, _)| *name == kind).map_or("-", |(_, target)| target);
            let model = description.kind(body, &mut used).replace('@', "");
            bodies.insert(format!("body {method} {kind} {target} {model}"));
        }
        let mut done = BTreeSet::new();
        while let Some(next) = used.difference(&done).next().cloned() {
            done.insert(next.clone());
            match next.split_once(':').unwrap() {
                ("m", name) => {
                    models.insert(description.model(name, &mut used));
                }
                (_, name) => {
                    let values: Vec<&str> =
                        api["enums"][name].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                    enums.insert(format!("enum {} {}", description.name(name), values.join("|")));
                    all_values.extend(values.into_iter().map(str::to_owned));
                }
            }
        }
    }
    let lines = [bodies, gates(&history, &all_values), models, enums];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    format!("{HEADER}{}\n", lines.join("\n"))
}

/// The `from` and `value` lines. A member without a line has the api-versions of its parent.
fn gates(history: &Value, values: &BTreeSet<String>) -> BTreeSet<String> {
    const OLDEST: &str = "2018-06-01";
    const NEWEST: &str = "2026-03-03";
    let target = |row: &Value| {
        let name = row["res"].as_str().unwrap();
        HISTORY.iter().find(|(known, _)| *known == name).unwrap().1
    };
    let mut spans: BTreeMap<(&str, String), (String, String)> = BTreeMap::new();
    for row in history["fields"].as_array().unwrap() {
        let path = row["at"].as_str().unwrap();
        let recorded =
            RECORDED_MEMBERS.iter().find(|(name, at, _)| *name == target(row) && path.starts_with(at));
        let first = recorded
            .map_or_else(|| since(path, row["since"].as_str().unwrap()), |(.., first)| (*first).to_owned());
        let last = row["last"].as_str().unwrap();
        let mut end = 0;
        for part in path.split('.') {
            end += part.len() + usize::from(end > 0);
            let node = path[..end].trim_end_matches("[]").trim_end_matches("{}").to_owned();
            let span = spans.entry((target(row), node)).or_insert_with(|| (first.clone(), last.to_owned()));
            span.0 = span.0.clone().min(first.clone());
            span.1 = span.1.clone().max(last.to_owned());
        }
    }
    let whole = (OLDEST.to_owned(), NEWEST.to_owned());
    let of = |target: &str, path: &str| {
        let path = path.trim_end_matches("[]").trim_end_matches("{}");
        let known = spans.iter().find(|((name, node), _)| *name == target && node == path);
        known.map_or(&whole, |(_, span)| span)
    };
    let mut lines = BTreeSet::new();
    for ((target, path), span) in &spans {
        let outer = path.rsplit_once('.').map_or(&whole, |(outer, _)| of(target, outer));
        if span != outer {
            let until = if span.1 == NEWEST { String::new() } else { format!("..{}", span.1) };
            lines.insert(format!("from {target} {path} {}{until}", span.0));
        }
    }
    for (target, path, first) in WRITTEN {
        lines.insert(format!("write {target} {path} {first}"));
    }
    for row in history["enums"].as_array().unwrap() {
        let (path, value) = (row["at"].as_str().unwrap(), row["value"].as_str().unwrap());
        let first = RECORDED
            .iter()
            .find(|(name, at, one, _)| *name == target(row) && *at == path && *one == value)
            .map_or_else(|| since(path, row["since"].as_str().unwrap()), |(.., first)| (*first).to_owned());
        if first > of(target(row), path).0 && values.contains(value) {
            lines.insert(format!("value {} {path} {value} {first}", target(row)));
        }
    }
    lines
}

/// The folder with the descriptions and recordings.
fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("AZIMAGE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    if shared.join("descriptions").is_dir() && shared.join("recordings").is_dir() {
        return Some(shared);
    }
    println!("SKIPPED: there are no descriptions and recordings in {}", shared.display());
    None
}

#[test]
fn table_matches_the_descriptions() {
    let Some(shared) = shared() else { return };
    let table = table(&shared);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/emulator/shapes.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == table,
        "src/emulator/shapes.txt differs from the descriptions; `UPDATE=1 cargo test --test emulator_shapes` writes it"
    );
}

/// A recorded request with a body: method, type, api-version, body.
struct Sent {
    place: String,
    method: Method,
    kind: String,
    api: String,
    body: Value,
    /// Whether the resource existed before the request.
    update: bool,
}

fn recorded(shared: &Path) -> Vec<Sent> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(shared.join("recordings")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let exchange: Value = serde_json::from_str(line).unwrap();
            let url = url::Url::parse(exchange["uri"].as_str().unwrap()).unwrap();
            let body = match &exchange["request_body"] {
                Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
                body => body.clone(),
            };
            let api = url.query_pairs().find(|(name, _)| name == "api-version");
            if !body.is_object() || exchange["status"].as_i64().is_some_and(|status| status >= 400) {
                continue;
            }
            found.push(Sent {
                place: format!("{} n={}", path.file_name().unwrap().to_string_lossy(), exchange["n"]),
                method: Method::parse(exchange["method"].as_str().unwrap()).unwrap(),
                kind: type_of(url.path()),
                api: api.map(|(_, value)| value.into_owned()).unwrap_or_default(),
                body,
                update: exchange["status"] == 200,
            });
        }
    }
    found
}

impl Sent {
    fn check(&self, body: &Value) -> Result<(), azimage::emulator::errors::ArmError> {
        let mut body = Json::parse(body.to_string().as_bytes()).unwrap();
        let complete = must_be_complete(self.method, self.update, &body);
        check_body(self.method, &self.kind, &self.api, complete, &mut body)
    }
}

/// Bodies with one fault each: a value of another type, an invalid enum value, or a missing required member.
fn wrong_bodies(description: &Description<'_>, model: &str, body: &Value) -> Vec<Value> {
    let mut wrong = Vec::new();
    let mut members = description.members(model);
    let discriminator = description.api["models"][model]["k"].as_str();
    if let Some(value) = discriminator.and_then(|key| body[key].as_str()) {
        for (name, derived) in description.api["models"].as_object().unwrap() {
            if derived["d"] == value
                && derived["a"].as_array().is_some_and(|bases| bases.contains(&json!(model)))
            {
                members = description.members(name);
            }
        }
    }
    for (name, spec) in
        members.iter().filter(|(name, spec)| spec["ro"] != 1 && !body[name.as_str()].is_null())
    {
        let with = |value: Value| {
            let mut changed = body.clone();
            changed[name.as_str()] = value;
            changed
        };
        let sent = &body[name.as_str()];
        let mut kind = spec["t"].as_str().unwrap();
        let mut faults = Vec::new();
        let list = kind.starts_with('[');
        if list || kind.starts_with('{') {
            faults.push(json!("text"));
            kind = &kind[1..kind.len() - 1];
        }
        let inside: Vec<Value> = match kind.split_once(':') {
            Some(("m", model)) if list => {
                let one = sent.as_array().and_then(|items| items.first()).cloned().unwrap_or_default();
                wrong_bodies(description, model, &one).into_iter().chain([json!("text")]).collect()
            }
            Some(("m", _)) if spec["t"] != kind => vec![json!("text")],
            Some(("m", model)) => {
                wrong_bodies(description, model, sent).into_iter().chain([json!("text")]).collect()
            }
            Some(("enum", name)) if !OPEN_ENUMS.contains(&name) => {
                vec![json!("nonsense"), json!(1), json!({"a": 1})]
            }
            _ if kind == "any" => Vec::new(),
            _ if kind == "int" || kind == "bool" || kind == "datetime" => {
                vec![json!("many"), json!({"a": 1})]
            }
            _ => vec![json!({"a": 1}), json!(true)],
        };
        faults.extend(inside.into_iter().map(|fault| match spec["t"].as_str().unwrap() {
            kind if kind.starts_with('[') => json!([fault]),
            kind if kind.starts_with('{') => json!({"key": fault}),
            _ => fault,
        }));
        wrong.extend(faults.into_iter().map(with));
        if spec["req"] == 1 && name != "location" {
            let mut without = body.clone();
            without.as_object_mut().unwrap().remove(name);
            wrong.push(without);
        }
    }
    wrong
}

#[test]
fn accepts_recorded_bodies_and_rejects_faulty_ones() {
    let Some(shared) = shared() else { return };
    let arm: Value =
        serde_json::from_slice(&std::fs::read(shared.join("descriptions/arm.json")).unwrap()).unwrap();
    let (mut passed, mut refused) = (0, 0);
    let mut accepted = Vec::new();
    for sent in recorded(&shared) {
        sent.check(&sent.body).unwrap_or_else(|error| panic!("{}: {}", sent.place, error.body().compact()));
        passed += 1;
        if sent.method == Method::Patch {
            continue;
        }
        for (id, prefix) in APIS {
            let api = arm["apis"].as_array().unwrap().iter().find(|api| api["id"] == *id).unwrap();
            let operation = api["ops"].as_array().unwrap().iter().find(|operation| {
                operation["m"] == sent.method.name()
                    && operation["body"].as_str().is_some_and(|body| body.starts_with("m:"))
                    && described_type(operation["p"].as_str().unwrap()).as_ref() == Some(&sent.kind)
            });
            let Some(model) = operation.and_then(|operation| operation["body"].as_str()) else { continue };
            if is_exempt(sent.method.name(), model) {
                continue;
            }
            let description = Description { api, prefix: *prefix };
            for wrong in wrong_bodies(&description, &model[2..], &sent.body) {
                match sent.check(&wrong) {
                    Err(error) => {
                        assert_eq!(error.status, 400, "{}", error.body().compact());
                        refused += 1;
                    }
                    Ok(()) => accepted.push(format!("{} {} {wrong}", sent.place, sent.api)),
                }
            }
        }
    }
    println!("{passed} recorded bodies passed, {refused} bodies with a fault were refused");
    assert!(accepted.is_empty(), "{} faults passed:\n{}", accepted.len(), accepted.join("\n"));
    assert!(passed > 90 && refused > 1_000);
}
