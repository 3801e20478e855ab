//! Limits on the memory that an input may take at once: a constant, and a constant times its length.
//!
//! The constants follow from the sizes of the messages, because a few bytes of text can allocate a whole message: the
//! one of the tables is far larger than those of services. `JsonOptions::max_items` and `JsonOptions::max_depth` limit
//! it in addition, independent of the length.

use crate::proto::conformance::{query::v1::Request, v1::Everything};

/// A limit on the bytes that are allocated at once.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Bytes for an empty input.
    pub base: usize,
    /// Bytes for each input byte.
    pub each: usize,
}

/// Allowed for every call: buffers of the format library, tables that are built once, the call itself.
const BASE: usize = 64 << 10;

/// Entries of a node of a `BTreeMap`, which is allocated as a whole.
const ENTRIES: usize = 11;

/// A `String` without its text.
const STRING: usize = size_of::<String>();

/// Reading an `Everything`. The worst ratio: a map with message values, whose first entry allocates a node for eleven.
/// No shorter text does that than the one here.
pub const JSON: Bound = Bound {
    base: BASE,
    each: ENTRIES * (STRING + size_of::<Everything>()) / "\"mapStringEverything\":{\"\":{}}".len(),
};

/// Finding the rule of a path. A segment takes two bytes and becomes a slice, in addition to its canonical form; their
/// lists double as they grow, and there is one with the verb and one without.
pub const PATH: Bound = Bound { base: BASE, each: 2 * 3 * (size_of::<&str>() + STRING) / 2 };

/// A whole call with a query. The worst ratio: a step of a path into a message that is not allocated yet.
pub const QUERY: Bound = Bound { base: BASE, each: size_of::<Request>() / "level.".len() + 3 * STRING };

impl Bound {
    /// Whether this peak is allowed for an input of a length.
    pub fn admits(&self, length: usize, peak: u64) -> bool {
        peak <= (self.base + self.each * length) as u64
    }

    /// Fails unless [`Bound::admits`] it.
    ///
    /// # Panics
    /// The peak is over the limit.
    pub fn check(&self, what: &str, length: usize, peak: u64) {
        assert!(self.admits(length, peak), "{what}: {peak} bytes were held for {length}; {self:?}");
    }
}
