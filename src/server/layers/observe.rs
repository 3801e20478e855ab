//! One log line and one measurement for every call, when its response ends.
//!
//! Labels and the line have the RPC or the REST template, never the path itself: paths contain ids, and queries may
//! contain secrets.

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Instant,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use metrics::{Gauge, Histogram};
use transcoder::{CallOutcome, RequestId};

use super::{
    answer::{Head, status_word},
    line_budget::LineBudget,
};
use crate::{
    auth::{CallFacts, ClientInfo},
    base::{Caller, Kind},
    server::{listen::Peer, ops},
};

/// What the calls of a server have in common.
pub(super) struct Calls {
    in_flight: Gauge,
    durations: Durations,
    lines: LineBudget,
}

impl Default for Calls {
    fn default() -> Self {
        let in_flight = metrics::gauge!("tenantry_calls_in_flight");
        Self { in_flight, durations: Durations::default(), lines: LineBudget::default() }
    }
}

/// The histograms of durations by their labels: to look one up here is cheaper than to build its key.
#[derive(Default)]
struct Durations(RwLock<HashMap<Labels, Histogram>>);

/// The values of the labels. Those of gRPC calls have no HTTP method.
type Labels = (Option<&'static str>, [&'static str; 3]);

impl Durations {
    fn record(&self, labels: Labels, seconds: f64) {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&labels) {
            return known.record(seconds);
        }
        let histogram = match labels {
            (Some(method), [route, status, _]) => metrics::histogram!("http_server_request_duration_seconds",
                "http_request_method" => method, "http_route" => route, "http_response_status_code" => status),
            (None, [service, method, status]) => metrics::histogram!("rpc_server_duration_seconds",
                "rpc_service" => service, "rpc_method" => method, "rpc_grpc_status_code" => status),
        };
        histogram.record(seconds);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(labels, histogram);
    }
}

/// A call under observation, until [`end`](Observation::end).
pub(super) struct Observation(Option<Record>);

/// The properties of a call.
struct Record {
    begun: Instant,
    request_id: RequestId,
    method: Method,
    grpc: bool,
    /// Template of an operational path.
    ops: Option<&'static str>,
    facts: CallFacts,
    status: StatusCode,
    template: Option<&'static str>,
    peer: Option<Peer>,
    /// Address of the client; the inner `None` if a trusted proxy does not report it.
    client: Option<Option<IpAddr>>,
    /// The budget of log lines for callers without a credential.
    calls: Arc<Calls>,
}

/// How a call ended.
enum End {
    /// With a gRPC status, or none on REST.
    Answered(Option<Kind>),
    /// The client went away before the response was complete.
    Abandoned,
}

/// Starts to observe a call.
pub(super) fn begin(request: &Request<Body>, head: &Head, facts: CallFacts, calls: Arc<Calls>) -> Observation {
    calls.in_flight.increment(1.0);
    Observation(Some(Record {
        begun: Instant::now(),
        request_id: head.request_id.clone(),
        method: request.method().clone(),
        grpc: head.grpc.is_some(),
        ops: ops::template(&head.path),
        facts,
        status: StatusCode::OK,
        template: None,
        peer: request.extensions().get::<Peer>().copied(),
        client: request.extensions().get::<ClientInfo>().map(|client| client.address),
        calls,
    }))
}

impl Observation {
    /// The response is known. It is recorded now if it is complete, otherwise when its body ends.
    pub(super) fn end(mut self, response: Response<Body>) -> Response<Body> {
        let Some(mut record) = self.0.take() else { return response };
        record.status = response.status();
        // A request that is not even a gRPC call has an HTTP response.
        record.grpc &= record.status == StatusCode::OK;
        record.template = response
            .extensions()
            .get::<CallOutcome>()
            .and_then(|answered| answered.matched)
            .map(|matched| matched.template);
        let grpc_status = grpc_status(response.headers());
        let whole = http_body::Body::size_hint(response.body()).exact().is_some();
        if whole || grpc_status.is_some() {
            record.finish(&End::Answered(grpc_status));
            return response;
        }
        response.map(|body| Body::new(Observed { body, record: Some(record) }))
    }
}

