//! Azure Resource Graph: queries over all resources that the caller may read, with all their pages.
//!
//! Pages are offsets into a result that may change between them, and rows that the caller may not read are silently
//! missing. So every query sorts by ID, rows are counted by ID, a result that changed is read again, and
//! [`Rows::gaps`] says why rows may still be missing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::body;
use crate::arm::{Client, Error, Response, Scope, Target};

/// The maximum number of rows of a page.
const PAGE: usize = 1_000;
/// The maximum number of subscriptions in a request.
const SUBSCRIPTIONS: usize = 1_000;
/// How often a result that changes during reading is read in total.
const READINGS: usize = 4;

/// The rows of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The rows, sorted by their column `id`.
    pub rows: Vec<Json>,
    /// Why rows may be missing; empty if the result is complete.
    pub gaps: Vec<String>,
}

/// Runs `text`, which must project `id` and sort by it, over `subscriptions`, or over all readable ones if that is empty.
pub async fn query(
    client: &Client,
    scope: &Scope,
    text: &str,
    subscriptions: &[String],
) -> Result<Rows, Error> {
    let mut found = Rows::default();
    let chunks: Vec<&[String]> =
        if subscriptions.is_empty() { vec![&[]] } else { subscriptions.chunks(SUBSCRIPTIONS).collect() };
    for chunk in chunks {
        for reading in 1..=READINGS {
            let pages = read(client, scope, text, chunk).await?;
            if pages.is_stable() || reading == READINGS {
                found.gaps.extend(pages.gaps());
                found.rows.extend(pages.rows.into_values());
                break;
            }
            tracing::info!(reading, "the resources changed while they were read; reading them again");
        }
    }
    found.gaps.dedup();
    Ok(found)
}

async fn read(client: &Client, scope: &Scope, text: &str, subscriptions: &[String]) -> Result<Pages, Error> {
    let target = Target::at("/providers/Microsoft.ResourceGraph/resources");
    let mut pages = Pages::default();
    let mut token: Option<String> = None;
    loop {
        let mut request = json!({"query": text, "options": {"resultFormat": "objectArray", "$top": PAGE}});
        if !subscriptions.is_empty() {
            request["subscriptions"] = json!(subscriptions);
        }
        if let Some(token) = &token {
            request["options"] = json!({"resultFormat": "objectArray", "$skipToken": token});
        }
        let (answer, response) = client.query(scope, &target, &request).await?;
        token = pages.add(&answer, response.header("x-ms-tenant-subscription-limit-hit"));
        if token.is_none() || pages.count > MOST_PAGES {
            return Ok(pages);
        }
        let wait = pause(&response);
        if !wait.is_zero() {
            tracing::debug!(wait_ms = wait.as_millis() as u64, "Resource Graph's quota is used up");
            scope.sleep(wait).await?;
        }
    }
}

/// The maximum number of pages of a result.
const MOST_PAGES: usize = 2_000;

/// How long to wait before the next query: until the quota resets, if it is used up.
fn pause(response: &Response) -> Duration {
    if response.header("x-ms-user-quota-remaining").map(str::trim) != Some("0") {
        return Duration::ZERO;
    }
    let seconds = response
        .header("x-ms-user-quota-resets-after")
        .and_then(|text| text.rsplit(':').next()?.trim().parse::<u64>().ok())
        .unwrap_or(5);
    Duration::from_millis(seconds.min(60) * 1_000 + fastrand::u64(..500))
}

/// The pages that were read of one result.
#[derive(Debug, Default)]
struct Pages {
    rows: BTreeMap<String, Json>,
    total: Option<i64>,
    count: usize,
    moved: bool,
    endless: bool,
    cut_off: bool,
    limit_hit: bool,
}

impl Pages {
    /// Adds a page and returns the token of the next one.
    fn add(&mut self, answer: &Json, limit_hit: Option<&str>) -> Option<String> {
        let total = body::int(answer, "totalRecords");
        self.moved |= self.total.is_some() && self.total != total;
        self.total = total;
        self.count += 1;
        // "true" means that further rows cannot be read; pages followed by another one contain "false".
        self.cut_off |=
            body::text(answer, "resultTruncated").is_some_and(|cut| cut.eq_ignore_ascii_case("true"));
        self.limit_hit |= limit_hit.is_some_and(|hit| hit.eq_ignore_ascii_case("true"));
        let before = self.rows.len();
        for row in body::items(answer, "data") {
            if let Some(id) = body::text(row, "id") {
                self.rows.insert(id.to_lowercase(), row.clone());
            }
        }
        let token = body::text(answer, "$skipToken").filter(|token| !token.is_empty());
        // A page without new rows that names a next page would never end.
        self.endless = token.is_some() && (self.rows.len() == before || self.count > MOST_PAGES);
        token.filter(|_| !self.endless)
    }

    fn is_whole(&self) -> bool {
        self.total.is_some_and(|total| usize::try_from(total).is_ok_and(|total| self.rows.len() >= total))
    }

