//! Security policy certificates: this device, with this key, may connect to these gateway pools under this policy (zero-trust contract,
//! sections 5.4 and 6.2). A gateway admits a device with one without asking.

pub mod bundles;
mod claims;
pub mod deltas;
mod device;
mod issue;
pub mod jobs;
mod revoke;
mod rules;
mod validate;

pub use claims::Claims;
pub use issue::{Issued, issue};
pub use revoke::{RevokeInput, Revoked, revoke};
pub use rules::{NewSpc, SubjectInput};
pub use validate::{Check, Question, Validation, Verdict, validate};
