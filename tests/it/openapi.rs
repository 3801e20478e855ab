//! The OpenAPI documents and their page, as the server and the command line return them.
//! `scripts/openapi-check` checks the documents against the server.

use std::collections::BTreeSet;

use prost_reflect::DescriptorPool;
use reqwest::{Method, header};
use serde_json::{Value, json};
use tenantry::{proto, server::docs};

use crate::harness::server::{Server, Setup};

/// The operations of a document, with their paths and methods.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().expect("a document has paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("a path item is an object");
        item.iter().map(move |(method, operation)| (path.clone(), method.to_uppercase(), operation))
    });
    each.collect()
}

#[tokio::test]
async fn every_rest_rule_is_an_operation_of_the_document() {
    let server = Server::dev().await;
    let document = server.http().get("/openapi.json").await.json();
    let operations = operations(&document);
    let ids: BTreeSet<_> = operations.iter().map(|(_, _, operation)| operation["operationId"].as_str()).collect();
    assert_eq!(ids.len(), operations.len(), "operation ids must be unique");
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
    let rule = pool.get_extension_by_name("google.api.http").unwrap();
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let served: BTreeSet<_> = methods
        .filter(|method| method.options().has_extension(&rule))
        .map(|method| format!("`{}/{}`", method.parent_service().full_name(), method.name()))
        .collect();
    assert!(!served.is_empty());
    for rpc in served {
        let described = operations
            .iter()
            .any(|(_, _, operation)| operation["description"].as_str().is_some_and(|text| text.contains(&rpc)));
        assert!(described, "no operation calls {rpc}");
    }
}

#[tokio::test]
async fn the_document_of_a_surface_has_only_its_operations() {
    let server = Server::dev().await;
    let document = server.http().get("/openapi/messaging.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(operations(&document).iter().all(|(path, _, _)| path.starts_with("/admin/v2/")));
    let create = &document["paths"]["/admin/v2/tenants/{tenant}"]["put"];
    assert_eq!(create["operationId"], "TenantService_CreateTenant");
    assert_eq!(create["responses"]["204"]["content"], Value::Null);
    assert!(create["responses"]["412"]["description"].as_str().unwrap().contains("`CLUSTERS_UNKNOWN`"));
    assert_eq!(document["components"]["schemas"]["Error"]["required"], json!(["reason"]));
    let unknown = server.http().get("/openapi/nothing.json").await;
    assert_eq!((unknown.status, &unknown.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
}

#[tokio::test]
async fn every_document_is_valid() {
    for (name, document) in docs::OPENAPI {
        let document: Value = serde_json::from_slice(document).unwrap();
        let mut texts = vec![&document];
        while let Some(value) = texts.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
                assert!(target.is_some_and(|target| !target.is_null()), "{name}: nothing is at {reference}");
            }
            texts.extend(value.as_object().into_iter().flat_map(|object| object.values()));
            texts.extend(value.as_array().into_iter().flatten());
        }
        for (path, method, operation) in operations(&document) {
            let summary = operation["summary"].as_str().unwrap_or_default();
            assert!(!summary.is_empty(), "{name}: {method} {path} has no summary");
        }
    }
}

#[tokio::test]
async fn documents_are_cached_and_compressed() {
    let server = Server::dev().await;
    let url = |path: &str| format!("http://{}{path}", server.address());
    let client = reqwest::Client::new();
    let get = async |path: &str, headers: &[(header::HeaderName, &str)]| {
        let request = headers.iter().fold(client.get(url(path)), |request, (name, value)| request.header(name, *value));
        request.send().await.unwrap()
    };
    let plain = get("/openapi.json", &[]).await;
    let tag = plain.headers()[header::ETAG].to_str().unwrap().to_owned();
    assert_eq!((plain.status().as_u16(), plain.headers().get(header::CONTENT_ENCODING)), (200, None));
    let packed = get("/openapi.json", &[(header::ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    let (plain, packed) = (plain.bytes().await.unwrap(), packed.bytes().await.unwrap());
    assert!(packed.len() * 3 < plain.len(), "{} of {} bytes", packed.len(), plain.len());
    let again = get("/openapi.json", &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!((again.status().as_u16(), again.bytes().await.unwrap().len()), (304, 0));
    let head = client.head(url("/openapi.json")).send().await.unwrap();
    assert_eq!(head.headers()[header::CONTENT_LENGTH], plain.len().to_string());
    let refused = server.http().call(Method::POST, "/openapi.json", Some("{}")).await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")));
}

#[tokio::test]
async fn the_page_works_under_a_strict_security_policy() {
    let server = Server::dev().await;
    for path in ["/docs", "/docs/"] {
        let page = server.http().get(path).await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let policy = page.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        let files: Vec<_> = page.body.split('"').filter(|part| part.starts_with("/docs/")).collect();
        assert!(files.len() >= 5, "{files:?}");
        for file in files {
            assert_eq!(server.http().call(Method::HEAD, file, None).await.status, 200, "{file}");
        }
    }
    let script = server.http().get("/docs/start.js").await.body;
    for (surface, _) in docs::OPENAPI {
        let url = if surface.is_empty() { "/openapi.json".to_owned() } else { format!("/openapi/{surface}.json") };
        assert!(script.contains(&format!("\"{url}\"")), "{script}");
    }
    assert_eq!(server.http().get("/docs/secrets").await.status, 404);
}

#[tokio::test]
async fn the_command_prints_what_the_server_serves() {
    let setup = Setup::dev();
    let printed = setup.run(&["openapi", "--surface", "messaging"]).await;
    assert!(printed.status.success(), "{printed:?}");
    let file = setup.home().join("everything.json");
    let written = setup.run(&["openapi", "--output", file.to_str().unwrap()]).await;
    assert!(written.status.success() && written.stdout.is_empty(), "{written:?}");
    let server = setup.start().await;
    let served = server.http().get("/openapi/messaging.json").await.json();
    assert_eq!(serde_json::from_slice::<Value>(&printed.stdout).unwrap(), served);
    let served = server.http().get("/openapi.json").await.json();
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap(), served);
    let unknown = setup.run(&["openapi", "--surface", "nothing"]).await;
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("messaging"), "{unknown:?}");
}
