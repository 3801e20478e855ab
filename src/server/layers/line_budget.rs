//! Limits the log lines of anonymous callers.
//!
//! Each call has a line. Anonymous callers could fill the disk as fast as the network allows, so calls without a
//! credential share a budget for each minute, by subscriber and in total.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::base::subscriber;

/// Lines of one subscriber, and of all, in a period.
const OF_ONE: u32 = 600;
const OF_ALL: u32 = 6000;
const PERIOD: Duration = Duration::from_secs(60);

/// The budget of calls without a credential.
#[derive(Debug)]
pub(super) struct LineBudget(Mutex<Period>);

#[derive(Debug)]
struct Period {
    began: Instant,
    of_all: u32,
    /// By subscriber. Bounded by the total: a subscriber without lines is not in it.
    of_one: HashMap<Option<IpAddr>, u32>,
}

impl Default for LineBudget {
    fn default() -> Self {
        Self(Mutex::new(Period::begin(Instant::now())))
    }
}

impl LineBudget {
    /// Whether a call from an address may have its line. Logs the first time in a period that it may not.
    pub(super) fn take(&self, client: Option<IpAddr>) -> bool {
        let may = self.take_at(client.map(subscriber), Instant::now());
        if !may {
            metrics::counter!("tenantry_access_lines_left_out_total").increment(1);
        }
        may
    }

    fn take_at(&self, subscriber: Option<IpAddr>, now: Instant) -> bool {
        let mut period = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(period.began) >= PERIOD {
            *period = Period::begin(now);
        }
        if period.of_all >= OF_ALL {
            if period.of_all == OF_ALL {
                period.of_all += 1;
                tracing::warn!("too many calls without a credential to log each; no more are logged this minute");
            }
            return false;
        }
        let lines = period.of_one.entry(subscriber).or_default();
        *lines += 1;
        if *lines > OF_ONE {
            if *lines == OF_ONE + 1 {
                let client = subscriber.map_or("unknown".to_owned(), |address| address.to_string());
                tracing::warn!(
                    client,
                    "too many calls without a credential to log each; no more are logged this minute"
                );
            }
            return false;
        }
        period.of_all += 1;
        true
    }
}

impl Period {
    fn begin(began: Instant) -> Self {
        Self { began, of_all: 0, of_one: HashMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_without_a_credential_have_a_bounded_number_of_lines_a_minute() {
        let (budget, now) = (LineBudget::default(), Instant::now());
        let lines = |last: u8, at: Instant| {
            let client = Some(IpAddr::from([192, 0, 2, last]));
            (0..10_000).filter(|_| budget.take_at(client, at)).count()
        };
        assert_eq!((lines(1, now), lines(1, now + PERIOD / 2), lines(1, now + PERIOD)), (600, 0, 600));
        let others: usize = (2..100).map(|last| lines(last, now + PERIOD)).sum();
        assert_eq!(others, 5400, "all of them together");
        assert_eq!(lines(1, now + 2 * PERIOD), 600);
    }
}
