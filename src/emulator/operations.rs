//! Long-running operations: a request starts them, the clock ends them, and clients poll them at signed URLs.

use super::call::{Answer, Call, Outcome};
use super::clock::{self, Ticks};
use super::errors::ArmError;
use super::json::Json;
pub use super::operation::{Family, Operation};
use super::regions;
use super::store::EXPIRES;

/// How long after its end an operation can still be polled.
const REMEMBERED: Ticks = 7 * clock::DAY;
/// The same for machines, because the activity log is built from their operations.
const LOGGED: Ticks = 90 * clock::DAY;

/// The parameters of a new operation.
pub struct Begin<'a> {
    /// The resource provider that runs it.
    pub family: Family,
    /// The region.
    pub location: &'a str,
    /// The resource it works on.
    pub resource: &'a str,
    /// A human-readable name: `create`, `deallocate`.
    pub action: &'a str,
    /// When it ends unless a fault is injected.
    pub end: Ticks,
    /// A failure that is known from the start.
    pub error: Option<(String, String)>,
    /// `properties.output` after success.
    pub output: Option<Json>,
    /// The service's Retry-After, in seconds.
    pub retry_after: Option<u32>,
}

impl<'a> Begin<'a> {
    /// An operation that succeeds without an output.
    pub fn new(
        family: Family,
        location: &'a str,
        resource: &'a str,
        action: &'a str,
        end: Ticks,
    ) -> Begin<'a> {
        Begin { family, location, resource, action, end, error: None, output: None, retry_after: None }
    }
}

/// Starts an operation and stores it. Scripted faults may make it fail or never end.
pub fn begin(call: &mut Call<'_, '_>, plan: Begin<'_>) -> Operation {
    let operation = Operation {
        guid: call.state.guid(),
        family: plan.family,
        location: plan.location.to_owned(),
        start: call.now,
        end: (!call.effects.stuck)
            .then_some(plan.end.max(call.now) + call.effects.slow.saturating_mul(clock::SECOND)),
        error: call.effects.failure.clone().or(plan.error),
        output: plan.output,
        retry_after: plan.retry_after,
        loses: call.effects.loses,
    };
    let mut record = Json::object()
        .with("guid", operation.guid.as_str())
        .with("family", operation.family.segment())
        .with("subscription", call.subscription.as_str())
        .with("location", operation.location.as_str())
        .with("resource", plan.resource)
        .with("action", plan.action)
        .with("start", operation.start)
        .maybe("end", operation.end)
        .maybe("output", operation.output.clone())
        .maybe("retryAfter", operation.retry_after.map(i64::from))
        .maybe("failedAs", call.effects.failure_status.as_deref());
    if let Some((code, message)) = &operation.error {
        record.set("error", Json::object().with("code", code.as_str()).with("message", message.as_str()));
    }
    if let Some(end) = operation.end {
        record.set(EXPIRES, end + if plan.family == Family::Compute { LOGGED } else { REMEMBERED });
    }
    call.state.put(&key(&operation.guid), record);
    operation
}

/// The key of an operation's record.
pub fn key(guid: &str) -> String {
    format!("o|{}", guid.to_ascii_lowercase())
}

impl Answer {
    /// Adds the headers of a response that starts an operation; `location` adds a Location header as well.
    pub fn asynchronous(self, call: &Call<'_, '_>, operation: &Operation, location: bool) -> Answer {
        let url = |monitor| poll_url(call, operation, monitor);
        let mut answer = self
            .header("Azure-AsyncOperation", url(false))
            .header("x-ms-request-id", operation.guid.as_str());
        // Recordings show it on images and machines always, and on galleries since 2026.
        if operation.family != Family::Disk {
            answer = answer.header("azure-asyncnotification", "Enabled");
        }
        if location {
            answer = answer.header("Location", url(true));
        }
        answer.poll_hint(call, operation.retry_after)
    }

