//! When a job runs.

use std::time::Duration;

/// The first pause after a failure, unless the job says otherwise.
const RETRY: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// When a job runs. Every pause begins at the end of a run, so runs that take long or are late do not pile up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    period: Option<Duration>,
    rest: Duration,
    retry: Duration,
    longest_retry: Duration,
    at_start: bool,
}

impl Schedule {
    /// So long after each run at the latest. A server that starts runs it if it is due; a job that each server does for
    /// itself always is.
    pub const fn every(period: Duration) -> Self {
        Self { period: Some(period), ..Self::once() }
    }

    /// At the start, until it has succeeded; then only when it is woken.
    pub const fn once() -> Self {
        Self { period: None, rest: Duration::ZERO, retry: RETRY, longest_retry: LONGEST_RETRY, at_start: false }
    }

    /// And whenever a server starts.
    pub const fn at_each_start(self) -> Self {
        Self { at_start: true, ..self }
    }

    /// Nor sooner than so long after a run that left nothing to do, although it is woken.
    pub const fn with_rest(self, rest: Duration) -> Self {
        Self { rest, ..self }
    }

    /// The pause after a failure, which doubles with each further one up to `longest`.
    pub const fn with_retry(self, retry: Duration, longest: Duration) -> Self {
        Self { retry, longest_retry: longest, ..self }
    }

    /// The time between two runs; `None` if there is no second one.
    pub fn period(&self) -> Option<Duration> {
        self.period
    }

    /// Whether each server that starts runs it.
    pub(super) fn at_start(&self) -> bool {
        self.at_start
    }

    /// The longest pause; `None` if there is a run that nothing but a wake-up follows.
    pub(super) fn longest_pause(&self) -> Option<Duration> {
        self.period.map(|period| period.max(self.longest_retry))
    }

    /// The shortest pause.
    pub(super) fn rest(&self) -> Duration {
        self.rest
    }

    /// The pause after a run that succeeded. Up to a tenth shorter than the period, so that servers that started together
    /// do not stay together.
    pub(super) fn after_success(&self) -> Option<Duration> {
        self.period.map(shortened)
    }

    /// The pause after so many failures in a row.
    pub(super) fn after_failures(&self, failures: u32) -> Duration {
        let doubled = self.retry.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        shortened(doubled.min(self.longest_retry))
    }
}

/// A pause less up to a tenth of it.
fn shortened(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.9..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_up_to_a_bound() {
        let schedule = Schedule::once().with_retry(Duration::from_secs(1), Duration::from_secs(20));
        for (failures, seconds) in [(1, 1.0), (2, 2.0), (4, 8.0), (6, 20.0), (u32::MAX, 20.0)] {
            let pause = schedule.after_failures(failures).as_secs_f64();
            assert!((0.9 * seconds..=seconds).contains(&pause), "{failures} failures: {pause} s");
        }
        let longest = Schedule::every(Duration::from_secs(1)).after_failures(u32::MAX);
        assert!(longest <= LONGEST_RETRY && longest >= LONGEST_RETRY.mul_f64(0.9), "{longest:?}");
    }

    #[test]
    fn the_period_is_the_longest_pause() {
        let period = Duration::from_secs(10);
        for _ in 0..100 {
            let pause = Schedule::every(period).after_success().unwrap();
            assert!(pause <= period && pause >= period.mul_f64(0.9), "{pause:?}");
        }
        assert_eq!(Schedule::once().after_success(), None);
    }
}
