//! Uses and states of keys.

use super::words::words;

words! {
    /// What a key signs (zero-trust contract, section 5.2).
    pub enum KeyUse {
        /// Anchor sets, and nothing else.
        Root = "root",
        /// Certificates of devices.
        DeviceCa = "device-ca",
        /// Certificates of gateways.
        GatewayCa = "gateway-ca",
        /// Certificates of the control plane.
        ServerCa = "server-ca",
        /// Policies, gateway views, deployment configurations, manifests and pool directories.
        PolicySigning = "policy-signing",
        /// Security policy certificates and their bundle.
        SpcSigning = "spc-signing",
        /// Admission grants.
        AdmissionSigning = "admission-signing",
    }
}

words! {
    /// Where a key is in its life.
    pub enum KeyState {
        /// Announced, and not used yet.
        Pending = "pending",
        /// In use.
        Active = "active",
        /// Still trusted, and signs nothing new.
        Retiring = "retiring",
        /// At its regular end.
        Retired = "retired",
        /// Not trusted.
        Revoked = "revoked",
    }
}

words! {
    /// The phases of a rotation, in their order (zero-trust contract, section 5.2).
    pub enum RotationPhase {
        /// The new key is announced, and signs nothing yet.
        Publish = "publish",
        /// The new key signs; the old one is still trusted.
        Activate = "activate",
        /// What the old key signed and what is current is signed anew.
        Retire = "retire",
        /// The old key is not trusted any longer.
        Remove = "remove",
    }
}

words! {
    /// Whether a rotation runs, or how it ended.
    pub enum RotationOutcome {
        Running = "running",
        Done = "done",
        /// The new key was revoked before it was used.
        Withdrawn = "withdrawn",
    }
}
