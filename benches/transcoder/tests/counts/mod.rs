//! The number of allocations of a unary GET on each side, without sockets.
//!
//! A count includes the whole call, from the request to the complete response. The service's own allocations, in a call
//! of its trait's method, are counted separately and subtracted.

#![allow(dead_code, reason = "the test and the benchmark use their own part")]

use std::future::Future;

use allocation_counter::measure;
use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt as _;
use http_body_util::{BodyExt as _, Empty};
use tower::Service;
use transcoder_bench::{device, peer::fleet::v1 as peer_proto, proto::fleet::v1 as proto, sides};

/// Counts of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Allocations of the whole call.
    pub all: u64,
    /// Allocations of the service itself.
    pub own: u64,
}

impl Counts {
    /// What the side adds.
    pub fn above(self) -> u64 {
        self.all - self.own
    }
}

/// The transcoder.
pub fn ours() -> Counts {
    use proto::device_service_server::DeviceService as _;
    let service = sides::Ours(device::ours());
    let request = tonic::Request::new(proto::GetDeviceRequest { device: "pump-0042".to_owned() });
    let own = method(|| service.get_device(request));
    Counts { all: call(sides::ours(), Empty::<Bytes>::new), own }
}

/// `rest_over_grpc`.
pub fn peer() -> Counts {
    use peer_proto::device_service_server::DeviceService as _;
    let service = sides::Peer(device::peer());
    let request = tonic::Request::new(peer_proto::GetDeviceRequest { device: "pump-0042".to_owned() });
    let own = method(|| service.get_device(request));
    Counts { all: call(sides::peer(), Empty::<Bytes>::new), own }
}

/// The axum handler, whose own allocations are the copy of its data.
pub fn twin() -> Counts {
    let device = device::twin();
    let own = method(|| std::future::ready(device.clone()));
    Counts { all: call(sides::twin(), Body::empty), own }
}

/// Counts a call of the service's own method.
fn method<F: Future>(call: impl FnOnce() -> F) -> u64 {
    let mut answer = None;
    let counted = measure(|| answer = call().now_or_never());
    assert!(answer.is_some(), "a response without waiting");
    counted.count_total
}

/// Counts a call: the second one, because the first may fill caches.
fn call<S, B, R>(mut service: S, body: fn() -> B) -> u64
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
{
    let mut once = || {
        let request = http::Request::builder().uri(sides::PATH).header("host", "localhost").body(body());
        let request = request.expect("a request");
        let mut response = None;
        let counted = measure(|| response = service.call(request).now_or_never());
        let response = response.expect("a response without waiting").expect("a response");
        let body = response.into_body().collect().now_or_never().expect("a body without waiting");
        assert_eq!(body.ok().expect("a body").to_bytes().len(), device::BYTES);
        counted.count_total
    };
    once();
    once()
}
