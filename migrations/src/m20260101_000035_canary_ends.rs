//! What gateways report about canaries, and the canaries that are active, by their ends.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, Table},
};

use crate::{
    Schema,
    columns::{number, text},
};

/// The few canaries that a job looks at. The condition is that of its query.
const CANARIES: &str = "CREATE INDEX policies_active_canaries ON policies (expires_at) \
                        WHERE state = 'active' AND channel = 'canary'";

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    let add = |table: &'static str, column: ColumnDef| Table::alter().table(table).add_column(column).take();
    schema.run(add("policies", number("gateways_reported").default(0).take())).await?;
    schema.run(add("policies", number("gateways_refused").default(0).take())).await?;
    schema.run(add("gateway_materials", text("canaries").default("[]").take())).await?;
    schema.sql(CANARIES).await
}
