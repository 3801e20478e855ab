//! What devices and gateways pass with their credentials: every method, found by reflection, over REST, as every role in
//! `tests/it/authorization.rs`. The golden file is read in review.

use std::fmt::Write as _;

use serde_json::json;

use super::{
    conversation::serve_with,
    gateway_calls::{enroll, pool_and_gateway},
};
use crate::{
    authorization::OTHERS,
    harness::{golden, rpc},
};

/// Request fields that name a tenant, and the tenant of the callers.
const TENANT: [(&str, &str); 4] = [("tenant", "acme"), ("tenant_id", "acme"), ("name", "acme"), ("id", "acme")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_and_gateways_pass_where_they_may_and_nowhere_else() {
    let db = crate::db::sqlite().await;
    // In open manager mode every caller is admitted on the manager's paths.
    let server = serve_with(&db, &[("KUBEOP_REQUIRE_AUTH", "true")]).await;
    let (_, gateway) = pool_and_gateway(&server).await;
    let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
    let fields: Vec<_> = OTHERS.into_iter().chain(TENANT).collect();
    let mut text = String::from("Who passes the guard with the credential of a device, and of a gateway.\n\n");
    for row in rpc::rows() {
        let action = row.action.as_deref().map(|action| format!(" {action}")).unwrap_or_default();
        for (method, path, body) in row.rest(&row.request(&fields)) {
            let mut verdicts = Vec::new();
            for caller in [&device, &gateway] {
                let http = caller.http(&server, method.as_str(), &path);
                let answer = http.call(method.clone(), &path, body.as_deref()).await;
                verdicts.push(match answer.status {
                    401 => "no token",
                    403 => "denied",
                    _ => "passes",
                });
            }
            let path = path.split('?').next().unwrap_or_default();
            if path.starts_with("/v1/gateway/runtime/") {
                assert_eq!(verdicts, ["denied", "passes"], "{method} {path}");
            }
            writeln!(text, "{:<10}{:<10}{method} {path}{action}", verdicts[0], verdicts[1]).unwrap();
        }
    }
    golden::check("zerotrust/enrolled_callers.txt", &text);
}
