//! Sessions of devices at gateways, and the reports of gateways.

use sea_orm::{
    DbErr,
    sea_query::{ColumnDef, Index, Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{flag, id, index, number, number_null, of_tenant, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(access_sessions()).await?;
    for (name, columns) in [
        ("access_sessions_status", ["tenant_id", "status"].as_slice()),
        ("access_sessions_gateway_id", &["tenant_id", "gateway_id", "kill_requested_at"]),
        ("access_sessions_device_id", &["tenant_id", "device_id"]),
        ("access_sessions_account_id", &["tenant_id", "account_id"]),
        ("access_sessions_expires_at", &["status", "expires_at"]),
        ("access_sessions_ended_at", &["ended_at"]),
    ] {
        schema.run(index(name, "access_sessions", columns)).await?;
    }
    schema.run(metering_reports()).await?;
    schema.run(index("metering_reports_id", "metering_reports", &["tenant_id", "id"])).await?;
    schema.run(index("metering_reports_received_at", "metering_reports", &["received_at"])).await?;
    schema.run(gateway_reports()).await
}

fn access_sessions() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("access_sessions");
    Table::create()
        .table("access_sessions")
        .col(&mut tenant_id)
        .col(id("id"))
        .col(id("gateway_id"))
        .col(id("pool_id"))
        .col(id("device_id"))
        .col(ColumnDef::new("account_id").uuid().null())
        .col(id("grant_id"))
        .col(text_null("client_ip"))
        .col(text("auth_mode"))
        .col(number("policy_version"))
        .col(number("started_at"))
        .col(number("max_end"))
        .col(number("expires_at"))
        .col(number_null("reported_at"))
        .col(number("last_activity_at"))
        .col(number("bytes_in"))
        .col(number("bytes_out"))
        .col(text("counters"))
        .col(text("status"))
        .col(text_null("end_reason"))
        .col(number_null("ended_at"))
        .col(flag("end_reported"))
        .col(number_null("kill_requested_at"))
        .primary_key(Index::create().name("access_sessions_pkey").col("tenant_id").col("id"))
        .foreign_key(&mut tenant)
        .take()
}

fn metering_reports() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("metering_reports");
    Table::create()
        .table("metering_reports")
        .col(&mut tenant_id)
        .col(id("gateway_id"))
        .col(text("report_id"))
        .col(id("id"))
        .col(number("sequence"))
        .col(number("window_start"))
        .col(number("window_end"))
        .col(number("received_at"))
        .col(number("accepted"))
        .col(number("rejected"))
        .col(number("bytes_in"))
        .col(number("bytes_out"))
        .col(text("totals"))
        .primary_key(Index::create().name("metering_reports_pkey").col("tenant_id").col("gateway_id").col("report_id"))
        .foreign_key(&mut tenant)
        .take()
}

fn gateway_reports() -> TableCreateStatement {
    let (mut tenant_id, mut tenant) = of_tenant("gateway_reports");
    Table::create()
        .table("gateway_reports")
        .col(&mut tenant_id)
        .col(id("gateway_id"))
        .col(number("kill_version"))
        .col(number_null("sequence"))
        .col(number_null("received_at"))
        .col(number_null("clock_skew"))
        .col(text_null("totals"))
        .col(text_null("applied"))
        .primary_key(Index::create().name("gateway_reports_pkey").col("tenant_id").col("gateway_id"))
        .foreign_key(&mut tenant)
        .take()
}
