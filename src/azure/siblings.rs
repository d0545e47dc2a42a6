//! Answers concurrent reads of siblings from one list of their parent instead of a GET for each.
//!
//! Terraform refreshes a thousand image versions one by one, ten at a time. The first read below a parent is a GET.
//! If another read follows soon, the children of the parent are listed once, and all reads below that parent wait for
//! the list. From then on, the first read below the next parent starts a list immediately. Pages are requested only
//! while fewer pages than reads were requested, so a parent with far more children than are managed costs at most
//! twice its GETs, and usually less: children that are not on the requested pages are read by GETs. If a list returns
//! nothing for [`PATIENCE`], because it is throttled or slow, its reads are GETs too, and the current refresh starts
//! no more lists of that kind.
//!
//! # What a list may answer
//!
//! If every response had to be newer than its read, ten reads at a time would need a hundred requests for a thousand
//! reads. So a list also answers reads that begin a little later. These rules make that safe:
//!
//! * **A list only confirms.** The resource compares the list's answer with the state. If anything differs, or the child is not
//!   in the list, a GET decides. Every drift and every absence that is reported comes from a GET that began after the read.
//! * **Once.** Each child in a list answers one read. A second read of the same child is a GET, so a change made elsewhere
//!   between two reads is seen.
//! * **One refresh.** Lists belong to one configured provider. They are dropped when no read was under way for [`PAUSE`].
//! * **Age.** A list answers for [`FRESH`] after it was started, then the parent is listed again. Where all lists together have
//!   more than [`FEW`] pages, this time grows with them, up to [`OLDEST`]: a refresh of ten times as many children takes ten
//!   times as long, and would otherwise list all of them ten times as often.
//! * **No write of this process.** While this process writes (holds [`Context::lock`](super::Context::lock)), all reads are
//!   GETs. A write drops the lists that were started before it ended.
//!
//! One gap remains: a change that somebody else makes after a parent was listed and before its resource is first read in this
//! refresh is seen by the next plan only. The same can happen in the longer time between a read and the apply that follows.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::body;
use crate::arm::client::PageReader;
use crate::arm::throttle::kind_of_call;
use crate::arm::{Client, Scope, Target};
use crate::sync::lock;

/// How long a list answers where there are few pages.
pub const FRESH: Duration = Duration::from_secs(10);

/// How long any list answers at most.
pub const OLDEST: Duration = Duration::from_secs(60);

/// Up to this number of pages, over all lists of a refresh, lists answer for [`FRESH`]: a thousand children.
pub const FEW: u32 = 20;

/// Lists are dropped when no read was under way for this long.
pub const PAUSE: Duration = Duration::from_millis(250);

/// How much longer than [`FRESH`] a list answers for every page more than [`FEW`].
const PER_PAGE: Duration = Duration::from_millis(250);

/// How long reads wait for the next page of a list.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The time after which a list is given up although it still brings pages.
const LONGEST_LIST: Duration = Duration::from_secs(300);

/// The reads of one configured provider.
#[derive(Default)]
pub struct Siblings {
    refresh: Mutex<Refresh>,
}

/// A read in progress, until this is dropped.
pub struct ReadGuard<'s> {
    siblings: &'s Siblings,
    /// The child in a list. It may only confirm the state: a GET decides everything else.
    pub listed: Option<Json>,
}

/// A write in progress. Until this is dropped, no lists are used.
pub struct Writing {
    siblings: Arc<Siblings>,
}

