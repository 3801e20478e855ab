//! Whether the caller of an open stream still has its rights. Authentication is done once per call, and a stream may be open for days.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::broadcast, time::sleep};

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
/// How many batches of changes a stream may be behind. A stream that missed one checks the database.
const BEHIND: usize = 64;
/// How often each stream checks the database without a change, for rows that were changed by hand; up to a half more, at random.
const RECHECK: Duration = Duration::from_secs(30);
/// The delay after a failed check.
const RETRY: Duration = Duration::from_millis(500);

/// Terminates the streams of callers that lost their rights. It gets the changes from the hub.
#[derive(Clone, Debug)]
pub struct CallerStanding {
    store: Store,
    changes: broadcast::Sender<Arc<Changes>>,
}

/// The changed resources.
#[derive(Debug)]
enum Changes {
    /// The resources with these keys.
    Of(HashSet<String>),
    /// Any resource may have changed.
    Unknown,
}

impl CallerStanding {
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), changes: broadcast::Sender::new(BEHIND) }
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
        let mut changes = self.changes.subscribe();
        let keys = keys_of(&cx.caller);
        loop {
            match self.check(cx).await {
                Ok(()) => tokio::select! {
                    () = until_changed(&mut changes, &keys) => {}
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
        let concerns = |event: &&Event| RESOURCES.iter().any(|resource| resource.topic() == event.topic);
        let keys: HashSet<_> = events.iter().filter(concerns).map(|event| event.key.clone()).collect();
        if !keys.is_empty() {
            // Fails if no stream is open.
            let _ = self.changes.send(Arc::new(Changes::Of(keys)));
        }
        Ok(())
    }

    fn restart(&self, _: i64) {
        let _ = self.changes.send(Arc::new(Changes::Unknown));
    }

    fn rewind(&self, to: i64) {
        self.restart(to);
    }
}

/// Waits for a change of a resource with one of these keys.
async fn until_changed(changes: &mut broadcast::Receiver<Arc<Changes>>, keys: &[String]) {
    loop {
        match changes.recv().await.as_deref() {
            Ok(Changes::Of(changed)) if !keys.iter().any(|key| changed.contains(key)) => {}
            // An error means missed changes: the sender is not dropped, because the waiting stream has a clone of it.
            Ok(_) | Err(_) => return,
        }
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
