//! Definitions, services and documents, generated separately.

use std::{fs, path::Path};

use transcoder_build::{Builder, Error, Part};

const TEXT: &str = "syntax = \"proto3\"; package a.b; message M {} service S { rpc Call(M) returns (M); }";

/// Generates these parts; returns `transcoder.rs` and the names of all files.
fn compile(configure: fn(Builder) -> Builder) -> Result<(String, Vec<String>), Error> {
    let dir = tempfile::tempdir().unwrap();
    let (protos, out) = (dir.path().join("protos"), dir.path().join("out"));
    fs::create_dir(&protos).unwrap();
    fs::write(protos.join("a.proto"), TEXT).unwrap();
    configure(Builder::new(&protos).out_dir(&out)).compile()?;
    let code = fs::read_to_string(out.join("transcoder.rs")).unwrap();
    Ok((code, files(&out)))
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn all_parts_by_default() {
    let (code, files) = compile(|builder| builder).unwrap();
    assert_eq!(files, ["a.b.rs", "descriptors.bin", "openapi", "transcoder.rs"]);
    assert!(code.contains("OPENAPI") && !code.contains("SURFACES"), "no file has a surface: {code}");
}

#[test]
fn definitions_without_services() {
    let (code, files) = compile(|builder| builder.parts([Part::Definitions])).unwrap();
    assert_eq!(files, ["a.b.rs", "descriptors.bin", "transcoder.rs"]);
    assert!(!code.contains("OPENAPI"));
}

#[test]
fn services_for_definitions_in_another_crate() {
    let services = |builder: Builder| builder.parts([Part::Services]).definitions_in("::other");
    let (code, files) = compile(services).unwrap();
    assert_eq!(files, ["transcoder.rs"]);
    assert!(code.starts_with("pub mod a {\npub mod b {\n") && code.contains("pub mod s_rest {"), "{code}");
    assert!(code.contains("::other::a::b::M") && code.contains("::other::a::b::s_server::S"), "{code}");
    let handlers = |builder: Builder| {
        builder.parts([Part::Services]).definitions_in("::other").handlers("crate::Cx", "crate::Error")
    };
    let (code, _) = compile(handlers).unwrap();
    let method = "fn call(&self, cx: &crate::Cx, request: ::other::a::b::M) -> impl ::core::future::Future<\
                  Output = ::core::result::Result<::other::a::b::M, crate::Error>> + Send;";
    assert!(code.contains("pub mod s {") && code.contains(method), "{code}");
}

#[test]
fn only_documents() {
    let (code, files) = compile(|builder| builder.parts([Part::Documents])).unwrap();
    assert_eq!(files, ["openapi", "transcoder.rs"]);
    assert!(!code.contains("pub mod"));
}

#[test]
fn services_need_their_definitions_in_one_place() {
    let why = "services need the definitions: generate them too, or name their module with `definitions_in`";
    for configure in [(|builder| builder.parts([Part::Services])) as fn(Builder) -> Builder, |builder| {
        builder.definitions_in("::other")
    }] {
        assert_eq!(compile(configure).unwrap_err().to_string(), why);
    }
}
