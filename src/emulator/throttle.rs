//! Rate limits: the buckets of ARM and of the compute provider, the headers that report what remains, and the 429 responses.

use std::collections::HashMap;

use super::call::Method;
use super::clock::{SECOND, Ticks, format_z};
use super::errors::ArmError;
use super::json::Json;

/// One bucket of the compute provider: its name in the header, its size, and the seconds in which it refills.
struct Bucket {
    suffix: &'static str,
    size: i64,
    window: i64,
}

const fn bucket(suffix: &'static str, size: i64, window: i64) -> Bucket {
    Bucket { suffix, size, window }
}

/// The two windows of a class: name, limit in 3 minutes, limit in 30 minutes.
const WINDOWS: &[(&str, i64, i64)] = &[
    ("CreateUpdateGallery", 50, 300),
    ("GetGallery", 350, 2_500),
    ("DeleteGallery", 50, 300),
    ("ListGallery", 150, 1_000),
    ("ListGalleryInResourceGroup", 100, 1_000),
    ("CreateUpdateGalleryImage", 150, 750),
    ("GetGalleryImage", 600, 3_000),
    ("DeleteGalleryImage", 50, 300),
    ("ListGalleryImagesInGallery", 1_500, 10_000),
    ("CreateUpdateGalleryImageVersion", 375, 1_200),
    ("GetGalleryImageVersion", 2_000, 10_000),
    ("DeleteGalleryImageVersion", 150, 1_000),
    ("ListGalleryImageVersionsInGalleryImage", 1_500, 10_000),
    ("CreateUpdateGalleryApplication", 150, 750),
    ("GetGalleryApplication", 300, 2_000),
    ("DeleteGalleryApplication", 50, 300),
    ("ListGalleryApplicationsInGallery", 1_500, 10_000),
    ("CreateUpdateGalleryApplicationVersion", 375, 1_200),
    ("GetGalleryApplicationVersion", 2_000, 10_000),
    ("DeleteGalleryApplicationVersion", 150, 1_000),
    ("ListGalleryApplicationVersionsInGalleryApplication", 1_500, 10_000),
    ("PostShareGallery", 10, 60),
    ("ListSoftDeletedResourcesInGallery", 1_500, 10_000),
    ("GetOperationStatus", 5_000, 15_000),
    ("GetGalleryArtifact", 600, 3_000),
    ("GetGalleryArtifactVersion", 2_000, 10_000),
    ("ListGalleryArtifact", 200, 200),
    ("ListGalleryArtifactVersion", 800, 4_000),
    ("ListVMImageOffersFromLocation", 200, 1_000),
    ("ListVMImageSkusFromLocation", 10_000, 30_000),
    ("ListVMImagesVersionsFromLocation", 16_000, 44_000),
    ("GetVMImageFromLocation", 13_000, 74_000),
    ("HighCostSnapshotCreateHydrate", 1_000, 8_000),
    ("CreateUpdateDisks", 3_000, 25_000),
    ("DeleteDisks", 3_000, 25_000),
    ("LowCostGet", 15_000, 120_000),
    ("HighCostGet", 1_000, 5_000),
    ("CreateUpdateHighCostDiskEncryptionSet", 100, 300),
    ("GetOperation", 50_000, 400_000),
    // Run commands and scale sets, as recorded in 2023.
    ("UpdateVM", 240, 1_200),
    ("GetVMScaleSet", 400, 2_600),
];

fn buckets(class: &str) -> Vec<(String, Bucket)> {
    let single = |name: &str, size, window| (name.to_owned(), bucket("", size, window));
    match class {
        "CreateImagesSubscriptionMaximum" => vec![single(class, 60, 180)],
        "GetImagesSubscriptionMaximum" => vec![single(class, 360, 180)],
        "DeleteImagesSubscriptionMaximum" => vec![single(class, 120, 180)],
        "HighCostGetImagesSubscriptionMaximum" => vec![single(class, 90, 180)],
        "UpdateVMResource" => vec![single("UpdateVMSubscriptionMaximum", 1_500, 180), single(class, 12, 180)],
        "DeleteVMResource" => vec![single("DeleteVMSubscriptionMaximum", 1_500, 180), single(class, 12, 180)],
        "PutVMResource" => vec![single("PutVMSubscriptionMaximum", 1_500, 180), single(class, 12, 180)],
        "LowCostGetResource" => {
            vec![single("LowCostGetSubscriptionMaximum", 24_000, 180), single(class, 36, 180)]
        }
        "HighCostGetVMSubscriptionMaximum" => vec![single(class, 900, 180)],
        "GetOperationResource" => {
            vec![single(class, 45, 180), single("GetOperationSubscriptionMaximum", 15_000, 180)]
        }
        // Recorded in 2023.
        "HighCostGetVMScaleSet" => vec![
            (class.to_owned(), bucket("3Min", 180, 180)),
            (class.to_owned(), bucket("30Min", 900, 1_800)),
            ("VMScaleSetVMViews".to_owned(), bucket("3Min", 5_000, 180)),
        ],
        _ => match WINDOWS.iter().find(|(name, ..)| *name == class) {
            Some((name, short, long)) => vec![
                ((*name).to_owned(), bucket("3Min", *short, 180)),
                ((*name).to_owned(), bucket("30Min", *long, 1_800)),
            ],
            None => Vec::new(),
        },
    }
}

