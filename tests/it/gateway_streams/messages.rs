//! The messages of a stream, one by one.

use bundle_verify::{Kind, Shelf};
use futures::StreamExt;
use tenantry_gateway_sim::{Enrolled, Selected};
use tenantry_proto::edge::v1::{
    Ack, Held, Material, Nack, StreamRequest, StreamResponse, Subscribe, Update,
    gateway_stream_service_client::GatewayStreamServiceClient, stream_request, stream_response,
};
use time::OffsetDateTime;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Code, Request, Status, Streaming};

use super::{plan, publisher, serve, token, url};
use crate::harness::PATIENCE;

/// A stream whose messages the test reads itself.
pub(super) struct Raw {
    reports: mpsc::Sender<StreamRequest>,
    incoming: Streaming<StreamResponse>,
}

impl Raw {
    pub(super) async fn open(url: &str, enrolled: &Enrolled) -> Self {
        let (reports, outgoing) = mpsc::channel(8);
        let outgoing = futures::stream::unfold(outgoing, |mut outgoing| async move {
            outgoing.recv().await.map(|message| (message, outgoing))
        });
        let mut call = Request::new(outgoing);
        let method = "/tenantry.edge.v1.GatewayStreamService/Stream";
        let proof = enrolled.key.dpop("POST", &format!("{url}{method}"), &enrolled.device_token);
        call.metadata_mut().insert("authorization", format!("DPoP {}", enrolled.device_token).parse().unwrap());
        call.metadata_mut().insert("dpop", proof.parse().unwrap());
        let channel = plan(url).server.channel(None).unwrap();
        let incoming = GatewayStreamServiceClient::new(channel).stream(call).await.unwrap().into_inner();
        Self { reports, incoming }
    }

    pub(super) async fn say(&self, message: stream_request::Message) {
        self.reports.send(StreamRequest { message: Some(message) }).await.unwrap();
    }

    pub(super) async fn subscribe(&self, materials: &[Material], have: Vec<Held>) {
        let materials = materials.iter().copied().map(i32::from).collect();
        self.say(stream_request::Message::Subscribe(Subscribe { materials, have })).await;
    }

    pub(super) async fn update(&mut self) -> Update {
        loop {
            match self.next().await.unwrap().message {
                Some(stream_response::Message::Update(update)) => return update,
                Some(stream_response::Message::Bookmark(_)) => {}
                other => panic!("not an update: {other:?}"),
            }
        }
    }

    async fn next(&mut self) -> Result<StreamResponse, Status> {
        timeout(PATIENCE, self.incoming.next()).await.expect("a message").expect("no end")
    }
}

both_databases! {
    async fn a_gateway_gets_what_it_does_not_have(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let url = url(&server);
        let token = token(&server, &pool, 1).await;
        let enrolled = plan(&url).enroll(&token, 1).await.unwrap().remove(0);
        let publisher = publisher(&server, &url);
        let (first, _) = publisher.publish(Selected::Stable, 1).await.unwrap();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut shelf = Shelf::default();

        // Without anything: the anchors first, which verify the rest.
        let mut raw = Raw::open(&url, &enrolled).await;
        raw.subscribe(&[Material::GatewayPolicy, Material::TrustAnchors], Vec::new()).await;
        let anchors = raw.update().await;
        assert_eq!((anchors.material(), anchors.number), (Material::TrustAnchors, 1));
        let policy = raw.update().await;
        assert_eq!((policy.material(), policy.number), (Material::GatewayPolicy, first));
        let accepted = shelf.accept(&enrolled.anchors, Kind::GatewayPolicy, &policy.envelope, now).unwrap();
        assert_eq!(accepted.digest, policy.digest);
        // A refused update is not sent again; the next one is.
        let (code, detail) = ("bad_schema".to_owned(), "cannot read it".to_owned());
        let material = Material::GatewayPolicy.into();
        raw.say(stream_request::Message::Nack(Nack { material, number: first, code, detail })).await;
        let (second, _) = publisher.publish(Selected::Stable, 2).await.unwrap();
        let next = raw.update().await;
        assert_eq!((next.material(), next.number), (Material::GatewayPolicy, second));
        raw.say(stream_request::Message::Ack(Ack { material, number: second })).await;

        // Again, with what it has: only what is newer.
        let held = Held { material, number: next.number, digest: next.digest.clone() };
        let mut raw = Raw::open(&url, &enrolled).await;
        raw.subscribe(&[Material::GatewayPolicy], vec![held]).await;
        let (third, _) = publisher.publish(Selected::Stable, 3).await.unwrap();
        assert_eq!(raw.update().await.number, third);
        // Of several publications, a reader may get the newest alone.
        let mut last = third;
        for routes in 4..8 {
            last = publisher.publish(Selected::Stable, routes).await.unwrap().0;
        }
        let mut number = third;
        while number < last {
            let update = raw.update().await;
            assert!(number < update.number, "{number} {}", update.number);
            number = update.number;
        }
    }

    async fn a_stream_begins_with_subscribe(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let url = url(&server);
        let token = token(&server, &pool, 1).await;
        let enrolled = plan(&url).enroll(&token, 1).await.unwrap().remove(0);
        let material = i32::from(Material::GatewayPolicy);
        let subscribe = |materials: Vec<i32>| {
            stream_request::Message::Subscribe(Subscribe { materials, have: Vec::new() })
        };
        let long = Nack { material, number: 1, code: "x".repeat(65), detail: String::new() };
        let refused = [
            vec![stream_request::Message::Ack(Ack { material, number: 1 })],
            vec![subscribe(vec![99])],
            vec![subscribe(vec![material, material])],
            vec![subscribe(vec![material]), subscribe(vec![material])],
            vec![subscribe(vec![material]), stream_request::Message::Nack(long)],
        ];
        for messages in refused {
            let mut raw = Raw::open(&url, &enrolled).await;
            let shown = format!("{messages:?}");
            for message in messages {
                raw.say(message).await;
            }
            let status = raw.next().await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{shown}: {status:?}");
        }
        let mut raw = Raw::open(&url, &enrolled).await;
        raw.reports.send(StreamRequest::default()).await.unwrap();
        assert_eq!(raw.next().await.unwrap_err().code(), Code::InvalidArgument);
    }
}
