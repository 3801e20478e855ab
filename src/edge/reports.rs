//! What gateways report of the materials that they follow. A publication has as many reports as there are gateways, so they are written
//! together.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use crate::{
    base::{Clock, Result, TenantId, TenantScope},
    policy::{self, ending},
    store::{Change, ChangeKind, Resource, Stamp, Store, Tx, columns::MaterialKind, tables::GatewayMaterialRow},
};

/// Maximum number of reports in one write.
const BATCH: usize = 200;

/// The reports since the last write. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Reports(Arc<Mutex<HashMap<TenantId, OfTenant>>>, Clock);

/// The reports of the gateways of a tenant.
#[derive(Debug)]
struct OfTenant {
    scope: TenantScope,
    reports: HashMap<(Uuid, MaterialKind), Reported>,
}

/// What a gateway has reported of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reported {
    applied: Option<(i64, Stamp)>,
    refused: Option<Refusal>,
}

/// Why an artifact was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub number: i64,
    pub code: String,
    pub detail: String,
    pub at: Stamp,
}

impl Reports {
    pub fn new(clock: Clock) -> Self {
        Self(Arc::default(), clock)
    }

    /// A gateway has applied an artifact.
    pub fn applied(&self, scope: TenantScope, gateway: Uuid, kind: MaterialKind, number: i64) {
        let at = self.1.now().into();
        self.keep(scope, gateway, kind, Reported { applied: Some((number, at)), refused: None });
    }

    /// A gateway has refused an artifact.
    pub fn refused(
        &self,
        scope: TenantScope,
        gateway: Uuid,
        kind: MaterialKind,
        number: i64,
        (code, detail): (String, String),
    ) {
        let refused = Some(Refusal { number, code, detail, at: self.1.now().into() });
        self.keep(scope, gateway, kind, Reported { applied: None, refused });
    }

    /// Writes the reports, and returns their number. On a failure they are kept. Canaries that too many gateways have refused then, if at
    /// least `least` devices and gateways have reported, are withdrawn.
    pub async fn flush(&self, store: &Store, least: i64) -> Result<u64> {
        let mut number = 0;
        let taken = std::mem::take(&mut *self.lock());
        let (mut failure, mut due) = (None, Vec::new());
        for OfTenant { scope, reports } in taken.into_values() {
            let mut reports: Vec<_> = reports.into_iter().map(|((gateway, kind), of)| (gateway, kind, of)).collect();
            // Servers that write the same rows lock them in one order.
            reports.sort_unstable_by_key(|(gateway, kind, _)| (*gateway, kind.as_str()));
            for batch in reports.chunks(BATCH) {
                match store.maintain("gateway.reports", (scope, batch.to_vec(), least), write).await {
                    Ok(canaries) => {
                        number += batch.len() as u64;
                        due.extend(canaries.into_iter().map(|canary| (scope, canary)));
                    }
                    Err(error) => {
                        batch.iter().for_each(|(gateway, kind, of)| self.keep_older(scope, *gateway, *kind, of));
                        failure = Some(error);
                    }
                }
            }
        }
        for (scope, canary) in due {
            // After a failure, the job that ends canaries finds it.
            ending::withdraw(store, scope, vec![canary], least).await?;
        }
        failure.map_or(Ok(number), Err)
    }

    fn keep(&self, scope: TenantScope, gateway: Uuid, kind: MaterialKind, newer: Reported) {
        let mut kept = self.lock();
        let of_tenant = kept.entry(scope.tenant()).or_insert_with(|| OfTenant { scope, reports: HashMap::new() });
        of_tenant.reports.entry((gateway, kind)).or_default().update(newer);
    }

