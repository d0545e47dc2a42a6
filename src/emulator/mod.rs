//! An in-process Azure Resource Manager emulator for virtual machine images: deterministic, durable and compatible with ARM's
//! clients.
//!
//! [`Emulator::handle`] maps a request and an instant to a response, without sockets or clocks. [`server`] serves it over HTTP,
//! [`cli`] is its command line, and [`control`] implements the calls that tests and people use to drive it.

pub mod call;

pub mod cli;
pub mod clock;
pub mod control;
pub mod coverage;
pub mod delivery;
pub mod errors;
pub mod faults;
pub mod files;
pub mod gate;
pub mod held;
pub mod ids;
pub mod json;
pub mod kql;
pub mod operation;
pub mod operations;
pub mod page;
pub mod providers;
pub mod regions;
pub mod requests;
pub mod resource;
pub mod router;
pub mod server;
pub mod settings;
pub mod shapes;
pub mod store;
pub mod template;
pub mod throttle;
pub mod tls;
pub mod versions_known;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

use call::{Answer, Body, Call, Method};
use clock::Ticks;
use errors::ArmError;
use faults::When;
use json::Json;
use providers::identity::{self, NonArmRequest};
use providers::{boot_diagnostics, build_runs, directory};
use settings::{Options, Settings};
use store::{Store, Transaction};

use crate::sync::lock;

/// A request as a client sent it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// Absolute URL, or path and query.
    pub url: String,
    /// Header names in any case.
    pub headers: Vec<(String, String)>,
    /// The body; empty if the request has none.
    pub body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The delivery fault to inject into a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// Delay the response by this long.
    Delay(Duration),
    /// Close the connection without a response.
    Drop,
    /// Fail as if the connection could not be established.
    Refuse,
    /// Never respond.
    Stall,
    /// Wait until a control call releases the request with this number. Then respond; if the request was held before execution,
    /// execute it first.
    Hold {
        /// See [`held`].
        number: i64,
        /// The request has not been executed yet.
        before: bool,
    },
    /// Send the headers and this many bytes of the body, then close.
    Truncate(usize),
}

/// The response to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// All headers except connection headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The delivery fault to inject.
    pub fault: Fault,
}

/// Why a state file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// A file system operation failed.
    #[error("{doing} the emulator's state file {path}: {source}")]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The state file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The file has another format or is damaged.
    #[error(
        "{path} cannot be used as an emulator state: {why}; name another file, or delete this one to start afresh"
    )]
    Format {
        /// The state file.
        path: String,
        /// The cause.
        why: String,
    },
}

impl EmulatorError {
    fn io(doing: &'static str, path: &Path, source: std::io::Error) -> EmulatorError {
        EmulatorError::Io { doing, path: path.display().to_string(), source }
    }

    fn format(path: &Path, why: &str) -> EmulatorError {
        EmulatorError::Format { path: path.display().to_string(), why: why.to_owned() }
    }
}

/// How a request is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Normal,
    Released,
    ByHand,
}

/// The emulator.
pub struct Emulator {
    store: Store,
    options: Options,
    meter: Mutex<throttle::Meter>,
    requests: requests::Requests,
    served: AtomicU64,
}

impl Emulator {
    /// Opens an emulator whose state is a file that other processes can share. Creates the file and its folders if they are
    /// absent.
    pub fn open(path: impl AsRef<Path>) -> Result<Emulator, EmulatorError> {
        Ok(Emulator::with_store(Store::open(path.as_ref())?))
    }

    /// Creates an emulator with in-memory state; the same requests at the same times get the same responses.
    pub fn in_memory() -> Emulator {
        Emulator::with_store(Store::in_memory())
    }

    fn with_store(store: Store) -> Emulator {
        Emulator {
            requests: requests::Requests::of(store.path()),
            store,
            options: Options::in_process(),
            meter: Mutex::default(),
            served: AtomicU64::new(0),
        }
    }