impl Siblings {
    /// Begins a read of `child`. Keep the guard until the response is processed.
    pub async fn read(self: &Arc<Self>, client: &Client, scope: &Scope, child: &Target) -> ReadGuard<'_> {
        self.refresh().begin_read(Instant::now());
        let mut guard = ReadGuard { siblings: self, listed: None };
        let Some((list, name)) = child.path().rsplit_once('/') else {
            return guard;
        };
        let (parent, name) = (list.to_lowercase(), name.to_lowercase());
        self.refresh().count_read(&parent);
        // leave time for the GET that may follow
        let half = Instant::now() + scope.remaining() / 2;
        loop {
            let step = self.refresh().step(&parent, &name, Instant::now());
            match step {
                Step::Answer(listed) => {
                    guard.listed = listed;
                    return guard;
                }
                Step::Wait { mut news, until } => {
                    let waited = scope.run(timeout_at(until.min(half), news.changed())).await;
                    // the GET that follows reports an interrupt
                    if waited.is_err() || Instant::now() >= half {
                        return guard;
                    }
                }
                Step::List { rest, generation, invalidated } => {
                    let pages = rest.unwrap_or_else(|| Box::new(client.pages(&Target::at(list))));
                    // all reads share the list, so it must outlive the read that started it
                    let scope = scope.anew(LONGEST_LIST, format!("listing {list}"));
                    tokio::spawn(self.clone().follow(scope, parent.clone(), pages, generation, invalidated));
                }
            }
        }
    }

    /// Begins a write by this process.
    pub fn write(self: &Arc<Self>) -> Writing {
        let mut refresh = self.refresh();
        refresh.writing += 1;
        refresh.invalidate_all();
        Writing { siblings: self.clone() }
    }

    // Reads pages of the list of `parent` for as long as they are worth a request.
    async fn follow(
        self: Arc<Self>,
        scope: Scope,
        parent: String,
        mut pages: Box<PageReader>,
        generation: u64,
        mut invalidated: watch::Receiver<()>,
    ) {
        let _end = PagesEnd { siblings: &self, parent: &parent, generation };
        loop {
            let fetched = tokio::select! {
                fetched = pages.next(&scope) => fetched,
                // no read waits for it any more, so release its concurrency slot
                _ = invalidated.changed() => return,
            };
            let mut refresh = self.refresh();
            if fetched.is_ok() {
                refresh.add_page(generation, &parent, pages.take());
            }
            let Some(found) = refresh.in_generation(generation, &parent) else {
                return;
            };
            match fetched {
                Ok(more) => {
                    if !more {
                        return found.set_progress(Progress::Complete);
                    }
                    if !found.is_worth_a_page() {
                        return found.set_progress(Progress::Paused(pages));
                    }
                    found.note_activity(Instant::now());
                }
                Err(error) => {
                    tracing::debug!(%error, "the list failed; its children are read one by one");
                    return found.refuse();
                }
            }
        }
    }

    fn refresh(&self) -> MutexGuard<'_, Refresh> {
        lock(&self.refresh)
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        self.siblings.refresh().end_read(Instant::now());
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut refresh = self.siblings.refresh();
        refresh.writing -= 1;
        refresh.invalidate_all();
    }
}

// Wakes the waiting reads, regardless of how reading the pages ends.
struct PagesEnd<'s> {
    siblings: &'s Siblings,
    parent: &'s str,
    generation: u64,
}

impl Drop for PagesEnd<'_> {
    fn drop(&mut self) {
        let mut refresh = self.siblings.refresh();
        if let Some(parent) = refresh.in_generation(self.generation, self.parent)
            && parent.list.as_ref().is_some_and(|list| matches!(list.progress, Progress::Reading))
        {
            parent.refuse();
        }
    }
}

/// The state of the reads. Pure: callers pass the time.
#[derive(Default)]
struct Refresh {
    parents: HashMap<String, Parent>,
    /// Kinds of lists that have answered several reads: the first read below the next parent of the kind starts a
    /// list.
    useful: HashSet<String>,
    /// Kinds of lists of which one was abandoned.
    stuck: HashSet<String>,
    reading: usize,
    idle_since: Option<Instant>,
    writing: usize,
    /// Pages of one list of each parent.
    pages: u32,
    /// Lists of earlier generations are ignored.
    generation: u64,
}

/// A parent, identified by the path of the list of its children.
#[derive(Default)]
struct Parent {
    /// The reads of its children.
    asked: u64,
    /// The pages of all its lists.
    pages: u64,
    /// The pages of the longest of them.
    width: u32,
    /// The responses from its lists.
    answered: u64,
    /// These credentials may not list it.
    refused: bool,
    list: Option<List>,
    /// Wakes the waiting reads.
    news: watch::Sender<()>,
}

struct List {
    began: Instant,
    /// When the last page was requested or received.
    last_activity: Instant,
    pages: u32,
    progress: Progress,
    /// By name in lower case. Each answers one read.
    children: HashMap<String, Json>,
    /// Dropped with the list, which stops the reading of its pages.
    alive: watch::Sender<()>,
}

enum Progress {
    /// A page was requested.
    Reading,
    /// There are further pages, but they are not worth a request yet.
    Paused(Box<PageReader>),
    /// All pages were read.
    Complete,
}

/// The next step of a read.
enum Step {
    /// Continue, with or without the child from a list.
    Answer(Option<Json>),
    /// Wait for the list, at most until this time.
    Wait { news: watch::Receiver<()>, until: Instant },
    /// Read the list until it is invalidated: from its first page, or the rest of it.
    List { rest: Option<Box<PageReader>>, generation: u64, invalidated: watch::Receiver<()> },
}

impl Refresh {
    fn begin_read(&mut self, now: Instant) {
        let idle = self.idle_since.filter(|_| self.reading == 0);
        if idle.is_some_and(|since| now.saturating_duration_since(since) > PAUSE) {
            self.invalidate_all();
        }
        self.reading += 1;
    }

    fn end_read(&mut self, now: Instant) {
        self.reading -= 1;
        self.idle_since = Some(now);
    }

