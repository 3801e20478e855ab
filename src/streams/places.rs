//! How many streams a caller of a tenant may have open on this server, so that a stolen credential cannot hold thousands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, StreamExt, future::OptionFuture};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{AbortWhen, abort_when};
use crate::base::{Basis, Caller, Error, Kind, Result, error::Reason};

/// Maximum number of streams of a caller. A further one ends the oldest, so that a client whose connections were lost is not kept
/// waiting for the server to notice. More than the kinds of material, each of which can be watched by itself.
const MOST: usize = 8;
/// Maximum number with those that were ended, and whose client does not read that.
const MOST_UNREAD: usize = 2 * MOST;

/// The open streams by caller. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Mutex<Inner>>);

/// Who has streams.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    /// A device, a gateway, an account or an API key.
    Row(Uuid),
    /// A token that depends on none of them, by its id.
    Token(Arc<str>),
}

impl Subject {
    /// The caller, if its streams are limited: not one of the platform, who operates the server.
    fn of(caller: &Caller) -> Option<Self> {
        caller.tenant.as_ref()?;
        Some(match caller.basis {
            Basis::Device { id, .. } | Basis::Gateway { id, .. } | Basis::Account { id, .. } | Basis::ApiKey(id) => {
                Self::Row(id)
            }
            // Tokens of other issuers may have no id.
            Basis::Token if caller.token_id.is_empty() => Self::Token(caller.subject.as_str().into()),
            Basis::Token => Self::Token(caller.token_id.as_str().into()),
        })
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// Oldest first.
    streams: HashMap<Subject, Vec<Open>>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    ended: CancellationToken,
}

/// The place of a stream, until it is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    subject: Subject,
    number: u64,
    ended: CancellationToken,
}

impl Places {
    /// Takes a place for a stream of a caller, that of the oldest if all are taken; none for callers whose streams are not limited. Fails
    /// if too many streams were ended that their client does not read.
    pub fn take(&self, caller: &Caller) -> Result<Option<Place>> {
        Subject::of(caller).map(|subject| self.take_of(subject)).transpose()
    }