    /// Sets the program's options: [`Options::in_process`] (the default) or [`Options::served`].
    pub fn with_options(mut self, options: Options) -> Emulator {
        self.options = options;
        self
    }

    /// Responds to a request at an instant. Blocks only on the state file's lock; never panics on bad input.
    pub fn handle(&self, request: &Request, now: OffsetDateTime) -> Response {
        self.handle_as(request, now, Mode::Normal)
    }

    /// Executes and responds to a request that was held; no faults apply to it.
    pub fn handle_released(&self, request: &Request, now: OffsetDateTime) -> Response {
        self.handle_as(request, now, Mode::Released)
    }

    /// Responds to a request as if another client had sent it and all work were instantaneous: used for changes made by hand.
    pub fn handle_by_hand(&self, request: &Request, now: OffsetDateTime) -> Response {
        self.handle_as(request, now, Mode::ByHand)
    }

    fn handle_as(&self, request: &Request, now: OffsetDateTime, mode: Mode) -> Response {
        let wall = clock::ticks(now);
        let Some(target) = Target::parse(request) else {
            let error = ArmError::gateway(400, "InvalidRequestUri", "The request URI is not valid.");
            return finish(refusal(error), Vec::new(), request, wall, String::new());
        };
        if target.is_control() {
            return control::handle(self, request, &target, wall);
        }
        if target.segments.is_empty() && request.method.eq_ignore_ascii_case("GET") {
            return page::response();
        }
        let write = !matches!(Method::parse(&request.method), Some(Method::Get | Method::Head));
        let served = self.served.fetch_add(1, Ordering::Relaxed);
        let run =
            self.store.run(write, wall, |state| self.answer(request, &target, wall, served, mode, state));
        let response = match run {
            Ok(response) => response,
            Err(error) => {
                let error = ArmError::new(500, "InternalServerError", error.to_string());
                finish(refusal(error), Vec::new(), request, wall, String::new())
            }
        };
        let path = format!("/{}", target.segments.join("/"));
        self.requests.add(wall, &request.method, &path, response.status);
        response
    }

    fn answer(
        &self,
        request: &Request,
        target: &Target,
        wall: Ticks,
        served: u64,
        mode: Mode,
        state: &mut Transaction<'_>,
    ) -> Response {
        let mut settings = Settings::read(state.get(settings::KEY).as_deref(), &self.options);
        if mode == Mode::ByHand {
            settings.by_hand = true;
            settings.time_scale = Some(0.0);
            settings.require_token = false;
            settings.throttling = false;
            return self.execute(request, target, wall, served, &settings, faults::Effects::default(), state);
        }
        let path = format!("/{}", target.segments.join("/"));
        let effects = match mode {
            Mode::Normal => faults::effects_on(state, request, &path),
            _ => faults::Effects::default(),
        };
        let mut delay = effects.delay;
        for rule in &settings.latency {
            if faults::matches(rule, &request.method, &path) {
                let more = rule.int("milliseconds").and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
                delay = delay.saturating_add(Duration::from_millis(more));
            }
        }
        if effects.drop_before || effects.unreachable {
            return unanswered(if effects.unreachable { Fault::Refuse } else { Fault::Drop });
        }
        if effects.stall == Some(When::Before) {
            return unanswered(Fault::Stall);
        }
        let hold = effects.hold.map(|when| Fault::Hold {
            number: held::hold(state, request, &path, when, wall),
            before: when == When::Before,
        });
        if let Some(hold) = hold.filter(|_| effects.hold == Some(When::Before)) {
            return unanswered(hold);
        }
        let (malformed, truncate, stall) = (effects.malformed, effects.truncate, effects.stall);
        let drop_after = effects.drop_after;
        let mut response = match &effects.answer {
            Some(script) => scripted(script, request, wall),
            None => self.execute(request, target, wall, served, &settings, effects, state),
        };
        if let Some(malformed) = malformed {
            malformed.apply(&mut response);
        }
        response.fault = match (drop_after, truncate) {
            _ if stall.is_some() => Fault::Stall,
            (true, _) => Fault::Drop,
            (_, Some(bytes)) => Fault::Truncate(bytes),
            _ if !delay.is_zero() => hold.unwrap_or(Fault::Delay(delay)),
            _ => hold.unwrap_or(Fault::None),
        };
        response
    }

