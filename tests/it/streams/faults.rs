//! Unreadable events, failing followers, and a database that lost its newest events.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::StreamExt;
use tenantry::{
    base::{Error, Kind, Result, error::Reason},
    store::{Resource, Store},
    streams::{Hub, Message, Readable, Source, Watch, WatchScope},
    tenants::source::TenantSource,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{brief, create, emit, emit_one, next, rename, revision, settled, start};
use crate::{harness::PATIENCE, rows};

/// Sets the labels of a tenant, which are JSON.
async fn set_labels(store: &Store, name: &str, labels: &str) {
    rows::sql(store, format!("UPDATE tenants SET labels = '{labels}' WHERE name = '{name}'")).await.unwrap();
}

both_databases! {
    async fn an_unreadable_resource_is_skipped(db: TestDb) {
        let streams = start(&db);
        let (acme, beta) = (create(&db, "acme").await, create(&db, "beta").await);
        let acme = acme.tenant().dashed();
        settled(&db).await;
        let mut watch = streams.watch(0).await;
        while brief(&next(&mut watch).await) != "bookmark" {}
        set_labels(&db, "acme", "broken").await;
        emit_one(&db, Resource::Tenant, "not an id").await;
        emit_one(&db, Resource::Tenant, &acme).await;
        settled(&db).await;
        rename(&db, beta, "Beta Inc".to_owned()).await;
        let renamed = next(&mut watch).await;
        assert_eq!((brief(&renamed), revision(&renamed)), ("changed beta 2".to_owned(), Some(5)));
        drop(watch);
        // The same for a client that resumes, and for a new one.
        emit(&db, 1).await;
        settled(&db).await;
        let mut resumed = streams.watch(2).await;
        for expected in ["changed beta 2", "bookmark"] {
            assert_eq!(brief(&next(&mut resumed).await), expected);
        }
        let mut begun = streams.watch(0).await;
        for expected in ["current beta 2", "bookmark"] {
            assert_eq!(brief(&next(&mut begun).await), expected);
        }
        set_labels(&db, "acme", "{}").await;
        emit_one(&db, Resource::Tenant, &acme).await;
        assert_eq!(brief(&next(&mut begun).await), "changed acme 1");
    }

    async fn a_database_that_lost_its_newest_events_ends_the_streams(db: TestDb) {
        let streams = start(&db);
        let acme = create(&db, "acme").await;
        emit(&db, 3).await;
        settled(&db).await;
        let mut watch = streams.watch(4).await;
        assert_eq!(next(&mut watch).await, Message::Bookmark(4));
        // The hub has processed it too.
        rename(&db, acme, "Acme".to_owned()).await;
        assert_eq!(revision(&next(&mut watch).await), Some(5));
        rows::sql(&db, "DELETE FROM outbox WHERE revision > 2".to_owned()).await.unwrap();
        let error = timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap_err();
        assert_eq!((error.kind, error.reason), (Kind::OutOfRange, Reason::RevisionUnknown));
        assert!(watch.next().await.is_none());
        let mut again = streams.watch(0).await;
        for expected in ["current acme 2", "bookmark"] {
            assert_eq!(brief(&next(&mut again).await), expected);
        }
        rename(&db, acme, "Acme Inc".to_owned()).await;
        let renamed = next(&mut again).await;
        assert_eq!((brief(&renamed), revision(&renamed)), ("changed acme 3".to_owned(), Some(3)));
    }
}

/// A source that fails this many times before it succeeds.
struct Flaky {
    failures: usize,
    loads: AtomicUsize,
}

impl Flaky {
    fn new(failures: usize) -> Self {
        Self { failures, loads: AtomicUsize::new(0) }
    }
}

impl Source for Flaky {
    type State = String;

    const RESOURCE: Resource = Resource::Cluster;

    async fn load(&self, keys: &[String]) -> Result<HashMap<String, Readable<String>>> {
        if self.loads.fetch_add(1, Ordering::Relaxed) < self.failures {
            return Err(Error::internal("the first times fail"));
        }
        Ok(keys.iter().map(|key| (key.clone(), Ok(format!("state of {key}")))).collect())
    }

    async fn page(&self, _: WatchScope, _: Option<&str>, _: u64) -> Result<Vec<(String, Readable<String>)>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn failed_reads_are_retried_and_never_reported_as_deletions() {
    let db = crate::db::sqlite().await;
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    let mut hub = Hub::new(&db);
    let tenants = hub.feed(TenantSource::new(&db));
    let clusters = hub.feed(Flaky::new(2));
    tokio::spawn(async move { hub.run(stop).await });
    let mut of_tenants = Box::pin(Watch::open(&tenants, WatchScope::Platform, 0).await.unwrap().messages());
    let mut of_clusters = Box::pin(Watch::open(&clusters, WatchScope::Platform, 0).await.unwrap().messages());
    assert_eq!(brief(&next(&mut of_tenants).await), "bookmark");
    assert!(matches!(of_clusters.next().await, Some(Ok(Message::Bookmark(0)))));
    create(&db, "acme").await;
    assert_eq!(brief(&next(&mut of_tenants).await), "changed acme 1");
    emit(&db, 1).await;
    create(&db, "beta").await;
    let state = Arc::new("state of 0".to_owned());
    let changed = timeout(PATIENCE, of_clusters.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(changed, Message::Changed { revision: 2, state });
    create(&db, "gamma").await;
    for (name, number) in [("beta", 3), ("gamma", 4)] {
        let created = next(&mut of_tenants).await;
        assert_eq!((brief(&created), revision(&created)), (format!("changed {name} 1"), Some(number)));
    }
}

#[tokio::test]
async fn a_failing_follower_does_not_delay_the_others() {
    let db = crate::db::sqlite().await;
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    let mut hub = Hub::new(&db);
    let _failing = hub.feed(Flaky::new(usize::MAX));
    let tenants = hub.feed(TenantSource::new(&db));
    tokio::spawn(async move { hub.run(stop).await });
    let mut watch = Box::pin(Watch::open(&tenants, WatchScope::Platform, 0).await.unwrap().messages());
    assert_eq!(brief(&next(&mut watch).await), "bookmark");
    emit(&db, 1).await;
    for name in ["acme", "beta"] {
        create(&db, name).await;
        assert_eq!(brief(&next(&mut watch).await), format!("changed {name} 1"));
    }
}
