//! The state of a gateway, computed from its row.

use time::{Duration, OffsetDateTime};

use crate::store::{Stamp, columns::GatewayStatus, tables::GatewayRow};

/// The interval in which gateways report. A gateway is live for three intervals after its last call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat(Duration);

/// The state of a gateway. What its operators decided hides whether it is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It was never seen.
    Registered,
    Online,
    /// It is online, and something is wrong.
    Degraded,
    Offline,
    Draining,
    Disabled,
    Revoked,
}

impl Heartbeat {
    pub fn new(interval: Duration) -> Self {
        Self(interval)
    }

    pub fn interval(self) -> Duration {
        self.0
    }

    fn live(self) -> Duration {
        self.0.saturating_mul(3)
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self(Duration::seconds(30))
    }
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }
}

/// The state at a time, without what is wrong with an online gateway.
pub(super) fn of(row: &GatewayRow, now: OffsetDateTime, heartbeat: Heartbeat) -> State {
    match row.status {
        GatewayStatus::Revoked => State::Revoked,
        GatewayStatus::Disabled => State::Disabled,
        GatewayStatus::Active if row.drain_deadline.is_some() => State::Draining,
        GatewayStatus::Active if row.last_seen_at.is_none() => State::Registered,
        GatewayStatus::Active if is_live(row, now, heartbeat) => State::Online,
        GatewayStatus::Active => State::Offline,
    }
}

/// Whether a gateway was seen within three intervals.
pub(super) fn is_live(row: &GatewayRow, now: OffsetDateTime, heartbeat: Heartbeat) -> bool {
    let seen = row.last_seen_at.map(Stamp::time);
    row.status != GatewayStatus::Revoked && seen.is_some_and(|seen| now - seen <= heartbeat.live())
}

#[cfg(test)]
pub(super) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        base::{Access, TenantId, TenantScope},
        store::columns::Json,
    };

    pub const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::days(1));

    pub fn gateway(seen: Option<i64>) -> GatewayRow {
        let scope = TenantScope::grant(&Access::Platform, TenantId::from_uuid(Uuid::nil()), "acme").unwrap();
        let created = Stamp::from_micros(0);
        GatewayRow {
            tenant_id: scope.into(),
            id: Uuid::nil(),
            pool_id: Uuid::nil(),
            name: "one".to_owned(),
            region: String::new(),
            endpoints: Json(Vec::new()),
            gateway_version: String::new(),
            status: GatewayStatus::Active,
            drain_deadline: None,
            token_id: None,
            last_seen_at: seen.map(|seconds| Stamp::from(NOW - Duration::seconds(seconds))),
            last_ip: None,
            version: 1,
            created_at: created,
            updated_at: created,
        }
    }

    #[test]
    fn a_gateway_is_online_for_three_intervals() {
        for (seen, expected) in [
            (None, State::Registered),
            (Some(0), State::Online),
            (Some(90), State::Online),
            (Some(91), State::Offline),
            (Some(-5), State::Online),
        ] {
            assert_eq!(of(&gateway(seen), NOW, Heartbeat::default()), expected, "{seen:?}");
        }
        let hasty = Heartbeat::new(Duration::seconds(1));
        assert_eq!(of(&gateway(Some(4)), NOW, hasty), State::Offline);
    }

    #[test]
    fn what_operators_decided_comes_first() {
        let usual = Heartbeat::default();
        let draining = GatewayRow { drain_deadline: Some(Stamp::from_micros(1)), ..gateway(Some(0)) };
        assert_eq!(of(&draining, NOW, usual), State::Draining);
        let disabled = GatewayRow { status: GatewayStatus::Disabled, ..draining };
        assert_eq!(of(&disabled, NOW, usual), State::Disabled);
        assert!(is_live(&disabled, NOW, usual));
        let revoked = GatewayRow { status: GatewayStatus::Revoked, ..disabled };
        assert_eq!((of(&revoked, NOW, usual), is_live(&revoked, NOW, usual)), (State::Revoked, false));
    }
}
