//! Enrollment tokens over REST: every documented response, in one conversation that is the same on both databases.

use reqwest::Method;

use super::conversation::{
    Line,
    Who::{Admin, Auditor, Nobody, Operator, Other, Platform, User},
    check, http, serve,
};
use crate::harness::http::Http;

const TOKENS: &str = "/v1/admin/tokens";
const GENERATE: &str = "/v1/admin/tokens/generate";
const GROUPS: &str = "/v1/admin/groups/lifecycle";
const POOLS: &str = "/v1/admin/settings/gateway-pools";

#[rustfmt::skip]
const ABOUT_TOKENS: &[Line] = &[
    (Admin, "GET", TOKENS, None),
    (Admin, "POST", GENERATE, Some("{}")),
    (Admin, "POST", GROUPS, Some(r#"{"action":"create","name":"Ops"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"kind":"device","name":"laptops","expires_in_seconds":60,"max_uses":0,"reusable":true,"user_id":"ada","group_ids":["<grp_1>"],"pre_approved":false,"ephemeral":true}"#)),
    (Admin, "POST", POOLS, Some(r#"{"action":"create","name":"eu"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"kind":"gateway","pool_id":"<pool_1>","count":2}"#)),
    (Admin, "GET", TOKENS, None),
    (Admin, "GET", "/v1/admin/tokens/<tok_2>", None),
    (Admin, "POST", "/v1/admin/tokens/<tok_2>/revoke", Some(r#"{"reason":"lost"}"#)),
    (Admin, "POST", "/v1/admin/tokens/<tok_2>/revoke", Some("{}")),
    (Admin, "GET", "/v1/admin/tokens/<tok_2>", None),
    (Admin, "GET", "/v1/admin/tokens?status=revoked", None),
    (Admin, "GET", "/v1/admin/tokens?status=active&kind=device", None),
    (Admin, "GET", "/v1/admin/tokens?status=used_up", None),
    (Admin, "GET", "/v1/admin/tokens?status=expired", None),
    // The deletion of a pool revokes its tokens.
    (Admin, "POST", POOLS, Some(r#"{"action":"delete","pool_id":"<pool_1>"}"#)),
    (Admin, "GET", "/v1/admin/tokens?kind=gateway&status=revoked&limit=1", None),
    (Admin, "POST", GENERATE, Some(r#"{"kind":"gateway","pool_id":"<pool_1>"}"#)),
    // Violated rules.
    (Admin, "POST", GENERATE, Some(r#"{"expires_in_seconds":59}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"max_uses":0}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"max_uses":10001}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"count":101}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"name":"a\u0007b"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"user_id":"nobody"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"user_id":"eve"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"group_ids":["ops"]}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"kind":"gateway"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"kind":"gateway","pool_id":"<pool_1>","user_id":"ada"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"kind":"device","pool_id":"<pool_1>"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"kind":"agent"}"#)),
    (Admin, "POST", GENERATE, Some(r#"{"colour":"red"}"#)),
    (Admin, "POST", GENERATE, None),
    (Admin, "GET", "/v1/admin/tokens?status=lost", None),
    (Admin, "GET", "/v1/admin/tokens?kind=agent", None),
    (Admin, "GET", "/v1/admin/tokens?cursor=garbage", None),
    (Admin, "GET", "/v1/admin/tokens/tok_1", None),
    (Admin, "GET", "/v1/admin/tokens/<grp_1>", None),
    (Admin, "POST", "/v1/admin/tokens/tok_1/revoke", Some("{}")),
    (Admin, "DELETE", "/v1/admin/tokens/<tok_1>", None),
    // Tenants and permissions.
    (Platform, "GET", TOKENS, None),
    (Platform, "GET", "/v1/admin/tokens?tenant_id=acme&limit=1", None),
    (Platform, "POST", GENERATE, Some(r#"{"tenant_id":"acme"}"#)),
    (Other, "GET", TOKENS, None),
    (Other, "GET", "/v1/admin/tokens/<tok_1>", None),
    (Other, "GET", "/v1/admin/tokens/<tok_1>?tenant_id=acme", None),
    (Other, "POST", "/v1/admin/tokens/<tok_1>/revoke", Some("{}")),
    (Other, "POST", "/v1/admin/tokens/<tok_1>/revoke", Some(r#"{"tenant_id":"acme"}"#)),
    (Auditor, "GET", "/v1/admin/tokens/<tok_1>", None),
    (Auditor, "POST", "/v1/admin/tokens/<tok_1>/revoke", Some("{}")),
    (Operator, "POST", GENERATE, Some(r#"{"name":"by the operator"}"#)),
    // A token of a user without an account enrolls nobody's devices.
    (User, "GET", TOKENS, None),
    (User, "POST", GENERATE, Some("{}")),
    (User, "POST", GENERATE, Some(r#"{"kind":"gateway","pool_id":"<pool_1>"}"#)),
    (Nobody, "POST", GENERATE, Some("{")),
];

/// Logs a user in who may only use the surface.
async fn bob(admin: &Http, http: Http) -> Http {
    let role = r#"{"action":"update","user_id":"bob","role":"user"}"#;
    assert_eq!(admin.call(Method::POST, "/v1/admin/users/lifecycle", Some(role)).await.status, 200);
    let password = r#"{"user_id":"bob","password":"a long enough password"}"#;
    assert_eq!(admin.call(Method::POST, "/v1/admin/users/password", Some(password)).await.status, 200);
    let login = r#"{"tenant":"acme","user":"bob","password":"a long enough password"}"#;
    let token =
        http.call(Method::POST, "/v1/admin/login", Some(login)).await.json()["token"].as_str().unwrap().to_owned();
    http.token(token)
}

both_databases! {
    async fn enrollment_tokens_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        check("enrollment_tokens", &server, ABOUT_TOKENS).await;
    }

    async fn users_generate_tokens_for_their_own_devices_and_see_no_others(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let bob = bob(&admin, server.http()).await;
        let made = admin.call(Method::POST, GENERATE, Some("{}")).await.json();
        let foreign = made["token_id"].as_str().unwrap();
        let own = bob.call(Method::POST, GENERATE, Some("{}")).await;
        assert_eq!(own.status, 201, "{own:?}");
        let own = own.json()["token_id"].as_str().unwrap().to_owned();
        let shown = bob.get(&format!("{TOKENS}/{own}")).await.json();
        assert_eq!((&shown["token"]["pre_approved"], shown["token"]["user_id"].is_string()), (&false.into(), true), "{shown}");
        let listed = bob.get(TOKENS).await.json();
        assert_eq!((&listed["total"], &listed["tokens"][0]["id"]), (&1.into(), &own.clone().into()), "{listed}");
        for denied in [r#"{"user_id":"ada"}"#, r#"{"pre_approved":true}"#, r#"{"kind":"gateway","pool_id":"pool_1"}"#] {
            assert_eq!(bob.call(Method::POST, GENERATE, Some(denied)).await.status, 403, "{denied}");
        }
        assert_eq!(bob.get(&format!("{TOKENS}/{foreign}")).await.status, 404);
        assert_eq!(bob.call(Method::POST, &format!("{TOKENS}/{foreign}/revoke"), Some("{}")).await.status, 404);
        assert_eq!(bob.call(Method::POST, &format!("{TOKENS}/{own}/revoke"), Some("{}")).await.status, 200);
        assert_eq!(admin.get(&format!("{TOKENS}?status=revoked")).await.json()["tokens"][0]["id"], own);
    }
}
