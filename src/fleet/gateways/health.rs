//! The health of gateways, computed from what they reported (zero-trust contract, section 8).

use time::{Duration, OffsetDateTime};

use crate::{
    base::Result,
    fleet::state::{self, Heartbeat, State},
    store::{
        Db, Stamp,
        columns::{Applied, Totals},
        tables::{CredentialRow, GatewayPoolRow, GatewayReportRow, GatewayRow, TenantRows},
    },
};

/// How long a gateway may take to apply a new policy: two polls of 10 seconds.
const POLLS: Duration = Duration::seconds(20);
/// Tolerated difference of clocks, in seconds.
const SKEW: i64 = 30;
/// The load from which a gateway is degraded.
const FULL: f64 = 0.9;

/// What is wrong with a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// At most a quarter of the validity of its certificate is left.
    CertificateExpiring,
    /// It has not applied the newest policy within two polls.
    PolicyBehind,
    /// It has not applied the newest trust anchors.
    AnchorsBehind,
    /// Its clock differs by more than 30 seconds.
    ClockSkew,
    /// More than nine tenths of its sessions, processor or memory are used.
    Overloaded,
}

impl Cause {
    pub const ALL: [Self; 5] =
        [Self::CertificateExpiring, Self::PolicyBehind, Self::AnchorsBehind, Self::ClockSkew, Self::Overloaded];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::CertificateExpiring => "certificate_expiring",
            Self::PolicyBehind => "policy_behind",
            Self::AnchorsBehind => "anchors_behind",
            Self::ClockSkew => "clock_skew",
            Self::Overloaded => "overloaded",
        }
    }
}

/// What the tenant wants its gateways to apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The newest version of a policy, 0 if there is none.
    pub policy: i64,
    /// The newest version that gateways have had time to apply.
    pub policy_due: i64,
    /// The number of the newest set of trust anchors, 0 if there is none.
    pub anchors: i64,
}

/// The health of a gateway at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub state: State,
    /// What is wrong with it, also if it is not online.
    pub causes: Vec<Cause>,
    /// Whether it has applied something else than is wanted.
    pub drifts: bool,
    /// Remaining validity of its newest certificate in days, rounded down; negative after its end.
    pub certificate_days: Option<i64>,
    /// What it reported last.
    pub totals: Option<Totals>,
    pub applied: Option<Applied>,
    /// The limit of its pool.
    pub max_sessions: Option<i64>,
}

/// What the health of a gateway is computed from.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    pub row: &'a GatewayRow,
    pub credential: Option<&'a CredentialRow>,
    pub report: Option<&'a GatewayReportRow>,
    pub pool: Option<&'a GatewayPoolRow>,
}

/// Reads what a tenant wants its gateways to apply.
pub async fn wanted(rows: &TenantRows<'_, impl Db>, now: OffsetDateTime) -> Result<Wanted> {
    Ok(Wanted {
        policy: rows.policies().latest().await?,
        policy_due: rows.policies().latest_before(Stamp::from(now - POLLS)).await?,
        anchors: rows.anchor_sets().latest().await?.map_or(0, |set| set.sequence),
    })
}

/// The health of a gateway. Before its first report, only its certificate and its last call are known.
pub fn health(of: Observed<'_>, wanted: &Wanted, now: OffsetDateTime, heartbeat: Heartbeat) -> Health {
    let report = of.report.filter(|report| report.sequence.is_some());
    let applied = report.and_then(|report| report.applied.as_ref()).map(|applied| applied.0);
    let totals = report.and_then(|report| report.totals.as_ref()).map(|totals| totals.0);
    let max_sessions = of.pool.and_then(|pool| pool.max_sessions);
    let (policy, anchors) = applied.map_or((None, None), |applied| (applied.policy_version, applied.anchors_sequence));
    // What was not reported counts as not applied.
    let (policy, anchors) = (policy.unwrap_or(0), anchors.unwrap_or(0));
    let is_so = |cause: Cause| match cause {
        Cause::CertificateExpiring => of.credential.is_some_and(|credential| is_expiring(credential, now)),
        Cause::PolicyBehind => report.is_some() && policy < wanted.policy_due,
        Cause::AnchorsBehind => report.is_some() && anchors < wanted.anchors,
        Cause::ClockSkew => report.and_then(|report| report.clock_skew).is_some_and(|skew| skew.abs() > SKEW),
        Cause::Overloaded => totals.is_some_and(|totals| is_full(&totals, max_sessions)),
    };
    let causes: Vec<_> = Cause::ALL.into_iter().filter(|cause| is_so(*cause)).collect();
    let state = match state::of(of.row, now, heartbeat) {
        State::Online if !causes.is_empty() => State::Degraded,
        state => state,
    };
    Health {
        state,
        drifts: report.is_some() && (policy < wanted.policy || anchors < wanted.anchors),
        certificate_days: of.credential.map(|credential| (credential.not_after.time() - now).whole_days()),
        causes,
        totals,
        applied,
        max_sessions,
    }
}

