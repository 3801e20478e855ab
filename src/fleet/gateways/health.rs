//! The health of gateways, computed from what they reported (zero-trust contract, section 8).

use time::{Duration, OffsetDateTime};

use crate::{
    base::{IdKind, Result},
    fleet::state::{self, Heartbeat, State},
    policy::{canary, gateway_view},
    store::{
        Db,
        columns::{Applied, Totals},
        tables::{CredentialRow, GatewayMaterialRow, GatewayPoolRow, GatewayReportRow, GatewayRow, TenantRows},
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
    /// It has refused policies or trust anchors, and has applied no newer ones.
    MaterialRefused,
    /// Its clock differs by more than 30 seconds.
    ClockSkew,
    /// More than nine tenths of its sessions, processor or memory are used.
    Overloaded,
}

impl Cause {
    pub const ALL: [Self; 6] = [
        Self::CertificateExpiring,
        Self::PolicyBehind,
        Self::AnchorsBehind,
        Self::MaterialRefused,
        Self::ClockSkew,
        Self::Overloaded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::CertificateExpiring => "certificate_expiring",
            Self::PolicyBehind => "policy_behind",
            Self::AnchorsBehind => "anchors_behind",
            Self::MaterialRefused => "material_refused",
            Self::ClockSkew => "clock_skew",
            Self::Overloaded => "overloaded",
        }
    }
}

/// What the tenant wants its gateways to apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The versions of policies, by the first buckets of gateways.
    policies: Vec<gateway_view::Wanted>,
    /// The number of the newest set of trust anchors, 0 if there is none.
    anchors: i64,
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
    /// What it has said about policies and trust anchors on its stream.
    pub policy: Option<&'a GatewayMaterialRow>,
    pub anchors: Option<&'a GatewayMaterialRow>,
    pub pool: Option<&'a GatewayPoolRow>,
}

impl Observed<'_> {
    /// What it has applied, by its last report and its stream; `None` if it has said nothing.
    fn applied(&self) -> Option<Applied> {
        let reported = self.report.filter(|report| report.sequence.is_some());
        let by_report = reported.and_then(|report| report.applied.as_ref()).map(|applied| applied.0);
        let of = |material: Option<&GatewayMaterialRow>| material.map(|row| row.applied_number);
        let (policy, anchors) = (of(self.policy), of(self.anchors));
        let is_known = reported.is_some() || policy.is_some() || anchors.is_some();
        is_known.then(|| {
            let applied = by_report.unwrap_or_default();
            Applied {
                policy_version: applied.policy_version.max(policy),
                anchors_sequence: applied.anchors_sequence.max(anchors),
                ..applied
            }
        })
    }

    fn has_refused(&self) -> bool {
        [self.policy, self.anchors].into_iter().flatten().any(GatewayMaterialRow::is_refusing)
    }
}

/// Reads what a tenant wants its gateways to apply.
pub async fn wanted(rows: &TenantRows<'_, impl Db>, now: OffsetDateTime) -> Result<Wanted> {
    Ok(Wanted {
        policies: gateway_view::wanted(rows, now.into()).await?,
        anchors: rows.anchor_sets().latest().await?.map_or(0, |set| set.sequence),
    })
}

impl Wanted {
    /// The policy of a gateway, if one is published for it.
    fn policy_of(&self, gateway: &GatewayRow) -> Option<gateway_view::Wanted> {
        let bucket = canary::bucket(&IdKind::Gateway.show(gateway.id));
        let of_bucket = self.policies.iter().rev().find(|wanted| wanted.from <= bucket).copied();
        of_bucket.filter(|wanted| wanted.version > 0)
    }
}

