//! Reports of gateways: what is counted, once and exactly, on both databases.

use serde_json::{Value, json};
use tenantry::{
    access::{self, jobs::EndSessions},
    base::{Access, IdKind, TenantId, TenantScope},
    jobs::{Job, Run},
    store::Stamp,
};
use time::OffsetDateTime;

use super::{
    conversation::{
        Line,
        Who::{Admin, Auditor, Nobody, Other, Platform, User},
        check, serve,
    },
    gateway_calls::{
        Enrolled, METERING, SESSIONS, act, ago, enroll, line, pool_and_gateway, publish, report, sessions,
    },
};
use crate::{db::TestDb, harness::server::Server, rows::sql};

/// Received and sent bytes of a session.
async fn bytes(server: &Server, session: &str) -> (i64, i64) {
    let all = sessions(server, "status=all").await;
    let found = all.iter().find(|row| row["id"] == session).unwrap();
    (found["bytes_in"].as_i64().unwrap(), found["bytes_out"].as_i64().unwrap())
}

async fn fleet(server: &Server) -> (Enrolled, Enrolled) {
    let (_, gateway) = pool_and_gateway(server).await;
    publish(server, json!({})).await;
    (gateway, enroll(server, "device", json!({"user_id": "ada"})).await)
}

fn counted(accepted: i64, duplicates: i64) -> Value {
    json!({"accepted": accepted, "duplicates": duplicates, "rejected": []})
}

/// The sessions that a gateway has to end.
async fn killed(db: &TestDb, server: &Server, gateway: &Enrolled) -> Vec<String> {
    let tenant: TenantId = sessions(server, "status=all").await[0]["tenant_id"].as_str().unwrap().parse().unwrap();
    let rows = db.tenant(TenantScope::grant(&Access::Platform, tenant, "acme").unwrap());
    let (gateway, now) = (IdKind::Gateway.read(&gateway.id).unwrap(), Stamp::from(OffsetDateTime::now_utc()));
    let list = access::kill_list(&rows, gateway, now).await.unwrap();
    list.sessions.into_iter().map(|id| IdKind::Session.show(id)).collect()
}

