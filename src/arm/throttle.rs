//! Keeps this process inside the service's request budgets, so that it is slowed down by itself rather
//! than by refusals. Pure: it is told the time and the answers, and says how long to wait.
//!
//! Two budgets are watched. Resource Manager has one per verb class (reads, writes, deletes) and tells what
//! is left of it in `x-ms-ratelimit-remaining-subscription-*`; the compute service has one per kind of call
//! and tells it in `x-ms-ratelimit-remaining-resource`. Nothing is limited before the service has said a
//! number or refused a call.
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::id::{ends_in_a_name, type_of_path};
use super::transport::{Method, Response};

/// The budgets of one subscription as this process knows them.
#[derive(Default)]
pub struct Throttle {
    budgets: HashMap<String, Budget>,
}

/// Which budgets a call draws on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    verb: &'static str,
    call: String,
}

impl Class {
    /// The budgets of a call by its verb and path.
    pub fn new(method: Method, path: &str) -> Self {
        let verb = match method {
            Method::Get => "reads",
            Method::Delete => "deletes",
            Method::Put | Method::Patch | Method::Post => "writes",
        };
        Self { verb, call: format!("{method} {}", kind_of_call(path)) }
    }
}

impl Throttle {
    /// Counts a call in and says how long it has to wait before it is sent. Each call that is counted in
    /// must be followed by exactly one [`Throttle::leave`].
    pub fn enter(&mut self, class: &Class, now: Instant) -> Duration {
        let verb = self.budget(class.verb, now).enter(now);
        let call = self.budget(&class.call, now).enter(now);
        verb.max(call)
    }

    /// True while calls of this class must wait because one was refused.
    pub fn is_paused(&self, class: &Class, now: Instant) -> bool {
        [class.verb, &class.call]
            .iter()
            .any(|key| self.budgets.get(*key).is_some_and(|budget| now < budget.paused_until))
    }

    /// Counts a call out, with the answer when there is one. `pause` is how long a refusal (429) asks
    /// callers to wait.
    pub fn leave(&mut self, class: &Class, answer: Option<&Response>, pause: Duration, now: Instant) {
        for key in [class.verb, &class.call] {
            let budget = self.budget(key, now);
            budget.under_way = budget.under_way.saturating_sub(1);
        }
        let Some(answer) = answer else { return };
        if let Some(left) = verb_budget(answer, class.verb) {
            self.budget(class.verb, now).told(left, left, None, now);
        }
        let calls = call_budget(answer);
        if let Some((left, least, window)) = calls {
            self.budget(&class.call, now).told(left, least, Some(window), now);
        }
        if answer.status == 429 && !is_one_resources(answer) {
            // A refusal by the compute service speaks of one kind of call only.
            let key = if calls.is_some() { class.call.as_str() } else { class.verb };
            self.budget(key, now).refused(pause, documented(key), now);
        }
    }

    /// What is left of the verb's budget, for the log.
    pub fn left(&self, class: &Class) -> Option<i64> {
        self.budgets.get(class.verb)?.level.map(|level| level as i64)
    }

    fn budget(&mut self, key: &str, now: Instant) -> &mut Budget {
        self.budgets.entry(key.to_owned()).or_insert_with(|| {
            let (size, rate) = documented(key);
            Budget {
                level: None,
                told: false,
                doubted: false,
                size,
                rate,
                window: None,
                at: now,
                paused_until: now,
                refused: false,
                under_way: 0,
            }
        })
    }
}

/// A bucket that refills. Its level may fall below nothing: then calls queue, each for its own moment.
struct Budget {
    /// None: not known, so not limited.
    level: Option<f64>,
    /// The level comes from the service's own numbers.
    told: bool,
    /// A call was refused although the service's numbers had promised otherwise: until the bucket must be full again, its
    /// own count is believed where it is lower.
    doubted: bool,
    size: f64,
    /// Refill per second.
    rate: f64,
    /// Seconds of the window that the service counts in.
    window: Option<f64>,
    /// When `level` was right.
    at: Instant,
    paused_until: Instant,
    /// A call was refused.
    refused: bool,
    /// Counted in and not yet out.
    under_way: u32,
}

