//! The OpenAPI documents say what the generated code does.

use serde_json::{Value, json};

use crate::{GET, HEAD, MESSAGES, PUBLIC, SURFACE, check, check_with, rpc};

const NULLS: &str = r#"option (shop.options.v1.surface) = {
  name: "nulls" error_dialect: "plain" names: NAMES_SNAKE_CASE int64: INT64_NUMBER unknown: UNKNOWN_IGNORE
  unset: UNSET_NULL timestamps: TIMESTAMPS_NAIVE_MICROSECONDS
};
"#;

const TERSE: &str = r#"option (shop.options.v1.surface) = {
  name: "terse" error_dialect: "plain" unset: UNSET_NULL defaults: DEFAULTS_OMIT
};
"#;

/// Every kind of member.
const PARCEL: &str = r#"
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
// A parcel. It has a weight.
message Parcel {
  // Its name.
  optional string parcel_name = 1 [(shop.options.v1.field) = {behavior: BEHAVIOR_REQUIRED example: "books"}];
  int64 weight = 2;
  optional int32 floor = 3;
  google.protobuf.Timestamp sent_at = 4 [(shop.options.v1.field) = {behavior: BEHAVIOR_OUTPUT_ONLY}];
  repeated Parcel inner = 5;
  map<string, int64> counts = 6;
  Kind kind = 7;
  string pin = 8 [(shop.options.v1.field) = {behavior: BEHAVIOR_SECRET}];
  bytes photo = 9 [deprecated = true];
  google.protobuf.Struct extra = 10;
  google.protobuf.Int64Value limit = 11;
  Parcel next = 12;
  oneof way { string letter = 13; bool pigeon = 14; }
  google.protobuf.Value note = 15;
  optional google.protobuf.NullValue nothing = 16;
  optional string grade = 17 [(shop.options.v1.field) = {schema: '{"enum": ["a", "b"]}'}];
  repeated int32 marks = 18 [(shop.options.v1.field) = {schema: '{"minimum": 1}'}];
  repeated string stamps = 19 [(shop.options.v1.field) = {omit_empty: true}];
}
// Kinds of parcels.
enum Kind {
  // Not known.
  KIND_UNSPECIFIED = 0;
  KIND_SMALL = 1;
}
"#;

fn document(text: &str, name: &str) -> Value {
    check(text, true).unwrap().openapi[name].clone()
}

/// The document of one service of a surface, whose messages are those of [`PARCEL`].
fn parcels(surface: &str, name: &str, methods: &str) -> Value {
    document(&format!("{HEAD}{PARCEL}{surface}service Parcels {{ {methods} }}"), name)
}

const SEND: &str = r#"
  // Sends a parcel. Fails with ALREADY_EXISTS if it is under way, with INTERNAL else.
  rpc Send(Parcel) returns (Parcel) {
    option (google.api.http) = {post: "/parcels" body: "*"};
    option (shop.options.v1.auth) = {permission: "order.write" tenant: {from: TENANT_SOURCE_NONE}};
    option (shop.options.v1.audit) = {action: "send"};
    option (shop.options.v1.rest) = {status: {reason: REASON_ORDER_CLOSED status: 410}};
  }
"#;

#[test]
fn a_response_schema_has_what_the_codec_writes() {
    let document = parcels(SURFACE, "shop", SEND);
    let schema = &document["components"]["schemas"]["Parcel"];
    assert_eq!(schema["description"], "A parcel. It has a weight.");
    assert_eq!(schema["required"], json!(["counts", "inner", "kind", "marks", "photo", "pin", "weight"]));
    assert!(schema["properties"]["stamps"].is_object(), "an optional member must be described too");
    let properties = &schema["properties"];
    assert_eq!(properties["parcelName"], json!({"type": "string", "description": "Its name.", "examples": ["books"]}));
    assert_eq!(properties["weight"], json!({"type": "string", "pattern": "^-?[0-9]{1,19}$"}));
    assert_eq!(properties["sentAt"], json!({"type": "string", "format": "date-time", "readOnly": true}));
    assert_eq!(properties["inner"], json!({"type": "array", "items": {"$ref": "#/components/schemas/Parcel"}}));
    assert_eq!(properties["counts"]["additionalProperties"]["type"], "string");
    assert_eq!(properties["pin"], json!({"type": "string", "format": "password"}));
    assert_eq!(properties["photo"], json!({"type": "string", "contentEncoding": "base64", "deprecated": true}));
    assert_eq!(properties["extra"], json!({"type": "object"}));
    assert_eq!(schema["additionalProperties"], Value::Null, "responses must allow further members");
    let kind = &document["components"]["schemas"]["Kind"];
    assert_eq!(kind["enum"], json!(["KIND_UNSPECIFIED", "KIND_SMALL"]));
    assert_eq!(kind["description"], "Kinds of parcels.\n\n- `KIND_UNSPECIFIED`: Not known.");
}

