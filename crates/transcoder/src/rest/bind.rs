//! Binds a request message: first the body, then the query, then the path, which takes precedence.

use http::{
    HeaderMap, HeaderName,
    header::{IF_MATCH, IF_NONE_MATCH},
    request::Parts,
};
use prost_types::FieldMask;

use super::{
    read::media_type,
    rule::{Body, Call, Rule},
};
use crate::{
    json::{
        DecodeError, DecodeErrorKind, JsonOptions, Kind as _, Message, Msg, Reader, RequestPart, Step,
        read::from_slice,
        text::{Rules, bind},
    },
    percent,
    router::Path,
};

/// The id of the last event that a client received (the HTML standard, section 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The field mask of a request that is filled with the members of its body.
pub type Mask<M> = fn(&mut M) -> &mut Option<FieldMask>;

/// Stores raw bytes with their media type in a request.
pub type Upload<M> = fn(&mut M, String, Vec<u8>);

/// The request message of a call.
pub(super) fn message<M: Message>(
    rule: &Rule,
    call: &Call,
    mask: Option<Mask<M>>,
    upload: Option<Upload<M>>,
) -> Result<M, DecodeError> {
    let options = &rule.info.surface.json;
    let mut message = M::default();
    let members = match upload {
        Some(upload) => raw(&mut message, call, upload),
        None => body(&mut message, rule, call, options)?,
    };
    let mut bound = Vec::new();
    let own_tag = rule.etag.and_then(|etag| etag.request);
    let mut has_tag = own_tag.is_some_and(|field| members.iter().any(|member| member == field));
    if let Some(text) = call.parts.uri.query() {
        let given = if rule.binding.body_or_query { &*members } else { &[] };
        let rules = Rules { taken: rule.binding.taken, given, lenient: rule.binding.lenient, overwrite: false };
        query(&mut message, text, options, &rules, &mut bound).map_err(|error| error.at(RequestPart::Query))?;
    }
    if let Some(mask) = mask
        && !call.body.is_empty()
    {
        fill_mask(mask(&mut message), members, rule.binding.body.field(), rule.binding.mask);
    }
    path(&mut message, rule, call.parts.uri.path(), options, &mut bound)
        .map_err(|error| error.at(RequestPart::Path))?;
    headers(&mut message, rule, &call.parts, options)?;
    if let Some((field, tag)) = own_tag.zip(call.tag.as_deref()) {
        has_tag |= bound.iter().any(|path| path == field);
        let given = if has_tag { vec![field.to_owned()] } else { Vec::new() };
        header(&mut message, (IF_MATCH, field), tag, options, &Rules { given: &given, ..Rules::default() })?;
    }
    if let Some(field) = rule.etag.and_then(|etag| etag.known) {
        for tag in &call.known {
            header(&mut message, (IF_NONE_MATCH, field), tag, options, &Rules::default())?;
        }
    }
    if let Some(field) = rule.resume
        && let Some(id) = last_event_id(&call.parts.headers)?
    {
        // When a browser reconnects, it uses the original URL, so the header overrides the query.
        let rules = Rules { overwrite: true, ..Rules::default() };
        header(&mut message, (LAST_EVENT_ID, field), id, options, &rules)?;
    }
    Ok(message)
}

/// The id of the last event, if the client has one. Browsers send it back unchanged, in UTF-8.
fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, DecodeError> {
    let refused =
        |kind, text| DecodeError::new(kind, text).within(Step::Member(LAST_EVENT_ID.as_str())).at(RequestPart::Header);
    let mut ids = headers.get_all(LAST_EVENT_ID).iter();
    let Some(id) = ids.next() else { return Ok(None) };
    if ids.any(|other| other != id) {
        return Err(refused(DecodeErrorKind::Duplicate, "given twice, with different values"));
    }
    let id = str::from_utf8(id.as_bytes()).map_err(|_| refused(DecodeErrorKind::Encoding, "must be UTF-8"))?;
    Ok((!id.is_empty()).then_some(id))
}

/// Fails if the query or the path of a request cannot be bound, whatever its body is.
pub(super) fn head<M: Message>(rule: &Rule, parts: &Parts) -> Result<(), DecodeError> {
    let (options, mut message, mut bound) = (&rule.info.surface.json, M::default(), Vec::new());
    if let Some(text) = parts.uri.query() {
        let rules = Rules { taken: rule.binding.taken, given: &[], lenient: rule.binding.lenient, overwrite: false };
        query(&mut message, text, options, &rules, &mut bound).map_err(|error| error.at(RequestPart::Query))?;
    }
    path(&mut message, rule, parts.uri.path(), options, &mut bound).map_err(|error| error.at(RequestPart::Path))
}

