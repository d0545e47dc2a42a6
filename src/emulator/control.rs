//! The control calls under `/_emulator/`: read the state, change settings, move the clock, script faults.

use super::call::{Answer, Method};
use super::clock::{self, Ticks};
use super::errors::ArmError;
use super::faults;
use super::held;
use super::json::Json;
use super::providers::marketplace;
use super::providers::replication;
use super::providers::scripts;
use super::regions;
use super::resource::Resource;
use super::settings::{self, Settings};
use super::store::{self, Transaction};
use super::{Emulator, Request, Response, Target, finish, refusal};
use crate::sync::lock;

/// Responds to a control call.
pub fn handle(emulator: &Emulator, request: &Request, target: &Target, wall: Ticks) -> Response {
    let words: Vec<String> = target.segments[1..].iter().map(|word| word.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let method = Method::parse(&request.method);
    let write = !matches!(method, Some(Method::Get | Method::Head));
    let body = if request.body.iter().all(u8::is_ascii_whitespace) {
        Ok(Json::object())
    } else {
        Json::parse(&request.body)
    };
    let all = target.query.iter().any(|(name, value)| name == "all" && value != "false");
    let result = body.map_err(|why| bad(&format!("the body is not JSON: {why}"))).and_then(|body| {
        emulator
            .store
            .run(write, wall, |state| act(emulator, state, method, &words, &body, Moment { wall, all }))
            .unwrap_or_else(|error| Err(ArmError::new(500, "InternalServerError", error.to_string())))
    });
    let answer = match result {
        Ok(body) => Answer::compact(200, body),
        Err(error) => refusal(error),
    };
    finish(answer, Vec::new(), request, wall, store::guid(wall as u64, 0, 3))
}

fn bad(message: &str) -> ArmError {
    ArmError::new(400, "InvalidControlCall", message)
}

fn act(
    emulator: &Emulator,
    state: &mut Transaction<'_>,
    method: Option<Method>,
    words: &[&str],
    body: &Json,
    moment: Moment,
) -> Result<Json, ArmError> {
    match (method, words) {
        (Some(Method::Get), [] | ["summary"]) => Ok(summary(emulator, state, moment)),
        (Some(Method::Get), ["settings"]) => Ok(read(emulator, state).show()),
        (Some(Method::Put | Method::Patch | Method::Post), ["settings"]) => {
            set(state, body)?;
            Ok(read(emulator, state).show())
        }
        (Some(Method::Post), ["clock", "advance"]) => {
            let seconds = match body.get("seconds") {
                Some(Json::Number(number)) => number.as_f64().unwrap_or(0.0),
                _ => return Err(bad("the body must be {\"seconds\": N}")),
            };
            // While requests are held, the client that holds them controls the clock.
            if body.flag("unless_held") != Some(true) || held::list(state).list("held").is_empty() {
                advance(state, seconds);
            }
            Ok(read(emulator, state).show())
        }
        (Some(Method::Get), ["faults"]) => Ok(state
            .get(faults::KEY)
            .map_or_else(|| Json::object().with("faults", Vec::new()), |record| Json::clone(&record))),
        (Some(Method::Post | Method::Put), ["faults"]) => {
            let mut added = match body {
                Json::Array(items) => items.clone(),
                _ if body.get("faults").is_some() => body.list("faults").to_vec(),
                one => vec![one.clone()],
            };
            faults::check(&added).map_err(|why| bad(&why))?;
            if method == Some(Method::Post)
                && let Some(record) = state.get(faults::KEY)
            {
                let mut all = record.list("faults").to_vec();
                all.append(&mut added);
                added = all;
            }
            let record = Json::object().with("faults", added);
            state.put(faults::KEY, record.clone());
            Ok(record)
        }
        (Some(Method::Delete), ["faults"]) => {
            state.delete(faults::KEY);
            Ok(Json::object().with("faults", Vec::new()))
        }
        (Some(Method::Get), ["scripts"]) => Ok(state
            .get(scripts::KEY)
            .map_or_else(|| Json::object().with("scripts", Vec::new()), |record| Json::clone(&record))),
        (Some(Method::Post | Method::Put), ["scripts"]) => {
            scripts::check(body.list("scripts")).map_err(|why| bad(&why))?;
            let record = Json::object().with("scripts", body.list("scripts").to_vec());
            state.put(scripts::KEY, record.clone());
            Ok(record)
        }
        (Some(Method::Get), ["held"]) => Ok(held::list(state)),
        (Some(Method::Post), ["held"]) => {
            let drop = match body.text("then") {
                Some("go") => false,
                Some("drop") => true,
                _ => return Err(bad("the body must be {\"then\": \"go\"} or {\"then\": \"drop\"}")),
            };
            held::release(state, drop);
            Ok(held::list(state))
        }
        (Some(Method::Post), ["reset"]) => {
            state.clear();
            emulator.requests.clear();
            *lock(&emulator.meter) = super::throttle::Meter::default();
            Ok(Json::object())
        }
        (
            Some(Method::Post),
            ["marketplace", change @ ("publish" | "deprecate" | "withdraw" | "restore")],
        ) => change_marketplace(state, change, body),
        _ => Err(ArmError::new(
            404,
            "NotFound",
            "The control calls are: GET summary, GET/PUT settings, POST clock/advance, GET/POST/PUT/DELETE faults, GET/PUT scripts, GET/POST held, POST reset, POST marketplace/publish|deprecate|withdraw|restore.",
        )),
    }
}

fn read(emulator: &Emulator, state: &Transaction<'_>) -> Settings {
    Settings::read(state.get(settings::KEY).as_deref(), &emulator.options)
}

/// Merges settings; null resets one to its default.
fn set(state: &mut Transaction<'_>, body: &Json) -> Result<(), ArmError> {
    const KNOWN: &[&str] = &[
        "time_scale",
        "recorded_polling",
        "require_token",
        "auto_create_resource_groups",
        "throttling",
        "eventual_consistency",
        "verify_poll_urls",
        "page_size",
        "enforce_roles",
        "owners",
        "newest_api_version",
        "latency",
    ];
    for (key, value) in body.pairs() {
        if !KNOWN.contains(&key.as_str()) {
            return Err(bad(&format!("'{key}' is not a setting; use one of {}", KNOWN.join(", "))));
        }
        let fits = match key.as_str() {
            "time_scale" | "page_size" => matches!(value, Json::Number(_)),
            "latency" | "owners" => matches!(value, Json::Array(_)),
            "newest_api_version" => matches!(value, Json::String(_)),
            _ => matches!(value, Json::Bool(_)),
        };
        if !fits && !value.is_null() {
            return Err(bad(&format!("the setting '{key}' cannot be {}", value.compact())));
        }
    }
    let mut stored = state.get(settings::KEY).map(|record| Json::clone(&record)).unwrap_or_default();
    stored.merge_patch(body);
    state.put(settings::KEY, stored);
    Ok(())
}

/// Moves the emulator's clock.
pub fn advance(state: &mut Transaction<'_>, seconds: f64) {
    let mut stored = state.get(settings::KEY).map(|record| Json::clone(&record)).unwrap_or_default();
    let offset = stored.int("clock_offset_ticks").unwrap_or(0).saturating_add(clock::seconds(seconds));
    stored.set("clock_offset_ticks", offset.clamp(-clock::LONGEST, clock::LONGEST));
    state.put(settings::KEY, stored);
}

fn change_marketplace(state: &mut Transaction<'_>, change: &str, body: &Json) -> Result<Json, ArmError> {
    let text = |key: &str| {
        body.text(key).filter(|value| !value.is_empty() && !value.contains('|')).ok_or_else(|| {
            bad(&format!("the body must be {{publisher, offer, sku, version}}; '{key}' is missing"))
        })
    };
    let (publisher, offer, sku) = (text("publisher")?, text("offer")?, text("sku")?);
    // A whole SKU can be deprecated; the other changes concern one version.
    let version =
        if change == "deprecate" { body.text("version").unwrap_or_default() } else { text("version")? };
    let key = marketplace::change_key(publisher, offer, sku, version);
    if change == "restore" {
        state.delete(&key);
        return Ok(Json::object());
    }
    // Only evaluated where needed, because publishing thousands of versions must not list them each time.
    let exists = || {
        let named = marketplace::versions(state, publisher, offer, sku);
        if version.is_empty() {
            !named.is_empty()
        } else {
            named.iter().any(|known| known.name.eq_ignore_ascii_case(version))
        }
    };
    if change != "publish" && !exists() {
        return Err(bad(&format!(
            "cannot {change} the version {publisher}:{offer}:{sku}:{version}: it does not exist"
        )));
    }
    let at = body.text("time");
    let default = match change {
        "publish" => "Active",
        "withdraw" => "Withdrawn",
        _ if at.is_some() => "ScheduledForDeprecation",
        _ => "Deprecated",
    };
    let record = Json::object()
        .with("publisher", publisher)
        .with("offer", offer)
        .with("sku", sku)
        .with("version", version)
        .with("state", body.text("state").unwrap_or(default))
        .maybe("time", at)
        .maybe("alternative", body.get("alternative"));
    state.put(&key, record.clone());
    Ok(record)
}

/// The time of a call, and whether it requests all entries.
#[derive(Clone, Copy)]
struct Moment {
    wall: Ticks,
    all: bool,
}

/// The maximum numbers of resources and versions in a summary, unless all are requested.
const SHOWN: usize = 200;

/// The data of the page: galleries with versions and their regions, other resources, running operations, recent requests.
fn summary(emulator: &Emulator, state: &Transaction<'_>, moment: Moment) -> Json {
    let settings = read(emulator, state);
    let now = moment.wall + settings.clock_offset;
    let most = if moment.all { usize::MAX } else { SHOWN };
    let mut counts = [0_i64; 2];
    let mut resources = Vec::new();
    let mut versions = Vec::new();
    state.scan("r|", None, |_, record| {
        let resource = Resource::from_record(record);
        if !resource.exists(now) {
            return true;
        }
        let kind = resource.doc.text("type").unwrap_or_default().to_owned();
        let shown = Json::object()
            .with("id", resource.id())
            .with("name", resource.name())
            .with("type", kind.as_str())
            .with("location", resource.location())
            .with("state", resource.state(now));
        let version = kind == super::providers::versions::KIND;
        counts[usize::from(version)] += 1;
        if if version { versions.len() } else { resources.len() } >= most {
            return true;
        }
        if version {
            versions.push(with_facts(shown, &resource).with("regions", regions_of(&resource, now)));
        } else {
            resources.push(shown);
        }
        true
    });
    let mut operations = Vec::new();
    state.scan("o|", None, |_, record| {
        let start = record.int("start").unwrap_or(now);
        let end = record.int("end");
        if end.is_none_or(|end| now < end) {
            operations.push(
                Json::object()
                    .maybe("name", record.get("guid"))
                    .maybe("action", record.get("action"))
                    .maybe("resource", record.get("resource"))
                    .with("started", clock::format(start))
                    .with(
                        "percent",
                        end.map_or(Json::Null, |end| ((now - start) * 100 / (end - start).max(1)).into()),
                    ),
            );
        }
        true
    });
    Json::object()
        .with("now", clock::format(now))
        .with("records", state.record_count() as i64)
        .with("resourceCount", counts[0])
        .with("versionCount", counts[1])
        .with("settings", settings.show())
        .with("resources", resources)
        .with("versions", versions)
        .with("operations", operations)
        .with("requests", emulator.requests.newest())
        .with("throttledCount", lock(&emulator.meter).refused)
}

/// The columns of the page, with the names that they have in a report.
fn with_facts(shown: Json, version: &Resource) -> Json {
    let publishing = |name: &str| version.property(&format!("publishingProfile.{name}"));
    let size = version.property("storageProfile.osDiskImage.sizeInGB");
    shown
        .maybe("published_date", publishing("publishedDate"))
        .maybe("end_of_life_date", publishing("endOfLifeDate"))
        .maybe("exclude_from_latest", publishing("excludeFromLatest"))
        .maybe("size_gb", size)
        .maybe("tags", version.doc.get("tags"))
}

fn regions_of(version: &Resource, now: Ticks) -> Vec<Json> {
    let Some(Json::Array(entries)) = version.hidden("replication") else {
        return Vec::new();
    };
    entries
        .iter()
        .map(|entry| {
            let (state, progress) = replication::progress(entry, now);
            Json::object()
                .with("region", regions::display(entry.text("region").unwrap_or_default()))
                .with("replicas", entry.int("replicas").unwrap_or(1))
                .with("state", state)
                .with("progress", progress)
        })
        .collect()
}
