//! Binding a request message: the body first, then the query, then the path, which wins.

use super::route::{Body, Call, Rule};
use crate::{
    json::{
        Fault, FaultKind, Habits, Kind as _, Message, Msg, Reader, Step,
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
    let masked = query(&mut message, rule, call, habits, &mut bound)?;
    if let Some(mask) = rule.binding.mask
        && !masked
    {
        fill_mask(&mut message, mask, members, habits)?;
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
    if rule.binding.mask.is_some() {
        reader = reader.noting_members();
    }
    match rule.binding.body {
        Body::None => Ok(Vec::new()),
        Body::Whole => {
            let (whole, reader) = from_slice(&call.body, reader, |value, cx| Msg::<M>::read(value, cx))?;
            *message = whole.value().unwrap_or_default();
            Ok(reader.into_members())
        }
        Body::Field(field) => {
            let (_, reader) = from_slice(&call.body, reader, |value, cx| message.read(field, value, cx))?;
            // The members of the field, not of the message around it.
            let prefix = format!("{}.", M::FIELDS[field].proto);
            Ok(reader.into_members().iter().filter_map(|path| path.strip_prefix(&prefix)).map(str::to_owned).collect())
        }
    }
}

/// Binds the query and answers whether it gave the mask.
fn query<M: Message>(
    message: &mut M,
    rule: &Rule,
    call: &Call,
    habits: &Habits,
    bound: &mut Vec<String>,
) -> Result<bool, Fault> {
    let Some(query) = call.parts.uri.query() else { return Ok(false) };
    let rules = Rules { taken: rule.binding.taken, lenient: rule.binding.lenient, overwrite: false };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = percent::decode_query(key).map_err(|fault| fault.within(Step::Member(key)))?;
        let value = percent::decode_query(value).map_err(|fault| fault.within(Step::Member(&key)))?;
        let known = bind(message, &key, &value, habits, &rules, bound)?;
        if !known && !habits.ignore_unknown {
            return Err(Fault::new(FaultKind::Unknown, "unknown query key").within(Step::Member(&key)));
        }
    }
    Ok(rule.binding.mask.is_some_and(|mask| bound.iter().any(|path| path == mask)))
}

fn fill_mask<M: Message>(message: &mut M, mask: &str, members: Vec<String>, habits: &Habits) -> Result<(), Fault> {
    let Some(field) = M::field(mask) else { return Ok(()) };
    let text = serde_json::Value::from(members.iter().map(|path| camel(path)).collect::<Vec<_>>().join(","));
    let mut reader = Reader::new(habits);
    message
        .read(field, text, &mut reader)
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
