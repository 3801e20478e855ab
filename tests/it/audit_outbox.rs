//! Effects of writes: leases, the relay, the chain of the audit log, and derived names.

use std::time::Duration;

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};
use tenantry::{
    base::{Clock, TenantName},
    jobs::{self, Leases, Run, store::relay::Relay},
    store::{
        Change, ChangeKind, Exec, Resource, Store, StoreConfig, UpdateRow,
        audit::{AuditRecord, Outcome},
        chain::{self, ChainStatus},
        relay::Step,
        tables::{audit_events, outbox},
    },
    tenants::{
        self, NewTenant,
        derived_names::{self, NameKind},
    },
};
use tokio_util::sync::CancellationToken;

use crate::db::{self, TestDb, eventually, platform_cx};

fn change(key: &str) -> Change {
    Change::new(Resource::Cluster, ChangeKind::Updated, key)
}

/// A write with one audit event and one outbox event.
async fn emit(store: &Store, key: &str) {
    let key = key.to_owned();
    crate::db::write(store, &platform_cx("test.emit"), move |tx| {
        let key = key.clone();
        Box::pin(async move {
            tx.also_changed(change(&key));
            Ok(())
        })
    })
    .await
    .expect("a write");
}

/// Keys of the numbered outbox rows by revision; asserts that the revisions have no gap.
async fn numbered(store: &Store) -> Vec<String> {
    let rows = outbox::Entity::find().filter(outbox::Column::Revision.is_not_null());
    let rows = rows.order_by_asc(outbox::Column::Revision).all(store.orm()).await.expect("a read");
    for (row, expected) in rows.iter().zip(1..) {
        assert_eq!(row.revision, Some(expected));
    }
    rows.into_iter().map(|row| row.key).collect()
}

/// Runs a step of the relay, if one is needed: the writer of SQLite leaves nothing to do.
async fn relayed(db: &TestDb) -> Step {
    let step = Relay::new(db).step(&Run::unleased()).await.expect("a step");
    assert!(!db.is_sqlite() || step == Step::default());
    step
}

