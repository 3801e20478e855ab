//! What devices report about their policies, the counts of reports of each canary, and the number of a tenant's gateway directory.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{id, index, number, number_null, of_tenant, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let add = |column: ColumnDef| Table::alter().table("policies").add_column(column).take();
    schema.run(add(number("reported").default(0).take())).await?;
    schema.run(add(number("refused").default(0).take())).await?;
    schema.run(add(number_null("ended_version"))).await?;
    schema.run(index("policies_ended_version", "policies", &["tenant_id", "ended_version"])).await?;
    schema.run(reports()).await?;
    let (mut tenant_id, mut tenant) = of_tenant("gateway_directories");
    let directories = Table::create()
        .table("gateway_directories")
        .col(&mut tenant_id)
        .col(number("number"))
        .col(text("content"))
        .col(number("issued_at"))
        .primary_key(Index::create().name("gateway_directories_pkey").col("tenant_id"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(directories).await
}

fn reports() -> TableCreateStatement {
    Table::create()
        .table("policy_reports")
        .col(id("tenant_id"))
        .col(id("device_id"))
        .col(number_null("applied_version"))
        .col(text_null("applied_digest"))
        .col(text_null("applied_channel"))
        .col(number_null("refused_version"))
        .col(text_null("refused_error"))
        .col(text("canaries"))
        .col(text_null("session"))
        .col(number("reported_at"))
        .primary_key(Index::create().name("policy_reports_pkey").col("tenant_id").col("device_id"))
        .foreign_key(
            ForeignKey::create()
                .name("policy_reports_device_fkey")
                .from("policy_reports", ("tenant_id", "device_id"))
                .to("devices", ("tenant_id", "id"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}
