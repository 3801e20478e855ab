//! Parameters: the path and query of a call.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{
    Context,
    examples::{self, Examples},
    field::{Form, spelling, wrapped},
    paths::{Place, Variable},
    schema::{Schemas, describe, narrow, scalar},
};
use crate::{
    model::{Binding, Method, steps},
    options::Surface,
};

/// The maximum nesting of query keys.
const DEPTH: usize = 4;

/// The parameters of a binding.
pub fn parameters(
    cx: &Context<'_>,
    schemas: &mut Schemas<'_>,
    method: &Method,
    binding: &Binding,
    place: &Place,
) -> Vec<Value> {
    let mut parameters: Vec<_> =
        place.variables.iter().map(|variable| path_parameter(cx, schemas, method, variable)).collect();
    if binding.http.body != "*" || method.rest.body_or_query {
        let mut taken: Vec<_> = binding.template.variables.iter().map(|variable| variable.field.clone()).collect();
        if binding.http.body != "*" && !binding.http.body.is_empty() {
            taken.push(binding.http.body.clone());
        }
        taken.extend(method.rest.headers.iter().map(|(_, field)| field.clone()));
        let mut query = Query { cx, schemas, method, taken, found: Vec::new() };
        query.fields(&method.descriptor.input(), "", "", &mut Vec::new());
        parameters.extend(query.found);
    }
    parameters.extend(header_fields(cx, method));
    parameters.extend(headers(method, binding));
    parameters
}

/// The headers that are fields of the request.
fn header_fields(cx: &Context<'_>, method: &Method) -> Vec<Value> {
    let parameter = |(name, field): &(String, String)| {
        let field = method.descriptor.input().get_field_by_name(field)?;
        let text = cx.comments.of(&field.parent_file(), field.path());
        let schema = json!({"type": "string"});
        Some(json!({"name": name, "in": "header", "description": text, "schema": schema, "required": false}))
    };
    method.rest.headers.iter().filter_map(parameter).collect()
}

/// The request headers of a call.
fn headers(method: &Method, binding: &Binding) -> Vec<Value> {
    let header = |name: &str, text: &str| json!({"name": name, "in": "header", "description": text, "schema": {"type": "string"}, "required": false});
    let mut headers = Vec::new();
    if let Some(etag) = &method.rest.etag {
        if binding.http.method == "GET" {
            let text = "Entity tags that the client has. If one of them is current, the response is 304.";
            headers.push(header("If-None-Match", text));
        }
        if binding.http.method == "GET" || !etag.request.is_empty() {
            let text =
                "The entity tag that the resource must still have, or `*`. If it has another one, the response is 412.";
            headers.push(header("If-Match", text));
        }
    }
    if !method.rest.event.resume.is_empty() {
        headers.push(header(
            "Last-Event-ID",
            "The id of the last event that the client received. The stream resumes after it.",
        ));
    }
    headers
}

fn path_parameter(cx: &Context<'_>, schemas: &mut Schemas<'_>, method: &Method, variable: &Variable) -> Value {
    let surface = &method.surface;
    let mut parameter = Map::from_iter([
        ("name".to_owned(), json!(variable.name)),
        ("in".to_owned(), json!("path")),
        ("required".to_owned(), json!(true)),
    ]);
    let path = variable.field.as_deref().and_then(|path| steps(&method.descriptor.input(), path));
    let field = path.as_ref().and_then(|path| path.last());
    let mut text = field.map_or("", |field| cx.comments.of(&field.parent_file(), field.path())).to_owned();
    if let (Some(within), Some(field)) = (&variable.within, &variable.field) {
        text.push_str(&format!("\n\nA part of `{field}`, which is `{within}`."));
    }
    if variable.rest {
        text.push_str("\n\nAny number of segments, with the slashes between them.");
    }
    describe(&mut parameter, text.trim());
    let whole = field.filter(|_| variable.within.is_none());
    let mut schema = whole.map_or_else(|| json!({"type": "string"}), |field| text_schema(schemas, surface, field));
    if let Some(field) = whole {
        narrow(&mut schema, &cx.options.field(field));
    }
    if schema.get("type").is_some_and(|kind| kind == "string") && schema.get("format").is_none() {
        // An empty segment does not match.
        schema["minLength"] = json!(1);
    }
    parameter.insert("schema".into(), schema);
    let example = whole.map(|field| Examples { options: cx.options, surface, form: Form::Input }.field(field));
    parameter.insert("example".into(), example.unwrap_or_else(|| json!("example")));
    Value::Object(parameter)
}

