//! The responses of an operation: success, and every status with which it can fail.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value, json};

use super::{
    Context, choices,
    examples::Examples,
    field::Form,
    frame::Dialect,
    names::Scope,
    schema::{Schemas, reference},
};
use crate::{
    model::{Binding, Method},
    options::{Surface, Tenant},
};

/// The HTTP statuses of gRPC codes, as in google.rpc.Code.
const CODES: &[(&str, u16)] = &[
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("OUT_OF_RANGE", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("NOT_FOUND", 404),
    ("ABORTED", 409),
    ("ALREADY_EXISTS", 409),
    ("RESOURCE_EXHAUSTED", 429),
    ("INTERNAL", 500),
    ("UNIMPLEMENTED", 501),
    ("UNAVAILABLE", 503),
    ("DEADLINE_EXCEEDED", 504),
];

/// The descriptions of statuses.
const TEXTS: &[(u16, &str)] = &[
    (400, "The request is malformed, or asks for something impossible."),
    (401, "The credential is missing or not valid."),
    (403, "The caller does not have permission."),
    (404, "The resource does not exist."),
    (405, "The resource does not support this method."),
    (409, "The resource already exists, is in use, or has changed in the meantime."),
    (412, "A precondition failed."),
    (413, "The body is too large."),
    (415, "The body is not declared as JSON."),
    (422, "The request is well-formed but not valid."),
    (429, "Too many requests."),
    (500, "The server failed. Its log has the cause, under the id of the request."),
    (501, "Not available on this server."),
    (503, "The server is unavailable; retry later."),
    (504, "The call exceeded its time limit."),
];

/// The error responses that the operations of a document share.
#[derive(Debug, Default)]
pub struct Errors {
    made: BTreeMap<String, Value>,
}

impl Errors {
    /// All error responses with a reference.
    pub fn finish(self) -> Value {
        json!(self.made)
    }

    /// Adds the responses of a method's failures.
    pub fn answer(
        &mut self,
        responses: &mut Map<String, Value>,
        schemas: &mut Schemas<'_>,
        scope: Scope<'_>,
        dialect: &Dialect,
        surface: &Surface,
        statuses: &BTreeMap<u16, BTreeSet<String>>,
    ) {
        let component = scope.error(&surface.name);
        schemas.add(component.clone(), dialect.schema.clone());
        let body = json!({"application/json": {"schema": reference(&component), "example": dialect.example}});
        for (status, reasons) in statuses {
            let text = TEXTS.iter().find(|(known, _)| known == status).map_or("The call failed.", |(_, text)| text);
            let response = if reasons.is_empty() {
                self.shared(scope.response(&surface.name, &status.to_string()), text, &body)
            } else {
                let reasons: Vec<_> = reasons.iter().map(|reason| format!("`{reason}`")).collect();
                json!({"description": format!("{text} Reasons: {}.", reasons.join(", ")), "content": body})
            };
            responses.insert(status.to_string(), response);
        }
        let default = scope.response(&surface.name, "default");
        responses.insert("default".into(), self.shared(default, "Any other failure.", &body));
    }

    fn shared(&mut self, name: String, text: &str, body: &Value) -> Value {
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        self.made.entry(name).or_insert_with(|| json!({"description": text, "content": body}));
        reference
    }
}

/// The statuses with which a binding can fail, with the reasons of its rule.
pub fn failures(
    method: &Method,
    binding: &Binding,
    has_parameters: bool,
    comment: &str,
    dialect: &Dialect,
) -> BTreeMap<u16, BTreeSet<String>> {
    let body = !binding.http.body.is_empty();
    let input = has_parameters || body;
    let mut statuses: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    let mut can = |when: bool, codes: &[u16]| {
        for code in codes.iter().filter(|_| when) {
            statuses.entry(*code).or_default();
        }
    };
    can(true, &[429, 500, 503, 504]);
    can(input || !method.surface.ignore_unknown, &[400]);
    can(!method.auth.public, &[401, 403]);
    let of_caller = match &method.auth.tenant {
        Some(Tenant::FieldOrCaller(_)) => true,
        Some(Tenant::From(from)) => from == "CALLER",
        _ => false,
    };
    can(input || of_caller, &[404]);
    can(binding.http.method != "GET", &[409]);
    can(body, &[413, 415]);
    can(method.rest.etag.is_some(), &[412]);
    let (theirs, ours): (Vec<u16>, Vec<u16>) = dialect.statuses.iter().partition(|status| **status < 500);
    can(input, &theirs);
    can(true, &ours);
    // By convention, a comment names the codes of failures.
    let words = comment.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    for word in words {
        let named = CODES.iter().find(|(code, _)| *code == word);
        can(named.is_some(), named.map_or(&[], |(_, status)| std::slice::from_ref(status)));
    }
    let told = |reason: &String| method.rest.fails_with.contains(reason);
    let of_surface = method.surface.status.iter().filter(|(reason, _)| told(reason));
    for (reason, status) in method.rest.status.iter().chain(of_surface) {
        let status = u16::try_from(*status).unwrap_or_default();
        statuses.entry(status).or_default().insert(reason.clone());
    }
    statuses
}

/// Adds the responses of success.
pub fn success(
    responses: &mut Map<String, Value>,
    cx: &Context<'_>,
    schemas: &mut Schemas<'_>,
    method: &Method,
    binding: &Binding,
) {
    let usual = if method.rest.success_status == 0 { 200 } else { method.rest.success_status };
    let created = (!method.rest.created_field.is_empty()).then_some(201);
    for status in std::iter::once(usual).chain(created).collect::<BTreeSet<_>>() {
        let text = match status {
            201 => "Success: the resource was created.",
            204 => "Success, without a body.",
            _ => "Success.",
        };
        let mut response = Map::from_iter([("description".to_owned(), json!(text))]);
        if !method.rest.empty_body && !matches!(status, 204 | 304) {
            response.insert("content".into(), content(cx, schemas, method, binding));
        }
        if method.rest.etag.is_some() {
            response.insert("headers".into(), tag());
        }
        responses.insert(status.to_string(), Value::Object(response));
    }
    if method.rest.etag.is_some() && binding.http.method == "GET" {
        let text = "Not modified: If-None-Match has the current entity tag.";
        responses.insert("304".into(), json!({"description": text, "headers": tag()}));
    }
}

/// The header that carries the entity tag.
fn tag() -> Value {
    let text = "The entity tag of the resource, for If-None-Match and If-Match.";
    json!({"ETag": {"description": text, "schema": {"type": "string"}}})
}

fn content(cx: &Context<'_>, schemas: &mut Schemas<'_>, method: &Method, binding: &Binding) -> Value {
    let (surface, output) = (&method.surface, method.descriptor.output());
    if method.downloads(binding) {
        let kind = if method.rest.media_type.is_empty() { "*/*" } else { &method.rest.media_type };
        let text = kind.starts_with("text/");
        return json!({kind: if text { json!({"schema": {"type": "string"}}) } else { json!({}) }});
    }
    let examples = Examples { options: cx.options, surface, form: Form::Output };
    let (schema, example) = match output.get_field_by_name(&binding.http.response_body) {
        Some(field) => (schemas.value(surface, &field, Form::Output), examples.field(&field)),
        None => (schemas.message(surface, &output, Form::Output), examples.message(&output)),
    };
    if method.descriptor.is_server_streaming() {
        return json!({
            // The schema of each line; OpenAPI 3.1 has no better way to describe it.
            "application/x-ndjson": {"schema": schema, "example": example},
            "text/event-stream": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "array", "items": schema}, "example": [example]},
        });
    }
    json!({"application/json": {"schema": schema, "example": example}})
}

