//! The guard: admits before the body is read, enters with the decoded message, over REST and gRPC alike.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use serde_json::{Value, json};
use tonic::Code;
use tower::Layer as _;
use transcoder::{Permission, RequestId, TenantRule, grpc::AdmitLayer};
use transcoder_conformance::rules::conformance::rules::v1::{
    Act, ActOnThingRequest, GetThingRequest, PutThingRequest, Thing, things_client::ThingsClient, things_rest,
    things_server::ThingsServer,
};

use super::fixture::{Fixture, Log, owner};
use crate::support::{call, send};

/// A body that must not be read.
struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read");
    }
}

/// A body that logs when it is read.
struct Told(Log, Option<&'static str>);

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(text) = self.1.take() else { return Poll::Ready(None) };
        self.0.write("body");
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }
}

fn post<B>(uri: &str, body: B) -> http::Request<B> {
    http::Request::post(uri).header("content-type", "application/json").body(body).unwrap()
}

#[tokio::test]
async fn refused_before_the_body_is_read() {
    let fixture = Fixture::refusing(Some(("admit", Code::Unauthenticated)));
    let answer = send(&fixture.rest, post("/strict/things", Untouchable)).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    assert_eq!(fixture.log.take(), ["admit PutThing"]);
    let want = json!({
        "oops": "NOT_YOU", "from": "Guard", "text": "refused at admit", "kind": null, "path": null, "id": null,
    });
    assert_eq!(answer.json(), want);
}

#[tokio::test]
async fn admitted_then_read_then_entered_then_served() {
    let fixture = Fixture::new();
    let text = r#"{"name": "new", "owner": {"tenant": "blue"}}"#;
    let answer = send(&fixture.rest, post("/strict/things", Told(fixture.log.clone(), Some(text)))).await;
    assert_eq!(answer.status, 201);
    let entered = r#"enter PutThing by somebody: Some("blue") None Some("new")"#;
    assert_eq!(fixture.log.take(), ["admit PutThing", "body", entered]);
}

