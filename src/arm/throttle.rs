//! Keeps this process within the service's request budgets, so that it slows down before calls are refused. Pure: it takes
//! the time and the responses, and returns how long to wait.
//!
//! There are two kinds of budgets. Resource Manager has budgets for reads, writes and deletes of each subscription, and
//! reports the remainder in `x-ms-ratelimit-remaining-subscription-*`; calls outside a subscription use the tenant's
//! budgets. The compute service has a budget for each kind of call and reports it in
//! `x-ms-ratelimit-remaining-resource`. Calls are not limited until the service reports a remainder or refuses a call.
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::id::{ends_in_a_name, type_of_path};
use super::transport::{Method, Response};

/// The budgets of one principal, as this process knows them.
#[derive(Default)]
pub struct Throttle {
    budgets: HashMap<String, Budget>,
}

/// The budgets that a call uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    verb: &'static str,
    /// The keys of the budgets of the verb and of the kind of call. Both begin with the subscription.
    keys: [String; 2],
}

impl Class {
    /// The budgets of a call, from its method and path.
    pub fn new(method: Method, path: &str) -> Self {
        let verb = match method {
            Method::Get => "reads",
            Method::Delete => "deletes",
            Method::Put | Method::Patch | Method::Post => "writes",
        };
        let subscription = subscription_of(path).unwrap_or_else(|| "tenant".to_owned());
        let keys =
            [format!("{subscription} {verb}"), format!("{subscription} {method} {}", kind_of_call(path))];
        Self { verb, keys }
    }

    fn is_of_tenant(&self) -> bool {
        self.keys[0].starts_with("tenant ")
    }
}

/// A call that counts towards its budgets.
#[derive(Debug)]
pub struct Ticket {
    /// The number of refusals of each budget at the time when this call was counted.
    refusals: [u32; 2],
    is_sent: bool,
}

impl Throttle {
    /// Counts a call and returns how long it must wait before it is sent. Each ticket must be passed to [`Throttle::leave`].
    pub fn enter(&mut self, class: &Class, now: Instant) -> (Ticket, Duration) {
        let mut ticket = Ticket { refusals: [0, 0], is_sent: false };
        let mut wait = Duration::ZERO;
        for (key, refusals) in class.keys.iter().zip(&mut ticket.refusals) {
            let budget = self.budget(key, class.verb, now);
            budget.calls += 1;
            *refusals = budget.refusals;
            wait = wait.max(budget.spend(now));
        }
        (ticket, wait)
    }

    /// Returns how long a call that is already counted must wait after another call was refused.
    ///
    /// It spends again only from budgets that have had a refusal since, because a refusal resets the level.
    pub fn requeue(&mut self, class: &Class, ticket: &mut Ticket, now: Instant) -> Duration {
        let mut wait = Duration::ZERO;
        for (key, refusals) in class.keys.iter().zip(&mut ticket.refusals) {
            let budget = self.budget(key, class.verb, now);
            if *refusals != budget.refusals {
                *refusals = budget.refusals;
                wait = wait.max(budget.spend(now));
            }
        }
        wait
    }

    /// Records that a call was sent.
    pub fn sent(&mut self, class: &Class, ticket: &mut Ticket) {
        if !std::mem::replace(&mut ticket.is_sent, true) {
            for key in &class.keys {
                if let Some(budget) = self.budgets.get_mut(key) {
                    budget.in_flight += 1;
                }
            }
        }
    }

    /// True while calls of this class must wait after a refusal.
    pub fn is_paused(&self, class: &Class, now: Instant) -> bool {
        class.keys.iter().any(|key| self.budgets.get(key).is_some_and(|budget| now < budget.paused_until))
    }

