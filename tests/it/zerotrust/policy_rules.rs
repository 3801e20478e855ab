//! Policies: their rules, on both databases.

use std::collections::BTreeSet;

use futures::future::join_all;
use sea_orm::{EntityTrait, QueryOrder};
use tenantry::{
    base::{Error, IdKind, Kind, PageRequest, Reach, TenantRef, TenantScope, error::Reason},
    fleet::{
        Heartbeat,
        pools::{self, PoolChange, PoolRef},
    },
    identity::{
        group_deletion,
        groups::{self, GroupRef, NewGroup},
    },
    policy::{
        document::EmptyLists,
        publish::{CanaryInput, Content, NewPolicy, Publication, ScopeInput, publish},
        resolve::{Subject, resolve},
        versions,
    },
    proto::zerotrust::v1::PolicyDocument,
    store::{
        Store,
        tables::{audit_events, outbox},
    },
};
use uuid::Uuid;

use crate::{db::platform_cx, rows::tenant};

fn acme() -> TenantRef {
    TenantRef::parse("acme")
}

fn refreshing(seconds: i32) -> NewPolicy {
    of(PolicyDocument { refresh_seconds: Some(seconds), ..PolicyDocument::default() })
}

fn of(policy: PolicyDocument) -> NewPolicy {
    with(Content::Policy(Box::new(policy), EmptyLists::default()))
}

fn with(content: Content) -> NewPolicy {
    NewPolicy {
        channel: "stable".to_owned(),
        scope: None,
        priority: None,
        content,
        canary: None,
        notes: String::new(),
        expires_in: None,
        dry_run: false,
        expected_base: None,
    }
}

/// The same policy for a canary of a percentage of the devices.
fn canary(percent: i32, new: NewPolicy) -> NewPolicy {
    let canary = CanaryInput { percent: Some(percent), ..CanaryInput::default() };
    NewPolicy { channel: "canary".to_owned(), canary: Some(canary), ..new }
}

fn for_group(group: &str, new: NewPolicy) -> NewPolicy {
    NewPolicy { scope: Some(ScopeInput { kind: "group".to_owned(), id: Some(group.to_owned()) }), ..new }
}

async fn put(store: &Store, new: NewPolicy) -> Result<Publication, Error> {
    publish(&platform_cx("policy.publish"), store, &acme(), new, Reach::All).await
}

/// The versions of the tenant with their states.
async fn states(store: &Store) -> Vec<(i64, &'static str)> {
    let request = PageRequest::read(None, None).unwrap();
    let page = versions::page(&platform_cx("x"), store, &acme(), request).await.unwrap();
    page.items.iter().map(|version| (version.row.version, version.row.state.as_str())).collect()
}

async fn group(store: &Store) -> String {
    let new = NewGroup { name: "ops".to_owned(), ..NewGroup::default() };
    groups::create(&platform_cx("group.create"), store, &acme(), new).await.unwrap().shown_id()
}

/// The refresh interval of a device.
async fn refresh_of(store: &Store, scope: TenantScope, device: u128, groups: &[&str]) -> Option<u32> {
    let rows = store.tenant(scope);
    let groups = groups.iter().map(|group| IdKind::Group.read(group).unwrap()).collect();
    let subject = Subject { device: Uuid::from_u128(device), groups };
    let policies = versions::of_device(&rows, &subject, store.clock().now().into()).await.unwrap();
    let resolved = resolve(&policies, &subject)?;
    resolved.document.refresh_seconds
}

