//! Digests of text, as they are stored and compared.

use sha2::{Digest, Sha256};

/// SHA-256 of the concatenated parts, in lower-case hex.
pub fn sha256_hex<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> String {
    let digest = parts.into_iter().fold(Sha256::new(), Sha256::chain_update).finalize();
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut hex, byte| {
        use std::fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_matches_the_standard() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex([&b"abc"[..]]), abc);
        assert_eq!(sha256_hex([&b"a"[..], b"", b"bc"]), abc);
    }
}