    #[allow(clippy::too_many_arguments)]
    fn execute(
        &self,
        request: &Request,
        target: &Target,
        wall: Ticks,
        served: u64,
        settings: &Settings,
        effects: faults::Effects,
        state: &mut Transaction<'_>,
    ) -> Response {
        let request_id = store::guid(wall as u64, served, 1);
        let lower: Vec<String> = target.segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let non_arm = NonArmRequest {
            segments: &lower,
            query: &target.query,
            body: &request.body,
            base: &target.base,
            now: wall,
        };
        if let Some(outcome) = identity::respond(&non_arm) {
            let answer = outcome.unwrap_or_else(|error| {
                Answer::compact(
                    error.status,
                    Json::object().with("error", error.code).with("error_description", error.message),
                )
            });
            return finish(answer, Vec::new(), request, wall, request_id);
        }
        let words: Vec<&str> = lower.iter().map(String::as_str).collect();
        if let Some(outcome) = directory::answer(state, &words, &target.query, &request.body) {
            return finish(outcome.unwrap_or_else(refusal), Vec::new(), request, wall, request_id);
        }
        if let ["blobs", _, name] = lower.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            let answer = boot_diagnostics::read(state, name, wall + settings.clock_offset);
            return finish(answer, Vec::new(), request, wall, request_id);
        }
        if let ["blobs", _, "packerlogs", run, "customization.log"] =
            lower.iter().map(String::as_str).collect::<Vec<_>>()[..]
        {
            let is_signed = target.query.iter().any(|(name, _)| name == "sig");
            let answer = build_runs::read_log(state, run, is_signed, wall + settings.clock_offset);
            return finish(answer, Vec::new(), request, wall, request_id);
        }
        let caller = match authenticate(request, settings, &effects, wall) {
            Ok(caller) => caller,
            Err(error) => return finish(refusal(error), Vec::new(), request, wall, request_id),
        };
        let Some(method) = Method::parse(&request.method) else {
            let error = ArmError::no_method(&request.method, "resource");
            return finish(refusal(error), Vec::new(), request, wall, request_id);
        };
        let body = match parse_body(request, &lower) {
            Ok(body) => body,
            Err(error) => return finish(refusal(error), Vec::new(), request, wall, request_id),
        };
        let mut call = Call {
            method,
            segments: target.segments.clone(),
            query: target.query.clone(),
            api: target.api(),
            body,
            now: wall + settings.clock_offset,
            base: target.base.clone(),
            subscription: String::new(),
            tenant: caller.tenant,
            object: caller.object,
            settings,
            effects,
            state,
            meter: None,
        };
        let outcome = router::route(&mut call);
        let gateway = matches!(&outcome, Err(error) if error.gateway);
        let (class, subscription, object) = (call.meter, call.subscription.clone(), call.object.clone());
        let mut headers = Vec::new();
        let mut outcome = outcome;
        if class == Some(throttle::RESOURCE_GRAPH) {
            let (refused, quota) = lock(&self.meter).query(&object, settings.throttling, wall);
            headers = quota;
            if let Some(refused) = refused {
                outcome = Err(refused);
            }
        }
        // Errors of ARM's front door carry no rate limit headers.
        else if !subscription.is_empty() && !gateway {
            let path = lower.join("/");
            let mut meter = lock(&self.meter);
            if settings.throttling
                && let Some(refused) = meter.refuse(&subscription, method, class, &path, wall)
            {
                // The work was only staged, so dropping the staged changes undoes the request.
                state.undo();
                meter.refused += 1;
                outcome = Err(refused);
            } else {
                headers = meter.headers(&subscription, method, class, &path, wall);
            }
        }
        let answer = outcome.unwrap_or_else(refusal);
        finish(answer, headers, request, wall, request_id)
    }
}

