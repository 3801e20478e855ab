//! Compiles the protos of the tables, those with unusual names and those of protobuf's conformance runner, which have
//! no options, and those of the rules, which do.

use std::path::PathBuf;

use transcoder_build::{Builder, Error, Part};

fn main() {
    if let Err(error) = compile() {
        // Cargo shows only this message for a failed build script.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn compile() -> Result<(), Error> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    Builder::new("proto").out_dir(out.join("tables")).compile()?;
    Builder::new("proto-odd").out_dir(out.join("odd")).compile()?;
    Builder::new("proto-google").out_dir(out.join("google")).compile()?;
    let rules = |out: PathBuf| {
        Builder::new("proto-rules")
            .include("proto")
            .out_dir(out)
            .options_package("conformance.options.v1")
            .error_domain("conformance")
    };
    rules(out.join("rules")).permissions(["thing.read", "thing.write"]).compile()?;
    // The same services again, as handlers.
    rules(out.join("handlers"))
        .parts([Part::Services])
        .definitions_in("crate::rules")
        .handlers("crate::handlers::Call", "crate::handlers::Refused")
        .compile()?;
    Builder::new("proto-odd")
        .out_dir(out.join("odd-handlers"))
        .parts([Part::Services])
        .definitions_in("crate::odd")
        .handlers("::http::Extensions", "::tonic::Status")
        .compile()
}
