//! A second user of the transcoder, with its own protos: Google's REST compliance suite and the tables of cases.

pub mod bounds;
pub mod checks;
pub mod compliance;
#[allow(missing_docs, clippy::all)]
pub mod handlers;
pub mod query;
pub mod tables;
pub mod templates;

/// Generated from `proto/`: the tables and the compliance suite, without options.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/tables/transcoder.rs"));
}

/// The descriptors of `proto/`, an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tables/descriptors.bin"));

/// Generated from `proto-odd/`: names and types that are difficult for generated code.
#[allow(missing_docs, nonstandard_style, clippy::all)]
pub mod odd {
    include!(concat!(env!("OUT_DIR"), "/odd/transcoder.rs"));
}

/// Generated from `proto-google/`: the requests of protobuf's conformance runner, and their test messages.
#[allow(missing_docs, nonstandard_style, clippy::all)]
pub mod google {
    include!(concat!(env!("OUT_DIR"), "/google/transcoder.rs"));
}

/// Generated from `proto-rules/`: services with rules and surface options, using `conformance.options.v1`.
#[allow(missing_docs, clippy::all)]
pub mod rules {
    include!(concat!(env!("OUT_DIR"), "/rules/transcoder.rs"));
}

/// Generated from `proto-odd/`, as handlers.
#[allow(missing_docs, nonstandard_style, clippy::all)]
pub mod odd_handlers {
    include!(concat!(env!("OUT_DIR"), "/odd-handlers/transcoder.rs"));
}

pub use transcoder::Open;
