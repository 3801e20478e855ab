//! What builds, and the generated code.

use crate::{GET, HEAD, MESSAGES, SURFACE, check, rpc, service};

/// The code in addition to tonic's, with runs of white space collapsed.
fn code(methods: &str) -> String {
    let code = service(methods).unwrap_or_else(|error| panic!("{error}")).code;
    code["shop.v1"].split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_nested_tenant_and_target() {
    let code = code(&rpc(&format!(
        r#"option (shop.options.v1.auth) = {{
             permission: "order.write"
             tenant: {{field: "owner.address.city"}}
             callers: [CALLER_KIND_AGENT, CALLER_KIND_USER]
             custom: "owner"
             while_suspended: true
           }};
           option (shop.options.v1.audit) = {{action: "order.open" target: "state"}};
           {GET}"#
    )));
    for piece in [
        r#"permission: ::transcoder::Permission::Fixed("order.write")"#,
        r#"callers: &["AGENT", "USER"]"#,
        r#"TenantRule::Field("owner.address.city")"#,
        r#"custom: Some("owner"), while_suspended: true"#,
        r#"AuditRule { action: "order.open", target: "state" }"#,
        r#"tenant: Some(message.owner.as_ref().and_then(|m| m.address.as_ref()).map_or("", |m| m.city.as_str()))"#,
        r#"action: None"#,
        r#"target: Some(<super::super::super::shop::v1::State as ::transcoder::json::Enum>::name(message.state)"#,
    ] {
        assert!(code.contains(piece), "{piece} is not in {code}");
    }
}