    /// Adds Retry-After, and the same in milliseconds for quick work.
    pub fn poll_hint(self, call: &Call<'_, '_>, recorded: Option<u32>) -> Answer {
        let Some(seconds) = call.settings.retry_after(recorded) else {
            return self;
        };
        let answer = self.header("Retry-After", seconds.to_string());
        if call.settings.time_scale.is_none_or(|scale| scale >= 10.0 || scale == 0.0)
            && !call.settings.recorded_polling
        {
            // go-azure-sdk, which azurerm and azapi use, then skips the wait before its first poll.
            answer.header("x-ms-retry-after-ms", "200").header("X-Go-Azure-Sdk-Skip-Polling-Delay", "true")
        } else {
            answer
        }
    }
}

fn poll_url(call: &Call<'_, '_>, operation: &Operation, monitor: bool) -> String {
    let region = match operation.family {
        Family::Disk => regions::normalize(&operation.location),
        _ => regions::in_poll_url(&operation.location),
    };
    let mut query = String::new();
    if operation.family != Family::Caps {
        query.push_str(&format!("p={}&", partition(&call.subscription)));
    }
    if monitor {
        query.push_str("monitor=true&");
    }
    format!(
        "{}/subscriptions/{}/providers/Microsoft.Compute/locations/{region}/{}/{}?{query}api-version={}&{}",
        call.base,
        call.subscription,
        operation.family.segment(),
        operation.guid,
        call.api,
        signature(call, operation, monitor)
    )
}

/// The signature in the query of an operation's poll URL.
pub fn signature(call: &Call<'_, '_>, operation: &Operation, monitor: bool) -> String {
    let Signature { t, c, s, h } = Signature::of(&operation.guid, &call.api, operation.start, monitor);
    format!("t={t}&c={c}&s={s}&h={h}")
}

/// Refuses a poll of the operation in `record` whose URL is not the one that was issued.
pub fn verify(call: &Call<'_, '_>, record: &Json, monitor: bool) -> Result<(), ArmError> {
    let start = record.int("start").unwrap_or_default();
    let expected = Signature::of(record.text("guid").unwrap_or_default(), &call.api, start, monitor);
    let given = |name: &str| call.query(name).unwrap_or_default();
    let is_issued = given("t") == expected.t
        && given("c") == expected.c
        && given("s") == expected.s
        && given("h") == expected.h;
    if is_issued || !call.settings.verify_poll_urls {
        return Ok(());
    }
    Err(ArmError::new(
        403,
        "InvalidSignature",
        "The signature of the polling URL is not valid. Use the URL of the Azure-AsyncOperation or Location header unchanged.",
    ))
}

/// The partition GUID in the URLs of machines, images and disks: constant for a subscription.
fn partition(subscription: &str) -> String {
    super::store::guid(hash(subscription.to_ascii_lowercase().as_bytes()), 1, 1)
}

/// The four parameters that make poll URLs of Azure about 3,000 characters long.
struct Signature {
    t: String,
    c: String,
    s: String,
    h: String,
}

