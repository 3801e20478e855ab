//! The policy of the platform for every project of the manager surface: one row, once it was set.

use sea_orm::{
    DbErr,
    sea_query::{Index, Table},
};

use crate::{
    Schema,
    columns::{number, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("platform_policies")
        .col(text("name"))
        .col(text("image_allowlist"))
        .col(text("egress_baseline"))
        .col(text_null("max_requests_cpu"))
        .col(text_null("max_requests_memory"))
        .col(number("generation"))
        .col(number("observed_generation"))
        .col(text_null("observed"))
        .col(number("updated_at"))
        .primary_key(Index::create().name("platform_policies_pkey").col("name"))
        .take();
    schema.run(table).await
}
