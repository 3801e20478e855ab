//! Clusters, the messaging settings of tenants, and namespaces.

use std::time::{SystemTime, UNIX_EPOCH};

use sea_orm::{
    DbErr,
    sea_query::{ForeignKey, ForeignKeyAction, Index, InsertStatement, Query, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{id, number, text, text_null, unique},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(clusters()).await?;
    schema.run(messaging_tenants()).await?;
    schema.run(namespaces()).await?;
    schema.run(unique("namespaces_name_unique", "namespaces", &["tenant_id", "name"])).await?;
    schema.run(standalone()).await
}

fn clusters() -> TableCreateStatement {
    Table::create()
        .table("clusters")
        .col(text("name").primary_key())
        .col(text_null("service_url"))
        .col(text_null("service_url_tls"))
        .col(text_null("broker_service_url"))
        .col(text_null("broker_service_url_tls"))
        .col(text_null("proxy_service_url"))
        .col(text("peer_cluster_names"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .take()
}

/// Only settings, so the row is deleted with its tenant.
fn messaging_tenants() -> TableCreateStatement {
    Table::create()
        .table("messaging_tenants")
        .col(id("tenant_id").primary_key())
        .col(text("admin_roles"))
        .col(text("allowed_clusters"))
        .foreign_key(
            ForeignKey::create()
                .name("messaging_tenants_tenant_fkey")
                .from("messaging_tenants", "tenant_id")
                .to("tenants", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

/// Namespaces block the deletion of their tenant.
fn namespaces() -> TableCreateStatement {
    Table::create()
        .table("namespaces")
        .col(id("tenant_id"))
        .col(id("id"))
        .col(text("name"))
        .col(text("replication_clusters"))
        .col(number("created_at"))
        .primary_key(Index::create().name("namespaces_pkey").col("tenant_id").col("id"))
        .foreign_key(
            ForeignKey::create()
                .name("namespaces_tenant_fkey")
                .from("namespaces", "tenant_id")
                .to("tenants", "id")
                .on_delete(ForeignKeyAction::Restrict),
        )
        .take()
}

/// The cluster that always exists, so that tenants can be created right away.
fn standalone() -> InsertStatement {
    // Microseconds fit into 64 bits for 290,000 years.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
    Query::insert()
        .into_table("clusters")
        .columns(["name", "peer_cluster_names", "created_at", "updated_at"])
        .values_panic(["standalone".into(), "[]".into(), now.into(), now.into()])
        .take()
}
