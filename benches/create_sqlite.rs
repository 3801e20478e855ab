//! Creates tenants on SQLite, durably, with 64 clients: the messaging operation through the store's write pipeline,
//! which also numbers and seals, against two hand-written loops that group their commits in the same way: one with
//! SeaORM over sqlx, with a savepoint for each tenant and without numbers, and one with SQLite on its own thread, which
//! makes the program's statements and nothing else.

mod support;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures::future::join_all;
use sea_orm::{
    DatabaseConnection, EntityTrait, IntoActiveModel, SqliteTransactionMode, TransactionOptions, TransactionTrait,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tenantry::{
    base::{Clock, Cx, TenantId},
    messaging::{MessagingSettings, rules::InfoInput, tenants},
    store::{
        Stamp, Store, StoreConfig,
        columns::{Json, TenantStatus},
        tables::{audit_events, outbox, tenants as rows},
    },
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

const CLIENTS: usize = 64;
const TURN: Duration = Duration::from_millis(800);

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let dirs = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let orm = runtime.block_on(Loop::start(&url(&dirs[0])));
    let raw = runtime.block_on(Loop::start_raw(&dirs[1]));
    let store = runtime.block_on(open(&url(&dirs[2])));
    let [by_orm, by_raw, ours] = support::alternate(|side| {
        runtime.block_on(async {
            match side {
                0 => turn(|name| orm.create(name)).await,
                1 => turn(|name| raw.create(name)).await,
                _ => turn(|name| create(&store, name)).await,
            }
        })
    });
    runtime.block_on(store.close());
    let what = "create a tenant, SQLite, 64 clients";
    support::report(what, ["hand-written loop, SeaORM over sqlx", "the store"], [by_orm, ours.clone()], 1.5);
    support::report(what, ["hand-written loop, SQLite on its thread", "the store"], [by_raw, ours], 0.7);
}

fn url(dir: &tempfile::TempDir) -> String {
    format!("sqlite:{}", dir.path().join("tenantry.db").display())
}

async fn open(url: &str) -> Store {
    let store = Store::open(StoreConfig::new(url)).await.expect("the store opens");
    store.migrate(|_| ()).await.expect("it migrates");
    store
}

/// Creates tenants with all clients for one turn; returns the rate.
async fn turn<F: Future<Output = ()>>(create: impl Fn(String) -> F) -> f64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (started, done) = (Instant::now(), AtomicU64::new(0));
    join_all((0..CLIENTS).map(|_| async {
        while started.elapsed() < TURN {
            create(format!("tenant-{}", COUNT.fetch_add(1, Ordering::Relaxed))).await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }))
    .await;
    done.into_inner() as f64 / started.elapsed().as_secs_f64()
}

async fn create(store: &Store, name: String) {
    let cx = Cx::system("tenant.create", Clock::system());
    let info =
        InfoInput { admin_roles: Some(vec!["ops".to_owned()]), allowed_clusters: Some(vec!["standalone".to_owned()]) };
    tenants::create(&cx, store, &MessagingSettings::default(), &name, Some(&info)).await.expect("a tenant");
}

/// A hand-written version: a loop that takes all waiting requests and makes one commit.
struct Loop(mpsc::Sender<(String, oneshot::Sender<()>)>);

mod facet {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "messaging_tenants")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        pub admin_roles: String,
        pub allowed_clusters: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Loop {
    async fn start(url: &str) -> Self {
        open(url).await.close().await;
        let options: SqliteConnectOptions = url.parse().expect("a url");
        let options =
            options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full).foreign_keys(true);
        let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        let db = DatabaseConnection::from(pool.connect_with(options).await.expect("it opens"));
        let (send, mut waiting) = mpsc::channel(1024);
        tokio::spawn(async move {
            let mut group = Vec::new();
            while waiting.recv_many(&mut group, 256).await > 0 {
                let replies = commit(&db, group.drain(..)).await;
                for reply in replies {
                    let _ = reply.send(());
                }
            }
        });
        Self(send)
    }

    /// The loop without SeaORM, on its own thread.
    async fn start_raw(dir: &tempfile::TempDir) -> Self {
        open(&url(dir)).await.close().await;
        let mut writer = support::inline::Writer::open(&dir.path().join("tenantry.db"));
        let (send, mut waiting) = mpsc::channel::<(String, oneshot::Sender<()>)>(1024);
        std::thread::spawn(move || {
            let mut group = Vec::new();
            while waiting.blocking_recv_many(&mut group, 256) > 0 {
                writer.create(group.iter().map(|(name, _)| name.as_str()));
                for (_, reply) in group.drain(..) {
                    let _ = reply.send(());
                }
            }
        });
        Self(send)
    }

    async fn create(&self, name: String) {
        let (reply, answer) = oneshot::channel();
        self.0.send((name, reply)).await.expect("the loop runs");
        answer.await.expect("a commit");
    }
}

