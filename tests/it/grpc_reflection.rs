//! Conformance to the gRPC reflection protocol: both versions, extensions, error details, and errors that do
//! not end the stream.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use prost::Message as _;
use prost_types::FileDescriptorProto;
use tenantry::proto::grpc::reflection::v1::{
    ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse,
    server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest as Ask,
    server_reflection_response::MessageResponse as Answer,
};
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};

use crate::harness::{PATIENCE, server::Server};

const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const V1ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

fn channel(server: &Server) -> Channel {
    Endpoint::from_shared(format!("http://{}", server.address())).unwrap().connect_lazy()
}

/// The responses to a list of requests on one stream. Both versions use the same messages, so one client serves
/// for both.
async fn ask(server: &Server, path: &'static str, questions: Vec<Ask>) -> Vec<ServerReflectionResponse> {
    let questions = questions
        .into_iter()
        .map(|ask| ServerReflectionRequest { host: "here".to_owned(), message_request: Some(ask) });
    let mut client = tonic::client::Grpc::new(channel(server));
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::default();
    let request = tonic::Request::new(stream::iter(questions));
    let answers = client.streaming(request, path.parse().unwrap(), codec).await.unwrap().into_inner();
    tokio::time::timeout(PATIENCE, answers.map(Result::unwrap).collect()).await.unwrap()
}

async fn ask_one(server: &Server, question: Ask) -> Answer {
    let mut answers = ask(server, V1, vec![question]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0).message_response.unwrap()
}

fn symbol(name: &str) -> Ask {
    Ask::FileContainingSymbol(name.to_owned())
}

/// The files in a response.
fn files(answer: Answer) -> Vec<FileDescriptorProto> {
    let Answer::FileDescriptorResponse(files) = answer else { panic!("no file: {answer:?}") };
    files.file_descriptor_proto.iter().map(|file| FileDescriptorProto::decode(&**file).unwrap()).collect()
}

/// The code of an error response.
fn error(answer: &Answer) -> i32 {
    let Answer::ErrorResponse(error) = answer else { panic!("no error: {answer:?}") };
    assert!(!error.error_message.is_empty());
    error.error_code
}

fn services(answer: Answer) -> BTreeSet<String> {
    let Answer::ListServicesResponse(list) = answer else { panic!("no list: {answer:?}") };
    list.service.into_iter().map(|service| service.name).collect()
}

#[tokio::test]
async fn an_unanswerable_request_gets_an_error_and_the_stream_continues() {
    let server = Server::dev().await;
    for path in [V1, V1ALPHA] {
        let known = symbol("tenantry.messaging.v2.TenantService");
        let unknown = [
            symbol("no.Such"),
            symbol(""),
            Ask::FileByFilename("no/such.proto".to_owned()),
            Ask::AllExtensionNumbersOfType("no.Such".to_owned()),
            // A service and an enum are not messages.
            Ask::AllExtensionNumbersOfType("tenantry.messaging.v2.TenantService".to_owned()),
            Ask::AllExtensionNumbersOfType("tenantry.errors.v1.Reason".to_owned()),
            Ask::FileContainingExtension(ExtensionRequest {
                containing_type: "google.protobuf.MethodOptions".to_owned(),
                extension_number: 7,
            }),
            Ask::FileContainingExtension(ExtensionRequest {
                containing_type: "no.Such".to_owned(),
                extension_number: 72_295_728,
            }),
        ];
        let questions: Vec<_> = unknown.iter().flat_map(|unknown| [unknown.clone(), known.clone()]).collect();
        let answers = ask(&server, path, questions.clone()).await;
        assert_eq!(answers.len(), questions.len());
        for (pair, question) in answers.chunks(2).zip(&unknown) {
            assert_eq!(error(pair[0].message_response.as_ref().unwrap()), 5, "{question:?}");
            let asked = pair[0].original_request.as_ref().unwrap();
            assert_eq!((asked.message_request.as_ref(), pair[0].valid_host.as_str()), (Some(question), "here"));
            let found = files(pair[1].message_response.clone().unwrap());
            assert_eq!(found[0].name(), "tenantry/messaging/v2/tenant_service.proto");
        }
    }
}

#[tokio::test]
async fn an_empty_request_gets_an_error_too() {
    let server = Server::dev().await;
    let mut client = ServerReflectionClient::new(channel(&server));
    let nothing = ServerReflectionRequest::default();
    let list = ServerReflectionRequest { message_request: Some(Ask::ListServices(String::new())), ..nothing.clone() };
    let answers = client.server_reflection_info(stream::iter([nothing, list])).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.unwrap().message_response.unwrap()).collect().await;
    assert_eq!((answers.len(), error(&answers[0])), (2, 3));
    assert!(!services(answers[1].clone()).is_empty());
}

