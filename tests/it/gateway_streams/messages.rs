//! The messages of a stream, one by one.

use bundle_verify::{Kind, Shelf};
use tenantry_gateway_sim::Selected;
use tenantry_proto::edge::v1::{Ack, Held, Material, Nack, StreamRequest, Subscribe, stream_request};
use time::OffsetDateTime;
use tonic::Code;

use super::{plan, publisher, raw::Raw, serve, token, url};

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
