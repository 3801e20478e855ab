//! Binds query values and path variables to fields by their path.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    decode_error::{DecodeError, DecodeErrorKind, Step},
    kind::Kind,
    message::Message,
    options::JsonOptions,
    read::find,
};

/// A text that is being bound to a field.
#[derive(Debug)]
pub struct Text<'a> {
    /// The rest of the key: names joined by dots, perhaps with a map key in brackets.
    rest: Option<&'a str>,
    /// The key in brackets, once it was parsed.
    map_key: Option<&'a str>,
    value: &'a str,
    options: &'a JsonOptions,
    rules: &'a Rules<'a>,
    /// The path so far, in proto names.
    path: String,
    /// The path so far contains a secret field.
    secret: bool,
    /// Singular fields that are bound already.
    bound: &'a mut Vec<String>,
}

/// The rules for all texts of a request.
#[derive(Debug, Default)]
pub struct Rules<'a> {
    /// Field paths that must not be bound, because something else binds them; an empty path means every field.
    pub taken: &'a [&'a str],
    /// Field paths that the body has: other values bound to them must be equal. A list or map must be in only one
    /// place.
    pub given: &'a [String],
    /// Field paths whose booleans are parsed leniently.
    pub lenient: &'a [&'a str],
    /// Fields may be bound again: path variables override body and query.
    pub overwrite: bool,
}

/// Binds `value` to the field that `key` names. Returns whether the message has such a field.
pub fn bind<M: Message>(
    message: &mut M,
    key: &str,
    value: &str,
    options: &JsonOptions,
    rules: &Rules<'_>,
    bound: &mut Vec<String>,
) -> Result<bool, DecodeError> {
    let (names, map_key) = match key.split_once('[') {
        Some((names, key)) => match key.strip_suffix(']') {
            Some(key) => (names, Some(key)),
            None => return Ok(false),
        },
        None => (key, None),
    };
    if names.split('.').count() > usize::from(options.max_depth) {
        let text = format!("nested deeper than {} levels", options.max_depth);
        return Err(DecodeError::new(DecodeErrorKind::Depth, text).within(Step::Member(key)));
    }
    let mut text =
        Text { rest: Some(names), map_key, value, options, rules, path: String::new(), secret: false, bound };
    match text.message(message) {
        Ok(()) => Ok(true),
        Err(error) if error.kind == DecodeErrorKind::Unknown => Ok(false),
        Err(error) => {
            let secret = text.secret;
            let error = if secret { error } else { error.with_input(|| Value::from(value)) };
            Err(error.within(Step::Member(key)))
        }
    }
}

impl Text<'_> {
    /// Descends into a message.
    pub fn message<M: Message>(&mut self, message: &mut M) -> Result<(), DecodeError> {
        let Some(rest) = self.rest else {
            return Err(DecodeError::new(
                DecodeErrorKind::WrongType,
                "a message has no single value; name one of its fields",
            ));
        };
        let (name, rest) = rest.split_once('.').map_or((rest, None), |(name, rest)| (name, Some(rest)));
        let field = find::<M>(name, self.options).ok_or_else(unknown)?;
        self.rest = rest;
        self.secret |= M::FIELDS[field].secret;
        // The path is not checked where overwriting is allowed.
        if !self.rules.overwrite {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(M::FIELDS[field].proto);
        }
        message.bind(field, self)
    }

    /// A field without presence.
    pub fn one<K: Kind>(&mut self, slot: &mut K::Rust) -> Result<(), DecodeError> {
        let value = self.single::<K>()?;
        self.agree(Some(&*slot), &value)?;
        *slot = value;
        Ok(())
    }

    /// A field with presence.
    pub fn optional<K: Kind>(&mut self, slot: &mut Option<K::Rust>) -> Result<(), DecodeError> {
        let value = self.single::<K>()?;
        self.agree(slot.as_ref(), &value)?;
        *slot = Some(value);
        Ok(())
    }

    /// A member of a oneof. `taken` says whether any member is set already; `own` is the value if it is this one.
    pub fn oneof<K: Kind>(&mut self, taken: bool, own: Option<&K::Rust>) -> Result<K::Rust, DecodeError> {
        let value = self.single::<K>()?;
        if own.is_some() && self.is_given() {
            self.agree(own, &value)?;
        } else if taken && !self.rules.overwrite {
            return Err(oneof_taken());
        }
        Ok(value)
    }

    /// Adds an item to a repeated field.
    pub fn list<K: Kind>(&mut self, slot: &mut Vec<K::Rust>) -> Result<(), DecodeError> {
        self.leaf()?;
        self.ungiven()?;
        slot.push(K::parse(self.value, self.lenient())?);
        Ok(())
    }

    /// Adds an entry to a map.
    pub fn map<KK: Kind, VK: Kind>(&mut self, slot: &mut BTreeMap<KK::Rust, VK::Rust>) -> Result<(), DecodeError>
    where
        KK::Rust: Ord,
    {
        let key = self
            .map_key
            .take()
            .ok_or_else(|| DecodeError::new(DecodeErrorKind::WrongType, "write a map entry as name[key]"))?;
        self.leaf()?;
        self.ungiven()?;
        let entry = (KK::parse(key, false)?, VK::parse(self.value, self.lenient())?);
        match slot.insert(entry.0, entry.1) {
            Some(_) => Err(DecodeError::new(DecodeErrorKind::Duplicate, "given twice")),
            None => Ok(()),
        }
    }

    fn single<K: Kind>(&mut self) -> Result<K::Rust, DecodeError> {
        self.leaf()?;
        if !self.rules.overwrite {
            if self.bound.contains(&self.path) {
                return Err(DecodeError::new(DecodeErrorKind::Duplicate, "given twice"));
            }
            self.bound.push(self.path.clone());
        }
        K::parse(self.value, self.lenient())
    }

    /// Checks the end of the key: nothing may follow, and the field must not be bound.
    fn leaf(&self) -> Result<(), DecodeError> {
        if self.rest.is_some() || self.map_key.is_some() {
            return Err(unknown());
        }
        if self.rules.taken.iter().any(|taken| taken.is_empty() || self.is_inside(taken)) {
            return Err(DecodeError::new(DecodeErrorKind::Bound, "set by the path, the body or a header"));
        }
        Ok(())
    }

    /// Whether the path so far is `outer` or below it.
    fn is_inside(&self, outer: &str) -> bool {
        self.path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn is_given(&self) -> bool {
        self.rules.given.iter().any(|given| self.is_inside(given))
    }

    /// If the body has the field, its value must be equal.
    fn agree<T: PartialEq>(&self, held: Option<&T>, value: &T) -> Result<(), DecodeError> {
        if held == Some(value) { Ok(()) } else { self.ungiven() }
    }

    /// The body must not have the field.
    fn ungiven(&self) -> Result<(), DecodeError> {
        if self.is_given() { Err(DecodeError::new(DecodeErrorKind::Conflict, CONFLICT)) } else { Ok(()) }
    }

    fn lenient(&self) -> bool {
        self.rules.lenient.contains(&self.path.as_str())
    }
}

/// The text for a query that contradicts the body.
const CONFLICT: &str = "the body and the query give different values";

fn unknown() -> DecodeError {
    DecodeError::new(DecodeErrorKind::Unknown, "unknown field")
}

/// Two members of the same oneof.
pub fn oneof_taken() -> DecodeError {
    DecodeError::new(DecodeErrorKind::Oneof, "another field of the same oneof is already set")
}
