//! `grpc.reflection`, v1 and v1alpha: the descriptors of the services for tools.
//!
//! The rules are those of `third_party/proto/grpc/reflection/v1/reflection.proto`. A query without a result gets an
//! `error_response`, and the stream continues.

mod alpha;
mod index;

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use self::{alpha::Alpha, index::Index};
use super::{descriptors::File, visitors::Visitors};
use crate::{
    base::{Drain, Kind},
    proto::grpc::reflection::v1::{
        ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
        ServerReflectionResponse, ServiceResponse,
        server_reflection_request::MessageRequest,
        server_reflection_response::MessageResponse,
        server_reflection_server::{ServerReflection, ServerReflectionServer},
    },
};

/// The services of both versions, for these files. Their streams end with the drain.
pub(super) fn servers(
    files: &[File],
    drain: &Drain,
    visitors: Visitors,
) -> (ServerReflectionServer<Reflection>, Alpha<ServerReflectionServer<Reflection>>) {
    let reflection = Reflection { index: Arc::new(Index::of(files)), drain: drain.clone(), visitors };
    let server = ServerReflectionServer::new(reflection);
    (server.clone(), Alpha(server))
}

pub(super) struct Reflection {
    index: Arc<Index>,
    drain: Drain,
    visitors: Visitors,
}

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream = Pin<Box<dyn Stream<Item = Result<ServerReflectionResponse, Status>> + Send>>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let (index, visit) = (self.index.clone(), self.visitors.enter(request.extensions())?);
        let answers = request.into_inner().map(move |question| question.map(|question| answer(&index, question)));
        Ok(Response::new(Box::pin(self.drain.end(visit.bound(answers)))))
    }
}

fn answer(index: &Index, question: ServerReflectionRequest) -> ServerReflectionResponse {
    let answer = match &question.message_request {
        Some(asked) => find(index, asked),
        None => Err((Kind::InvalidArgument, "the request asks for nothing".to_owned())),
    };
    let answer = answer.unwrap_or_else(|(kind, error_message)| {
        MessageResponse::ErrorResponse(ErrorResponse { error_code: kind as i32, error_message })
    });
    ServerReflectionResponse {
        valid_host: question.host.clone(),
        original_request: Some(question),
        message_response: Some(answer),
    }
}

fn find(index: &Index, asked: &MessageRequest) -> Result<MessageResponse, (Kind, String)> {
    let missing = |what: String| (Kind::NotFound, format!("there is no {what}"));
    let file = |file: Option<&Bytes>, what: &dyn Fn() -> String| {
        let file = file.ok_or_else(|| missing(what()))?;
        let file_descriptor_proto = vec![file.to_vec()];
        Ok(MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto }))
    };
    match asked {
        MessageRequest::FileByFilename(name) => file(index.by_name(name), &|| format!("file {name}")),
        MessageRequest::FileContainingSymbol(symbol) => file(index.by_symbol(symbol), &|| format!("symbol {symbol}")),
        MessageRequest::FileContainingExtension(extension) => {
            let (message, number) = (&extension.containing_type, extension.extension_number);
            file(index.by_extension(message, number), &|| format!("extension {number} of {message}"))
        }
        MessageRequest::AllExtensionNumbersOfType(message) => {
            let numbers = index.extension_numbers(message).ok_or_else(|| missing(format!("message {message}")))?;
            Ok(MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                base_type_name: message.clone(),
                extension_number: numbers,
            }))
        }
        MessageRequest::ListServices(_) => {
            let service = index.services().iter().map(|name| ServiceResponse { name: name.clone() }).collect();
            Ok(MessageResponse::ListServicesResponse(ListServiceResponse { service }))
        }
    }
}
