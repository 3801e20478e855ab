//! The option `actions`: what does not build, and what is generated.

use serde_json::{Value, json};
use transcoder_build::{Compiled, Error};

use crate::{HEAD, SURFACE, check};

const MESSAGES: &str = r#"
message Change {
  string act = 1;
  optional string name = 2;
  repeated string tags = 3;
  bool force = 4;
  oneof way { string letter = 5; string parcel = 6; }
  Size size = 7;
}
message Resize { Size size = 1; optional Size again = 2; }
enum Size { SIZE_UNSPECIFIED = 0; SIZE_SMALL = 1; SIZE_LARGE = 2; }
message Done {}
"#;

const AUTH: &str = r#"permission: "order.write" tenant: {from: TENANT_SOURCE_NONE}"#;
const POST: &str = r#"option (google.api.http) = {post: "/a" body: "*"};"#;
const AUDIT: &str = r#"option (shop.options.v1.audit) = {action: "order.change"};"#;

/// All fields but the selecting one.
const FIELDS: &str = r#"["name", "tags", "force", "letter", "parcel", "size"]"#;

fn build(input: &str, auth: &str, more: &str, rule: &str) -> Result<Compiled, Error> {
    let options = format!("option (shop.options.v1.auth) = {{{auth}}}; option (shop.options.v1.actions) = {{{rule}}};");
    let call = format!("rpc Call({input}) returns (Done) {{ {options} {more} }}");
    check(&format!("{HEAD}{SURFACE}service Orders {{ {call} }}{MESSAGES}"), true)
}

/// Fails unless these actions, and what they take, are refused for this reason.
fn refused(rule: &str, why: &str) {
    refused_with("Change", AUTH, &format!("{POST} {AUDIT}"), rule, why);
}

fn refused_with(input: &str, auth: &str, more: &str, rule: &str, why: &str) {
    let error = build(input, auth, more, rule).expect_err(rule).to_string();
    assert_eq!(error, format!("shop.v1.Orders.Call: {why}"), "{rule}");
}