both_databases! {
    async fn committed_rows_are_numbered_and_sealed_in_order(db: TestDb) {
        for key in ["a", "b", "c"] {
            emit(&db, key).await;
        }
        let (three, one) = match db.is_sqlite() {
            true => (Step::default(), Step::default()),
            false => (Step { numbered: 3, sealed: 3 }, Step { numbered: 1, sealed: 1 }),
        };
        assert_eq!(relayed(&db).await, three);
        assert_eq!(relayed(&db).await, Step::default());
        emit(&db, "d").await;
        assert_eq!(relayed(&db).await, one);
        assert_eq!(numbered(&db).await, ["a", "b", "c", "d"]);
        assert_eq!(chain::verify(&db).await.unwrap(), ChainStatus::Sound { events: 4 });
    }

    async fn events_of_one_write_keep_their_order(db: TestDb) {
        crate::db::write(&db, &platform_cx("x"), |tx| {
            for key in ["a", "b", "c"] {
                tx.changed(change(key), key, serde_json::Value::Null);
            }
            Box::pin(async { Ok(()) })
        })
        .await
        .unwrap();
        relayed(&db).await;
        assert_eq!(numbered(&db).await, ["a", "b", "c"]);
        let sealed = audit_events::Entity::find().order_by_asc(audit_events::Column::Seq).all(db.read()).await.unwrap();
        let targets: Vec<_> = sealed.iter().map(|event| event.target.as_str()).collect();
        assert_eq!(targets, ["a", "b", "c"]);
    }

    async fn two_replicas_never_assign_the_same_number(db: TestDb) {
        let replica = db.replica().await;
        let stop = CancellationToken::new();
        let relays = [&db.store, &replica].map(|store| {
            tokio::spawn(jobs::follow(Relay::new(store), store.clone(), stop.clone()))
        });
        let writers = [&db.store, &replica].map(|store| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..100 {
                    emit(&store, &number.to_string()).await;
                }
            })
        });
        for writer in writers {
            writer.await.unwrap();
        }
        eventually("all rows are numbered", || async {
            outbox::Entity::find().filter(outbox::Column::Revision.is_not_null()).count(db.read()).await.unwrap() == 200
        })
        .await;
        assert_eq!(numbered(&db).await.len(), 200);
        eventually("all events are sealed", || async {
            chain::verify(&db).await.unwrap() == ChainStatus::Sound { events: 200 }
        })
        .await;
        stop.cancel();
        for relay in relays {
            relay.await.unwrap();
        }
    }

    async fn a_released_lease_is_free_immediately(db: TestDb) {
        let ttl = Duration::from_secs(60);
        let (one, two) = (Leases::new(&db, "one"), Leases::new(&db, "two"));
        let lease = one.take("test", ttl).await.unwrap().expect("a free lease");
        assert_eq!(two.take("test", ttl).await.unwrap(), None);
        assert!(two.take("other", ttl).await.unwrap().is_some());
        lease.clone().release(&db).await.unwrap();
        assert!(!lease.renew(&db).await.unwrap(), "a late renewal does not take a released lease back");
        assert!(two.take("test", ttl).await.unwrap().is_some());
    }

    async fn a_changed_event_breaks_the_chain(db: TestDb) {
        for key in ["a", "b", "c"] {
            emit(&db, key).await;
        }
        relayed(&db).await;
        assert_eq!(chain::verify(&db).await.unwrap(), ChainStatus::Sound { events: 3 });
        let second = audit_events::Entity::find().filter(audit_events::Column::Seq.eq(2)).one(db.read()).await.unwrap().unwrap();
        let (id, target) = (second.id, second.target);
        let set = async |target: &str| {
            let target = target.to_owned();
            crate::db::write(&db, &platform_cx("x"), move |tx| {
                let row = audit_events::ActiveModel { id: Unchanged(id), target: Set(target.clone()), ..Default::default() };
                Box::pin(async move { Ok(row.update_row(tx.conn()).await.map(drop)?) })
            })
            .await
            .unwrap();
        };
        set("forged").await;
        assert_eq!(chain::verify(&db).await.unwrap(), ChainStatus::Broken { seq: 2 });
        set(&target).await;
        assert!(matches!(chain::verify(&db).await.unwrap(), ChainStatus::Sound { .. }));
        let cx = platform_cx("x");
        crate::db::write(&db, &cx, move |tx| {
            Box::pin(async move {
                audit_events::Entity::delete_by_id(id).run(tx.conn()).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
        assert_eq!(chain::verify(&db).await.unwrap(), ChainStatus::Broken { seq: 2 });
    }

    async fn denials_are_appended_outside_of_writes(db: TestDb) {
        let refusal = AuditRecord {
            details: serde_json::json!({"count": 7}),
            target: "a\0b".to_owned(),
            ..AuditRecord::of(&platform_cx("tenant.create"), Outcome::Refused)
        };
        let unknown = AuditRecord { caller: None, ..refusal.clone() };
        db.append_audit(vec![refusal, unknown]).await.unwrap();
        db.append_audit(Vec::new()).await.unwrap();
        let rows = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).all(db.read()).await.unwrap();
        let told: Vec<_> = rows.iter().map(|row| (row.caller_subject.as_str(), row.outcome.as_str())).collect();
        assert_eq!(told, [("root", "refused"), ("", "refused")]);
        assert_eq!((rows[0].details.as_str(), rows[0].target.as_str()), (r#"{"client":"unknown","count":7}"#, "a\u{fffd}b"));
    }

    async fn derived_names_are_recorded_once_and_outlive_their_tenant(db: TestDb) {
        let derive = async |name: &str| {
            let name: TenantName = name.parse().unwrap();
            crate::db::write(&db, &platform_cx("x"), move |tx| {
                let name = name.clone();
                Box::pin(async move {
                    let (tenant, scope) = tenants::insert(tx, &NewTenant::named(name.clone()), None).await?;
                    let first = derived_names::derive(tx, scope, &name, NameKind::DATABASE).await?;
                    let renamed = "renamed".parse().unwrap();
                    let again = derived_names::derive(tx, scope, &renamed, NameKind::DATABASE).await?;
                    let owner = derived_names::derive(tx, scope, &name, NameKind::DATABASE_OWNER).await?;
                    tenants::delete(tx, &tenant, scope).await?;
                    Ok((tenant.id, first, again, owner))
                })
            })
            .await
            .unwrap()
        };
        let (_, first, again, owner) = derive("Acme.Corp").await;
        assert_eq!((first.as_str(), again.as_str(), owner.as_str()), ("tenant_acme_corp", "tenant_acme_corp", "acme_corp_owner"));
        let (id, second, _, owner) = derive("acme-corp").await;
        let hex = id.uuid().as_simple().to_string();
        assert_eq!(second, format!("tenant_acme_corp_{}", &hex[24..]));
        assert_eq!(owner, format!("acme_corp_{}_owner", &hex[24..]));
    }

    async fn the_queries_of_the_relay_use_an_index(db: TestDb) {
        // A single connection, because planner settings belong to the session. Otherwise a small table would be
        // scanned.
        let session = sea_orm::TransactionTrait::begin(db.read()).await.unwrap();
        let (explain, place) = if db.is_sqlite() {
            ("EXPLAIN QUERY PLAN", 3)
        } else {
            session.execute_unprepared("SET LOCAL enable_seqscan = off").await.unwrap();
            ("EXPLAIN", 0)
        };
        for (table, column, index) in
            [("outbox", "revision", "outbox_unnumbered"), ("audit_events", "seq", "audit_events_unsealed")]
        {
            let question = format!("{explain} SELECT id FROM {table} WHERE {column} IS NULL ORDER BY id LIMIT 1");
            let rows = session.query_all_raw(sea_orm::Statement::from_string(db.backend(), question)).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.try_get_by_index(place).unwrap()).collect();
            assert!(plan.join("\n").contains(index), "{plan:?}");
        }
    }
}

/// The same database with a manual clock.
async fn on_clock(db: &TestDb, clock: &Clock) -> Store {
    let config = StoreConfig { clock: clock.clone(), ..StoreConfig::new(&db.url) };
    Store::open(config).await.expect("the database opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_lost_its_lease_writes_nothing() {
    let db = db::postgres().await;
    let clock = Clock::manual(Clock::system().now());
    let (one, two) = (on_clock(&db, &clock).await, on_clock(&db, &clock).await);
    let (ttl, stop) = (Duration::from_secs(10), CancellationToken::new());
    let (leases, others) = (Leases::new(&one, "one"), Leases::new(&two, "two"));
    let run = Run::leased(leases.take("relay", ttl).await.unwrap().unwrap(), &stop);
    emit(&one, "a").await;
    assert_eq!(Relay::new(&one).step(&run).await.unwrap().numbered, 1);
    emit(&one, "b").await;
    assert_eq!(others.take("relay", ttl).await.unwrap(), None, "the lease must be held by the first server");
    clock.advance(time::Duration::minutes(1));
    let other = Run::leased(others.take("relay", ttl).await.unwrap().expect("an expired lease"), &stop);
    assert_eq!(Relay::new(&two).step(&other).await.unwrap().numbered, 1);
    emit(&one, "c").await;
    let lost = Relay::new(&one).step(&run).await.unwrap_err();
    assert_eq!(lost.to_string(), "another server has taken the job over");
    assert!(run.is_stopped() && !other.is_stopped(), "only the run must be cancelled, not the server");
    assert_eq!(numbered(&db).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_is_not_skipped() {
    let db = db::postgres().await;
    let other = db.replica().await;
    let open = sea_orm::TransactionTrait::begin(other.orm()).await.unwrap();
    let early = outbox::ActiveModel {
        id: Set(uuid::Uuid::now_v7()),
        topic: Set("test".to_owned()),
        key: Set("late".to_owned()),
        payload: Set("null".to_owned()),
        created_at: Set(db.clock().now().into()),
        ..Default::default()
    };
    early.insert(&open).await.unwrap();
    emit(&db, "prompt").await;
    let (relay, run) = (Relay::new(&db), Run::unleased());
    assert_eq!(relay.step(&run).await.unwrap().numbered, 1, "an open transaction must not delay the relay");
    open.commit().await.unwrap();
    assert_eq!(relay.step(&run).await.unwrap().numbered, 1);
    assert_eq!(numbered(&db).await, ["prompt", "late"]);
}