    /// Ends a call, with its response if there is one. `pause` is the wait that a refusal (429) requests.
    pub fn leave(
        &mut self,
        class: &Class,
        ticket: Ticket,
        answer: Option<&Response>,
        pause: Duration,
        now: Instant,
    ) {
        for key in &class.keys {
            let budget = self.budget(key, class.verb, now);
            budget.calls = budget.calls.saturating_sub(1);
            budget.in_flight = budget.in_flight.saturating_sub(u32::from(ticket.is_sent));
        }
        let Some(answer) = answer else { return };
        let [verb, call] = &class.keys;
        if let Some(left) = verb_budget(answer, class) {
            self.budget(verb, class.verb, now).reported(left, left, None, now);
        }
        let calls = call_budget(answer);
        if let Some((left, least, window)) = calls {
            self.budget(call, class.verb, now).reported(left, least, Some(window), now);
        }
        if answer.status == 429 && !is_of_one_resource_only(answer) {
            // A refusal of the compute service applies to one kind of call only.
            let (key, documented) =
                if calls.is_some() { (call, CALL_BUCKET) } else { (verb, verb_bucket(class.verb)) };
            self.budget(key, class.verb, now).refused(pause, documented, now);
        }
    }

    /// The remaining budget of the verb, for the log.
    pub fn left(&self, class: &Class) -> Option<i64> {
        self.budgets.get(&class.keys[0])?.level.map(|level| level as i64)
    }

    fn budget(&mut self, key: &str, verb: &str, now: Instant) -> &mut Budget {
        self.budgets.entry(key.to_owned()).or_insert_with(|| {
            let (size, rate) = if key.ends_with(verb) { verb_bucket(verb) } else { CALL_BUCKET };
            Budget {
                level: None,
                is_reported: false,
                is_doubted: false,
                size,
                rate,
                window: None,
                at: now,
                paused_until: now,
                refusals: 0,
                calls: 0,
                in_flight: 0,
            }
        })
    }
}

/// A token bucket. If its level is negative, calls are queued, each until its own time.
struct Budget {
    /// `None` if it is not known; then calls are not limited.
    level: Option<f64>,
    /// Whether the level was reported by the service.
    is_reported: bool,
    /// A call was refused although the reported remainder was not used up. Until the bucket must be full again, this
    /// client's own count applies where it is lower.
    is_doubted: bool,
    size: f64,
    /// Refill per second.
    rate: f64,
    /// The length in seconds of the window in which the service counts calls.
    window: Option<f64>,
    /// The time at which `level` was computed.
    at: Instant,
    paused_until: Instant,
    /// The number of refused calls.
    refusals: u32,
    /// Calls that are waiting or in flight.
    calls: u32,
    /// Calls that are in flight.
    in_flight: u32,
}

impl Budget {
    fn spend(&mut self, now: Instant) -> Duration {
        self.refill(now);
        let pause = self.paused_until.saturating_duration_since(now);
        let Some(level) = self.level.as_mut() else {
            return pause;
        };
        *level -= 1.0;
        let mut queue = Duration::from_secs_f64((-*level).max(0.0) / self.rate);
        if self.window.is_some() && self.refusals == 0 {
            queue = queue.min(LONGEST_GUESS);
        }
        pause + queue
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        if let Some(level) = self.level.as_mut().filter(|_| passed > 0.0) {
            *level = (*level + passed * self.rate).min(self.size);
            self.at = now;
            if *level >= self.size {
                self.is_doubted = false;
                if !self.is_reported {
                    self.level = None;
                }
            }
        }
    }

    /// The service reported the remainder. It may or may not include the current calls. They are subtracted again, which
    /// underestimates the level by at most their number.
    ///
    /// The size is the maximum that was ever reported, and at least `least`. If the service counts in windows, the bucket
    /// refills by its size in each window.
    fn reported(&mut self, left: f64, least: f64, window: Option<f64>, now: Instant) {
        self.refill(now);
        if window.is_none()
            && self.is_doubted
            && let Some(own) = self.level
        {
            self.level = Some(own.min(left - f64::from(self.calls)));
            return;
        }
        if self.window != window {
            self.window = window;
            self.size = least;
        }
        self.size = self.size.max(least).max(left);
        if let Some(window) = window {
            self.rate = self.size / window;
        }
        // Windows are coarse and their waits long, so risk a refusal.
        let doubtful = if window.is_some() { 0 } else { self.calls };
        self.level = Some(left - f64::from(doubtful));
        self.is_reported = true;
        self.at = self.at.max(now);
    }

