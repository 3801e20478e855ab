//! What gateways have applied and refused of the materials that they follow.

use sea_orm::{
    DbErr,
    sea_query::{ForeignKey, ForeignKeyAction, Index, Table},
};

use crate::{
    Schema,
    columns::{id, number, number_null, text},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let table = Table::create()
        .table("gateway_materials")
        .col(id("tenant_id"))
        .col(id("gateway_id"))
        .col(text("material"))
        .col(number("applied_number"))
        .col(number_null("applied_at"))
        .col(number("refused_number"))
        .col(text("refused_code"))
        .col(text("refused_detail"))
        .col(number_null("refused_at"))
        .primary_key(Index::create().name("gateway_materials_pkey").col("tenant_id").col("gateway_id").col("material"))
        .foreign_key(
            ForeignKey::create()
                .name("gateway_materials_gateway_fkey")
                .from("gateway_materials", ("tenant_id", "gateway_id"))
                .to("gateways", ("tenant_id", "id"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    schema.run(table).await
}
