//! The error dialect of the control-plane surface: `{"detail": "<text>"}`, and for invalid requests 422 with
//! `{"detail": [{"type", "loc", "msg", "input"}]}`, one item per fault (control-plane contract, section 1). The
//! texts are the documented ones; the types are those of pydantic, on which clients branch.

use http::StatusCode;
use serde_json::{Value, json};
use tonic::Code;
use transcoder::{
    Dialect, Failure, Origin, Rendered, Violation,
    json::{DecodeError, DecodeErrorKind, Expected, PathStep, RequestPart},
};

#[derive(Clone, Copy, Debug, Default)]
pub struct ControlPlaneDialect;

/// The documented texts for reasons that all surfaces share.
const TEXTS: &[(&str, &str)] = &[
    ("CREDENTIALS_MISSING", "Not authenticated"),
    ("CREDENTIALS_INVALID", "Expired token."),
    ("CREDENTIALS_EXPIRED", "Expired token."),
    ("CREDENTIALS_REVOKED", "Expired token."),
    ("PERMISSION_DENIED", "You are not authorized to provision tenants."),
    ("PLATFORM_REQUIRED", "You are not authorized to provision tenants."),
    ("CALLER_KIND_REFUSED", "You are not authorized to provision tenants."),
    ("TENANT_FOREIGN", "You do not have access to this tenant."),
    ("TENANT_NOT_FOUND", "Tenant not found."),
    ("TENANT_EXISTS", "A tenant with that slug already exists."),
    ("IDENTITY_EXISTS", "A user with that email already exists."),
    ("GRANT_EXISTS", "That user already has a grant to that tenant."),
    ("EMAIL_DOMAIN_EXISTS", "That domain is already allowlisted."),
    ("PATH_NOT_FOUND", "Not Found"),
    ("METHOD_NOT_ALLOWED", "Method Not Allowed"),
];

/// The text of internal errors; the log has the cause under the request id.
const UNEXPECTED: &str = "An unexpected error occurred";

impl Dialect for ControlPlaneDialect {
    fn render(&self, failure: &Failure) -> Rendered {
        let rendered = Rendered::json(failure, &json!({"detail": detail(failure)}));
        if is_unprocessable(failure) {
            return Rendered { status: StatusCode::UNPROCESSABLE_ENTITY, ..rendered };
        }
        rendered
    }
}

/// Whether the contents of the request are invalid. Bodies that are not JSON by their content type, or that
/// ended early, have their own statuses.
fn is_unprocessable(failure: &Failure) -> bool {
    let said = failure.decode_error.is_some() || failure.origin == Origin::Service || lacks_body(failure);
    failure.code == Code::InvalidArgument && failure.status == StatusCode::BAD_REQUEST && said
}

/// Whether the request fails because its body is missing.
fn lacks_body(failure: &Failure) -> bool {
    failure.body_missing && matches!(failure.reason.as_str(), "BODY_REQUIRED" | "FIELD_REQUIRED")
}

fn detail(failure: &Failure) -> Value {
    if lacks_body(failure) {
        return json!([missing(&["body"])]);
    }
    if let Some(error) = &failure.decode_error {
        return json!([of_decode_error(error)]);
    }
    if failure.code == Code::InvalidArgument && !failure.violations.is_empty() {
        let required = failure.reason == "FIELD_REQUIRED";
        return failure.violations.iter().map(|violation| of_violation(violation, required)).collect();
    }
    if matches!(failure.code, Code::Internal | Code::Unknown | Code::DataLoss) {
        return UNEXPECTED.into();
    }
    let text = TEXTS.iter().find(|(reason, _)| *reason == failure.reason).map(|(_, text)| *text);
    text.map_or_else(|| sentence(&failure.message), str::to_owned).into()
}

