//! Whether the caller of an open stream still has its rights. Authentication is done once per call, and a stream may be open for days.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Notify, time::sleep};

use super::{tenant_lookup::Tenants, tokens};
use crate::{
    base::{Basis, Caller, Cx, Drain, Error, IdKind, Kind, Result, TenantRef, caller::CallerTenant},
    store::{Resource, Store, outbox::Event},
    streams::Follower,
};

/// Kinds of resources whose changes may end the rights of a caller.
const RESOURCES: [Resource; 7] = [
    Resource::Token,
    Resource::Sessions,
    Resource::Account,
    Resource::ApiKey,
    Resource::Tenant,
    Resource::Device,
    Resource::Gateway,
];
/// How often each stream checks the database without a change, for rows that were changed by hand; up to a half more, at random.
const RECHECK: Duration = Duration::from_secs(30);
/// The delay after a failed check.
const RETRY: Duration = Duration::from_millis(500);

/// Terminates the streams of callers that lost their rights. It gets the changes from the hub. Cheap to clone; clones share the streams.
#[derive(Clone, Debug)]
pub struct CallerStanding {
    store: Store,
    watched: Arc<Mutex<Watched>>,
}

/// The open streams, by the keys of the resources that their callers depend on: a change costs only the streams that it concerns.
#[derive(Debug, Default)]
struct Watched {
    streams: HashMap<String, HashMap<u64, Arc<Notify>>>,
    last: u64,
}

/// An open stream, until it is dropped.
struct Watch {
    watched: Arc<Mutex<Watched>>,
    keys: Vec<String>,
    number: u64,
    /// Rings when one of its resources may have changed.
    changed: Arc<Notify>,
}

impl Watch {
    fn of(watched: &Arc<Mutex<Watched>>, keys: Vec<String>) -> Self {
        let changed = Arc::new(Notify::new());
        let mut streams = lock(watched);
        streams.last += 1;
        let number = streams.last;
        for key in &keys {
            streams.streams.entry(key.clone()).or_default().insert(number, changed.clone());
        }
        drop(streams);
        Self { watched: watched.clone(), keys, number, changed }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = lock(&self.watched);
        for key in &self.keys {
            let Some(of_key) = watched.streams.get_mut(key) else { continue };
            of_key.remove(&self.number);
            if of_key.is_empty() {
                watched.streams.remove(key);
            }
        }
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CallerStanding {
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), watched: Arc::default() }
    }

    /// Waits until the stream of a call must end, and returns the error: the server is shutting down, the credential expired or was
    /// revoked, or its account, key or tenant was suspended or deleted. While the database is unavailable the stream stays open,
    /// because it cannot read anything new then.
    pub fn end_of(&self, cx: &Cx) -> impl Future<Output = Error> + Send + 'static + use<> {
        let (standing, cx) = (self.clone(), cx.clone());
        async move {
            tokio::select! {
                () = cx.drain.draining() => Drain::error(),
                error = standing.lost(&cx) => error,
            }
        }
    }

    /// Waits until the caller of a stream lost its rights, as [`end_of`](Self::end_of) does, for a stream that ends with the drain by itself.
    pub fn rights_lost(&self, cx: &Cx) -> impl Future<Output = Error> + Send + 'static + use<> {
        let (standing, cx) = (self.clone(), cx.clone());
        async move { standing.lost(&cx).await }
    }

    async fn lost(&self, cx: &Cx) -> Error {
        // Before the first check, so that no change is missed. The rights may have been lost since authentication.
        let watch = Watch::of(&self.watched, keys_of(&cx.caller));
        loop {
            // Boxed: its memory is needed for a moment, and that of each stream for days.
            match Box::pin(self.check(cx)).await {
                Ok(()) => tokio::select! {
                    () = watch.changed.notified() => {}
                    () = sleep(next_check(cx)) => {}
                },
                Err(error) if matches!(error.kind, Kind::Unauthenticated | Kind::PermissionDenied) => return error,
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// Fails with the error that a new call would get if the caller has lost its rights since authentication.
    pub async fn check(&self, cx: &Cx) -> Result<()> {
        self.store.check_still_valid(&cx.caller).await?;
        for party in cx.caller.parties() {
            let Some(tenant) = &party.tenant else { continue };
            self.find(tenant).await?.refuse_suspended(cx.rpc)?;
        }
        Ok(())
    }

    /// The tenant of a credential, if it still means the same one.
    async fn find(&self, known: &CallerTenant) -> Result<CallerTenant> {
        let Some(since) = known.named_since else {
            return self.store.find(&TenantRef::Id(known.id)).await?.ok_or_else(tokens::revoked);
        };
        // A name means the tenant that has had it without interruption since the credential was issued.
        let found = self.store.find(&TenantRef::Name(known.key.clone())).await?;
        found.filter(|found| found.id == known.id && found.named_since == Some(since)).ok_or_else(tokens::invalid)
    }
}

#[async_trait]
impl Follower for CallerStanding {
    fn name(&self) -> &'static str {
        "caller_standing"
    }

    async fn process(&self, events: &[Event], _: i64) -> Result<()> {
        let watched = lock(&self.watched);
        let concerns = |event: &&Event| RESOURCES.iter().any(|resource| resource.topic() == event.topic);
        let concerned = events.iter().filter(concerns).filter_map(|event| watched.streams.get(&event.key));
        concerned.flat_map(HashMap::values).for_each(|changed| changed.notify_one());
        Ok(())
    }

    fn restart(&self, _: i64) {
        lock(&self.watched).streams.values().flat_map(HashMap::values).for_each(|changed| changed.notify_one());
    }

    fn rewind(&self, to: i64) {
        self.restart(to);
    }
}

/// The keys of the events that may end the rights of a caller or of its principal.
fn keys_of(caller: &Caller) -> Vec<String> {
    let of_party = |party: Caller| {
        let basis = match party.basis {
            Basis::Token => None,
            Basis::Account { id, .. } => Some(IdKind::User.show(id)),
            Basis::ApiKey(id) => Some(IdKind::ApiKey.show(id)),
            Basis::Device { id, .. } => Some(IdKind::Device.show(id)),
            Basis::Gateway { id, .. } => Some(IdKind::Gateway.show(id)),
        };
        let token = Some(party.token_id.clone()).filter(|id| !id.is_empty());
        [basis, token, party.tenant.as_ref().map(|tenant| tenant.id.dashed())]
    };
    caller.parties().flat_map(of_party).flatten().collect()
}

/// The delay to the next check: at most until the credential expires. Random, so that not all streams check at once.
fn next_check(cx: &Cx) -> Duration {
    let regular = RECHECK.mul_f64(rand::random_range(1.0..1.5));
    let left = cx.caller.ends.map(|end| Duration::try_from(end - cx.clock.now()).unwrap_or_default());
    left.map_or(regular, |left| left.min(regular))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Clock, store::StoreConfig};

    #[tokio::test]
    async fn an_open_stream_waits_in_little_memory() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("t.db").display());
        let store = Store::open(StoreConfig::new(&url)).await.unwrap();
        let waiting = CallerStanding::new(&store).rights_lost(&Cx::system("stream", Clock::system()));
        let size = size_of_val(&waiting);
        assert!(size <= 1024, "{size} bytes for each open stream");
    }
}
