//! Compiles the protos of the tables, those with unusual names and those of protobuf's conformance runner, which have no
//! options of their own, and those of the rules, which have.

use std::path::PathBuf;

use transcoder_build::{Builder, Error};

fn main() {
    if let Err(error) = compile() {
        // The message is all that cargo shows of a failed build script, so it stands alone.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn compile() -> Result<(), Error> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    Builder::new("proto").out_dir(out.join("tables")).compile()?;
    Builder::new("proto-odd").out_dir(out.join("odd")).compile()?;
    Builder::new("proto-google").out_dir(out.join("google")).compile()?;
    Builder::new("proto-rules")
        .include("proto")
        .out_dir(out.join("rules"))
        .options_package("conformance.options.v1")
        .error_domain("conformance")
        .permissions(["thing.read", "thing.write"])
        .compile()
}