/// Binds the headers that are fields of the request.
fn headers<M: Message>(message: &mut M, rule: &Rule, parts: &Parts, options: &JsonOptions) -> Result<(), DecodeError> {
    for (name, field) in rule.headers {
        let name = HeaderName::from_static(name);
        let mut values = parts.headers.get_all(&name).iter();
        let Some(value) = values.next() else { continue };
        let refused =
            |kind, text| DecodeError::new(kind, text).within(Step::Member(name.as_str())).at(RequestPart::Header);
        if values.next().is_some() {
            return Err(refused(DecodeErrorKind::Duplicate, "given twice"));
        }
        let value = value.to_str().map_err(|_| refused(DecodeErrorKind::Encoding, "must be ASCII"))?;
        header(message, (name.clone(), field), value, options, &Rules { overwrite: true, ..Rules::default() })?;
    }
    Ok(())
}

/// Binds the value of a header to the field of a path in proto names.
fn header<M: Message>(
    message: &mut M,
    (name, field): (HeaderName, &str),
    value: &str,
    options: &JsonOptions,
    rules: &Rules<'_>,
) -> Result<(), DecodeError> {
    match bind(message, field, value, options, rules, &mut Vec::new()) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = match error.kind {
                DecodeErrorKind::Conflict => "differs from the value in the request".to_owned(),
                _ => error.message.clone(),
            };
            Err(DecodeError::new(error.kind, text).within(Step::Member(name.as_str())).at(RequestPart::Header))
        }
    }
}

/// Takes the body as raw bytes.
fn raw<M>(message: &mut M, call: &Call, upload: Upload<M>) -> Vec<String> {
    upload(message, media_type(&call.parts.headers).to_owned(), call.body.to_vec());
    Vec::new()
}

/// Binds the variables of the path.
fn path<M: Message>(
    message: &mut M,
    rule: &Rule,
    path: &str,
    options: &JsonOptions,
    bound: &mut Vec<String>,
) -> Result<(), DecodeError> {
    let rules = Rules { overwrite: true, ..Rules::default() };
    let Some(path) = Path::split(path.strip_suffix('/').unwrap_or(path)) else { return Ok(()) };
    for variable in rule.template.variables {
        bind(message, variable.field, &path.value(&rule.template, variable)?, options, &rules, bound)?;
    }
    Ok(())
}

/// Reads the body and returns which members it has.
fn body<M: Message>(
    message: &mut M,
    rule: &Rule,
    call: &Call,
    options: &JsonOptions,
) -> Result<Vec<String>, DecodeError> {
    if call.body.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(options);
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
    options: &JsonOptions,
    rules: &Rules<'_>,
    bound: &mut Vec<String>,
) -> Result<(), DecodeError> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    for (key, value) in pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
        // A key that does not decode cannot be named in the error.
        let key = percent::decode_query(key)?;
        let value = percent::decode_query(value).map_err(|error| error.within(Step::Member(&key)))?;
        let known = bind(message, &key, &value, options, rules, bound)?;
        if !known && !options.ignore_unknown {
            return Err(DecodeError::new(DecodeErrorKind::Unknown, "unknown query key").within(Step::Member(&key)));
        }
    }
    Ok(())
}

/// Fills the mask, if the caller left it unset, with the members of the body: those of its one field, or of the whole
/// message except the mask itself. An empty mask is not the same as no mask: it means that the body had no members.
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_last_event_id_is_one_text() {
        let of = |ids: &[&[u8]]| {
            let ids = ids.iter().map(|id| (LAST_EVENT_ID, HeaderValue::from_bytes(id).unwrap()));
            let headers = HeaderMap::from_iter(ids);
            last_event_id(&headers).map(|id| id.map(str::to_owned)).map_err(|error| error.kind)
        };
        assert_eq!((of(&[]), of(&[b""])), (Ok(None), Ok(None)));
        assert_eq!((of(&[b"7"]), of(&[b"7", b"7"])), (Ok(Some("7".to_owned())), Ok(Some("7".to_owned()))));
        assert_eq!(of(&["\u{fc}".as_bytes()]), Ok(Some("\u{fc}".to_owned())));
        assert_eq!(of(&[b"\xff"]), Err(DecodeErrorKind::Encoding));
        assert_eq!(
            (of(&[b"7", b"8"]), of(&[b"7", b""])),
            (Err(DecodeErrorKind::Duplicate), Err(DecodeErrorKind::Duplicate))
        );
    }
}
