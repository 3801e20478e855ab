//! Binding a request message: the body first, then the query, then the path, which wins.

use super::rule::{Body, Call, Rule};
use crate::{
    json::{
        Fault, FaultKind, Habits, Kind as _, Message, Msg, Reader, Step, Writer,
        read::from_slice,
        text::{Rules, bind},
    },
    percent,
    router::Path,
};

/// The request message of a call.
pub(super) fn message<M: Message>(rule: &Rule, call: &Call) -> Result<M, Fault> {
    let habits = &rule.info.surface.habits;
    let mut message = M::default();
    let members = body(&mut message, rule, call, habits)?;
    let mut bound = Vec::new();
    let mut taken = rule.binding.taken.to_vec();
    if rule.binding.body_or_query {
        taken.extend(members.iter().map(String::as_str));
    }
    let rules = Rules { taken: &taken, lenient: rule.binding.lenient, overwrite: false };
    query(&mut message, call, habits, &rules, &mut bound)?;
    if let Some(mask) = rule.binding.mask
        && !call.body.is_empty()
    {
        fill_mask(&mut message, rule, mask, &members, habits)?;
    }
    let rules = Rules { overwrite: true, ..Rules::default() };
    let path = call.parts.uri.path();
    let Some(path) = Path::split(path.strip_suffix('/').unwrap_or(path)) else { return Ok(message) };
    for variable in rule.template.variables {
        bind(&mut message, variable.field, &path.value(&rule.template, variable)?, habits, &rules, &mut bound)?;
    }
    Ok(message)
}

/// Reads the body and answers which members it gave.
fn body<M: Message>(message: &mut M, rule: &Rule, call: &Call, habits: &Habits) -> Result<Vec<String>, Fault> {
    if call.body.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(habits);
    if rule.binding.mask.is_some() || rule.binding.body_or_query {
        reader = reader.noting_members();
    }
    match rule.binding.body {
        Body::None => Ok(Vec::new()),
        Body::Whole => {
            let (_, reader) = from_slice(&call.body, reader, |value, cx| Msg::<M>::read(message, value, cx))?;
            Ok(reader.into_members())
        }
        Body::Field(field) => {
            let (_, reader) = from_slice(&call.body, reader, |value, cx| message.read(field, value, cx))?;
            Ok(reader.into_members())
        }
    }
}

/// Binds the query.
fn query<M: Message>(
    message: &mut M,
    call: &Call,
    habits: &Habits,
    rules: &Rules<'_>,
    bound: &mut Vec<String>,
) -> Result<(), Fault> {
    let pairs = call.parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    for (key, value) in pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
        // A key that does not decode has no name to tell.
        let key = percent::decode_query(key)?;
        let value = percent::decode_query(value).map_err(|fault| fault.within(Step::Member(&key)))?;
        let known = bind(message, &key, &value, habits, rules, bound)?;
        if !known && !habits.ignore_unknown {
            return Err(Fault::new(FaultKind::Unknown, "unknown query key").within(Step::Member(&key)));
        }
    }
    Ok(())
}

/// Fills the mask, where the caller left it empty, with the members that the body gave: those of its one field, or of
/// the whole message but the mask itself.
fn fill_mask<M: Message>(
    message: &mut M,
    rule: &Rule,
    mask: &str,
    members: &[String],
    habits: &Habits,
) -> Result<(), Fault> {
    let Some(field) = M::field(mask) else { return Ok(()) };
    let mut given = Writer::new(habits);
    given.field(message, field);
    if given.finish().is_ok_and(|text| text != b"null" && text != b"\"\"") {
        return Ok(());
    }
    let inside = |path: &String| match rule.binding.body {
        Body::Field(field) => path.strip_prefix(M::FIELDS[field].proto)?.strip_prefix('.').map(camel),
        _ => (path != mask).then(|| camel(path)),
    };
    // A mask of nothing is not the same as none: it says that no member was given.
    let paths: Vec<_> = members.iter().filter_map(inside).collect();
    let text = serde_json::Value::from(paths.join(","));
    message
        .read(field, text, &mut Reader::new(habits))
        .map_err(|_| Fault::new(FaultKind::WrongType, "members that no mask can name"))
}

/// `foo_bar.baz` to `fooBar.baz`, the form of a mask in JSON.
fn camel(path: &str) -> String {
    let mut camel = String::with_capacity(path.len());
    let mut upper = false;
    for c in path.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                camel.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => camel.push(c),
        }
    }
    camel
}
