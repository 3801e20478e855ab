//! Rotations of keys: the phases of each, the keys of the installation that an anchor set has, and the key that signed a policy.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{flag, id, index, number, number_null, text, text_null},
};

/// The key of the policies that were signed before: a tenant had one.
const FIRST_KEY: &str = "UPDATE policy_bundles SET key_id = coalesce((SELECT key_id FROM signers \
     WHERE signers.tenant_id = policy_bundles.tenant_id AND signers.key_use = 'policy-signing' AND signers.state = 'active'), '')";

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(rotations()).await?;
    schema.run(index("rotations_of_tenant", "rotations", &["tenant_id", "id"])).await?;
    schema.sql("CREATE INDEX rotations_due ON rotations (due_at) WHERE due_at IS NOT NULL").await?;
    let installation = text("installation").default("").take();
    schema.run(Table::alter().table("anchor_sets").add_column(installation).take()).await?;
    let key = text("key_id").default("").take();
    schema.run(Table::alter().table("policy_bundles").add_column(key).take()).await?;
    schema.sql(FIRST_KEY).await
}

/// A rotation of a key of the installation has no tenant.
fn rotations() -> TableCreateStatement {
    let mut tenant = ForeignKey::create()
        .name("rotations_tenant_fkey")
        .from("rotations", "tenant_id")
        .to("tenants", "id")
        .on_delete(ForeignKeyAction::Cascade)
        .take();
    Table::create()
        .table("rotations")
        .col(id("id").primary_key())
        .col(ColumnDef::new("tenant_id").uuid().null())
        .col(text("key_use"))
        .col(id("old_key"))
        .col(text("old_key_id"))
        .col(id("new_key"))
        .col(text("new_key_id"))
        .col(text("phase"))
        .col(text("outcome"))
        .col(flag("emergency"))
        .col(flag("spread"))
        .col(number("overlap_seconds"))
        .col(text_null("reason"))
        .col(text("requested_by"))
        .col(number("published_at"))
        .col(number_null("activate_at"))
        .col(number_null("retire_at"))
        .col(number_null("remove_at"))
        .col(number_null("due_at"))
        .col(number("updated_at"))
        .col(number_null("ended_at"))
        .foreign_key(&mut tenant)
        .take()
}