    fn count_read(&mut self, parent: &str) {
        self.parents.entry(parent.to_owned()).or_default().asked += 1;
    }

    fn step(&mut self, parent: &str, name: &str, now: Instant) -> Step {
        let kind = kind_of_call(parent);
        let (generation, lasts) = (self.generation, self.lasts());
        let Some(parent) = self.parents.get_mut(parent).filter(|_| self.writing == 0) else {
            return Step::Answer(None);
        };
        let is_old = |list: &List| now.saturating_duration_since(list.began) >= lasts;
        if parent
            .list
            .as_ref()
            .is_some_and(|list| is_old(list) && !matches!(list.progress, Progress::Reading))
        {
            parent.list = None;
        }
        if parent.list.as_ref().is_some_and(|list| list.is_stuck(now)) {
            tracing::debug!(%kind, "a list brings nothing; its children are read one by one");
            self.stuck.insert(kind.clone());
            parent.give_up();
        }
        let worth_a_page = parent.is_worth_a_page() && !self.stuck.contains(&kind);
        match &mut parent.list {
            Some(list) => {
                if let Some(child) = list.children.remove(name) {
                    if is_old(list) {
                        return Step::Answer(None);
                    }
                    parent.answered += 1;
                    if parent.answered > 1 {
                        self.useful.insert(kind);
                    }
                    return Step::Answer(Some(child));
                }
                match std::mem::replace(&mut list.progress, Progress::Reading) {
                    // further pages would be too old to answer a read
                    Progress::Reading if is_old(list) => Step::Answer(None),
                    Progress::Reading => Step::Wait {
                        news: parent.news.subscribe(),
                        until: (list.last_activity + PATIENCE).min(list.began + lasts),
                    },
                    Progress::Paused(rest) if worth_a_page => {
                        list.last_activity = now;
                        Step::List { rest: Some(rest), generation, invalidated: list.alive.subscribe() }
                    }
                    other => {
                        list.progress = other;
                        Step::Answer(None)
                    }
                }
            }
            None if worth_a_page && (parent.asked > 1 || self.useful.contains(&kind)) => {
                let alive = watch::Sender::new(());
                let invalidated = alive.subscribe();
                parent.list = Some(List {
                    began: now,
                    last_activity: now,
                    pages: 0,
                    progress: Progress::Reading,
                    children: HashMap::new(),
                    alive,
                });
                Step::List { rest: None, generation, invalidated }
            }
            None => Step::Answer(None),
        }
    }

    // How long lists answer, with the current number of pages.
    fn lasts(&self) -> Duration {
        (FRESH + PER_PAGE * self.pages.saturating_sub(FEW)).min(OLDEST)
    }

    fn add_page(&mut self, generation: u64, parent: &str, children: Vec<Json>) {
        let Some(found) = self.in_generation(generation, parent) else { return };
        let known = found.width;
        found.add_page(children);
        self.pages += found.width - known;
    }

    fn in_generation(&mut self, generation: u64, parent: &str) -> Option<&mut Parent> {
        if self.generation == generation { self.parents.get_mut(parent) } else { None }
    }

    // a parent that cannot be listed stays so
    fn invalidate_all(&mut self) {
        self.generation += 1;
        self.pages = 0;
        self.useful.clear();
        self.stuck.clear();
        for parent in self.parents.values_mut() {
            // dropping the sender wakes the waiting reads
            *parent = Parent { refused: parent.refused, ..Parent::default() };
        }
    }
}

impl Parent {
    // At most as many pages as reads, over all its lists.
    fn is_worth_a_page(&self) -> bool {
        !self.refused && self.pages < self.asked
    }

    fn add_page(&mut self, children: Vec<Json>) {
        self.pages += 1;
        if let Some(list) = &mut self.list {
            list.pages += 1;
            self.width = self.width.max(list.pages);
            for child in children {
                if let Some(name) = body::text(&child, "name") {
                    list.children.insert(name.to_lowercase(), child);
                }
            }
        }
    }

    fn set_progress(&mut self, progress: Progress) {
        if let Some(list) = &mut self.list {
            list.progress = progress;
        }
        self.news.send_replace(());
    }

    fn note_activity(&mut self, now: Instant) {
        if let Some(list) = &mut self.list {
            list.last_activity = now;
        }
        self.news.send_replace(());
    }

    fn refuse(&mut self) {
        self.refused = true;
        self.give_up();
    }

    fn give_up(&mut self) {
        self.list = None;
        self.news.send_replace(());
    }
}

impl List {
    fn is_stuck(&self, now: Instant) -> bool {
        matches!(self.progress, Progress::Reading)
            && now.saturating_duration_since(self.last_activity) >= PATIENCE
    }
}

#[cfg(test)]
#[path = "siblings_tests.rs"]
mod tests;