impl Signature {
    fn of(guid: &str, api: &str, start: Ticks, monitor: bool) -> Signature {
        let t = start + clock::DOTNET_EPOCH;
        let seed = hash(format!("{guid}|{api}|{t}|{monitor}").as_bytes());
        Signature {
            t: t.to_string(),
            // The certificate rarely changes. What matters to clients is its length.
            c: noise(0xce57, 2_400),
            s: noise(seed, 342),
            h: noise(seed.rotate_left(17), 43),
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A stable number derived from a text, for values that look random in Azure.
pub fn stable(text: &str) -> u64 {
    hash(text.as_bytes())
}

fn noise(seed: u64, length: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(ALPHABET[(state >> 58) as usize])
        })
        .collect()
}

/// `GET …/locations/{loc}/{capsOperations|operations|DiskOperations}/{guid}`.
pub fn poll(call: &mut Call<'_, '_>, segment: &str, guid: &str) -> Outcome {
    call.meter = Some(match segment {
        "capsoperations" => "GetOperationStatus",
        "diskoperations" => "GetOperation",
        _ => "GetOperationResource",
    });
    let record = call
        .record(&key(guid))
        .filter(|record| {
            record.text("subscription").unwrap_or_default().eq_ignore_ascii_case(&call.subscription)
                && record.text("family").unwrap_or_default().eq_ignore_ascii_case(segment)
        })
        .ok_or_else(|| ArmError::new(404, "NotFound", format!("The operation '{guid}' was not found.")))?;
    let monitor = call.query("monitor").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let start = record.int("start").unwrap_or_default();
    verify(call, &record, monitor)?;
    let end = record.int("end");
    let running = end.is_none_or(|end| call.now < end);
    let elsewhere = (running && call.effects.moves).then(|| moved(call, &record, monitor));
    // Polls of machines carry no Retry-After; only the first response does.
    let hint = record
        .int("retryAfter")
        .filter(|_| segment != "operations")
        .and_then(|wait| u32::try_from(wait).ok());
    if monitor {
        return Ok(match (running, record.get("output"), record.get("error")) {
            (true, ..) => {
                let url = elsewhere.unwrap_or_else(|| format!("{}{}", call.base, original(call)));
                Answer::empty(202).header("Location", url).poll_hint(call, hint)
            }
            (false, _, Some(error)) => Answer::pretty(409, Json::object().with("error", error)),
            (false, Some(output), None) => Answer::pretty(200, output.clone()),
            (false, None, None) => Answer::empty(200),
        });
    }
    let mut document = Json::object().with("startTime", clock::format(start));
    if running {
        document.set("status", "InProgress");
    } else {
        document.set("endTime", clock::format(end.unwrap_or(start)));
        match record.get("error") {
            Some(error) => {
                document.set("status", record.text("failedAs").unwrap_or("Failed"));
                document.set("error", error);
            }
            None => {
                document.set("status", "Succeeded");
                if let Some(output) = record.get("output") {
                    document.set("properties", Json::object().with("output", output));
                }
            }
        }
    }
    document.set("name", record.text("guid").unwrap_or_default());
    let mut answer = Answer::pretty(200, document);
    if let Some(url) = elsewhere {
        answer = answer.header("Azure-AsyncOperation", url);
    }
    Ok(if running { answer.poll_hint(call, hint) } else { answer })
}

/// Renames a running operation, so that its old URL is no longer found. Returns the new URL.
fn moved(call: &mut Call<'_, '_>, record: &Json, monitor: bool) -> String {
    let old = record.text("guid").unwrap_or_default().to_owned();
    let family = [Family::Caps, Family::Compute, Family::Disk]
        .into_iter()
        .find(|family| record.text("family") == Some(family.segment()))
        .unwrap_or(Family::Compute);
    let operation = Operation {
        guid: call.state.guid(),
        family,
        location: record.text("location").unwrap_or_default().to_owned(),
        start: record.int("start").unwrap_or_default(),
        end: record.int("end"),
        error: None,
        output: None,
        retry_after: None,
        loses: false,
    };
    let renamed = record.clone().with("guid", operation.guid.as_str());
    call.state.delete(&key(&old));
    call.state.put(&key(&operation.guid), renamed);
    poll_url(call, &operation, monitor)
}

fn original(call: &Call<'_, '_>) -> String {
    let query: Vec<String> = call.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("/{}?{}", call.segments.join("/"), query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_depends_on_every_signed_value() {
        let one = Signature::of("g", "2021-10-01", 5, false);
        assert_eq!(one.s, Signature::of("g", "2021-10-01", 5, false).s);
        for other in [
            Signature::of("h", "2021-10-01", 5, false),
            Signature::of("g", "2026-03-03", 5, false),
            Signature::of("g", "2021-10-01", 6, false),
            Signature::of("g", "2021-10-01", 5, true),
        ] {
            assert_ne!(one.s, other.s);
        }
        assert_eq!(one.c.len(), 2_400);
    }
}
