//! Compiles one proto twice: with `transcoder-build`, and in the documented way of `rest_over_grpc`. The descriptors
//! are the same bytes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;

/// Why the build fails.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Ours(#[from] transcoder_build::Error),
    #[error("the descriptors: {0}")]
    Descriptors(#[from] prost::DecodeError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("rest_over_grpc: {0}")]
    Peer(String),
}

fn main() {
    if let Err(error) = compile() {
        // Cargo shows only this message for a failed build script.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn compile() -> Result<(), Error> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let ours = out.join("ours");
    transcoder_build::Builder::new("proto").include("../../proto").out_dir(&ours).compile()?;
    let descriptors = fs::read(ours.join("descriptors.bin"))?;
    pbjson(&descriptors, &out.join("pbjson"), ".fleet.v1.Telemetry", ".fleet.v1.Sample")?;
    peer(&descriptors, &out.join("peer"))
}

/// The codec of pbjson for the messages of `transcoder-build`, so that both fill the same structs.
fn pbjson(descriptors: &[u8], out: &Path, message: &str, nested: &str) -> Result<(), Error> {
    fs::create_dir_all(out)?;
    pbjson_build::Builder::new().register_descriptors(descriptors)?.out_dir(out).build(&[message, nested])?;
    Ok(())
}

/// Messages, codec and routes in the way of a user of `rest_over_grpc`.
fn peer(descriptors: &[u8], out: &Path) -> Result<(), Error> {
    fs::create_dir_all(out)?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .out_dir(out)
        .compile_fds(prost_types::FileDescriptorSet::decode(descriptors)?)?;
    pbjson_build::Builder::new()
        .register_descriptors(descriptors)?
        .extern_path(".google.protobuf", "::pbjson_types")
        .out_dir(out)
        .build(&[".fleet"])?;
    rest_over_grpc::build::compile_fds(descriptors, out).map_err(|error| Error::Peer(error.to_string()))
}
