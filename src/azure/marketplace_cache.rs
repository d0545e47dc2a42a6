//! The Marketplace's answers in this run, so that each list is asked for once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::sync::lock;

/// How long an answer is kept: longer than a plan takes, and shorter than anybody waits for a new version.
pub(super) const KEEP: Duration = Duration::from_secs(5 * 60);

/// One answer, which concurrent readers wait for together.
pub type Cell = Arc<OnceCell<Arc<Vec<Json>>>>;

/// Answers by path in lower case.
#[derive(Default)]
pub struct MarketplaceCache(Mutex<HashMap<String, (Instant, Cell)>>);

impl MarketplaceCache {
    /// The cell for the answer to `path`.
    pub fn cell(&self, path: &str) -> Cell {
        let mut cells = lock(&self.0);
        let now = Instant::now();
        cells.retain(|_, (since, _)| now.duration_since(*since) < KEEP);
        let (_, cell) = cells.entry(path.to_lowercase()).or_insert_with(|| (now, Cell::default()));
        cell.clone()
    }
}
