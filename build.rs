//! Generates the traits of the services and the OpenAPI documents of `proto/`, compresses the files of `/docs`, and
//! records the build. Messages and the rules of methods are generated in `crates/tenantry-proto`.

#[path = "build/docs_assets.rs"]
mod docs_assets;

use std::{path::PathBuf, process::Command};

use transcoder_build::{Builder, Part};

/// Content of the OpenAPI documents that is not in the protos: about the surfaces, and about the paths of the server
/// itself.
const OPENAPI: [&str; 2] = [include_str!("src/api/openapi.json"), include_str!("src/server/openapi.json")];

fn main() {
    version();
    for file in ["build", "src/api/openapi.json", "src/server/openapi.json"] {
        println!("cargo:rerun-if-changed={file}");
    }
    if let Err(error) = docs_assets::write() {
        fail(&error);
    }
    if let Err(error) = services().and_then(|()| documents()) {
        fail(&error);
    }
}

/// The traits that `src/api/` implements, and how their services are mounted.
fn services() -> Result<(), transcoder_build::Error> {
    protos("services")
        .parts([Part::Services])
        .definitions_in("::tenantry_proto")
        .handlers("crate::base::Cx", "crate::base::Error")
        .error_domain("tenantry")
        .compile()
}

/// The OpenAPI documents, which `src/server/docs/` serves.
fn documents() -> Result<(), transcoder_build::Error> {
    protos("documents")
        .parts([Part::Documents])
        .openapi(OPENAPI[0])
        .openapi(OPENAPI[1])
        .openapi(&format!(r#"{{"info": {{"version": "{}"}}}}"#, env!("CARGO_PKG_VERSION")))
        .compile()
}

/// A generator for our protos, with its own output folder.
fn protos(folder: &str) -> Builder {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    Builder::new("proto").out_dir(out.join(folder)).options_package("tenantry.options.v1")
}

/// Cargo shows only this message for a failed build script.
fn fail(error: &dyn std::error::Error) -> ! {
    eprintln!("error: {error}");
    std::process::exit(1);
}

/// The commit and its date, for `/version`. The date is the commit's, or SOURCE_DATE_EPOCH, so that builds are
/// reproducible. Outside of git both are unknown.
fn version() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let Some(dir) = git(&["rev-parse", "--absolute-git-dir"]) else { return };
    println!("cargo:rerun-if-changed={dir}/HEAD");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // On each commit; a development build may have an older one, to avoid rebuilding.
        println!("cargo:rerun-if-changed={dir}/logs/HEAD");
    }
    if let Some(commit) = git(&["rev-parse", "HEAD"]) {
        println!("cargo:rustc-env=BUILD_COMMIT={commit}");
    }
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    let date = match epoch {
        Some(epoch) => run("date", &["-u", "-d", &format!("@{epoch}"), "+%Y-%m-%dT%H:%M:%SZ"]),
        None => git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"]),
    };
    if let Some(date) = date {
        println!("cargo:rustc-env=BUILD_DATE={date}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    run("git", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).env("TZ", "UTC").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