both_databases! {
    async fn of_publications_with_one_base_exactly_one_wins(db: TestDb) {
        tenant(&db, "acme").await;
        put(&db, refreshing(60)).await.unwrap();
        let outcomes = join_all((0..16).map(|number| {
            let store = db.store.clone();
            tokio::spawn(async move { put(&store, NewPolicy { expected_base: Some(1), ..refreshing(61 + number) }).await })
        }));
        let outcomes: Vec<_> = outcomes.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.into_iter().filter_map(Result::err) {
            assert_eq!((refused.kind, refused.reason), (Kind::Aborted, Reason::VersionStale));
        }
        assert_eq!(states(&db).await, [(1, "superseded"), (2, "active")]);
    }

    async fn concurrent_publications_have_different_versions(db: TestDb) {
        tenant(&db, "acme").await;
        let outcomes = join_all((0..16).map(|number| {
            let store = db.store.clone();
            tokio::spawn(async move { put(&store, refreshing(60 + number)).await.unwrap().version.row.version })
        }));
        let found: BTreeSet<_> = outcomes.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(found, (1..=16).collect());
        let active = states(&db).await.into_iter().filter(|(_, state)| *state == "active").count();
        assert_eq!(active, 1);
    }

    async fn a_scope_has_one_active_version_in_a_channel(db: TestDb) {
        tenant(&db, "acme").await;
        let ops = group(&db).await;
        put(&db, refreshing(61)).await.unwrap();
        put(&db, for_group(&ops, refreshing(62))).await.unwrap();
        put(&db, canary(10, refreshing(63))).await.unwrap();
        assert_eq!(states(&db).await, [(1, "active"), (2, "active"), (3, "active")]);
        put(&db, canary(30, with(Content::Version(3)))).await.unwrap();
        assert_eq!(states(&db).await, [(1, "active"), (2, "active"), (3, "superseded"), (4, "active")]);
        let promoted = put(&db, with(Content::Version(4))).await.unwrap();
        assert_eq!((promoted.version.row.version, promoted.version.row.from_version), (5, Some(4)));
        let expected = [(1, "superseded"), (2, "active"), (3, "superseded"), (4, "promoted"), (5, "active")];
        assert_eq!(states(&db).await, expected);
        put(&db, canary(5, refreshing(64))).await.unwrap();
        let rolled_back = put(&db, with(Content::Version(1))).await.unwrap();
        assert_eq!((rolled_back.version.row.version, rolled_back.diff.changed.as_slice()), (7, &["refresh_seconds".to_owned()][..]));
        let expected = [(4, "promoted"), (5, "superseded"), (6, "superseded"), (7, "active")];
        assert_eq!(states(&db).await[3..], expected, "a newer stable version ends an older canary");
    }

    async fn a_device_gets_what_is_published_for_it(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let ops = group(&db).await;
        assert_eq!(refresh_of(&db, scope, 1, &[]).await, None);
        put(&db, refreshing(61)).await.unwrap();
        put(&db, for_group(&ops, refreshing(62))).await.unwrap();
        assert_eq!(refresh_of(&db, scope, 1, &[]).await, Some(61));
        assert_eq!(refresh_of(&db, scope, 1, &[&ops]).await, Some(62));
        put(&db, canary(100, refreshing(63))).await.unwrap();
        assert_eq!(refresh_of(&db, scope, 1, &[]).await, Some(63));
        put(&db, refreshing(64)).await.unwrap();
        assert_eq!(refresh_of(&db, scope, 1, &[]).await, Some(64));
        put(&db, for_group(&ops, of(PolicyDocument::default()))).await.unwrap();
        assert_eq!(refresh_of(&db, scope, 1, &[&ops]).await, Some(64), "a policy without sections");
    }

    async fn a_dry_run_writes_nothing(db: TestDb) {
        tenant(&db, "acme").await;
        put(&db, refreshing(60)).await.unwrap();
        let before = audit_events::Entity::find().all(db.read()).await.unwrap().len();
        let dry = put(&db, NewPolicy { dry_run: true, ..refreshing(61) }).await.unwrap();
        assert_eq!((dry.version.row.version, dry.is_published), (2, false));
        assert_eq!(dry.diff.changed, ["refresh_seconds"]);
        let wet = put(&db, refreshing(61)).await.unwrap();
        assert_eq!((wet.version.row.version, &wet.version.row.digest), (2, &dry.version.row.digest));
        assert_eq!(audit_events::Entity::find().all(db.read()).await.unwrap().len(), before + 1);
        let stale = put(&db, NewPolicy { dry_run: true, expected_base: Some(1), ..refreshing(62) }).await;
        assert_eq!(stale.unwrap_err().reason, Reason::VersionStale);
    }

    async fn a_publication_is_audited_and_announced(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        put(&db, refreshing(60)).await.unwrap();
        let second = put(&db, NewPolicy { notes: "faster".to_owned(), ..refreshing(61) }).await.unwrap();
        let events = audit_events::Entity::find().order_by_desc(audit_events::Column::Id).one(db.read()).await.unwrap();
        let event = events.unwrap();
        assert_eq!((event.action.as_str(), &event.target), ("policy.publish", &second.version.shown_id()));
        assert_eq!(event.tenant_id, Some(scope.tenant()));
        assert!(event.details.contains("faster") && event.details.contains("refresh_seconds"), "{}", event.details);
        let rows = outbox::Entity::find().all(db.read()).await.unwrap();
        let mut payloads: Vec<_> = rows.into_iter().filter(|row| row.topic == "policy").map(|row| row.payload).collect();
        payloads.sort();
        let [created, updated] = ["created", "updated"].map(|change| move |version| format!(r#"{{"change":"{change}","version":{version}}}"#));
        assert_eq!(payloads, [created(1), created(2), updated(1)]);
    }

    async fn what_was_deleted_may_stay_in_a_policy(db: TestDb) {
        tenant(&db, "acme").await;
        let cx = platform_cx("x");
        let named = |name: &str| PoolChange { name: Some(name.to_owned()), ..PoolChange::defaults() };
        let pool = pools::create(&cx, &db, &acme(), named("eu")).await.unwrap().shown_id();
        let listing = |pools: &[&String]| {
            of(PolicyDocument { gateway_pools: pools.iter().map(|id| (*id).clone()).collect(), ..PolicyDocument::default() })
        };
        put(&db, listing(&[&pool])).await.unwrap();
        let pool_ref = PoolRef { tenant: acme(), id: pool.clone(), version: None };
        pools::delete(&cx, &db, &pool_ref, Heartbeat::default()).await.unwrap();
        put(&db, listing(&[&pool])).await.expect("it is in the current policy");
        put(&db, refreshing(60)).await.unwrap();
        let refused = put(&db, listing(&[&pool])).await.unwrap_err();
        assert_eq!((refused.reason, refused.violations[0].field.as_str()), (Reason::GatewayPoolNotFound, "policy.gateway_pools[0]"));
        put(&db, with(Content::Version(1))).await.expect("a rollback");
    }

    async fn a_group_with_an_active_policy_is_deleted_only_with_force(db: TestDb) {
        tenant(&db, "acme").await;
        let ops = group(&db).await;
        let (cx, own) = (platform_cx("group.delete"), GroupRef { tenant: acme(), id: ops.clone(), version: None });
        let listed = CanaryInput { groups: vec![ops.clone()], ..CanaryInput::default() };
        put(&db, NewPolicy { canary: Some(listed.clone()), ..canary(1, refreshing(60)) }).await.unwrap();
        assert_eq!(group_deletion::delete(&cx, &db, &own, false).await.unwrap_err().reason, Reason::GroupInUse);
        put(&db, canary(1, refreshing(60))).await.unwrap();
        put(&db, for_group(&ops, refreshing(60))).await.unwrap();
        assert_eq!(group_deletion::delete(&cx, &db, &own, false).await.unwrap_err().reason, Reason::GroupInUse);
        group_deletion::delete(&cx, &db, &own, true).await.unwrap();
        let refused = put(&db, for_group(&ops, refreshing(61))).await.unwrap_err();
        assert_eq!((refused.reason, refused.violations[0].field.as_str()), (Reason::GroupNotFound, "scope.id"));
        let refused = put(&db, NewPolicy { canary: Some(listed), ..canary(1, refreshing(60)) }).await.unwrap_err();
        assert_eq!(refused.violations[0].field, "canary.group_ids");
    }
}
