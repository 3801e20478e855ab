//! Requests whose field says what to do: what their action takes and requires, over REST and gRPC.

use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;
use tower::Layer as _;
use transcoder::grpc::AdmitLayer;
use transcoder_conformance::rules::conformance::rules::v1::{
    Act, ActOnThingRequest, things_client::ThingsClient, things_rest, things_server::ThingsServer,
};

use super::fixture::{Fixture, owner};
use crate::support::call;

/// The status, the reason and the text of an act.
async fn act(body: &str) -> (u16, String, String) {
    let answer = call(&Fixture::new().rest, "POST", "/strict/things/x:act", Some(body)).await;
    if answer.status == 200 {
        return (200, String::new(), String::new());
    }
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    (answer.status.as_u16(), text("oops"), text("text"))
}

fn refused(reason: &str, text: &str) -> (u16, String, String) {
    (400, reason.to_owned(), text.to_owned())
}

#[tokio::test]
async fn taken_fields_are_accepted() {
    for body in [
        json!({"act": "ACT_LOOK"}),
        json!({"act": 1}),
        json!({"act": "ACT_PAINT", "color": "", "owner": {}}),
        json!({"act": "ACT_PAINT", "color": "red", "coats": 2, "owner": {}}),
        json!({"act": "ACT_BURN", "witnesses": ["me"]}),
        // What is left out and what has its default are one for a field without presence.
        json!({"act": "ACT_LOOK", "coats": 0, "witnesses": [], "color": null}),
    ] {
        assert_eq!(act(&body.to_string()).await.0, 200, "{body}");
    }
}

#[tokio::test]
async fn other_fields_are_refused() {
    let look = |member: &str| format!(r#"{{"act": "ACT_LOOK", {member}}}"#);
    for (member, field) in [
        (r#""color": """#, "color"),
        (r#""coats": 1"#, "coats"),
        (r#""witnesses": [""]"#, "witnesses"),
        (r#""owner": {}"#, "owner"),
    ] {
        let want = refused("INVALID_ARGUMENT", &format!("ACT_LOOK does not take {field}"));
        assert_eq!(act(&look(member)).await, want, "{member}");
    }
    let both = act(r#"{"act": "ACT_BURN", "color": "red", "owner": {}}"#).await;
    assert_eq!(
        both,
        refused("INVALID_ARGUMENT", "ACT_BURN does not take color, owner"),
        "stray fields must be reported before missing ones"
    );
}

#[tokio::test]
async fn required_fields_must_be_present() {
    let paint = act(r#"{"act": "ACT_PAINT", "coats": 1}"#).await;
    assert_eq!(paint, refused("FIELD_REQUIRED", "missing: color"), "the first missing field must be reported");
    let burn = act(r#"{"act": "ACT_BURN", "witnesses": []}"#).await;
    assert_eq!(burn, refused("FIELD_REQUIRED", "missing: witnesses"), "an empty list must count as missing");
}

#[tokio::test]
async fn an_unknown_action_is_refused() {
    let want = refused("ACTION_UNKNOWN", "must be one of ACT_BURN, ACT_LOOK, ACT_PAINT");
    for body in ["{}", r#"{"act": "ACT_UNSPECIFIED"}"#, r#"{"act": 99}"#] {
        assert_eq!(act(body).await, want, "{body}");
    }
}

#[tokio::test]
async fn the_same_over_grpc() {
    let fixture = Fixture::new();
    let admit = AdmitLayer::new(things_rest::METHODS.iter().copied(), fixture.guard.clone());
    let mut client = ThingsClient::new(admit.layer(ThingsServer::new(fixture.things.clone())));
    let request = |act: Act| ActOnThingRequest { act: act.into(), owner: owner("blue"), ..Default::default() };
    let stray = client.act_on_thing(request(Act::Burn)).await.unwrap_err();
    assert_eq!((stray.code(), stray.message()), (Code::InvalidArgument, "ACT_BURN does not take owner"));
    let missing = client.act_on_thing(request(Act::Paint)).await.unwrap_err();
    let details = missing.get_error_details();
    let violations = details.bad_request().unwrap().field_violations.iter();
    assert_eq!(violations.map(|violation| violation.field.as_str()).collect::<Vec<_>>(), ["color"]);
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("FIELD_REQUIRED", "conformance"));
    let unknown = client.act_on_thing(ActOnThingRequest::default()).await.unwrap_err();
    let reason = unknown.get_error_details().error_info().map(|info| info.reason.clone());
    assert_eq!(reason.as_deref(), Some("ACTION_UNKNOWN"));
}