#[test]
fn a_surface_has_its_own_conventions() {
    let document = parcels(NULLS, "nulls", SEND);
    let schema = &document["components"]["schemas"]["Parcel"];
    let properties = &schema["properties"];
    assert_eq!(properties["weight"], json!({"type": "integer", "format": "int64"}));
    assert_eq!(properties["floor"], json!({"type": ["integer", "null"], "format": "int32"}));
    assert_eq!(properties["limit"], json!({"type": ["integer", "null"], "format": "int64"}));
    let next = json!({"anyOf": [{"$ref": "#/components/schemas/Parcel"}, {"type": "null"}]});
    assert_eq!(properties["next"], next);
    assert_eq!(properties["sent_at"]["pattern"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$");
    assert!(
        schema["required"].as_array().unwrap().contains(&json!("sent_at")),
        "a member that is written as null must be required"
    );
    assert!(
        !schema["required"].as_array().unwrap().contains(&json!("letter")),
        "a member of a oneof must not be required"
    );
    for name in ["note", "nothing"] {
        assert!(!schema["required"].as_array().unwrap().contains(&json!(name)), "null would set {name}");
    }
    assert_eq!((&properties["note"], &properties["nothing"]["type"]), (&json!({}), &json!("null")));
    let input = &document["components"]["schemas"]["Parcel.Input"];
    assert_eq!(input["properties"]["sent_at"]["format"], "date-time");
    assert_eq!(input["properties"]["parcel_name"]["type"], "string", "a required member must not be nullable");
    assert_eq!(input["additionalProperties"], Value::Null, "unknown members must be allowed");
}

#[test]
fn a_response_schema_does_not_require_omitted_members() {
    let document = parcels(TERSE, "terse", SEND);
    let schema = &document["components"]["schemas"]["Parcel"];
    assert_eq!(schema["required"], json!(["extra", "floor", "grade", "limit", "next", "parcelName", "sentAt"]));
}

#[test]
fn a_request_schema_requires_required_fields() {
    let document = parcels(SURFACE, "shop", SEND);
    let input = &document["components"]["schemas"]["Parcel.Input"];
    assert_eq!((&input["required"], &input["additionalProperties"]), (&json!(["parcelName"]), &json!(false)));
    let pin = json!({"type": ["string", "null"], "format": "password", "writeOnly": true});
    assert_eq!(input["properties"]["pin"], pin, "an optional member must be nullable");
    let next = json!({"anyOf": [{"$ref": "#/components/schemas/Parcel.Input"}, {"type": "null"}]});
    assert_eq!((&input["properties"]["next"], &input["properties"]["nothing"]["type"]), (&next, &json!("null")));
    assert_eq!(input["properties"]["parcelName"]["type"], "string", "a required member must not be nullable");
    let grade = json!({"type": ["string", "null"], "enum": ["a", "b", null]});
    assert_eq!(input["properties"]["grade"], grade, "the constraints of the proto must be in the schema");
    let marks = json!({"type": ["array", "null"], "items": {"type": "integer", "format": "int32", "minimum": 1}});
    assert_eq!(input["properties"]["marks"], marks);
    let answered = &document["components"]["schemas"]["Parcel"]["properties"];
    assert_eq!(answered["grade"], json!({"type": "string"}), "constraints on requests must not be in responses");
    let body = &document["paths"]["/parcels"]["post"]["requestBody"];
    assert_eq!(body["required"], true);
    let content = &body["content"]["application/json"];
    assert_eq!(content["schema"], json!({"$ref": "#/components/schemas/Parcel.Input"}));
    let example = &content["example"];
    assert_eq!((&example["parcelName"], &example["weight"]), (&json!("books"), &json!("1")));
    assert!(example.get("sentAt").is_none() && example.get("pigeon").is_none(), "{example}");
    let answered = &document["paths"]["/parcels"]["post"]["responses"]["200"]["content"]["application/json"];
    assert_eq!(answered["example"]["sentAt"], "2026-01-31T12:00:00Z");
}

#[test]
fn an_operation_has_its_descriptions_and_failures() {
    let document = parcels(SURFACE, "shop", SEND);
    let operation = &document["paths"]["/parcels"]["post"];
    assert_eq!((&operation["operationId"], &operation["summary"]), (&json!("Parcels_Send"), &json!("Sends a parcel")));
    let text = operation["description"].as_str().unwrap();
    assert!(
        text.starts_with("Fails with") && text.contains("`shop.v1.Parcels/Send`") && text.contains("`order.write`")
    );
    let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["200", "400", "401", "403", "404", "409", "410", "413", "415", "429", "500", "503", "504", "default"];
    assert_eq!(statuses, expected);
    assert!(operation["responses"]["410"]["description"].as_str().unwrap().contains("`ORDER_CLOSED`"));
    let shared = &document["components"]["responses"]["Error.404"]["content"]["application/json"];
    assert_eq!(shared["schema"], json!({"$ref": "#/components/schemas/Error"}));
    assert_eq!(
        document["components"]["schemas"]["Error"]["required"],
        json!(["error"]),
        "the default error body must be AIP-193"
    );
}

#[test]
fn the_query_has_everything_that_path_and_body_do_not_bind() {
    let get = format!(
        r#"rpc Call(Order) returns (Order) {{
          option (google.api.http) = {{
            get: "/orders/{{name}}"
            additional_bindings: {{post: "/owners/{{owner.tenant}}" body: "owner" response_body: "tags"}}
            additional_bindings: {{put: "/orders/{{name}}" body: "*"}}
          }};
          option (shop.options.v1.rest) = {{lenient_query: "express" created_field: "created"}};
          option (shop.options.v1.audit) = {{action: "call"}};
          {PUBLIC}
        }}"#
    );
    let text = format!("{HEAD}{SURFACE}service Orders {{ {get} }}{MESSAGES}");
    let document = document(&text, "shop");
    let first = &document["paths"]["/orders/{name}"]["get"];
    let names: Vec<_> = first["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    let expected = [
        "name",
        "owner.tenant",
        "owner.address.city",
        "state",
        "tags",
        "created",
        "express",
        "labels",
        "paid",
        "letter",
        "parcel",
        "mask",
        "gift.tenant",
        "gift.address.city",
        "version",
    ];
    assert_eq!(names, expected);
    let parameter = |name: &str| {
        let all = first["parameters"].as_array().unwrap();
        all.iter().find(|parameter| parameter["name"] == name).unwrap()
    };
    assert_eq!((&parameter("name")["in"], &parameter("name")["required"]), (&json!("path"), &json!(true)));
    assert!(parameter("express")["description"].as_str().unwrap().starts_with("Read leniently"));
    assert_eq!(parameter("express")["schema"], json!({"type": ["boolean", "string"]}), "every text must be accepted");
    assert_eq!(parameter("labels")["style"], "deepObject");
    assert_eq!(parameter("tags")["schema"], json!({"type": "array", "items": {"type": "string"}}));
    assert_eq!(parameter("state")["schema"], json!({"$ref": "#/components/schemas/State"}));
    let second = &document["paths"]["/owners/{owner.tenant}"]["post"];
    assert_eq!(second["operationId"], "Orders_Call_2");
    assert_eq!(
        second["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Owner.Input"
    );
    let answer = json!({"type": "array", "items": {"type": "string"}});
    assert_eq!(second["responses"]["201"]["content"]["application/json"]["schema"], answer);
    assert_eq!(second["security"], json!([]));
    let third = &document["paths"]["/orders/{name}"]["put"];
    assert_eq!(third["parameters"].as_array().unwrap().len(), 1);
    let body = &document["components"]["schemas"]["Order.Input.Body"]["properties"];
    assert!(body.get("name").is_none() && body.get("owner").is_some(), "the path binds the name: {body}");
}

#[test]
fn the_frame_adds_content_that_is_not_in_the_protos() {
    let frame = r#"{
      "info": {"title": "Shop", "version": "7"},
      "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "x-key"}},
      "surfaces": {"nulls": {"title": "Parcels", "description": "All of them.", "security": ["key"]}},
      "dialects": {"plain": {"schema": {"type": "object"}, "example": {}, "statuses": [422]}},
      "tags": [{"name": "More"}],
      "paths": {"/up": {"surfaces": ["nulls"], "item": {"get": {}}}, "/down": {"item": {"get": {}}}}
    }"#;
    let text = format!("{HEAD}{PARCEL}{NULLS}service Parcels {{ {SEND} }}");
    let documents = check_with(&text, &[frame]).unwrap().openapi;
    let (own, whole) = (&documents["nulls"], &documents[""]);
    assert_eq!(own["info"], json!({"title": "Shop: Parcels", "version": "7", "description": "All of them."}));
    assert_eq!(whole["info"]["title"], "Shop");
    assert_eq!(own["paths"]["/parcels"]["post"]["security"], json!([{"key": []}]));
    assert_eq!(own["components"]["securitySchemes"]["key"]["name"], "x-key");
    assert_eq!(own["paths"]["/parcels"]["post"]["responses"]["422"]["$ref"], "#/components/responses/Error.422");
    assert!(own["paths"].get("/up").is_some() && own["paths"].get("/down").is_none());
    assert!(whole["paths"].get("/up").is_some() && whole["paths"].get("/down").is_some());
    // In the document of all surfaces each name starts with its surface.
    let operation = &whole["paths"]["/parcels"]["post"];
    assert_eq!(
        (&operation["operationId"], &operation["tags"][0]),
        (&json!("nulls.Parcels_Send"), &json!("nulls.Parcels"))
    );
    assert!(whole["components"]["schemas"].get("nulls.Parcel.Input").is_some());
}

