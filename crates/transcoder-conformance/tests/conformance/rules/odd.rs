//! Services whose names are Rust keywords, and raw bytes in every place. That they compile is half of the test.

use bytes::Bytes;
use http::Request as HttpRequest;
use http_body_util::Full;
use serde_json::json;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use transcoder::{Rest, RestBuilder};
use transcoder_conformance::odd::{
    odd::{
        bytes::{Holder, bytes_rest, bytes_server::Bytes as Holding},
        old::{Thing, old_rest, old_server::Old},
        r#type::r#fn::{Self_, use_rest, use_server::Use},
    },
    odd_spelling::v1 as spelling,
};

use crate::support::{call, send};

/// Echoes requests.
struct Echo;

type Items<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn once<T: Send + 'static>(item: T) -> Result<Response<Items<T>>, Status> {
    Ok(Response::new(Box::pin(tokio_stream::once(Ok(item)))))
}

fn echo<T>(request: Request<T>) -> Result<Response<T>, Status> {
    Ok(Response::new(request.into_inner()))
}

#[tonic::async_trait]
impl Holding for Echo {
    type PourStream = Items<Holder>;

    async fn swap(&self, request: Request<Holder>) -> Result<Response<Holder>, Status> {
        echo(request)
    }

    async fn pour(&self, request: Request<Holder>) -> Result<Response<Items<Holder>>, Status> {
        once(request.into_inner())
    }
}

#[tonic::async_trait]
impl Old for Echo {
    async fn call(&self, request: Request<Thing>) -> Result<Response<Thing>, Status> {
        echo(request)
    }
}

#[tonic::async_trait]
impl Use for Echo {
    type IntoStream = Items<Self_>;

    async fn r#move(&self, request: Request<Self_>) -> Result<Response<Self_>, Status> {
        echo(request)
    }

    async fn clone(&self, request: Request<Self_>) -> Result<Response<Self_>, Status> {
        echo(request)
    }

    async fn into(&self, request: Request<Self_>) -> Result<Response<Items<Self_>>, Status> {
        once(request.into_inner())
    }

    async fn drop(&self, request: Request<Self_>) -> Result<Response<Self_>, Status> {
        echo(request)
    }

    async fn open(&self, request: Request<Self_>) -> Result<Response<Self_>, Status> {
        echo(request)
    }

    async fn surface(&self, request: Request<Self_>) -> Result<Response<Self_>, Status> {
        echo(request)
    }

    async fn methods(&self, request: Request<Self_>) -> Result<Response<Self_>, Status> {
        echo(request)
    }

    async fn routes(&self, request: Request<Self_>) -> Result<Response<Self_>, Status> {
        echo(request)
    }
}

#[tonic::async_trait]
impl spelling::http_service_server::HttpService for Echo {
    #[allow(non_camel_case_types)]
    type watch_allStream = Items<spelling::HttpRequest>;
    #[allow(non_camel_case_types)]
    type watchOneStream = Items<spelling::HttpRequest>;
    type GetURLStream = Items<spelling::LowerMessage>;

    async fn watch_all(
        &self,
        request: Request<spelling::HttpRequest>,
    ) -> Result<Response<Self::watch_allStream>, Status> {
        once(request.into_inner())
    }

    async fn watch_one(
        &self,
        request: Request<spelling::HttpRequest>,
    ) -> Result<Response<Self::watchOneStream>, Status> {
        once(request.into_inner())
    }

    async fn get_url(&self, _: Request<spelling::HttpRequest>) -> Result<Response<Self::GetURLStream>, Status> {
        once(spelling::LowerMessage::default())
    }
}

fn rest() -> Rest {
    RestBuilder::default()
        .routes(bytes_rest::routes(&bytes_rest::Guarded::open(Echo)))
        .routes(old_rest::routes(&old_rest::Guarded::open(Echo)))
        .routes(use_rest::routes(&use_rest::Guarded::open(Echo)))
        .routes(spelling::http_service_rest::routes(&spelling::http_service_rest::Guarded::open(Echo)))
        .open()
}

#[tokio::test]
async fn rust_keywords_are_valid_names() {
    for (method, path, body) in [
        ("POST", "/odd/move/x", Some(r#"{"async": "y", "match": [{"impl": "IMPL_BELOW"}]}"#)),
        ("GET", "/odd/clone/x?async=y", None),
        ("GET", "/odd/into/x?async=y", None),
        ("GET", "/odd/surface/x?async=y&box.self=z", None),
    ] {
        let answer = call(&rest(), method, path, body).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), &json["self"], &json["async"]), (200, &json!("x"), &json!("y")), "{path}");
    }
    let dropped = call(&rest(), "GET", "/odd/drop/x", None).await;
    assert_eq!(dropped.json()["type"]["match"], "x");
    let spelt = call(&rest(), "GET", "/odd/spelling/x?someMessage.some_ID2=y", None).await;
    assert_eq!(spelt.json(), json!({"ID": "x", "someMessage": {"someID2": "y"}, "e\"\u{301}\\": ""}));
}

#[tokio::test]
async fn raw_bytes_are_in_a_oneof_too() {
    for path in ["/odd/bytes/one", "/odd/bytes/maybe", "/odd/bytes/pour"] {
        let request = HttpRequest::post(path).header("content-type", "a/b").body(Full::new(Bytes::from("x\0y")));
        let answer = send(&rest(), request.unwrap()).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"x\0y"[..]), "{path}");
        assert_eq!(answer.headers["content-type"], "a/b", "{path}");
    }
    let many = call(&rest(), "POST", "/odd/bytes/many", Some(r#"[{"data": "YQ=="}]"#)).await;
    assert_eq!(many.json(), json!([{"contentType": "", "data": "YQ==", "extensions": []}]));
    let named = call(&rest(), "POST", "/odd/bytes/named", Some(r#"{"a": {"contentType": "a/b"}}"#)).await;
    assert_eq!(named.json()["a"]["contentType"], "a/b");
}

#[tokio::test]
async fn proto2_fields_have_presence() {
    let body = json!({
        "count": 0, "kind": "KIND_A", "kinds": ["KIND_B", 1], "inner": {"name": "i"}, "other": {"number": "7"},
        "spot": {"latitude": 1.5}, "data": "AA==",
    });
    let answer = call(&rest(), "POST", "/odd/old/a", Some(&body.to_string())).await.json();
    assert_eq!(
        (&answer["name"], &answer["count"], &answer["spot"]),
        (&json!("a"), &json!(0), &json!({"latitude": 1.5}))
    );
    assert_eq!((&answer["kinds"], &answer["other"]["number"]), (&json!(["KIND_B", "KIND_A"]), &json!("7")));
    let empty = call(&rest(), "GET", "/odd/old/a?spot.latitude=2", None).await.json();
    assert_eq!(empty, json!({"name": "a", "kinds": [], "spot": {"latitude": 2.0}}));
}
