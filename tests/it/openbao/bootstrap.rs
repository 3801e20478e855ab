//! The script that prepares OpenBAO, and the policy of the server.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tenantry::openbao::{Cause, Credential, Health, OpenBao, OpenBaoSettings, SecretId, tenant_role};

use super::{Database, client, name, secret};
use crate::harness::openbao::OpenBaoServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_can_be_repeated_and_prints_only_a_credential() {
    let bao = OpenBaoServer::start().await;
    let (first, second) = (bao.server_token().await, bao.server_token().await);
    assert_ne!(first, second);
    for token in [&first, &second] {
        let (_, found) = bao.api(Method::GET, "auth/token/lookup-self", token, Value::Null).await;
        let data = &found["data"];
        assert_eq!(
            (&data["policies"], &data["orphan"], &data["period"]),
            (&json!(["tenantry"]), &json!(true), &json!(2_764_800))
        );
    }
    let lines = bao.bootstrap(&["approle"], "").await;
    let [role_id, wrapped] = lines.as_slice() else { panic!("{lines:?}") };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrapped");
    std::fs::write(&file, format!("{wrapped}\n")).unwrap();
    let secret_id = SecretId::WrappedFile(file);
    let app = OpenBao::new(bao.settings(Credential::AppRole { role_id: secret(role_id), secret_id })).unwrap();
    app.tend().await.unwrap();
    assert_eq!(app.health(), Health::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_works_in_a_namespace() {
    let bao = OpenBaoServer::start().await;
    bao.admin(Method::POST, "sys/namespaces/team-a", json!({})).await;
    let lines = bao.bootstrap(&[], "team-a").await;
    let settings = bao.settings(Credential::Token(secret(&lines[0])));
    let inside = OpenBaoSettings { namespace: Some("team-a".parse().unwrap()), ..settings.clone() };
    let inside = OpenBao::new(inside).unwrap();
    inside.tend().await.unwrap();
    assert_eq!(inside.find_role(&name("none")).await.unwrap(), None);
    let outside = OpenBao::new(settings.clone()).unwrap();
    assert_eq!(outside.tend().await.unwrap_err().cause, Cause::Denied);
    let elsewhere = OpenBaoSettings { namespace: Some("none".parse().unwrap()), ..settings };
    let refused = OpenBao::new(elsewhere).unwrap().tend().await.unwrap_err();
    assert_eq!(refused.cause, Cause::NoNamespace);
}

/// Every call of the product, with a token of the policy; each right is needed: without it, the call is denied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_allows_every_call_of_the_product_and_nothing_else() {
    let (bao, database) = (OpenBaoServer::start().await, Database::shared().await);
    let token = bao.server_token().await;
    let app = client(bao.address(), &token);
    let tenant = database.tenant().await;
    let (connection, role) = (&tenant.objects.connection, &tenant.objects.role);
    app.tend().await.unwrap();
    tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await.unwrap();
    assert_eq!(app.find_connection(connection).await.unwrap().unwrap().allowed_roles, [role.as_str()]);
    assert_eq!(app.find_role(role).await.unwrap().unwrap().default_ttl, 3600);
    let lease = app.lease_credentials(role).await.unwrap().lease;
    assert!(app.find_lease(&lease.id).await.unwrap().is_some());
    app.renew_lease(&lease.id, Duration::from_secs(7200)).await.unwrap();
    app.revoke_lease(&lease.id).await.unwrap();
    tenant_role::stop_leasing(&app, connection).await.unwrap();
    tenant_role::resume_leasing(&app, connection, role).await.unwrap();
    tenant_role::tear_down(&app, connection, role).await.unwrap();
    let renewed = bao.api(Method::POST, "auth/token/renew-self", &token, json!({})).await;
    assert_eq!(renewed.0, 200, "{renewed:?}");

    for (method, path, body) in [
        (Method::GET, "secret/data/other", Value::Null),
        (Method::GET, "sys/policies/acl/tenantry", Value::Null),
        (Method::POST, "sys/mounts/other", json!({"type": "kv"})),
        (Method::POST, "sys/mounts/database", json!({"type": "database"})),
        (Method::POST, "auth/token/create", json!({})),
        (Method::PUT, "sys/leases/revoke-prefix/auth", json!({})),
        (Method::PUT, "sys/leases/revoke-force/database/creds/x", json!({})),
        (Method::POST, "database/rotate-root/x", json!({})),
        (Method::PUT, "sys/seal", Value::Null),
    ] {
        let (status, response) = bao.api(method, path, &token, body).await;
        assert_eq!(status, 403, "{path}: {response}");
    }
    let denied = "1 error occurred:\n\t* permission denied\n\n";
    let (_, refused) = bao.api(Method::PUT, "sys/seal", &token, Value::Null).await;
    assert_eq!(refused["errors"][0], denied);

    // Without sudo, the leases of a tenant could not be revoked, and nothing of it is removed.
    let policy = std::fs::read_to_string(crate::harness::root().join("deploy/openbao/policy.hcl")).unwrap();
    tenant_role::set_up(&app, &tenant.objects, &tenant.provisioner).await.unwrap();
    app.lease_credentials(role).await.unwrap();
    let less = policy.replace("[\"update\", \"sudo\"]", "[\"update\"]");
    assert_ne!(less, policy);
    bao.admin(Method::PUT, "sys/policies/acl/tenantry", json!({"policy": less})).await;
    let refused = tenant_role::tear_down(&app, connection, role).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot revoke the leases of the database role: the policy of the server's token does not allow it"
    );
    assert_eq!(database.logins(&tenant).await, 1);
    assert!(app.find_role(role).await.unwrap().is_some());
    bao.admin(Method::PUT, "sys/policies/acl/tenantry", json!({"policy": policy})).await;
    tenant_role::tear_down(&app, connection, role).await.unwrap();
    assert_eq!(database.logins(&tenant).await, 0);
}
