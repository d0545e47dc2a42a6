//! Reads of siblings that arrive together, answered from one list of their parent instead of a GET each.
//!
//! Terraform refreshes a thousand image versions one by one, ten at a time. The first read under a parent is a GET.
//! When another comes soon after, a list of the parent's children is begun, once, and all reads of that parent wait for
//! it; from then on the first read under the next parent begins with the list. Pages are followed only while fewer
//! were read than reads were asked for, so a parent with far more children than are managed costs at most twice its
//! GETs, and mostly less: what the pages that were read do not hold is got by GETs. So is everything where a list brings
//! nothing for [`PATIENCE`], throttled or slow as it may be; in this walk, no more of its kind are begun then.
//!
//! # What a list may answer
//!
//! Ten reads at a time, each answered by nothing older than itself, would take a hundred requests for a thousand
//! reads, whatever the request. So a list also answers reads that begin a little after it, and this is what makes that
//! safe:
//!
//! * **No news.** A list only ever confirms. The resource compares what the list says with the state; if anything
//!   differs, or the list lacks the child, a GET sent then decides. Every drift and every absence that is reported was
//!   therefore told by a GET that began after the read did; lists cannot invent one, nor tell of it in other words.
//! * **Once.** Each child that a list brought answers one read. A second read of the same child asks anew, so whoever
//!   reads again what he has just changed elsewhere sees the change.
//! * **One walk.** Lists belong to one configured provider. They are forgotten when no read was under way for
//!   [`PAUSE`]: reads that do not follow each other closely do not belong together.
//! * **Young.** A list answers for [`FRESH`] from the moment it was begun, then the parent is listed again. Where all lists
//!   together have more than [`FEW`] pages the time grows with them, up to [`OLDEST`]: a walk through ten times as many
//!   children takes ten times as long, and would list them all ten times as often.
//! * **No write of ours.** While this process writes anything (holds [`Context::lock`](super::Context::lock)) there
//!   are only GETs, and lists begun before the write ended answer nothing after it began.
//!
//! What is left: a change that somebody else makes, within that time, between the moment its parent was listed and the
//! moment its resource is read for the first time in this walk, is seen by the next plan. Between a read and the apply
//! that follows there is always a longer time in which the same can happen.

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

/// How long a list answers where there are few.
pub const FRESH: Duration = Duration::from_secs(10);

/// How long any list answers at most.
pub const OLDEST: Duration = Duration::from_secs(60);

/// So many pages, over all lists of a walk, are few: a thousand children.
pub const FEW: u32 = 20;

/// Without any read under way for so long, lists are forgotten.
pub const PAUSE: Duration = Duration::from_millis(250);

/// How much longer than [`FRESH`] a list answers for every page more than [`FEW`].
const PER_PAGE: Duration = Duration::from_millis(250);

/// How long reads wait for the next page of a list.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// When a list is given up that still brings pages.
const LONGEST_LIST: Duration = Duration::from_secs(300);

/// The reads of one configured provider.
#[derive(Default)]
pub struct Siblings {
    walk: Mutex<Walk>,
}

/// One read, from its begin until its answer is known.
pub struct Turn<'s> {
    siblings: &'s Siblings,
    /// What a list says of the child. It may only confirm what is known: anything else is asked by a GET.
    pub listed: Option<Json>,
}

/// A write under way: until this falls there are no lists.
pub struct Writing {
    siblings: Arc<Siblings>,
}

