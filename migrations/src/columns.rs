//! Column types for both databases.

use sea_orm::sea_query::{
    ColumnDef, ForeignKey, ForeignKeyAction, ForeignKeyCreateStatement, Index, IndexCreateStatement, IntoIden,
    IntoTableRef,
};

/// A required text.
pub fn text(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

/// An optional text.
pub fn text_null(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).text().null().take()
}

/// A UUID; 16 bytes on both databases.
pub fn id(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().take()
}

/// A 64-bit integer, or a time in microseconds since the Unix epoch.
pub fn number(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

/// An optional 64-bit integer.
pub fn number_null(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().take()
}

/// A boolean.
pub fn flag(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).boolean().not_null().take()
}

/// A unique index.
pub fn unique(name: &str, table: impl IntoTableRef, columns: &[&'static str]) -> IndexCreateStatement {
    index(name, table, columns).unique().take()
}

/// An index.
pub fn index(name: &str, table: impl IntoTableRef, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    for column in columns {
        index.col(*column);
    }
    index
}

/// The column that references a tenant, and the foreign key: rows are deleted with the tenant.
pub fn of_tenant(table: &'static str) -> (ColumnDef, ForeignKeyCreateStatement) {
    let key = ForeignKey::create()
        .name(format!("{table}_tenant_fkey"))
        .from(table, "tenant_id")
        .to("tenants", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take();
    (id("tenant_id"), key)
}

/// The foreign key of a table whose rows belong to an account of a tenant, and are deleted with it.
pub fn of_account(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_account_fkey"))
        .from(table, ("tenant_id", "account_id"))
        .to("accounts", ("tenant_id", "id"))
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}