/// The class of Resource Graph queries, which are counted by caller rather than by subscription.
pub const RESOURCE_GRAPH: &str = "ResourceGraph";
/// The number of queries a caller may send in a window of [`GRAPH_WINDOW`] seconds.
const GRAPH_QUERIES: i64 = 15;
const GRAPH_WINDOW: i64 = 5;

/// What each caller has used. Not persisted, because the service forgets it too.
#[derive(Default)]
pub struct Meter {
    levels: HashMap<String, (f64, Ticks)>,
    /// Start of the window and number of queries in it, by caller.
    queries: HashMap<String, (Ticks, i64)>,
    /// The number of requests throttled so far.
    pub refused: i64,
}

impl Meter {
    /// The remaining tokens of a bucket.
    fn left(&self, key: &str, size: i64, per_second: f64, now: Ticks) -> f64 {
        let (level, at) = self.levels.get(key).copied().unwrap_or((size as f64, now));
        (level + (now - at).max(0) as f64 / SECOND as f64 * per_second).min(size as f64)
    }

    fn spend(&mut self, key: String, size: i64, per_second: f64, now: Ticks) -> i64 {
        let left = (self.left(&key, size, per_second, now) - 1.0).max(0.0);
        self.levels.insert(key, (left, now));
        left as i64
    }

    /// The 429 of ARM or the compute provider, if a bucket is empty.
    pub fn refuse(
        &self,
        subscription: &str,
        method: Method,
        class: Option<&str>,
        resource: &str,
        now: Ticks,
    ) -> Option<ArmError> {
        let (verb, size, refill) = arm_bucket(method);
        let key = format!("{subscription}|arm|{verb}");
        if self.left(&key, size, refill, now) < 1.0 {
            let wait = 1 + (1.0 / refill) as i64;
            return Some(
                ArmError::gateway(
                    429,
                    "SubscriptionRequestsThrottled",
                    format!(
                        "Number of requests for subscription '{subscription}' and operation '{}/SUBSCRIPTIONS/' exceeded the backend storage limit. Please try again after '{wait}' seconds.",
                        method.name()
                    ),
                )
                .header("Retry-After", wait.to_string()),
            );
        }
        let class = class?;
        for (name, bucket) in buckets(class) {
            let refill = bucket.size as f64 / bucket.window as f64;
            let key = key_of(subscription, &name, &bucket, resource);
            if self.left(&key, bucket.size, refill, now) < 1.0 {
                return Some(too_many(&format!("{name}{}", bucket.suffix), bucket.size, refill));
            }
        }
        None
    }

    /// Counts a Resource Graph query. Returns the 429, if limits are enforced and the caller has no quota left, and the
    /// headers.
    pub fn query(
        &mut self,
        caller: &str,
        enforce: bool,
        now: Ticks,
    ) -> (Option<ArmError>, Vec<(String, String)>) {
        let (begin, count) = self.queries.entry(caller.to_owned()).or_insert((now, 0));
        if now >= *begin + GRAPH_WINDOW * SECOND {
            (*begin, *count) = (now, 0);
        }
        let refused = enforce && *count >= GRAPH_QUERIES;
        if !refused {
            *count += 1;
        }
        let left = (GRAPH_QUERIES - *count).max(0).to_string();
        let seconds = ((*begin + GRAPH_WINDOW * SECOND - now) as f64 / SECOND as f64).ceil() as i64;
        let headers = vec![
            ("x-ms-user-quota-remaining".to_owned(), left.clone()),
            ("x-ms-user-quota-resets-after".to_owned(), format!("00:00:{seconds:02}")),
            ("x-ms-ratelimit-remaining-tenant-resource-requests".to_owned(), left),
        ];
        // Documented, not recorded.
        let error = refused.then(|| {
            self.refused += 1;
            let mut error = ArmError::new(
                429,
                "RateLimiting",
                format!("Please provide below info when asking for support: timestamp = {}.", format_z(now)),
            );
            let detail = Json::object().with("code", "RateLimiting").with(
                "message",
                "Client application has been throttled and should not continue to repeat the request until an amount of time has elapsed. Please see https://aka.ms/resourcegraph-throttling for help.",
            );
            error.details = Some(Box::new(Json::Array(vec![detail])));
            error
        });
        (error, headers)
    }

