//! gRPC metadata as HTTP headers.

use http::{
    HeaderMap,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use tonic::metadata::MetadataMap;

/// The metadata of a response as headers, without those that belong to the connection or to gRPC, or describe the body.
/// A service that calls another one may pass on everything that it received.
pub fn headers_of(metadata: MetadataMap) -> HeaderMap {
    let mut headers = metadata.into_headers();
    for name in [CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding", "grpc-accept-encoding"] {
        headers.remove(name);
    }
    headers
}
