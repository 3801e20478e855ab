//! The router: which rule of `google.api.http` a request belongs to.
//!
//! Rules live in a trie by segment, one trie a verb. A literal beats `*`, `*` beats the end of a template, the end beats
//! `**`; the first difference from the left decides, and the order of registration never does. A path reaches every
//! node of a trie at one depth only, so a search visits no node twice. A path that is, as it came, one of literals only
//! needs no search: a table has those whole.

mod literals;
mod path;
#[cfg(test)]
mod tests;
mod trie;

use std::collections::HashMap;

use smallvec::SmallVec;

use literals::Literals;
pub use path::Path;
use trie::Trie;

/// A path template, as the build parsed it.
#[derive(Debug)]
pub struct Template {
    /// The text of the rule.
    pub text: &'static str,
    /// Its segments.
    pub segments: &'static [Segment],
    /// The verb after the colon, in canonical form; empty if none.
    pub verb: &'static str,
    /// Its variables.
    pub variables: &'static [Variable],
}

/// A segment of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text, in canonical form.
    Literal(&'static str),
    /// Any one segment.
    Any,
    /// Any number of segments. Only literals may follow.
    Rest,
}

/// A variable of a template: the segments `first..=last` bind a field.
#[derive(Debug)]
pub struct Variable {
    /// Path of the field, in proto names.
    pub field: &'static str,
    /// Index of the first segment.
    pub first: usize,
    /// Index of the last segment.
    pub last: usize,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The rule with this number.
    Rule(usize),
    /// No rule has the method; these methods have one. Sorted.
    OtherMethods(Vec<&'static str>),
    /// No rule matches the path.
    Nothing,
}

/// Rules by path. `add` gives each its number.
#[derive(Debug, Default)]
pub struct Router {
    literals: Literals,
    plain: Trie,
    verbs: HashMap<&'static str, Trie>,
    rules: usize,
}

impl Router {
    /// Adds a rule and answers its number: 0, 1, 2 and so on. The method `*` stands for any.
    pub fn add(&mut self, method: &'static str, template: &'static Template) -> usize {
        let rule = self.rules;
        self.rules += 1;
        let trie = match template.verb {
            "" => &mut self.plain,
            verb => self.verbs.entry(verb).or_default(),
        };
        trie.add(method, template.segments, rule);
        self.literals.add(method, template, rule);
        rule
    }

    /// The rule of a request by its path as it came. HEAD is served by GET's rule where it has none of its own.
    pub fn route(&self, method: &str, path: &str) -> Found {
        match self.literals.find(method, path) {
            Some(rule) => Found::Rule(rule),
            None => Path::split(path).map_or(Found::Nothing, |path| self.find(method, &path)),
        }
    }

    /// The rule of a request by its path, split. HEAD is served by GET's rule where it has none of its own.
    pub fn find(&self, method: &str, path: &Path<'_>) -> Found {
        if let Some((rest, verb)) = path.without_verb()
            && let Some(trie) = self.verbs.get(&*verb)
        {
            match trie.find(method, &rest) {
                Found::Nothing => {}
                found => return found,
            }
        }
        self.plain.find(method, path)
    }
}

/// Methods with the rules that they lead to.
type Ends = SmallVec<[(&'static str, usize); 2]>;

/// The rule of a method among those of one path.
fn choose(method: &str, ends: &[(&'static str, usize)]) -> Option<usize> {
    let of = |wanted: &str| ends.iter().find(|(method, _)| *method == wanted).map(|(_, rule)| *rule);
    let get = || if method == "HEAD" { of("GET") } else { None };
    of(method).or_else(get).or_else(|| of("*"))
}
