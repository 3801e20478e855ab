//! Indexes for reading long lists in pages: one in the order of each list, so that nothing is sorted or loaded
//! as a whole. And one to find a deleted account by its former name.

use sea_orm::DbErr;

use crate::Schema;

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let postgres = schema.is_postgres();
    let bytes = if postgres { " COLLATE \"C\"" } else { "" };
    for statement in [
        "CREATE INDEX tenants_list_key ON tenants (list_key, id)".to_owned(),
        // Includes the status, so that the names of tenants with certain statuses are read from the index alone.
        format!("CREATE INDEX tenants_names ON tenants (name{bytes}, status)"),
        "CREATE INDEX grants_of_identity ON grants (identity_id, id)".to_owned(),
        "CREATE INDEX accounts_names ON accounts (tenant_id, username)".to_owned(),
    ] {
        schema.sql(&statement).await?;
    }
    if postgres {
        // On SQLite the unique indexes of these columns serve the same purpose.
        for statement in [
            "CREATE INDEX identities_emails ON identities (email_key COLLATE \"C\")",
            "CREATE INDEX namespaces_names ON namespaces (tenant_id, name COLLATE \"C\")",
        ] {
            schema.sql(statement).await?;
        }
    }
    Ok(())
}
