//! Projects and apps of the manager surface, and the ledger of the namespaces of projects in the cluster.

use sea_orm::{
    DbErr,
    sea_query::{ForeignKey, ForeignKeyAction, Index, Table},
};

use crate::{
    Schema,
    columns::{id, index, number, of_tenant, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let (mut tenant_id, mut tenant) = of_tenant("projects");
    let projects = Table::create()
        .table("projects")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(text("name"))
        .col(text("namespace"))
        .col(number("generation"))
        .col(number("observed_generation"))
        .col(text_null("observed"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .primary_key(Index::create().name("projects_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take();
    schema.run(projects).await?;
    schema.run(unique("projects_id_unique", "projects", &["id"])).await?;
    schema.run(unique("projects_name_unique", "projects", &["tenant_id", "name"])).await?;
    let apps = Table::create()
        .table("apps")
        .col(id("tenant_id"))
        .col(id("id"))
        .col(id("project_id"))
        .col(text("name"))
        .col(text_null("image"))
        .col(text_null("host"))
        .col(number("generation"))
        .col(number("observed_generation"))
        .col(text_null("observed"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .primary_key(Index::create().name("apps_pkey").col("tenant_id").col("id"))
        .foreign_key(
            ForeignKey::create()
                .name("apps_project_fkey")
                .from("apps", ("tenant_id", "project_id"))
                .to("projects", ("tenant_id", "id"))
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take();
    schema.run(apps).await?;
    schema.run(unique("apps_id_unique", "apps", &["id"])).await?;
    schema.run(unique("apps_name_unique", "apps", &["tenant_id", "project_id", "name"])).await?;
    schema.run(index("apps_project", "apps", &["tenant_id", "project_id", "id"])).await?;
    let namespaces = Table::create()
        .table("project_namespaces")
        .col(text("name"))
        .col(id("tenant_id"))
        .col(id("project_id"))
        .col(number("created_at"))
        .primary_key(Index::create().name("project_namespaces_pkey").col("name"))
        .take();
    schema.run(namespaces).await
}
