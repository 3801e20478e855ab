//! The types of columns: a row has the types of the domain, and the database has texts and numbers.
//!
//! A stored value that a type does not know makes the read fail with an internal error. A column whose type belongs to an
//! area is a text here, and the area reads it.

mod access;
mod account;
mod artifact;
mod enrolled;
mod enrolled_kind;
mod grant_role;
pub mod json;
mod keys;
mod owner;
mod placement_tier;
mod policy;
mod pool_selection;
mod revocation_reason;
mod role;
mod source;
mod tenant_id;
mod tenant_status;
mod text;
mod timestamp;
mod token_kind;
mod uuid;
mod words;

pub use access::{Applied, Counters, EndReason, Reading, SessionStatus, Totals};
pub use account::{AccountStatus, TotpState};
pub use artifact::{ArtifactKind, MaterialKind};
pub use enrolled::{DeviceStatus, EnrolledVia, GatewayStatus, Platform};
pub use grant_role::GrantRole;
pub use json::Json;
pub use keys::{KeyState, KeyUse, RotationOutcome, RotationPhase};
pub(super) use owner::Owner;
pub use placement_tier::PlacementTier;
pub use policy::{CanaryVerdict, PolicyCanary, PolicyChannel, PolicyScopeKind, PolicyState};
pub use pool_selection::PoolSelection;
pub use revocation_reason::RevocationReason;
pub use source::Source;
pub use tenant_status::{Authority, Suspension, TenantStatus};
pub use timestamp::Stamp;
pub use token_kind::TokenKind;
