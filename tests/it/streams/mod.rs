//! Watches of tenants in one process: current states, changes, and resumption at any revision, on both databases.

mod faults;
mod reconnects;

use std::{collections::BTreeMap, sync::Arc, task::Poll, time::Duration};

use futures::{Stream, StreamExt};
use sea_orm::EntityTrait;
use tenantry::{
    base::{Access, Kind, Result, TenantName, TenantScope, error::Reason},
    jobs::{
        self, Job, Run,
        store::{outbox_retention::PruneOutbox, relay::Relay},
    },
    store::{Change, ChangeKind, Resource, Store, Tx, tables},
    streams::{Feed, Hub, Message, Watch, WatchScope},
    tenants::{self, NewTenant, Tenant, TenantChange, source::TenantSource},
};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{db::platform_cx, harness::PATIENCE};

/// A running hub, and a relay if the database needs one.
struct Streams {
    hub: Arc<Hub>,
    feed: Arc<Feed<TenantSource>>,
    _running: DropGuard,
}

fn start(store: &Store) -> Streams {
    let stop = CancellationToken::new();
    let mut hub = Hub::new(store);
    let feed = hub.feed(TenantSource::new(store));
    let hub = Arc::new(hub);
    let (reading, until) = (hub.clone(), stop.clone());
    tokio::spawn(async move { reading.run(until).await });
    tokio::spawn(jobs::follow(Relay::new(store), store.clone(), stop.clone()));
    Streams { hub, feed, _running: stop.drop_guard() }
}

impl Streams {
    async fn watch(&self, revision: i64) -> impl Stream<Item = Result<Message<Tenant>>> + Unpin + use<> {
        Box::pin(Watch::open(&self.feed, WatchScope::Platform, revision).await.unwrap().messages())
    }

    async fn refused(&self, revision: i64) -> (Kind, Reason) {
        let error = Watch::open(&self.feed, WatchScope::Platform, revision).await.unwrap_err();
        (error.kind, error.reason)
    }
}

async fn next(messages: &mut (impl Stream<Item = Result<Message<Tenant>>> + Unpin)) -> Message<Tenant> {
    timeout(PATIENCE, messages.next()).await.expect("a message in time").expect("an open stream").unwrap()
}

/// A message in short: the type, the name or id, and the version.
fn brief(message: &Message<Tenant>) -> String {
    match message {
        Message::Current(tenant) => format!("current {} {}", tenant.name, tenant.version),
        Message::Changed { state, .. } => format!("changed {} {}", state.name, state.version),
        Message::Deleted { .. } => "deleted".to_owned(),
        Message::Bookmark(_) => "bookmark".to_owned(),
    }
}

fn revision(message: &Message<Tenant>) -> Option<i64> {
    match message {
        Message::Current(_) => None,
        Message::Changed { revision, .. } | Message::Deleted { revision, .. } | Message::Bookmark(revision) => {
            Some(*revision)
        }
    }
}

async fn create(store: &Store, name: &str) -> TenantScope {
    let name: TenantName = name.parse().unwrap();
    store.write(&platform_cx("tenant.create"), name, create_in).await.unwrap()
}

async fn create_in(tx: &Tx, name: &TenantName) -> Result<TenantScope> {
    let (tenant, scope) = tenants::insert(tx, &NewTenant::named(name.clone()), None).await?;
    tenants::record(tx, ChangeKind::Created, &tenant, serde_json::Value::Null);
    Ok(scope)
}

/// The scopes of all tenants.
pub async fn scopes(store: &Store) -> Vec<TenantScope> {
    let rows = tables::tenants::Entity::find().all(store.orm()).await.unwrap();
    let scope = |row: tables::tenants::Model| TenantScope::grant(&Access::Platform, row.id, &row.name_key).unwrap();
    rows.into_iter().map(scope).collect()
}

/// Makes this many changes, distributed over the tenants, in few transactions.
pub async fn change_all(store: &Store, scopes: Vec<TenantScope>, changes: usize) {
    let (all, each) = (Arc::new(scopes), 500);
    for part in 0..changes / each {
        store.write(&platform_cx("tenant.update"), (all.clone(), part * each, each), change_in).await.unwrap();
    }
}

