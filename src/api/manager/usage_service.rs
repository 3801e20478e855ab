//! `UsageService`: usage of tenants, by hour.

use crate::{
    api::{Deps, handlers::manager::v1::usage_service::UsageService, times::time},
    base::{Cx, Result},
    manager::usage::{self, UsageLine},
    proto::manager::v1::{
        GetUsageSnapshotRequest, GetUsageSnapshotResponse, IngestUsageRequest, IngestUsageResponse,
        UsageLine as UsageLineMessage, UsageTotals,
    },
};

/// The year 1, which programs in Go send for a time that they do not have.
const NO_TIME: i64 = -62_135_596_800;

pub struct Usage {
    pub(super) deps: Deps,
}

impl UsageService for Usage {
    async fn ingest_usage(&self, cx: &Cx, message: IngestUsageRequest) -> Result<IngestUsageResponse> {
        let lines = message.lines.into_iter().map(line).collect::<Result<Vec<_>>>()?;
        usage::ingest(cx, &self.deps.store, &self.deps.settings.billing, &lines).await?;
        Ok(IngestUsageResponse { status: "ok".to_owned() })
    }

    async fn get_usage_snapshot(&self, _: &Cx, _: GetUsageSnapshotRequest) -> Result<GetUsageSnapshotResponse> {
        let (cpu_milli, mem_mib) = usage::totals(&self.deps.store).await?;
        Ok(GetUsageSnapshotResponse { totals: Some(UsageTotals { cpu_milli, mem_mib }) })
    }
}

fn line(line: UsageLineMessage) -> Result<UsageLine> {
    let at = line.ts.filter(|ts| ts.seconds != NO_TIME).map(|ts| time("ts", &ts)).transpose()?;
    Ok(UsageLine { tenant: line.tenant_id, at, cpu_milli: line.cpu_milli, mem_mib: line.mem_mib })
}