impl Siblings {
    /// Begins to read `child`. The turn is to be kept until the answer is known.
    pub async fn read(self: &Arc<Self>, client: &Client, scope: &Scope, child: &Target) -> Turn<'_> {
        self.walk().enter(Instant::now());
        let mut turn = Turn { siblings: self, listed: None };
        let Some((list, name)) = child.path().rsplit_once('/') else {
            return turn;
        };
        let (parent, name) = (list.to_lowercase(), name.to_lowercase());
        self.walk().ask(&parent);
        // the GET that may follow needs its time too
        let half = Instant::now() + scope.remaining() / 2;
        loop {
            let step = self.walk().step(&parent, &name, Instant::now());
            match step {
                Step::Answer(listed) => {
                    turn.listed = listed;
                    return turn;
                }
                Step::Wait { mut news, until } => {
                    let waited = scope.run(timeout_at(until.min(half), news.changed())).await;
                    // who is called off hears it from the GET that follows
                    if waited.is_err() || Instant::now() >= half {
                        return turn;
                    }
                }
                Step::List { rest, era, gone } => {
                    let pages = rest
                        .unwrap_or_else(|| Box::new(client.pages(&Target::new(list, child.api_version()))));
                    // it is everybody's, so it outlives the read that began it
                    let scope = scope.anew(LONGEST_LIST, format!("listing {list}"));
                    tokio::spawn(self.clone().follow(scope, parent.clone(), pages, era, gone));
                }
            }
        }
    }

    /// Begins a write by this process.
    pub fn write(self: &Arc<Self>) -> Writing {
        let mut walk = self.walk();
        walk.writing += 1;
        walk.forget();
        Writing { siblings: self.clone() }
    }

    // Reads pages into the list of `parent` for as long as they seem worth it.
    async fn follow(
        self: Arc<Self>,
        scope: Scope,
        parent: String,
        mut pages: Box<PageReader>,
        era: u64,
        mut gone: watch::Receiver<()>,
    ) {
        let _end = Ending { siblings: &self, parent: &parent, era };
        loop {
            let told = tokio::select! {
                told = pages.next(&scope) => told,
                // nobody waits for it any more, and it would keep its place among the requests
                _ = gone.changed() => return,
            };
            let mut walk = self.walk();
            if told.is_ok() {
                walk.take_in(era, &parent, pages.take());
            }
            let Some(found) = walk.of_era(era, &parent) else {
                return;
            };
            match told {
                Ok(more) => {
                    if !more {
                        return found.turn_to(Progress::Whole);
                    }
                    if !found.is_worth_a_page() {
                        return found.turn_to(Progress::Resting(pages));
                    }
                    found.heard(Instant::now());
                }
                Err(error) => {
                    tracing::debug!(%error, "what cannot be listed is read one by one");
                    return found.refuse();
                }
            }
        }
    }

    fn walk(&self) -> MutexGuard<'_, Walk> {
        lock(&self.walk)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.siblings.walk().leave(Instant::now());
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut walk = self.siblings.walk();
        walk.writing -= 1;
        walk.forget();
    }
}

// Whatever ends the reading of pages, nobody waits for more.
struct Ending<'s> {
    siblings: &'s Siblings,
    parent: &'s str,
    era: u64,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut walk = self.siblings.walk();
        if let Some(parent) = walk.of_era(self.era, self.parent)
            && parent.list.as_ref().is_some_and(|list| matches!(list.progress, Progress::Reading))
        {
            parent.refuse();
        }
    }
}

/// What is known of the reads so far. Pure: it is told the time.
#[derive(Default)]
struct Walk {
    parents: HashMap<String, Parent>,
    /// Kinds of lists that answered several reads: under the next parent of the kind, one need not wait for a second.
    useful: HashSet<String>,
    /// Kinds of lists of which one was given up.
    stuck: HashSet<String>,
    reading: usize,
    idle_since: Option<Instant>,
    writing: usize,
    /// Pages of one list of each parent.
    pages: u32,
    /// Lists begun in another era are void.
    era: u64,
}

/// One parent, known by the path of the list of its children.
#[derive(Default)]
struct Parent {
    /// Reads of its children.
    asked: u64,
    /// Pages of all its lists.
    pages: u64,
    /// Pages of the longest of them.
    width: u32,
    /// Answers from its lists.
    answered: u64,
    /// It cannot be listed, or not by us.
    refused: bool,
    list: Option<List>,
    /// Tells those who wait that there is news.
    news: watch::Sender<()>,
}

struct List {
    began: Instant,
    /// When it was last asked for, or brought a page.
    heard: Instant,
    pages: u32,
    progress: Progress,
    /// By name in lower case; each goes out once.
    children: HashMap<String, Json>,
    /// Falls with the list, and tells so who reads its pages.
    alive: watch::Sender<()>,
}

