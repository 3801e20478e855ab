//! Bundles: the hash ranges by which the topics of a namespace are distributed over brokers.

use std::collections::BTreeSet;

use crate::{
    base::{Error, Result, error::Reason},
    proto::messaging::v2::BundlesData,
};

/// The default number of bundles.
const DEFAULT: i32 = 4;
/// Maximum number of bundles: more than any installation has, and few enough for a list.
pub const MAX: i32 = 4096;
const HASHES: u64 = 1 << 32;
const LAST: u32 = u32::MAX;

/// The stored form of the given bundles: none if neither a number nor boundaries are given.
pub fn checked(given: &BundlesData) -> Result<Option<BundlesData>> {
    if given.num_bundles <= 0 && given.boundaries.is_empty() {
        return Ok(None);
    }
    if given.num_bundles > MAX || given.boundaries.len() > MAX as usize + 1 {
        let text = format!("Invalid number of bundles. Number of numbundles has to be in the range of (0, {MAX}].");
        return Err(invalid(text));
    }
    if given.boundaries.is_empty() {
        return Ok(Some(given.clone()));
    }
    let boundaries = given.boundaries.iter().map(|text| read(text)).collect::<Result<BTreeSet<_>>>()?;
    match (boundaries.first(), boundaries.last()) {
        (Some(0), Some(&LAST)) => Ok(Some(BundlesData {
            // The number of ranges, whatever the caller counted. At most 4096.
            num_bundles: boundaries.len() as i32 - 1,
            boundaries: boundaries.into_iter().map(write).collect(),
        })),
        (first, last) => {
            let shown = |boundary: Option<&u32>| write(boundary.copied().unwrap_or_default());
            let (first, last) = (shown(first), shown(last));
            Err(invalid(format!("Input bundles do not cover the whole hash range. first:{first}, last:{last}")))
        }
    }
}

/// Bundles with their boundaries, as they are returned.
pub fn whole(stored: Option<&BundlesData>) -> BundlesData {
    match stored {
        Some(stored) if !stored.boundaries.is_empty() => stored.clone(),
        Some(stored) => evenly(stored.num_bundles),
        None => evenly(DEFAULT),
    }
}

/// Ranges of equal size; the last one has the remainder.
fn evenly(number: i32) -> BundlesData {
    let count = u64::from(number.max(1).unsigned_abs());
    // All but the last are below the number of hashes, so they fit 32 bits.
    let starts = (0..count).map(|place| (HASHES / count * place) as u32);
    BundlesData { boundaries: starts.chain([LAST]).map(write).collect(), num_bundles: number.max(1) }
}

fn read(text: &str) -> Result<u32> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let number = match digits {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        _ => None,
    };
    number.ok_or_else(|| invalid("a boundary of bundles is 0x and a number of 32 bits in hexadecimal"))
}

fn write(boundary: u32) -> String {
    format!("0x{boundary:08x}")
}

fn invalid(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(Reason::PolicyInvalid, "policies.bundles", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundles(num_bundles: i32, boundaries: &[&str]) -> BundlesData {
        BundlesData { num_bundles, boundaries: boundaries.iter().map(|text| (*text).to_owned()).collect() }
    }

    #[test]
    fn ranges_are_of_one_size() {
        let four = ["0x00000000", "0x40000000", "0x80000000", "0xc0000000", "0xffffffff"];
        assert_eq!(whole(None), bundles(4, &four));
        assert_eq!(whole(Some(&bundles(1, &[]))), bundles(1, &["0x00000000", "0xffffffff"]));
        let three = ["0x00000000", "0x55555555", "0xaaaaaaaa", "0xffffffff"];
        assert_eq!(whole(Some(&bundles(3, &[]))), bundles(3, &three));
        assert_eq!(whole(Some(&bundles(MAX, &[]))).boundaries.len(), 4097);
    }

    #[test]
    fn bundles_cover_every_hash() {
        assert_eq!(checked(&bundles(0, &[])).unwrap(), None);
        let two = ["0x00000000", "0x80000000", "0xffffffff"];
        assert_eq!(checked(&bundles(0, &two)).unwrap(), Some(bundles(2, &two)), "boundaries need no number");
        assert_eq!(checked(&bundles(MAX, &[])).unwrap(), Some(bundles(MAX, &[])));
        let given = bundles(7, &["0xffffffff", "0x1", "0x0", "0x00000001"]);
        assert_eq!(checked(&given).unwrap(), Some(bundles(2, &["0x00000000", "0x00000001", "0xffffffff"])));
        for bad in [
            bundles(MAX + 1, &[]),
            bundles(-1, &["0x0"]),
            bundles(2, &["0x0", "0x80000000"]),
            bundles(2, &["0x1", "0xffffffff"]),
            bundles(2, &["0x0", "0x1ffffffff"]),
            bundles(2, &["0x0", "+1", "0xffffffff"]),
            bundles(2, &["0x0", "0x", "0xffffffff"]),
        ] {
            assert_eq!(checked(&bad).unwrap_err().reason, Reason::PolicyInvalid, "{bad:?}");
        }
    }
}
