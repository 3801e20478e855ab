//! Request paths, split into segments.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Segment, Template, Variable};
use crate::{
    json::DecodeError,
    percent::{self, Keep},
};

/// A split request path. Segments are kept raw, and in canonical form for the comparison with literals.
#[derive(Clone, Debug)]
pub struct Path<'p> {
    raw: SmallVec<[&'p str; FEW]>,
    /// `None` if every raw segment is canonical.
    canonical: Option<Vec<Cow<'p, str>>>,
}

/// Segments of a typical path.
const FEW: usize = 12;

impl<'p> Path<'p> {
    /// Splits a path. `None` if it does not begin with a slash or has an empty segment.
    pub fn split(path: &'p str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let mut raw = SmallVec::new();
        let (mut start, mut plain) = (0, true);
        for (index, byte) in path.bytes().enumerate() {
            if byte == b'/' {
                if index == start {
                    return None;
                }
                raw.push(&path[start..index]);
                start = index + 1;
            } else {
                plain &= percent::is_unreserved(byte);
            }
        }
        match &path[start..] {
            "" if !path.is_empty() => return None,
            "" => {}
            last => raw.push(last),
        }
        Some(if plain { Self { raw, canonical: None } } else { Self::of(raw) })
    }

    /// How many segments there are.
    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    fn of(raw: SmallVec<[&'p str; FEW]>) -> Self {
        let plain = raw.iter().all(|segment| matches!(percent::canonical(segment), Some(Cow::Borrowed(_))));
        // A malformed escape equals no literal; decoding it as a value fails.
        let canonical = |segment: &&'p str| percent::canonical(segment).unwrap_or(Cow::Borrowed("%"));
        let canonical = (!plain).then(|| raw.iter().map(canonical).collect());
        Self { raw, canonical }
    }

    /// A segment in canonical form.
    pub(super) fn literal(&self, index: usize) -> &str {
        match &self.canonical {
            Some(canonical) => &canonical[index],
            None => self.raw[index],
        }
    }

    /// The path without a verb at the end of its last segment, and the verb in canonical form.
    pub(super) fn without_verb(&self) -> Option<(Path<'p>, Cow<'p, str>)> {
        // A canonical segment cannot contain a colon.
        self.canonical.as_ref()?;
        let (rest, verb) = self.raw.last()?.rsplit_once(':')?;
        if rest.is_empty() {
            return None;
        }
        let mut raw = self.raw.clone();
        *raw.last_mut()? = rest;
        Some((Path::of(raw), percent::canonical(verb)?))
    }

    /// The value of a variable: a single segment is decoded completely, several keep their escaped slashes.
    pub fn value(&self, template: &Template, variable: &Variable) -> Result<Cow<'p, str>, DecodeError> {
        // The number of segments that `**` matched, minus one.
        let more = self.raw.len().wrapping_sub(template.segments.len());
        let rest = template.segments.iter().position(|segment| *segment == Segment::Rest);
        let shift = |index: usize| match rest {
            Some(rest) if index > rest => index.wrapping_add(more),
            _ => index,
        };
        let (first, end) = (shift(variable.first), shift(variable.last + 1));
        let cut = |index: usize, segment: &'p str| {
            let has_verb = index + 1 == self.raw.len() && !template.verb.is_empty();
            if has_verb { segment.rsplit_once(':').map_or(segment, |(before, _)| before) } else { segment }
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
