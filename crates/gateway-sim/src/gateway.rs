//! One gateway: its stream, what it verifies, and what it says about it.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Result;
use bundle_verify::{Kind, Refusal, Shelf};
use tenantry_proto::edge::v1::{
    Ack, Held, Material, Nack, StreamRequest, Subscribe, Update,
    gateway_stream_service_client::GatewayStreamServiceClient, stream_request, stream_response,
};
use tokio::{sync::mpsc, time::sleep};
use tonic::{Code, Request, Status, transport::Channel};

use crate::{Enrolled, Progress};

const METHOD: &str = "/tenantry.edge.v1.GatewayStreamService/Stream";
/// The longest delay before a gateway connects again after an error.
const BACKOFF: Duration = Duration::from_secs(2);
/// By how many seconds the time of a proof may differ from that of the server, with a reserve for the way.
const TOLERANCE: u64 = 30;

/// A gateway, with everything that it has verified.
#[derive(Debug)]
pub struct Gateway {
    /// Its number in the run.
    pub number: usize,
    /// Its identity.
    pub enrolled: Enrolled,
    shelf: Shelf,
    held: Vec<Held>,
}

/// Why a gateway stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The server refused its credential.
    Refused(String),
}

impl Gateway {
    /// A gateway that has nothing yet but its first trust anchors.
    pub fn new(number: usize, enrolled: Enrolled) -> Self {
        Self { number, enrolled, shelf: Shelf::default(), held: Vec::new() }
    }

    /// Holds the stream of the gateway, over this channel: again after each interruption, with what it has, until the server refuses its
    /// credential. `proven_url` is the URL of the server if the calls need a proof of possession; with a certificate they need none.
    pub async fn follow(&mut self, channel: Channel, proven_url: Option<&str>, progress: &Arc<Progress>) -> End {
        loop {
            let wait = match self.stream(channel.clone(), proven_url, progress).await {
                Ok(wait) => wait,
                // The proof may have had another time than that of the server.
                Err(status) if proven_url.is_some() && self.learns_time(&status) => Duration::ZERO,
                Err(status) if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) => {
                    progress.ended(&self.enrolled.id, &status);
                    return End::Refused(status.message().to_owned());
                }
                Err(_) => BACKOFF.mul_f64(rand::random()),
            };
            sleep(wait).await;
        }
    }

    /// One stream. Returns how long to wait before the next one.
    async fn stream(
        &mut self,
        channel: Channel,
        proven_url: Option<&str>,
        progress: &Progress,
    ) -> Result<Duration, Status> {
        let (reports, outgoing) = mpsc::channel(16);
        let subscribe = Subscribe { materials: Vec::new(), have: self.have() };
        let _ = reports.send(request(stream_request::Message::Subscribe(subscribe))).await;
        let outgoing = futures::stream::unfold(outgoing, |mut outgoing| async move {
            outgoing.recv().await.map(|message| (message, outgoing))
        });
        let mut call = Request::new(outgoing);
        if let Some(url) = proven_url {
            self.enrolled.prove(&mut call, url, METHOD)?;
        }
        let mut incoming = GatewayStreamServiceClient::new(channel).stream(call).await?.into_inner();
        progress.opened();
        let mut wait = Duration::ZERO;
        loop {
            let message = match incoming.message().await {
                Ok(Some(message)) => message.message,
                Ok(None) => return Ok(wait),
                Err(_) if wait > Duration::ZERO => return Ok(wait),
                Err(status) => return Err(status),
            };
            match message {
                Some(stream_response::Message::Update(update)) => {
                    let report = self.apply(&update, progress);
                    let _ = reports.send(request(report)).await;
                }
                Some(stream_response::Message::Drain(drain)) => {
                    wait = Duration::from_millis(drain.reconnect_after_ms.try_into().unwrap_or_default());
                    progress.drained(wait);
                }
                Some(stream_response::Message::KillList(list)) => {
                    let material = Material::KillList;
                    progress.applied(self.number, material, list.number, &list.session_ids.join(" "));
                    let ack = Ack { material: material.into(), number: list.number };
                    let _ = reports.send(request(stream_request::Message::Ack(ack))).await;
                }
                Some(stream_response::Message::Bookmark(_)) | None => {}
            }
        }
    }

    /// Whether a call was refused by a server with another time than the one before, which is noted.
    fn learns_time(&mut self, status: &Status) -> bool {
        let date = status.metadata().get("date").and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(at) = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok()) else { return false };
        let ahead = i64::try_from(at.as_secs()).unwrap_or(i64::MAX).saturating_sub(self.enrolled.clock.unix());
        let differs = status.code() == Code::Unauthenticated && ahead.abs_diff(self.enrolled.server_ahead) > TOLERANCE;
        if differs {
            self.enrolled.server_ahead = ahead;
        }
        differs
    }

    fn have(&self) -> Vec<Held> {
        let anchors = &self.enrolled.anchors;
        let number = anchors.sequence.try_into().unwrap_or_default();
        let anchors = Held { material: Material::TrustAnchors.into(), number, digest: String::new() };
        std::iter::once(anchors).chain(self.held.iter().cloned()).collect()
    }

    /// Verifies an update, and keeps what was there before if it is refused.
    fn apply(&mut self, update: &Update, progress: &Progress) -> stream_request::Message {
        let (kind, number) = (update.material, update.number);
        let material = update.material();
        match self.accept(material, &update.envelope) {
            Ok(digest) => {
                self.held.retain(|held| held.material != kind);
                if material != Material::TrustAnchors {
                    self.held.push(Held { material: kind, number, digest: digest.clone() });
                }
                progress.applied(self.number, material, number, &digest);
                stream_request::Message::Ack(Ack { material: kind, number })
            }
            Err(refusal) => {
                progress.refused(&self.enrolled.id, material, refusal.code());
                let code = refusal.code().to_owned();
                stream_request::Message::Nack(Nack { material: kind, number, code, detail: String::new() })
            }
        }
    }

    /// Verifies an envelope, and returns the digest of its payload.
    fn accept(&mut self, material: Material, envelope: &[u8]) -> Result<String, Refusal> {
        let now = self.enrolled.clock.unix();
        let kind = match material {
            Material::TrustAnchors => {
                self.enrolled.anchors = self.enrolled.anchors.next(envelope)?;
                return Ok(String::new());
            }
            Material::GatewayPolicy => Kind::GatewayPolicy,
            Material::DeploymentConfig => Kind::DeploymentConfig,
            Material::SpcBundle => Kind::SpcBundle,
            // Not signed.
            Material::KillList => return Err(Refusal::WrongType),
            Material::Unspecified => return Err(Refusal::WrongType),
        };
        Ok(self.shelf.accept(&self.enrolled.anchors, kind, envelope, now)?.digest.clone())
    }
}

fn request(message: stream_request::Message) -> StreamRequest {
    StreamRequest { message: Some(message) }
}
