//! Rows that tests start from.

use sea_orm::{ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use tenantry::{
    base::{Role, TenantScope},
    identity::{self, Email, NewAccount, Password, Passwords, api_keys::NewApiKey},
    store::{
        Change, ChangeKind, Exec, Fetch, Resource, Stamp, Store, Tx,
        columns::Json,
        tables::{audit_events, clusters},
    },
    tenants::{self, NewTenant},
};
use uuid::Uuid;

use crate::db::{TestDb, platform_cx, write};

/// Creates a tenant.
pub async fn tenant(db: &TestDb, name: &str) -> TenantScope {
    let name = name.to_owned();
    write(db, &platform_cx("tenant.create"), move |tx| {
        let new = NewTenant::named(name.parse().unwrap());
        Box::pin(async move { Ok(tenants::insert(tx, &new, None).await?.1) })
    })
    .await
    .unwrap()
}

/// Creates an account of a tenant, with an address and a password.
pub async fn account(db: &TestDb, tenant: TenantScope, username: &str) -> Uuid {
    let email = Some(Email::read(&format!("{username}@example.com")).unwrap());
    let password = Password::of_development("correct horse battery");
    let new = NewAccount { email, ..NewAccount::login(Some(tenant), username, password, Role::User) };
    identity::create_account(db, &Passwords::new(1), &platform_cx("account.create"), new).await.unwrap()
}

/// The request for an API key of a role.
pub fn key(role: &str) -> NewApiKey {
    NewApiKey { name: "ci".to_owned(), role: role.to_owned(), expires_in: None, networks: Vec::new() }
}

/// The number of audit events with an action.
pub async fn audited(store: &Store, action: &str) -> usize {
    let events = audit_events::Entity::find().filter(audit_events::Column::Action.eq(action));
    events.fetch_all(store.read()).await.unwrap().len()
}

/// Runs SQL that no verb runs.
pub async fn sql(store: &Store, text: String) -> Result<(), DbErr> {
    let (text, cx) = (std::sync::Arc::new(text), platform_cx("test"));
    let outcome = write(store, &cx, move |tx| {
        let text = text.clone();
        Box::pin(async move { Ok(tx.conn().execute_unprepared(&text).await.map(drop)?) })
    });
    outcome.await.map_err(|error| DbErr::Custom(error.to_string()))
}

/// Inserts a cluster: the smallest possible write.
pub async fn insert_cluster(tx: &Tx, name: &str) -> tenantry::base::Result<()> {
    let now = Stamp::from(tx.now());
    let row = clusters::Model {
        name: name.to_owned(),
        service_url: None,
        service_url_tls: None,
        broker_service_url: None,
        broker_service_url_tls: None,
        proxy_service_url: None,
        peer_cluster_names: Json::default(),
        settings: "{}".to_owned(),
        sealed: None,
        created_at: now,
        updated_at: now,
    };
    clusters::Entity::insert(row.into_active_model()).run(tx.conn()).await?;
    tx.also_changed(Change::new(Resource::Cluster, ChangeKind::Created, name));
    Ok(())
}
