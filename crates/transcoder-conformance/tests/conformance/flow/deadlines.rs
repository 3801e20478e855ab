//! How long a call may take.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use transcoder::{Deadline, Open, RestBuilder};
use transcoder_conformance::rules::conformance::rules::v1::flow_rest;

use super::fixture::{Desk, rest};
use crate::support::{call, send};

#[tokio::test]
async fn the_caller_sets_a_timeout() {
    for (name, value) in [("grpc-timeout", "20m"), ("x-server-timeout", "0.02")] {
        let request = Request::get("/flow/sleep/a").header(name, value).body(Empty::<Bytes>::new()).unwrap();
        let answer = send(&rest(), request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"]["status"].as_str()),
            (504, Some("DEADLINE_EXCEEDED"))
        );
    }
}

#[tokio::test]
async fn the_service_sees_the_earliest_deadline() {
    for (outer, seen) in [(3600, "\"Some(59)\""), (30, "\"Some(29)\"")] {
        let outer = Deadline(Instant::now() + Duration::from_secs(outer));
        let request = Request::get("/flow/text/deadline").header("grpc-timeout", "1M").extension(outer);
        let answer = send(&rest(), request.body(Empty::<Bytes>::new()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, seen.as_bytes()));
    }
}

#[tokio::test]
async fn an_excessive_or_malformed_timeout_is_ignored() {
    for value in ["1e19", "1e18", "99999999H", "soon"] {
        let request = Request::get("/flow/text/a").header("x-server-timeout", value).header("grpc-timeout", value);
        let answer = send(&rest(), request.body(Empty::<Bytes>::new()).unwrap()).await;
        assert_eq!(answer.status, 200, "{value}");
    }
}

#[tokio::test]
async fn the_server_sets_a_timeout() {
    let guard = Arc::new(Open);
    let routes = flow_rest::routes(&flow_rest::Guarded::new(Desk, guard.clone()));
    let rest = RestBuilder::default().routes(routes).timeout(Duration::from_millis(20)).open();
    assert_eq!(call(&rest, "GET", "/flow/sleep/a", None).await.status, 504);
    // A stream that has started in time may continue.
    assert_eq!(call(&rest, "GET", "/flow/ticks?to=3", None).await.status, 200);
}
