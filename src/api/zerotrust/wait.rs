//! Calls that wait until what they return changes (zero-trust contract, section 2, "Caching").

use std::{sync::Arc, time::Duration};

use futures::future::OptionFuture;
use time::OffsetDateTime;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    api::Deps,
    base::{Basis, Cx, Error, IdKind, Result, TenantScope, error::Reason},
    edge::{Board, State, Subscription, Topic},
    policy, spc,
    streams::Interest,
    tenants,
    trust::{AnchorSet, Artifact},
};

/// The longest wait, in seconds.
const LONGEST: u64 = 55;

/// How long a call may wait, and what its caller has.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    time: Duration,
    known: Vec<String>,
}

impl Wait {
    /// Reads the seconds of a request, and the digests that its caller has; none of them if it does not wait.
    pub fn read(seconds: i32, known: Vec<String>) -> Result<Option<Self>> {
        let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds <= LONGEST);
        let seconds = seconds.ok_or_else(|| {
            Error::invalid(Reason::InvalidArgument, "wait", "wait must be 0 to 55 seconds; 0 does not wait")
        })?;
        Ok((seconds > 0).then(|| Self { time: Duration::from_secs(seconds), known }))
    }
}

/// What may be waited for.
pub(super) trait Awaited: Send {
    /// Differs from that of everything else.
    fn digest(&self) -> &str;

    /// When it is not valid any longer: what follows is read then, without a change.
    fn expires_at(&self) -> OffsetDateTime;
}

macro_rules! awaited {
    ($($of:ty),*) => {
        $(impl Awaited for $of {
            fn digest(&self) -> &str {
                &self.digest
            }

            fn expires_at(&self) -> OffsetDateTime {
                self.expires_at
            }
        })*
    };
}

awaited!(AnchorSet, Artifact, policy::bundles::Bundle, spc::bundles::Bundle);

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct On<'o> {
    interest: Interest,
    /// The device or gateway that it depends on, by its public id.
    subject: Option<&'o str>,
    /// What changes without an event, too, such as gateways that go offline: all calls and streams that follow it share what is read.
    topic: Option<Topic>,
}

impl<'o> On<'o> {
    /// Something of a tenant.
    pub fn tenant(interest: Interest) -> Self {
        Self { interest, subject: None, topic: None }
    }

    /// Something that depends on a device or gateway, with a public id.
    pub fn subject(interest: Interest, id: &'o str) -> Self {
        Self { subject: Some(id), ..Self::tenant(interest) }
    }

    /// The same, when the state of a topic changes as well.
    pub fn or_topic(self, topic: Topic) -> Self {
        Self { topic: Some(topic), ..self }
    }
}

/// A topic that a call follows.
struct Followed {
    subscription: Subscription,
    bell: Arc<Notify>,
}

impl Followed {
    fn of(board: &Board, scope: TenantScope, topic: Topic) -> Self {
        let bell = Arc::new(Notify::new());
        Self { subscription: board.follow(scope, topic, &bell), bell }
    }

    /// Waits until it has another state than the one with a digest.
    async fn differs_from(&self, digest: &str) {
        loop {
            self.bell.notified().await;
            match self.subscription.state() {
                State::Known(material) if *material.digest == *digest => {}
                State::Known(_) | State::Absent => return,
                State::Unknown => {}
            }
        }
    }
}

/// What `read` returns; if the caller has it already, only after a change, after its end, or after the time.
pub(super) async fn current<T, F>(
    cx: &Cx,
    deps: &Deps,
    on: On<'_>,
    wait: Option<Wait>,
    read: impl Fn() -> F + Send,
) -> Result<T>
where
    T: Awaited,
    F: Future<Output = Result<T>> + Send,
{
    let Some(Wait { time, known }) = wait else { return read().await };
    let scope = tenants::reach(cx, &deps.store, cx.tenant()?).await?;
    // Before the first read, so that no change is missed.
    let mut changes = deps.streams.changes.of(scope.tenant(), on.interest, keys(cx, on.subject));
    let followed = on.topic.map(|topic| Followed::of(&deps.streams.board, scope, topic));
    let mut found = read().await?;
    let until = Instant::now() + time;
    cx.extend(time);
    while known.iter().any(|known| known == found.digest()) {
        let left = Duration::try_from(found.expires_at() - deps.store.clock().now()).ok();
        // What has expired and is still current is waited for as well: nothing follows yet.
        let end = left.filter(|left| !left.is_zero()).map(|left| Instant::now() + left).filter(|end| *end < until);
        let another = OptionFuture::from(followed.as_ref().map(|followed| followed.differs_from(found.digest())));
        let waiting = async {
            tokio::select! {
                turn = changes.next() => Some(turn),
                Some(()) = another => Some(changes.turn().await),
                () = sleep_until(end.unwrap_or(until)) => match end {
                    Some(_) => Some(changes.turn().await),
                    None => None,
                },
                () = cx.drain.draining() => None,
            }
        };
        let Some(_turn) = cx.aside(waiting).await? else { break };
        deps.streams.standing.check(cx).await?;
        found = read().await?;
    }
    Ok(found)
}

/// The keys of the events about the subject, and about the caller, which may lose its rights.
fn keys(cx: &Cx, subject: Option<&str>) -> Vec<String> {
    let own = match cx.caller.basis {
        Basis::Device { id, .. } => Some(IdKind::Device.show(id)),
        Basis::Gateway { id, .. } => Some(IdKind::Gateway.show(id)),
        Basis::Account { id, .. } => Some(IdKind::User.show(id)),
        Basis::ApiKey(id) => Some(IdKind::ApiKey.show(id)),
        Basis::Token => None,
    };
    let token = Some(cx.caller.token_id.clone()).filter(|id| !id.is_empty());
    own.into_iter().chain(token).filter(|own| Some(own.as_str()) != subject).chain(subject.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_at_most_55_seconds() {
        let seconds = |given| Wait::read(given, Vec::new()).map(|wait| wait.map(|wait| wait.time.as_secs()));
        assert_eq!(seconds(0).unwrap(), None);
        assert_eq!(seconds(1).unwrap(), Some(1));
        assert_eq!(seconds(55).unwrap(), Some(55));
        for given in [-1, 56, i32::MAX] {
            assert_eq!(seconds(given).unwrap_err().violations[0].field, "wait");
        }
    }
}
