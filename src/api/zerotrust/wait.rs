//! Calls that wait until what they return changes (zero-trust contract, section 2, "Caching").

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{
    api::Deps,
    base::{Basis, Cx, Error, IdKind, Result, error::Reason},
    streams::Interest,
    tenants,
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

/// What `read` returns; if the caller has it already, only after a change, or after the time. It depends on an interest, and on the
/// device or gateway with a public id.
pub(super) async fn current<T, F>(
    cx: &Cx,
    deps: &Deps,
    (interest, subject): (Interest, &str),
    wait: Option<Wait>,
    digest: fn(&T) -> &str,
    read: impl Fn() -> F + Send,
) -> Result<T>
where
    T: Send,
    F: Future<Output = Result<T>> + Send,
{
    let Some(Wait { time, known }) = wait else { return read().await };
    let tenant = tenants::reach(cx, &deps.store, cx.tenant()?).await?.tenant();
    // Before the first read, so that no change is missed.
    let mut changes = deps.streams.changes.of(tenant, interest, keys(cx, subject));
    let mut found = read().await?;
    let until = Instant::now() + time;
    cx.extend(time);
    while known.iter().any(|known| known == digest(&found)) {
        let waiting = async {
            tokio::select! {
                turn = changes.next() => Some(turn),
                () = sleep_until(until) => None,
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
