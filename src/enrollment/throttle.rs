//! Delays for clients whose enrollment tokens cannot be used.
//!
//! A token has 256 random bits, so nobody guesses one. The delays bound what a client costs that tries anyway, or that repeats a token
//! which was revoked. They depend only on the address, and are before the token is looked up, so their length says nothing about it. A
//! valid token from an address with many failures waits like the others, for at most two seconds: the fleet of a site may share an
//! address.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::base::{Cx, Error, ExpiringCache, Kind, Result, error::Reason, subscriber};

/// Failures without a delay: the hosts of a site may have been given the same wrong token.
const FREE_FAILURES: u32 = 20;
/// Delay after the first failure beyond [`FREE_FAILURES`]; doubles with each further one.
const BASE_DELAY: Duration = Duration::from_millis(100);
/// Maximum delay.
const MAX_DELAY: Duration = Duration::from_secs(2);
/// How long failures are remembered after the last one.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Maximum number of addresses remembered.
const ENTRIES: u64 = 20_000;
/// Maximum number of attempts of an address that wait at the same time.
const MAX_WAITING: usize = 64;

/// The part of a client's address that identifies a subscriber.
type Origin = Option<IpAddr>;

/// The failures of an address.
#[derive(Clone, Debug)]
struct Record {
    failures: u32,
    waiting: Arc<Semaphore>,
}

/// Remembers failed attempts to enroll. Cheap to clone; clones share the state, which is in memory and lost on restart.
#[derive(Clone, Debug)]
pub struct Throttle {
    addresses: ExpiringCache<Origin, Record>,
    /// Held while a failure is counted, so that none is lost.
    counting: Arc<Mutex<()>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { addresses: ExpiringCache::new(ENTRIES, MEMORY), counting: Arc::default() }
    }
}

impl Throttle {
    /// Runs an attempt after the delay of its address, and counts a failure if its token cannot be used. Fails with RESOURCE_EXHAUSTED
    /// and a retry time if too many attempts of the address wait.
    pub async fn attempt<T, F>(&self, cx: &Cx, attempt: impl FnOnce() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let origin = cx.counted_as().map(subscriber);
        self.wait(cx, origin).await?;
        let outcome = attempt().await;
        if matches!(&outcome, Err(error) if error.reason == Reason::EnrollmentTokenInvalid) {
            self.failed(origin);
        }
        outcome
    }

    async fn wait(&self, cx: &Cx, origin: Origin) -> Result<()> {
        let Some(record) = self.addresses.get(&origin) else { return Ok(()) };
        let delay = delay(record.failures);
        if delay.is_zero() {
            return Ok(());
        }
        let _waiting = record.waiting.try_acquire().map_err(|_| too_many())?;
        let slept = async {
            tokio::time::sleep(delay).await;
            Some(())
        };
        cx.aside(slept).await.map(drop)
    }

    fn failed(&self, origin: Origin) {
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        let record = match self.addresses.get(&origin) {
            Some(record) => Record { failures: record.failures.saturating_add(1), ..record },
            None => Record { failures: 1, waiting: Arc::new(Semaphore::new(MAX_WAITING)) },
        };
        self.addresses.insert(origin, record);
    }
}

/// The delay after a number of failures.
fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None | Some(0) => Duration::ZERO,
        Some(over) => BASE_DELAY.saturating_mul(1 << (over - 1).min(16)).min(MAX_DELAY),
    }
}

fn too_many() -> Error {
    let seconds = MAX_DELAY.as_secs() + 1;
    let message = format!("too many failed attempts; retry in {seconds} seconds");
    Error::new(Kind::ResourceExhausted, Reason::TooManyAttempts, message).retry_after(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures::future::join_all;
    use tokio::time::Instant;

    use super::*;
    use crate::base::{Clock, cx::CxFacts};

    fn cx(last: u8) -> Cx {
        let client = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        Cx::new(CxFacts { client, ..CxFacts::clone(&Cx::system("test", Clock::system())) })
    }

    async fn fail(throttle: &Throttle, last: u8) -> Reason {
        let refused = async { Err::<(), _>(Error::denied(Reason::EnrollmentTokenInvalid, "no")) };
        throttle.attempt(&cx(last), || refused).await.unwrap_err().reason
    }

    #[test]
    fn the_delay_doubles_up_to_two_seconds() {
        assert_eq!((delay(0), delay(FREE_FAILURES)), (Duration::ZERO, Duration::ZERO));
        assert_eq!((delay(FREE_FAILURES + 1), delay(FREE_FAILURES + 3)), (BASE_DELAY, 4 * BASE_DELAY));
        assert_eq!((delay(FREE_FAILURES + 6), delay(u32::MAX)), (MAX_DELAY, MAX_DELAY));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_address_with_failures_waits() {
        let throttle = Throttle::default();
        let began = Instant::now();
        join_all((0..=FREE_FAILURES).map(|_| fail(&throttle, 1))).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(throttle.attempt(&cx(1), || async { Ok(7) }).await.unwrap(), 7);
        assert_eq!(began.elapsed(), BASE_DELAY, "a valid token waits, too, and does not count");
        fail(&throttle, 2).await;
        assert_eq!(began.elapsed(), BASE_DELAY);
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_not_counted() {
        let throttle = Throttle::default();
        let began = Instant::now();
        for _ in 0..2 * FREE_FAILURES {
            let full = async { Err::<(), _>(Error::internal("no")) };
            assert_eq!(throttle.attempt(&cx(1), || full).await.unwrap_err().reason, Reason::Internal);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_waiting_attempts_is_limited() {
        let throttle = Throttle::default();
        join_all((0..=FREE_FAILURES).map(|_| fail(&throttle, 1))).await;
        let reasons = join_all((0..MAX_WAITING + 9).map(|_| fail(&throttle, 1))).await;
        let refused = reasons.iter().filter(|reason| **reason == Reason::TooManyAttempts).count();
        assert_eq!(refused, 9);
        assert_eq!(fail(&throttle, 1).await, Reason::EnrollmentTokenInvalid, "those that waited are gone");
    }
}
