//! Compiles `proto/` to tonic services with their REST routes, JSON codec and guards.

#[path = "src/auth/permissions.rs"]
mod permissions;
#[path = "build/version.rs"]
mod version;

fn main() {
    println!("cargo:rerun-if-changed=build/version.rs");
    version::emit();
    println!("cargo:rerun-if-changed=src/auth/permissions.rs");
    let compiled = transcoder_build::Builder::new("proto")
        .options_package("tenantry.options.v1")
        .permissions(permissions::TABLE.iter().map(|(permission, _)| *permission))
        .compile();
    if let Err(error) = compiled {
        // The message is all that cargo shows of a failed build script, so it stands alone.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
