//! A digest of the rows of a table that does not depend on their order, so that they need not be sorted.
//!
//! Of the SHA-256 of each row, four parts of 60 bits are added up, each for itself; both databases can do that. The digest of the table is
//! the SHA-256 of the sums and of the number of rows.

use sha2::{Digest, Sha256};

use super::manifest::TableDigest;
use crate::base::digest::sha256_hex;

/// The number of rows, and the sums of the parts of their digests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub rows: u64,
    pub parts: [u128; 4],
}

impl Sums {
    /// Adds a row with this digest.
    pub fn add(&mut self, row: Sha256) {
        self.rows += 1;
        let digest: [u8; 32] = row.finalize().into();
        for (sum, part) in self.parts.iter_mut().zip(digest.chunks_exact(8)) {
            let part = part.iter().fold(0_u64, |part, byte| part << 8 | u64::from(*byte));
            *sum += u128::from(part >> 4);
        }
    }
}

impl From<Sums> for TableDigest {
    fn from(sums: Sums) -> Self {
        let [one, two, three, four] = sums.parts;
        let text = format!("{} {one} {two} {three} {four}", sums.rows);
        Self { rows: sums.rows, sha256: sha256_hex([text.as_bytes()]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[&str]) -> TableDigest {
        let mut sums = Sums::default();
        rows.iter().for_each(|row| sums.add(Sha256::new_with_prefix(row)));
        sums.into()
    }

    #[test]
    fn a_digest_depends_on_each_row_and_not_on_their_order() {
        let rows = digest(&["a", "b", "c"]);
        assert_eq!(rows, digest(&["c", "a", "b"]));
        assert_eq!(rows.rows, 3);
        for other in [&["a", "b"][..], &["a", "b", "d"], &["a", "b", "c", "c"], &["a", "b", "b"], &[]] {
            assert_ne!(rows, digest(other), "{other:?}");
        }
    }
}
