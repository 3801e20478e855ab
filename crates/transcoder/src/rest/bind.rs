//! Binding a request message: the body first, then the query, then the path, which wins.

use http::{
    HeaderName,
    header::{CONTENT_TYPE, IF_MATCH},
    request::Parts,
};
use prost_types::FieldMask;

use super::{
    read::text,
    rule::{Body, Call, Rule},
};
use crate::{
    json::{
        Fault, FaultKind, Habits, Kind as _, Message, Msg, Place, Reader, Step,
        read::from_slice,
        text::{Rules, bind},
    },
    percent,
    router::Path,
};

/// The id of the last event that a client saw (the HTML standard, section 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The mask of a request that is filled with the members of its body.
pub type Mask<M> = fn(&mut M) -> &mut Option<FieldMask>;

/// Puts raw bytes of a media type into a request.
pub type Upload<M> = fn(&mut M, String, Vec<u8>);

/// The request message of a call.
pub(super) fn message<M: Message>(
    rule: &Rule,
    call: &Call,
    mask: Option<Mask<M>>,
    upload: Option<Upload<M>>,
) -> Result<M, Fault> {
    let habits = &rule.info.surface.habits;
    let mut message = M::default();
    let members = match upload {
        Some(upload) => raw(&mut message, call, upload),
        None => body(&mut message, rule, call, habits)?,
    };
    let mut bound = Vec::new();
    let own_tag = rule.etag.and_then(|etag| etag.request);
    let mut has_tag = own_tag.is_some_and(|field| members.iter().any(|member| member == field));
    if let Some(text) = call.parts.uri.query() {
        let given = if rule.binding.body_or_query { &*members } else { &[] };
        let rules = Rules { taken: rule.binding.taken, given, lenient: rule.binding.lenient, overwrite: false };
        query(&mut message, text, habits, &rules, &mut bound).map_err(|fault| fault.at(Place::Query))?;
    }
    if let Some(mask) = mask
        && !call.body.is_empty()
    {
        fill_mask(mask(&mut message), members, rule.binding.body.field(), rule.binding.mask);
    }
    path(&mut message, rule, call.parts.uri.path(), habits, &mut bound).map_err(|fault| fault.at(Place::Path))?;
    if let Some((field, tag)) = own_tag.zip(call.tag.as_deref()) {
        has_tag |= bound.iter().any(|path| path == field);
        let given = if has_tag { vec![field.to_owned()] } else { Vec::new() };
        header(&mut message, (IF_MATCH, field), tag, habits, &Rules { given: &given, ..Rules::default() })?;
    }
    if let Some(field) = rule.resume
        && let Some(id) = call.parts.headers.get(LAST_EVENT_ID)
        // Browsers send the id as it came, in UTF-8.
        && let Ok(id) = str::from_utf8(id.as_bytes())
        && !id.is_empty()
    {
        // A browser comes back with the URL that it came with at first, so the header wins over the query.
        let rules = Rules { overwrite: true, ..Rules::default() };
        header(&mut message, (LAST_EVENT_ID, field), id, habits, &rules)?;
    }
    Ok(message)
}

/// Fails if the query or the path of a request cannot be bound, whatever its body holds.
pub(super) fn head<M: Message>(rule: &Rule, parts: &Parts) -> Result<(), Fault> {
    let (habits, mut message, mut bound) = (&rule.info.surface.habits, M::default(), Vec::new());
    if let Some(text) = parts.uri.query() {
        let rules = Rules { taken: rule.binding.taken, given: &[], lenient: rule.binding.lenient, overwrite: false };
        query(&mut message, text, habits, &rules, &mut bound).map_err(|fault| fault.at(Place::Query))?;
    }
    path(&mut message, rule, parts.uri.path(), habits, &mut bound).map_err(|fault| fault.at(Place::Path))
}

/// Binds the value of a header to the field of a path in proto names.
fn header<M: Message>(
    message: &mut M,
    (name, field): (HeaderName, &str),
    value: &str,
    habits: &Habits,
    rules: &Rules<'_>,
) -> Result<(), Fault> {
    match bind(message, field, value, habits, rules, &mut Vec::new()) {
        Ok(_) => Ok(()),
        Err(fault) => {
            let text = match fault.kind {
                FaultKind::Conflict => "another value than the request gives".to_owned(),
                _ => fault.message.clone(),
            };
            Err(Fault::new(fault.kind, text).within(Step::Member(name.as_str())).at(Place::Header))
        }
    }
}

/// Takes the body as it is.
fn raw<M>(message: &mut M, call: &Call, upload: Upload<M>) -> Vec<String> {
    let media_type = text(&call.parts.headers, CONTENT_TYPE).unwrap_or_default();
    upload(message, media_type.to_owned(), call.body.to_vec());
    Vec::new()
}

/// Binds the variables of the path.
fn path<M: Message>(
    message: &mut M,
    rule: &Rule,
    path: &str,
    habits: &Habits,
    bound: &mut Vec<String>,
) -> Result<(), Fault> {
    let rules = Rules { overwrite: true, ..Rules::default() };
    let Some(path) = Path::split(path.strip_suffix('/').unwrap_or(path)) else { return Ok(()) };
    for variable in rule.template.variables {
        bind(message, variable.field, &path.value(&rule.template, variable)?, habits, &rules, bound)?;
    }
    Ok(())
}

/// Reads the body and answers which members it gave.
fn body<M: Message>(message: &mut M, rule: &Rule, call: &Call, habits: &Habits) -> Result<Vec<String>, Fault> {
    if call.body.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(habits);
    if rule.binding.mask.is_some() || rule.binding.body_or_query || call.tag.is_some() {
        reader = reader.noting_members();
    }
    match rule.binding.body {
        Body::None | Body::Raw { .. } => Ok(Vec::new()),
        Body::Whole => {
            let (_, reader) = from_slice(&call.body, reader, |value, cx| Msg::<M>::read(message, value, cx))?;
            Ok(reader.into_members())
        }
        Body::Field { index, .. } => {
            let (_, reader) = from_slice(&call.body, reader, |value, cx| message.read(index, value, cx))?;
            Ok(reader.into_members())
        }
    }
}

/// Binds the query.
fn query<M: Message>(
    message: &mut M,
    text: &str,
    habits: &Habits,
    rules: &Rules<'_>,
    bound: &mut Vec<String>,
) -> Result<(), Fault> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
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
/// the whole message but the mask itself. A mask of nothing is not the same as none: it says that no member was given.
fn fill_mask(mask: &mut Option<FieldMask>, members: Vec<String>, field: Option<&str>, own: Option<&str>) {
    let paths = &mut mask.get_or_insert_default().paths;
    if !paths.is_empty() {
        return;
    }
    paths.extend(members.into_iter().filter_map(|mut path| match field {
        Some(field) => {
            let inside = path.strip_prefix(field)?.strip_prefix('.')?.len();
            path.drain(..path.len() - inside);
            Some(path)
        }
        None => (Some(path.as_str()) != own).then_some(path),
    }));
}
