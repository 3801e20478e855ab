//! The ends of grants: which sessions end with one. And why a grant was given, and which tenant a person chose last.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, Table},
};

use crate::{
    Schema,
    columns::{number_null, text_null},
};

/// The few sessions that end with a grant. The condition is implied by that of its query.
const ENDING: &str = "CREATE INDEX login_sessions_grant_ends ON login_sessions (grant_expires_at) \
                      WHERE grant_expires_at IS NOT NULL";

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let add = |table: &'static str, column: ColumnDef| Table::alter().table(table).add_column(column).take();
    schema.run(add("login_sessions", number_null("grant_expires_at"))).await?;
    schema.run(add("grants", text_null("reason"))).await?;
    schema.run(add("grants", number_null("chosen_at"))).await?;
    schema.sql(ENDING).await
}