#[test]
fn a_name_that_two_things_share_is_written_in_full() {
    let call = format!("rpc Call(Order) returns (Error) {{ {GET}{PUBLIC} }}");
    let text = format!("{HEAD}{SURFACE}service Orders {{ {call} }}{MESSAGES} message Error {{ string code = 1; }}");
    let schemas = &document(&text, "shop")["components"]["schemas"];
    assert_eq!(schemas["shop.v1.Error"]["required"], json!(["code"]));
    assert_eq!(schemas["Error"]["required"], json!(["error"]));
}

#[test]
fn an_invalid_frame_or_example_does_not_build() {
    let text = format!("{HEAD}{SURFACE}service Orders {{ {} }}{MESSAGES}", rpc(&format!("{GET}{PUBLIC}")));
    let fails = |frame: &str| check_with(&text, &[frame]).unwrap_err().to_string();
    assert!(fails(r#"{"informations": {}}"#).contains("informations"));
    let unknown = fails(r#"{"surfaces": {"shop": {"security": ["key"]}}}"#);
    assert!(unknown.contains("unknown security scheme key"), "{unknown}");
    for (option, why) in
        [("example", "the example \"a\" is not JSON"), ("schema", "the schema \"a\" is not a JSON object")]
    {
        let tags = format!("repeated string tags = 4 [(shop.options.v1.field).{option} = \"a\"];");
        let error = check(&text.replace("repeated string tags = 4;", &tags), true).unwrap_err().to_string();
        assert_eq!(error, format!("shop.v1.Order.tags: {why}"));
    }
}

#[test]
fn streams_bytes_and_entity_tags_are_documented() {
    let public = PUBLIC;
    let audit = r#"option (shop.options.v1.audit) = {action: "order.call"};"#;
    let methods = format!(
        r#"
        rpc Watch(Order) returns (stream Order) {{
          option (google.api.http) = {{get: "/watch"}}; {public}
          option (shop.options.v1.rest) = {{event: {{id: "name" resume: "name"}}}};
        }}
        rpc Push(File) returns (File) {{
          option (google.api.http) = {{post: "/push" body: "file" response_body: "file"}}; {public} {audit}
        }}
        rpc Get(Order) returns (Order) {{
          option (google.api.http) = {{get: "/get"}}; {public}
          option (shop.options.v1.rest) = {{etag: {{}} header: {{name: "x-letter" field: "letter"}}}};
        }}
        rpc Change(Order) returns (Order) {{
          option (google.api.http) = {{put: "/change" body: "*"}}; {public} {audit}
          option (shop.options.v1.rest) = {{etag: {{response: "name" request: "name"}}}};
        }}"#
    );
    let file = r#"import "google/api/httpbody.proto"; message File { google.api.HttpBody file = 1; }"#;
    let text = format!("{HEAD}{file}{SURFACE}service Orders {{ {methods} }}{MESSAGES}");
    let paths = document(&text, "shop")["paths"].clone();
    let kinds = |content: &Value| content.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let headers = |operation: &Value| {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let headers = parameters.filter(|one| one["in"] == "header");
        headers.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    let watch = &paths["/watch"]["get"];
    let content = &watch["responses"]["200"]["content"];
    assert_eq!(kinds(content), ["application/json", "application/x-ndjson", "text/event-stream"]);
    assert_eq!(content["application/json"]["schema"]["type"], "array");
    assert_eq!(headers(watch), ["Last-Event-ID"]);

    let push = &paths["/push"]["post"];
    assert_eq!(kinds(&push["requestBody"]["content"]), ["*/*"]);
    assert_eq!(kinds(&push["responses"]["200"]["content"]), ["*/*"]);

    let get = &paths["/get"]["get"];
    assert_eq!(headers(get), ["x-letter", "If-None-Match", "If-Match"]);
    let names = |one: &Value| one["name"].as_str().unwrap().to_owned();
    assert!(!get["parameters"].as_array().unwrap().iter().any(|one| names(one) == "letter"), "{get}");
    assert_eq!(get["responses"]["304"]["content"], Value::Null);
    assert!(get["responses"]["200"]["headers"]["ETag"].is_object() && get["responses"]["412"].is_object(), "{get}");
    let change = &paths["/change"]["put"];
    assert_eq!(headers(change), ["If-Match"]);
    assert!(change["responses"]["412"].is_object() && change["responses"]["304"].is_null(), "{change}");
}
