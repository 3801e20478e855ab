//! Derived names: databases, owner roles, secret roles, Kubernetes namespaces.
//!
//! A name is derived from the tenant's name once, at first use, and recorded. It does not change when the
//! tenant is renamed, and it stays reserved after the tenant is deleted, so that a later tenant cannot inherit
//! resources of an earlier one.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::OnConflict};

use crate::{
    base::{Error, Result, TenantId, TenantName, TenantScope, error::Reason},
    store::{Db, Exec, Fetch, Stamp, Store, Tx, tables::derived_names},
};

/// Maximum length of the base, in characters, before `_` and eight hex digits are added.
const BASE: usize = 40;

/// A kind of derived name, and how it is built from the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameKind {
    /// The kind as it is stored.
    pub kind: &'static str,
    /// Text before the base.
    pub prefix: &'static str,
    /// Text after the base.
    pub suffix: &'static str,
}

impl NameKind {
    /// A tenant's database.
    pub const DATABASE: Self = Self { kind: "database", prefix: "tenant_", suffix: "" };
    /// The owner role of the database.
    pub const DATABASE_OWNER: Self = Self { kind: "database_owner", prefix: "", suffix: "_owner" };
    /// The connection of OpenBAO to the database.
    pub const OPENBAO_CONNECTION: Self = Self { kind: "openbao_connection", prefix: "", suffix: "" };
    /// The role in OpenBAO.
    pub const OPENBAO_ROLE: Self = Self { kind: "openbao_role", prefix: "", suffix: "-role" };

    /// The kind in an error text.
    fn words(self) -> String {
        self.kind.replace('_', " ").replace("openbao", "OpenBAO")
    }

    fn around(self, base: &str) -> String {
        let name = format!("{}{base}{}", self.prefix, self.suffix);
        // PostgreSQL reserves role names that begin so. Names in OpenBAO begin with a letter or a digit.
        let is_path = self.kind.starts_with("openbao_");
        match name.starts_with("pg_") || (is_path && !name.starts_with(|first: char| first.is_ascii_alphanumeric())) {
            true => format!("t_{name}"),
            false => name,
        }
    }
}

/// The base of all derived names: the tenant's name with only lower-case letters, digits and `_`, at most 40
/// characters.
pub fn base(name: &TenantName) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.as_str().chars().map(plain).take(BASE).collect()
}

/// The base for a tenant whose regular base is taken: with eight hex digits of the id. The last ones, because
/// they are random, while the first ones are the time.
pub fn base_with_id(name: &TenantName, id: TenantId) -> String {
    let hex = id.uuid().as_simple().to_string();
    format!("{}_{}", base(name), &hex[hex.len() - 8..])
}

/// Returns the tenant's recorded name of a kind, or derives and records one.
pub async fn derive(tx: &Tx, scope: TenantScope, name: &TenantName, kind: NameKind) -> Result<String> {
    let tenant = scope.tenant();
    if let Some(recorded) = recorded(tx.conn(), tenant, kind).await? {
        return Ok(recorded);
    }
    for base in [base(name), base_with_id(name, tenant)] {
        let derived = kind.around(&base);
        if reserve(tx, tenant, kind, &derived).await? {
            return Ok(derived);
        }
        // A concurrent write of the same tenant may have recorded one.
        if let Some(recorded) = recorded(tx.conn(), tenant, kind).await? {
            return Ok(recorded);
        }
    }
    Err(Error::internal(format!("no free {} name for the tenant {tenant}", kind.kind)))
}

/// Records a name that was chosen for a tenant, or checks that it is the recorded one. Fails if the tenant has another name
/// of this kind, or if the name is, or was, another tenant's.
pub async fn claim(tx: &Tx, scope: TenantScope, kind: NameKind, name: &str) -> Result<()> {
    let tenant = scope.tenant();
    if recorded(tx.conn(), tenant, kind).await?.is_none() && reserve(tx, tenant, kind, name).await? {
        return Ok(());
    }
    match recorded(tx.conn(), tenant, kind).await? {
        Some(recorded) if recorded == name => Ok(()),
        Some(recorded) => {
            let message = format!("the {} of the tenant is {recorded} and cannot be changed", kind.words());
            Err(Error::precondition(Reason::PlacementConflict, message))
        }
        None => {
            let message = format!("the name is taken: the {} {name} belongs to another tenant", kind.words());
            Err(Error::precondition(Reason::DatabaseNameTaken, message))
        }
    }
}

