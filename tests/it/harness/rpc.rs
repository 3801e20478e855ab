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
        for (name, text) in fields {
            let Some(field) = message.descriptor().get_field_by_name(name) else { continue };
            let value = Value::String((*text).to_owned());
            match field.kind() {
                Kind::String if field.is_list() => message.set_field(&field, Value::List(vec![value])),
                Kind::String if !field.is_map() => message.set_field(&field, value),
                Kind::Int64 if !field.is_list() => {
                    text.parse().into_iter().for_each(|number| message.set_field(&field, Value::I64(number)));
                }
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

/// The rows of a method: itself, or each of its actions.
fn rows_of(method: MethodDescriptor) -> Vec<Row> {
    let actions = actions(&method);
    if actions.is_empty() {
        return vec![Row { method, action: None }];
    }
    actions.into_iter().map(|action| Row { method: method.clone(), action: Some(action.name) }).collect()
}

/// An action of a method.
pub struct Action {
    /// The value of the deciding field.
    pub name: String,
    /// Its name in the audit log: its own, or that of the audit rule.
    pub audit: String,
}

/// Whether calls of a method leave audit events: it has an audit rule, which does not exempt it.
pub fn is_audited(method: &MethodDescriptor) -> bool {
    let extension = method.parent_pool().get_extension_by_name("tenantry.options.v1.audit").unwrap();
    let rule = method.options().get_extension(&extension).as_message().unwrap().clone();
    let is_exempt = !rule.get_field_by_name("unaudited").unwrap().as_str().unwrap().is_empty();
    method.options().has_extension(&extension) && !is_exempt
}

/// The actions of a method, sorted by name.
pub fn actions(method: &MethodDescriptor) -> Vec<Action> {
    let option = |name: &str| {
        let extension = method.parent_pool().get_extension_by_name(&format!("tenantry.options.v1.{name}")).unwrap();
        method.options().get_extension(&extension).as_message().unwrap().clone()
    };
    let text = |of: &DynamicMessage, name: &str| of.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
    let of_rule = text(&option("audit"), "action");
    let listed = option("actions").get_field_by_name("action").unwrap().as_list().unwrap().to_vec();
    let mut actions: Vec<_> = listed
        .iter()
        .map(|action| {
            let action = action.as_message().unwrap();
            let own = Some(text(action, "audit")).filter(|own| !own.is_empty());
            Action { name: text(action, "name"), audit: own.unwrap_or_else(|| of_rule.clone()) }
        })
        .collect();
    actions.sort_by(|one, other| one.name.cmp(&other.name));
    actions
}

/// The path and the body of a REST call that is equivalent to a request: its values in the path, then in the
/// body if that is the whole request, else in the query.
fn rest(message: &DynamicMessage, http: &Method, path: &str, body: &str) -> (String, Option<String>) {
    let (mut path, mut left) = (path.to_owned(), serde_json::Map::new());
    for (field, value) in message.fields() {
        let (variable, json) = (format!("{{{}}}", field.name()), json(value));
        match &json {
            serde_json::Value::String(text) if path.contains(&variable) => path = path.replace(&variable, text),
            serde_json::Value::Number(number) if path.contains(&variable) => {
                path = path.replace(&variable, &number.to_string());
            }
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

/// A string, a number, or a list of strings.
fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::I64(number) => (*number).into(),
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
