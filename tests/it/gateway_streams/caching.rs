//! What caches may do with signed artifacts.

use tenantry_gateway_sim::Selected;

use super::{devices::Device, plan, publisher, serve, token, url, watches::of_gateway};
use crate::harness::{
    golden,
    http::{Answer, Http},
};

/// The artifacts that gateways get.
const OF_GATEWAYS: [&str; 8] = [
    "/v1/gateway/runtime/policy-bundle",
    "/v1/gateway/runtime/deployment-config",
    "/v1/gateway/runtime/trust-anchors",
    "/v1/gateway/runtime/spc-bundle",
    "/v1/gateway/runtime/auth-material-manifest",
    "/v1/gateway/pools",
    "/v1/spc/bundle",
    "/v1/trust/anchors",
];
/// Those of a device, which gateways get as well.
const OF_DEVICES: [&str; 2] = ["/v1/policy/bundle", "/v1/policy/digest"];

/// The status of a response, and what caches read, with the digest masked.
fn shown(answer: &Answer) -> String {
    let tag = answer.header("etag").map_or("none", |tag| {
        let digest = tag.strip_prefix("\"sha256:").and_then(|tag| tag.strip_suffix('"')).expect("a strong tag");
        assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{tag}");
        "\"sha256:<...>\""
    });
    let rule = answer.header("cache-control").unwrap_or("none");
    format!("  {} etag: {tag}, cache-control: {rule}\n", answer.status)
}

/// What a client gets with a credential, with the tag of what it has, and without a credential.
async fn cached(path: &str, query: &str, client: impl Fn() -> Http, nobody: &Http) -> String {
    let whole = client().get(&format!("{path}{query}")).await;
    assert_eq!(whole.status, 200, "{path}: {whole:?}");
    let tag = whole.header("etag").unwrap_or_else(|| panic!("{path}: {whole:?}"));
    let known = client().header("if-none-match", tag).get(&format!("{path}{query}")).await;
    let refused = nobody.get(&format!("{path}{query}")).await;
    [format!("GET {path}\n"), shown(&whole), shown(&known), shown(&refused)].concat()
}

both_databases! {
    async fn a_cache_asks_before_it_uses_a_signed_artifact_again(db: TestDb) {
        let (server, pool) = serve(&db).await;
        let token = token(&server, &pool, 1).await;
        let gateway = plan(&url(&server)).enroll(&token, 1).await.unwrap().remove(0);
        publisher(&server, &url(&server)).publish(Selected::Stable, 1).await.unwrap();
        let device = Device::enroll(&server).await;
        let (nobody, mut text) = (server.http(), String::new());
        for path in OF_GATEWAYS {
            text += &cached(path, "", || of_gateway(&server, &gateway, path), &nobody).await;
        }
        let query = format!("?device_id={}", device.id);
        for path in OF_DEVICES {
            text += &cached(path, &query, || of_gateway(&server, &gateway, path), &nobody).await;
        }
        golden::check("zerotrust/signed_artifacts.txt", &text);
    }
}