/// The tenant's recorded name of a kind, outside of a write.
pub async fn get(store: &Store, scope: TenantScope, kind: NameKind) -> Result<Option<String>> {
    recorded(store.read(), scope.tenant(), kind).await
}

/// The tenant's recorded name of a kind.
pub async fn find(tx: &Tx, scope: TenantScope, kind: NameKind) -> Result<Option<String>> {
    recorded(tx.conn(), scope.tenant(), kind).await
}

async fn recorded(conn: &impl Db, tenant: TenantId, kind: NameKind) -> Result<Option<String>> {
    let row = derived_names::Entity::find()
        .filter(derived_names::Column::Kind.eq(kind.kind))
        .filter(derived_names::Column::TenantId.eq(tenant))
        .fetch_one(conn)
        .await?;
    Ok(row.map(|row| row.name))
}

/// Records a name unless it is taken. Waits for concurrent transactions that record the same name.
async fn reserve(tx: &Tx, tenant: TenantId, kind: NameKind, name: &str) -> Result<bool> {
    let row = derived_names::Model {
        kind: kind.kind.to_owned(),
        name: name.to_owned(),
        tenant_id: tenant,
        created_at: Stamp::from(tx.now()),
    };
    let added = derived_names::Entity::insert(row.into_active_model())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .run(tx.conn())
        .await?;
    Ok(added == 1)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn name(name: &str) -> TenantName {
        name.parse().expect("a name")
    }

    #[test]
    fn the_base_is_plain_and_short() {
        assert_eq!(base(&name("Acme.Corp-1:x=y")), "acme_corp_1_x_y");
        assert_eq!(base(&name(&"a".repeat(100))), "a".repeat(40));
    }

    #[test]
    fn the_id_follows_the_truncated_base_and_precedes_the_suffix() {
        let id = TenantId::from_uuid(Uuid::from_u128(0x0191_f3a4_7c10_7b2e_9d31_5a6b_7c8d_9e0f));
        let base = base_with_id(&name(&"a".repeat(100)), id);
        assert_eq!(base, format!("{}_7c8d9e0f", "a".repeat(40)));
        assert_eq!(NameKind::DATABASE.around(&base), format!("tenant_{base}"));
        assert_eq!(NameKind::DATABASE_OWNER.around("acme"), "acme_owner");
        assert_eq!(NameKind::OPENBAO_ROLE.around("acme"), "acme-role");
        assert_eq!(NameKind::OPENBAO_CONNECTION.around("acme"), "acme");
    }

    #[test]
    fn every_name_is_an_identifier_that_postgres_allows() {
        let id = TenantId::from_uuid(Uuid::from_u128(u128::MAX));
        for slug in ["pg", "pg-1", "PG_x", "0day", "-", &"x".repeat(100), ".a"] {
            let name = name(slug);
            for base in [base(&name), base_with_id(&name, id)] {
                let kinds = [
                    NameKind::DATABASE,
                    NameKind::DATABASE_OWNER,
                    NameKind::OPENBAO_CONNECTION,
                    NameKind::OPENBAO_ROLE,
                ];
                for kind in kinds {
                    let derived = kind.around(&base);
                    assert!(derived.len() <= 63 && !derived.starts_with("pg_"), "{derived}");
                    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
                    assert!(derived.bytes().all(plain), "{derived}");
                    let in_openbao = kind.kind.starts_with("openbao_");
                    assert!(!in_openbao || !derived.starts_with(['_', '-']), "{derived}");
                }
            }
        }
        assert_eq!(NameKind::DATABASE_OWNER.around("pg_1"), "t_pg_1_owner");
        assert_eq!(NameKind::DATABASE.around("0day"), "tenant_0day");
    }
}
