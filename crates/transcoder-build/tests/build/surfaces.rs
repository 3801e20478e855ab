//! The paths and statuses of a surface.

use transcoder_build::{Compiled, Error};

use crate::{GET, HEAD, MESSAGES, PUBLIC, check, check_with, rpc};

/// Checks one method of a surface with these options.
fn surface(options: &str, method: &str) -> Result<Compiled, Error> {
    let surface = format!("option (shop.options.v1.surface) = {{name: \"shop\" error_dialect: \"plain\" {options}}};");
    check(&format!("{HEAD}{surface}service Orders {{ {} }}{MESSAGES}", rpc(method)), true)
}

fn refused(options: &str, method: &str, why: &str) {
    let error = surface(options, method).unwrap_err().to_string();
    assert_eq!(error, format!("shop.v1.Orders.Call: {why}"));
}

fn public() -> String {
    format!("{PUBLIC} {GET}")
}

#[test]
fn the_paths_of_surfaces_are_a_table() {
    let options =
        r#"prefix: "/orders" prefix: "/carts" error_prefix: "/" path_alias: {from: "/orders" to: "/v1/orders"}"#;
    refused(options, &public(), "the surface \"shop\" has the prefix \"/\"; write it as /a/b");
    let options = options.replace("error_prefix: \"/\"", "prefix: \"/v1\" error_prefix: \"/health\"");
    let compiled = surface(&options, &public()).unwrap();
    let row = r#"{ name: "shop", error_dialect: "plain", packages: &["shop.v1", ], prefixes: &["/carts", "/orders", "/v1", ], error_prefixes: &["/health", ], aliases: &[("/orders", "/v1/orders"), ] }"#;
    assert!(compiled.surfaces.contains(row), "{}", compiled.surfaces);
}

#[test]
fn an_alias_is_a_second_path_of_whole_segments() {
    let options = r#"path_alias: {from: "/orders" to: "/v1/orders"}"#;
    let code = |path: &str| {
        let get = format!("option (google.api.http) = {{get: \"{path}\"}};");
        surface(options, &format!("{PUBLIC} {get}")).unwrap().code["shop.v1"].clone()
    };
    for (path, other) in
        [("/orders", "/v1/orders"), ("/orders/{name}", "/v1/orders/{name}"), ("/orders:x", "/v1/orders:x")]
    {
        let code = code(path);
        assert!(code.contains(&format!("text: \"{path}\"")) && code.contains(&format!("text: \"{other}\"")), "{code}");
    }
    assert!(!code("/orders2").contains("CALL_RULE_1"));
}

#[test]
fn each_path_must_belong_to_its_surface() {
    refused(r#"prefix: "/carts""#, &public(), "/orders is not below any prefix of the surface \"shop\"");
    surface(r#"prefix: "/orders""#, &public()).unwrap();
}

#[test]
fn statuses_apply_to_methods_without_their_own() {
    let status = "status: {reason: REASON_ORDER_CLOSED status: 410}";
    let code = |rest: &str| {
        let method = format!("{} option (shop.options.v1.rest) = {{{rest}}};", public());
        surface(status, &method).unwrap().code["shop.v1"].clone()
    };
    assert!(code("").contains(r#"status: &[("ORDER_CLOSED", 410)]"#));
    let own = code("status: {reason: REASON_ORDER_CLOSED status: 423}");
    assert!(own.contains(r#"status: &[("ORDER_CLOSED", 423)]"#), "{own}");
    let fails = format!("{} option (shop.options.v1.rest) = {{fails_with: REASON_ORDER_CLOSED}};", public());
    refused("", &fails, "fails_with lists ORDER_CLOSED, for which the surface has no status");
    refused("status: {reason: REASON_ORDER_CLOSED status: 200}", &public(), "status 200 for reason \"ORDER_CLOSED\"");
}

#[test]
fn the_documents_list_the_reasons_of_a_method() {
    let text = |rest: &str| {
        let surface =
            "option (shop.options.v1.surface) = {name: \"shop\" status: {reason: REASON_ORDER_CLOSED status: 410}};";
        let method = rpc(&format!("{} option (shop.options.v1.rest) = {{{rest}}};", public()));
        let text = format!("{HEAD}{surface}service Orders {{ {method} }}{MESSAGES}");
        check_with(&text, &[]).unwrap().openapi[""].to_string()
    };
    assert!(text("fails_with: REASON_ORDER_CLOSED").contains("Reasons: `ORDER_CLOSED`"));
    assert!(!text("").contains("\"410\""));
}
