//! Compiles the protos of the tables.

fn main() {
    if let Err(error) = transcoder_build::Builder::new("proto").compile() {
        // The message is all that cargo shows of a failed build script, so it stands alone.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}
