//! The status of the background jobs in `/readyz?verbose`.

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::jobs::{Status, StatusBoard};

/// All jobs, by name.
pub(super) fn to_json(board: &StatusBoard) -> Value {
    board.all().iter().map(job).collect()
}

fn job(status: &Status) -> Value {
    let failure = status.last_failure.as_ref();
    json!({
        "name": status.name,
        "runs_on": status.placement.as_str(),
        "state": status.state.as_str(),
        "holds_lease": status.holds_lease,
        "runs": status.runs,
        "failures": status.failures,
        "items": status.items,
        "last_start": moment(status.last_start),
        "last_success": moment(status.last_success),
        "last_failure": moment(failure.map(|failure| failure.at)),
        "last_error": failure.map(|failure| &failure.error),
        "next_run": moment(status.next_run),
    })
}

/// In RFC 3339, to the millisecond.
fn moment(time: Option<OffsetDateTime>) -> Option<String> {
    let time = time?;
    time.replace_millisecond(time.millisecond()).unwrap_or(time).format(&Rfc3339).ok()
}
