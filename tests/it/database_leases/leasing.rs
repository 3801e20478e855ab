//! What a program gets, how it gives it back, and who gets nothing.

use futures::{FutureExt as _, future::join_all};
use tenantry::{
    base::{CallerKind, Kind, TenantRef, error::Reason},
    controlplane::{
        placement::{self, PlacementInput},
        provisioning::{self, AutoPlacement, Site},
    },
    tenants::database::{DatabaseSettings, leases},
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Stack, audited, forgotten, id_of, name, of_tenant, recorded, strings};
use crate::{
    db::platform_cx,
    harness::{PATIENCE, eventually},
    provisioner::{rows, starting},
};

both_databases! {
    async fn a_program_gets_a_login_that_works_until_it_is_released(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let one = stack.lease(&acme).await.unwrap();
        assert_eq!((one.host.as_str(), one.port, one.database.as_str()), ("127.0.0.1", stack.place.postgres.port(), "tenant_acme"));
        let valid = one.expires_at - OffsetDateTime::now_utc();
        assert!((Duration::minutes(59)..=Duration::minutes(61)).contains(&valid), "{valid}");
        let session = stack.log_in(&one).await.unwrap();
        rows(&session, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')").await.unwrap();
        let two = stack.lease(&acme).await.unwrap();
        assert!(two.username != one.username && two.id != one.id);
        let other = stack.log_in(&two).await.unwrap();
        assert_eq!(rows(&other, "SELECT text FROM notes").await.unwrap(), ["hello"]);
        stack.release(&acme, &one).await.unwrap();
        eventually("the session to end", async || session.is_closed().then_some(())).await;
        assert!(stack.log_in(&one).await.is_err());
        assert_eq!((stack.logins().await, recorded(&db).await), (vec![two.username.clone()], 1));
        assert_eq!(rows(&other, "SELECT text FROM notes").await.unwrap(), ["hello"]);
        // A second time, which changes nothing, and one that never was.
        stack.release(&acme, &one).await.unwrap();
        let cx = platform_cx("database.release");
        leases::release(&cx, &stack.databases, &acme, &Uuid::now_v7().to_string()).await.unwrap();
        for wrong in ["", "x", &one.username] {
            let error = leases::release(&cx, &stack.databases, &acme, wrong).await.unwrap_err();
            assert_eq!((error.kind, error.violations[0].field.as_str()), (Kind::InvalidArgument, "lease_id"), "{wrong}");
        }
        assert_eq!(stack.logins().await, std::slice::from_ref(&two.username));
        stack.release(&acme, &two).await.unwrap();
        assert!(stack.logins().await.is_empty() && recorded(&db).await == 0);
        jobs.end(PATIENCE).await;
    }

    async fn the_password_is_only_in_the_response(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = stack.lease(&acme).await.unwrap();
        let rows = strings(&db, "SELECT sealed || ' ' || duration FROM database_leases").await;
        assert!(!rows[0].contains("acme-role") && !rows[0].contains(leased.password.expose()), "{rows:?}");
        stack.release(&acme, &leased).await.unwrap();
        stack.release(&acme, &leased).await.unwrap();
        let events = audited(&db, "database.lease").await;
        assert_eq!(events.len(), 1, "{events:?}");
        for member in [r#""tenant":"acme""#, r#""database":"tenant_acme""#, &leased.username, r#""expires_at""#] {
            assert!(events[0].starts_with("success ") && events[0].contains(member), "{events:?}");
        }
        let released = audited(&db, "database.release").await;
        assert!(released[0].contains(r#""released":true"#) && released[1].contains(r#""released":false"#), "{released:?}");
        let everything = strings(&db, "SELECT details || target FROM audit_events").await.concat()
            + &strings(&db, "SELECT payload || key FROM outbox").await.concat();
        assert!(!everything.contains(leased.password.expose()));
        jobs.end(PATIENCE).await;
    }

    async fn a_short_lease_ends_in_openbao_by_itself(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let cx = platform_cx("database.lease");
        let leased = leases::lease(&cx, &stack.databases, &acme, Some(Duration::seconds(90))).await.unwrap();
        jobs.end(PATIENCE).await;
        let valid = "SELECT extract(epoch FROM rolvaliduntil - now())::int::text FROM pg_roles WHERE rolname LIKE 'v-%'";
        let valid: i64 = stack.place.sql(valid).await[0].parse().unwrap();
        assert!((60..=100).contains(&valid), "{valid}");
        let left = leased.expires_at - OffsetDateTime::now_utc();
        assert!((Duration::seconds(60)..=Duration::seconds(91)).contains(&left), "{left}");
        for ttl in [0, 59, 86_401] {
            let error = leases::lease(&cx, &stack.databases, &acme, Some(Duration::seconds(ttl))).await.unwrap_err();
            assert_eq!((error.kind, error.violations[0].field.as_str()), (Kind::InvalidArgument, "ttl"), "{ttl}");
        }
        assert_eq!(stack.logins().await.len(), 1);
    }

    async fn a_tenant_has_a_limited_number_of_leases(db: TestDb) {
        let stack = Stack::start_with(&db, DatabaseSettings { most_leases: 3, ..DatabaseSettings::default() }).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let leased = join_all((0..8).map(|_| stack.lease(&acme))).await;
        let (given, refused): (Vec<_>, Vec<_>) = leased.into_iter().partition(Result::is_ok);
        assert_eq!(given.len(), 3, "{refused:?}");
        for error in refused {
            let error = error.unwrap_err();
            assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::DatabaseLeaseLimitReached));
            assert_eq!(error.limit.unwrap().limit, 3);
        }
        // Logins that were leased and not handed out are dropped.
        assert_eq!((stack.logins().await.len(), recorded(&db).await), (3, 3));
        let given: Vec<_> = given.into_iter().map(Result::unwrap).collect();
        stack.release(&acme, &given[0]).await.unwrap();
        stack.lease(&acme).await.unwrap();
        // Others have a limit of their own.
        let beta = stack.provision(&db, "beta").await;
        stack.lease(&beta).await.unwrap();
        jobs.end(PATIENCE).await;
    }

    async fn only_the_platform_and_programs_of_the_tenant_lease(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let (acme, beta) = (stack.provision(&db, "acme").await, stack.provision(&db, "beta").await);
        let id = id_of(&db, &acme).await;
        let program = of_tenant(CallerKind::Service, id);
        let leased = leases::lease(&program, &stack.databases, &acme, None).await.unwrap();
        let person = of_tenant(CallerKind::User, id);
        let error = leases::lease(&person, &stack.databases, &acme, None).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::PermissionDenied, Reason::CallerKindRefused));
        let lease = leased.id.to_string();
        let error = leases::release(&person, &stack.databases, &acme, &lease).await.unwrap_err();
        assert_eq!(error.reason, Reason::CallerKindRefused);
        let error = leases::lease(&program, &stack.databases, &beta, None).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::PermissionDenied, Reason::TenantForeign));
        // A lease of another tenant is not found, and stays.
        let foreign = of_tenant(CallerKind::Service, id_of(&db, &beta).await);
        leases::release(&foreign, &stack.databases, &beta, &lease).await.unwrap();
        assert_eq!(stack.logins().await, std::slice::from_ref(&leased.username));
        leases::release(&program, &stack.databases, &acme, &lease).await.unwrap();
        assert!(stack.logins().await.is_empty());
        jobs.end(PATIENCE).await;
    }

    async fn a_database_that_is_not_provisioned_is_not_leased(db: TestDb) {
        let stack = Stack::start(&db).await;
        let acme = starting::create(&db, "acme").await;
        let refused = async |text: &str| {
            let error = stack.lease(&acme).await.unwrap_err();
            assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::DatabaseNotProvisioned), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        };
        refused("provision it first").await;
        starting::place(&db, &acme, PlacementInput::default()).await;
        refused("provision it first").await;
        // Begun only.
        stack.begin(&db, &acme).await;
        refused("provision it first").await;
        let jobs = stack.serve();
        stack.provision_again(&db, &acme).await;
        stack.lease(&acme).await.unwrap();
        // The placement of a tenant does not lead to another role.
        let stranger = PlacementInput { openbao_role: Some("beta-role".to_owned()), dbname: Some("tenant_acme".to_owned()), ..PlacementInput::default() };
        placement::replace(&platform_cx("placement.replace"), &db, &acme, stranger).await.unwrap();
        refused("other names").await;
        assert_eq!(stack.lease(&TenantRef::parse("none")).await.unwrap_err().reason, Reason::TenantNotFound);
        // Provisioned by a server without OpenBAO.
        let plain = starting::create(&db, "plain").await;
        let (cx, site) = (platform_cx("tenant.provision"), Site { openbao: false, ..stack.site() });
        let begun = provisioning::auto_provision(&cx, &db, &site, &plain, AutoPlacement::default()).await.unwrap();
        provisioning::finish(&cx, &db, &begun, PATIENCE).await.unwrap();
        assert_eq!(stack.lease(&plain).await.unwrap_err().reason, Reason::DatabaseNotProvisioned);
        assert_eq!((stack.logins().await.len(), recorded(&db).await), (1, 1));
        jobs.end(PATIENCE).await;
    }

    async fn a_caller_that_disconnects_leaves_no_login(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        {
            let mut leasing = Box::pin(stack.lease(&acme));
            assert!((&mut leasing).now_or_never().is_none());
        }
        eventually("the release", async || (audited(&db, "database.release").await.len() == 1).then_some(())).await;
        assert_eq!(audited(&db, "database.lease").await.len(), 1);
        forgotten(&db).await;
        assert!(stack.logins().await.is_empty());
        jobs.end(PATIENCE).await;
    }

    async fn a_server_without_a_key_leases_nothing(db: TestDb) {
        let stack = Stack::start(&db).await;
        let jobs = stack.serve();
        let acme = stack.provision(&db, "acme").await;
        let mut keyless = tenantry::tenants::database::Databases::new(&db, tenantry::store::Sealer::new(db.store.clone(), None));
        let cx = platform_cx("database.lease");
        let error = leases::lease(&cx, &keyless, &acme, None).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::OpenbaoNotConfigured));
        keyless.openbao = Some(stack.app.clone());
        let error = leases::lease(&cx, &keyless, &acme, None).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::KekMissing));
        assert!(stack.logins().await.is_empty());
        assert!(stack.app.find_role(&name("acme-role")).await.unwrap().is_some());
        jobs.end(PATIENCE).await;
    }
}