    /// Keeps a report that could not be written, unless there is a newer one.
    fn keep_older(&self, scope: TenantScope, gateway: Uuid, kind: MaterialKind, older: &Reported) {
        let mut kept = self.lock();
        let of_tenant = kept.entry(scope.tenant()).or_insert_with(|| OfTenant { scope, reports: HashMap::new() });
        let entry = of_tenant.reports.entry((gateway, kind)).or_default();
        let newer = std::mem::replace(entry, older.clone());
        entry.update(newer);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, OfTenant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reported {
    fn update(&mut self, newer: Self) {
        self.applied = newer.applied.or(self.applied);
        self.refused = newer.refused.or_else(|| self.refused.take());
    }

    /// The row after this report. Numbers do not decrease, and say what is newer: the clocks of servers differ.
    fn after(self, row: GatewayMaterialRow) -> GatewayMaterialRow {
        let row = match self.applied {
            Some((number, at)) if (row.applied_number, row.applied_at) <= (number, Some(at)) => {
                GatewayMaterialRow { applied_number: number, applied_at: Some(at), ..row }
            }
            _ => row,
        };
        match self.refused {
            Some(refused) if (row.refused_number, row.refused_at) <= (refused.number, Some(refused.at)) => {
                GatewayMaterialRow {
                    refused_number: refused.number,
                    refused_code: refused.code,
                    refused_detail: refused.detail,
                    refused_at: Some(refused.at),
                    ..row
                }
            }
            _ => row,
        }
    }
}

/// Writes reports of a tenant, and returns the canaries that must be withdrawn.
async fn write(
    tx: &Tx,
    (scope, reports, least): &(TenantScope, Vec<(Uuid, MaterialKind, Reported)>, i64),
) -> Result<Vec<Uuid>> {
    let rows = tx.tenant(*scope);
    let gateways: Vec<Uuid> = reports.iter().map(|(gateway, ..)| *gateway).collect();
    // A gateway may have been deleted since.
    let there: HashSet<Uuid> = rows.gateways().existing(&gateways).await?.into_iter().collect();
    let mut due = Vec::new();
    for kind in MaterialKind::ALL {
        let reports: Vec<_> = reports.iter().filter(|(gateway, of, _)| of == kind && there.contains(gateway)).collect();
        if reports.is_empty() {
            continue;
        }
        let gateways: Vec<Uuid> = reports.iter().map(|(gateway, ..)| *gateway).collect();
        let mut known = rows.gateway_materials().locked(*kind, &gateways).await?;
        let after = reports.iter().filter_map(|(gateway, _, reported)| {
            let row = known.remove(gateway)?;
            Some(reported.clone().after(row))
        });
        let mut after: Vec<_> = after.collect();
        if *kind == MaterialKind::GatewayPolicy {
            let change = Change::new(Resource::PolicyRollout, ChangeKind::Updated, scope.tenant().dashed());
            tx.also_changed(change.within(scope.tenant()));
            due.extend(policy::reports::count_gateways(&rows, &mut after, *least, tx.now().into()).await?);
        }
        rows.gateway_materials().put(after).await?;
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Access;

    #[test]
    fn the_newest_report_of_each_kind_counts() {
        let refusal = |number, at| Refusal {
            number,
            code: "bad_schema".to_owned(),
            detail: String::new(),
            at: Stamp::from_micros(at),
        };
        let mut reported = Reported { applied: Some((3, Stamp::from_micros(30))), refused: Some(refusal(4, 40)) };
        reported.update(Reported { applied: Some((5, Stamp::from_micros(50))), refused: None });
        assert_eq!(
            (reported.applied, reported.refused.clone()),
            (Some((5, Stamp::from_micros(50))), Some(refusal(4, 40)))
        );
        reported.update(Reported { applied: None, refused: Some(refusal(6, 60)) });
        assert_eq!((reported.applied.map(|of| of.0), reported.refused.map(|of| of.number)), (Some(5), Some(6)));
    }

    #[test]
    fn a_report_counts_by_its_number_and_not_by_the_clock_of_its_server() {
        let applied = |number, at| Reported { applied: Some((number, Stamp::from_micros(at))), refused: None };
        let refusal = |number, at| {
            let (code, at) = ("expired".to_owned(), Stamp::from_micros(at));
            Reported { applied: None, refused: Some(Refusal { number, code, detail: String::new(), at }) }
        };
        let numbers = |row: &GatewayMaterialRow| (row.applied_number, row.refused_number);
        let scope = TenantScope::grant(&Access::Platform, TenantId::from_uuid(Uuid::from_u128(1)), "acme").unwrap();
        // Written by a server whose clock is ahead, and then by one with a right clock.
        let row = GatewayMaterialRow::none(scope.into(), Uuid::from_u128(2), MaterialKind::GatewayPolicy);
        let row = refusal(3, 800).after(applied(4, 900).after(row));
        let row = applied(5, 300).after(row);
        assert_eq!(numbers(&row), (5, 3));
        let row = refusal(6, 310).after(row);
        assert_eq!(numbers(&row), (5, 6));
        // An older report, which could not be written earlier.
        let row = refusal(5, 990).after(applied(4, 990).after(row));
        assert_eq!((numbers(&row), row.applied_at), ((5, 6), Some(Stamp::from_micros(300))));
    }
}