/// Collects query keys.
struct Query<'q, 'c> {
    cx: &'q Context<'q>,
    schemas: &'q mut Schemas<'c>,
    method: &'q Method,
    /// Paths of fields that are bound otherwise.
    taken: Vec<String>,
    found: Vec<Value>,
}

impl Query<'_, '_> {
    /// Adds the keys of a message's fields. `key` and `path` are those of the message itself, with a trailing dot.
    fn fields(&mut self, message: &MessageDescriptor, key: &str, path: &str, above: &mut Vec<String>) {
        above.push(message.full_name().to_owned());
        for field in message.fields() {
            let rule = self.cx.options.field(&field);
            let path = format!("{path}{}", field.name());
            if rule.mask_of_body || rule.output_only || self.taken.contains(&path) {
                continue;
            }
            let key = format!("{key}{}", spelling(&self.method.surface, &field));
            match field.kind() {
                Kind::Message(inner) if !field.is_map() && inner.package_name() != "google.protobuf" => {
                    let again = above.iter().any(|name| name == inner.full_name()) || above.len() >= DEPTH;
                    if !field.is_list() && !again {
                        self.fields(&inner, &format!("{key}."), &format!("{path}."), above);
                    }
                }
                _ => self.field(&field, &key, &path),
            }
        }
        above.pop();
    }

    fn field(&mut self, field: &FieldDescriptor, key: &str, path: &str) {
        let surface = &self.method.surface;
        let rule = self.cx.options.field(field);
        let mut parameter = Map::from_iter([("name".to_owned(), json!(key)), ("in".to_owned(), json!("query"))]);
        let mut text = self.cx.comments.of(&field.parent_file(), field.path()).to_owned();
        let lenient = self.method.rest.lenient_query.iter().any(|lenient| lenient == path);
        if lenient {
            text.push_str("\n\nRead leniently: `true` in any case is true, everything else is false.");
        }
        let schema = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return };
            let Some(values) = bindable(self.schemas, surface, &entry.map_entry_value_field()) else { return };
            text.push_str("\n\nWrite an entry as `name[key]=value`.");
            parameter.insert("style".into(), json!("deepObject"));
            parameter.insert("explode".into(), json!(true));
            json!({"type": "object", "additionalProperties": values})
        } else {
            let Some(mut single) = bindable(self.schemas, surface, field) else { return };
            narrow(&mut single, &rule);
            if lenient {
                // Every text is accepted.
                single = json!({"type": ["boolean", "string"]});
            }
            if field.is_list() { json!({"type": "array", "items": single}) } else { single }
        };
        describe(&mut parameter, text.trim());
        parameter.insert("schema".into(), schema);
        if rule.required && !self.method.rest.body_or_query && !path.contains('.') {
            parameter.insert("required".into(), json!(true));
        }
        if field.field_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            parameter.insert("deprecated".into(), json!(true));
        }
        if let Some(example) = examples::given(surface, field, &rule) {
            parameter.insert("example".into(), example);
        }
        self.found.push(Value::Object(parameter));
    }
}

/// The schema of a value in a path or query; `None` for values that cannot be there.
fn bindable(schemas: &mut Schemas<'_>, surface: &Surface, field: &FieldDescriptor) -> Option<Value> {
    let has_text = match field.kind() {
        Kind::Message(message) => {
            let known = ["Timestamp", "Duration", "FieldMask"].contains(&message.name());
            (known && message.package_name() == "google.protobuf") || wrapped(&message).is_some()
        }
        _ => true,
    };
    has_text.then(|| text_schema(schemas, surface, field))
}

/// The schema of a value in a path or query, where 64-bit integers have no quotes.
fn text_schema(schemas: &mut Schemas<'_>, surface: &Surface, field: &FieldDescriptor) -> Value {
    match field.kind() {
        Kind::Message(message) => match wrapped(&message) {
            Some(kind) => scalar(&kind, true),
            None => schemas.single(surface, field, Form::Input),
        },
        Kind::Enum(_) => schemas.single(surface, field, Form::Input),
        kind => scalar(&kind, true),
    }
}
