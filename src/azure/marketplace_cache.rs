//! A cache of Marketplace responses, so that a run requests each list once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::sync::lock;

/// How long a response is cached: longer than a plan takes, but soon enough for new versions to appear.
pub(super) const KEEP: Duration = Duration::from_secs(5 * 60);

/// One response, which concurrent readers share.
pub type Cell = Arc<OnceCell<Arc<Vec<Json>>>>;

/// Responses by path in lower case.
#[derive(Default)]
pub struct MarketplaceCache(Mutex<HashMap<String, (Instant, Cell)>>);

impl MarketplaceCache {
    /// The cell with the response for `path`.
    pub fn cell(&self, path: &str) -> Cell {
        let mut cells = lock(&self.0);
        let now = Instant::now();
        cells.retain(|_, (since, _)| now.duration_since(*since) < KEEP);
        let (_, cell) = cells.entry(path.to_lowercase()).or_insert_with(|| (now, Cell::default()));
        cell.clone()
    }
}
