//! Credentials of devices and gateways.

use sea_orm::{QueryOrder, entity::prelude::*, sea_query::Expr};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{EnrollmentKind, Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credentials")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7: the serial number of the certificate.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: EnrollmentKind,
    /// The device or gateway.
    pub subject_id: Uuid,
    /// The thumbprint of the key (RFC 7638), in base64url.
    pub thumbprint: String,
    /// SubjectPublicKeyInfo: DER, in base64.
    pub public_key: String,
    /// The id of the authority's key.
    pub issuer_key_id: String,
    pub not_before: Stamp,
    /// The end of its validity; earlier than that of the certificate if a renewal replaced it.
    pub not_after: Stamp,
    pub created_at: Stamp,
    pub revoked_at: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::Id;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn credentials(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts a credential.
    pub async fn insert(&self, credential: Model) -> Result<()> {
        self.add(credential).await
    }

    /// The newest credential of a device or gateway.
    pub async fn latest(&self, subject: Uuid) -> Result<Option<Model>> {
        let query = self.select().filter(Column::SubjectId.eq(subject)).order_by_desc(Column::Id);
        Ok(query.fetch_one(self.conn).await?)
    }

    /// Whether a device or gateway has, or had, a credential for this key.
    pub async fn has_key(&self, subject: Uuid, thumbprint: &str) -> Result<bool> {
        let query = self.select().filter(Column::SubjectId.eq(subject)).filter(Column::Thumbprint.eq(thumbprint));
        Ok(query.fetch_one(self.conn).await?.is_some())
    }

    /// Ends the credentials of a device or gateway that are valid longer than until `end`.
    pub async fn shorten(&self, subject: Uuid, end: Stamp) -> Result<()> {
        self.update_many()
            .col_expr(Column::NotAfter, Expr::value(end))
            .filter(Column::SubjectId.eq(subject))
            .filter(Column::NotAfter.gt(end))
            .run(self.conn)
            .await?;
        Ok(())
    }

    /// Revokes the credentials of a device or gateway.
    pub async fn revoke(&self, subject: Uuid, now: Stamp) -> Result<()> {
        self.update_many()
            .col_expr(Column::RevokedAt, Expr::value(now))
            .filter(Column::SubjectId.eq(subject))
            .filter(Column::RevokedAt.is_null())
            .run(self.conn)
            .await?;
        Ok(())
    }
}
