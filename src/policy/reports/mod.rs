//! What devices report about their policies and sessions, and what follows: a canary that too many of its devices refuse is withdrawn
//! (zero-trust contract, sections 4.8 and 5.6; decisions, "Canary").

mod canaries;
mod of_gateways;
mod rules;

use uuid::Uuid;

use self::rules::{Checked, check};
pub use self::{
    of_gateways::count_gateways,
    rules::{NewReport, NewVerdict},
};
use super::{
    bundles::key_of,
    current::{self, Current},
    ending::withdraw,
};
use crate::{
    base::{Cx, Error, Result, TenantRef, TenantScope, error::Reason},
    store::{
        Store, Tx,
        columns::Json,
        tables::{DeviceRow, PolicyBundleRow, PolicyReportRow},
    },
    tenants,
};

/// What a device says about a version of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub version: i64,
    /// Why the device refused it; it applied it if there is none.
    pub refused: Option<String>,
}

/// Stores what a device reports, and withdraws the canaries that more than 5 % of the devices that reported on them have refused then, if
/// at least `least` have reported. Fails with INVALID_ARGUMENT for an invalid member and for a version that the tenant does not have, with
/// NOT_FOUND if there is no such device, with PERMISSION_DENIED if it is not active.
pub async fn report(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    device: Uuid,
    new: NewReport,
    least: i64,
) -> Result<()> {
    let checked = check(new, store.clock().now())?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let store = store.clone();
    // In a task of its own: a device that disconnects must not prevent the withdrawal.
    let work = async move {
        let due = store.maintain("telemetry.session", (scope, device, checked, least), report_in).await?;
        withdraw(&store, scope, due, least).await
    };
    tokio::spawn(work).await.map_err(Error::internal)?
}

async fn report_in(tx: &Tx, (scope, device, new, least): &(TenantScope, Uuid, Checked, i64)) -> Result<Vec<Uuid>> {
    let mut reports = Reports::open(tx, *scope, *device).await?;
    let due = match &new.verdict {
        Some(verdict) => reports.judge(tx, *scope, verdict, *least).await?,
        None => Vec::new(),
    };
    if let Some(version) = new.client_version.as_ref().filter(|version| **version != reports.device.client_version) {
        tx.tenant(*scope).devices().set_client_version(*device, version).await?;
    }
    let last = &mut reports.row.session;
    if last.as_ref().is_none_or(|last| last.at <= new.session.at) {
        *last = Some(Json(new.session.clone()));
    }
    reports.close(tx, *scope).await?;
    Ok(due)
}

/// Stores what a device says about a version of its policy, and returns the canaries that must be withdrawn then, with [`withdraw`],
/// after the transaction. Fails as [`report`] does.
pub async fn record(tx: &Tx, scope: TenantScope, device: Uuid, verdict: &Verdict, least: i64) -> Result<Vec<Uuid>> {
    let mut reports = Reports::open(tx, scope, device).await?;
    let due = reports.judge(tx, scope, verdict, least).await?;
    reports.close(tx, scope).await?;
    Ok(due)
}

/// What a device has reported.
struct Reports {
    device: DeviceRow,
    before: Option<PolicyReportRow>,
    row: PolicyReportRow,
}

impl Reports {
    /// Reads them. The device is locked, so its reports wait for each other.
    async fn open(tx: &Tx, scope: TenantScope, device: Uuid) -> Result<Self> {
        let rows = tx.tenant(scope);
        let device = rows.devices().get_locked(device).await?.ok_or_else(current::not_found)?;
        current::require_active(&device)?;
        let before = rows.policy_reports().get(device.id).await?;
        let none = || PolicyReportRow::none(scope.into(), device.id, tx.now().into());
        Ok(Self { row: before.clone().unwrap_or_else(none), device, before })
    }

    /// Stores them, if something changed.
    async fn close(self, tx: &Tx, scope: TenantScope) -> Result<()> {
        if self.before.as_ref() == Some(&self.row) {
            return Ok(());
        }
        let row = PolicyReportRow { reported_at: tx.now().into(), ..self.row };
        tx.tenant(scope).policy_reports().put(row).await
    }