both_databases! {
    async fn a_gateway_that_was_cut_off_reports_whom_it_admitted(db: TestDb) {
        let server = serve(&db).await;
        let (pool, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let new = || IdKind::Session.show(uuid::Uuid::now_v7());
        let offline = |session: &str, device: &Enrolled| {
            let mut line = line(session, device, 100, 200);
            (line["admitted_offline"], line["started_at"]) = (json!(true), json!(ago(20)));
            line
        };
        let shown = async |session: &str| {
            sessions(&server, "status=all").await.into_iter().find(|row| row["id"] == session)
        };
        // Without permission and certificates, it has to end the session, which is counted.
        let (refused, nowhere) = (new(), new());
        let of_nobody = json!({"session_id": nowhere, "device_id": "dev_01J7ST8Z0GFCQ9TCATDDY8V7GF", "bytes_in": 1,
            "bytes_out": 1, "started_at": ago(20), "admitted_offline": true});
        let answer = gateway.report(&server, "r1", 1, json!([offline(&refused, &device), of_nobody])).await;
        assert_eq!(answer, json!({"accepted": 1, "duplicates": 0, "rejected": [{"index": 1, "reason": "unknown_device"}]}));
        let found = shown(&refused).await.unwrap();
        assert_eq!((&found["status"], &found["end_reason"], &found["bytes_in"]), (&json!("ended"), &json!("not_admitted"), &json!(100)));
        assert_eq!((&found["admitted_offline"], &found["grant_id"]), (&json!(true), &Value::Null), "{found}");
        assert_eq!(shown(&nowhere).await, None);
        assert_eq!(killed(&db, &server, &gateway).await, std::slice::from_ref(&refused));
        let allow = json!({"action": "update", "pool_id": pool, "offline_grace_seconds": 900});
        act(&server, Admin, "/v1/admin/settings/gateway-pools", allow).await;
        let uncertified = new();
        gateway.report(&server, "r2", 2, json!([offline(&uncertified, &device)])).await;
        assert_eq!(shown(&uncertified).await.unwrap()["end_reason"], "not_admitted", "no certificate");
        let spc = device.post(&server, "/v1/spc/issue", &json!({})).await;
        assert_eq!(spc.status, 201, "{spc:?}");
        // With both it is a session as others.
        let (session, over) = (new(), new());
        let mut ended = offline(&over, &device);
        ended["ended_at"] = json!(ago(10));
        assert_eq!(gateway.report(&server, "r3", 3, json!([offline(&session, &device), ended])).await, counted(2, 0));
        let found = shown(&session).await.unwrap();
        assert_eq!((&found["status"], &found["auth_mode"], &found["policy_version"]), (&json!("active"), &json!("B"), &json!(1)));
        assert_eq!((&found["user_id"].is_string(), &found["gateway_id"]), (&true, &json!(gateway.id)));
        let found = shown(&over).await.unwrap();
        assert_eq!((&found["status"], &found["end_reason"]), (&json!("ended"), &json!("closed")));
        // Reported again, it is the same session; the gateway asks for a grant when it can.
        let mut more = offline(&session, &device);
        more["bytes_in"] = json!(150);
        assert_eq!(gateway.report(&server, "r4", 4, json!([more])).await, counted(1, 0));
        assert_eq!(bytes(&server, &session).await, (150, 200));
        let granted = gateway.ask(&server, &device, &format!("&session_id={session}")).await;
        assert_eq!(granted["decision"], "allow", "{granted}");
        assert!(shown(&session).await.unwrap()["grant_id"].is_string());
        // It was not cut off from what the device lost meanwhile.
        act(&server, Admin, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await;
        let late = new();
        gateway.report(&server, "r5", 5, json!([offline(&late, &device)])).await;
        assert_eq!(shown(&late).await.unwrap()["end_reason"], "not_admitted", "suspended");
        assert!(killed(&db, &server, &gateway).await.contains(&late));
        // A session that is not said to be one of these does not exist.
        let unknown = gateway.report(&server, "r6", 6, json!([line(&new(), &device, 1, 1)])).await;
        assert_eq!(unknown["rejected"], json!([{"index": 0, "reason": "unknown_session"}]));
    }

    async fn a_report_counts_once_and_late_reports_count(db: TestDb) {
        let server = serve(&db).await;
        let (gateway, device) = fleet(&server).await;
        let session = gateway.admit(&server, &device).await;
        let send = async |id: &str, sequence: i64, bytes: i64| {
            gateway.report(&server, id, sequence, json!([line(&session, &device, bytes, 2 * bytes)])).await
        };
        assert_eq!(send("r1", 1, 100).await, counted(1, 0));
        assert_eq!(send("r1", 1, 100).await, counted(0, 1), "repeated");
        assert_eq!(send("r1", 9, 900).await, counted(0, 1), "repeated, and not the same");
        assert_eq!(bytes(&server, &session).await, (100, 200));
        // The second comes after the third.
        send("r3", 3, 300).await;
        send("r2", 2, 250).await;
        assert_eq!(bytes(&server, &session).await, (300, 600));
        // The gateway restarts. The last report before comes after the first one after it.
        send("r5", 5, 40).await;
        send("r4", 4, 310).await;
        send("r6", 6, 45).await;
        assert_eq!(bytes(&server, &session).await, (355, 710));
        // The reports add up to what the session has.
        let answer = crate::zerotrust::conversation::http(&server, Admin).await.get(METERING).await.json();
        let sum: i64 = answer["reports"].as_array().unwrap().iter().map(|row| row["bytes_in"].as_i64().unwrap()).sum();
        assert_eq!((&answer["total"], sum), (&json!(6), 355), "{answer}");
        // Many at once, each sent twice.
        let ids: Vec<_> = (0..8).map(|number| format!("p{number}")).collect();
        let twice = ids.iter().enumerate().flat_map(|(number, id)| {
            let bytes = 50 + number as i64;
            [send(id, 10 + number as i64, bytes), send(id, 10 + number as i64, bytes)]
        });
        let answers = futures::future::join_all(twice).await;
        assert_eq!(answers.iter().filter(|answer| **answer == counted(1, 0)).count(), 8, "{answers:?}");
        assert_eq!(bytes(&server, &session).await.0, 355 + 57 - 45);
    }

    async fn sessions_that_are_not_valid_are_rejected_by_themselves(db: TestDb) {
        let server = serve(&db).await;
        let (gateway, device) = fleet(&server).await;
        let (_, other) = pool_and_gateway(&server).await;
        let session = gateway.admit(&server, &device).await;
        let elsewhere = other.admit(&server, &device).await;
        let stranger = enroll(&server, "device", json!({})).await;
        let wrong_device = gateway.admit(&server, &stranger).await;
        let lines = json!([
            line(&elsewhere, &device, 1, 1),
            line(&session, &device, 1, 1),
            line(&session, &device, 2, 2),
            line("ses_1", &device, 1, 1),
            line(&wrong_device, &device, 1, 1),
        ]);
        let answer = gateway.report(&server, "r1", 1, lines).await;
        let reasons: Vec<_> = answer["rejected"].as_array().unwrap().iter().map(|row| (row["index"].clone(), row["reason"].clone())).collect();
        assert_eq!(answer["accepted"], 1, "{answer}");
        assert_eq!(
            reasons,
            [
                (json!(0), json!("unknown_session")),
                (json!(2), json!("repeated")),
                (json!(3), json!("unknown_session")),
                (json!(4), json!("device_mismatch")),
            ]
        );
        assert_eq!(bytes(&server, &session).await, (1, 1));
    }

    async fn a_report_must_be_of_its_gateway_and_of_a_plausible_time(db: TestDb) {
        let server = serve(&db).await;
        let (gateway, _) = fleet(&server).await;
        let (_, other) = pool_and_gateway(&server).await;
        let refused = async |member: &str, value: Value, status: u16| {
            let mut body = report("r1", 1, json!([]));
            body[member] = value;
            let answer = gateway.post(&server, METERING, &body).await;
            assert_eq!(answer.status, status, "{body}: {answer:?}");
            answer.body
        };
        assert!(refused("window_start", json!(ago(86_500)), 422).await.contains("24 hours"));
        assert!(refused("window_end", json!(ago(-400)), 422).await.contains("5 minutes"));
        refused("window_end", json!(ago(60)), 422).await;
        refused("sequence", json!(-1), 422).await;
        refused("report_id", json!("a b"), 422).await;
        refused("totals", json!({"cpu": 1.5}), 422).await;
        refused("applied", json!({"policy_version": -1}), 422).await;
        refused("report_id", Value::Null, 422).await;
        refused("destinations", json!(["10.0.0.1"]), 400).await;
        refused("gateway_id", json!(other.id), 403).await;
        let mut body = report("r1", 1, json!([]));
        body["gateway_id"] = json!(gateway.id);
        // A clock that is a little ahead, and a window of a day.
        (body["window_start"], body["window_end"]) = (json!(ago(86_100)), json!(ago(-200)));
        assert_eq!(gateway.post(&server, METERING, &body).await.status, 202);
    }

    async fn a_gateway_ends_the_sessions_of_its_list(db: TestDb) {
        let server = serve(&db).await;
        let (gateway, device) = fleet(&server).await;
        let (one, two) = (gateway.admit(&server, &device).await, gateway.admit(&server, &device).await);
        let tenant: TenantId = sessions(&server, "").await[0]["tenant_id"].as_str().unwrap().parse().unwrap();
        let rows = db.tenant(TenantScope::grant(&Access::Platform, tenant, "acme").unwrap());
        let id = IdKind::Gateway.read(&gateway.id).unwrap();
        let listed = async |after: i64| {
            let now = OffsetDateTime::now_utc() + time::Duration::seconds(after);
            let list = access::kill_list(&rows, id, Stamp::from(now)).await.unwrap();
            let mut ids: Vec<_> = list.sessions.into_iter().map(|id| IdKind::Session.show(id)).collect();
            ids.sort();
            (list.version, ids)
        };
        let send = async |id: &str, sequence: i64, ended: bool, reason: Option<&str>| {
            let mut of_one = line(&one, &device, sequence, 0);
            if ended {
                of_one["ended_at"] = json!(ago(0));
                of_one["end_reason"] = json!(reason);
            }
            gateway.report(&server, id, sequence, json!([of_one, line(&two, &device, sequence, 0)])).await
        };
        send("r1", 1, false, None).await;
        assert_eq!(listed(0).await, (0, vec![]));
        act(&server, Admin, SESSIONS, json!({"action": "terminate", "session_ids": [one]})).await;
        assert_eq!(listed(0).await, (1, vec![one.clone()]));
        // Still running: it stays in the list, which does not change.
        send("r3", 3, false, None).await;
        assert_eq!(listed(0).await, (1, vec![one.clone()]));
        assert_eq!(listed(3601).await, (1, vec![]), "an hour later");
        send("r4", 4, true, Some("killed")).await;
        assert_eq!(listed(0).await, (2, vec![]));
        // A report from before arrives late.
        send("r2", 2, false, None).await;
        assert_eq!(listed(0).await, (2, vec![]));
        let ended = sessions(&server, "status=ended").await;
        assert_eq!((ended.len(), &ended[0]["end_reason"], &ended[0]["bytes_in"]), (1, &json!("terminated"), &json!(4)));
        // A gateway ends a session by itself, and says why.
        let last = json!([{"session_id": two, "device_id": device.id, "bytes_in": 9, "bytes_out": 9, "started_at": ago(20),
            "ended_at": ago(0), "end_reason": "idle"}]);
        gateway.report(&server, "r5", 5, last).await;
        assert!(sessions(&server, "").await.is_empty());
        let ended = sessions(&server, "status=ended").await.into_iter().find(|row| row["id"] == two.as_str()).unwrap();
        assert_eq!((&ended["end_reason"], &ended["bytes_in"]), (&json!("idle"), &json!(9)), "{ended}");
        assert_eq!(listed(0).await, (2, vec![]));
    }

    async fn a_first_report_that_comes_late_counts_once(db: TestDb) {
        let server = serve(&db).await;
        let (gateway, device) = fleet(&server).await;
        let (_, other) = pool_and_gateway(&server).await;
        let admit = async || gateway.admit(&server, &device).await;
        let (late, running, over) = (admit().await, admit().await, admit().await);
        let shown = async |session: &str| {
            sessions(&server, "status=all").await.into_iter().find(|row| row["id"] == session).unwrap()
        };
        let is = async |session: &str, status: &str, reason: Value| {
            let row = shown(session).await;
            assert_eq!((&row["status"], &row["end_reason"]), (&json!(status), &reason), "{row}");
        };
        // For 150 seconds, the gateway reports nothing: the sessions do not count as active.
        let earlier = |seconds: i64| {
            let micros = seconds * 1_000_000;
            format!("UPDATE access_sessions SET started_at = started_at - {micros}, granted_at = granted_at - {micros}, \
                expires_at = expires_at - {micros}")
        };
        sql(&db, earlier(151)).await.unwrap();
        for session in [&late, &running, &over] {
            is(session, "ended", json!("not_started")).await;
        }
        // It is active again with the first report, which counts everything once.
        let of = |session: &str, bytes: i64, seconds: i64| {
            let mut line = line(session, &device, bytes, 2 * bytes);
            line["started_at"] = json!(ago(seconds));
            line
        };
        assert_eq!(gateway.report(&server, "r1", 1, json!([of(&late, 100, 140)])).await, counted(1, 0));
        is(&late, "active", Value::Null).await;
        assert_eq!(bytes(&server, &late).await, (100, 200));
        assert_eq!(gateway.report(&server, "r1", 1, json!([of(&late, 100, 140)])).await, counted(0, 1));
        assert_eq!(gateway.report(&server, "r2", 2, json!([of(&late, 130, 140)])).await, counted(1, 0));
        assert_eq!(bytes(&server, &late).await, (130, 260));
        // An hour later, the others are given up. The gateway has to end the one that runs; what it used counts, and so does what it still
        // uses.
        sql(&db, earlier(3600)).await.unwrap();
        EndSessions::new(&db).run(&Run::unleased()).await.unwrap();
        is(&late, "ended", json!("lost")).await;
        is(&running, "ended", json!("not_started")).await;
        assert_eq!(gateway.report(&server, "r3", 3, json!([of(&running, 500, 3700)])).await, counted(1, 0));
        is(&running, "ended", json!("lost")).await;
        assert!(killed(&db, &server, &gateway).await.contains(&running));
        assert_eq!(bytes(&server, &running).await, (500, 1000));
        let mut last = of(&running, 510, 3700);
        (last["ended_at"], last["end_reason"]) = (json!(ago(0)), json!("killed"));
        for id in ["r4", "r5"] {
            assert_eq!(gateway.report(&server, id, 4, json!([last])).await, counted(1, 0));
        }
        is(&running, "ended", json!("lost")).await;
        assert!(!killed(&db, &server, &gateway).await.contains(&running));
        assert_eq!(bytes(&server, &running).await, (510, 1020));
        // One that ended long ago is reported with its end. Its end is when the gateway says, not when it was given up.
        let mut ended = of(&over, 70, 3700);
        (ended["ended_at"], ended["end_reason"]) = (json!(ago(3600)), json!("idle"));
        assert_eq!(gateway.report(&server, "r6", 6, json!([ended])).await, counted(1, 0));
        is(&over, "ended", json!("idle")).await;
        assert_eq!(bytes(&server, &over).await, (70, 140));
        // A report from before comes last, and another gateway reports what is not its own.
        assert_eq!(gateway.report(&server, "r0", 0, json!([of(&over, 60, 3700)])).await, counted(1, 0));
        is(&over, "ended", json!("idle")).await;
        let foreign = other.report(&server, "r1", 1, json!([of(&over, 1000, 3700)])).await;
        assert_eq!(foreign["rejected"], json!([{"index": 0, "reason": "unknown_session"}]));
        assert_eq!(bytes(&server, &over).await, (70, 140));
        // The reports add up to what the sessions have.
        let answer = crate::zerotrust::conversation::http(&server, Admin).await.get(METERING).await.json();
        let sum: i64 = answer["reports"].as_array().unwrap().iter().map(|row| row["bytes_in"].as_i64().unwrap()).sum();
        assert_eq!(sum, 130 + 510 + 70, "{answer}");
    }

    async fn reports_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        let (gateway, device) = fleet(&server).await;
        let (_, second) = pool_and_gateway(&server).await;
        let session = gateway.admit(&server, &device).await;
        gateway.report(&server, "r1", 1, json!([line(&session, &device, 10, 20), line("ses_1", &device, 0, 0)])).await;
        gateway.report(&server, "r2", 2, json!([line(&session, &device, 15, 40)])).await;
        second.report(&server, "r1", 7, json!([])).await;
        check("metering", &server, ABOUT_REPORTS).await;
    }
}

#[rustfmt::skip]
const ABOUT_REPORTS: &[Line] = &[
    (Admin, "GET", METERING, None),
    (Admin, "GET", "/v1/gateway/metering?gateway_id=<gw_2>", None),
    (Admin, "GET", "/v1/gateway/metering?limit=1", None),
    (Admin, "GET", "/v1/gateway/metering?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z&limit=1", None),
    (Admin, "GET", "/v1/gateway/metering?from=2100-01-01T00:00:00Z", None),
    (Admin, "GET", "/v1/gateway/metering?to=2020-01-01T00:00:00Z", None),
    (Admin, "GET", "/v1/gateway/metering?gateway_id=one", None),
    (Admin, "GET", "/v1/gateway/metering?limit=501", None),
    (Platform, "GET", METERING, None),
    (Platform, "GET", "/v1/gateway/metering?tenant_id=acme&limit=1", None),
    (Other, "GET", METERING, None),
    (Auditor, "GET", "/v1/gateway/metering?limit=1", None),
    (User, "GET", METERING, None),
    (Nobody, "GET", METERING, None),
    (Admin, "DELETE", METERING, None),
];
