//! A gRPC client that knows the services only from the descriptors.

use std::{net::SocketAddr, time::Duration};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc as Client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

use super::enroll::DpopKey;

#[derive(Clone)]
pub struct Grpc {
    channel: Channel,
    token: Option<String>,
    /// A device token with its key, and the URL of the server as the client addresses it.
    enrolled: Option<(DpopKey, String, String)>,
    principal: Option<String>,
    client: Option<String>,
    key: Option<String>,
    timeout: Option<Duration>,
}

impl Grpc {
    /// A client without credentials, which connects with its first call.
    pub fn new(address: SocketAddr) -> Self {
        Self::over(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy())
    }

    /// A client without credentials over another channel.
    pub fn over(channel: Channel) -> Self {
        Self { channel, token: None, enrolled: None, principal: None, client: None, key: None, timeout: None }
    }

    /// The same client with a bearer token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same client with a device token, and a proof by its key in each call.
    pub fn enrolled(mut self, key: DpopKey, token: impl Into<String>, url: impl Into<String>) -> Self {
        self.enrolled = Some((key, token.into(), url.into()));
        self.token = None;
        self
    }

    /// The same client with an original principal.
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// The same client as a trusted proxy that forwards a client address.
    pub fn client(mut self, address: impl Into<String>) -> Self {
        self.client = Some(address.into());
        self
    }

    /// The same client with an idempotency key in each call.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same client, which waits no longer than this.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Calls a method. Of a stream, the first message is the answer: it may have no end.
    pub async fn call(&self, method: &MethodDescriptor, message: DynamicMessage) -> Result<DynamicMessage, Status> {
        if method.is_server_streaming() {
            let first = self.open(method, message).await?.message().await?;
            return first.ok_or_else(|| Status::internal("the stream has no message"));
        }
        self.answer(method, message).await.map(Response::into_inner)
    }

    /// Calls a unary method, and returns the metadata too.
    pub async fn answer(
        &self,
        method: &MethodDescriptor,
        message: DynamicMessage,
    ) -> Result<Response<DynamicMessage>, Status> {
        let (mut client, request, path) = self.prepare(method, message).await?;
        client.unary(request, path, Dynamic(method.output())).await
    }

    /// Opens a stream.
    pub async fn open(
        &self,
        method: &MethodDescriptor,
        message: DynamicMessage,
    ) -> Result<Streaming<DynamicMessage>, Status> {
        let (mut client, request, path) = self.prepare(method, message).await?;
        Ok(client.server_streaming(request, path, Dynamic(method.output())).await?.into_inner())
    }

    async fn prepare(
        &self,
        method: &MethodDescriptor,
        message: DynamicMessage,
    ) -> Result<(Client<Channel>, Request<DynamicMessage>, PathAndQuery), Status> {
        let mut client = Client::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let mut request = Request::new(message);
        let principal = self.principal.as_ref().map(|principal| ("x-original-principal", principal.clone()));
        let client_address = self.client.as_ref().map(|client| ("x-forwarded-for", client.clone()));
        let token = self.token.as_ref().map(|token| ("authorization", format!("Bearer {token}")));
        let key = self.key.as_ref().map(|key| ("idempotency-key", key.clone()));
        let enrolled = self.enrolled.as_ref().map(|(key, token, url)| {
            let proof = key.dpop("POST", &format!("{url}{path}"), token);
            [("authorization", format!("DPoP {token}")), ("dpop", proof)]
        });
        for (name, value) in enrolled.into_iter().flatten() {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        for (name, value) in [token, principal, client_address, key].into_iter().flatten() {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        Ok((client, request, PathAndQuery::try_from(path).unwrap()))
    }
}

pub fn descriptors() -> DescriptorPool {
    DescriptorPool::decode(tenantry::proto::DESCRIPTORS).unwrap()
}

/// Every method of our own services.
pub fn methods() -> Vec<MethodDescriptor> {
    let pool = descriptors();
    let services = pool.services().filter(|service| service.full_name().starts_with("tenantry."));
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// A codec that encodes any message and decodes a given type.
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Encode;
    type Decoder = Decode;

    fn encoder(&mut self) -> Encode {
        Encode
    }

    fn decoder(&mut self) -> Decode {
        Decode(self.0.clone())
    }
}

struct Encode;

impl Encoder for Encode {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

struct Decode(MessageDescriptor);

impl Decoder for Decode {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.clone(), from).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
