//! `GatewayStreamService`: the stream of a gateway.

use std::future::ready;

use futures::{Stream, StreamExt};
use tonic::Streaming;
use uuid::Uuid;

use crate::{
    api::{Deps, handlers::edge::v1::gateway_stream_service::GatewayStreamService},
    base::{Basis, Cx, Error, IdKind, Result, error::Reason},
    edge::{Follower, GatewayStream, Held, Message, Report, Topic},
    policy::canary,
    proto::edge::v1::{
        Bookmark, Drain, KillList, Material, StreamRequest, StreamResponse, Subscribe, Update, stream_request,
        stream_response,
    },
    tenants,
};

/// What a gateway gets that names nothing.
const ALL: [Material; 5] = [
    Material::TrustAnchors,
    Material::GatewayPolicy,
    Material::DeploymentConfig,
    Material::SpcBundle,
    Material::KillList,
];
/// The length of `sha256:` and 64 hex digits.
const MAX_DIGEST: usize = 71;
/// Maximum lengths in a refusal, in characters.
const MAX_CODE: usize = 64;
const MAX_DETAIL: usize = 500;

pub struct GatewayStreams {
    pub(super) deps: Deps,
}

impl GatewayStreamService for GatewayStreams {
    async fn stream(
        &self,
        cx: &Cx,
        requests: Streaming<StreamRequest>,
    ) -> Result<impl Stream<Item = Result<StreamResponse>> + Send + 'static> {
        let scope = tenants::reach(cx, &self.deps.store, cx.tenant()?).await?;
        let Basis::Gateway { id, .. } = cx.caller.basis else {
            return Err(Error::internal("a stream of gateways was opened by another caller"));
        };
        let topics = Topics { gateway: id, bucket: canary::bucket(&IdKind::Gateway.show(id)) };
        // A gateway that is gone reports nothing more.
        let heard = requests.take_while(|request| ready(!request.as_ref().is_err_and(is_gone)));
        let reports = heard.map(move |request| match request {
            Ok(request) => topics.report(request),
            Err(_) => Err(invalid("message", "a message is not valid protobuf")),
        });
        let streams = &self.deps.streams;
        let lost = streams.standing.rights_lost(cx);
        let follower = Follower { scope, gateway: id };
        let messages = GatewayStream::messages(cx, (&streams.board, &streams.reports), follower, reports, lost)?;
        Ok(messages.map(|message| message.map(response)))
    }
}

/// The topics of a gateway.
#[derive(Clone, Copy)]
struct Topics {
    gateway: Uuid,
    bucket: u32,
}

impl Topics {
    fn of(self, material: i32) -> Result<Topic> {
        match Material::try_from(material) {
            Ok(Material::TrustAnchors) => Ok(Topic::TrustAnchors),
            Ok(Material::GatewayPolicy) => Ok(Topic::GatewayPolicy { bucket: self.bucket }),
            Ok(Material::DeploymentConfig) => Ok(Topic::DeploymentConfig { gateway: self.gateway }),
            Ok(Material::SpcBundle) => Ok(Topic::SpcBundle),
            Ok(Material::KillList) => Ok(Topic::KillList { gateway: self.gateway }),
            Ok(Material::Unspecified) | Err(_) => Err(invalid("material", "the material is not known")),
        }
    }

    fn report(self, request: StreamRequest) -> Result<Report> {
        match request.message {
            Some(stream_request::Message::Subscribe(subscribe)) => self.subscribe(subscribe),
            Some(stream_request::Message::Ack(ack)) => {
                Ok(Report::Applied { topic: self.of(ack.material)?, number: ack.number })
            }
            Some(stream_request::Message::Nack(nack)) => {
                if nack.code.chars().count() > MAX_CODE || nack.detail.chars().count() > MAX_DETAIL {
                    return Err(invalid("nack", "code has at most 64 characters, detail at most 500"));
                }
                let topic = self.of(nack.material)?;
                Ok(Report::Refused { topic, number: nack.number, code: nack.code, detail: nack.detail })
            }
            None => Err(invalid("message", "the message is empty or not known")),
        }
    }

    fn subscribe(self, subscribe: Subscribe) -> Result<Report> {
        // First: what follows compares each with each.
        if subscribe.materials.len().max(subscribe.have.len()) > ALL.len() {
            return Err(invalid("subscribe", "materials and have name each material at most once"));
        }
        if subscribe.have.iter().any(|held| held.digest.len() > MAX_DIGEST) {
            return Err(invalid("subscribe", "a digest has at most 71 characters"));
        }
        let all = ALL.map(i32::from).to_vec();
        let wanted = if subscribe.materials.is_empty() { all } else { subscribe.materials };
        let mut topics = Vec::new();
        for material in wanted {
            let held = subscribe.have.iter().find(|held| held.material == material);
            let held = held.map(|held| Held { number: held.number, digest: held.digest.clone() });
            topics.push((self.of(material)?, held.unwrap_or_default()));
        }
        Ok(Report::Subscribe(topics))
    }
}

fn material(topic: Topic) -> Material {
    match topic {
        Topic::TrustAnchors => Material::TrustAnchors,
        Topic::GatewayPolicy { .. } => Material::GatewayPolicy,
        Topic::DeploymentConfig { .. } => Material::DeploymentConfig,
        Topic::SpcBundle => Material::SpcBundle,
        Topic::KillList { .. } => Material::KillList,
        Topic::DevicePolicy { .. } | Topic::Manifest { .. } | Topic::Directory { .. } => Material::Unspecified,
    }
}

fn response(message: Message) -> StreamResponse {
    let message = match message {
        Message::Update { topic: Topic::KillList { .. }, material } => {
            let lines = String::from_utf8_lossy(&material.envelope);
            let session_ids = lines.lines().map(str::to_owned).collect();
            stream_response::Message::KillList(KillList { number: material.number, session_ids })
        }
        Message::Update { topic, material: state } => stream_response::Message::Update(Update {
            material: material(topic).into(),
            number: state.number,
            digest: state.digest.to_string(),
            envelope: state.envelope.to_vec(),
        }),
        Message::Bookmark => stream_response::Message::Bookmark(Bookmark {}),
        Message::Drain { reconnect_after } => {
            let reconnect_after_ms = i64::try_from(reconnect_after.as_millis()).unwrap_or(i64::MAX);
            stream_response::Message::Drain(Drain { reconnect_after_ms })
        }
    };
    StreamResponse { message: Some(message) }
}

fn invalid(field: &'static str, text: &'static str) -> Error {
    Error::invalid(Reason::InvalidArgument, field, text)
}

/// Whether a stream of requests was cut off, as opposed to a message that cannot be read.
fn is_gone(status: &tonic::Status) -> bool {
    status.code() != tonic::Code::InvalidArgument
}
