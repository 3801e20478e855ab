//! Whether a published version counts at a time: the one rule for devices, gateways and what administrators see.
//!
//! A canary whose time is over counts no longer: its devices and gateways get the stable policies again. A stable version counts until
//! another one replaces it. When its time is over, those whom it is for must deny, because an outdated policy is not used and a wider one
//! may allow more.

use crate::store::{
    Stamp,
    columns::{PolicyChannel, PolicyState},
    tables::PolicyRow,
};

/// Whether a version counts at a time.
pub fn counts(row: &PolicyRow, now: Stamp) -> bool {
    row.state == PolicyState::Active && !is_over(row, now)
}

/// Whether a version is a canary whose time is over, and whose end was not recorded yet.
pub fn is_over(row: &PolicyRow, now: Stamp) -> bool {
    row.state == PolicyState::Active && row.channel == PolicyChannel::Canary && row.expires_at <= now
}

#[cfg(test)]
pub(super) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        base::{Access, TenantId, TenantScope},
        store::columns::PolicyScopeKind,
    };

    /// An active canary that expires at 10 microseconds.
    pub fn canary_row() -> PolicyRow {
        let scope = TenantScope::grant(&Access::Platform, TenantId::from_uuid(Uuid::nil()), "acme").unwrap();
        PolicyRow {
            tenant_id: scope.into(),
            id: Uuid::nil(),
            version: 1,
            channel: PolicyChannel::Canary,
            scope_type: PolicyScopeKind::Tenant,
            scope_id: Uuid::nil(),
            priority: 0,
            state: PolicyState::Active,
            digest: String::new(),
            canary: None,
            notes: String::new(),
            published_by: String::new(),
            from_version: None,
            published_at: Stamp::from_micros(0),
            expires_at: Stamp::from_micros(10),
            reported: 0,
            refused: 0,
            gateways_reported: 0,
            gateways_refused: 0,
            ended_version: None,
        }
    }

    #[test]
    fn a_canary_counts_until_its_end_and_a_stable_version_until_it_is_replaced() {
        let at = |channel, state, now| {
            let (row, now) = (PolicyRow { channel, state, ..canary_row() }, Stamp::from_micros(now));
            (counts(&row, now), is_over(&row, now))
        };
        assert_eq!(at(PolicyChannel::Canary, PolicyState::Active, 9), (true, false));
        assert_eq!(at(PolicyChannel::Canary, PolicyState::Active, 10), (false, true));
        assert_eq!(at(PolicyChannel::Canary, PolicyState::Expired, 10), (false, false));
        assert_eq!(at(PolicyChannel::Stable, PolicyState::Active, 10), (true, false));
        assert_eq!(at(PolicyChannel::Stable, PolicyState::Superseded, 9), (false, false));
    }
}
