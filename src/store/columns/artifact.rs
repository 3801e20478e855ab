//! Kinds of signed artifacts.

use sea_orm::{DbErr, TryFromU64};

use super::words::words;

words! {
    /// What a signed artifact is (zero-trust contract, decisions, "Payload types").
    pub enum ArtifactKind {
        /// The policies that a gateway enforces.
        GatewayPolicy = "gateway-policy",
        /// The configuration of a gateway.
        DeploymentConfig = "deployment-config",
        /// The index of what a gateway needs.
        Manifest = "auth-material-manifest",
        /// The directory of gateways.
        GatewayPools = "gateway-pools",
    }
}

/// Needed for a column of a primary key; the database makes none.
impl TryFromU64 for ArtifactKind {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("ArtifactKind"))
    }
}

words! {
    /// What a gateway follows and reports about.
    pub enum MaterialKind {
        TrustAnchors = "trust-anchors",
        GatewayPolicy = "gateway-policy",
        DeploymentConfig = "deployment-config",
        SpcBundle = "spc-bundle",
        KillList = "kill-list",
    }
}

/// Needed for a column of a primary key; the database makes none.
impl TryFromU64 for MaterialKind {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("MaterialKind"))
    }
}