impl Budget {
    fn enter(&mut self, now: Instant) -> Duration {
        self.refill(now);
        self.under_way += 1;
        let pause = self.paused_until.saturating_duration_since(now);
        let Some(level) = self.level.as_mut() else {
            return pause;
        };
        *level -= 1.0;
        let mut queue = Duration::from_secs_f64((-*level).max(0.0) / self.rate);
        if self.window.is_some() && !self.refused {
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
                self.doubted = false;
                if !self.told {
                    self.level = None;
                }
            }
        }
    }

    /// The service said how much is left. Calls under way may or may not be counted in it: they are
    /// taken off once more, which errs on the safe side by what is in flight.
    ///
    /// The size is the most that was ever seen, at least `least`. Where the service counts in windows, it is
    /// also what refills in one.
    fn told(&mut self, left: f64, least: f64, window: Option<f64>, now: Instant) {
        self.refill(now);
        if window.is_none()
            && self.doubted
            && let Some(own) = self.level
        {
            self.level = Some(own.min(left - f64::from(self.under_way)));
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
        // Counts in windows are coarse, and waits for them long: there a refusal is the lesser evil.
        let doubtful = if window.is_some() { 0 } else { self.under_way };
        self.level = Some(left - f64::from(doubtful));
        self.told = true;
        self.at = self.at.max(now);
    }

    /// The service refused a call: everybody waits, and then goes on at the rate of the refill, which is that of a
    /// `documented` bucket where the service does not count in windows.
    fn refused(&mut self, pause: Duration, documented: (f64, f64), now: Instant) {
        if self.window.is_none() {
            self.doubted = true;
            (self.size, self.rate) = documented;
        }
        self.refused = true;
        self.paused_until = self.paused_until.max(now + pause.min(LONGEST_PAUSE));
        self.level = Some(-f64::from(self.under_way));
        self.at = self.paused_until;
    }
}

/// After this long one caller tries again, however long a refusal asked to wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The longest wait for a window whose size is a guess, as long as nothing was refused.
const LONGEST_GUESS: Duration = Duration::from_secs(1);

/// Size and refill per second of a bucket that the service has not described.
fn documented(key: &str) -> (f64, f64) {
    match key {
        "reads" => (250.0, 25.0),
        "writes" | "deletes" => (200.0, 10.0),
        _ => (60.0, 1.0),
    }
}

/// The smaller of the principal's and the whole subscription's remainder.
fn verb_budget(answer: &Response, verb: &str) -> Option<f64> {
    ["", "global-"]
        .iter()
        .filter_map(|scope| answer.header(&format!("x-ms-ratelimit-remaining-subscription-{scope}{verb}")))
        .filter_map(|left| left.trim().parse::<f64>().ok())
        .filter(|left| (0.0..1e9).contains(left))
        .reduce(f64::min)
}

/// Of `Microsoft.Compute/GetGallery3Min;348,Microsoft.Compute/GetGallery30Min;2496` the scarcest: what is
/// left, the least that such buckets hold, and the seconds in which it refills.
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

/// True for a refusal because the budget of one single resource ran out.
fn is_one_resources(answer: &Response) -> bool {
    let empty =
        |of_one| call_budgets(answer).any(|(name, left)| left < 1.0 && is_of_one_resource(name) == of_one);
    empty(true) && !empty(false)
}

/// Budgets of one single resource say nothing about its siblings.
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

