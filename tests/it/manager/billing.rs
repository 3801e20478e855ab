//! Usage, rates and invoices over REST and on both databases.

use std::sync::Arc;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tenantry::{
    base::{Clock, Cx, TenantRef, error::Reason},
    manager::{
        billing::BillingSettings,
        invoices,
        rates::{self, GivenRates},
        tenants,
        usage::{self, UsageLine},
    },
};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339, macros::datetime};

use super::{
    projects::{post, project, text},
    rest::{setup, signed_by_key},
};
use crate::{
    db::{self, platform_cx},
    harness::{
        golden,
        server::Server,
        talk::{Line, Transcript},
    },
};

#[rustfmt::skip]
const BILLING: &[Line] = &[
    // Document 002, in its order.
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"acme"}"#)),
    ("admin", "GET", "/v1/usage/snapshot", None),
    ("admin", "GET", "/v1/invoices/{acme.manager}", None),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"{hour}","tenant_id":"{acme.manager}","cpu_milli":100,"mem_mib":200}]"#)),
    ("admin", "GET", "/v1/usage/snapshot", None),
    ("admin", "GET", "/v1/invoices/{acme.manager}", None),
    // Lines of the same hour are added; nothing is without a number.
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"TS":"{later}","tenantId":"ACME","cpu_milli":1},{"ts":"{hour}","tenant_id":"{acme.dashed}","mem_mib":2,"cpu_milli":null}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some("[]")),
    ("admin", "POST", "/v1/usage/ingest", Some("null")),
    ("admin", "GET", "/v1/invoices/acme", None),
    // A batch with a line that is refused counts not at all.
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"{hour}","tenant_id":"acme","cpu_milli":7},{"tenant_id":"acme","cpu_milli":7}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"0001-01-01T00:00:00Z","tenant_id":"acme"}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"{hour}","tenant_id":"acme","cpu_milli":7},{"ts":"{hour}","tenant_id":"missing"}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"{hour}","tenant_id":"acme","cpu_milli":7},{"ts":"{hour}","tenant_id":"acme","mem_mib":-1}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"{hour}","tenant_id":"acme","cpu_milli":1.5}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"{hour}","tenant_id":"acme","cpu_milli":9223372036854775807}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"{hour}"}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"yesterday","tenant_id":"acme"}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"{ahead}","tenant_id":"acme"}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some(r#"[{"ts":"2020-01-01T00:00:00Z","tenant_id":"acme"}]"#)),
    ("admin", "POST", "/v1/usage/ingest", Some("{}")),
    ("admin", "POST", "/v1/usage/ingest", Some("[")),
    ("admin", "POST", "/v1/usage/ingest", Some("[null]")),
    ("admin", "GET", "/v1/usage/ingest", None),
    ("admin", "GET", "/v1/usage/snapshot", None),
    // Invoices of other months, and of nobody.
    ("admin", "GET", "/v1/invoices/acme?month=2020-02", None),
    ("admin", "GET", "/v1/invoices/acme?MONTH=2020-13", None),
    ("admin", "GET", "/v1/invoices/acme?month=now", None),
    ("admin", "GET", "/v1/invoices/missing", None),
    ("admin", "GET", "/v1/invoices/t_00000000000000000000000000000000", None),
    // Rates.
    ("admin", "GET", "/registry/v1/tenants/acme/rates", None),
    ("admin", "PUT", "/registry/v1/tenants/acme/rates", Some(r#"{"effectiveFrom":"{hour}","cpuMilli":"0.01","discount":0.25}"#)),
    ("admin", "PUT", "/registry/v1/tenants/acme/rates", Some(r#"{"effectiveFrom":"{hour}","cpuMilli":0.5}"#)),
    ("admin", "GET", "/registry/v1/tenants/acme/rates", None),
    ("admin", "GET", "/v1/invoices/acme", None),
];

#[tokio::test]
async fn rates_that_are_not_valid_are_refused() {
    let server = setup().start().await;
    project(&server.admin(), "acme").await;
    for (tenant, body, status) in [
        ("acme", r#"{"effectiveFrom":"2020-01-01T00:00:00Z"}"#, 400),
        ("acme", r#"{"effectiveFrom":"2040-01-01T00:00:01Z"}"#, 400),
        ("acme", r#"{"cpuMilli":"-1"}"#, 400),
        ("acme", r#"{"memMib":"0.1234567890123"}"#, 400),
        ("acme", r#"{"discount":"1.1"}"#, 400),
        ("missing", r#"{"cpuMilli":"1"}"#, 404),
        ("acme", r#"{"effectiveFrom":"2040-01-01T00:00:00Z"}"#, 200),
    ] {
        let path = format!("/registry/v1/tenants/{tenant}/rates");
        let answer = server.admin().call(Method::PUT, &path, Some(body)).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
}

/// The settings of a server without any.
fn settings() -> BillingSettings {
    let (cpu_milli, mem_mib) = ("0.000001".parse().unwrap(), "0.0000002".parse().unwrap());
    BillingSettings { cpu_milli, mem_mib, close_after: Duration::hours(72) }
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap()
}

async fn run_conversation(server: &Server) -> String {
    let (mut talk, admin) = (Transcript::default(), server.admin());
    let now = OffsetDateTime::now_utc();
    let hour = now.replace_time(time::Time::from_hms(now.hour(), 0, 0).unwrap());
    talk.define("{hour}", rfc3339(hour));
    talk.define("{later}", rfc3339(hour + Duration::seconds(1)));
    talk.define("{ahead}", rfc3339(now + Duration::hours(3)));
    for line in BILLING {
        talk.say(&admin, line).await;
    }
    talk.end()
}

#[tokio::test]
async fn usage_and_invoices_answer_as_documented_on_sqlite() {
    golden::check("manager/billing.txt", &run_conversation(&setup().start().await).await);
}

#[tokio::test]
async fn usage_and_invoices_answer_as_documented_on_postgres() {
    let setup = setup().database(db::postgres_unmigrated().await);
    golden::check("manager/billing.txt", &run_conversation(&setup.start().await).await);
}

#[tokio::test]
async fn a_tenant_sends_its_own_usage_only_and_a_repeated_batch_counts_once() {
    let server = setup().env("KUBEOP_RATE_CPU_MILLI", "0.01").start().await;
    let admin = server.admin();
    let ((acme, project), (beta, _)) = (project(&admin, "acme").await, project(&admin, "beta").await);
    let own = |key: &str| {
        let token = signed_by_key(&json!({"role": "tenant", "scope": format!("tenant:{acme}")}));
        server.http().token(token).header("idempotency-key", key)
    };
    let now = rfc3339(OffsetDateTime::now_utc());
    let batch = |tenant: &str, cpu: i64| json!([{"ts": now, "tenant_id": tenant, "cpu_milli": cpu}]).to_string();
    let send =
        async |key: &str, body: String| own(key).call(Method::POST, "/v1/usage/ingest", Some(&body)).await.status;
    assert_eq!(send("one", batch(&acme, 7)).await, 200);
    assert_eq!(send("one", batch(&acme, 7)).await, 200);
    assert_eq!(send("one", batch(&acme, 8)).await, 409);
    assert_eq!(send("two", batch(&acme, 3)).await, 200);
    assert_eq!(send("three", batch(&beta, 3)).await, 404);
    assert_eq!(send("four", batch("missing", 3)).await, 404);
    let invoice = own("x").get(&format!("/v1/invoices/{acme}")).await;
    assert_eq!(invoice.json()["subtotal"], json!(0.1), "{invoice:?}");
    for (path, status) in [
        (format!("/v1/invoices/{beta}"), 403),
        ("/v1/usage/snapshot".to_owned(), 403),
        (format!("/registry/v1/tenants/{acme}/rates"), 401),
    ] {
        assert_eq!(own("x").get(&path).await.status, status, "{path}");
    }
    let token = text(&post(&admin, "/v1/jwt/project", &json!({"ProjectID": project})).await["token"]);
    let of_project = server.http().token(token);
    assert_eq!(of_project.get(&format!("/v1/invoices/{acme}")).await.status, 403);
    assert_eq!(of_project.call(Method::POST, "/v1/usage/ingest", Some("[]")).await.status, 403);
}

fn at(now: OffsetDateTime) -> Cx {
    Cx::system("usage.ingest", Clock::manual(now))
}

fn line(at: OffsetDateTime, cpu_milli: i64) -> UsageLine {
    UsageLine { tenant: "acme".to_owned(), at: Some(at), cpu_milli, mem_mib: 2 * cpu_milli }
}

fn acme() -> TenantRef {
    TenantRef::parse("acme")
}

both_databases! {
    async fn the_lines_of_many_senders_add_up_whatever_their_order(db: TestDb) {
        tenants::create(&platform_cx("tenant.create"), &db, None, "acme").await.unwrap();
        let day = datetime!(2026-11-30 0:00 UTC);
        let cx = at(datetime!(2026-11-30 23:30 UTC));
        let settings = Arc::new(settings());
        // 100,000 lines of 50 senders, in batches of 1,000.
        let senders = (0..50).map(|sender: i64| {
            let (db, cx, settings) = (&db, &cx, settings.clone());
            async move {
                for batch in 0..2 {
                    let lines: Vec<_> = (0..1000)
                        .map(|n| line(day + Duration::minutes((n * 7 + sender * 13) % 1440), n + batch))
                        .collect();
                    usage::ingest(cx, db, &settings, &lines).await.unwrap();
                }
            }
        });
        join_all(senders).await;
        let sum: i64 = 50 * (0..2).map(|batch| (0..1000).map(|n| n + batch).sum::<i64>()).sum::<i64>();
        assert_eq!(usage::totals(&db).await.unwrap(), (sum, 2 * sum));
        let invoice = invoices::get(&cx, &db, &settings, &acme(), "").await.unwrap();
        assert_eq!(invoice.hours.len(), 24);
        assert_eq!(invoice.hours.iter().map(|hour| hour.cpu_milli).sum::<i64>(), sum);
        // Per thousandth of a CPU 0.000001, and twice 0.0000002 for its memory.
        assert_eq!(invoice.amounts.subtotal, format!("{}", (sum as f64) * 1.4 / 1e6));
    }

    async fn a_closed_month_does_not_change_and_outlives_its_tenant(db: TestDb) {
        let made = tenants::create(&platform_cx("tenant.create"), &db, None, "acme").await.unwrap();
        let (settings, november) = (settings(), datetime!(2026-11-30 23:00 UTC));
        let in_time = at(datetime!(2026-12-03 23:59 UTC));
        usage::ingest(&in_time, &db, &settings, &[line(november, 100)]).await.unwrap();
        let early = invoices::close(&db, &settings, datetime!(2026-12-04 00:14 UTC), 10).await.unwrap();
        assert_eq!(early, 0, "lines may still be on their way");
        let late = at(datetime!(2026-12-04 00:00 UTC));
        let refused = usage::ingest(&late, &db, &settings, &[line(november, 100)]).await.unwrap_err();
        assert_eq!(refused.reason, Reason::InvalidArgument);
        let given = GivenRates { effective_from: Some(november), cpu_milli: Some("5".to_owned()), ..GivenRates::default() };
        assert!(rates::set(&late, &db, &settings, &acme(), &given).await.is_err());
        let before = invoices::get(&late, &db, &settings, &acme(), "2026-11").await.unwrap();
        assert!(before.closed && before.amounts.subtotal == "0.00014", "{before:?}");
        assert_eq!(invoices::close(&db, &settings, datetime!(2026-12-04 00:15 UTC), 10).await.unwrap(), 1);
        assert_eq!(invoices::close(&db, &settings, datetime!(2026-12-04 00:15 UTC), 10).await.unwrap(), 0);
        let dearer = BillingSettings { cpu_milli: "9".parse().unwrap(), ..settings };
        assert_eq!(invoices::get(&late, &db, &dearer, &acme(), "2026-11").await.unwrap(), before);
        tenants::delete(&platform_cx("tenant.delete"), &db, &acme()).await.unwrap();
        let by_id = TenantRef::parse(&made.id.manager());
        assert_eq!(invoices::get(&late, &db, &dearer, &by_id, "2026-11").await.unwrap(), before);
        let current = invoices::get(&late, &db, &dearer, &by_id, "").await.unwrap_err();
        assert_eq!(current.reason, Reason::TenantNotFound);
    }

    async fn an_hour_with_too_much_is_refused_whole(db: TestDb) {
        tenants::create(&platform_cx("tenant.create"), &db, None, "acme").await.unwrap();
        let (cx, settings, now) = (at(datetime!(2026-11-30 12:30 UTC)), settings(), datetime!(2026-11-30 12:00 UTC));
        let largest = UsageLine { mem_mib: 0, ..line(now, 1_000_000_000_000) };
        usage::ingest(&cx, &db, &settings, &vec![largest; 1000]).await.unwrap();
        assert_eq!(usage::totals(&db).await.unwrap(), (1_000_000_000_000_000, 0));
    }
}