    /// The service refused a call: all calls wait, and then continue at the refill rate, which is that of the `documented`
    /// bucket unless the service counts in windows. Waiting calls spend again when they queue again.
    fn refused(&mut self, pause: Duration, documented: (f64, f64), now: Instant) {
        if self.window.is_none() {
            self.is_doubted = true;
            (self.size, self.rate) = documented;
        }
        self.refusals += 1;
        self.paused_until = self.paused_until.max(now + pause.min(LONGEST_PAUSE));
        self.level = Some(-f64::from(self.in_flight));
        self.at = self.paused_until;
    }
}

/// The longest pause, even if a refusal requests a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The longest wait for a window of estimated size, as long as no call was refused.
const LONGEST_GUESS: Duration = Duration::from_secs(1);

/// The documented size and refill rate per second of a verb's bucket.
fn verb_bucket(verb: &str) -> (f64, f64) {
    if verb == "reads" { (250.0, 25.0) } else { (200.0, 10.0) }
}

/// The assumed size and refill rate per second of the bucket of one kind of call.
const CALL_BUCKET: (f64, f64) = (60.0, 1.0);

/// The subscription of a path, in lower case.
fn subscription_of(path: &str) -> Option<String> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.next().filter(|word| word.eq_ignore_ascii_case("subscriptions"))?;
    segments.next().map(str::to_lowercase)
}

/// The remainder: the smaller of the principal's and the subscription's, or the tenant's.
fn verb_budget(answer: &Response, class: &Class) -> Option<f64> {
    let scopes: &[&str] =
        if class.is_of_tenant() { &["tenant-"] } else { &["subscription-", "subscription-global-"] };
    scopes
        .iter()
        .filter_map(|scope| answer.header(&format!("x-ms-ratelimit-remaining-{scope}{}", class.verb)))
        .filter_map(|left| left.trim().parse::<f64>().ok())
        .filter(|left| (0.0..1e9).contains(left))
        .reduce(f64::min)
}

/// The scarcest budget of `Microsoft.Compute/GetGallery3Min;348,Microsoft.Compute/GetGallery30Min;2496`: the remainder, the
/// minimum size of such buckets, and the seconds in which it refills.
fn call_budget(answer: &Response) -> Option<(f64, f64, f64)> {
    call_budgets(answer)
        .filter_map(|(name, left)| {
            let (least, window) = match name {
                name if is_of_one_resource(name) => return None,
                name if name.ends_with("30Min") => (300.0, 1800.0),
                name if name.ends_with("3Min") => (50.0, 180.0),
                _ => (60.0, 60.0),
            };
            Some((left, least, window))
        })
        .min_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)))
}

/// True if a call was refused because the budget of a single resource is used up, which does not affect other resources.
fn is_of_one_resource_only(answer: &Response) -> bool {
    let empty =
        |of_one| call_budgets(answer).any(|(name, left)| left < 1.0 && is_of_one_resource(name) == of_one);
    empty(true) && !empty(false)
}

fn is_of_one_resource(name: &str) -> bool {
    name.ends_with("Resource")
}

fn call_budgets(answer: &Response) -> impl Iterator<Item = (&str, f64)> {
    let all = answer.header("x-ms-ratelimit-remaining-resource").unwrap_or_default();
    all.split(',').filter_map(|part| {
        let (name, left) = part.trim().rsplit_once(';')?;
        let left = left.trim().parse().ok().filter(|left| (0.0..1e9).contains(left))?;
        Some((name, left))
    })
}

