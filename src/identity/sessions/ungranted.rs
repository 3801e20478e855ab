//! The end of sessions whose grant has expired. Their tokens expire with the grant, by the clock of the server that issued them; this ends
//! them by the clock of the database, which all servers share.

use super::{records, revocations};
use crate::{
    base::Result,
    store::{Stamp, Store, Tx},
};

/// Revokes the tokens of at most `most` sessions whose grant has expired. Returns their number. Without such a session nothing is written.
pub async fn end(store: &Store, most: u64) -> Result<u64> {
    let now = Stamp::from(store.time().await?);
    if !records::are_ungranted(store, now).await? {
        return Ok(0);
    }
    store.maintain("grant.expire", most, end_in).await
}

async fn end_in(tx: &Tx, most: &u64) -> Result<u64> {
    let now = Stamp::from(tx.time().await?);
    let sessions = records::ungranted(tx, now, *most).await?;
    let count = sessions.len() as u64;
    for session in sessions {
        revocations::revoke(tx, &(session.token_id, session.expires_at.time())).await?;
    }
    Ok(count)
}