async fn commit(
    db: &DatabaseConnection,
    group: impl Iterator<Item = (String, oneshot::Sender<()>)>,
) -> Vec<oneshot::Sender<()>> {
    let mode = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode: mode, ..TransactionOptions::default() };
    let tx = db.begin_with_options(options).await.expect("a transaction");
    let (mut replies, mut audit, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (name, reply) in group {
        let savepoint = tx.begin().await.expect("a savepoint");
        let (id, now) = (TenantId::from_uuid(Uuid::now_v7()), Stamp::from(Clock::system().now()));
        rows::Entity::insert(tenant(id, &name, now).into_active_model())
            .exec_without_returning(&savepoint)
            .await
            .expect("a row");
        let facet = facet::Model {
            tenant_id: id.uuid(),
            admin_roles: r#"["ops"]"#.to_owned(),
            allowed_clusters: r#"["standalone"]"#.to_owned(),
        };
        facet::Entity::insert(facet.into_active_model()).exec_without_returning(&savepoint).await.expect("a row");
        savepoint.commit().await.expect("a savepoint");
        audit.push(audited(id, &name, now).into_active_model());
        events.push(event(id, &name, now).into_active_model());
        replies.push(reply);
    }
    audit_events::Entity::insert_many(audit).exec_without_returning(&tx).await.expect("rows");
    outbox::Entity::insert_many(events).exec_without_returning(&tx).await.expect("rows");
    tx.commit().await.expect("a commit");
    replies
}

fn tenant(id: TenantId, name: &str, now: Stamp) -> rows::Model {
    rows::Model {
        id,
        name: name.to_owned(),
        name_key: name.to_owned(),
        display_name: name.to_owned(),
        status: TenantStatus::Active,
        suspended_by: None,
        version: 1,
        labels: Json::default(),
        created_at: now,
        updated_at: now,
        purge_at: None,
        list_key: format!("{name}\n{name}"),
    }
}

fn audited(id: TenantId, name: &str, now: Stamp) -> audit_events::Model {
    audit_events::Model {
        id: Uuid::now_v7(),
        seq: None,
        prev_hash: None,
        hash: None,
        at: now,
        caller_subject: "system".to_owned(),
        caller_role: "platform_admin".to_owned(),
        caller_kind: "SERVICE".to_owned(),
        tenant_id: Some(id),
        action: "tenant.create".to_owned(),
        target: name.to_owned(),
        outcome: "success".to_owned(),
        request_id: String::new(),
        rpc: "tenant.create".to_owned(),
        details: r#"{"admin_roles":["ops"],"allowed_clusters":["standalone"]}"#.to_owned(),
    }
}

fn event(id: TenantId, name: &str, now: Stamp) -> outbox::Model {
    outbox::Model {
        id: Uuid::now_v7(),
        revision: None,
        topic: "tenant".to_owned(),
        tenant_id: Some(id),
        key: id.to_string(),
        payload: format!(r#"{{"change":"created","name":"{name}","version":1}}"#),
        created_at: now,
    }
}
