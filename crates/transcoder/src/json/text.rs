//! Binding texts, query values and path variables, to fields by their path.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    fault::{Fault, FaultKind, Step},
    habits::Habits,
    kind::Kind,
    message::Message,
    read::find,
};

/// One text on its way to a field.
#[derive(Debug)]
pub struct Text<'a> {
    /// What is left of the key: names joined by dots, perhaps a map key in brackets.
    rest: Option<&'a str>,
    /// The key in brackets, once it is met.
    map_key: Option<&'a str>,
    value: &'a str,
    habits: &'a Habits,
    rules: &'a Rules<'a>,
    /// The path so far, in proto names.
    path: String,
    /// A field of the path so far is a secret.
    secret: bool,
    /// Fields without repetition that were bound before.
    bound: &'a mut Vec<String>,
}

/// What holds for all texts of a request.
#[derive(Debug, Default)]
pub struct Rules<'a> {
    /// Field paths that may not be bound, because something else binds them; an empty path stands for every field.
    pub taken: &'a [&'a str],
    /// Field paths that the body gave: what they are bound to must be the same. A list or map is given in one place.
    pub given: &'a [String],
    /// Field paths whose booleans are read leniently.
    pub lenient: &'a [&'a str],
    /// A field may be bound again: the path's variables win over body and query.
    pub overwrite: bool,
}

/// Binds `value` to the field that `key` names. Answers whether the message has such a field.
pub fn bind<M: Message>(
    message: &mut M,
    key: &str,
    value: &str,
    habits: &Habits,
    rules: &Rules<'_>,
    bound: &mut Vec<String>,
) -> Result<bool, Fault> {
    let (names, map_key) = match key.split_once('[') {
        Some((names, key)) => match key.strip_suffix(']') {
            Some(key) => (names, Some(key)),
            None => return Ok(false),
        },
        None => (key, None),
    };
    if names.split('.').count() > usize::from(habits.max_depth) {
        let text = format!("nested deeper than {} levels", habits.max_depth);
        return Err(Fault::new(FaultKind::Depth, text).within(Step::Member(key)));
    }
    let mut text = Text { rest: Some(names), map_key, value, habits, rules, path: String::new(), secret: false, bound };
    match text.message(message) {
        Ok(()) => Ok(true),
        Err(fault) if fault.kind == FaultKind::Unknown => Ok(false),
        Err(fault) => {
            let secret = text.secret;
            let fault = if secret { fault } else { fault.given(|| Value::from(value)) };
            Err(fault.within(Step::Member(key)))
        }
    }
}

impl Text<'_> {
    /// Goes one name further into a message.
    pub fn message<M: Message>(&mut self, message: &mut M) -> Result<(), Fault> {
        let Some(rest) = self.rest else {
            return Err(Fault::new(FaultKind::WrongType, "a message is given by its fields"));
        };
        let (name, rest) = rest.split_once('.').map_or((rest, None), |(name, rest)| (name, Some(rest)));
        let field = find::<M>(name, self.habits).ok_or_else(unknown)?;
        self.rest = rest;
        self.secret |= M::FIELDS[field].secret;
        // Nothing is asked of the path where anything may be overwritten.
        if !self.rules.overwrite {
            if !self.path.is_empty() {
                self.path.push('.');
            }
            self.path.push_str(M::FIELDS[field].proto);
        }
        message.bind(field, self)
    }

    /// A field without presence.
    pub fn one<K: Kind>(&mut self, slot: &mut K::Rust) -> Result<(), Fault> {
        let value = self.single::<K>()?;
        self.agree(Some(&*slot), &value)?;
        *slot = value;
        Ok(())
    }

    /// A field with presence.
    pub fn optional<K: Kind>(&mut self, slot: &mut Option<K::Rust>) -> Result<(), Fault> {
        let value = self.single::<K>()?;
        self.agree(slot.as_ref(), &value)?;
        *slot = Some(value);
        Ok(())
    }

    /// The value for a member of a oneof, of which `taken` says whether any member is set already, and `own` has the
    /// value if it is this one.
    pub fn oneof<K: Kind>(&mut self, taken: bool, own: Option<&K::Rust>) -> Result<K::Rust, Fault> {
        let value = self.single::<K>()?;
        if own.is_some() && self.is_given() {
            self.agree(own, &value)?;
        } else if taken && !self.rules.overwrite {
            return Err(oneof_taken());
        }
        Ok(value)
    }

    /// A repeated field: one more item.
    pub fn list<K: Kind>(&mut self, slot: &mut Vec<K::Rust>) -> Result<(), Fault> {
        self.leaf()?;
        self.ungiven()?;
        slot.push(K::parse(self.value, self.lenient())?);
        Ok(())
    }

    /// A map: one more entry.
    pub fn map<KK: Kind, VK: Kind>(&mut self, slot: &mut BTreeMap<KK::Rust, VK::Rust>) -> Result<(), Fault>
    where
        KK::Rust: Ord,
    {
        let key = self
            .map_key
            .take()
            .ok_or_else(|| Fault::new(FaultKind::WrongType, "a map's entry is given as name[key]"))?;
        self.leaf()?;
        self.ungiven()?;
        let entry = (KK::parse(key, false)?, VK::parse(self.value, self.lenient())?);
        match slot.insert(entry.0, entry.1) {
            Some(_) => Err(Fault::new(FaultKind::Duplicate, "given twice")),
            None => Ok(()),
        }
    }

    fn single<K: Kind>(&mut self) -> Result<K::Rust, Fault> {
        self.leaf()?;
        if !self.rules.overwrite {
            if self.bound.contains(&self.path) {
                return Err(Fault::new(FaultKind::Duplicate, "given twice"));
            }
            self.bound.push(self.path.clone());
        }
        K::parse(self.value, self.lenient())
    }

    /// The end of the key: nothing may follow, and the field must be free.
    fn leaf(&self) -> Result<(), Fault> {
        if self.rest.is_some() || self.map_key.is_some() {
            return Err(unknown());
        }
        if self.rules.taken.iter().any(|taken| taken.is_empty() || self.is_inside(taken)) {
            return Err(Fault::new(FaultKind::Bound, "already given by the path or the body"));
        }
        Ok(())
    }

    /// Whether the path so far is a path or goes on from it.
    fn is_inside(&self, outer: &str) -> bool {
        self.path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn is_given(&self) -> bool {
        self.rules.given.iter().any(|given| self.is_inside(given))
    }

    /// What the body gave, if it gave the field, must be the value.
    fn agree<T: PartialEq>(&self, held: Option<&T>, value: &T) -> Result<(), Fault> {
        if held == Some(value) { Ok(()) } else { self.ungiven() }
    }

    /// The body must not have given the field.
    fn ungiven(&self) -> Result<(), Fault> {
        if self.is_given() { Err(Fault::new(FaultKind::Conflict, CONFLICT)) } else { Ok(()) }
    }

    fn lenient(&self) -> bool {
        self.rules.lenient.contains(&self.path.as_str())
    }
}

/// Why the query may not change what the body gave.
const CONFLICT: &str = "given in the body and, with another value, in the query";

fn unknown() -> Fault {
    Fault::new(FaultKind::Unknown, "unknown field")
}

/// Two members of one oneof.
pub fn oneof_taken() -> Fault {
    Fault::new(FaultKind::Oneof, "another member of the same oneof is given")
}
