//! The router: which rule of `google.api.http` a request belongs to.
//!
//! Rules live in a trie by segment, one trie a verb. A literal beats `*`, `*` beats the end of a template, the end beats
//! `**`; the first difference from the left decides, and the order of registration never does. A path reaches every
//! node of a trie at one depth only, so a search visits no node twice.

use std::{borrow::Cow, collections::HashMap};

use smallvec::SmallVec;

use crate::{
    json::Fault,
    percent::{self, Keep},
};

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
    plain: Trie,
    verbs: HashMap<&'static str, Trie>,
    rules: usize,
}

#[derive(Debug)]
struct Trie(Vec<Node>);

impl Default for Trie {
    fn default() -> Self {
        Self(vec![Node::default()])
    }
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted: there are few, and a search among them is faster than a hash.
    literals: Vec<(&'static str, usize)>,
    any: Option<usize>,
    ends: Vec<(&'static str, usize)>,
    rests: Vec<Rest>,
}

/// The rules that go on with `**` and then these literals.
#[derive(Debug)]
struct Rest {
    suffix: &'static [Segment],
    ends: Vec<(&'static str, usize)>,
}

/// A request path, split. Segments are kept as they came, and in canonical form to compare them with literals.
#[derive(Clone, Debug)]
pub struct Path<'p> {
    raw: SmallVec<[&'p str; FEW]>,
    /// Nothing if every segment is canonical as it came.
    canonical: Option<Vec<Cow<'p, str>>>,
}

/// Segments of a usual path.
const FEW: usize = 12;

impl<'p> Path<'p> {
    /// Splits a path. `None` if it does not begin with a slash or has an empty segment.
    pub fn split(path: &'p str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let mut raw = SmallVec::new();
        if !path.is_empty() {
            raw.extend(path.split('/'));
        }
        if raw.iter().any(|segment: &&str| segment.is_empty()) { None } else { Some(Self::of(raw)) }
    }

    fn of(raw: SmallVec<[&'p str; FEW]>) -> Self {
        let plain = raw.iter().all(|segment| matches!(percent::canonical(segment), Some(Cow::Borrowed(_))));
        // A malformed escape equals no literal; as a value it is refused when it is decoded.
        let canonical = |segment: &&'p str| percent::canonical(segment).unwrap_or(Cow::Borrowed("%"));
        let canonical = (!plain).then(|| raw.iter().map(canonical).collect());
        Self { raw, canonical }
    }

    fn literal(&self, index: usize) -> &str {
        match &self.canonical {
            Some(canonical) => &canonical[index],
            None => self.raw[index],
        }
    }

    /// The path without the verb that its last segment may end in, and the verb in canonical form.
    fn without_verb(&self) -> Option<(Path<'p>, Cow<'p, str>)> {
        let (rest, verb) = self.raw.last()?.rsplit_once(':')?;
        if rest.is_empty() {
            return None;
        }
        let mut raw = self.raw.clone();
        *raw.last_mut()? = rest;
        Some((Path::of(raw), percent::canonical(verb)?))
    }

    /// The value of a variable: one segment is decoded wholly, several keep their escaped slashes.
    pub fn value(&self, template: &Template, variable: &Variable) -> Result<Cow<'p, str>, Fault> {
        // What `**` took beyond the one place that it has in the template; -1 if it took nothing.
        let more = self.raw.len().wrapping_sub(template.segments.len());
        let rest = template.segments.iter().position(|segment| *segment == Segment::Rest);
        let shift = |index: usize| match rest {
            Some(rest) if index > rest => index.wrapping_add(more),
            _ => index,
        };
        let (first, end) = (shift(variable.first), shift(variable.last + 1));
        let cut = |index: usize, segment: &'p str| match segment.rsplit_once(':') {
            Some((before, _)) if index + 1 == self.raw.len() && !template.verb.is_empty() => before,
            _ => segment,
        };
        if variable.first == variable.last && rest != Some(variable.first) {
            let segment = self.raw.get(first).copied().unwrap_or_default();
            return percent::decode(cut(first, segment), Keep::Nothing);
        }
        let mut value = String::new();
        for (index, segment) in self.raw.iter().enumerate().take(end).skip(first) {
            if index > first {
                value.push('/');
            }
            value.push_str(&percent::decode(cut(index, segment), Keep::Slash)?);
        }
        Ok(Cow::Owned(value))
    }
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
        rule
    }

    /// The rule of a request. HEAD is served by GET's rule where it has none of its own.
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

impl Trie {
    fn add(&mut self, method: &'static str, segments: &'static [Segment], rule: usize) {
        let mut node = 0;
        for (index, segment) in segments.iter().enumerate() {
            node = match segment {
                Segment::Literal(text) => match self.0[node].literals.binary_search_by_key(text, |(text, _)| text) {
                    Ok(place) => self.0[node].literals[place].1,
                    Err(place) => {
                        let next = self.push();
                        self.0[node].literals.insert(place, (text, next));
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

    fn find(&self, method: &str, path: &Path<'_>) -> Found {
        let mut others = Vec::new();
        let of = |wanted: &str, ends: &[(&'static str, usize)]| {
            ends.iter().find(|(method, _)| *method == wanted).map(|(_, rule)| *rule)
        };
        let mut pick = |ends: &[(&'static str, usize)]| {
            let get = || if method == "HEAD" { of("GET", ends) } else { None };
            let rule = of(method, ends).or_else(get).or_else(|| of("*", ends));
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
        if index == path.raw.len() {
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
        let place = self.literals.binary_search_by(|(literal, _)| (*literal).cmp(text)).ok()?;
        Some(self.literals[place].1)
    }

    fn add_rest(&mut self, method: &'static str, suffix: &'static [Segment], rule: usize) {
        match self.rests.iter_mut().find(|rest| rest.suffix == suffix) {
            Some(rest) => rest.ends.push((method, rule)),
            None => {
                self.rests.push(Rest { suffix, ends: vec![(method, rule)] });
                // Literals beat the end: the longer suffix is the more specific one.
                self.rests.sort_by_key(|rest| std::cmp::Reverse(rest.suffix.len()));
            }
        }
    }
}

impl Rest {
    fn matches(&self, from: usize, path: &Path<'_>) -> bool {
        let Some(start) = path.raw.len().checked_sub(self.suffix.len()) else { return false };
        start >= from
            && self.suffix.iter().enumerate().all(|(index, segment)| match segment {
                Segment::Literal(text) => *text == path.literal(start + index),
                Segment::Any | Segment::Rest => true,
            })
    }
}