enum Progress {
    /// A page is on its way.
    Reading,
    /// There are more pages, which did not seem worth it.
    Resting(Box<PageReader>),
    /// That was all.
    Whole,
}

/// What a read does next.
enum Step {
    /// Goes on, with what a list says or without.
    Answer(Option<Json>),
    /// Waits for news of the list; asks again when there are none by then.
    Wait { news: watch::Receiver<()>, until: Instant },
    /// Has the list read, until it is gone: from its first page, or the rest of it.
    List { rest: Option<Box<PageReader>>, era: u64, gone: watch::Receiver<()> },
}

impl Walk {
    fn enter(&mut self, now: Instant) {
        let idle = self.idle_since.filter(|_| self.reading == 0);
        if idle.is_some_and(|since| now.saturating_duration_since(since) > PAUSE) {
            self.forget();
        }
        self.reading += 1;
    }

    fn leave(&mut self, now: Instant) {
        self.reading -= 1;
        self.idle_since = Some(now);
    }

    fn ask(&mut self, parent: &str) {
        self.parents.entry(parent.to_owned()).or_default().asked += 1;
    }

    fn step(&mut self, parent: &str, name: &str, now: Instant) -> Step {
        let kind = kind_of_call(parent);
        let (era, lasts) = (self.era, self.lasts());
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
                    // what it would still bring is too old to answer
                    Progress::Reading if is_old(list) => Step::Answer(None),
                    Progress::Reading => Step::Wait {
                        news: parent.news.subscribe(),
                        until: (list.heard + PATIENCE).min(list.began + lasts),
                    },
                    Progress::Resting(rest) if worth_a_page => {
                        list.heard = now;
                        Step::List { rest: Some(rest), era, gone: list.alive.subscribe() }
                    }
                    other => {
                        list.progress = other;
                        Step::Answer(None)
                    }
                }
            }
            None if worth_a_page && (parent.asked > 1 || self.useful.contains(&kind)) => {
                let alive = watch::Sender::new(());
                let gone = alive.subscribe();
                parent.list = Some(List {
                    began: now,
                    heard: now,
                    pages: 0,
                    progress: Progress::Reading,
                    children: HashMap::new(),
                    alive,
                });
                Step::List { rest: None, era, gone }
            }
            None => Step::Answer(None),
        }
    }

    // How long lists answer, such as they are.
    fn lasts(&self) -> Duration {
        (FRESH + PER_PAGE * self.pages.saturating_sub(FEW)).min(OLDEST)
    }

    fn take_in(&mut self, era: u64, parent: &str, children: Vec<Json>) {
        let Some(found) = self.of_era(era, parent) else { return };
        let known = found.width;
        found.take_in(children);
        self.pages += found.width - known;
    }

    fn of_era(&mut self, era: u64, parent: &str) -> Option<&mut Parent> {
        if self.era == era { self.parents.get_mut(parent) } else { None }
    }

    // Only who may not be listed stays so.
    fn forget(&mut self) {
        self.era += 1;
        self.pages = 0;
        self.useful.clear();
        self.stuck.clear();
        for parent in self.parents.values_mut() {
            // dropping the sender wakes those who wait
            *parent = Parent { refused: parent.refused, ..Parent::default() };
        }
    }
}

impl Parent {
    // No more pages than reads, over all of its lists.
    fn is_worth_a_page(&self) -> bool {
        !self.refused && self.pages < self.asked
    }

    fn take_in(&mut self, children: Vec<Json>) {
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

    fn turn_to(&mut self, progress: Progress) {
        if let Some(list) = &mut self.list {
            list.progress = progress;
        }
        self.news.send_replace(());
    }

    fn heard(&mut self, now: Instant) {
        if let Some(list) = &mut self.list {
            list.heard = now;
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
        matches!(self.progress, Progress::Reading) && now.saturating_duration_since(self.heard) >= PATIENCE
    }
}

#[cfg(test)]
#[path = "siblings_tests.rs"]
mod tests;