/// The request body of a binding, if it has one.
pub fn body(cx: &Context<'_>, schemas: &mut Schemas<'_>, method: &Method, binding: &Binding) -> Option<Value> {
    let (surface, input) = (&method.surface, method.descriptor.input());
    let name = match binding.http.body.as_str() {
        "" => return None,
        name => name,
    };
    if method.uploads(binding) {
        return Some(json!({"required": method.rest.body_required, "content": {"*/*": {}}}));
    }
    let examples = Examples { options: cx.options, surface, form: Form::Input };
    let field = input.get_field_by_name(name).filter(|_| name != "*");
    let either = method.rest.body_or_query;
    let bound: Vec<_> = binding.template.variables.iter().map(|variable| variable.field.as_str()).collect();
    let (schema, example, required) = match (&field, &method.actions) {
        (None, Some(actions)) => {
            let example = choices::example(&examples, &input, actions, &bound);
            (schemas.choice(method, actions, &bound), example, true)
        }
        (Some(field), _) => {
            let message = field.kind().as_message().cloned().filter(|_| !field.is_list() && !field.is_map());
            let asks = message.is_some_and(|message| asks_for_members(cx, &message, &[]));
            let required = cx.options.field(field).required || asks;
            (schemas.value(surface, field, Form::Input), examples.field(field), required)
        }
        (None, None) => {
            let form = if either { Form::Partial } else { Form::Input };
            let required = asks_for_members(cx, &input, &bound);
            (schemas.body(surface, &input, form, &bound), examples.message_without(&input, &bound), required)
        }
    };
    let mut body = Map::from_iter([
        ("required".to_owned(), json!(method.rest.body_required || (required && !either))),
        ("content".to_owned(), json!({"application/json": {"schema": schema, "example": example}})),
    ]);
    if let Some(field) = &field {
        super::schema::describe(&mut body, cx.comments.of(&field.parent_file(), field.path()));
    }
    Some(Value::Object(body))
}

/// Whether a message has a required field other than those that the path binds.
fn asks_for_members(cx: &Context<'_>, message: &MessageDescriptor, bound: &[&str]) -> bool {
    message.fields().any(|field| cx.options.field(&field).required && !bound.contains(&field.name()))
}
