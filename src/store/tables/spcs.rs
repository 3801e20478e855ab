//! Security policy certificates of a tenant.

use sea_orm::{Condition, QueryOrder, QuerySelect, entity::prelude::*};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::Result,
    store::{
        Count, Db, Exec, Fetch, TxConn,
        columns::{Json, Owner, RevocationReason, Stamp},
        delete_some,
    },
};

/// Maximum number of devices in one statement.
const AT_ONCE: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spcs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The number under which it is revoked. Unique in the tenant.
    pub serial: String,
    pub device_id: Uuid,
    /// The thumbprint of the key of the device (RFC 7638), in base64url.
    pub thumbprint: String,
    /// The id of the key that signed it.
    pub key_id: String,
    pub policy_version: i64,
    /// SHA-256 of the content of that version, in hex.
    pub policy_digest: String,
    /// The pools that accept it.
    pub pool_ids: Json<Vec<Uuid>>,
    /// The groups of the device when it was issued.
    pub group_ids: Json<Vec<Uuid>>,
    /// A word of the policy.
    pub min_auth_mode: String,
    /// The revocation epoch in which it was issued.
    pub epoch: i64,
    /// Whole seconds, as is `not_after`.
    pub not_before: Stamp,
    pub not_after: Stamp,
    pub revoked_at: Option<Stamp>,
    /// The sequence of the revocation.
    pub revoked_in: Option<i64>,
    pub revocation_reason: Option<RevocationReason>,
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

/// Some certificates of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpcFilter {
    Id(Uuid),
    /// Those of devices.
    Devices(Vec<Uuid>),
    /// Those that a key signed.
    Key(String),
    All,
}

/// A revocation of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpcRevocation {
    pub reason: RevocationReason,
    pub at: Stamp,
    /// Certificates that ended before this time need no revocation.
    pub ended: Stamp,
}

impl<'a, C> TenantRows<'a, C> {
    pub fn spcs(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts a certificate.
    pub async fn insert(&self, spc: Model) -> Result<()> {
        self.add(spc).await
    }

    /// The certificate with a serial number.
    pub async fn by_serial(&self, serial: &str) -> Result<Option<Model>> {
        Ok(self.select().filter(Column::Serial.eq(serial)).fetch_one(self.conn).await?)
    }

    /// How many certificates of a device are valid: not expired, not revoked, and of this epoch or a later one.
    pub async fn valid_of_device(&self, device: Uuid, epoch: i64, now: Stamp) -> Result<u64> {
        let of_device = self.select().filter(Column::DeviceId.eq(device)).filter(Column::Epoch.gte(epoch));
        Ok(of_device.filter(valid(now)).fetch_count(self.conn).await?)
    }

    /// The certificates of devices that are valid: not expired at a time, not revoked, and of this epoch or a later one.
    pub async fn valid_of(&self, devices: &[Uuid], epoch: i64, at: Stamp) -> Result<Vec<Model>> {
        let mut found = Vec::new();
        for some in devices.chunks(AT_ONCE) {
            let of_devices = self.select().filter(Column::DeviceId.is_in(some.iter().copied()));
            found.extend(of_devices.filter(Column::Epoch.gte(epoch)).filter(valid(at)).fetch_all(self.conn).await?);
        }
        Ok(found)
    }

    /// Whether a device has, or had, a certificate.
    pub async fn has_of_device(&self, device: Uuid) -> Result<bool> {
        Ok(self.select().filter(Column::DeviceId.eq(device)).fetch_one(self.conn).await?.is_some())
    }

    /// The revoked serial numbers of an epoch and later ones that ended after a time, in order: those of revocations after a sequence,
    /// and until another one.
    pub async fn revoked(&self, epoch: i64, (after, until): (i64, i64), ended: Stamp) -> Result<Vec<String>> {
        let revoked = self
            .select()
            .filter(Column::RevokedIn.gt(after))
            .filter(Column::RevokedIn.lte(until))
            .filter(Column::Epoch.gte(epoch))
            .filter(Column::NotAfter.gt(ended))
            .order_by_asc(Column::Id);
        Ok(revoked.select_only().column(Column::Serial).into_tuple().fetch_all(self.conn).await?)
    }

    /// Whether any of these can be revoked.
    pub(super) async fn has_valid(&self, which: &SpcFilter, ended: Stamp) -> Result<bool> {
        for some in conditions(which) {
            if self.select().filter(some).filter(valid(ended)).fetch_one(self.conn).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Revokes these in a sequence, and returns how many there were.
    pub(super) async fn revoke(&self, which: &SpcFilter, revocation: SpcRevocation, sequence: i64) -> Result<u64> {
        let mut count = 0;
        for some in conditions(which) {
            let update = self
                .update_many()
                .col_expr(Column::RevokedAt, Expr::value(revocation.at))
                .col_expr(Column::RevokedIn, Expr::value(sequence))
                .col_expr(Column::RevocationReason, Expr::value(revocation.reason))
                .filter(some)
                .filter(valid(revocation.ended));
            count += update.run(self.conn).await?;
        }
        Ok(count)
    }
}

/// The conditions for certificates, each for a number that fits into a statement.
fn conditions(which: &SpcFilter) -> Vec<Condition> {
    let of_devices = |some: &[Uuid]| Condition::all().add(Column::DeviceId.is_in(some.iter().copied()));
    match which {
        SpcFilter::Id(id) => vec![Condition::all().add(Column::Id.eq(*id))],
        SpcFilter::Devices(devices) => devices.chunks(AT_ONCE).map(of_devices).collect(),
        SpcFilter::Key(key) => vec![Condition::all().add(Column::KeyId.eq(key.as_str()))],
        SpcFilter::All => vec![Condition::all()],
    }
}

fn valid(ended: Stamp) -> Condition {
    Condition::all().add(Column::RevokedAt.is_null()).add(Column::NotAfter.gt(ended))
}

/// Deletes certificates of any tenant that ended before a time, at most `most`, and returns how many there were. For the job that
/// prunes them.
pub async fn delete_ended(conn: &TxConn, before: Stamp, most: u64) -> Result<u64> {
    let ended = Column::NotAfter.lt(before);
    delete_some(conn, Entity::delete_many().filter(ended.clone()), Entity::find().filter(ended), most).await
}
