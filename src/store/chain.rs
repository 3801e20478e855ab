//! The chain of the audit log: each sealed event carries the hash of itself and of the one before, so that none can be
//! changed or taken out without a trace.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sha2::{Digest, Sha256};

use super::{Store, entities::audit_events};
use crate::base::Result;

/// Begins every hash, so that it can be taken for no other.
const DOMAIN: &[u8] = b"tenantry audit event 1\n";
/// What stands before the first event.
const GENESIS: [u8; 32] = [0; 32];
/// Events of one page of a verification.
const PAGE: u64 = 1000;

/// The last link of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Number of the last sealed event; 0 before the first.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Head {
    pub const START: Self = Self { seq: 0, hash: GENESIS };

    /// The head of an event that is sealed; `None` if it is not.
    pub fn of(event: &audit_events::Model) -> Option<Self> {
        Some(Self { seq: event.seq?, hash: event.hash.as_deref()?.try_into().ok()? })
    }

    /// The head after one more event.
    pub fn next(self, event: &audit_events::Model) -> Self {
        let seq = self.seq + 1;
        Self { seq, hash: hash(&self.hash, seq, event) }
    }
}

/// Seals events after a head, in their order.
pub(super) fn seal(mut head: Head, events: &mut [audit_events::Model]) {
    for event in events {
        let next = head.next(event);
        event.seq = Some(next.seq);
        event.prev_hash = Some(head.hash.to_vec());
        event.hash = Some(next.hash.to_vec());
        head = next;
    }
}

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The chain is whole and has so many events.
    Sound {
        /// Number of sealed events.
        events: i64,
    },
    /// The chain is broken at this place: an event was changed, taken out or put in.
    Broken {
        /// The first number that does not follow from the one before.
        seq: i64,
    },
}

/// Verifies the chain from its first event to its last. That its end was not cut off shows only against a number and
/// hash that were kept elsewhere.
pub async fn verify(store: &Store) -> Result<Verdict> {
    let mut head = Head::START;
    loop {
        let page = audit_events::Entity::find()
            .filter(audit_events::Column::Seq.gt(head.seq))
            .order_by_asc(audit_events::Column::Seq)
            .limit(PAGE)
            .all(store.read())
            .await?;
        if page.is_empty() {
            return Ok(Verdict::Sound { events: head.seq });
        }
        for event in &page {
            let next = head.next(event);
            if Head::of(event) != Some(next) || event.prev_hash.as_deref() != Some(&head.hash) {
                return Ok(Verdict::Broken { seq: next.seq });
            }
            head = next;
        }
    }
}

/// SHA-256 over the hash before, the number, and every column in the table's order: numbers as eight bytes, big end
/// first; texts with their length before them, so that no two different events read alike.
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
    fn a_letter_that_moves_to_the_next_field_changes_the_hash() {
        assert_ne!(Head::START.next(&event("ab", "c")), Head::START.next(&event("a", "bc")));
    }

    #[test]
    fn the_rendering_stays_as_it_is() {
        let hash = Head::START.next(&event("tenant.create", "acme")).hash;
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4aa5b190bfce91203bea2efcb52a3fa790db73aa490f26ba31f31b4e898b8265");
    }

    #[test]
    fn the_number_and_the_event_before_count() {
        let first = Head::START.next(&event("a", "b"));
        let second = first.next(&event("a", "b"));
        assert_eq!((first.seq, second.seq), (1, 2));
        assert_ne!(first.hash, second.hash);
    }
}