    /// Takes a token from each bucket and returns the headers that report the remaining ones.
    pub fn headers(
        &mut self,
        subscription: &str,
        method: Method,
        class: Option<&str>,
        resource: &str,
        now: Ticks,
    ) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if let Some(class) = class {
            let left: Vec<String> = buckets(class)
                .into_iter()
                .map(|(name, bucket)| {
                    let refill = bucket.size as f64 / bucket.window as f64;
                    let key = key_of(subscription, &name, &bucket, resource);
                    let left = self.spend(key, bucket.size, refill, now);
                    format!("Microsoft.Compute/{name}{};{left}", bucket.suffix)
                })
                .collect();
            if !left.is_empty() {
                headers.push(("x-ms-ratelimit-remaining-resource".to_owned(), left.join(",")));
            }
        }
        let (verb, size, refill) = arm_bucket(method);
        let left = self.spend(format!("{subscription}|arm|{verb}"), size, refill, now);
        headers.push((format!("x-ms-ratelimit-remaining-subscription-{verb}"), left.to_string()));
        let left = self.spend(format!("{subscription}|global|{verb}"), size * 15, refill * 15.0, now);
        headers.push((format!("x-ms-ratelimit-remaining-subscription-global-{verb}"), left.to_string()));
        headers
    }
}

fn arm_bucket(method: Method) -> (&'static str, i64, f64) {
    match method {
        Method::Get | Method::Head => ("reads", 250, 25.0),
        Method::Delete => ("deletes", 200, 10.0),
        _ => ("writes", 200, 10.0),
    }
}

fn key_of(subscription: &str, name: &str, bucket: &Bucket, resource: &str) -> String {
    // Buckets named …Resource apply to one machine or operation.
    let resource = if name.ends_with("Resource") { resource } else { "" };
    format!("{subscription}|{name}{}|{resource}", bucket.suffix)
}

fn too_many(name: &str, size: i64, refill: f64) -> ArmError {
    let wait = (1.0 / refill).ceil().max(1.0) as i64;
    let message = Json::object()
        .with("operationGroup", name)
        .with("allowedRequestCount", size)
        .with("measuredRequestCount", size + 1);
    let mut error = ArmError::new(
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this subscription.",
    )
    .header("Retry-After", wait.to_string())
    .header("x-ms-ratelimit-remaining-resource", format!("Microsoft.Compute/{name};0"));
    error.flat = true;
    let detail = Json::object()
        .with("code", "TooManyRequests")
        .with("target", name)
        .with("message", message.compact());
    error.details = Some(Box::new(Json::Array(vec![detail])));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_queries_by_caller_and_window() {
        let mut meter = Meter::default();
        for left in (0..15).rev() {
            let (refused, headers) = meter.query("a", true, 0);
            assert!(refused.is_none());
            assert_eq!(headers[0].1, left.to_string());
            assert_eq!(headers[1].1, "00:00:05");
        }
        let (refused, headers) = meter.query("a", true, SECOND);
        assert_eq!((refused.map(|error| error.status), headers[1].1.as_str()), (Some(429), "00:00:04"));
        assert!(meter.query("b", true, SECOND).0.is_none());
        assert!(meter.query("a", false, SECOND).0.is_none());
        assert!(meter.query("a", true, 5 * SECOND).0.is_none());
    }

    #[test]
    fn buckets_count_down_and_refill() {
        let mut meter = Meter::default();
        let headers = meter.headers("s", Method::Put, Some("CreateUpdateGallery"), "", 0);
        assert_eq!(
            headers[0].1,
            "Microsoft.Compute/CreateUpdateGallery3Min;49,Microsoft.Compute/CreateUpdateGallery30Min;299"
        );
        assert_eq!(headers[1], ("x-ms-ratelimit-remaining-subscription-writes".into(), "199".into()));
        assert_eq!(headers[2].1, "2999");
        for _ in 0..60 {
            meter.headers("s", Method::Put, Some("CreateUpdateGallery"), "", 0);
        }
        let refused = meter.refuse("s", Method::Put, Some("CreateUpdateGallery"), "", 0).unwrap();
        assert_eq!((refused.status, refused.flat), (429, true));
        assert!(meter.refuse("s", Method::Put, Some("CreateUpdateGallery"), "", 30 * SECOND).is_none());
        for _ in 0..300 {
            meter.headers("s", Method::Get, None, "", 0);
        }
        let refused = meter.refuse("s", Method::Get, None, "", 0).unwrap();
        assert_eq!(refused.code, "SubscriptionRequestsThrottled");
    }
}
