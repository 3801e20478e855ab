//! How many streams a device or gateway may have open on this server, so that a stolen credential cannot hold thousands.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::OptionFuture;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::base::{Error, Kind, Result, error::Reason};

/// Maximum number of streams of a device or gateway. A further one ends the oldest, so that a client whose connections were lost is not kept
/// waiting for the server to notice. More than the kinds of material, each of which can be watched by itself.
const MOST: usize = 8;
/// Maximum number with those that were ended, and whose client does not read that.
const MOST_UNREAD: usize = 2 * MOST;

/// The open streams by device or gateway. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Oldest first.
    streams: HashMap<Uuid, Vec<Open>>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    ended: CancellationToken,
}

/// The place of a stream, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    subject: Uuid,
    number: u64,
    ended: CancellationToken,
}

impl Places {
    /// Takes a place for a stream of a device or gateway, that of the oldest if all are taken. Fails if too many streams were ended that
    /// their client does not read.
    pub fn take(&self, subject: Uuid) -> Result<Place> {
        let (ended, mut inner) = (CancellationToken::new(), self.lock());
        let number = inner.next;
        let streams = inner.streams.entry(subject).or_default();
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

/// The error that ends a stream: that of `lost`, or that a newer one took its place.
pub(super) fn or_replaced<F>(lost: F, place: Option<&Place>) -> impl Future<Output = Error> + Send + 'static + use<F>
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
    let text = "you opened more than 8 streams, and this was the oldest; if you did not, enroll again";
    Error::new(Kind::ResourceExhausted, Reason::TooManyStreams, text)
}

fn too_many() -> Error {
    let text = "you do not read 16 streams that you have opened; close them";
    Error::new(Kind::ResourceExhausted, Reason::TooManyStreams, text)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn is_ended(place: &Place) -> bool {
        place.lost().now_or_never().is_some()
    }

    #[test]
    fn the_oldest_stream_ends_for_a_further_one() {
        let (places, subject) = (Places::default(), Uuid::from_u128(1));
        let mut open: Vec<_> = (0..MOST).map(|_| places.take(subject).unwrap()).collect();
        assert!(!open.iter().any(is_ended));
        open.push(places.take(subject).unwrap());
        let ended: Vec<_> = open.iter().map(is_ended).collect();
        assert_eq!((ended[0], ended.iter().filter(|ended| **ended).count()), (true, 1));
        // Those of others do not count, nor those that have ended.
        places.take(Uuid::from_u128(2)).unwrap();
        open.remove(0);
        open.pop();
        open.push(places.take(subject).unwrap());
        assert!(!open.iter().any(is_ended));
        assert_eq!(open[0].lost().now_or_never().map(|error| error.reason), None);
    }

    #[test]
    fn streams_that_nobody_reads_are_limited_and_forgotten_with_the_last() {
        let (places, subject) = (Places::default(), Uuid::from_u128(1));
        let mut open: Vec<_> = (0..MOST_UNREAD).map(|_| places.take(subject).unwrap()).collect();
        assert_eq!(open.iter().filter(|place| is_ended(place)).count(), MOST_UNREAD - MOST);
        assert_eq!(places.take(subject).unwrap_err().reason, Reason::TooManyStreams);
        open.remove(0);
        open.push(places.take(subject).unwrap());
        open.clear();
        assert!(places.lock().streams.is_empty());
    }
}
