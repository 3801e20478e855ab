//! A second user of the transcoder, with protos of its own: Google's REST compliance suite and the tables of cases.

pub mod bounds;
pub mod checks;
pub mod compliance;
#[allow(missing_docs, clippy::all)]
pub mod handlers;
pub mod query;
pub mod tables;
pub mod templates;

/// What is generated from `proto/`: the tables and the compliance suite, without options.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/tables/transcoder.rs"));
}

/// The descriptors of `proto/`, an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tables/descriptors.bin"));

/// What is generated from `proto-odd/`: names and types that generated code could trip over.
#[allow(missing_docs, nonstandard_style, clippy::all)]
pub mod odd {
    include!(concat!(env!("OUT_DIR"), "/odd/transcoder.rs"));
}

/// What is generated from `proto-google/`: the questions of protobuf's conformance runner, and the messages that they are
/// about.
#[allow(missing_docs, nonstandard_style, clippy::all)]
pub mod google {
    include!(concat!(env!("OUT_DIR"), "/google/transcoder.rs"));
}

/// What is generated from `proto-rules/`: services with rules and habits, by the options of `conformance.options.v1`.
#[allow(missing_docs, clippy::all)]
pub mod rules {
    include!(concat!(env!("OUT_DIR"), "/rules/transcoder.rs"));
}

/// What is generated from `proto-odd/` as handlers.
#[allow(missing_docs, nonstandard_style, clippy::all)]
pub mod odd_handlers {
    include!(concat!(env!("OUT_DIR"), "/odd-handlers/transcoder.rs"));
}

pub use transcoder::Open;
