//! Streams without the reference client.

use futures::StreamExt;
use tenantry_gateway_sim::Enrolled;
use tenantry_proto::edge::v1::{
    Held, Material, StreamRequest, StreamResponse, Subscribe, Update,
    gateway_stream_service_client::GatewayStreamServiceClient, stream_request, stream_response,
};
use tokio::{sync::mpsc, time::timeout};
use tonic::{Request, Status, Streaming, transport::Channel};

use super::plan;
use crate::harness::PATIENCE;

/// A stream whose messages the test reads itself.
pub(super) struct Raw {
    pub reports: mpsc::Sender<StreamRequest>,
    incoming: Streaming<StreamResponse>,
}

impl Raw {
    pub async fn open(url: &str, enrolled: &Enrolled) -> Self {
        Self::over(plan(url).server.channel(None).unwrap(), url, enrolled).await
    }

    /// Over a connection to the server at this URL.
    pub async fn over(channel: Channel, url: &str, enrolled: &Enrolled) -> Self {
        Self::try_over(channel, url, enrolled).await.unwrap()
    }

    /// The same; an error if the call is refused.
    pub async fn try_over(channel: Channel, url: &str, enrolled: &Enrolled) -> Result<Self, Status> {
        let (reports, outgoing) = mpsc::channel(8);
        let outgoing = futures::stream::unfold(outgoing, |mut outgoing| async move {
            outgoing.recv().await.map(|message| (message, outgoing))
        });
        let mut call = Request::new(outgoing);
        let method = "/tenantry.edge.v1.GatewayStreamService/Stream";
        let proof = enrolled.key.dpop("POST", &format!("{url}{method}"), &enrolled.device_token);
        call.metadata_mut().insert("authorization", format!("DPoP {}", enrolled.device_token).parse().unwrap());
        call.metadata_mut().insert("dpop", proof.parse().unwrap());
        let incoming = GatewayStreamServiceClient::new(channel).stream(call).await?.into_inner();
        Ok(Self { reports, incoming })
    }

    pub async fn say(&self, message: stream_request::Message) {
        self.reports.send(StreamRequest { message: Some(message) }).await.unwrap();
    }

    pub async fn subscribe(&self, materials: &[Material], have: Vec<Held>) {
        let materials = materials.iter().copied().map(i32::from).collect();
        self.say(stream_request::Message::Subscribe(Subscribe { materials, have })).await;
    }

    pub async fn update(&mut self) -> Update {
        self.try_update().await.unwrap()
    }

    /// The next update; an error if the stream ends.
    pub async fn try_update(&mut self) -> Result<Update, Status> {
        loop {
            match self.next().await?.message {
                Some(stream_response::Message::Update(update)) => return Ok(update),
                Some(stream_response::Message::Bookmark(_)) => {}
                other => panic!("not an update: {other:?}"),
            }
        }
    }

    pub async fn next(&mut self) -> Result<StreamResponse, Status> {
        timeout(PATIENCE, self.incoming.next()).await.expect("a message").expect("no end")
    }
}
