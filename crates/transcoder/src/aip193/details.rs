//! The typed details of a status as JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::{DecodeError, Message as _};
use prost_types::Any;
use serde_json::{Map, Value, json};
use tonic_types::pb;

use crate::json::{self, JsonOptions, Types, wellknown};

/// A detail as JSON: a standard one of google.rpc, one of the surface's own messages, or the bytes of any other.
pub(super) fn json(detail: &Any, types: Types) -> Value {
    let name = name(detail);
    if let Some(Ok(Value::Object(members))) = standard(name, &detail.value) {
        return with_type(detail, members.into_iter().filter(|(_, value)| is_set(value)).collect());
    }
    own(detail, types).unwrap_or_else(|| {
        with_type(detail, Map::from_iter([("value".to_owned(), STANDARD.encode(&detail.value).into())]))
    })
}

/// The full name of a detail's message.
pub(super) fn name(detail: &Any) -> &str {
    detail.type_url.rsplit('/').next().unwrap_or_default()
}

fn with_type(detail: &Any, members: Map<String, Value>) -> Value {
    let mut whole = Map::from_iter([("@type".to_owned(), detail.type_url.as_str().into())]);
    whole.extend(members);
    Value::Object(whole)
}

/// proto3 JSON omits defaults.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn members(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(members.into_iter().filter(|(_, value)| is_set(value)).collect()),
        other => other,
    }
}

/// A message of the surface.
fn own(detail: &Any, types: Types) -> Option<Value> {
    let options = JsonOptions { types, ..JsonOptions::PROTO3 };
    let text = json::encode::<wellknown::Any>(detail, &options).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The messages of google/rpc/error_details.proto.
fn standard(name: &str, bytes: &[u8]) -> Option<Result<Value, DecodeError>> {
    Some(match name {
        "google.rpc.ErrorInfo" => pb::ErrorInfo::decode(bytes)
            .map(|info| json!({"reason": info.reason, "domain": info.domain, "metadata": sorted(info.metadata)})),
        "google.rpc.RetryInfo" => {
            pb::RetryInfo::decode(bytes).map(|retry| json!({"retryDelay": retry.retry_delay.as_ref().and_then(duration)}))
        }
        "google.rpc.DebugInfo" => pb::DebugInfo::decode(bytes)
            .map(|debug| json!({"stackEntries": debug.stack_entries, "detail": debug.detail})),
        "google.rpc.QuotaFailure" => pb::QuotaFailure::decode(bytes)
            .map(|quota| json!({"violations": quota.violations.into_iter().map(quota_violation).collect::<Vec<_>>()})),
        "google.rpc.PreconditionFailure" => pb::PreconditionFailure::decode(bytes).map(|failure| {
            let violations = failure.violations.into_iter().map(|violation| {
                let pb::precondition_failure::Violation { r#type, subject, description } = violation;
                members(json!({"type": r#type, "subject": subject, "description": description}))
            });
            json!({"violations": violations.collect::<Vec<_>>()})
        }),
        "google.rpc.BadRequest" => pb::BadRequest::decode(bytes)
            .map(|bad| json!({"fieldViolations": bad.field_violations.into_iter().map(field).collect::<Vec<_>>()})),
        "google.rpc.RequestInfo" => pb::RequestInfo::decode(bytes)
            .map(|request| json!({"requestId": request.request_id, "servingData": request.serving_data})),
        "google.rpc.ResourceInfo" => pb::ResourceInfo::decode(bytes).map(|resource| {
            let pb::ResourceInfo { resource_type, resource_name, owner, description } = resource;
            json!({
                "resourceType": resource_type, "resourceName": resource_name, "owner": owner, "description": description,
            })
        }),
        "google.rpc.Help" => pb::Help::decode(bytes).map(|help| {
            let links = help.links.into_iter();
            let links = links.map(|link| members(json!({"description": link.description, "url": link.url})));
            json!({"links": links.collect::<Vec<_>>()})
        }),
        "google.rpc.LocalizedMessage" => pb::LocalizedMessage::decode(bytes).map(localized),
        _ => return None,
    })
}

fn quota_violation(violation: pb::quota_failure::Violation) -> Value {
    members(json!({
        "subject": violation.subject,
        "description": violation.description,
        "apiService": violation.api_service,
        "quotaMetric": violation.quota_metric,
        "quotaId": violation.quota_id,
        "quotaDimensions": sorted(violation.quota_dimensions),
        "quotaValue": Some(violation.quota_value).filter(|value| *value != 0).map(|value| value.to_string()),
        "futureQuotaValue": violation.future_quota_value.map(|value| value.to_string()),
    }))
}

fn field(violation: pb::bad_request::FieldViolation) -> Value {
    members(json!({
        "field": violation.field,
        "description": violation.description,
        "reason": violation.reason,
        "localizedMessage": violation.localized_message.map(localized),
    }))
}

fn localized(message: pb::LocalizedMessage) -> Value {
    members(json!({"locale": message.locale, "message": message.message}))
}

/// An object with sorted keys.
fn sorted(map: impl IntoIterator<Item = (String, String)>) -> Value {
    let mut entries: Vec<_> = map.into_iter().collect();
    entries.sort();
    Value::Object(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
}

fn duration(value: &prost_types::Duration) -> Option<Value> {
    let text = json::encode::<wellknown::Duration>(value, &JsonOptions::PROTO3).ok()?;
    serde_json::from_slice(&text).ok()
}