impl Drop for Observation {
    /// The connection was closed, and the call was dropped.
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            record.finish(&End::Abandoned);
        }
    }
}

impl Record {
    fn finish(self, end: &End) {
        self.calls.in_flight.decrement(1.0);
        let seconds = self.begun.elapsed().as_secs_f64();
        let status = match end {
            End::Abandoned => "CANCELLED",
            End::Answered(Some(kind)) => status_word(*kind),
            // gRPC-Web has its trailers in its body; the status of an early failure is in the headers.
            End::Answered(None) if self.grpc => "OK",
            End::Answered(None) => status_text(self.status),
        };
        let (service, method) = self.facts.method().map_or(("", ""), |method| (method.service, method.name));
        let labels = match self.grpc {
            true => (None, [service, method, status]),
            false => (Some(method_label(&self.method)), [self.route(), status, ""]),
        };
        self.calls.durations.record(labels, seconds);
        self.log(status, seconds);
    }

    fn log(&self, status: &'static str, seconds: f64) {
        let caller = self.facts.caller();
        let counted = caller.is_none() && self.ops.is_none();
        let from = || self.client.flatten().or(self.peer.map(|peer| peer.address.ip()));
        if counted && !self.calls.lines.take(from()) {
            return;
        }
        let call = self.facts.method().map_or_else(|| self.route(), |method| method.path);
        let duration_ms = (seconds * 1e6).round() / 1e3;
        let subject = caller.map(|caller: &Caller| caller.subject.as_str());
        let tenant = self.facts.tenant();
        let request_id: &str = &self.request_id.0;
        let peer = self.peer.map(|peer| tracing::field::display(peer.address));
        let client = self.client.map(|known| known.map_or("unknown".to_owned(), |address| address.to_string()));
        if self.ops.is_some() {
            tracing::debug!(target: "tenantry::access", request_id, call, status, duration_ms, client, peer);
        } else {
            tracing::info!(
                target: "tenantry::access", request_id, call, status, duration_ms, caller = subject, tenant, client,
                peer
            );
        }
    }

    fn route(&self) -> &'static str {
        self.template.or(self.ops).or(self.facts.method().map(|method| method.path)).unwrap_or("(none)")
    }
}

/// A body whose end completes the observation.
struct Observed {
    body: Body,
    record: Option<Record>,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let status = match &polled {
            Poll::Ready(None) => None,
            Poll::Ready(Some(Ok(frame))) => match frame.trailers_ref() {
                Some(trailers) => grpc_status(trailers),
                None => return polled,
            },
            Poll::Ready(Some(Err(_))) => Some(Kind::Unknown),
            Poll::Pending => return polled,
        };
        if let Some(record) = self.record.take() {
            record.finish(&End::Answered(status));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            let ended = http_body::Body::is_end_stream(&self.body);
            record.finish(&if ended { End::Answered(None) } else { End::Abandoned });
        }
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<Kind> {
    headers.get("grpc-status").map(|value| Kind::from_bytes(value.as_bytes()))
}

/// The status as a label without an allocation, for the statuses that we use.
fn status_text(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200 => "200",
        201 => "201",
        202 => "202",
        204 => "204",
        304 => "304",
        307 => "307",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        408 => "408",
        409 => "409",
        412 => "412",
        413 => "413",
        415 => "415",
        422 => "422",
        429 => "429",
        499 => "499",
        500 => "500",
        501 => "501",
        503 => "503",
        504 => "504",
        505 => "505",
        code => ["1xx", "2xx", "3xx", "4xx", "5xx"].get(usize::from(code / 100).wrapping_sub(1)).unwrap_or(&"other"),
    }
}

/// Unknown methods share one label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
