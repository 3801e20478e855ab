//! Percentiles of durations.

use std::time::Duration;

/// Durations, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Percentiles(Vec<Duration>);

impl Percentiles {
    /// Sorts durations.
    pub fn of(durations: impl IntoIterator<Item = Duration>) -> Self {
        let mut durations: Vec<_> = durations.into_iter().collect();
        durations.sort_unstable();
        Self(durations)
    }

    /// The smallest duration that at least this percentage does not exceed; zero if there is none.
    pub fn at(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// The number of durations.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let all = Percentiles::of((1..=200).rev().map(Duration::from_millis));
        assert_eq!([50, 99, 100].map(|percent| all.at(percent).as_millis()), [100, 198, 200]);
        assert_eq!(Percentiles::default().at(50), Duration::ZERO);
    }
}
