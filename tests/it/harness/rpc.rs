//! Every RPC, found by reflection, with its calls over gRPC and REST.

use prost_reflect::{DynamicMessage, Kind, MethodDescriptor, ReflectMessage as _, Value};
use reqwest::Method;

use super::grpc;

/// An RPC, or one of its actions if a field of the request decides the permission.
#[derive(Clone)]
pub struct Row {
    pub method: MethodDescriptor,
    pub action: Option<String>,
}

/// A row for each RPC, or for each action of one.
pub fn rows() -> Vec<Row> {
    grpc::methods().into_iter().flat_map(rows_of).collect()
}

impl Row {
    /// A request with these values in the fields of these names, as far as the message has them (a list gets one
    /// element), and nothing else, so that it has little effect.
    pub fn request(&self, fields: &[(&str, &str)]) -> DynamicMessage {
        let mut message = DynamicMessage::new(self.method.input());
        for (name, value) in fields {
            let Some(field) = message.descriptor().get_field_by_name(name) else { continue };
            let value = Value::String((*value).to_owned());
            match field.kind() {
                Kind::String if field.is_list() => message.set_field(&field, Value::List(vec![value])),
                Kind::String if !field.is_map() => message.set_field(&field, value),
                _ => {}
            }
        }
        if let Some(action) = &self.action {
            message.set_field_by_name("action", Value::String(action.clone()));
        }
        message
    }

    /// The REST calls that are equivalent to a request, one for each path.
    pub fn rest(&self, message: &DynamicMessage) -> Vec<(Method, String, Option<String>)> {
        let calls = paths(&self.method).into_iter().map(|(method, path, body)| {
            let (path, body) = rest(message, &method, &path, &body);
            (method, path, body)
        });
        calls.collect()
    }
}

/// The rows of a method: one, or one for each action in its rule.
fn rows_of(method: MethodDescriptor) -> Vec<Row> {
    let actions = actions(&method);
    if actions.is_empty() {
        return vec![Row { method, action: None }];
    }
    actions.into_iter().map(|action| Row { method: method.clone(), action: Some(action) }).collect()
}

/// The values of the field that decides the permission, sorted.
fn actions(method: &MethodDescriptor) -> Vec<String> {
    let auth = method.parent_pool().get_extension_by_name("tenantry.options.v1.auth").unwrap();
    let options = method.options();
    let rule = options.get_extension(&auth).as_message().unwrap().clone();
    if !rule.has_field_by_name("permission_by") {
        return Vec::new();
    }
    let by = rule.get_field_by_name("permission_by").unwrap().as_message().unwrap().clone();
    let map = by.get_field_by_name("map").unwrap().as_map().unwrap().clone();
    let mut values: Vec<_> = map.keys().map(|key| key.as_str().unwrap().to_owned()).collect();
    values.sort();
    values
}

/// The path and the body of a REST call that is equivalent to a request: its values in the path, then in the
/// body if that is the whole request, else in the query.
fn rest(message: &DynamicMessage, http: &Method, path: &str, body: &str) -> (String, Option<String>) {
    let (mut path, mut left) = (path.to_owned(), serde_json::Map::new());
    for (field, value) in message.fields() {
        let (variable, json) = (format!("{{{}}}", field.name()), json(value));
        match json.as_str() {
            Some(text) if path.contains(&variable) => path = path.replace(&variable, text),
            _ => drop(left.insert(field.json_name().to_owned(), json)),
        }
    }
    assert!(!path.contains('{'), "{path} has a variable that this test does not know");
    match body {
        "*" => (path, Some(serde_json::Value::Object(left).to_string())),
        "" if !left.is_empty() => {
            let pairs: Vec<_> = left.iter().flat_map(|(key, value)| pairs(key, value)).collect();
            (format!("{path}?{}", pairs.join("&")), None)
        }
        _ => (path, matches!(*http, Method::PUT | Method::POST | Method::PATCH).then(|| "{}".to_owned())),
    }
}

/// A string, or a list of strings.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::List(items) => items.iter().map(json).collect(),
        _ => value.as_str().unwrap().into(),
    }
}

/// A value in a query: a list has a pair for each element.
fn pairs(key: &str, value: &serde_json::Value) -> Vec<String> {
    let items = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    items.iter().map(|item| format!("{key}={}", item.as_str().unwrap())).collect()
}

/// The REST paths of a method, each with the field that its body maps to.
fn paths(method: &MethodDescriptor) -> Vec<(Method, String, String)> {
    let http = method.parent_pool().get_extension_by_name("google.api.http").unwrap();
    let options = method.options();
    let rule = options.get_extension(&http).as_message().unwrap().clone();
    let more = rule.get_field_by_name("additional_bindings").unwrap().as_list().unwrap().to_vec();
    std::iter::once(rule)
        .chain(more.iter().filter_map(|value| value.as_message().cloned()))
        .filter_map(|rule| {
            ["get", "put", "post", "delete", "patch"].into_iter().find_map(|name| {
                let path = rule.get_field_by_name(name)?.as_str()?.to_owned();
                let body = rule.get_field_by_name("body")?.as_str()?.to_owned();
                (!path.is_empty()).then(|| (name.to_uppercase().parse().unwrap(), path, body))
            })
        })
        .collect()
}
