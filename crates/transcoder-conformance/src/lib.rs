//! A second user of the transcoder, with protos of its own: Google's REST compliance suite and the tables of cases.

pub mod compliance;
mod open;

/// What the transcoder generates from `proto/`.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/transcoder.rs"));
}

pub use open::Open;
