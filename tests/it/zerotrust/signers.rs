//! Signers, rotations and ends of certificates over REST: every documented response, in one conversation that is the same on both
//! databases.

use std::time::Duration;

use super::conversation::{
    Line,
    Who::{Admin, Auditor, Network, Nobody, Operator, Other, Platform, User},
    check, serve,
};
use crate::harness::{eventually, fleet, rotations};

const SIGNERS: &str = "/v1/admin/settings/signers";
const ROTATE: &str = "/v1/trust/anchors/rotate";
const ROTATE_SPC: &str = "/v1/spc/rotate";
const ROTATIONS: &str = "/v1/trust/rotations";
const EXPIRY: &str = "/v1/admin/certs/expiry";

#[rustfmt::skip]
const ABOUT_SIGNERS: &[Line] = &[
    // A signer that is announced, and withdrawn.
    (Admin, "GET", SIGNERS, None),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"create","purpose":"policy","reason":"yearly"}"#)),
    (Admin, "GET", SIGNERS, None),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"create","purpose":"policy"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"activate","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"retire","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"retire","signer_id":"<sgn_2>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"activate","signer_id":"<sgn_2>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"revoke","signer_id":"<sgn_2>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"revoke","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"revoke","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"activate","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"retire","signer_id":"<sgn_1>"}"#)),
    // The one in use is replaced when it is revoked; so is one that was announced when it is activated in an emergency.
    (Operator, "POST", SIGNERS, Some(r#"{"action":"revoke","signer_id":"<sgn_2>","emergency":true,"reason":"it leaked"}"#)),
    (Admin, "GET", "/v1/admin/settings/signers?purpose=policy", None),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"create","purpose":"admission"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"activate","signer_id":"<sgn_6>","emergency":true}"#)),
    (Admin, "GET", "/v1/admin/settings/signers?purpose=admission", None),
    // Rotations.
    (Admin, "POST", ROTATE, Some(r#"{"use":"spc-signing","reason":"yearly","overlap_seconds":900}"#)),
    (Admin, "POST", ROTATE, Some(r#"{"use":"spc-signing"}"#)),
    (Admin, "POST", ROTATE_SPC, None),
    (Admin, "POST", ROTATE_SPC, Some(r#"{"reason":"it leaked","emergency":true}"#)),
    (Admin, "POST", ROTATE_SPC, Some(r#"{"overlap_seconds":1000}"#)),
    (Admin, "GET", ROTATIONS, None),
    (Admin, "GET", "/v1/trust/rotations?use=spc-signing&running=true", None),
    (Admin, "GET", "/v1/trust/rotations/<rot_1>", None),
    (Admin, "GET", "/v1/trust/rotations/rot_01J7ST8Z0GFCQ9TCATDDY8V7GF", None),
    (Admin, "GET", "/v1/trust/rotations/1", None),
    (Platform, "POST", ROTATE, Some(r#"{"use":"device-ca","reason":"yearly"}"#)),
    (Platform, "POST", ROTATE, Some(r#"{"use":"device-ca"}"#)),
    (Platform, "POST", ROTATE, Some(r#"{"use":"policy-signing","tenant_id":"acme","emergency":true}"#)),
    (Platform, "GET", "/v1/trust/rotations?limit=1", None),
    // Ends.
    (Admin, "GET", EXPIRY, None),
    (Admin, "GET", "/v1/admin/certs/expiry?within_days=366", None),
    (Platform, "GET", "/v1/admin/certs/expiry?within_days=3650", None),
    // Violated rules.
    (Admin, "POST", SIGNERS, Some(r#"{"action":"create"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"create","purpose":"audit"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"create","purpose":"policy","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"activate","signer_id":"<sgn_1>","overlap_seconds":899}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"activate","signer_id":"<sgn_1>","overlap_seconds":900,"emergency":true}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"retire","signer_id":"sgn_1"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"explode","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, None),
    (Admin, "GET", "/v1/admin/settings/signers?purpose=root", None),
    (Admin, "GET", "/v1/admin/settings/signers?limit=0", None),
    (Admin, "POST", ROTATE, Some(r#"{}"#)),
    (Admin, "POST", ROTATE, Some(r#"{"use":"update-signing"}"#)),
    (Admin, "POST", ROTATE, Some(r#"{"use":"policy-signing","overlap_seconds":899}"#)),
    (Admin, "POST", ROTATE, Some(r#"{"use":"policy-signing","overlap_seconds":2592001}"#)),
    (Admin, "POST", ROTATE, Some(r#"{"use":"policy-signing","activate_at":"2020-01-01T00:00:00Z"}"#)),
    (Admin, "POST", ROTATE, Some(r#"{"use":"policy-signing","activate_at":"2040-01-01T00:00:00Z","overlap_seconds":900}"#)),
    (Admin, "POST", ROTATE, Some(r#"{"use":"policy-signing","overlap_seconds":900,"emergency":true}"#)),
    (Admin, "POST", ROTATE, None),
    (Platform, "POST", ROTATE, Some(r#"{"use":"root","tenant_id":"acme"}"#)),
    (Platform, "POST", ROTATE, Some(r#"{"use":"policy-signing"}"#)),
    (Admin, "GET", "/v1/trust/rotations?use=tls", None),
    (Admin, "GET", "/v1/admin/certs/expiry?within_days=0", None),
    // Tenants and permissions.
    (Admin, "POST", ROTATE, Some(r#"{"use":"root"}"#)),
    (Admin, "POST", ROTATE, Some(r#"{"use":"gateway-ca","tenant_id":"other"}"#)),
    (Platform, "GET", SIGNERS, None),
    (Platform, "GET", "/v1/admin/settings/signers?tenant_id=acme&limit=1", None),
    (Other, "GET", SIGNERS, None),
    (Other, "GET", "/v1/admin/settings/signers?tenant_id=acme", None),
    (Other, "POST", SIGNERS, Some(r#"{"action":"revoke","signer_id":"<sgn_2>"}"#)),
    (Other, "GET", "/v1/trust/rotations/<rot_1>", None),
    (Other, "GET", "/v1/trust/rotations/<rot_1>?tenant_id=acme", None),
    (Operator, "GET", "/v1/admin/settings/signers?limit=1", None),
    (Operator, "POST", SIGNERS, Some(r#"{"action":"create","purpose":"policy"}"#)),
    (Operator, "POST", ROTATE, Some(r#"{"use":"policy-signing"}"#)),
    (Auditor, "GET", "/v1/trust/rotations?limit=1", None),
    (Auditor, "POST", SIGNERS, Some(r#"{"action":"revoke","signer_id":"<sgn_2>"}"#)),
    (Network, "GET", SIGNERS, None),
    (Network, "GET", EXPIRY, None),
    (Network, "POST", ROTATE_SPC, None),
    (User, "GET", EXPIRY, None),
    (Nobody, "POST", SIGNERS, Some("{")),
];

#[rustfmt::skip]
const LATER: &[Line] = &[
    (Admin, "GET", "/v1/admin/settings/signers?purpose=policy", None),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"activate","signer_id":"<sgn_2>","overlap_seconds":900}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"activate","signer_id":"<sgn_2>"}"#)),
    (Admin, "GET", ROTATIONS, None),
    // No policy was signed.
    (Admin, "POST", SIGNERS, Some(r#"{"action":"retire","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"retire","signer_id":"<sgn_1>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"revoke","signer_id":"<sgn_1>"}"#)),
    (Admin, "GET", ROTATIONS, None),
    // Certificates may have been.
    (Admin, "GET", "/v1/admin/settings/signers?purpose=spc", None),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"retire","signer_id":"<sgn_3>"}"#)),
    (Admin, "POST", SIGNERS, Some(r#"{"action":"revoke","signer_id":"<sgn_3>"}"#)),
];

both_databases! {
    async fn signers_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        check("signers", &server, ABOUT_SIGNERS).await;
    }

    async fn signers_that_were_announced_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        let admin = super::conversation::http(&server, Admin).await;
        for body in [r#"{"action":"create","purpose":"policy"}"#, r#"{"action":"create","purpose":"spc"}"#] {
            let made = admin.call(reqwest::Method::POST, SIGNERS, Some(body)).await;
            assert_eq!(made.status, 201, "{made:?}");
        }
        rotations::age(&fleet::connect(&db.url).await, Duration::from_secs(901)).await;
        let spc = admin.get("/v1/admin/settings/signers?purpose=spc").await.json()["signers"][1]["id"].clone();
        let activate = serde_json::json!({"action": "activate", "signer_id": spc}).to_string();
        // The conversation begins when the signer is in use.
        eventually("the activation", async || {
            (admin.call(reqwest::Method::POST, SIGNERS, Some(&activate)).await.status == 200).then_some(())
        })
        .await;
        check("signers_later", &server, LATER).await;
    }
}