    fn take_of(&self, subject: Subject) -> Result<Place> {
        let (ended, mut inner) = (CancellationToken::new(), self.lock());
        let number = inner.next;
        let streams = inner.streams.entry(subject.clone()).or_default();
        if streams.len() >= MOST_UNREAD {
            return Err(too_many());
        }
        let mut running = streams.iter().filter(|stream| !stream.ended.is_cancelled());
        let oldest = running.next();
        if let Some(oldest) = oldest
            && running.count() + 1 >= MOST
        {
            oldest.ended.cancel();
        }
        streams.push(Open { number, ended: ended.clone() });
        inner.next += 1;
        drop(inner);
        Ok(Place { places: self.clone(), subject, number, ended })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until a newer stream takes the place, and returns the error that ends this one.
    pub fn lost(&self) -> impl Future<Output = Error> + Send + 'static + use<> {
        let ended = self.ended.clone();
        async move {
            ended.cancelled().await;
            replaced()
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.places.lock();
        let Some(streams) = inner.streams.get_mut(&self.subject) else { return };
        streams.retain(|stream| stream.number != self.number);
        if streams.is_empty() {
            inner.streams.remove(&self.subject);
        }
    }
}

/// The items of a stream in its place, until `lost`, or a newer stream that takes the place, ends it with an error.
pub fn in_place<S, T, F>(stream: S, place: Option<Place>, lost: F) -> AbortWhen<impl Stream<Item = Result<T>> + Send>
where
    S: Stream<Item = Result<T>> + Send,
    F: Future<Output = Error> + Send + 'static,
{
    let lost = or_replaced(lost, place.as_ref());
    // The place is free when the stream is dropped.
    let stream = stream.map(move |item| {
        let _taken = &place;
        item
    });
    abort_when(stream, lost)
}

/// The error that ends a stream: that of `lost`, or that a newer one took its place.
pub fn or_replaced<F>(lost: F, place: Option<&Place>) -> impl Future<Output = Error> + Send + 'static + use<F>
where
    F: Future<Output = Error> + Send + 'static,
{
    let replaced = OptionFuture::from(place.map(Place::lost));
    async move {
        tokio::select! {
            error = lost => error,
            Some(error) = replaced => error,
        }
    }
}

fn replaced() -> Error {
    let text = "you opened more than 8 streams, and this was the oldest; if you did not, replace your credential";
    Error::new(Kind::ResourceExhausted, Reason::TooManyStreams, text)
}

fn too_many() -> Error {
    let text = "you do not read 16 streams that you have opened; close them";
    Error::new(Kind::ResourceExhausted, Reason::TooManyStreams, text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use futures::FutureExt;

    use super::*;
    use crate::base::{
        TenantId,
        caller::{CallerFacts, CallerTenant},
    };

    fn is_ended(place: &Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    fn subject(number: u128) -> Subject {
        Subject::Row(Uuid::from_u128(number))
    }

    #[test]
    fn the_oldest_stream_ends_for_a_further_one() {
        let places = Places::default();
        let take = || places.take_of(subject(1)).unwrap();
        let mut open: Vec<_> = (0..MOST).map(|_| take()).collect();
        assert!(!open.iter().any(is_ended));
        open.push(take());
        let ended: Vec<_> = open.iter().map(is_ended).collect();
        assert_eq!((ended[0], ended.iter().filter(|ended| **ended).count()), (true, 1));
        // Those of others do not count, nor those that have ended.
        places.take_of(subject(2)).unwrap();
        open.remove(0);
        open.pop();
        open.push(take());
        assert!(!open.iter().any(is_ended));
        assert_eq!(open[0].lost().now_or_never().map(|error| error.reason), None);
    }

    #[test]
    fn streams_that_nobody_reads_are_limited_and_forgotten_with_the_last() {
        let places = Places::default();
        let take = || places.take_of(subject(1));
        let mut open: Vec<_> = (0..MOST_UNREAD).map(|_| take().unwrap()).collect();
        assert_eq!(open.iter().filter(|place| is_ended(place)).count(), MOST_UNREAD - MOST);
        assert_eq!(take().unwrap_err().reason, Reason::TooManyStreams);
        open.remove(0);
        open.push(take().unwrap());
        open.clear();
        assert!(places.lock().streams.is_empty());
    }

    #[test]
    fn each_caller_of_a_tenant_has_places_of_its_own() {
        let tenant = CallerTenant {
            id: TenantId::from_uuid(Uuid::nil()),
            key: "acme".to_owned(),
            suspended: false,
            named_since: None,
        };
        let caller = |tenant: &Option<CallerTenant>, basis, token: &str| {
            let (token_id, tenant) = (token.to_owned(), tenant.clone());
            Caller::new(CallerFacts {
                subject: "acme/ada".to_owned(),
                basis,
                token_id,
                tenant,
                ..CallerFacts::default()
            })
        };
        let of = Some(tenant);
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let subjects: Vec<_> = [
            caller(&of, Basis::Account { id: one, epoch: 1 }, "t1"),
            caller(&of, Basis::ApiKey(two), ""),
            caller(&of, Basis::Token, "t1"),
            caller(&of, Basis::Token, "t2"),
            caller(&of, Basis::Token, ""),
        ]
        .iter()
        .map(|caller| Subject::of(caller).unwrap())
        .collect();
        assert_eq!(subjects.iter().collect::<HashSet<_>>().len(), subjects.len());
        // A new login is the same account.
        let again = Subject::of(&caller(&of, Basis::Account { id: one, epoch: 2 }, "t3"));
        assert_eq!(again.as_ref(), Some(&subjects[0]));
        assert_eq!(Subject::of(&caller(&None, Basis::Token, "t1")), None);
    }
}
