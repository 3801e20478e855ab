//! Compiles the protos of the suite. Its methods are implemented by hand, so only messages are generated.

use std::{error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use transcoder_build::{Builder, tonic_prost_build};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let descriptors = Builder::new("proto").check()?.descriptors;
    let set = FileDescriptorSet::decode(&*descriptors)?;
    fs::write(out.join("descriptors.bin"), &descriptors)?;
    tonic_prost_build::configure().build_client(false).build_server(false).out_dir(&out).compile_fds(set)?;
    Ok(())
}
