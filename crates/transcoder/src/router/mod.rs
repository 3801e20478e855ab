//! The router: finds the rule of `google.api.http` for a request.
//!
//! Rules are in a trie by segment, one trie for each verb. A literal beats `*`, `*` beats the end of a template, the
//! end beats `**`. The first difference from the left decides, never the order of registration. A path reaches every
//! node of a trie at one depth only, so a search visits no node twice. A path of literals needs no search: a table has
//! those as a whole.

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

/// A parsed path template.
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
    /// A literal, in canonical form.
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

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The rule with this number.
    Rule(usize),
    /// No rule has the method; these methods have one. Sorted.
    OtherMethods(Vec<&'static str>),
    /// No rule matches the path.
    Nothing,
}

/// Rules by path. `add` numbers them.
#[derive(Debug, Default)]
pub struct Router {
    literals: Literals,
    plain: Trie,
    verbs: HashMap<&'static str, Trie>,
    rules: usize,
}

impl Router {
    /// Adds a rule and returns its number: 0, 1, 2 and so on. The method `*` is any method.
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

    /// Finds the rule for a raw path. HEAD falls back to the rule of GET.
    pub fn route(&self, method: &str, path: &str) -> Found {
        match self.literals.find(method, path) {
            Some(rule) => Found::Rule(rule),
            None => Path::split(path).map_or(Found::Nothing, |path| self.find(method, &path)),
        }
    }

    /// Finds the rule for a split path. HEAD falls back to the rule of GET.
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

/// Methods with their rules.
type Ends = SmallVec<[(&'static str, usize); 2]>;

/// Chooses the rule for a method among those of one path.
fn choose(method: &str, ends: &[(&'static str, usize)]) -> Option<usize> {
    let of = |wanted: &str| ends.iter().find(|(method, _)| *method == wanted).map(|(_, rule)| *rule);
    let get = || if method == "HEAD" { of("GET") } else { None };
    of(method).or_else(get).or_else(|| of("*"))
}
