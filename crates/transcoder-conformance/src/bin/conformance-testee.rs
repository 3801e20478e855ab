//! The testee of protobuf's conformance runner: the JSON codec, without options and services.
//!
//! The runner starts the program and talks to it over standard input and output: each request and response is a message
//! of `conformance.proto` after its length, four bytes in little-endian order. `scripts/protobuf-conformance` runs it.

use std::io::{self, ErrorKind, Read, Write};

use prost::Message;
use transcoder::json::{JsonOptions, Msg, Types, decode, encode};
use transcoder_conformance::google::{
    conformance::{
        ConformanceRequest, ConformanceResponse, FailureSet, TestCategory, WireFormat, conformance_request::Payload,
        conformance_response::Result as Told,
    },
    protobuf_test_messages::proto3::{TYPES, TestAllTypesProto3},
};

/// Plain proto3 JSON, as [`JsonOptions::PROTO3`] has it.
const HABITS: JsonOptions = JsonOptions { types: Types(&[TYPES]), ..JsonOptions::PROTO3 };
/// The message of the proto3 requests.
const PROTO3: &str = "protobuf_test_messages.proto3.TestAllTypesProto3";
/// The first request: the list of known failures.
const FAILURES: &str = "conformance.FailureSet";

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    while let Some(question) = next(&mut input)? {
        let answer = ConformanceResponse { result: Some(answer(question)) }.encode_to_vec();
        let length = u32::try_from(answer.len()).map_err(io::Error::other)?;
        output.write_all(&length.to_le_bytes())?;
        output.write_all(&answer)?;
        output.flush()?;
    }
    Ok(())
}

/// The next request; `None` at the end of the input.
fn next(input: &mut impl Read) -> io::Result<Option<ConformanceRequest>> {
    let mut length = [0; 4];
    match input.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut bytes = Vec::new();
    let length = u64::from(u32::from_le_bytes(length));
    if input.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    ConformanceRequest::decode(&*bytes).map(Some).map_err(io::Error::other)
}

fn answer(question: ConformanceRequest) -> Told {
    // There are no known failures.
    if question.message_type == FAILURES {
        return Told::ProtobufPayload(FailureSet::default().encode_to_vec());
    }
    if question.message_type != PROTO3 {
        return Told::Skipped("only the messages of proto3 are known here".to_owned());
    }
    let options = JsonOptions {
        ignore_unknown: question.test_category() == TestCategory::JsonIgnoreUnknownParsingTest,
        ..HABITS
    };
    let wanted = question.requested_output_format();
    let read = match (question.payload, wanted) {
        (Some(Payload::JsonPayload(text)), WireFormat::Json | WireFormat::Protobuf) => {
            decode::<Msg<TestAllTypesProto3>>(text.as_bytes(), &options).map_err(|error| error.to_string())
        }
        (Some(Payload::ProtobufPayload(bytes)), WireFormat::Json) => {
            TestAllTypesProto3::decode(&*bytes).map_err(|error| error.to_string())
        }
        _ => return Told::Skipped("the JSON codec alone is tested here".to_owned()),
    };
    match (read, wanted) {
        (Err(why), _) => Told::ParseError(why),
        (Ok(message), WireFormat::Json) => written(&message, &options),
        (Ok(message), _) => Told::ProtobufPayload(message.encode_to_vec()),
    }
}

fn written(message: &TestAllTypesProto3, options: &JsonOptions) -> Told {
    let json = encode::<Msg<TestAllTypesProto3>>(message, options).map_err(|why| why.to_string());
    match json.and_then(|json| String::from_utf8(json).map_err(|why| why.to_string())) {
        Ok(json) => Told::JsonPayload(json),
        Err(why) => Told::SerializeError(why),
    }
}
