//! What the benchmarks measure: one service behind the transcoder, behind `rest_over_grpc` and as a hand-written axum
//! handler, and one message of numbers with the codecs of the transcoder, of pbjson and of serde.

pub mod device;
#[path = "../../support/load.rs"]
pub mod load;
pub mod paths;
pub mod sides;
pub mod telemetry;

/// What `transcoder-build` generates.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/ours/transcoder.rs"));
}

/// The codec of pbjson for the messages of [`proto`].
#[allow(missing_docs, clippy::all)]
mod pbjson_codec {
    use crate::proto::fleet::v1::{Sample, Telemetry};
    include!(concat!(env!("OUT_DIR"), "/pbjson/fleet.v1.serde.rs"));
}

/// What tonic, pbjson and `rest_over_grpc` generate.
#[allow(missing_docs, missing_debug_implementations, clippy::all)]
pub mod peer {
    /// Messages, codec and bridge.
    pub mod fleet {
        /// Version 1.
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/peer/fleet.v1.rs"));
            include!(concat!(env!("OUT_DIR"), "/peer/fleet.v1.serde.rs"));
            include!(concat!(env!("OUT_DIR"), "/peer/fleet.v1.rest.rs"));
        }
    }
    include!(concat!(env!("OUT_DIR"), "/peer/transcoder.rest.rs"));
}