/// A rule with one action that takes everything.
fn with(more: &str) -> String {
    format!(r#"field: "act" takes: {FIELDS} action: {{name: "do"}} {more}"#)
}

#[test]
fn the_selecting_field_must_be_a_text_of_the_request() {
    let by = |field: &str| format!(r#"field: "{field}" action: {{name: "do"}}"#);
    refused(&by("nope"), "shop.v1.Change has no field nope");
    refused(&by(""), "shop.v1.Change has no field ");
    for field in ["tags", "force", "letter"] {
        refused(&by(field), &format!("{field} must be a single string"));
    }
}

#[test]
fn actions_have_unique_names() {
    refused(r#"field: "act""#, "actions: no action is listed");
    refused(&with("action: {}"), "actions: an action has no name");
    refused(&with(r#"action: {name: "do"}"#), "actions: do is listed twice, or differs only in spelling");
    refused(&with(r#"action: {name: "Do"}"#), "actions: Do is listed twice, or differs only in spelling");
    refused(&with(r#"default: "undo""#), "actions: the default undo is not listed");
}

#[test]
fn the_values_of_an_enum_are_the_actions() {
    let rule = |actions: &str| format!(r#"field: "size" takes: "again" {actions}"#);
    let more = format!("{POST} {AUDIT}");
    let small = r#"action: {name: "SIZE_SMALL"}"#;
    let why = "actions: SIZE_LARGE of shop.v1.Size is not listed";
    refused_with("Resize", AUTH, &more, &rule(small), why);
    for value in ["SIZE_HUGE", "SIZE_UNSPECIFIED"] {
        let all = rule(&format!(r#"{small} action: {{name: "SIZE_LARGE"}} action: {{name: "{value}"}}"#));
        let why = format!("actions: {value} must be a value of shop.v1.Size with a number other than 0");
        refused_with("Resize", AUTH, &more, &all, &why);
    }
    assert!(build("Resize", AUTH, &more, &rule(&format!(r#"{small} action: {{name: "SIZE_LARGE"}}"#))).is_ok());
}

#[test]
fn taken_fields_must_exist_in_the_request() {
    refused(&with(r#"takes: "nope""#), "shop.v1.Change has no field nope");
    refused(&with(r#"action: {name: "undo" takes: "nope"}"#), "shop.v1.Change has no field nope");
    refused(&with(r#"action: {name: "undo" requires: "nope"}"#), "shop.v1.Change has no field nope");
    refused(&with(r#"action: {name: "undo" takes: "name"}"#), "actions: undo names name twice");
    refused(&with(r#"action: {name: "undo" requires: "act"}"#), "actions: undo names act twice");
    let some = r#"field: "act" takes: ["name", "tags", "force", "letter", "size"] action: {name: "do"}"#;
    refused(some, "actions: no action takes parcel");
    let bare =
        r#"field: "act" takes: ["name", "tags", "letter", "parcel", "size"] action: {name: "do" requires: "force"}"#;
    let why = "which has no presence; make it optional";
    refused(bare, &format!("actions: do requires force, {why}"));
}

#[test]
fn every_action_has_a_permission() {
    let tenant = "tenant: {from: TENANT_SOURCE_NONE}";
    let more = format!("{POST} {AUDIT}");
    let without = |rule: &str, why: &str| refused_with("Change", tenant, &more, rule, why);
    without(&with(""), "actions: do has no permission");
    let own =
        |permission: &str| format!(r#"field: "act" takes: {FIELDS} action: {{name: "do" permission: "{permission}"}}"#);
    without(&own("order.eat"), "unknown permission \"order.eat\"");
    refused(
        &own("order.read"),
        "actions: order.write of the rule is unused, because every action has its own permission",
    );
    assert!(build("Change", tenant, &more, &own("order.read")).is_ok());
    refused_with(
        "Change",
        "public: true",
        &more,
        &with(""),
        "actions have permissions, so the method must not be public",
    );
}

#[test]
fn every_action_that_writes_has_an_audit_name() {
    let own = r#"action: {name: "undo" audit: "order.undo"}"#;
    refused_with("Change", AUTH, POST, &with(""), "a method that changes something must have an audit rule");
    refused_with("Change", AUTH, POST, &with(own), "actions: do has no audit name");
    let all = format!(r#"field: "act" takes: {FIELDS} {own}"#);
    refused(&all, "actions: order.change of the rule is unused, because every action has its own audit name");
    assert!(build("Change", AUTH, POST, &all).is_ok());
    assert!(build("Change", AUTH, &format!("{POST} {AUDIT}"), &with(own)).is_ok());
}

#[test]
fn the_body_must_be_the_request() {
    let at = |http: &str| format!("option (google.api.http) = {{{http}}}; {AUDIT}");
    refused_with("Change", AUTH, &at(r#"get: "/a""#), &with(""), "actions: /a must have the body \"*\"");
    let why = "actions: the path binds name, so every action must take it";
    let one = r#"field: "act" takes: ["tags", "force", "letter", "parcel", "size"] action: {name: "do" takes: "name"}"#;
    refused_with("Change", AUTH, &at(r#"post: "/a/{name}" body: "*""#), one, why);
    assert!(build("Change", AUTH, &at(r#"post: "/a/{name}" body: "*""#), &with("")).is_ok());
    let rest = "option (shop.options.v1.rest) = {body_or_query: true};";
    refused_with(
        "Change",
        AUTH,
        &format!("{POST} {AUDIT} {rest}"),
        &with(""),
        "actions cannot be combined with body_or_query",
    );
    let grpc = "option (shop.options.v1.rest) = {grpc_only: true};";
    assert!(build("Change", AUTH, grpc, &with("")).is_ok());
    let why = "a rule refers to a field of the request, which is a stream";
    refused_with("stream Change", AUTH, "", &with(""), why);
}

/// Three actions, of which one is the default.
const RULE: &str = r#"
    field: "act"
    default: "put"
    takes: "size"
    action: {name: "put" audit: "order.put" takes: ["tags", "letter"] requires: "name"}
    action: {name: "drop" permission: "order.read" takes: ["force", "parcel"]}
    action: {name: "self"}
"#;

#[test]
fn the_code_of_actions() {
    let code = build("Change", AUTH, &format!("{POST} {AUDIT}"), RULE).unwrap().code;
    let code = code["shop.v1"].split_whitespace().collect::<Vec<_>>().join(" ");
    for piece in [
        "pub enum CallAction { /// `put`. Put, /// `drop`. Drop, /// `self`. Self_, }",
        r#"Actions { field: "act", listed: &[::transcoder::Action { name: "drop", permission: "order.read", audit: "order.change" },"#,
        r#"Action { name: "put", permission: "order.write", audit: "order.put" }, ::transcoder::Action { name: "self""#,
        r#""put" | "" => Some(Self::Put), "drop" => Some(Self::Drop), "self" => Some(Self::Self_), _ => None"#,
        r#"Self::Put => (&["size", "tags", "letter", ], &["name", ])"#,
        r#"("name", message.name.is_some()), ("tags", !message.tags.is_empty()), ("force", message.force), ("letter", matches!("#,
        r#"("size", message.size != 0)"#,
        "permission: ::transcoder::Permission::ByAction(CallAction::TABLE)",
        r#"AuditRule { action: "", target: "" }"#,
        r#"action: Some(CallAction::of(&message).map_or("", CallAction::name))"#,
        r#"let _ = CallAction::checked(&message, "")?;"#,
    ] {
        assert!(code.contains(piece), "{piece} is not in {code}");
    }
}

fn document(rule: &str) -> Value {
    let compiled = build("Change", AUTH, &format!("{POST} {AUDIT}"), rule).unwrap();
    compiled.openapi[""].clone()
}

#[test]
fn the_schema_of_a_request_is_one_of_its_actions() {
    let document = document(RULE);
    let schemas = &document["components"]["schemas"];
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/shop.Change.{name}")});
    let whole = json!({"oneOf": [reference("put"), reference("drop"), reference("self")]});
    assert_eq!(schemas["shop.Change"], whole, "the selecting member is optional, so it cannot be a discriminator");
    let put = &schemas["shop.Change.put"];
    assert_eq!(put["required"], json!(["name"]));
    assert_eq!(put["properties"]["name"]["type"], "string", "a required member must not be nullable");
    assert_eq!(put["properties"]["act"], json!({"type": ["string", "null"], "enum": ["put", "", null]}));
    assert_eq!(put["additionalProperties"], false);
    let names = |name: &str| {
        let properties = schemas[format!("shop.Change.{name}")]["properties"].as_object().unwrap();
        properties.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(names("put"), ["act", "letter", "name", "size", "tags"]);
    assert_eq!(names("drop"), ["act", "force", "parcel", "size"]);
    assert_eq!(schemas["shop.Change.drop"]["required"], json!(["act"]));
    assert_eq!(schemas["shop.Change.drop"]["properties"]["act"], json!({"type": "string", "enum": ["drop"]}));
    let operation = &document["paths"]["/a"]["post"];
    let body = &operation["requestBody"]["content"]["application/json"];
    assert_eq!(body["schema"]["$ref"], "#/components/schemas/shop.Change");
    let example = json!({"act": "put", "name": "name", "tags": ["tag"], "letter": "letter", "size": "SIZE_SMALL"});
    assert_eq!(body["example"], example);
    let permissions = "Permission by `act`: `put`: `order.write`, `drop`: `order.read`, `self`: `order.write`.";
    assert!(operation["description"].as_str().unwrap().ends_with(permissions), "{operation}");
}

#[test]
fn a_required_selecting_member_is_a_discriminator() {
    let document = document(&with(r#"action: {name: "undo"}"#));
    let target = |name: &str| format!("#/components/schemas/shop.Change.{name}");
    let want = json!({"propertyName": "act", "mapping": {"do": target("do"), "undo": target("undo")}});
    assert_eq!(document["components"]["schemas"]["shop.Change"]["discriminator"], want);
    let operation = &document["paths"]["/a"]["post"]["description"];
    assert!(operation.as_str().unwrap().ends_with(" Permission: `order.write`."), "{operation}");
}
