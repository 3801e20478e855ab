//! Columns of sessions of devices, and of the reports of gateways.

use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// Whether a session continues.
    pub enum SessionStatus {
        Active = "active",
        Ended = "ended",
    }
}

words! {
    /// Why a session ended, if its gateway does not say so.
    pub enum EndReason {
        /// By an administrator.
        Terminated = "terminated",
        UserSuspended = "user_suspended",
        UserDeleted = "user_deleted",
        DeviceSuspended = "device_suspended",
        DeviceRevoked = "device_revoked",
        DeviceDeleted = "device_deleted",
        /// The device must enroll again.
        ReauthForced = "reauth_forced",
        GatewayDisabled = "gateway_disabled",
        GatewayRevoked = "gateway_revoked",
        GatewayDeleted = "gateway_deleted",
        TenantSuspended = "tenant_suspended",
        TenantDeleted = "tenant_deleted",
        /// The drain of its gateway or pool is over.
        Drained = "drained",
        /// It lasted as long as its grant permitted.
        Expired = "expired",
        /// Its gateway has not reported it for too long.
        Lost = "lost",
        /// Its gateway never reported it.
        NotStarted = "not_started",
        /// Its gateway admitted it while it was cut off, which it was not allowed to.
        NotAdmitted = "not_admitted",
        /// Its gateway reported the end without a reason.
        Closed = "closed",
    }
}

/// The counters of a session in one report of its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The number of the report.
    pub sequence: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
}

/// What was read from the counters of a session. They start again at 0 when the gateway restarts: a new epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// The last reading before the current epoch.
    pub before: Option<Reading>,
    /// The first reading of the current epoch.
    pub first: Option<Reading>,
    /// The last reading.
    pub last: Option<Reading>,
}

/// The load of a gateway in the window of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub active_sessions: i64,
    pub peak_sessions: i64,
    /// 0 to 1.
    pub cpu: Option<f64>,
    /// 0 to 1.
    pub mem: Option<f64>,
    /// Megabits per second.
    pub mbps: Option<f64>,
}

/// What a gateway has applied; a number that it did not report is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub policy_version: Option<i64>,
    pub anchors_sequence: Option<i64>,
    pub spc_sequence: Option<i64>,
    pub config_version: Option<i64>,
}
