//! Emits the REST routes: for each path, how the method is called and how its messages are handled.

use std::fmt::Write as _;

use prost_reflect::{Kind, MessageDescriptor};

use super::{Scope, constant, guarded};
use crate::{
    model::{self, Binding, Method, Service},
    names::{oneof_of, snake, variant},
    wellknown::well_known,
};

/// Emits the routes of a service.
pub fn routes(out: &mut String, service: &Service, scope: &Scope<'_>) {
    if service.methods.iter().all(|method| method.bindings.is_empty()) {
        let _ = writeln!(
            out,
            "/// The service has no REST routes.\n\
             pub fn routes<S: {bound}>(_: &Guarded<S>) -> Vec<::transcoder::rest::Route> {{ Vec::new() }}",
            bound = scope.bound,
        );
        return;
    }
    let _ = writeln!(
        out,
        "/// The REST routes of the service.\n\
         pub fn routes<S: {bound}>(service: &Guarded<S>) -> Vec<::transcoder::rest::Route> {{\n\
         let service = ::std::sync::Arc::new(Guarded {{ inner: service.inner.clone(), guard: service.guard.clone() }});\n\
         vec![",
        bound = scope.bound,
    );
    for method in &service.methods {
        for (index, binding) in method.bindings.iter().enumerate() {
            let call = guarded::call(method);
            let input = scope.message(&method.descriptor.input());
            let output = scope.message(&method.descriptor.output());
            let form = if method.descriptor.is_server_streaming() { "stream" } else { "unary" };
            let _ = writeln!(
                out,
                "::transcoder::rest::Route::{form}::<{input}, {output}, _, _{more}>(&{tables}{constant}_RULE_{index}, {{ let service = service.clone(); \
                 move |request| {{ let service = service.clone(); async move {{ {call}(&service, request).await }} }} }}, \
                 ::transcoder::rest::MethodHooks {{ {handles}..::transcoder::rest::MethodHooks::new({write}) }}),",
                more = if form == "stream" { ", _" } else { "" },
                tables = scope.tables,
                constant = constant(method),
                handles = handles(method, binding, scope),
                write = write(method, binding, scope),
            );
        }
    }
    out.push_str("]\n}\n");
}

/// How a response becomes the body.
fn write(method: &Method, binding: &Binding, scope: &Scope<'_>) -> String {
    let output = method.descriptor.output();
    let ty = scope.message(&output);
    match (method.downloads(binding), &*binding.http.response_body) {
        (true, "") => format!("|body: {ty}, _, _| Ok(::transcoder::rest::Payload::raw(&body.content_type, body.data))"),
        (true, field) => format!(
            "|answer: {ty}, _, _| {{ let body = {}.unwrap_or_default(); \
             Ok(::transcoder::rest::Payload::raw(&body.content_type, body.data)) }}",
            bytes_of(&output, field, scope)
        ),
        _ => match well_known(&output).filter(|known| known.rust != "()") {
            Some(known) => format!("::transcoder::rest::value::<{}>", known.kind),
            None => format!("::transcoder::rest::json::<{ty}>"),
        },
    }
}

/// An expression for the raw bytes in a field of `answer`, if it is set.
fn bytes_of(output: &MessageDescriptor, name: &str, scope: &Scope<'_>) -> String {
    let field = output.get_field_by_name(name);
    match field.as_ref().and_then(|field| Some((field, oneof_of(field)?))) {
        None => format!("answer.{}", snake(name)),
        Some((field, oneof)) => {
            let variant = variant(field, &oneof, |full| scope.path(full, output.package_name()));
            let place = snake(oneof.name());
            format!(
                "answer.{place}.and_then(|way| match way {{ {variant}(body) => Some(body), #[allow(unreachable_patterns)] _ => None }})"
            )
        }
    }
}

/// The hooks that the options of a method need.
fn handles(method: &Method, binding: &Binding, scope: &Scope<'_>) -> String {
    let (input, output) = (method.descriptor.input(), method.descriptor.output());
    let (request, response) = (scope.message(&input), scope.message(&output));
    let rest = &method.rest;
    let mut handles = String::new();
    if !rest.created_field.is_empty() {
        let _ = write!(handles, "created: Some(|answer: &{response}| answer.{}), ", snake(&rest.created_field));
    }
    if let Some(mask) = &binding.mask {
        let _ = write!(handles, "mask: Some(|message: &mut {request}| &mut message.{}), ", snake(mask));
    }
    if let Some(body) = method.body(binding).filter(|_| method.uploads(binding)) {
        let place = match input.get_field_by_name(&binding.http.body) {
            None => "*message = body;".to_owned(),
            Some(field) => match oneof_of(&field) {
                None => format!("message.{} = Some(body);", snake(field.name())),
                Some(oneof) => {
                    let variant = variant(&field, &oneof, |full| scope.path(full, input.package_name()));
                    format!("message.{} = Some({variant}(body));", snake(oneof.name()))
                }
            },
        };
        let ty = scope.message(&body);
        let _ = write!(
            handles,
            "upload: Some(|message: &mut {request}, content_type, data| {{ \
             let body = {ty} {{ content_type, data, ..::core::default::Default::default() }}; {place} }}), "
        );
    }
    let mut word = |handle: &str, field: &str| {
        if !field.is_empty() {
            let word = word_of(&output, field, scope);
            let _ = write!(handles, "{handle}: Some(|answer: &{response}| {word}), ");
        }
    };
    word("tag", rest.etag.as_ref().map(|etag| etag.response.as_str()).unwrap_or_default());
    word("event_id", &rest.event.id);
    word("event_type", &rest.event.kind);
    if let Some(list) = output.fields().position(|field| field.name() == rest.paged_list) {
        let _ = write!(handles, "paged: Some(::transcoder::rest::Paged::<{response}>::new({list})), ");
    }
    handles
}

/// An expression for the text of a field of `answer`, by its path: a string or integer, or the name of an enum value.
fn word_of(message: &MessageDescriptor, field_path: &str, scope: &Scope<'_>) -> String {
    let fields = model::steps(message, field_path).unwrap_or_default();
    let Some((last, outer)) = fields.split_last() else { return "None".to_owned() };
    let inner: String =
        outer.iter().map(|field| format!(".and_then(|m| m.{}.as_ref())", snake(field.name()))).collect();
    let value = match last.kind() {
        Kind::Enum(item) => {
            let ty = scope.path(item.full_name(), item.package_name());
            format!("<{ty} as ::transcoder::json::Enum>::name(value).map(::std::string::ToString::to_string)")
        }
        _ => "Some(value.to_string())".to_owned(),
    };
    let (place, optional) = (format!("m.{}", snake(last.name())), last.supports_presence());
    match (last.kind(), optional) {
        (Kind::String, true) => format!("Some(answer){inner}.and_then(|m| {place}.as_ref()).and_then(|value| {value})"),
        (_, true) => format!("Some(answer){inner}.and_then(|m| {place}).and_then(|value| {value})"),
        (Kind::String, false) => format!("Some(answer){inner}.map(|m| &{place}).and_then(|value| {value})"),
        (_, false) => format!("Some(answer){inner}.map(|m| {place}).and_then(|value| {value})"),
    }
}