    /// Whether reading again would not return more rows.
    fn is_stable(&self) -> bool {
        self.cut_off || self.limit_hit || (!self.moved && !self.endless && self.is_whole())
    }

    fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        if self.cut_off {
            gaps.push("Azure Resource Graph cut its answer off".to_owned());
        }
        if self.limit_hit {
            gaps.push("the identity can read more than 10,000 subscriptions, and Azure Resource Graph looked at the first 10,000 only".to_owned());
        }
        if gaps.is_empty() && !self.is_stable() {
            gaps.push("the resources kept changing while they were read".to_owned());
        }
        gaps
    }
}

/// A string literal of the query language.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::arm::Method;
    use crate::azure::testing::FakeArm;

    const PATH: &str = "/providers/Microsoft.ResourceGraph/resources";

    fn page(total: i64, ids: &[&str], token: Option<&str>) -> Json {
        let data: Vec<Json> = ids.iter().map(|id| json!({"id": id})).collect();
        let mut page = json!({"totalRecords": total, "count": ids.len(), "data": data, "facets": [], "resultTruncated": "false"});
        if let Some(token) = token {
            page["$skipToken"] = json!(token);
        }
        page
    }

    async fn ask(arm: &std::sync::Arc<FakeArm>, subscriptions: &[String]) -> (Vec<String>, Vec<String>) {
        let scope = Scope::new(Duration::from_secs(300), CancellationToken::new(), "asking");
        let found = query(&arm.client(), &scope, "resources", subscriptions).await.unwrap();
        (found.rows.iter().filter_map(|row| body::text(row, "id")).collect(), found.gaps)
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn reads_pages_without_repeating_rows() {
        let arm = FakeArm::new();
        arm.on(Method::Post, PATH, 200, page(3, &["/B", "/c"], None));
        arm.next(1, Method::Post, PATH, 200, page(3, &["/a", "/b"], Some("t1")));
        assert_eq!(ask(&arm, &[]).await, (ids(&["/a", "/B", "/c"]), vec![]));
        let second = &arm.seen()[1].body;
        assert_eq!(second["options"], json!({"resultFormat": "objectArray", "$skipToken": "t1"}));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_again_when_the_total_moved_between_pages() {
        let arm = FakeArm::new();
        // The second read is complete.
        arm.on(Method::Post, PATH, 200, page(2, &["/a", "/c"], None));
        arm.next(1, Method::Post, PATH, 200, page(2, &["/c"], None));
        arm.next(1, Method::Post, PATH, 200, page(3, &["/a"], Some("t1")));
        assert_eq!(ask(&arm, &[]).await, (ids(&["/a", "/c"]), vec![]));
        assert_eq!(arm.calls().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn reports_why_rows_may_be_missing() {
        let arm = FakeArm::new();
        arm.on(Method::Post, PATH, 200, page(5, &["/a"], None));
        let (rows, gaps) = ask(&arm, &[]).await;
        assert_eq!((rows, gaps.len(), arm.calls().len()), (ids(&["/a"]), 1, READINGS));
        assert!(gaps[0].contains("kept changing"), "{gaps:?}");
        let mut cut = page(5, &["/a"], None);
        cut["resultTruncated"] = json!("true");
        arm.on(Method::Post, PATH, 200, cut);
        assert!(ask(&arm, &[]).await.1[0].contains("cut its answer off"));
        let headers = [("x-ms-tenant-subscription-limit-hit", "true")];
        arm.on_with(Method::Post, PATH, 200, &headers, page(1, &["/a"], None));
        assert!(ask(&arm, &[]).await.1[0].contains("10,000"));
        arm.on(Method::Post, PATH, 200, page(5, &["/a"], Some("again")));
        assert!(ask(&arm, &[]).await.1[0].contains("kept changing"));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_quota() {
        let arm = FakeArm::new();
        let headers = [("x-ms-user-quota-remaining", "0"), ("x-ms-user-quota-resets-after", "00:00:04")];
        arm.on(Method::Post, PATH, 200, page(2, &["/b"], None));
        arm.next(1, Method::Post, PATH, 429, json!({"error": {"code": "RateLimiting", "message": "m"}}));
        arm.add_next_with(Method::Post, PATH, 200, &headers, page(2, &["/a"], Some("t")));
        let begun = tokio::time::Instant::now();
        assert_eq!(ask(&arm, &[]).await.0, ids(&["/a", "/b"]));
        assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn queries_a_thousand_subscriptions_per_request() {
        let arm = FakeArm::new();
        arm.on(Method::Post, PATH, 200, page(1, &["/a"], None));
        let many: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
        ask(&arm, &many).await;
        let sizes: Vec<usize> =
            arm.seen().iter().map(|seen| seen.body["subscriptions"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [1_000, 1]);
    }

    #[test]
    fn literals_are_escaped() {
        assert_eq!(literal(r"a'b\c"), r"'a\'b\\c'");
    }
}
