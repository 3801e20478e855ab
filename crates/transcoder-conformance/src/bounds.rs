//! How much memory may be held at once for what comes in: never more than a constant, and a constant times its length.
//!
//! The constants follow from the sizes of the messages, because a few bytes of text can ask for a message: that of the
//! tables is far larger than those of services. `Habits::max_items` and `Habits::max_depth` bound it besides, whatever
//! the length.

use crate::proto::conformance::{query::v1::Request, v1::Everything};

/// A bound on the bytes that are held at once.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Bytes for nothing.
    pub base: usize,
    /// Bytes for each byte that comes in.
    pub each: usize,
}

/// What any call may take: scratch of the format library, tables that are made once, the call itself.
const BASE: usize = 64 << 10;

/// Entries of a node of a `BTreeMap`, which holds room for all of them once it has one.
const ENTRIES: usize = 11;

/// A `String` without its text.
const STRING: usize = size_of::<String>();

/// Reading an `Everything`. The most for the least: a map whose values are messages, of which the first entry makes a
/// node with room for eleven. No text that does it is shorter than the one here.
pub const JSON: Bound = Bound {
    base: BASE,
    each: ENTRIES * (STRING + size_of::<Everything>()) / "\"mapStringEverything\":{\"\":{}}".len(),
};

/// Finding the rule of a path. A segment takes two bytes and becomes a slice, beside its canonical form; lists of them
/// double as they grow, and there is one with the verb and one without.
pub const PATH: Bound = Bound { base: BASE, each: 2 * 3 * (size_of::<&str>() + STRING) / 2 };

/// A whole call with a query. The most for the least: a step of a path into a message that is not there yet.
pub const QUERY: Bound = Bound { base: BASE, each: size_of::<Request>() / "level.".len() + 3 * STRING };

impl Bound {
    /// Whether so many bytes may be held for an input of a length.
    pub fn admits(&self, length: usize, peak: u64) -> bool {
        peak <= (self.base + self.each * length) as u64
    }

    /// Fails unless [`Bound::admits`] it.
    ///
    /// # Panics
    /// More was held.
    pub fn check(&self, what: &str, length: usize, peak: u64) {
        assert!(self.admits(length, peak), "{what}: {peak} bytes were held for {length}; {self:?}");
    }
}