/// The parts of a request's URL.
pub struct Target {
    /// Decoded path segments.
    pub segments: Vec<String>,
    /// Decoded query pairs.
    pub query: Vec<(String, String)>,
    /// `scheme://host` for links.
    pub base: String,
}

impl Target {
    fn parse(request: &Request) -> Option<Target> {
        let absolute = request.url.contains("://");
        let url = if absolute {
            url::Url::parse(&request.url).ok()?
        } else {
            let host = request.header("host").unwrap_or("management.azure.com");
            let scheme = request.header("x-forwarded-proto").unwrap_or("https");
            url::Url::parse(&format!("{scheme}://{host}")).ok()?.join(&request.url).ok()?
        };
        let segments = url
            .path_segments()?
            .filter(|segment| !segment.is_empty())
            .map(|segment| {
                // `form_urlencoded` would decode a plus as a space.
                let plain = segment.replace('+', "%2B");
                url::form_urlencoded::parse(plain.as_bytes())
                    .next()
                    .map(
                        |(name, value)| {
                            if value.is_empty() { name.into_owned() } else { format!("{name}={value}") }
                        },
                    )
                    .unwrap_or_default()
            })
            .collect();
        let query = url.query_pairs().into_owned().collect();
        let base = url.origin().ascii_serialization();
        Some(Target { segments, query, base })
    }

    /// Whether this is a control call rather than a request to ARM or its login service.
    fn is_control(&self) -> bool {
        self.segments.first().is_some_and(|first| first == "_emulator")
            && self.segments.get(1).is_none_or(|second| second != "aliases.json")
    }

    fn api(&self) -> String {
        self.query
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("api-version"))
            .map(|(_, value)| value.to_ascii_lowercase())
            .unwrap_or_default()
    }
}

fn parse_body(request: &Request, path: &[String]) -> Result<Json, ArmError> {
    let text = request.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&request.body);
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Json::Null);
    }
    if text.len() > 4 * 1024 * 1024 {
        return Err(ArmError::gateway(
            413,
            "RequestContentTooLarge",
            "The request content size exceeds the maximum size of 4 MB.",
        ));
    }
    let parsed = Json::parse(text);
    // The Azure CLI sends templates verbatim, with comments and unquoted keys.
    if parsed.is_err()
        && path.windows(2).any(|pair| pair == ["microsoft.resources", "deployments"])
        && let Ok(text) = std::str::from_utf8(text)
    {
        return template::relaxed::parse(text).map_err(|why| errors::invalid_content(&why));
    }
    parsed.map_err(|why| errors::invalid_content(&why))
}

fn authenticate(
    request: &Request,
    settings: &Settings,
    effects: &faults::Effects,
    wall: Ticks,
) -> Result<identity::Caller, ArmError> {
    let challenge = |error: ArmError, code: &str| {
        error.header(
            "WWW-Authenticate",
            format!(
                "Bearer authorization_uri=\"https://login.microsoftonline.com/{}\", error=\"{code}\"",
                identity::TENANT
            ),
        )
    };
    let token = request
        .header("authorization")
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty())
        .map(|(_, token)| token.trim());
    let Some(token) = token else {
        if !settings.require_token && !effects.expired {
            return Ok(identity::caller(""));
        }
        if effects.expired {
            return Err(challenge(
                ArmError::gateway(401, "ExpiredAuthenticationToken", "The access token has expired."),
                "invalid_token",
            ));
        }
        return Err(challenge(
            ArmError::gateway(
                401,
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
            ),
            "invalid_token",
        ));
    };
    let caller = identity::caller(token);
    let expired = caller.expires.is_some_and(|expires| expires.saturating_mul(clock::SECOND) <= wall);
    if effects.expired || (settings.require_token && expired) {
        let until = clock::format_z(caller.expires.unwrap_or_default().saturating_mul(clock::SECOND));
        return Err(challenge(
            ArmError::gateway(
                401,
                "ExpiredAuthenticationToken",
                format!(
                    "The access token expiry UTC time '{until}' is earlier than current UTC time '{}'.",
                    clock::format_z(wall)
                ),
            ),
            "invalid_token",
        ));
    }
    Ok(caller)
}

