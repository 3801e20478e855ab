//! Identities: people across tenants, each by an email address. Grants give them roles in tenants.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::OnConflict};
use uuid::Uuid;

use super::Email;
use crate::{
    base::Result,
    store::{Stamp, Tx, entities::identities},
};

/// An identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: Uuid,
    /// Its address, as it is compared.
    pub email: String,
    /// Whether its grants are live.
    pub is_active: bool,
}

impl From<identities::Model> for Identity {
    fn from(row: identities::Model) -> Self {
        Self { id: row.id, email: row.email_key, is_active: row.is_active }
    }
}

/// The id of the identity of an address, which is made if there is none.
pub async fn ensure(tx: &Tx, email: &Email) -> Result<Uuid> {
    let now = Stamp::from(tx.now());
    let row = identities::Model {
        id: tx.new_id(),
        email: email.as_str().to_owned(),
        email_key: email.key().to_owned(),
        is_active: true,
        created_at: now,
        updated_at: now,
    };
    let made = row.id;
    let there = OnConflict::column(identities::Column::EmailKey).do_nothing().to_owned();
    let insert = identities::Entity::insert(row.into_active_model()).on_conflict(there);
    if insert.exec_without_returning(tx.conn()).await? == 1 {
        return Ok(made);
    }
    Ok(by_email(tx.conn(), email).await?.map_or(made, |identity| identity.id))
}

/// The identity of an address.
pub async fn by_email(conn: &impl ConnectionTrait, email: &Email) -> Result<Option<Identity>> {
    let found = identities::Entity::find().filter(identities::Column::EmailKey.eq(email.key())).one(conn).await?;
    Ok(found.map(Identity::from))
}