async fn change_in(tx: &Tx, (scopes, first, changes): &(Arc<Vec<TenantScope>>, usize, usize)) -> Result<()> {
    for number in *first..first + changes {
        // Long names fill the buffers of the kernel quickly.
        let name = format!("{number} {}", "\u{1f600}".repeat(200));
        rename_in(tx, &(scopes[number % scopes.len()], name)).await?;
    }
    Ok(())
}

/// Changes the display name of a tenant.
async fn rename(store: &Store, scope: TenantScope, display_name: String) {
    store.write(&platform_cx("tenant.update"), (scope, display_name), rename_in).await.unwrap();
}

async fn rename_in(tx: &Tx, (scope, display_name): &(TenantScope, String)) -> Result<()> {
    let change = TenantChange { display_name: Some(display_name.clone()), ..TenantChange::default() };
    let tenant = tenants::update(tx, *scope, None, &change).await?;
    tenants::record(tx, ChangeKind::Updated, &tenant, serde_json::Value::Null);
    Ok(())
}

async fn delete(store: &Store, scope: TenantScope) {
    store.write(&platform_cx("tenant.delete"), scope, delete_in).await.unwrap();
}

async fn delete_in(tx: &Tx, scope: &TenantScope) -> Result<()> {
    let id = scope.tenant();
    let (tenant, scope) = tenants::resolve_locked(tx, &tenantry::base::TenantRef::Id(id)).await?;
    tenants::delete(tx, &tenant, scope).await?;
    tenants::record(tx, ChangeKind::Deleted, &tenant, serde_json::Value::Null);
    Ok(())
}

/// Waits until all changes have a revision.
async fn settled(store: &Store) {
    crate::harness::eventually("all changes to be numbered", async || {
        let rows = tables::outbox::Entity::find().all(store.orm()).await.unwrap();
        rows.iter().all(|row| row.revision.is_some()).then_some(())
    })
    .await;
}

/// Writes events of another resource.
async fn emit(store: &Store, events: u32) {
    store.write(&platform_cx("test.emit"), events, emit_in).await.unwrap();
}

/// Writes an event of one resource.
async fn emit_one(store: &Store, resource: Resource, key: &str) {
    store.write(&platform_cx("test.emit"), (resource, key.to_owned()), emit_one_in).await.unwrap();
}

async fn emit_one_in(tx: &Tx, (resource, key): &(Resource, String)) -> Result<()> {
    tx.also_changed(Change::new(*resource, ChangeKind::Updated, key.clone()));
    Ok(())
}

async fn emit_in(tx: &Tx, events: &u32) -> Result<()> {
    for number in 0..*events {
        tx.also_changed(Change::new(Resource::Cluster, ChangeKind::Updated, number.to_string()));
    }
    Ok(())
}

/// The scope of a tenant for its own callers.
fn own(scope: TenantScope) -> WatchScope {
    let id = tenantry::base::TenantRef::Id(scope.tenant());
    WatchScope::of(&Access::Tenant(id), Some(scope)).unwrap()
}