    /// Takes a verdict, and counts it for the canaries that the policy comes from. Returns those that must be withdrawn.
    async fn judge(&mut self, tx: &Tx, scope: TenantScope, verdict: &Verdict, least: i64) -> Result<Vec<Uuid>> {
        let is_known = self.row.applied_version == Some(verdict.version) && self.row.refused_version.is_none();
        if is_known && verdict.refused.is_none() {
            return Ok(Vec::new());
        }
        let rows = tx.tenant(scope);
        if verdict.version > rows.latest_policy_version().await? {
            let text = "the tenant has no policy with this version";
            return Err(Error::invalid(Reason::PolicyVersionNotFound, "applied_policy.version", text));
        }
        let current = current::of(&rows, &self.device, tx.now().into()).await?;
        let resolved = current.resolve();
        let bundle = match &resolved {
            Some(resolved) => rows.policy_bundles().of(&key_of(resolved)).await?,
            None => None,
        };
        note(&mut self.row, verdict, bundle.as_ref());
        match resolved.filter(|_| is_current(verdict.version, &current, bundle.as_ref())) {
            Some(resolved) => {
                let refused = verdict.refused.is_some();
                canaries::count(&rows, &resolved, &current.policies, refused, &mut self.row.canaries.0, least).await
            }
            None => Ok(Vec::new()),
        }
    }
}

/// Whether the device can have got this version as the policy that it has now. A change of what it gets raises the least version.
fn is_current(version: i64, current: &Current, bundle: Option<&PolicyBundleRow>) -> bool {
    bundle.is_some_and(|bundle| (current.least..=bundle.version).contains(&version))
}

/// Changes what is shown of a device. A version before that of the last report is late.
fn note(report: &mut PolicyReportRow, verdict: &Verdict, bundle: Option<&PolicyBundleRow>) {
    let newest = report.applied_version.max(report.refused_version);
    if newest.is_some_and(|newest| verdict.version < newest) {
        return;
    }
    match &verdict.refused {
        Some(error) => {
            report.refused_version = Some(verdict.version);
            report.refused_error = Some(error.clone());
        }
        None => {
            let bundle = bundle.filter(|bundle| bundle.version == verdict.version);
            if bundle.is_some() || report.applied_version != Some(verdict.version) {
                report.applied_digest = bundle.map(|bundle| bundle.digest.clone());
                report.applied_channel = bundle.map(|bundle| bundle.channel);
            }
            report.applied_version = Some(verdict.version);
            report.refused_version = None;
            report.refused_error = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{Access, TenantId},
        store::{Stamp, columns::PolicyChannel},
    };

    fn scope() -> TenantScope {
        TenantScope::grant(&Access::Platform, TenantId::from_uuid(Uuid::nil()), "acme").unwrap()
    }

    fn bundle(version: i64) -> PolicyBundleRow {
        PolicyBundleRow {
            tenant_id: scope().into(),
            resolution: String::new(),
            bundle_id: Uuid::nil(),
            version,
            key_id: String::new(),
            channel: PolicyChannel::Canary,
            digest: "sha256:00".to_owned(),
            envelope: String::new(),
            issued_at: Stamp::from_micros(0),
            expires_at: Stamp::from_micros(0),
        }
    }

    fn noted(verdicts: &[(i64, Option<&str>)]) -> (Option<i64>, Option<String>, Option<i64>) {
        let mut report = PolicyReportRow::none(scope().into(), Uuid::nil(), Stamp::from_micros(0));
        for (version, refused) in verdicts {
            let verdict = Verdict { version: *version, refused: refused.map(str::to_owned) };
            note(&mut report, &verdict, Some(&bundle(5)));
        }
        (report.applied_version, report.applied_digest, report.refused_version)
    }

    #[test]
    fn the_last_applied_version_is_kept_under_a_refused_one() {
        let digest = || Some("sha256:00".to_owned());
        assert_eq!(noted(&[(5, None)]), (Some(5), digest(), None));
        assert_eq!(noted(&[(5, None), (6, Some("no"))]), (Some(5), digest(), Some(6)));
        assert_eq!(noted(&[(5, None), (6, Some("no")), (6, None)]), (Some(6), None, None));
        assert_eq!(noted(&[(4, None)]), (Some(4), None, None), "a bundle that was replaced");
    }

    #[test]
    fn a_report_on_an_earlier_version_is_late() {
        assert_eq!(noted(&[(6, Some("no")), (5, None)]), (None, None, Some(6)));
        assert_eq!(noted(&[(5, None), (4, Some("no"))]).2, None);
    }
}