#[tokio::test]
async fn refused_on_the_decoded_message() {
    let fixture = Fixture::refusing(Some(("enter", Code::PermissionDenied)));
    let answer = call(&fixture.rest, "GET", "/strict/things/x?owner.tenant=red", None).await;
    assert_eq!((answer.status.as_u16(), answer.json()["oops"].clone()), (403, json!("NOT_YOU")));
    assert_eq!(fixture.log.take(), ["admit GetThing", r#"enter GetThing by somebody: Some("red") None None"#]);
}

#[tokio::test]
async fn an_undecodable_message_never_reaches_the_second_step() {
    let fixture = Fixture::new();
    let answer = call(&fixture.rest, "POST", "/strict/things", Some(r#"{"owner": {"tenant": 1}}"#)).await;
    let want = json!({
        "oops": "FIELD_MALFORMED", "from": "Decode", "kind": "WrongType", "path": "owner.tenant", "id": null,
        "text": "owner.tenant: expected a string, found a number",
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (400, want));
    assert_eq!(fixture.log.take(), ["admit PutThing"]);
}

#[tokio::test]
async fn the_claim_has_the_action() {
    let fixture = Fixture::new();
    let entered = async |body: &str, status: u16| {
        assert_eq!(call(&fixture.rest, "POST", "/strict/things/x:act", Some(body)).await.status, status, "{body}");
        fixture.log.take().remove(1)
    };
    assert_eq!(
        entered(r#"{"act": "ACT_LOOK"}"#, 200).await,
        r#"enter ActOnThing by somebody: None Some("ACT_LOOK") None, audited thing.look"#
    );
    // The guard lets it pass, so the check of the action refuses it.
    for body in ["{}", r#"{"act": 99}"#, r#"{"act": "ACT_UNSPECIFIED"}"#] {
        assert_eq!(entered(body, 400).await, r#"enter ActOnThing by somebody: None Some("") None, audited "#, "{body}");
    }
}

#[test]
fn rules_as_data() {
    let act = &things_rest::ACT_ON_THING;
    let Permission::ByAction(actions) = &act.auth.permission else { panic!("{act:?}") };
    assert_eq!(actions.field, "act");
    let listed: Vec<_> = actions.listed.iter().map(|action| (action.name, action.permission, action.audit)).collect();
    let want = [
        ("ACT_BURN", "thing.write", "thing.burn"),
        ("ACT_LOOK", "thing.read", "thing.look"),
        ("ACT_PAINT", "thing.write", "thing.paint"),
    ];
    assert_eq!(listed, want);
    let names: Vec<_> = things_rest::ActOnThingAction::ALL.iter().map(|action| action.name()).collect();
    assert_eq!(names, ["ACT_LOOK", "ACT_PAINT", "ACT_BURN"], "in the order of the proto");
    let get = &things_rest::GET_THING;
    assert!(matches!(get.auth.permission, Permission::Fixed("thing.read")));
    assert_eq!(get.auth.tenant, TenantRule::Field("owner.tenant"));
    assert_eq!(get.auth.callers, ["USER", "SERVICE"]);
    assert!(get.audit.is_none());
    assert_eq!(things_rest::DELETE_THING.auth.callers, ["AGENT"]);
    assert_eq!(things_rest::DELETE_THING.auth.tenant, TenantRule::Caller);
    assert!(things_rest::DELETE_THING.auth.while_suspended && !get.auth.while_suspended);
    assert!(things_rest::LIST_THINGS.auth.public);
    assert_eq!(things_rest::METHODS.len(), 8);
    assert_eq!(get.path, "/conformance.rules.v1.Things/GetThing");
}

#[tokio::test]
async fn over_grpc() {
    let fixture = Fixture::new();
    let admit = AdmitLayer::new(things_rest::METHODS.iter().copied(), fixture.guard.clone());
    let mut client = ThingsClient::new(admit.layer(ThingsServer::new(fixture.things.clone())));
    let thing = Thing { name: "new".to_owned(), owner: owner("blue"), ..Thing::default() };
    let answer = client.put_thing(PutThingRequest { thing: Some(thing), dry_run: false }).await.unwrap().into_inner();
    assert!(answer.created);
    let entered = r#"enter PutThing by somebody: Some("blue") None Some("new")"#;
    assert_eq!(fixture.log.take(), ["admit PutThing", entered]);
    client.get_thing(GetThingRequest::default()).await.unwrap();
    let entered = r#"enter GetThing by somebody: Some("") None None"#;
    assert_eq!(fixture.log.take(), ["admit GetThing", entered, "get by gRPC"]);
    client.act_on_thing(ActOnThingRequest { act: Act::Look.into(), ..Default::default() }).await.unwrap();
    let entered = r#"enter ActOnThing by somebody: None Some("ACT_LOOK") None, audited thing.look"#;
    assert_eq!(fixture.log.take(), ["admit ActOnThing", entered]);
}

#[tokio::test]
async fn refused_over_grpc() {
    for (step, steps) in [("admit", 1), ("enter", 2)] {
        let fixture = Fixture::refusing(Some((step, Code::PermissionDenied)));
        let admit = AdmitLayer::new(things_rest::METHODS.iter().copied(), fixture.guard.clone());
        let mut client = ThingsClient::new(admit.layer(ThingsServer::new(fixture.things.clone())));
        let status = client.get_thing(GetThingRequest::default()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::PermissionDenied, &*format!("refused at {step}")));
        assert_eq!(fixture.log.take().len(), steps);
    }
}

#[tokio::test]
async fn the_request_id_reaches_the_dialect() {
    let fixture = Fixture::new();
    for uri in ["/strict/things/missing", "/strict/nowhere"] {
        let mut request = http::Request::get(uri).body(http_body_util::Empty::<Bytes>::new()).unwrap();
        request.extensions_mut().insert(RequestId("r-1".to_owned()));
        let answer = send(&fixture.rest, request).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (404, &Value::from("r-1")), "{uri}");
    }
}