#[test]
fn users_and_services_are_admitted_by_default() {
    let rule = r#"permission: "order.read" tenant: {from: TENANT_SOURCE_CALLER}"#;
    let code = code(&rpc(&format!("option (shop.options.v1.auth) = {{{rule}}}; {GET}")));
    assert!(code.contains(r#"callers: &["USER", "SERVICE"], tenant: ::transcoder::TenantRule::Caller"#), "{code}");
}

#[test]
fn a_change_takes_a_key_unless_its_rule_excludes_that() {
    let rule = r#"permission: "order.write" tenant: {from: TENANT_SOURCE_CALLER}"#;
    let of = |audit: &str| {
        code(&rpc(&format!(
            "option (shop.options.v1.auth) = {{{rule}}}; option (shop.options.v1.audit) = {{{audit}}}; {GET}"
        )))
    };
    assert!(of(r#"action: "order.open""#).contains("takes_key: true"));
    let keyless = of(r#"action: "order.open" keyless: "its response is secret""#);
    assert!(
        keyless.contains("takes_key: false") && keyless.contains(r#"AuditRule { action: "order.open""#),
        "{keyless}"
    );
}

#[test]
fn a_tenant_that_the_request_may_name() {
    let rule = r#"permission: "order.read" tenant: {field_or_caller: "owner.tenant"}"#;
    let code = code(&rpc(&format!("option (shop.options.v1.auth) = {{{rule}}}; {GET}")));
    assert!(code.contains(r#"TenantRule::FieldOrCaller("owner.tenant")"#), "{code}");
    assert!(code.contains(r#"tenant: Some(message.owner.as_ref().map_or("", |m| m.tenant.as_str()))"#), "{code}");
}

#[test]
fn permissions_for_own_and_all_resources() {
    let rule = r#"permission: "order.read" all: "order.write" tenant: {from: TENANT_SOURCE_CALLER}"#;
    let options = format!("option (shop.options.v1.auth) = {{{rule}}}; {GET}");
    let code = code(&rpc(&options));
    assert!(code.contains(r#"Permission::OwnOrAll { own: "order.read", all: "order.write" }"#), "{code}");
    let document = service(&rpc(&options)).unwrap().openapi[""].clone();
    let description = document["paths"]["/orders"]["get"]["description"].as_str().unwrap().to_owned();
    let want = "Permission: `order.read`. For more than the caller's own: `order.write`.";
    assert!(description.ends_with(want), "{description}");
}

#[test]
fn a_public_method_may_take_callers() {
    let rule = "public: true callers: CALLER_KIND_DEVICE callers: CALLER_KIND_GATEWAY";
    let code = code(&rpc(&format!("option (shop.options.v1.auth) = {{{rule}}}; {GET}")));
    assert!(
        code.contains(r#"public: true, permission: ::transcoder::Permission::None, callers: &["DEVICE", "GATEWAY"]"#),
        "{code}"
    );
}

#[test]
fn grpc_only_and_streams() {
    let public = "option (shop.options.v1.auth) = {public: true};";
    let code = code(&format!(
        "rpc A(Order) returns (Order) {{ {public} option (shop.options.v1.rest) = {{grpc_only: true}}; }}
         rpc B(Order) returns (stream Order) {{ {public} option (shop.options.v1.rest) = {{grpc_only: true}}; }}
         rpc C(stream Order) returns (Order) {{ {public} }}"
    ));
    assert!(code.contains("type BStream = S::BStream;"), "{code}");
    assert!(code.contains("tonic::Request<tonic::Streaming<"), "{code}");
    assert!(!code.contains("_RULE_0"), "{code}");
}

#[test]
fn streams_have_streaming_routes() {
    let public = "option (shop.options.v1.auth) = {public: true};";
    let event = r#"option (shop.options.v1.rest) = {event: {id: "name" type: "state" resume: "owner.address.city"}};"#;
    let code = code(&format!("rpc A(Order) returns (stream Order) {{ {public} {event} {GET} }}"));
    for piece in [
        "::transcoder::rest::Route::stream::<",
        r#"resume: Some("owner.address.city")"#,
        "event_id: Some(|answer: &super::super::super::shop::v1::Order| Some(answer).map(|m| &m.name)",
    ] {
        assert!(code.contains(piece), "{piece} is not in {code}");
    }
}

#[test]
fn a_field_comes_from_a_header() {
    let header = r#"option (shop.options.v1.rest) = {header: {name: "x-letter" field: "letter"}};"#;
    let code = code(&rpc(&format!("option (shop.options.v1.auth) = {{public: true}}; {header} {GET}")));
    for piece in [r#"headers: &[("x-letter", "letter")]"#, r#"taken: &["letter"]"#] {
        assert!(code.contains(piece), "{piece} is not in {code}");
    }
}

/// AIP-134: the only mask of a PATCH whose body is one message. Other masks need the option.
#[test]
fn the_mask_of_a_patch_is_found() {
    let filled = |http: &str, more: &str| {
        let request = format!(
            "message Change {{ Order order = 1; google.protobuf.FieldMask mask = 2; {more} }}
             service Orders {{ rpc Call(Change) returns (Order) {{ option (google.api.http) = {{{http}}}; }} }}"
        );
        check(&format!("{HEAD}{request}{MESSAGES}"), false).unwrap().code["shop.v1"].contains(r#"mask: Some("mask")"#)
    };
    assert!(filled(r#"patch: "/a" body: "order""#, ""));
    assert!(!filled(r#"put: "/a" body: "order""#, ""), "not a PATCH");
    assert!(!filled(r#"patch: "/a" body: "*""#, ""), "the mask is in the body itself");
    assert!(!filled(r#"patch: "/a" body: "order""#, "google.protobuf.FieldMask other = 3;"), "two masks");
}

#[test]
fn a_delete_has_a_body() {
    let public = "option (shop.options.v1.auth) = {public: true};";
    let audit = r#"option (shop.options.v1.audit) = {action: "order.drop"};"#;
    let code = code(&rpc(&format!(
        r#"{public} {audit} option (google.api.http) = {{delete: "/orders/{{name}}" body: "owner"}};
           option (shop.options.v1.rest) = {{body_required: true}};"#
    )));
    for piece in [
        r#"body: ::transcoder::rest::Body::Field { index: 1, name: "owner" }"#,
        "body_or_query: false, body_required: true",
    ] {
        assert!(code.contains(piece), "{code}");
    }
    assert!(!code.contains("::transcoder::require("), "nothing is required");
}

#[test]
fn without_options_every_method_is_public() {
    let text = format!("{HEAD}service Orders {{ rpc Call(Order) returns (Order) {{ {GET} }} }}{MESSAGES}");
    let compiled = check(&text, false).unwrap();
    assert!(compiled.code["shop.v1"].contains("public: true"));
}

#[test]
fn custom_options_are_in_the_descriptors() {
    let public = "option (shop.options.v1.auth) = {public: true};";
    let compiled = service(&rpc(&format!("{public} {GET}"))).unwrap();
    let path = b"/orders";
    assert!(compiled.descriptors.windows(path.len()).any(|window| window == path));
}

#[test]
fn limits_are_configurable() {
    let dir = tempfile::tempdir().unwrap();
    let text = "syntax = \"proto3\"; package a; message M {} service S { rpc Call(M) returns (M); }";
    std::fs::write(dir.path().join("a.proto"), text).unwrap();
    let code = |builder: transcoder_build::Builder| builder.check().unwrap().code["a"].clone();
    let builder = || transcoder_build::Builder::new(dir.path());
    assert!(code(builder()).contains("max_depth: 64, max_items: 10000"));
    assert!(code(builder().max_depth(9).max_items(99)).contains("max_depth: 9, max_items: 99"));
}

#[test]
fn tonic_can_be_configured() {
    let dir = tempfile::tempdir().unwrap();
    let (protos, out) = (dir.path().join("protos"), dir.path().join("out"));
    std::fs::create_dir(&protos).unwrap();
    let text = "syntax = \"proto3\"; package a; message M { string name = 1; }";
    std::fs::write(protos.join("a.proto"), text).unwrap();
    let builder = transcoder_build::Builder::new(&protos).out_dir(&out);
    builder.tonic(|tonic| tonic.type_attribute("a.M", "#[derive(PartialOrd)]")).compile().unwrap();
    let code = std::fs::read_to_string(out.join("a.rs")).unwrap();
    assert!(code.contains("#[derive(PartialOrd)]"), "{code}");
}

#[test]
fn paged_messages_implement_the_traits() {
    let messages = "message Ask { optional int32 limit = 1; optional string cursor = 2; }
        message Page { repeated Order self = 1; optional string next_cursor = 2; int64 total = 3; }";
    let options = format!(
        r#"option (shop.options.v1.auth) = {{public: true}}; {GET} option (shop.options.v1.pages) = {{items: "self"}};"#
    );
    let service = format!("service Orders {{ rpc Call(Ask) returns (Page) {{ {options} }} }}");
    let code = check(&format!("{HEAD}{SURFACE}{service}{messages}{MESSAGES}"), true).unwrap().code;
    let code = code["shop.v1"].split_whitespace().collect::<Vec<_>>().join(" ");
    for piece in [
        "impl ::transcoder::PagedRequest for super::super::super::shop::v1::Ask { const LIST: &'static str = \"self\";",
        "impl ::transcoder::PagedResponse for super::super::super::shop::v1::Page { type Item = super::super::super::shop::v1::Order;",
        "Self { self_: items, next_cursor, total, ..",
    ] {
        assert!(code.contains(piece), "{piece} is not in {code}");
    }
}