/// The resource type of a path, with a suffix for lists: `…/galleries/g/images/i` is `microsoft.compute/galleries/images`,
/// and its list `microsoft.compute/galleries/images/*`.
pub fn kind_of_call(path: &str) -> String {
    let mark = if ends_in_a_name(path) { "" } else { "/*" };
    format!("{}{mark}", type_of_path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSIONS: &str =
        "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g/images/i/versions";

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Response { status, headers, body: vec![] }
    }

    #[test]
    fn lists_are_a_separate_kind_of_call() {
        let one = format!("{VERSIONS}/1.0.0");
        assert_eq!(kind_of_call(VERSIONS), "microsoft.compute/galleries/images/versions/*");
        assert_eq!(kind_of_call(&one), "microsoft.compute/galleries/images/versions");
    }

    /// A call that is sent and completed immediately.
    fn call(throttle: &mut Throttle, class: &Class, answer: &Response, pause: u64, now: Instant) -> Duration {
        let (mut ticket, wait) = throttle.enter(class, now);
        throttle.sent(class, &mut ticket);
        throttle.leave(class, ticket, Some(answer), Duration::from_secs(pause), now);
        wait
    }

    fn wait(throttle: &mut Throttle, class: &Class, now: Instant) -> Duration {
        throttle.enter(class, now).1
    }

    #[tokio::test(start_paused = true)]
    async fn limits_nothing_until_the_service_reports_a_number() {
        let mut throttle = Throttle::default();
        let class = Class::new(Method::Get, VERSIONS);
        for _ in 0..10_000 {
            assert_eq!(call(&mut throttle, &class, &answer(200, &[]), 0, Instant::now()), Duration::ZERO);
        }
    }

    /// Simulates `reads` of `callers` with a service that has the documented bucket and reports `reported(remainder)`.
    /// Returns the number of refusals and the total seconds.
    fn simulate(reads: u32, callers: u32, reported: fn(f64) -> i64) -> (u32, f64) {
        let mut throttle = Throttle::default();
        let class = Class::new(Method::Get, VERSIONS);
        let begin = Instant::now();
        let (mut bucket, mut bucket_at, mut refused) = (250.0f64, 0.0f64, 0);
        // Each caller with the time of its next step: send, or complete with the response 50 ms later.
        let mut steps: Vec<(f64, Ticket, Option<Response>)> = Vec::new();
        let mut done = 0;
        let mut clock = 0.0f64;
        let mut idle = callers;
        while done < reads {
            let now = begin + Duration::from_secs_f64(clock);
            while idle > 0 {
                idle -= 1;
                let (ticket, wait) = throttle.enter(&class, now);
                steps.push((clock + wait.as_secs_f64(), ticket, None));
            }
            let next = (0..steps.len()).min_by(|a, b| steps[*a].0.total_cmp(&steps[*b].0)).unwrap();
            let (at, mut ticket, response) = steps.swap_remove(next);
            clock = at;
            let now = begin + Duration::from_secs_f64(clock);
            match response {
                None if throttle.is_paused(&class, now) => {
                    let wait = throttle.requeue(&class, &mut ticket, now);
                    steps.push((clock + wait.as_secs_f64().max(0.001), ticket, None));
                }
                None => {
                    throttle.sent(&class, &mut ticket);
                    bucket = (bucket + (clock - bucket_at) * 25.0).min(250.0);
                    bucket_at = clock;
                    let response = if bucket >= 1.0 {
                        bucket -= 1.0;
                        let left = reported(bucket).to_string();
                        answer(200, &[("x-ms-ratelimit-remaining-subscription-reads", &left)])
                    } else {
                        refused += 1;
                        answer(429, &[])
                    };
                    steps.push((clock + 0.05, ticket, Some(response)));
                }
                Some(response) => {
                    throttle.leave(&class, ticket, Some(&response), Duration::from_secs(1), now);
                    done += 1;
                    idle += 1;
                }
            }
        }
        (refused, clock)
    }

    #[tokio::test(start_paused = true)]
    async fn stays_within_the_documented_bucket() {
        let (refused, took) = simulate(10_000, 64, |left| left as i64);
        assert!(refused <= 100, "{refused} refusals");
        assert!((380.0..430.0).contains(&took), "took {took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_overrides_a_wrong_reported_remainder() {
        for callers in [10, 64] {
            let (refused, took) = simulate(10_000, callers, |_| 11_999);
            assert!(refused <= 100, "{callers} callers: {refused} refusals");
            assert!((380.0..430.0).contains(&took), "{callers} callers: took {took} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_pauses_the_verb_and_then_limits_its_rate() {
        let mut throttle = Throttle::default();
        let (reads, writes) = (Class::new(Method::Get, "/a"), Class::new(Method::Put, "/a"));
        let now = Instant::now();
        call(&mut throttle, &reads, &answer(429, &[]), 10, now);
        assert!(throttle.is_paused(&reads, now) && !throttle.is_paused(&writes, now));
        assert_eq!(wait(&mut throttle, &writes, now), Duration::ZERO);
        let (ticket, first) = throttle.enter(&Class::new(Method::Get, "/other"), now);
        let (other, second) = throttle.enter(&reads, now);
        assert_eq!(first, Duration::from_secs_f64(10.04));
        assert_eq!(second, Duration::from_secs_f64(10.08));
        assert!(!throttle.is_paused(&reads, now + Duration::from_secs(10)));
        // The limit ends once the bucket must be full again.
        let later = now + Duration::from_secs(60);
        throttle.leave(&Class::new(Method::Get, "/other"), ticket, None, Duration::ZERO, later);
        throttle.leave(&reads, other, None, Duration::ZERO, later);
        assert_eq!(wait(&mut throttle, &reads, later), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_in_one_subscription_does_not_pause_another() {
        let of = |path: &str| Class::new(Method::Get, path);
        let (a, b) = (of("/subscriptions/A/resourceGroups/r"), of("/subscriptions/b/resourceGroups/r"));
        let tenant = of("/providers/Microsoft.ResourceGraph/resources");
        let now = Instant::now();
        for (refused, others) in [(&a, [&b, &tenant]), (&tenant, [&a, &b])] {
            let mut throttle = Throttle::default();
            call(&mut throttle, refused, &answer(429, &[]), 300, now);
            assert!(throttle.is_paused(refused, now));
            for other in others {
                assert!(!throttle.is_paused(other, now));
                assert_eq!(wait(&mut throttle, other, now), Duration::ZERO);
            }
        }
        let mut throttle = Throttle::default();
        call(&mut throttle, &a, &answer(429, &[]), 300, now);
        assert!(
            throttle.is_paused(&of("/SUBSCRIPTIONS/a/locations"), now),
            "one subscription in another case"
        );
        let compute = answer(429, &[("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/Get3Min;0")]);
        let mut throttle = Throttle::default();
        call(&mut throttle, &a, &compute, 300, now);
        assert!(throttle.is_paused(&a, now) && !throttle.is_paused(&b, now), "other kinds of calls too");
    }

    /// Each of three waiting calls spends once, although a refusal makes all of them queue again.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_queues_again_spends_only_once() {
        let mut throttle = Throttle::default();
        let class = Class::new(Method::Get, VERSIONS);
        let now = Instant::now();
        let kind = answer(200, &[("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/GetX3Min;40")]);
        call(&mut throttle, &class, &kind, 0, now);
        let mut waiting: Vec<Ticket> = (0..3).map(|_| throttle.enter(&class, now).0).collect();
        let level = |throttle: &Throttle, at: usize| throttle.budgets[&class.keys[at]].level;
        assert_eq!(level(&throttle, 1), Some(37.0));
        call(&mut throttle, &class, &answer(429, &[]), 10, now);
        let paid = level(&throttle, 1);
        let waits: Vec<Duration> =
            waiting.iter_mut().map(|ticket| throttle.requeue(&class, ticket, now)).collect();
        assert_eq!(waits, [10.04, 10.08, 10.12].map(Duration::from_secs_f64), "one after the other");
        assert_eq!(level(&throttle, 1), paid, "the budget that was not refused is not spent again");
        let again: Vec<Duration> =
            waiting.iter_mut().map(|ticket| throttle.requeue(&class, ticket, now)).collect();
        assert_eq!(again, [Duration::ZERO; 3], "without a new refusal, nothing is spent");
        assert_eq!(level(&throttle, 0), Some(-3.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_of_the_compute_service_pauses_only_that_kind_of_call() {
        let mut throttle = Throttle::default();
        let list = Class::new(Method::Get, VERSIONS);
        let now = Instant::now();
        let refusal =
            answer(429, &[("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/HighCostGet3Min;0")]);
        call(&mut throttle, &list, &refusal, 27, now);
        assert!(throttle.is_paused(&list, now));
        assert!(!throttle.is_paused(&Class::new(Method::Get, "/subscriptions/s"), now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_for_one_resource_does_not_pause_others() {
        for (names, paused) in [
            ("Microsoft.Compute/UpdateVMResource;0", false),
            ("Microsoft.Compute/GetOperation3Min;14000,Microsoft.Compute/GetOperationResource;0", false),
            ("Microsoft.Compute/GetOperation3Min;0,Microsoft.Compute/GetOperationResource;0", true),
        ] {
            let mut throttle = Throttle::default();
            let class = Class::new(Method::Get, VERSIONS);
            let now = Instant::now();
            let refusal = answer(429, &[("x-ms-ratelimit-remaining-resource", names)]);
            call(&mut throttle, &class, &refusal, 60, now);
            assert_eq!(throttle.is_paused(&class, now), paused, "{names}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_without_refusals_delays_calls_only_briefly() {
        let mut throttle = Throttle::default();
        let class = Class::new(Method::Get, VERSIONS);
        let empty = [("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/GetGalleryImageVersion3Min;0")];
        for _ in 0..10 {
            assert!(call(&mut throttle, &class, &answer(200, &empty), 0, Instant::now()) <= LONGEST_GUESS);
        }
        call(&mut throttle, &class, &answer(429, &empty), 0, Instant::now());
        assert!(wait(&mut throttle, &class, Instant::now()) > Duration::from_secs(3));
    }

    #[test]
    fn reads_the_remainder_from_headers() {
        let class = |path| Class::new(Method::Get, path);
        let reads = |headers: &[(&str, &str)]| verb_budget(&answer(200, headers), &class(VERSIONS));
        let tenant = answer(200, &[("x-ms-ratelimit-remaining-tenant-reads", "7")]);
        assert_eq!(verb_budget(&tenant, &class("/providers/a.b/c")), Some(7.0));
        assert_eq!(verb_budget(&tenant, &class(VERSIONS)), None);
        assert_eq!(reads(&[("x-ms-ratelimit-remaining-subscription-reads", "249")]), Some(249.0));
        assert_eq!(
            reads(&[
                ("x-ms-ratelimit-remaining-subscription-reads", "249"),
                ("x-ms-ratelimit-remaining-subscription-global-reads", "17")
            ]),
            Some(17.0)
        );
        for nonsense in ["many", "-5", "NaN", "1e300", ""] {
            let header = [("x-ms-ratelimit-remaining-subscription-reads", nonsense)];
            assert_eq!(reads(&header), None);
        }
        let calls = |value: &str| call_budget(&answer(200, &[("x-ms-ratelimit-remaining-resource", value)]));
        assert_eq!(
            calls("Microsoft.Compute/GetGallery3Min;348,Microsoft.Compute/GetGallery30Min;100"),
            Some((100.0, 300.0, 1800.0))
        );
        assert_eq!(calls("Microsoft.Compute/GetOperationResource;1"), None);
        assert_eq!(calls("Microsoft.Compute/CreateImagesSubscriptionMaximum;59"), Some((59.0, 60.0, 60.0)));
        assert_eq!(calls("nonsense"), None);
    }
}
