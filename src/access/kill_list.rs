//! The sessions that a gateway has to end.

use uuid::Uuid;

use crate::{
    base::Result,
    store::{Db, Stamp, tables::TenantRows},
};

/// The sessions that a gateway has to end. One that it reports as ended, or that was ended an hour ago, is no longer among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillList {
    /// Raised by every change, except the removal of sessions that ended an hour ago.
    pub version: i64,
    pub sessions: Vec<Uuid>,
}

/// The list of a gateway at a time.
pub async fn kill_list(rows: &TenantRows<'_, impl Db>, gateway: Uuid, now: Stamp) -> Result<KillList> {
    // Read first: sessions that are added meanwhile come with the next version as well.
    let version = rows.gateway_reports().get(gateway).await?.map_or(0, |report| report.kill_version);
    Ok(KillList { version, sessions: rows.access_sessions().kill_list(gateway, now).await? })
}
