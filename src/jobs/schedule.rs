//! When a job runs.

use std::time::Duration;

/// The default delay after the first failure.
const RETRY: Duration = Duration::from_secs(1);
/// The default upper bound of that delay.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// When a job runs. Delays start at the end of a run, so long or late runs do not pile up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    period: Option<Duration>,
    rest: Duration,
    retry: Duration,
    longest_retry: Duration,
    at_start: bool,
}

impl Schedule {
    /// Repeatedly, with at most `period` between two runs. At startup a job that every server runs is run at once, and a leased
    /// job if it is due.
    pub const fn every(period: Duration) -> Self {
        Self { period: Some(period), ..Self::once() }
    }

    /// For a job that deletes rows after a retention: the period is a 24th of it, at least 10 seconds and at most an hour.
    pub fn for_retention(retention: Duration) -> Self {
        Self::every((retention / 24).clamp(Duration::from_secs(10), Duration::from_secs(3600)))
    }

    /// At startup, until it has succeeded; after that only when it is woken.
    pub const fn once() -> Self {
        Self { period: None, rest: Duration::ZERO, retry: RETRY, longest_retry: LONGEST_RETRY, at_start: false }
    }

    /// Also at the startup of each server, whether or not it is due.
    pub const fn at_each_start(self) -> Self {
        Self { at_start: true, ..self }
    }

    /// With at least `rest` between two runs, even if it is woken, unless a run reports that there is more to do.
    pub const fn with_rest(self, rest: Duration) -> Self {
        Self { rest, ..self }
    }

    /// With this delay after a failure, doubled after each consecutive failure, up to `longest`.
    pub const fn with_retry(self, retry: Duration, longest: Duration) -> Self {
        Self { retry, longest_retry: longest, ..self }
    }

    /// The longest time between two runs; `None` if the job is not periodic.
    pub fn period(&self) -> Option<Duration> {
        self.period
    }

    /// Whether the job runs at the startup of each server.
    pub(super) fn at_start(&self) -> bool {
        self.at_start
    }

    /// The longest delay between two runs; `None` if the job is not periodic.
    pub(super) fn longest_pause(&self) -> Option<Duration> {
        self.period.map(|period| period.max(self.longest_retry))
    }

    /// The shortest delay, except between batches.
    pub(super) fn rest(&self) -> Duration {
        self.rest
    }

    /// The delay after a success: the period, shortened by up to 10 % so that servers do not stay in step.
    pub(super) fn after_success(&self) -> Option<Duration> {
        self.period.map(shortened)
    }

    /// The delay after this many consecutive failures.
    pub(super) fn after_failures(&self, failures: u32) -> Duration {
        backoff(self.retry, self.longest_retry, failures)
    }
}

/// The delay after this many consecutive failures: doubled after each, up to `longest`, and shortened by up to 10 % at random.
pub fn backoff(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    shortened(doubled.min(longest))
}

/// The delay, shortened by up to 10 % at random.
fn shortened(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.9..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_with_each_failure_up_to_a_limit() {
        let schedule = Schedule::once().with_retry(Duration::from_secs(1), Duration::from_secs(20));
        for (failures, seconds) in [(1, 1.0), (2, 2.0), (4, 8.0), (6, 20.0), (u32::MAX, 20.0)] {
            let pause = schedule.after_failures(failures).as_secs_f64();
            assert!((0.9 * seconds..=seconds).contains(&pause), "{failures} failures: {pause} s");
        }
        let longest = Schedule::every(Duration::from_secs(1)).after_failures(u32::MAX);
        assert!(longest <= LONGEST_RETRY && longest >= LONGEST_RETRY.mul_f64(0.9), "{longest:?}");
    }

    #[test]
    fn the_period_is_shortened_by_at_most_a_tenth() {
        let period = Duration::from_secs(10);
        for _ in 0..100 {
            let pause = Schedule::every(period).after_success().unwrap();
            assert!(pause <= period && pause >= period.mul_f64(0.9), "{pause:?}");
        }
        assert_eq!(Schedule::once().after_success(), None);
    }
}