/// A text in the style of this surface: capitalized, unless it begins with the name of a field. Our texts begin
/// in lower case.
fn sentence(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    if first.contains('_') {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn missing(location: &[&str]) -> Value {
    json!({"type": "missing", "loc": location, "msg": "Field required", "input": null})
}

fn of_violation(violation: &Violation, required: bool) -> Value {
    let part = part(violation.part.unwrap_or(RequestPart::Body));
    let location: Vec<_> = std::iter::once(part).chain(violation.field.split('.')).collect();
    if required {
        return missing(&location);
    }
    json!({"type": "value_error", "loc": location, "msg": violation.description, "input": null})
}

fn of_decode_error(error: &DecodeError) -> Value {
    if error.kind == DecodeErrorKind::Syntax {
        let location = json!(["body", error.offset.unwrap_or_default()]);
        let context = json!({"error": error.message});
        return json!({"type": "json_invalid", "loc": location, "msg": "JSON decode error", "input": {}, "ctx": context});
    }
    let mut location = vec![json!(part(error.part))];
    location.extend(error.steps.iter().map(|step| match step {
        PathStep::Member(name) => json!(name),
        PathStep::Item(index) => json!(index),
    }));
    let (kind, message) = of_kind(error);
    json!({"type": kind, "loc": location, "msg": message, "input": error.input})
}

fn part(part: RequestPart) -> &'static str {
    match part {
        RequestPart::Body => "body",
        RequestPart::Query => "query",
        RequestPart::Path => "path",
        RequestPart::Header => "header",
    }
}

/// The type and the text of a fault.
fn of_kind(error: &DecodeError) -> (&'static str, String) {
    match (error.kind, error.expected) {
        (DecodeErrorKind::Unknown, _) => ("extra_forbidden", "Extra inputs are not permitted".to_owned()),
        (DecodeErrorKind::WrongType, Some(expected)) => {
            let (kind, message) = wrong_type(expected, error.input.as_ref());
            (kind, message.to_owned())
        }
        _ => ("value_error", sentence(&error.message)),
    }
}

/// The type and the text for a value of the wrong type.
fn wrong_type(expected: Expected, input: Option<&Value>) -> (&'static str, &'static str) {
    let is_text = input.is_some_and(Value::is_string);
    match expected {
        Expected::Boolean if is_text => ("bool_parsing", "Input should be a valid boolean, unable to interpret input"),
        Expected::Boolean => ("bool_type", "Input should be a valid boolean"),
        Expected::Int32 | Expected::Int64 | Expected::UInt32 | Expected::UInt64 => match input {
            Some(Value::String(_)) => {
                ("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
            }
            Some(Value::Number(_)) => {
                ("int_from_float", "Input should be a valid integer, got a number with a fractional part")
            }
            _ => ("int_type", "Input should be a valid integer"),
        },
        Expected::Number if is_text => {
            ("float_parsing", "Input should be a valid number, unable to parse string as a number")
        }
        Expected::Number => ("float_type", "Input should be a valid number"),
        Expected::Enum => ("enum", "Input should be one of the documented values"),
        Expected::List => ("list_type", "Input should be a valid list"),
        Expected::Object => {
            ("model_attributes_type", "Input should be a valid dictionary or object to extract fields from")
        }
        Expected::Timestamp if is_text => ("datetime_parsing", "Input should be a valid datetime"),
        Expected::Timestamp => ("datetime_type", "Input should be a valid datetime"),
        Expected::Duration if is_text => ("time_delta_parsing", "Input should be a valid timedelta"),
        Expected::Duration => ("time_delta_type", "Input should be a valid timedelta"),
        Expected::String | Expected::Base64 | Expected::FieldMask => ("string_type", "Input should be a valid string"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(failure: &Failure) -> (u16, Value) {
        let rendered = ControlPlaneDialect.render(failure);
        (rendered.status.as_u16(), serde_json::from_slice(&rendered.body).unwrap())
    }

    fn of(origin: Origin, code: Code, reason: &str) -> (u16, Value) {
        body(&Failure::new(origin, code, reason, "our words"))
    }

    #[test]
    fn business_errors_keep_a_text() {
        let rendered = of(Origin::Service, Code::AlreadyExists, "TENANT_EXISTS");
        assert_eq!(rendered, (409, json!({"detail": "A tenant with that slug already exists."})));
        let rendered = of(Origin::Service, Code::InvalidArgument, "SOMETHING");
        assert_eq!(rendered, (422, json!({"detail": "Our words"})));
        let end = Failure::new(Origin::Service, Code::InvalidArgument, "X", "expires_at must be a datetime.");
        assert_eq!(body(&end), (422, json!({"detail": "expires_at must be a datetime."})), "a member keeps its name");
        let rendered = of(Origin::Server, Code::Internal, "INTERNAL");
        assert_eq!(rendered, (500, json!({"detail": UNEXPECTED})));
    }

    #[test]
    fn faults_have_their_location_and_type() {
        use transcoder::json::Step;
        let error = DecodeError::expected(Expected::String).with_input(|| json!(7)).within(Step::Member("name"));
        let item = json!({"type": "string_type", "loc": ["body", "name"], "msg": "Input should be a valid string", "input": 7});
        assert_eq!(body(&Failure::decode(error)), (422, json!({"detail": [item]})));
        let error = DecodeError::expected(Expected::Boolean).with_input(|| json!("maybe")).within(Step::Member("x"));
        let rendered = body(&Failure::decode(error.at(RequestPart::Query))).1;
        assert_eq!(
            (&rendered["detail"][0]["type"], &rendered["detail"][0]["loc"]),
            (&json!("bool_parsing"), &json!(["query", "x"]))
        );
        let rendered = body(&Failure::decode(DecodeError::new(DecodeErrorKind::Syntax, "broken").at_byte(3)));
        assert_eq!((rendered.0, &rendered.1["detail"][0]["loc"]), (422, &json!(["body", 3])));
    }

    #[test]
    fn a_missing_body_is_one_fault() {
        let item = json!({"type": "missing", "loc": ["body"], "msg": "Field required", "input": null});
        assert_eq!(body(&Failure::body_required()), (422, json!({"detail": [item]})));
        let other = Failure::new(Origin::Service, Code::FailedPrecondition, "CONFIRMATION_MISMATCH", "no match");
        let other = body(&Failure { body_missing: true, ..other });
        assert_eq!(other, (400, json!({"detail": "No match"})), "the body is not why");
    }

    #[test]
    fn a_body_of_another_kind_keeps_its_status() {
        assert_eq!(body(&Failure::media_type()).0, 415);
        assert_eq!(body(&Failure::too_large(7)).0, 413);
    }
}
