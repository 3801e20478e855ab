//! Recording the uses of API keys, which are counted in memory and written together.

use super::{
    Stamp, Store, Tx,
    audit::AuditRecord,
    tables::{ApiKeyUse, api_keys},
};
use crate::base::Result;

impl Store {
    /// Writes audit events for uses of keys, and records the last use of each key. Does not belong to a call.
    pub async fn note_api_key_uses(&self, uses: Vec<ApiKeyUse>, events: Vec<AuditRecord>) -> Result<()> {
        self.maintain("apikey.use", (uses, events), note_uses).await
    }
}

async fn note_uses(tx: &Tx, (uses, events): &(Vec<ApiKeyUse>, Vec<AuditRecord>)) -> Result<()> {
    events.iter().cloned().for_each(|event| tx.record(event));
    for last in uses {
        api_keys::note_use(tx.conn(), last, Stamp::from(tx.now())).await?;
    }
    Ok(())
}
