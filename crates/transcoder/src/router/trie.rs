//! Rules by segment.

use smallvec::smallvec;

use super::{Ends, Found, Path, Segment, choose};

#[derive(Debug)]
pub(super) struct Trie(Vec<Node>);

impl Default for Trie {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted: there are few, and a binary search is faster than hashing.
    literals: Vec<Literal>,
    any: Option<usize>,
    ends: Ends,
    rests: Vec<Rest>,
}

/// The rules that continue with `**` and then these literals.
#[derive(Debug)]
struct Rest {
    suffix: &'static [Segment],
    ends: Ends,
}

/// A literal and its node.
#[derive(Debug)]
struct Literal {
    /// The start of the text. Most texts differ there, and numbers are compared faster.
    begin: u64,
    text: &'static str,
    next: usize,
}

/// The first eight bytes of a text, as a number with the same order.
fn begin(text: &str) -> u64 {
    let mut first = [0; 8];
    let length = text.len().min(8);
    first[..length].copy_from_slice(&text.as_bytes()[..length]);
    u64::from_be_bytes(first)
}

impl Trie {
    pub(super) fn add(&mut self, method: &'static str, segments: &'static [Segment], rule: usize) {
        let mut node = 0;
        for (index, segment) in segments.iter().enumerate() {
            node = match segment {
                Segment::Literal(text) => match self.0[node].place(text) {
                    Ok(place) => self.0[node].literals[place].next,
                    Err(place) => {
                        let next = self.push();
                        self.0[node].literals.insert(place, Literal { begin: begin(text), text, next });
                        next
                    }
                },
                Segment::Any => match self.0[node].any {
                    Some(next) => next,
                    None => {
                        let next = self.push();
                        self.0[node].any = Some(next);
                        next
                    }
                },
                Segment::Rest => return self.0[node].add_rest(method, &segments[index + 1..], rule),
            };
        }
        self.0[node].ends.push((method, rule));
    }

    fn push(&mut self) -> usize {
        self.0.push(Node::default());
        self.0.len() - 1
    }

    pub(super) fn find(&self, method: &str, path: &Path<'_>) -> Found {
        let mut others = Vec::new();
        let mut pick = |ends: &[(&'static str, usize)]| {
            let rule = choose(method, ends);
            if rule.is_none() {
                others.extend(ends.iter().map(|(method, _)| *method));
            }
            rule
        };
        match self.walk(0, 0, path, &mut pick) {
            Some(rule) => Found::Rule(rule),
            None if others.is_empty() => Found::Nothing,
            None => {
                others.sort_unstable();
                others.dedup();
                Found::OtherMethods(others)
            }
        }
    }

    fn walk(
        &self,
        node: usize,
        index: usize,
        path: &Path<'_>,
        pick: &mut impl FnMut(&[(&'static str, usize)]) -> Option<usize>,
    ) -> Option<usize> {
        let node = &self.0[node];
        if index == path.len() {
            if let Some(rule) = pick(&node.ends) {
                return Some(rule);
            }
        } else {
            if let Some(next) = node.literal(path.literal(index))
                && let Some(rule) = self.walk(next, index + 1, path, pick)
            {
                return Some(rule);
            }
            if let Some(next) = node.any
                && let Some(rule) = self.walk(next, index + 1, path, pick)
            {
                return Some(rule);
            }
        }
        node.rests.iter().filter(|rest| rest.matches(index, path)).find_map(|rest| pick(&rest.ends))
    }
}

impl Node {
    fn literal(&self, text: &str) -> Option<usize> {
        if let [literal] = &*self.literals {
            return (literal.text == text).then_some(literal.next);
        }
        self.place(text).ok().map(|place| self.literals[place].next)
    }

    /// The position of a literal, or where to insert it.
    fn place(&self, text: &str) -> Result<usize, usize> {
        let begin = begin(text);
        self.literals.binary_search_by(|one| one.begin.cmp(&begin).then_with(|| one.text.cmp(text)))
    }

    fn add_rest(&mut self, method: &'static str, suffix: &'static [Segment], rule: usize) {
        match self.rests.iter_mut().find(|rest| rest.suffix == suffix) {
            Some(rest) => rest.ends.push((method, rule)),
            None => {
                self.rests.push(Rest { suffix, ends: smallvec![(method, rule)] });
                // Literals beat the end: the longer suffix is the more specific one.
                self.rests.sort_by_key(|rest| std::cmp::Reverse(rest.suffix.len()));
            }
        }
    }
}

impl Rest {
    fn matches(&self, from: usize, path: &Path<'_>) -> bool {
        let Some(start) = path.len().checked_sub(self.suffix.len()) else { return false };
        start >= from
            && self.suffix.iter().enumerate().all(|(index, segment)| match segment {
                Segment::Literal(text) => *text == path.literal(start + index),
                Segment::Any | Segment::Rest => true,
            })
    }
}
