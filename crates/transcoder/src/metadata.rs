//! The metadata of a gRPC answer as headers of HTTP.

use http::{
    HeaderMap,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use tonic::metadata::MetadataMap;

/// The metadata of an answer as headers, without those that are the connection's own or gRPC's, or say what the body is. A
/// service that calls another one may hand on all that it got.
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
