//! Ways to read long lists a page at a time: an index in the order of each, so that nothing is sorted or held as a whole. And
//! one to find a deleted account by the name that it had.

use sea_orm::DbErr;

use crate::Schema;

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let postgres = schema.is_postgres();
    let bytes = if postgres { " COLLATE \"C\"" } else { "" };
    for statement in [
        "CREATE INDEX tenants_list_key ON tenants (list_key, id)".to_owned(),
        // With the status, so that the names of those in some of them are read from the index alone.
        format!("CREATE INDEX tenants_names ON tenants (name{bytes}, status)"),
        "CREATE INDEX grants_of_identity ON grants (identity_id, id)".to_owned(),
        "CREATE INDEX accounts_names ON accounts (tenant_id, username)".to_owned(),
    ] {
        schema.sql(&statement).await?;
    }
    if postgres {
        // What SQLite's unique indexes of these columns do as well.
        for statement in [
            "CREATE INDEX identities_emails ON identities (email_key COLLATE \"C\")",
            "CREATE INDEX namespaces_names ON namespaces (tenant_id, name COLLATE \"C\")",
        ] {
            schema.sql(statement).await?;
        }
    }
    Ok(())
}
