//! What does not build.

use crate::{GET, HEAD, MESSAGES, PUBLIC, SURFACE, check, rpc, service};

/// Fails unless the methods are refused at this name, for this reason.
fn refused_at(name: &str, methods: &str, why: &str) {
    match service(methods) {
        Ok(_) => panic!("builds: {methods}"),
        Err(error) => assert_eq!(error.to_string(), format!("shop.v1.{name}: {why}"), "{methods}"),
    }
}

fn refused(options: &str, why: &str) {
    refused_at("Orders.Call", &rpc(options), why);
}

fn auth(rule: &str) -> String {
    format!("option (shop.options.v1.auth) = {{{rule}}}; {GET}")
}

fn http(rule: &str) -> String {
    format!(
        "{PUBLIC} option (google.api.http) = {{{rule}}}; option (shop.options.v1.audit) = {{action: \"order.call\"}};"
    )
}

fn rest(rule: &str) -> String {
    format!("{PUBLIC} {GET} option (shop.options.v1.rest) = {{{rule}}};")
}

#[test]
fn authorization() {
    let tenant = "tenant: {from: TENANT_SOURCE_NONE}";
    refused(GET, "no authorization rule; add the option (auth)");
    refused(&auth(""), "the option (auth) must have a permission or be public, unless the method has actions");
    refused(&auth(&format!(r#"permission: "order.eat" {tenant}"#)), "unknown permission \"order.eat\"");
    refused(
        &auth(&format!(r#"permission: "order.read" all: "order.eat" {tenant}"#)),
        "unknown permission \"order.eat\"",
    );
    let why = "`all` must differ from `permission`, and the method must not have actions";
    refused(&auth(&format!(r#"permission: "order.read" all: "order.read" {tenant}"#)), why);
    let actions = r#"option (shop.options.v1.actions) = {field: "name" action: {name: "do"}};"#;
    let rule = auth(&format!(r#"permission: "order.read" all: "order.write" {tenant}"#));
    refused(&format!("{rule} {actions}"), why);
    refused(
        &auth(&format!(r#"all: "order.write" {tenant}"#)),
        "the option (auth) must have a permission or be public, unless the method has actions",
    );
    for other in [
        r#"permission: "order.read""#,
        r#"all: "order.write""#,
        tenant,
        r#"custom: "owner""#,
        "callers: CALLER_KIND_UNSPECIFIED",
        "while_suspended: true",
    ] {
        refused(&auth(&format!("public: true {other}")), "a public method must not have another authorization rule");
    }
    refused(
        &auth(&format!(r#"permission: "order.read" {tenant} callers: CALLER_KIND_UNSPECIFIED"#)),
        "callers must not have an unspecified value",
    );
}

#[test]
fn tenants() {
    let tenant = |rule: &str| auth(&format!(r#"permission: "order.read" {rule}"#));
    refused(&tenant(""), "the option (auth) must say where the tenant of the call is found");
    refused(&tenant("tenant: {}"), "the option (auth) must say where the tenant of the call is found");
    refused(
        &tenant("tenant: {from: TENANT_SOURCE_UNSPECIFIED}"),
        "the option (auth) must say where the tenant of the call is found",
    );
    refused(&tenant(r#"tenant: {field: "owner.nope"}"#), "shop.v1.Order has no field owner.nope");
    refused(&tenant(r#"tenant: {field: "name.nope"}"#), "shop.v1.Order has no field name.nope");
    refused(&tenant(r#"tenant: {field: "owners.tenant"}"#), "shop.v1.Order has no field owners.tenant");
    refused(&tenant(r#"tenant: {field: "owner"}"#), "owner must be a single string");
    refused(&tenant(r#"tenant: {field_or_caller: "owner"}"#), "owner must be a single string");
    refused(&tenant(r#"tenant: {field_or_caller: "nope"}"#), "shop.v1.Order has no field nope");
}

#[test]
fn paths() {
    refused(PUBLIC, "no REST path; add google.api.http or set grpc_only");
    refused(&http(r#"get: "orders""#), "orders: a path template must begin with a slash");
    refused(&http(r#"get: "/orders/{name""#), "/orders/{name: unbalanced braces");
    refused(&http(r#"get: "/a" additional_bindings: {get: "/orders//x"}"#), "/orders//x: empty segment");
    refused(&http(r#"get: "/{nope}""#), "shop.v1.Order has no field nope");
    refused(&http(r#"get: "/{owner.nope}""#), "shop.v1.Order has no field owner.nope");
    // One of protobuf's own messages is a single value, and a map entry has no path.
    for path in ["mask.paths", "labels.value"] {
        refused(&http(&format!(r#"get: "/{{{path}}}""#)), &format!("shop.v1.Order has no field {path}"));
    }
    for field in ["owner", "tags", "labels", "owners"] {
        let why = format!("the path binds {field}, which is not a single value");
        refused(&http(&format!(r#"get: "/{{{field}}}""#)), &why);
    }
    refused(&http(r#"custom: {kind: "re port" path: "/x"}"#), "\"re port\" is not an HTTP method");
    refused(
        &format!("{} option (shop.options.v1.rest) = {{grpc_only: true}};", http(r#"get: "/a""#)),
        "grpc_only is set, but the method has a REST path",
    );
}

#[test]
fn bodies() {
    refused(&http(r#"post: "/a" body: "nope""#), "shop.v1.Order has no field nope");
    refused(&http(r#"post: "/a" body: "owner.tenant""#), "body must name a field of the request itself");
    refused(&http(r#"get: "/a" body: "*""#), "GET must not have a body");
    refused(&http(r#"get: "/a" response_body: "nope""#), "shop.v1.Order has no field nope");
    refused(
        &http(r#"get: "/a" response_body: "owner.tenant""#),
        "response_body must name a field of the response itself",
    );
}

/// Their JSON is one value, which no path, query or body can bind field by field.
#[test]
fn requests_that_are_protobufs_own_messages() {
    let call = |options: &str| format!("rpc Call(google.protobuf.FieldMask) returns (Order) {{ {PUBLIC} {options} }}");
    let why = "google.protobuf.FieldMask cannot be the request of a REST path; put it into a field";
    refused_at("Orders.Call", &call(GET), why);
    assert!(service(&call("option (shop.options.v1.rest) = {grpc_only: true};")).is_ok());
    let why = "shop.v1.Orders.Call: google.protobuf.FieldMask has no field paths";
    let answer = r#"option (google.api.http) = {get: "/a" response_body: "paths"};"#;
    let methods = format!("rpc Call(Order) returns (google.protobuf.FieldMask) {{ {PUBLIC} {answer} }}");
    assert_eq!(service(&methods).unwrap_err().to_string(), why);
}

#[test]
fn rest_options() {
    refused(&rest(r#"lenient_query: "nope""#), "shop.v1.Order has no field nope");
    refused(&rest(r#"lenient_query: "name""#), "name is read leniently, but is not a bool");
    refused(&rest(r#"created_field: "nope""#), "shop.v1.Order has no field nope");
    for field in ["name", "paid"] {
        let why = format!("created_field names {field}, which is not a plain bool");
        refused(&rest(&format!("created_field: \"{field}\"")), &why);
    }
    refused(&rest("success_status: 404"), "404 is not a success status");
    refused(&rest("status: {reason: REASON_ORDER_CLOSED status: 200}"), "status 200 for reason \"ORDER_CLOSED\"");
    refused(&rest("status: {status: 404}"), "status 404 for reason \"\"");
    refused(&rest("body_or_query: true"), "body_or_query is set, but no path takes a body");
    refused(&rest("body_required: true"), "body_required is set, but no path takes a body");
    let both = "option (shop.options.v1.rest) = {body_required: true body_or_query: true};";
    let why = "body_required contradicts body_or_query";
    refused(&format!("{} {both}", http(r#"post: "/a" body: "*""#)), why);
}

#[test]
fn audit() {
    let post = r#"option (google.api.http) = {post: "/a" body: "*"};"#;
    refused(&format!("{PUBLIC} {post}"), "a method that changes something must have an audit rule");
    let rule = |rule: &str| format!("{PUBLIC} {post} option (shop.options.v1.audit) = {{{rule}}};");
    refused(&rule(""), "the audit rule must name an action");
    let both = rule(r#"action: "order.call" unaudited: "it only reads""#);
    refused(&both, "unaudited excludes an audit action and a target");
    refused(
        &rule(r#"unaudited: "it only reads" keyless: "secret""#),
        "unaudited excludes an audit action and a target",
    );
    refused(&rule(r#"keyless: "secret""#), "the audit rule must name an action");
    refused(&rule(r#"action: "order.call" target: "nope""#), "shop.v1.Order has no field nope");
    refused(&rule(r#"action: "order.call" target: "express""#), "express must be a single string");
    for field in ["tags", "letter", "gift.tenant"] {
        let target = rule(&format!(r#"action: "order.call" target: "{field}""#));
        refused(&target, &format!("{field} must be a single string"));
    }
    refused(&rule(r#"action: "order.call" target: "mask.paths""#), "shop.v1.Order has no field mask.paths");
}

#[test]
fn conflicts() {
    let get = |name: &str, path: &str| {
        format!(r#"rpc {name}(Order) returns (Order) {{ {PUBLIC} option (google.api.http) = {{get: "{path}"}}; }} "#)
    };
    refused_at(
        "Orders.B",
        &(get("A", "/orders/{name}") + &get("B", "/orders/{owner.tenant}")),
        "GET /orders/{owner.tenant} has the same shape as a path of shop.v1.Orders.A",
    );
    let across = format!(
        "{HEAD}{SURFACE}service Orders {{ {} }} service Others {{ {} }}{MESSAGES}",
        get("A", "/orders/{name=*}:go"),
        get("B", "/orders/*:go"),
    );
    assert_eq!(
        check(&across, true).unwrap_err().to_string(),
        "shop.v1.Others.B: GET /orders/*:go has the same shape as a path of shop.v1.Orders.A",
    );
    let twice = http(r#"get: "/a" additional_bindings: {get: "/a"}"#);
    refused(&twice, "GET /a has the same shape as a path of shop.v1.Orders.Call");
}

#[test]
fn streams() {
    let call = |options: &str| format!("rpc Call(stream Order) returns (Order) {{ {options} }}");
    let why = "a streaming request can be served only over gRPC";
    refused_at("Orders.Call", &call(&format!("{PUBLIC} {GET}")), why);
    let tenant = r#"option (shop.options.v1.auth) = {permission: "order.read" tenant: {field: "name"}};"#;
    refused_at("Orders.Call", &call(tenant), "a rule refers to a field of the request, which is a stream");
    let stream = |rule: &str| {
        format!(
            "rpc Call(Order) returns (stream Order) {{ {PUBLIC} {GET} option (shop.options.v1.rest) = {{{rule}}}; }}"
        )
    };
    for rule in ["success_status: 204", "empty_body: true", r#"created_field: "express""#] {
        refused_at("Orders.Call", &stream(rule), "a stream must have a body and exactly one status");
    }
    refused_at("Orders.Call", &stream("etag: {}"), "a stream cannot have an entity tag");
    refused_at("Orders.Call", &stream(r#"event: {id: "nope"}"#), "shop.v1.Order has no field nope");
    refused_at("Orders.Call", &stream(r#"event: {id: "express"}"#), "express must be a single string or integer");
    refused_at("Orders.Call", &stream(r#"event: {type: "express"}"#), "express must be a single name");
    refused_at("Orders.Call", &stream(r#"event: {resume: "tags"}"#), "tags must be a single string or integer");
}

#[test]
fn entity_tags_and_events() {
    let etag = |http: &str, rule: &str| format!("{} option (shop.options.v1.rest) = {{{rule}}};", self::http(http));
    let patch = r#"patch: "/a" body: "*""#;
    refused(&rest(r#"event: {id: "name"}"#), "only a stream can have events");
    refused(&etag(patch, "etag: {}"), "etag must name the request field that takes the If-Match of PATCH");
    refused(&etag(patch, r#"etag: {response: "tags"}"#), "tags must be a single string or integer");
    refused(&etag(patch, r#"etag: {request: "owner"}"#), "owner must be a single string or integer");
    refused(&etag(patch, r#"etag: {request: "name" known: "name"}"#), "name must be a list of strings");
    refused(&rest("success_status: 205"), "205 is not a success status");
    let why = "version takes the tag of If-Match, but 0 is not a tag; make it optional";
    refused(&etag(patch, r#"etag: {request: "version"}"#), why);
    refused(
        &etag(patch, r#"empty_body: true etag: {request: "name"}"#),
        "the entity tag is the digest of a response that has no body",
    );
}

#[test]
fn fields_from_headers() {
    let header = |http: &str, name: &str, field: &str| {
        let rule = format!(r#"header: {{name: "{name}" field: "{field}"}}"#);
        format!("{} option (shop.options.v1.rest) = {{{rule}}};", self::http(http))
    };
    let get = r#"get: "/a""#;
    refused(&header(get, "X-Letter", "letter"), "\"X-Letter\" is not the name of a header in lower case");
    refused(&header(get, "x-letter", "tags"), "tags takes the header x-letter, but is not a single string");
    refused(&header(get, "x-letter", "version"), "version takes the header x-letter, but is not a single string");
    let bound = "name takes the header x-letter, and the path or a body binds it";
    refused(&header(r#"get: "/a/{name}""#, "x-letter", "name"), bound);
    refused(&header(r#"patch: "/a" body: "owner""#, "x-letter", "name"), bound);
}

#[test]
fn surfaces_and_masks() {
    let text = format!("{HEAD}service Orders {{ {} }}{MESSAGES}", rpc(&format!("{PUBLIC} {GET}")));
    let error = check(&text, true).unwrap_err().to_string();
    assert_eq!(error, "shop.v1.Orders.Call: no file of its package has the option (surface)");
    let masked = MESSAGES.replace("string name = 1", "string name = 1 [(shop.options.v1.field).mask_of_body = true]");
    let text = format!("{HEAD}{SURFACE}service Orders {{ {} }}{masked}", rpc(&format!("{PUBLIC} {GET}")));
    let error = check(&text, true).unwrap_err().to_string();
    assert_eq!(error, "shop.v1.Orders.Call: name is filled with the body's members, but is not a single FieldMask");
}

#[test]
fn required_fields() {
    let required = |field: &str, http: &str| {
        let marked = format!("{field} [(shop.options.v1.field) = {{behavior: BEHAVIOR_REQUIRED}}];");
        let messages = MESSAGES.replace(&format!("{field};"), &marked);
        assert_ne!(messages, MESSAGES);
        check(&format!("{HEAD}{SURFACE}service Orders {{ {} }}{messages}", rpc(http)), true)
    };
    let bound = http(r#"get: "/a/{name}" additional_bindings: {get: "/b/{name}"}"#);
    for (field, path) in
        [("string name = 1", "name"), ("repeated string tags = 4", "tags"), ("string city = 1", "owner.address.city")]
    {
        let error = required(field, &http(r#"post: "/a" body: "*""#)).unwrap_err().to_string();
        let why = "cannot be required without presence; make it optional";
        assert_eq!(error, format!("shop.v1.Orders.Call: {path} {why}"));
    }
    let error = required("string letter = 10", &bound).unwrap_err().to_string();
    assert_eq!(error, "shop.v1.Orders.Call: letter cannot be required: it belongs to a oneof");
    let unbound = http(r#"get: "/a/{name}" additional_bindings: {get: "/b"}"#);
    assert!(required("string name = 1", &unbound).is_err(), "one path does not give it");
    for field in ["string name = 1", "Owner owner = 2", "optional bool paid = 8"] {
        assert!(required(field, &bound).is_ok(), "{field}");
    }
}

#[test]
fn protos_that_do_not_compile() {
    let error = check("syntax = \"proto3\"; message A { Nope b = 1; }", false).unwrap_err().to_string();
    assert!(error.contains("Nope"), "{error}");
    let error = check("syntax = \"proto2\"; message A { required string b = 1; }", false).unwrap_err().to_string();
    assert_eq!(error, "A.b: a required field of proto2 is not supported");
}

#[test]
fn pages() {
    let paged = |list: &str, more: &str| rest(&format!("paged_list: \"{list}\" {more}"));
    refused(&paged("nope", ""), "shop.v1.Order has no field nope");
    refused(&paged("name", ""), "paged_list names name, which is not a list");
    refused(&paged("labels", ""), "paged_list names labels, which is not a list");
    refused(&paged("owner.address", ""), "paged_list must name a field of the response itself");
    refused(&paged("tags", "empty_body: true"), "paged_list is set, but the response has no body");
    refused(&paged("tags", "success_status: 204"), "paged_list is set, but the response has no body");
    let answer = |field: &str| {
        let rule = format!(r#"{{get: "/orders" response_body: "{field}"}}"#);
        let rest = r#"option (shop.options.v1.rest) = {paged_list: "tags"};"#;
        rpc(&format!("{PUBLIC} option (google.api.http) = {rule}; {rest}"))
    };
    refused_at("Orders.Call", &answer("owners"), "paged_list names tags, which is not in the response of /orders");
    service(&answer("tags")).unwrap();
    service(&rpc(&paged("tags", ""))).unwrap();
    let stream = format!(
        "rpc Call(Order) returns (stream Order) {{ {PUBLIC} {GET} option (shop.options.v1.rest) = {{paged_list: \"tags\"}}; }}"
    );
    refused_at("Orders.Call", &stream, "paged_list is set, but the response is a stream or raw bytes");
}

#[test]
fn lists_in_pages() {
    let build = |request: &str, response: &str, items: &str| {
        let messages = format!("message Ask {{ {request} }} message Page {{ {response} }} message Item {{}}");
        let options = format!(r#"{PUBLIC} {GET} option (shop.options.v1.pages) = {{items: "{items}"}};"#);
        let service = format!("service Orders {{ rpc Call(Ask) returns (Page) {{ {options} }} }}");
        check(&format!("{HEAD}{SURFACE}{service}{messages}"), true)
    };
    let request = "optional int32 limit = 1; optional string cursor = 2;";
    let response =
        "repeated Item items = 1; optional string next_cursor = 2; int64 total = 3; repeated string tags = 4;";
    assert!(build(request, response, "items").is_ok());
    let refused = |request: &str, response: &str, items: &str, why: &str| {
        let error = build(request, response, items).unwrap_err().to_string();
        assert_eq!(error, format!("shop.v1.Orders.Call: {why}"), "{request} {response} {items}");
    };
    refused(request, response, "nope", "shop.v1.Page has no field nope");
    for items in ["tags", "total"] {
        let why = format!("pages: {items} must be a list of messages in the response itself");
        refused(request, response, items, &why);
    }
    refused("optional string cursor = 2;", response, "items", "shop.v1.Ask has no field limit");
    let plain = request.replace("optional int32", "int32");
    refused(&plain, response, "items", "pages: limit of shop.v1.Ask must be optional int32");
    let other = request.replace("optional string", "optional bytes");
    refused(&other, response, "items", "pages: cursor of shop.v1.Ask must be optional string");
    let list = response.replace("optional string next_cursor", "repeated string next_cursor");
    refused(request, &list, "items", "pages: next_cursor of shop.v1.Page must be optional string");
    let optional = response.replace("int64 total", "optional int64 total");
    refused(request, &optional, "items", "pages: total of shop.v1.Page must be int64");
}