both_databases! {
    async fn a_watch_sends_the_current_states_and_then_changes(db: TestDb) {
        let streams = start(&db);
        let acme = create(&db, "acme").await;
        create(&db, "beta").await;
        settled(&db).await;
        let mut watch = streams.watch(0).await;
        for expected in ["current acme 1", "current beta 1", "bookmark"] {
            assert_eq!(brief(&next(&mut watch).await), expected);
        }
        rename(&db, acme, "Acme Inc".to_owned()).await;
        let renamed = next(&mut watch).await;
        assert_eq!(brief(&renamed), "changed acme 2");
        delete(&db, acme).await;
        let deleted = next(&mut watch).await;
        let key = acme.tenant().dashed();
        assert!(matches!(&deleted, Message::Deleted { key: found, .. } if **found == *key), "{deleted:?}");
        assert!(revision(&deleted) > revision(&renamed));
    }

    async fn watches_that_nobody_reads_hold_no_connections(db: TestDb) {
        let streams = start(&db);
        create(&db, "acme").await;
        settled(&db).await;
        let mut watches = Vec::new();
        // More than the database has connections for reads.
        for _ in 0..64 {
            let mut watch = streams.watch(0).await;
            // Starts the read. On a busy machine it may already have ended; its message is kept.
            let first = match futures::poll!(watch.next()) {
                Poll::Ready(message) => Some(message.expect("a message").unwrap()),
                Poll::Pending => None,
            };
            watches.push((first, watch));
        }
        for _ in 0..64 {
            timeout(Duration::from_secs(2), db.ping()).await.expect("a free connection").unwrap();
        }
        for (first, mut watch) in watches {
            let message = match first {
                Some(message) => message,
                None => next(&mut watch).await,
            };
            assert_eq!(brief(&message), "current acme 1");
        }
    }

    async fn a_watch_sends_every_page_of_current_states(db: TestDb) {
        let streams = start(&db);
        let names: Vec<_> = (0..100).map(|number| format!("tenant-{number:03}")).collect();
        for name in &names {
            create(&db, name).await;
        }
        settled(&db).await;
        let mut watch = streams.watch(0).await;
        for name in &names {
            assert_eq!(brief(&next(&mut watch).await), format!("current {name} 1"));
        }
        assert_eq!(brief(&next(&mut watch).await), "bookmark");
    }

    async fn a_watch_resumes_with_the_newest_states(db: TestDb) {
        let streams = start(&db);
        let (acme, beta) = (create(&db, "acme").await, create(&db, "beta").await);
        settled(&db).await;
        let mut watch = streams.watch(0).await;
        while brief(&next(&mut watch).await) != "bookmark" {}
        rename(&db, acme, "one".to_owned()).await;
        let from = revision(&next(&mut watch).await).unwrap();
        drop(watch);
        for number in 0..100 {
            rename(&db, beta, number.to_string()).await;
        }
        rename(&db, acme, "two".to_owned()).await;
        delete(&db, beta).await;
        create(&db, "gamma").await;
        settled(&db).await;
        let mut watch = streams.watch(from).await;
        // The number of messages depends on timing; only the last state of each tenant is fixed.
        let (mut seen, mut last) = (BTreeMap::new(), from);
        loop {
            let message = next(&mut watch).await;
            let at = revision(&message).unwrap();
            match &message {
                Message::Bookmark(_) => break,
                Message::Changed { state, .. } => seen.insert(state.id.dashed(), Some((state.name.to_string(), state.version))),
                Message::Deleted { key, .. } => seen.insert(key.as_ref().to_owned(), None),
                Message::Current(_) => panic!("{message:?}"),
            };
            assert!(at > last, "{at} after {last}");
            last = at;
        }
        let states: Vec<_> = seen.into_values().collect();
        assert_eq!(states, [Some(("acme".to_owned(), 3)), None, Some(("gamma".to_owned(), 1))]);
    }

    async fn a_catch_up_reads_a_bounded_range_at_a_time(db: TestDb) {
        let streams = start(&db);
        let acme = create(&db, "acme").await;
        settled(&db).await;
        rename(&db, acme, "one".to_owned()).await;
        settled(&db).await;
        emit(&db, 2000).await;
        settled(&db).await;
        rename(&db, acme, "two".to_owned()).await;
        settled(&db).await;
        let mut watch = streams.watch(1).await;
        // An unbounded read would find only the last change.
        for expected in [2, 2003] {
            let changed = next(&mut watch).await;
            assert_eq!((brief(&changed), revision(&changed)), ("changed acme 3".to_owned(), Some(expected)));
        }
        assert_eq!(next(&mut watch).await, Message::Bookmark(2003));
    }

    async fn a_watch_of_one_tenant_excludes_other_tenants(db: TestDb) {
        let streams = start(&db);
        let (acme, beta) = (create(&db, "acme").await, create(&db, "beta").await);
        settled(&db).await;
        let mut watch = Box::pin(Watch::open(&streams.feed, own(acme), 0).await.unwrap().messages());
        for expected in ["current acme 1", "bookmark"] {
            assert_eq!(brief(&next(&mut watch).await), expected);
        }
        rename(&db, beta, "Beta Inc".to_owned()).await;
        rename(&db, acme, "Acme Inc".to_owned()).await;
        let renamed = next(&mut watch).await;
        assert_eq!(brief(&renamed), "changed acme 2");
        let mut resumed = Box::pin(Watch::open(&streams.feed, own(acme), revision(&renamed).unwrap() - 2).await.unwrap().messages());
        for expected in ["changed acme 2", "bookmark"] {
            assert_eq!(brief(&next(&mut resumed).await), expected);
        }
    }

    async fn pruned_and_unknown_revisions_are_refused(db: TestDb) {
        let streams = start(&db);
        create(&db, "acme").await;
        settled(&db).await;
        emit(&db, 10).await;
        settled(&db).await;
        assert_eq!(streams.refused(-1).await, (Kind::InvalidArgument, Reason::InvalidArgument));
        assert_eq!(streams.refused(12).await, (Kind::OutOfRange, Reason::RevisionUnknown));
        let mut slow = streams.watch(2).await;
        let prune = async || PruneOutbox::new(&db, Duration::from_secs(3600)).run(&Run::unleased()).await.unwrap();
        prune().await;
        let earlier = "UPDATE outbox_marks SET at = at - 86400000000".to_owned();
        crate::rows::sql(&db, earlier).await.unwrap();
        assert_eq!(prune().await.items, 10);
        assert_eq!(streams.refused(9).await, (Kind::OutOfRange, Reason::RevisionPruned));
        // An open stream that is too slow fails in the same way.
        let error = timeout(PATIENCE, slow.next()).await.unwrap().unwrap().unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::OutOfRange, Reason::RevisionPruned));
        assert!(slow.next().await.is_none());
        let mut good = streams.watch(10).await;
        assert_eq!(next(&mut good).await, Message::Bookmark(11));
    }

    async fn changes_of_other_servers_are_seen(db: TestDb) {
        let streams = start(&db);
        let replica = db.replica().await;
        let acme = create(&replica, "acme").await;
        settled(&db).await;
        let mut watch = streams.watch(0).await;
        while brief(&next(&mut watch).await) != "bookmark" {}
        rename(&replica, acme, "Acme Inc".to_owned()).await;
        assert_eq!(brief(&next(&mut watch).await), "changed acme 2");
    }

    async fn the_outbox_is_read_only_while_a_stream_is_open(db: TestDb) {
        let streams = start(&db);
        let acme = create(&db, "acme").await;
        settled(&db).await;
        let mut watch = streams.watch(0).await;
        while brief(&next(&mut watch).await) != "bookmark" {}
        assert_eq!(streams.hub.open_streams(), 1);
        drop(watch);
        assert_eq!(streams.hub.open_streams(), 0);
        rename(&db, acme, "unseen".to_owned()).await;
        settled(&db).await;
        let mut again = streams.watch(0).await;
        for expected in ["current acme 2", "bookmark"] {
            assert_eq!(brief(&next(&mut again).await), expected);
        }
        rename(&db, acme, "seen".to_owned()).await;
        assert_eq!(brief(&next(&mut again).await), "changed acme 3");
    }
}

#[tokio::test]
async fn an_idle_watch_gets_bookmarks() {
    let db = crate::db::sqlite().await;
    let streams = start(&db);
    create(&db, "acme").await;
    let mut watch = streams.watch(0).await;
    while brief(&next(&mut watch).await) != "bookmark" {}
    // From here on only the watch waits, so the paused time can advance.
    drop(streams);
    tokio::time::pause();
    for _ in 0..3 {
        let begun = tokio::time::Instant::now();
        assert_eq!(next(&mut watch).await, Message::Bookmark(1));
        let waited = begun.elapsed().as_secs_f64();
        assert!((10.0..=12.6).contains(&waited), "{waited}");
    }
}
