//! The hash chain of the audit log: each sealed event contains its own hash and that of the previous event, so
//! that changes and deletions are detectable.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sha2::{Digest, Sha256};

use super::{Fetch, Store, tables::audit_events};
use crate::base::Result;

/// Domain separation: the prefix of every hash.
const DOMAIN: &[u8] = b"tenantry audit event 1\n";
/// The hash before the first event.
const GENESIS: [u8; 32] = [0; 32];
/// Page size of a verification, in events.
const PAGE: u64 = 1000;

/// The last link of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Number of the last sealed event; 0 before the first.
    pub seq: i64,
    pub hash: [u8; 32],
}

impl Head {
    pub const START: Self = Self { seq: 0, hash: GENESIS };

    /// The head after a sealed event; `None` if the event is not sealed.
    pub fn of(event: &audit_events::Model) -> Option<Self> {
        Some(Self { seq: event.seq?, hash: event.hash.as_deref()?.try_into().ok()? })
    }

    /// The head after one more event.
    pub fn next(self, event: &audit_events::Model) -> Self {
        let seq = self.seq + 1;
        Self { seq, hash: hash(&self.hash, seq, event) }
    }
}

/// Seals events in order, starting after `head`.
pub(super) fn seal(mut head: Head, events: &mut [audit_events::Model]) {
    for event in events {
        let next = head.next(event);
        event.seq = Some(next.seq);
        event.prev_hash = Some(head.hash.to_vec());
        event.hash = Some(next.hash.to_vec());
        head = next;
    }
}

/// The result of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainStatus {
    /// The chain is complete.
    Sound {
        /// Number of sealed events.
        events: i64,
    },
    /// The chain is broken: an event was changed, deleted or inserted.
    Broken {
        /// The first number that does not follow from the previous event.
        seq: i64,
    },
}

/// Verifies the chain from its first to its last event. A truncated end can be detected only with a number and
/// hash stored elsewhere.
pub async fn verify(store: &Store) -> Result<ChainStatus> {
    let mut head = Head::START;
    loop {
        let page = audit_events::Entity::find()
            .filter(audit_events::Column::Seq.gt(head.seq))
            .order_by_asc(audit_events::Column::Seq)
            .limit(PAGE)
            .fetch_all(store.read())
            .await?;
        if page.is_empty() {
            return Ok(ChainStatus::Sound { events: head.seq });
        }
        for event in &page {
            let next = head.next(event);
            if Head::of(event) != Some(next) || event.prev_hash.as_deref() != Some(&head.hash) {
                return Ok(ChainStatus::Broken { seq: next.seq });
            }
            head = next;
        }
    }
}

/// SHA-256 over the previous hash, the number, and every column in the table's order: numbers as eight
/// big-endian bytes, texts prefixed with their length, so that the encoding is unambiguous.
fn hash(prev: &[u8; 32], seq: i64, event: &audit_events::Model) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(DOMAIN);
    hasher.update(prev);
    hasher.update(seq.to_be_bytes());
    hasher.update(event.id.as_bytes());
    hasher.update(event.at.micros().to_be_bytes());
    let tenant = event.tenant_id.map(|id| id.to_string()).unwrap_or_default();
    let texts = [
        &event.caller_subject,
        &event.caller_role,
        &event.caller_kind,
        &tenant,
        &event.action,
        &event.target,
        &event.outcome,
        &event.request_id,
        &event.rpc,
        &event.details,
    ];
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::store::Stamp;

    fn event(action: &str, target: &str) -> audit_events::Model {
        audit_events::Model {
            id: Uuid::from_u128(1),
            seq: None,
            prev_hash: None,
            hash: None,
            at: Stamp::from(OffsetDateTime::UNIX_EPOCH),
            caller_subject: "root".to_owned(),
            caller_role: "platform_admin".to_owned(),
            caller_kind: "USER".to_owned(),
            tenant_id: None,
            action: action.to_owned(),
            target: target.to_owned(),
            outcome: "success".to_owned(),
            request_id: String::new(),
            rpc: String::new(),
            details: "{}".to_owned(),
        }
    }

    #[test]
    fn moving_a_character_to_the_next_field_changes_the_hash() {
        assert_ne!(Head::START.next(&event("ab", "c")), Head::START.next(&event("a", "bc")));
    }

    #[test]
    fn the_encoding_does_not_change() {
        let hash = Head::START.next(&event("tenant.create", "acme")).hash;
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4aa5b190bfce91203bea2efcb52a3fa790db73aa490f26ba31f31b4e898b8265");
    }

    #[test]
    fn the_hash_covers_the_number_and_the_previous_event() {
        let first = Head::START.next(&event("a", "b"));
        let second = first.next(&event("a", "b"));
        assert_eq!((first.seq, second.seq), (1, 2));
        assert_ne!(first.hash, second.hash);
    }
}
