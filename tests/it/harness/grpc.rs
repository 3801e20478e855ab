//! A gRPC client that knows the services only from the descriptors.

use std::net::SocketAddr;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::{
    Request, Status,
    client::Grpc as Client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

#[derive(Clone)]
pub struct Grpc {
    channel: Channel,
    token: Option<String>,
    principal: Option<String>,
    client: Option<String>,
}

impl Grpc {
    /// A client without credentials, which connects with its first call.
    pub fn new(address: SocketAddr) -> Self {
        Self::over(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy())
    }

    /// A client without credentials over another channel.
    pub fn over(channel: Channel) -> Self {
        Self { channel, token: None, principal: None, client: None }
    }

    /// The same client with a bearer token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
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

    /// Calls a unary method.
    pub async fn call(&self, method: &MethodDescriptor, message: DynamicMessage) -> Result<DynamicMessage, Status> {
        let mut client = Client::new(self.channel.clone());
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        if let Some(principal) = &self.principal {
            request.metadata_mut().insert("x-original-principal", principal.parse().unwrap());
        }
        if let Some(client) = &self.client {
            request.metadata_mut().insert("x-forwarded-for", client.parse().unwrap());
        }
        let answer = client.unary(request, PathAndQuery::try_from(path).unwrap(), Dynamic(method.output())).await?;
        Ok(answer.into_inner())
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
