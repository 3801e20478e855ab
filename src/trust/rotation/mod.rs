//! Rotation of keys (zero-trust contract, section 5.2): the new key is published before it is used, and the old one is trusted until
//! nothing alive was signed with it. The phases are rows of the table `rotations`, which a job advances.

mod advance;
mod alive;
mod emergency;
mod keys;
mod phases;
mod plan;
mod queries;
mod signer_actions;
mod start;

pub use advance::BATCH;
pub use plan::{Asked, PhaseAt, Timing, is_of_installation};
pub use queries::{Filter, Rotation};
pub use signer_actions::{Activation, SignerRef};
pub use start::Started;
