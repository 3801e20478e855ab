//! The origin of calls: pages of other origins, proxies, this machine.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use tower::ServiceExt;

use super::{
    tests::{LIMITS, header, stack_at, text},
    *,
};
use crate::server::listen::Peer;

const CONSOLE: &str = "https://console.example";
const ALLOWED: &str = "access-control-allow-origin";

fn ingress(origins: &str, proxies: &str) -> Ingress {
    Ingress { origins: origins.parse().unwrap_or_default(), proxies: proxies.parse().unwrap_or_default() }
}

async fn answer(ingress: Ingress, open: bool, method: Method, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let named = headers.iter().any(|(name, _)| *name == "host");
    let begun = if named { Request::builder() } else { Request::builder().header("host", "localhost") };
    let request = headers.iter().fold(begun, |request, (name, value)| request.header(*name, *value));
    let peer = Peer { address: SocketAddr::from(([127, 0, 0, 1], 4711)), secure: false };
    let request = request.method(method).uri(path).extension(peer).body(Body::empty()).unwrap();
    stack_at(LIMITS, ingress, open).oneshot(request).await.unwrap_or_else(|never| match never {})
}

#[tokio::test]
async fn a_preflight_is_answered_for_origins_that_may_call() {
    let preflight = async |origins: &str, origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "PUT"), ("content-length", "101")];
        answer(ingress(origins, ""), false, Method::OPTIONS, "/shout/panic", &headers).await
    };
    let response = preflight(CONSOLE, CONSOLE).await;
    assert_eq!((response.status(), header(&response, ALLOWED)), (StatusCode::OK, CONSOLE));
    assert_eq!(header(&response, "access-control-allow-credentials"), "true");
    assert_eq!(header(&response, "vary"), "origin");
    assert!(header(&response, "access-control-allow-methods").contains("PUT"));
    for name in ["authorization", "content-type", "x-api-key", "x-csrf-token", "idempotency-key", "grpc-timeout"] {
        assert!(header(&response, "access-control-allow-headers").split(',').any(|allowed| allowed == name), "{name}");
    }
    assert_eq!(header(&response, "x-request-id").len(), 32);
    assert_eq!(text(response).await, "");

    let any = preflight("*", "https://evil.example").await;
    assert_eq!((any.status(), header(&any, ALLOWED)), (StatusCode::OK, "*"));
    assert_eq!(header(&any, "access-control-allow-credentials"), "");
    for origins in [CONSOLE, ""] {
        let foreign = preflight(origins, "https://evil.example").await;
        assert_eq!((foreign.status(), header(&foreign, ALLOWED)), (StatusCode::PAYLOAD_TOO_LARGE, ""), "{origins}");
    }
}

#[tokio::test]
async fn responses_and_errors_list_the_headers_that_a_page_may_read() {
    for (path, status) in [("/other", StatusCode::OK), ("/shout/panic", StatusCode::INTERNAL_SERVER_ERROR)] {
        let of =
            async |headers: &[(&str, &str)]| answer(ingress(CONSOLE, ""), false, Method::POST, path, headers).await;
        let allowed = of(&[("origin", CONSOLE)]).await;
        assert_eq!((allowed.status(), header(&allowed, ALLOWED)), (status, CONSOLE));
        assert_eq!(header(&allowed, "access-control-allow-credentials"), "true");
        assert!(header(&allowed, "access-control-expose-headers").contains("grpc-status"));
        assert_eq!(header(&allowed, "vary"), "origin");
        for headers in [&[("origin", "https://evil.example")][..], &[]] {
            let other = of(headers).await;
            assert_eq!((other.status(), header(&other, "vary")), (status, "origin"));
            assert!(!other.headers().keys().any(|name| name.as_str().starts_with("access-control")), "{headers:?}");
        }
        let closed = answer(ingress("", ""), false, Method::POST, path, &[("origin", CONSOLE)]).await;
        assert!(!closed.headers().contains_key("vary") && header(&closed, ALLOWED).is_empty());
    }
    let options = answer(ingress(CONSOLE, ""), false, Method::OPTIONS, "/other", &[("origin", CONSOLE)]).await;
    assert_eq!(header(&options, ALLOWED), CONSOLE);
    assert_eq!(text(options).await, "true true", "the request must not be treated as a preflight");
}

#[tokio::test]
async fn browsers_must_not_sniff_content_types() {
    for path in ["/other", "/shout/panic", "/healthz"] {
        let rest = answer(ingress("", ""), false, Method::GET, path, &[]).await;
        assert_eq!(header(&rest, "x-content-type-options"), "nosniff", "{path}");
    }
    let grpc = answer(ingress("", ""), false, Method::POST, "/t.S/Fine", &[("content-type", "application/grpc")]).await;
    assert!(!grpc.headers().contains_key("x-content-type-options"));
}

#[tokio::test]
async fn an_open_manager_is_open_only_to_the_local_machine() {
    let who = async |open, proxies: &str, headers: &[(&str, &str)]| {
        text(answer(ingress("", proxies), open, Method::POST, "/v1/tenants", headers).await).await
    };
    let host = ("host", "localhost:8080");
    assert_eq!(who(true, "", &[host]).await, "open-manager");
    assert_eq!(who(false, "", &[host]).await, "nobody");
    assert_eq!(who(true, "", &[host, ("authorization", "Bearer junk")]).await, "CREDENTIALS_INVALID");
    for fenced in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(who(true, "", &[host, fenced]).await, "ORIGIN_REFUSED", "{fenced:?}");
    }
    assert_eq!(who(true, "", &[("host", "evil.example")]).await, "ORIGIN_REFUSED");
    assert_eq!(who(true, "", &[("host", "")]).await, "ORIGIN_REFUSED", "it names none");

    let forwarded = ("x-forwarded-for", "198.51.100.7");
    assert_eq!(who(true, "", &[host, forwarded]).await, "nobody", "somebody speaks for another");
    assert_eq!(who(true, "127.0.0.0/8", &[host, forwarded]).await, "nobody");
    assert_eq!(who(true, "127.0.0.0/8", &[host]).await, "nobody");
    let (local, proxy) = (("x-forwarded-for", "127.0.0.2"), "127.0.0.1/32");
    assert_eq!(who(true, "127.0.0.0/8", &[host, local]).await, "nobody", "another proxy is not the client");
    assert_eq!(who(true, proxy, &[host, local]).await, "open-manager");
    let renamed = [host, local, ("x-forwarded-host", "evil.example")];
    assert_eq!(who(true, proxy, &renamed).await, "ORIGIN_REFUSED");
    let grpc = who(true, "", &[host, ("content-type", "application/grpc")]).await;
    assert_eq!(grpc, "nobody");
}
