//! The response that a request asks for.

use std::{collections::VecDeque, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::pb;

use crate::proto::{
    self, BidiStreamRequest, ClientStreamRequest, ConformancePayload, Header, IdempotentUnaryRequest,
    ServerStreamRequest, StreamResponseDefinition, UnaryRequest, UnaryResponse, UnaryResponseDefinition,
    conformance_payload::RequestInfo, unary_response_definition::Response,
};

/// A request of one of the methods.
pub trait Asks: Message + Default + 'static {
    /// The package-local name of the message.
    const NAME: &'static str;

    /// The response that the first request of a call asks for.
    fn plan(&self) -> Plan;
}

/// A planned response.
#[derive(Default)]
pub struct Plan {
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    /// The data of each message.
    pub messages: VecDeque<Vec<u8>>,
    pub error: Option<proto::Error>,
    /// The delay before each message.
    pub delay: Duration,
    /// A message for each request, as soon as it arrives.
    pub full_duplex: bool,
}

impl Plan {
    fn of_unary(definition: Option<&UnaryResponseDefinition>) -> Self {
        let Some(definition) = definition else {
            return Self { messages: [Vec::new()].into(), ..Self::default() };
        };
        let (data, error) = match &definition.response {
            Some(Response::ResponseData(data)) => (Some(data.clone()), None),
            Some(Response::Error(error)) => (None, Some(error.clone())),
            None => (Some(Vec::new()), None),
        };
        Self {
            headers: headers(&definition.response_headers),
            trailers: headers(&definition.response_trailers),
            messages: data.into_iter().collect(),
            error,
            delay: Duration::from_millis(definition.response_delay_ms.into()),
            full_duplex: false,
        }
    }

    fn of_stream(definition: Option<&StreamResponseDefinition>) -> Self {
        let Some(definition) = definition else { return Self::default() };
        Self {
            headers: headers(&definition.response_headers),
            trailers: headers(&definition.response_trailers),
            messages: definition.response_data.iter().cloned().collect(),
            error: definition.error.clone(),
            delay: Duration::from_millis(definition.response_delay_ms.into()),
            full_duplex: false,
        }
    }

    /// The end of the call: OK, or the error, which has the request's information if no message had it.
    pub fn end(&self, untold: Option<RequestInfo>) -> Status {
        let trailers = MetadataMap::from_headers(self.trailers.clone());
        let Some(error) = &self.error else { return Status::with_metadata(Code::Ok, "", trailers) };
        let (code, text) = (Code::from_i32(error.code), error.message.clone().unwrap_or_default());
        let mut details = error.details.clone();
        details.extend(untold.map(|info| any("ConformancePayload.RequestInfo", &info)));
        let status = pb::Status { code: error.code, message: text.clone(), details };
        Status::with_details_and_metadata(code, text, status.encode_to_vec().into(), trailers)
    }
}

impl Asks for UnaryRequest {
    const NAME: &'static str = "UnaryRequest";

    fn plan(&self) -> Plan {
        Plan::of_unary(self.response_definition.as_ref())
    }
}

impl Asks for IdempotentUnaryRequest {
    const NAME: &'static str = "IdempotentUnaryRequest";

    fn plan(&self) -> Plan {
        Plan::of_unary(self.response_definition.as_ref())
    }
}

impl Asks for ClientStreamRequest {
    const NAME: &'static str = "ClientStreamRequest";

    fn plan(&self) -> Plan {
        Plan::of_unary(self.response_definition.as_ref())
    }
}

impl Asks for ServerStreamRequest {
    const NAME: &'static str = "ServerStreamRequest";

    fn plan(&self) -> Plan {
        Plan::of_stream(self.response_definition.as_ref())
    }
}

impl Asks for BidiStreamRequest {
    const NAME: &'static str = "BidiStreamRequest";

    fn plan(&self) -> Plan {
        Plan { full_duplex: self.full_duplex, ..Plan::of_stream(self.response_definition.as_ref()) }
    }
}

/// A response message. Those of all methods have the same wire format.
pub fn message(data: Vec<u8>, request_info: Option<RequestInfo>) -> UnaryResponse {
    UnaryResponse { payload: Some(ConformancePayload { data, request_info }) }
}

/// The information about a request: its headers and its timeout.
pub fn info(headers: &HeaderMap) -> RequestInfo {
    let request_headers = headers
        .keys()
        .map(|name| Header {
            name: name.to_string(),
            value: headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect(),
        })
        .collect();
    let timeout =
        transcoder::rest::requested_timeout(headers).map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    RequestInfo { request_headers, timeout_ms: timeout, requests: Vec::new(), connect_get_info: None }
}

/// A message of the suite in an `Any`.
pub fn any(name: &str, message: &impl Message) -> Any {
    let type_url = format!("type.googleapis.com/connectrpc.conformance.v1.{name}");
    Any { type_url, value: message.encode_to_vec() }
}

/// Headers as they are sent. Values of `-bin` are base64 on both sides.
fn headers(given: &[Header]) -> HeaderMap {
    let pairs = given.iter().flat_map(|header| header.value.iter().map(|value| (&header.name, value)));
    pairs
        .filter_map(|(name, value)| Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?)))
        .collect()
}
