//! Rules that consist of literals, by their whole path.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::{Ends, Segment, Template, choose};

/// Rules that consist of literals, by their canonical path. A path found here in the form in which it came is the most
/// specific match possible. Other paths and other methods are left to the trie.
#[derive(Debug, Default)]
pub(super) struct Literals(HashMap<Box<str>, Ends, BuildHasherDefault<PathHasher>>);

impl Literals {
    pub(super) fn add(&mut self, method: &'static str, template: &Template, rule: usize) {
        let mut path = String::new();
        for segment in template.segments {
            let Segment::Literal(text) = segment else { return };
            path.extend(["/", text]);
        }
        match (path.is_empty(), template.verb) {
            (true, "") => path.push('/'),
            // A verb must follow a segment.
            (true, _) => return,
            (false, "") => {}
            (false, verb) => path.extend([":", verb]),
        }
        self.0.entry(path.into()).or_default().push((method, rule));
    }

    pub(super) fn find(&self, method: &str, path: &str) -> Option<usize> {
        self.0.get(path).and_then(|ends| choose(method, ends))
    }
}

/// A fast hash. Its keys are the program's own paths, so an attacker cannot cause collisions.
#[derive(Clone, Copy, Debug, Default)]
struct PathHasher(u64);

/// An odd number with well-mixed bits: the golden ratio.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

impl PathHasher {
    /// Mixes in two words by one multiplication and folds the halves.
    fn mix(&mut self, first: u64, second: u64) {
        let product = u128::from(self.0 ^ first) * u128::from(FACTOR ^ second);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn mix_chunk(&mut self, chunk: &[u8; 16]) {
        let words = u128::from_le_bytes(*chunk);
        self.mix(words as u64, (words >> 64) as u64);
    }
}

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= bytes.len() as u64;
        match bytes.last_chunk::<16>() {
            Some(last) => {
                // The last chunk may overlap the one before.
                bytes.as_chunks::<16>().0.iter().for_each(|chunk| self.mix_chunk(chunk));
                self.mix_chunk(last);
            }
            None => {
                let mut chunk = [0; 16];
                chunk[..bytes.len()].copy_from_slice(bytes);
                self.mix_chunk(&chunk);
            }
        }
    }

    /// The terminator of a string adds nothing: a key has only one string.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
