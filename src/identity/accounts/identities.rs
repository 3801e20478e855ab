//! Identities: people across tenants, each with an email address. Grants give them roles in tenants.

use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, ExprTrait, IntoActiveModel, Order, QueryFilter, QueryOrder,
    QuerySelect, Select, sea_query::OnConflict,
};
use serde_json::Value;
use uuid::Uuid;

use crate::identity::Email;
use crate::{
    base::{Cx, Error, Result, error::Reason, scope::platform_only},
    store::{
        Change, ChangeKind, Db, Exec, Fetch, Pages, Resource, Stamp, Store, Tx, pages::by_bytes, tables::identities,
    },
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: Uuid,
    /// The address in the form that is compared.
    pub email: String,
    /// Whether its grants are in effect.
    pub is_active: bool,
}

impl From<identities::Model> for Identity {
    fn from(row: identities::Model) -> Self {
        Self { id: row.id, email: row.email_key, is_active: row.is_active }
    }
}

impl Identity {
    pub fn domain(&self) -> &str {
        self.email.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// The identities by address; with `email`, only the one with that address. For platform callers.
pub async fn list(cx: &Cx, store: &Store, email: Option<&str>) -> Result<Pages<Identity>> {
    platform_only(&cx.access)?;
    let Some(text) = email else {
        let backend = store.backend();
        let query = move |after, limit| query(backend, after).limit(limit).into_model::<identities::Model>();
        let rows = Pages::read(cx, store, |row| row.email_key.clone(), query).await?;
        return Ok(rows.map(Identity::from));
    };
    // A text that is not an address matches nothing.
    let keys = Email::keys(text);
    let rows = identities::Entity::find().filter(identities::Column::EmailKey.is_in(keys.clone()));
    let found = rows.fetch_all(store.read()).await?.into_iter().map(Identity::from);
    let found = found.min_by_key(|identity| keys.iter().position(|key| *key == identity.email));
    Ok(Pages::whole(found.into_iter().collect()))
}

/// The query for the identities after an address.
pub fn query(backend: DbBackend, after: Option<String>) -> Select<identities::Entity> {
    let email = by_bytes(backend, identities::Column::EmailKey);
    let after = after.map(|after| email.clone().gt(after));
    identities::Entity::find().filter(Condition::all().add_option(after)).order_by(email, Order::Asc)
}

/// Creates the identity of an address. Fails with INVALID_ARGUMENT for an invalid address, with ALREADY_EXISTS
/// if it is taken.
pub async fn create(cx: &Cx, store: &Store, email: &str) -> Result<Identity> {
    platform_only(&cx.access)?;
    store.write(cx, Email::read(email)?, insert).await
}

async fn insert(tx: &Tx, email: &Email) -> Result<Identity> {
    if by_email(tx.conn(), email).await?.is_some() {
        return Err(Error::exists(Reason::IdentityExists, "a user with that email already exists"));
    }
    let row = new_row(tx, email);
    identities::Entity::insert(row.clone().into_active_model()).run(tx.conn()).await?;
    tx.changed(created(row.id), row.email_key.as_str(), Value::Null);
    Ok(Identity::from(row))
}

fn created(id: Uuid) -> Change {
    Change::new(Resource::Identity, ChangeKind::Created, id.to_string())
}

fn new_row(tx: &Tx, email: &Email) -> identities::Model {
    let now = Stamp::from(tx.now());
    identities::Model {
        id: tx.new_id(),
        email: email.as_str().to_owned(),
        email_key: email.key().to_owned(),
        is_active: true,
        created_at: now,
        updated_at: now,
    }
}

/// The id of the identity of an address, which is created if necessary.
pub async fn ensure(tx: &Tx, email: &Email) -> Result<Uuid> {
    let row = new_row(tx, email);
    let made = row.id;
    let there = OnConflict::column(identities::Column::EmailKey).do_nothing().to_owned();
    let insert = identities::Entity::insert(row.into_active_model()).on_conflict(there);
    if insert.run(tx.conn()).await? == 1 {
        tx.also_changed(created(made));
        return Ok(made);
    }
    Ok(by_email(tx.conn(), email).await?.map_or(made, |identity| identity.id))
}

pub async fn by_email(conn: &impl Db, email: &Email) -> Result<Option<Identity>> {
    let found = identities::Entity::find().filter(identities::Column::EmailKey.eq(email.key())).fetch_one(conn).await?;
    Ok(found.map(Identity::from))
}

pub async fn by_id(conn: &impl Db, id: Uuid) -> Result<Option<Identity>> {
    Ok(identities::Entity::find_by_id(id).fetch_one(conn).await?.map(Identity::from))
}

/// Locks the identity, so that nobody else grants it anything during the write.
pub(in crate::identity) async fn by_id_locked(tx: &Tx, id: Uuid) -> Result<Option<Identity>> {
    // SQLite has one writer and needs no lock; its dialect omits the clause.
    Ok(identities::Entity::find_by_id(id).lock_exclusive().fetch_one(tx.conn()).await?.map(Identity::from))
}

pub fn not_found() -> Error {
    Error::not_found(Reason::IdentityNotFound, "User not found.")
}
