//! The memory of used proofs. A proof is remembered as long as it could be used again; if there is no room, new ones are
//! refused.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

/// Maximum number of remembered proofs of one key, and of all. A key cannot take the room of all others.
const MOST_OF_KEY: usize = 4096;
const MOST: usize = 262_144;

/// The digest of a thumbprint or of the id of a proof, so that every entry has the same size.
type Mark = [u8; 32];

/// Why a proof cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It was used before.
    Used,
    /// There is no room to remember it.
    Full,
}

/// The proofs that were used, of this process.
#[derive(Debug)]
pub(super) struct Used {
    seen: Mutex<Seen>,
    most_of_key: usize,
    most: usize,
}

#[derive(Debug, Default)]
struct Seen {
    by_key: HashMap<Mark, HashSet<Mark>>,
    /// When each may be forgotten, the next one first.
    due: BinaryHeap<Reverse<(i64, Mark, Mark)>>,
}

impl Default for Used {
    fn default() -> Self {
        Self { seen: Mutex::default(), most_of_key: MOST_OF_KEY, most: MOST }
    }
}

impl Used {
    /// Remembers a proof of a key until `until`, in seconds since the Unix epoch. Fails if it was used before.
    pub(super) fn note(&self, thumbprint: &str, id: &str, until: i64, now: i64) -> Result<(), Unusable> {
        let [key, id] = [thumbprint, id].map(|text| Sha256::digest(text.as_bytes()).into());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(now);
        let own = seen.by_key.get(&key);
        if own.is_some_and(|own| own.contains(&id)) {
            return Err(Unusable::Used);
        }
        if seen.due.len() >= self.most || own.is_some_and(|own| own.len() >= self.most_of_key) {
            return Err(Unusable::Full);
        }
        seen.by_key.entry(key).or_default().insert(id);
        seen.due.push(Reverse((until, key, id)));
        Ok(())
    }
}

impl Seen {
    /// Forgets the proofs that are out of date by themselves.
    fn forget(&mut self, now: i64) {
        while let Some(Reverse((until, key, id))) = self.due.peek().copied() {
            if until >= now {
                return;
            }
            self.due.pop();
            if let Some(own) = self.by_key.get_mut(&key) {
                own.remove(&id);
                if own.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_used_once_for_each_key() {
        let used = Used::default();
        assert_eq!(used.note("a", "1", 100, 0), Ok(()));
        assert_eq!(used.note("a", "1", 100, 100), Err(Unusable::Used), "as long as it is valid");
        assert_eq!((used.note("b", "1", 100, 0), used.note("a", "2", 100, 0)), (Ok(()), Ok(())));
        assert_eq!(used.note("a", "1", 300, 101), Ok(()));
        assert_eq!(used.seen.lock().unwrap().due.len(), 1, "the others were forgotten");
        assert_eq!(used.seen.lock().unwrap().by_key.len(), 1);
    }

    #[test]
    fn a_full_memory_refuses_and_does_not_forget() {
        let used = Used { most_of_key: 2, most: 3, ..Used::default() };
        assert_eq!((used.note("a", "1", 100, 0), used.note("a", "2", 200, 0)), (Ok(()), Ok(())));
        assert_eq!(used.note("a", "3", 100, 0), Err(Unusable::Full), "one key");
        assert_eq!(used.note("b", "1", 100, 0), Ok(()));
        assert_eq!(used.note("c", "1", 100, 0), Err(Unusable::Full), "all keys");
        for (key, id) in [("a", "1"), ("a", "2"), ("b", "1")] {
            assert_eq!(used.note(key, id, 100, 50), Err(Unusable::Used), "{key} {id}");
        }
        assert_eq!(used.note("c", "1", 200, 101), Ok(()), "when the first are out of date");
    }
}
