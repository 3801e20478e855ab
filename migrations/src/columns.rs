//! Column types that both databases share.

use sea_orm_migration::prelude::*;

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