/// The type that a path leads to, with a mark that tells a list from one resource:
/// `…/galleries/g/images/i` is `microsoft.compute/galleries/images`, and its list `microsoft.compute/galleries/images/*`.
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
    fn lists_have_a_kind_of_their_own() {
        let one = format!("{VERSIONS}/1.0.0");
        assert_eq!(kind_of_call(VERSIONS), "microsoft.compute/galleries/images/versions/*");
        assert_eq!(kind_of_call(&one), "microsoft.compute/galleries/images/versions");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_limited_until_the_service_says_so() {
        let mut throttle = Throttle::default();
        let class = Class::new(Method::Get, VERSIONS);
        for _ in 0..10_000 {
            assert_eq!(throttle.enter(&class, Instant::now()), Duration::ZERO);
            throttle.leave(&class, Some(&answer(200, &[])), Duration::ZERO, Instant::now());
        }
    }

    /// `reads` by `callers` against a service with the documented bucket that tells `told` of what is left; returns how
    /// many it refused, and the seconds that all took.
    fn simulate(reads: u32, callers: u32, told: fn(f64) -> i64) -> (u32, f64) {
        let mut throttle = Throttle::default();
        let class = Class::new(Method::Get, VERSIONS);
        let begin = Instant::now();
        let (mut bucket, mut bucket_at, mut refused) = (250.0f64, 0.0f64, 0);
        // Callers ordered by the moment at which each does its next step: send, or leave 50 ms later.
        let mut steps: Vec<(f64, Option<Response>)> = Vec::new();
        let mut done = 0;
        let mut clock = 0.0f64;
        let mut idle = callers;
        while done < reads {
            let now = begin + Duration::from_secs_f64(clock);
            while idle > 0 {
                idle -= 1;
                steps.push((clock + throttle.enter(&class, now).as_secs_f64(), None));
            }
            let next = (0..steps.len()).min_by(|a, b| steps[*a].0.total_cmp(&steps[*b].0)).unwrap();
            let (at, response) = steps.swap_remove(next);
            clock = at;
            let now = begin + Duration::from_secs_f64(clock);
            match response {
                None => {
                    bucket = (bucket + (clock - bucket_at) * 25.0).min(250.0);
                    bucket_at = clock;
                    let response = if bucket >= 1.0 {
                        bucket -= 1.0;
                        let left = told(bucket).to_string();
                        answer(200, &[("x-ms-ratelimit-remaining-subscription-reads", &left)])
                    } else {
                        refused += 1;
                        answer(429, &[])
                    };
                    steps.push((clock + 0.05, Some(response)));
                }
                Some(response) => {
                    throttle.leave(&class, Some(&response), Duration::from_secs(1), now);
                    done += 1;
                    idle += 1;
                }
            }
        }
        (refused, clock)
    }

    #[tokio::test(start_paused = true)]
    async fn stays_inside_the_documented_bucket() {
        let (refused, took) = simulate(10_000, 64, |left| left as i64);
        assert!(refused <= 100, "{refused} refusals");
        assert!((380.0..430.0).contains(&took), "took {took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_remainder_that_a_refusal_disproved_is_not_believed_again() {
        for callers in [10, 64] {
            let (refused, took) = simulate(10_000, callers, |_| 11_999);
            assert!(refused <= 100, "{callers} callers: {refused} refusals");
            assert!((380.0..430.0).contains(&took), "{callers} callers: took {took} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_holds_back_the_verb_and_then_paces_it() {
        let mut throttle = Throttle::default();
        let (reads, writes) = (Class::new(Method::Get, "/a"), Class::new(Method::Put, "/a"));
        let now = Instant::now();
        throttle.enter(&reads, now);
        throttle.leave(&reads, Some(&answer(429, &[])), Duration::from_secs(10), now);
        assert!(throttle.is_paused(&reads, now) && !throttle.is_paused(&writes, now));
        assert_eq!(throttle.enter(&writes, now), Duration::ZERO);
        let first = throttle.enter(&Class::new(Method::Get, "/other"), now);
        let second = throttle.enter(&reads, now);
        assert_eq!(first, Duration::from_secs_f64(10.04));
        assert_eq!(second, Duration::from_secs_f64(10.08));
        assert!(!throttle.is_paused(&reads, now + Duration::from_secs(10)));
        // Forgotten once the bucket must be full again.
        let later = now + Duration::from_secs(60);
        throttle.leave(&reads, None, Duration::ZERO, later);
        assert_eq!(throttle.enter(&reads, later), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_by_the_compute_service_holds_back_only_that_kind_of_call() {
        let mut throttle = Throttle::default();
        let list = Class::new(Method::Get, VERSIONS);
        let now = Instant::now();
        throttle.enter(&list, now);
        let refusal =
            answer(429, &[("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/HighCostGet3Min;0")]);
        throttle.leave(&list, Some(&refusal), Duration::from_secs(27), now);
        assert!(throttle.is_paused(&list, now));
        assert!(!throttle.is_paused(&Class::new(Method::Get, "/subscriptions/s"), now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_for_one_resource_holds_back_nobody_else() {
        for (names, held) in [
            ("Microsoft.Compute/UpdateVMResource;0", false),
            ("Microsoft.Compute/GetOperation3Min;14000,Microsoft.Compute/GetOperationResource;0", false),
            ("Microsoft.Compute/GetOperation3Min;0,Microsoft.Compute/GetOperationResource;0", true),
        ] {
            let mut throttle = Throttle::default();
            let class = Class::new(Method::Get, VERSIONS);
            let now = Instant::now();
            throttle.enter(&class, now);
            let refusal = answer(429, &[("x-ms-ratelimit-remaining-resource", names)]);
            throttle.leave(&class, Some(&refusal), Duration::from_secs(60), now);
            assert_eq!(throttle.is_paused(&class, now), held, "{names}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_never_refused_holds_nobody_back_for_long() {
        let mut throttle = Throttle::default();
        let class = Class::new(Method::Get, VERSIONS);
        let empty = [("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/GetGalleryImageVersion3Min;0")];
        for _ in 0..10 {
            let now = Instant::now();
            assert!(throttle.enter(&class, now) <= LONGEST_GUESS);
            throttle.leave(&class, Some(&answer(200, &empty)), Duration::ZERO, now);
        }
        let now = Instant::now();
        throttle.enter(&class, now);
        throttle.leave(&class, Some(&answer(429, &empty)), Duration::ZERO, now);
        assert!(throttle.enter(&class, now) > Duration::from_secs(3));
    }

    #[test]
    fn headers() {
        let reads = |headers: &[(&str, &str)]| verb_budget(&answer(200, headers), "reads");
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
