//! What the gateways of a run have applied and refused, for those who wait for it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tenantry_proto::edge::v1::Material;
use tokio::sync::Notify;
use tonic::Status;

/// The newest artifact of a kind that a gateway has applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub number: i64,
    /// The digest of its payload.
    pub digest: String,
    /// When it was applied.
    pub at: Instant,
}

/// What all gateways of a run have done.
#[derive(Debug, Default)]
pub struct Progress {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    applied: HashMap<(usize, Material), Applied>,
    refused: Vec<String>,
    ended: Vec<String>,
    updates: HashMap<Material, u64>,
    opened: u64,
    reports: u64,
    hints: Vec<Duration>,
}

impl Progress {
    /// A gateway has applied an artifact.
    pub fn applied(&self, gateway: usize, material: Material, number: i64, digest: &str) {
        let applied = Applied { number, digest: digest.to_owned(), at: Instant::now() };
        let mut inner = self.lock();
        *inner.updates.entry(material).or_default() += 1;
        inner.applied.insert((gateway, material), applied);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// A gateway has refused an artifact.
    pub fn refused(&self, gateway: &str, material: Material, code: &str) {
        self.lock().refused.push(format!("{gateway}: {} {code}", material.as_str_name()));
        self.changed.notify_waiters();
    }

    /// A gateway has opened a stream.
    pub fn opened(&self) {
        self.lock().opened += 1;
        self.changed.notify_waiters();
    }

    /// A gateway has reported a window, and the server has it.
    pub fn reported(&self) {
        self.lock().reports += 1;
        self.changed.notify_waiters();
    }

    /// The server shuts down, and a gateway has to wait this long before it connects again.
    pub fn drained(&self, wait: Duration) {
        self.lock().hints.push(wait);
        self.changed.notify_waiters();
    }

    /// The server refused the stream of a gateway, or ended it for that.
    pub fn ended(&self, gateway: &str, status: &Status) {
        self.lock().ended.push(format!("{gateway}: {:?}: {}", status.code(), status.message()));
        self.changed.notify_waiters();
    }

    /// What a gateway has applied last.
    pub fn of(&self, gateway: usize, material: Material) -> Option<Applied> {
        self.lock().applied.get(&(gateway, material)).cloned()
    }

    /// Refusals by gateways.
    pub fn refusals(&self) -> Vec<String> {
        self.lock().refused.clone()
    }

    /// Streams that the server refused or ended, with the codes and texts.
    pub fn ends(&self) -> Vec<String> {
        self.lock().ended.clone()
    }

    /// The number of streams that were opened.
    pub fn streams(&self) -> u64 {
        self.lock().opened
    }

    /// The number of reports that the server has.
    pub fn reports(&self) -> u64 {
        self.lock().reports
    }

    /// How long gateways were asked to wait before they connect again.
    pub fn hints(&self) -> Vec<Duration> {
        self.lock().hints.clone()
    }

    /// The number of updates of a kind that were applied.
    pub fn updates(&self, material: Material) -> u64 {
        self.lock().updates.get(&material).copied().unwrap_or_default()
    }

    /// Waits until these gateways have an artifact with at least this number, and returns when each of them applied it.
    pub async fn all(&self, gateways: &[usize], material: Material, number: i64) -> Vec<Instant> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(times) = self.times(gateways, material, number) {
                return times;
            }
            changed.await;
        }
    }

    fn times(&self, gateways: &[usize], material: Material, number: i64) -> Option<Vec<Instant>> {
        let inner = self.lock();
        let applied = |gateway: &usize| inner.applied.get(&(*gateway, material)).filter(|it| it.number >= number);
        gateways.iter().map(|gateway| applied(gateway).map(|it| it.at)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
