//! Emits the rules: the options and `google.api.http` of each path, as static data.

use std::fmt::Write as _;

use prost_reflect::MessageDescriptor;

use super::constant;
use crate::{
    model::{Binding, Method},
    names::literal,
    template::Segment,
};

/// Emits the rule of a path.
pub fn rule(out: &mut String, method: &Method, index: usize, binding: &Binding) {
    let input = method.descriptor.input();
    let http = &binding.http;
    let position = |message: &MessageDescriptor, name: &str| message.fields().position(|field| field.name() == name);
    let body = match http.body.as_str() {
        "" => "None".to_owned(),
        "*" if method.uploads(binding) => "Raw { name: None }".to_owned(),
        field if method.uploads(binding) => format!("Raw {{ name: Some({}) }}", literal(field)),
        "*" => "Whole".to_owned(),
        field => {
            format!("Field {{ index: {}, name: {} }}", position(&input, field).unwrap_or_default(), literal(field))
        }
    };
    let mut taken: Vec<_> = binding.template.variables.iter().map(|variable| literal(&variable.field)).collect();
    if !http.body.is_empty() && !method.rest.body_or_query {
        taken.push(literal(if http.body == "*" { "" } else { &http.body }));
    }
    let response = match http.response_body.as_str() {
        "" => "None".to_owned(),
        field => format!("{:?}", position(&method.descriptor.output(), field)),
    };
    let lenient: Vec<_> = method.rest.lenient_query.iter().map(|key| literal(key)).collect();
    let status: Vec<_> = method.statuses().map(|(reason, status)| format!("({}, {status})", literal(reason))).collect();
    let mask = binding.mask.as_ref().map_or_else(|| "None".to_owned(), |mask| format!("Some({})", literal(mask)));
    let _ = writeln!(
        out,
        "#[doc(hidden)] pub static {constant}_RULE_{index}: ::transcoder::rest::Rule = ::transcoder::rest::Rule {{ \
         method: {method}, template: {template}, info: &{constant}, \
         binding: ::transcoder::rest::Binding {{ body: ::transcoder::rest::Body::{body}, taken: &[{taken}], \
         body_or_query: {either}, body_required: {required}, lenient: &[{lenient}], mask: {mask} }}, response: {response}, success: {success}, empty_body: {empty}, \
         status: &[{status}], stream: {stream}, raw_answer: {raw}, etag: {etag}, resume: {resume} }};",
        constant = constant(method),
        method = literal(&http.method),
        template = template(binding),
        taken = taken.join(", "),
        either = method.rest.body_or_query,
        required = method.rest.body_required && !http.body.is_empty(),
        lenient = lenient.join(", "),
        success = if method.rest.success_status == 0 { 200 } else { method.rest.success_status },
        empty = method.rest.empty_body || matches!(method.rest.success_status, 204 | 304),
        status = status.join(", "),
        stream = method.descriptor.is_server_streaming(),
        raw = method.downloads(binding),
        etag = match &method.rest.etag {
            Some(etag) => format!(
                "Some(::transcoder::rest::EtagRule {{ digest: {}, request: {}, quoted: {}, known: {} }})",
                etag.response.is_empty(),
                optional_path(&etag.request),
                etag.quoted,
                optional_path(&etag.known),
            ),
            None => "None".to_owned(),
        },
        resume = optional_path(&method.rest.event.resume),
    );
}

/// An optional field path.
fn optional_path(path: &str) -> String {
    if path.is_empty() { "None".to_owned() } else { format!("Some({})", literal(path)) }
}

fn template(binding: &Binding) -> String {
    let segments = binding.template.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => format!("::transcoder::router::Segment::Literal({}), ", literal(text)),
        Segment::Any => "::transcoder::router::Segment::Any, ".to_owned(),
        Segment::Rest => "::transcoder::router::Segment::Rest, ".to_owned(),
    });
    let variables = binding.template.variables.iter().map(|variable| {
        let (field, first, last) = (literal(&variable.field), variable.first, variable.last);
        format!("::transcoder::router::Variable {{ field: {field}, first: {first}, last: {last} }}, ")
    });
    format!(
        "::transcoder::router::Template {{ text: {}, segments: &[{}], verb: {}, variables: &[{}] }}",
        literal(&binding.http.path),
        segments.collect::<String>(),
        literal(&binding.template.verb),
        variables.collect::<String>(),
    )
}
