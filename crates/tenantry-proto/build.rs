//! Compiles `proto/` and `third_party/proto/`: messages, their JSON, tonic's services, and the rules of methods and paths.

#[path = "src/permissions.rs"]
mod permissions;

use std::path::PathBuf;

use transcoder_build::{Builder, Error, Part, tonic_prost_build};

fn main() {
    println!("cargo:rerun-if-changed=src/permissions.rs");
    if let Err(error) = own().and_then(|()| standard()) {
        // Cargo shows only this message for a failed build script.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

/// Tenantry's own protos. The server generates the rest, which needs its types: handlers and documents.
fn own() -> Result<(), Error> {
    Builder::new("../../proto")
        .options_package("tenantry.options.v1")
        .error_domain("tenantry")
        .permissions(permissions::names())
        .parts([Part::Definitions])
        .tonic(tonic)
        .compile()
}

/// The standard gRPC services and error details, without our options.
fn standard() -> Result<(), Error> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    Builder::new("../../third_party/proto")
        .out_dir(out.join("standard"))
        .parts([Part::Definitions])
        .tonic(tonic)
        .compile()
}

fn tonic(tonic: tonic_prost_build::Builder) -> tonic_prost_build::Builder {
    let clients = std::env::var_os("CARGO_FEATURE_CLIENT").is_some();
    tonic.build_client(clients).build_transport(false).codec_path("crate::codec::MessageCodec")
}
