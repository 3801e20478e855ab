//! Compiles `proto/`: tonic's services, and their REST routes beside them.

fn main() -> Result<(), transcoder_build::Error> {
    transcoder_build::Builder::new("proto").compile()
}
