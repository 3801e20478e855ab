//! What builds and what does not, with the reason in the message.

mod accepted;
mod actions;
mod openapi;
mod parts;
mod refused;
mod surfaces;

use std::fs;

use transcoder_build::{Builder, Compiled, Error};

/// The options, in another package.
fn options() -> Vec<(&'static str, String)> {
    let file = |name: &'static str, text: &str| (name, text.replace("conformance", "shop"));
    vec![
        file(
            "actions.proto",
            include_str!("../../../transcoder-conformance/proto-rules/conformance/options/v1/actions.proto"),
        ),
        file(
            "audit.proto",
            include_str!("../../../transcoder-conformance/proto-rules/conformance/options/v1/audit.proto"),
        ),
        file(
            "auth.proto",
            include_str!("../../../transcoder-conformance/proto-rules/conformance/options/v1/auth.proto"),
        ),
        file(
            "field.proto",
            include_str!("../../../transcoder-conformance/proto-rules/conformance/options/v1/field.proto"),
        ),
        file(
            "pages.proto",
            include_str!("../../../transcoder-conformance/proto-rules/conformance/options/v1/pages.proto"),
        ),
        file("reason.proto", include_str!("reason.proto")),
        file(
            "rest.proto",
            include_str!("../../../transcoder-conformance/proto-rules/conformance/options/v1/rest.proto"),
        ),
        file(
            "surface.proto",
            include_str!("../../../transcoder-conformance/proto-rules/conformance/options/v1/surface.proto"),
        ),
    ]
}

const HEAD: &str = r#"syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/protobuf/field_mask.proto";
import "shop/options/v1/actions.proto";
import "shop/options/v1/audit.proto";
import "shop/options/v1/auth.proto";
import "shop/options/v1/field.proto";
import "shop/options/v1/pages.proto";
import "shop/options/v1/rest.proto";
import "shop/options/v1/surface.proto";
"#;

const SURFACE: &str = r#"option (shop.options.v1.surface) = {name: "shop" error_dialect: "shop"};
"#;

const MESSAGES: &str = r#"
message Order {
  string name = 1;
  Owner owner = 2;
  State state = 3;
  repeated string tags = 4;
  bool created = 5;
  bool express = 6;
  map<string, string> labels = 7;
  optional bool paid = 8;
  repeated Owner owners = 9;
  oneof way { string letter = 10; string parcel = 11; Owner gift = 13; }
  google.protobuf.FieldMask mask = 12;
  int64 version = 14;
}
message Owner { string tenant = 1; Address address = 2; }
message Address { string city = 1; }
enum State { STATE_UNSPECIFIED = 0; STATE_OPEN = 1; STATE_CLOSED = 2; }
"#;

/// Checks a proto file made of these pieces.
fn check(text: &str, with_options: bool) -> Result<Compiled, Error> {
    build(text, with_options, &[])
}

/// Checks a proto file with the parts of an OpenAPI frame.
fn check_with(text: &str, frames: &[&str]) -> Result<Compiled, Error> {
    build(text, true, frames)
}

fn build(text: &str, with_options: bool, frames: &[&str]) -> Result<Compiled, Error> {
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (file, text) in options() {
        put(&format!("shop/options/v1/{file}"), &text);
    }
    put("shop/v1/orders.proto", text);
    let builder = frames.iter().fold(Builder::new(dir.path()), |builder, frame| builder.openapi(frame));
    if with_options {
        builder.options_package("shop.options.v1").permissions(["order.read", "order.write"]).check()
    } else {
        builder.check()
    }
}

/// Checks the methods of one service of a surface.
fn service(methods: &str) -> Result<Compiled, Error> {
    check(&format!("{HEAD}{SURFACE}service Orders {{ {methods} }}{MESSAGES}"), true)
}

/// An RPC with these options.
fn rpc(options: &str) -> String {
    format!("rpc Call(Order) returns (Order) {{ {options} }}")
}

const PUBLIC: &str = "option (shop.options.v1.auth) = {public: true};";
const GET: &str = r#"option (google.api.http) = {get: "/orders"};"#;
