//! Counters of sessions. A gateway reports cumulative counters, which start again at 0 with a new epoch; its reports may arrive late, in
//! another order, or not at all.

use crate::store::columns::{Counters, Reading};

/// What a session received and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub bytes_in: i64,
    pub bytes_out: i64,
}

impl Traffic {
    pub fn add(&mut self, more: Self) {
        self.bytes_in = self.bytes_in.saturating_add(more.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(more.bytes_out);
    }
}

/// Reads counters once more. Returns what the session received and sent that was not counted yet.
pub fn advance(counters: &mut Counters, new: Reading) -> Traffic {
    let (Some(first), Some(last)) = (counters.first, counters.last) else {
        *counters = Counters { before: None, first: Some(new), last: Some(new) };
        return whole(new);
    };
    if new.sequence > last.sequence {
        if is_continued(last, new) {
            counters.last = Some(new);
            return between(last, new);
        }
        *counters = Counters { before: Some(last), first: Some(new), last: Some(new) };
        return whole(new);
    }
    if new.sequence >= first.sequence {
        // A later report of the epoch has counted it.
        return Traffic::default();
    }
    late(counters, first, new)
}

/// A report from before the current epoch.
fn late(counters: &mut Counters, first: Reading, new: Reading) -> Traffic {
    match counters.before {
        Some(before) if new.sequence <= before.sequence => Traffic::default(),
        Some(before) if is_continued(before, new) => {
            counters.before = Some(new);
            between(before, new)
        }
        _ if is_continued(new, first) => {
            counters.first = Some(new);
            Traffic::default()
        }
        // An epoch of its own.
        _ => {
            counters.before = Some(new);
            whole(new)
        }
    }
}

/// Whether the later of two readings may belong to the same epoch.
fn is_continued(earlier: Reading, later: Reading) -> bool {
    earlier.bytes_in <= later.bytes_in && earlier.bytes_out <= later.bytes_out
}

fn whole(reading: Reading) -> Traffic {
    Traffic { bytes_in: reading.bytes_in, bytes_out: reading.bytes_out }
}

fn between(earlier: Reading, later: Reading) -> Traffic {
    Traffic { bytes_in: later.bytes_in - earlier.bytes_in, bytes_out: later.bytes_out - earlier.bytes_out }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The total of readings of both counters, in the order of their arrival.
    fn total(readings: &[(i64, i64)]) -> i64 {
        let (mut counters, mut traffic) = (Counters::default(), Traffic::default());
        for (sequence, bytes) in readings {
            traffic
                .add(advance(&mut counters, Reading { sequence: *sequence, bytes_in: *bytes, bytes_out: 2 * bytes }));
        }
        assert_eq!(traffic.bytes_out, 2 * traffic.bytes_in);
        traffic.bytes_in
    }

    #[test]
    fn counters_are_cumulative() {
        assert_eq!(total(&[(1, 10)]), 10);
        assert_eq!(total(&[(1, 10), (2, 10), (3, 25)]), 25);
        assert_eq!(total(&[(1, 10), (4, 25)]), 25, "reports may be missing");
    }

    #[test]
    fn a_counter_that_goes_down_begins_an_epoch() {
        assert_eq!(total(&[(1, 80), (2, 10), (3, 30)]), 110);
        assert_eq!(total(&[(1, 80), (2, 0), (3, 0)]), 80);
        let mut counters = Counters::default();
        advance(&mut counters, Reading { sequence: 1, bytes_in: 5, bytes_out: 9 });
        let one_went_down = advance(&mut counters, Reading { sequence: 2, bytes_in: 6, bytes_out: 1 });
        assert_eq!(one_went_down, Traffic { bytes_in: 6, bytes_out: 1 });
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        // The total is known only from all of them, in their order.
        for (ordered, expected) in [
            (vec![(1, 10), (2, 20), (3, 30)], 30),
            (vec![(4, 80), (5, 100), (6, 10), (7, 12)], 112),
            (vec![(4, 80), (5, 30), (6, 10)], 120),
            (vec![(4, 80), (5, 30), (6, 40)], 120),
        ] {
            assert_eq!(total(&ordered), expected, "{ordered:?}");
            let mut swapped = ordered.clone();
            swapped.swap(1, 2);
            assert_eq!(total(&swapped), expected, "{swapped:?}");
        }
        assert_eq!(total(&[(2, 20), (1, 10), (3, 30)]), 30);
        assert_eq!(total(&[(2, 5), (1, 10), (3, 30)]), 40, "the first report was of an epoch before");
    }

    #[test]
    fn a_repeated_number_counts_once() {
        assert_eq!(total(&[(1, 10), (1, 10), (2, 20), (1, 15), (2, 99)]), 20);
    }
}
