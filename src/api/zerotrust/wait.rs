//! Calls that wait until what they return changes (zero-trust contract, section 2, "Caching").

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, sleep_until};

use crate::{
    api::Deps,
    base::{Basis, Cx, Error, IdKind, Result, error::Reason},
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

/// What `read` returns; if the caller has it already, only after a change, after its end, or after the time. It depends on an interest, and
/// on the device or gateway with a public id.
pub(super) async fn current<T, F>(
    cx: &Cx,
    deps: &Deps,
    (interest, subject): (Interest, &str),
    wait: Option<Wait>,
    read: impl Fn() -> F + Send,
) -> Result<T>
where
    T: Awaited,
    F: Future<Output = Result<T>> + Send,
{
    let Some(Wait { time, known }) = wait else { return read().await };
    let tenant = tenants::reach(cx, &deps.store, cx.tenant()?).await?.tenant();
    // Before the first read, so that no change is missed.
    let mut changes = deps.streams.changes.of(tenant, interest, keys(cx, subject));
    let mut found = read().await?;
    let until = Instant::now() + time;
    cx.extend(time);
    while known.iter().any(|known| known == found.digest()) {
        let left = Duration::try_from(found.expires_at() - deps.store.clock().now()).ok();
        // What has expired and is still current is waited for as well: nothing follows yet.
        let end = left.filter(|left| !left.is_zero()).map(|left| Instant::now() + left).filter(|end| *end < until);
        let waiting = async {
            tokio::select! {
                turn = changes.next() => Some(turn),
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
fn keys(cx: &Cx, subject: &str) -> Vec<String> {
    let own = match cx.caller.basis {
        Basis::Device { id, .. } => Some(IdKind::Device.show(id)),
        Basis::Gateway { id, .. } => Some(IdKind::Gateway.show(id)),
        Basis::Token | Basis::Account { .. } | Basis::ApiKey(_) => None,
    };
    own.into_iter().filter(|own| own != subject).chain([subject.to_owned()]).collect()
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