fn is_expiring(credential: &CredentialRow, now: OffsetDateTime) -> bool {
    let (start, end) = (credential.not_before.time(), credential.not_after.time());
    end - now <= (end - start) / 4
}

fn is_full(totals: &Totals, max_sessions: Option<i64>) -> bool {
    let sessions = max_sessions.filter(|most| *most > 0).map(|most| totals.active_sessions as f64 / most as f64);
    [sessions, totals.cpu, totals.mem].into_iter().flatten().any(|load| load > FULL)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        fleet::state::tests::{NOW, gateway},
        store::columns::{EnrollmentKind, Json},
    };

    const WANTED: Wanted = Wanted { policy: 5, policy_due: 4, anchors: 2 };

    fn credential(left: i64) -> CredentialRow {
        let row = gateway(None);
        CredentialRow {
            tenant_id: row.tenant_id,
            id: Uuid::nil(),
            kind: EnrollmentKind::Gateway,
            subject_id: row.id,
            thumbprint: String::new(),
            public_key: String::new(),
            issuer_key_id: String::new(),
            token_id: None,
            ip: None,
            not_before: Stamp::from(NOW - Duration::hours(24 - left)),
            not_after: Stamp::from(NOW + Duration::hours(left)),
            created_at: Stamp::from(NOW),
            revoked_at: None,
        }
    }

    fn report(policy: Option<i64>, anchors: i64, skew: i64, totals: Totals) -> GatewayReportRow {
        let row = gateway(None);
        let applied = Applied { policy_version: policy, anchors_sequence: Some(anchors), ..Applied::default() };
        GatewayReportRow {
            tenant_id: row.tenant_id,
            gateway_id: row.id,
            kill_version: 0,
            sequence: Some(1),
            received_at: Some(Stamp::from(NOW)),
            clock_skew: Some(skew),
            totals: Some(Json(totals)),
            applied: Some(Json(applied)),
        }
    }

    fn found(row: &GatewayRow, left: i64, report: Option<&GatewayReportRow>) -> (State, Vec<Cause>, bool) {
        let credential = credential(left);
        let of = Observed { row, credential: Some(&credential), report, pool: None };
        let health = health(of, &WANTED, NOW, Heartbeat::default());
        (health.state, health.causes, health.drifts)
    }

    #[test]
    fn each_cause_degrades_an_online_gateway() {
        let online = gateway(Some(1));
        let (calm, busy) = (Totals::default(), Totals { cpu: Some(0.91), ..Totals::default() });
        let good = report(Some(4), 2, 30, Totals { mem: Some(0.9), ..calm });
        assert_eq!(found(&online, 7, Some(&good)), (State::Online, vec![], true));
        let newest = report(Some(5), 2, 0, calm);
        assert_eq!(found(&online, 7, Some(&newest)), (State::Online, vec![], false));
        for (left, report, cause) in [
            (6, newest.clone(), Cause::CertificateExpiring),
            (7, report(Some(3), 2, 0, calm), Cause::PolicyBehind),
            (7, report(None, 2, 0, calm), Cause::PolicyBehind),
            (7, report(Some(5), 1, 0, calm), Cause::AnchorsBehind),
            (7, report(Some(5), 2, -31, calm), Cause::ClockSkew),
            (7, report(Some(5), 2, 0, busy), Cause::Overloaded),
        ] {
            let (state, causes, _) = found(&online, left, Some(&report));
            assert_eq!((state, causes), (State::Degraded, vec![cause]));
        }
    }

    #[test]
    fn a_gateway_without_a_report_is_judged_by_what_is_known() {
        assert_eq!(found(&gateway(Some(1)), 12, None), (State::Online, vec![], false));
        let unsent = GatewayReportRow { sequence: None, ..report(None, 0, 99, Totals::default()) };
        assert_eq!(found(&gateway(Some(1)), 12, Some(&unsent)), (State::Online, vec![], false));
    }

    #[test]
    fn a_gateway_that_is_not_online_is_not_degraded() {
        let old = report(Some(1), 1, 0, Totals::default());
        assert_eq!(found(&gateway(Some(91)), 12, Some(&old)).0, State::Offline);
        let draining = GatewayRow { drain_deadline: Some(Stamp::from_micros(1)), ..gateway(Some(1)) };
        let (state, causes, _) = found(&draining, 12, Some(&old));
        assert_eq!((state, causes), (State::Draining, vec![Cause::PolicyBehind, Cause::AnchorsBehind]));
    }

    #[test]
    fn sessions_fill_the_pool() {
        let totals = |active_sessions| Totals { active_sessions, ..Totals::default() };
        assert!(!is_full(&totals(90), Some(100)) && is_full(&totals(91), Some(100)));
        assert!(!is_full(&totals(91), None));
    }
}
