//! Indexes for the groups of an account and for expired idempotent responses.

use sea_orm::DbErr;

use crate::{Schema, columns::index};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(index("group_members_account", "group_members", &["tenant_id", "account_id"])).await?;
    schema.run(index("idempotent_answers_expires", "idempotent_answers", &["expires_at"])).await
}
