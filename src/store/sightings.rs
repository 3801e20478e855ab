//! Recording when devices and gateways were last seen.

use super::{
    Store, Tx,
    tables::{Seen, devices, gateways},
};
use crate::base::{EnrolledKind, Result};

impl Store {
    /// Records the last calls of devices and gateways. Does not belong to a call.
    pub async fn note_seen(&self, seen: Vec<Seen>) -> Result<()> {
        self.maintain("fleet.seen", seen, note).await
    }
}

async fn note(tx: &Tx, seen: &Vec<Seen>) -> Result<()> {
    for seen in seen {
        match seen.kind {
            EnrolledKind::Device => devices::note_seen(tx.conn(), seen).await?,
            EnrolledKind::Gateway => gateways::note_seen(tx.conn(), seen).await?,
        }
    }
    Ok(())
}
