//! Background jobs that run on one server at a time: their results and when they are due. And the newest outbox
//! revision at certain times, for the deletion of old events.

use sea_orm::{
    DbErr,
    sea_query::{Table, TableCreateStatement},
};

use crate::{
    Schema,
    columns::{number, number_null, text, text_null},
};

pub(crate) async fn up(schema: &Schema<'_>) -> Result<(), DbErr> {
    schema.run(jobs()).await?;
    schema.run(outbox_marks()).await
}

fn jobs() -> TableCreateStatement {
    Table::create()
        .table("jobs")
        .col(text("job").primary_key())
        .col(text("holder"))
        .col(number_null("last_start"))
        .col(number_null("last_end"))
        .col(number_null("last_success"))
        .col(number_null("last_failure"))
        .col(text_null("last_error"))
        .col(number("runs"))
        .col(number("failures"))
        .col(number("items"))
        .col(number("next_run"))
        .take()
}

/// The newest outbox revision at certain times.
fn outbox_marks() -> TableCreateStatement {
    Table::create().table("outbox_marks").col(number("revision").primary_key()).col(number("at")).take()
}
