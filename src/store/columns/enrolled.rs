//! States of devices and gateways.

use super::words::words;

words! {
    /// Whether a device has access.
    pub enum DeviceStatus {
        /// An administrator must approve it first.
        PendingApproval = "pending_approval",
        Active = "active",
        /// Until it is reactivated.
        Suspended = "suspended",
        /// For good.
        Revoked = "revoked",
    }
}

words! {
    /// Whether a gateway may serve, as its operators decided.
    pub enum GatewayStatus {
        Active = "active",
        /// Until it is enabled.
        Disabled = "disabled",
        /// For good.
        Revoked = "revoked",
    }
}

words! {
    /// What a device runs on.
    pub enum Platform {
        Windows = "windows",
        MacOs = "macos",
        Linux = "linux",
        Ios = "ios",
        Android = "android",
        /// A machine without a person, such as a server.
        Headless = "headless",
    }
}

words! {
    /// How a device proved that it may enroll.
    pub enum EnrolledVia {
        Token = "token",
    }
}