#[tokio::test]
async fn both_versions_list_the_same_services_and_themselves() {
    let server = Server::dev().await;
    let mut lists = Vec::new();
    for path in [V1, V1ALPHA] {
        let mut answers = ask(&server, path, vec![Ask::ListServices("*".to_owned())]).await;
        lists.push(services(answers.remove(0).message_response.unwrap()));
    }
    assert_eq!(lists[0], lists[1]);
    for name in [
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.health.v1.Health",
        "tenantry.messaging.v2.TenantService",
    ] {
        assert!(lists[0].contains(name), "{name}: {lists:?}");
    }
}

#[tokio::test]
async fn extensions_are_found_by_number_name_and_extended_type() {
    let server = Server::dev().await;
    let numbers = async |message: &str| match ask_one(&server, Ask::AllExtensionNumbersOfType(message.to_owned())).await
    {
        Answer::AllExtensionNumbersResponse(answer) => {
            assert_eq!(answer.base_type_name, message);
            answer.extension_number
        }
        other => panic!("{message}: {other:?}"),
    };
    let of_methods = numbers("google.protobuf.MethodOptions").await;
    // `google.api.http`, and our own options.
    assert!(of_methods.contains(&72_295_728) && of_methods.len() > 1, "{of_methods:?}");
    assert!(!numbers("google.protobuf.FieldOptions").await.is_empty());
    assert!(numbers("google.rpc.ErrorInfo").await.is_empty(), "the message has no extensions");

    for number in of_methods {
        let question =
            ExtensionRequest { containing_type: "google.protobuf.MethodOptions".to_owned(), extension_number: number };
        let file = files(ask_one(&server, Ask::FileContainingExtension(question)).await).remove(0);
        let extension = file.extension.iter().find(|extension| extension.number() == number).unwrap();
        let name = format!("{}.{}", file.package(), extension.name());
        let by_name = files(ask_one(&server, symbol(&name)).await).remove(0);
        assert_eq!(by_name.name(), file.name(), "{name}");
    }
    assert_eq!(files(ask_one(&server, symbol("google.api.http")).await)[0].name(), "google/api/annotations.proto");
}

#[tokio::test]
async fn the_details_of_errors_are_described() {
    let server = Server::dev().await;
    for name in ["ErrorInfo", "BadRequest", "BadRequest.FieldViolation", "RetryInfo", "Status", "QuotaFailure", "Help"]
    {
        let found = files(ask_one(&server, symbol(&format!("google.rpc.{name}"))).await);
        assert!(found[0].name().starts_with("google/rpc/"), "{name}: {}", found[0].name());
    }
}

#[tokio::test]
async fn every_symbol_and_every_import_of_every_service_is_found() {
    let server = Server::dev().await;
    let mut open: Vec<_> =
        services(ask_one(&server, Ask::ListServices(String::new())).await).iter().map(|s| symbol(s)).collect();
    let (mut seen, mut symbols) = (BTreeSet::new(), BTreeSet::new());
    while !open.is_empty() {
        let questions = std::mem::take(&mut open);
        for answer in ask(&server, V1, questions).await {
            for file in files(answer.message_response.unwrap()) {
                if !seen.insert(file.name().to_owned()) {
                    continue;
                }
                open.extend(file.dependency.iter().map(|name| Ask::FileByFilename(name.clone())));
                for service in &file.service {
                    let methods = service.method.iter().map(|method| format!("{}.{}", service.name(), method.name()));
                    symbols
                        .extend(methods.map(|method| (format!("{}.{method}", file.package()), file.name().to_owned())));
                }
                for item in &file.enum_type {
                    // Enum values are siblings of their enum (the protobuf language, "Enumerations").
                    let value = item.value[0].name();
                    symbols.insert((format!("{}.{value}", file.package()), file.name().to_owned()));
                }
                for message in &file.message_type {
                    let fields = message.field.iter().map(|field| format!("{}.{}", message.name(), field.name()));
                    symbols.extend(fields.map(|field| (format!("{}.{field}", file.package()), file.name().to_owned())));
                }
            }
        }
    }
    assert!(seen.len() > 20 && symbols.len() > 200, "{} files, {} symbols", seen.len(), symbols.len());
    let questions = symbols.iter().map(|(name, _)| symbol(name)).collect();
    for (answer, (name, file)) in ask(&server, V1, questions).await.into_iter().zip(&symbols) {
        assert_eq!(files(answer.message_response.unwrap())[0].name(), file, "{name}");
    }
}

#[tokio::test]
async fn an_open_reflection_stream_ends_with_a_status_when_the_server_stops() {
    let mut server = Server::dev().await;
    let (questions, asked) = mpsc::unbounded_channel();
    let mut client = ServerReflectionClient::new(channel(&server));
    let asked = tokio_stream::wrappers::UnboundedReceiverStream::new(asked);
    questions.send(ServerReflectionRequest { message_request: Some(symbol("no.Such")), ..Default::default() }).unwrap();
    let mut answers = client.server_reflection_info(asked).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    server.terminate().await;
    let end = tokio::time::timeout(PATIENCE, answers.message()).await.expect("the stream ends").unwrap_err();
    assert_eq!(end.code(), tonic::Code::Unavailable, "{end}");
    assert!(server.ended().await.success());
    drop(questions);
}