fn refusal(error: ArmError) -> Answer {
    let body = error.body();
    let mut answer = if error.gateway {
        Answer::compact(error.status, body).header("x-ms-failure-cause", "gateway")
    } else {
        Answer::pretty(error.status, body)
    };
    answer.headers.extend(error.headers);
    answer
}

fn unanswered(fault: Fault) -> Response {
    Response { status: 0, headers: Vec::new(), body: Vec::new(), fault }
}

fn scripted(script: &Json, request: &Request, wall: Ticks) -> Response {
    let status = script.int("status").and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
    let body = match script.get("body") {
        Some(Json::String(text)) => Body::Bytes("text/plain", text.clone().into_bytes()),
        Some(body) => Body::Compact(body.clone()),
        None => {
            let code = script.text("code").unwrap_or(match status {
                429 => "TooManyRequests",
                503 => "ServerTimeout",
                _ => "InternalServerError",
            });
            let message =
                script.text("message").unwrap_or("The server encountered an error. Please retry later.");
            Body::Compact(ArmError::new(status, code, message).body())
        }
    };
    let headers = script
        .get("headers")
        .map_or(&[][..], Json::pairs)
        .iter()
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.compact(), str::to_owned);
            (name.clone(), text)
        })
        .collect();
    let answer = Answer { status, headers, body };
    finish(answer, Vec::new(), request, wall, store::guid(wall as u64, 0, 9))
}

/// Adds the headers that every response carries.
fn finish(
    answer: Answer,
    rates: Vec<(String, String)>,
    request: &Request,
    wall: Ticks,
    request_id: String,
) -> Response {
    let (kind, body) = match answer.body {
        Body::None => (None, Vec::new()),
        Body::Pretty(body) => (Some("application/json; charset=utf-8"), body.pretty().into_bytes()),
        Body::Compact(body) => (Some("application/json; charset=utf-8"), body.compact().into_bytes()),
        Body::Bytes(kind, bytes) => (Some(kind), bytes),
    };
    let mut headers = answer.headers;
    let mut add = |name: &str, value: String| {
        if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            headers.push((name.to_owned(), value));
        }
    };
    if let Some(kind) = kind {
        add("Content-Type", kind.to_owned());
    }
    if answer.status != 204 {
        add("Content-Length", body.len().to_string());
    }
    add("Date", clock::http_date(wall));
    for (name, value) in rates {
        add(&name, value);
    }
    add("x-ms-request-id", request_id.clone());
    let correlation = request.header("x-ms-correlation-request-id").map_or(request_id.clone(), str::to_owned);
    add("x-ms-correlation-request-id", correlation);
    let stamp: String = clock::format_z(wall - wall.rem_euclid(clock::SECOND))
        .chars()
        .filter(|c| *c != '-' && *c != ':')
        .collect();
    add("x-ms-routing-request-id", format!("WESTEUROPE:{stamp}:{request_id}"));
    if request.header("x-ms-return-client-request-id").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        && let Some(id) = request.header("x-ms-client-request-id")
    {
        add("x-ms-client-request-id", id.to_owned());
    }
    add("Strict-Transport-Security", "max-age=31536000; includeSubDomains".to_owned());
    add("X-Content-Type-Options", "nosniff".to_owned());
    add("Cache-Control", "no-cache".to_owned());
    add("Pragma", "no-cache".to_owned());
    add("Expires", "-1".to_owned());
    Response { status: answer.status, headers, body, fault: Fault::None }
}

#[cfg(test)]
mod tests;
