//! Column types that both databases share.

use sea_orm::sea_query::{
    ColumnDef, ForeignKey, ForeignKeyAction, ForeignKeyCreateStatement, Index, IndexCreateStatement, IntoIden,
    IntoTableRef,
};

/// Text that must be there.
pub fn text(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).text().not_null().take()
}

/// Text that may be missing.
pub fn text_null(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).text().null().take()
}

/// A UUID; 16 bytes on both databases.
pub fn id(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).uuid().not_null().take()
}

/// A number of 64 bits, or a time in microseconds since the epoch.
pub fn number(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().take()
}

/// A number of 64 bits that may be missing.
pub fn number_null(name: impl IntoIden) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().take()
}

/// Yes or no.
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

/// The column that leads to a tenant, and the foreign key of the table: its rows go with the tenant.
pub fn of_tenant(table: &'static str) -> (ColumnDef, ForeignKeyCreateStatement) {
    let key = ForeignKey::create()
        .name(format!("{table}_tenant_fkey"))
        .from(table, "tenant_id")
        .to("tenants", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take();
    (id("tenant_id"), key)
}

/// The foreign key of a table whose rows belong to an account of a tenant, and go with it.
pub fn of_account(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("{table}_account_fkey"))
        .from(table, ("tenant_id", "account_id"))
        .to("accounts", ("tenant_id", "id"))
        .on_delete(ForeignKeyAction::Cascade)
        .take()
}