/// The health of a gateway. Before its first report, only its certificate and its last call are known.
pub fn health(of: Observed<'_>, wanted: &Wanted, now: OffsetDateTime, heartbeat: Heartbeat) -> Health {
    let report = of.report.filter(|report| report.sequence.is_some());
    let totals = report.and_then(|report| report.totals.as_ref()).map(|totals| totals.0);
    let max_sessions = of.pool.and_then(|pool| pool.max_sessions);
    let (applied, policy) = (of.applied(), wanted.policy_of(of.row));
    // What was not reported counts as not applied.
    let lacks_policy = |wanted: &gateway_view::Wanted| {
        applied.is_some_and(|applied| applied.policy_version.unwrap_or(0) < wanted.version)
    };
    let lacks_anchors = applied.is_some_and(|applied| applied.anchors_sequence.unwrap_or(0) < wanted.anchors);
    let is_due = |wanted: &gateway_view::Wanted| wanted.since.time() + POLLS <= now;
    let is_so = |cause: Cause| match cause {
        Cause::CertificateExpiring => of.credential.is_some_and(|credential| is_expiring(credential, now)),
        Cause::PolicyBehind => policy.is_some_and(|wanted| lacks_policy(&wanted) && is_due(&wanted)),
        Cause::AnchorsBehind => lacks_anchors,
        Cause::MaterialRefused => of.has_refused(),
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
        drifts: lacks_anchors || policy.is_some_and(|wanted| lacks_policy(&wanted)),
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
        base::EnrolledKind,
        fleet::state::tests::{NOW, gateway},
        store::{
            Stamp,
            columns::{Json, MaterialKind, PolicyChannel},
        },
    };

    /// Version 5 since some seconds, and set 2.
    fn wanted(since: i64) -> Wanted {
        let since = Stamp::from(NOW - Duration::seconds(since));
        let policy = gateway_view::Wanted { from: 0, version: 5, channel: PolicyChannel::Stable, since };
        Wanted { policies: vec![policy], anchors: 2 }
    }

    fn material(applied_number: i64, refused_number: i64) -> GatewayMaterialRow {
        let row = gateway(None);
        GatewayMaterialRow {
            tenant_id: row.tenant_id,
            gateway_id: row.id,
            material: MaterialKind::GatewayPolicy,
            applied_number,
            applied_at: None,
            refused_number,
            refused_code: String::new(),
            refused_detail: String::new(),
            refused_at: None,
            canaries: Default::default(),
        }
    }

    fn credential(left: i64) -> CredentialRow {
        let row = gateway(None);
        CredentialRow {
            tenant_id: row.tenant_id,
            id: Uuid::nil(),
            kind: EnrolledKind::Gateway,
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
        let of = Observed { row, credential: Some(&credential), report, policy: None, anchors: None, pool: None };
        let health = health(of, &wanted(20), NOW, Heartbeat::default());
        (health.state, health.causes, health.drifts)
    }

    #[test]
    fn each_cause_degrades_an_online_gateway() {
        let online = gateway(Some(1));
        let (calm, busy) = (Totals::default(), Totals { cpu: Some(0.91), ..Totals::default() });
        let good = report(Some(5), 2, 30, Totals { mem: Some(0.9), ..calm });
        assert_eq!(found(&online, 7, Some(&good)), (State::Online, vec![], false));
        let newest = report(Some(5), 2, 0, calm);
        assert_eq!(found(&online, 7, Some(&newest)), (State::Online, vec![], false));
        for (left, report, cause) in [
            (6, newest.clone(), Cause::CertificateExpiring),
            (7, report(Some(4), 2, 0, calm), Cause::PolicyBehind),
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
    fn a_gateway_has_two_polls_to_apply_a_policy() {
        let (online, old) = (gateway(Some(1)), report(Some(4), 2, 0, Totals::default()));
        for (since, behind) in [(19, false), (20, true)] {
            let of = Observed {
                row: &online,
                credential: None,
                report: Some(&old),
                policy: None,
                anchors: None,
                pool: None,
            };
            let health = health(of, &wanted(since), NOW, Heartbeat::default());
            assert_eq!((health.causes.contains(&Cause::PolicyBehind), health.drifts), (behind, true), "{since}");
        }
    }

    #[test]
    fn what_a_gateway_says_on_its_stream_counts() {
        let online = gateway(Some(1));
        let judged = |policy: &GatewayMaterialRow, anchors: &GatewayMaterialRow| {
            let (policy, anchors) = (Some(policy), Some(anchors));
            let of = Observed { row: &online, credential: None, report: None, policy, anchors, pool: None };
            health(of, &wanted(20), NOW, Heartbeat::default()).causes
        };
        assert_eq!(judged(&material(5, 4), &material(2, 0)), []);
        assert_eq!(judged(&material(4, 0), &material(1, 0)), [Cause::PolicyBehind, Cause::AnchorsBehind]);
        assert_eq!(judged(&material(4, 5), &material(2, 0)), [Cause::PolicyBehind, Cause::MaterialRefused]);
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
