//! Policies: their content, publication and resolution (zero-trust contract, sections 4.8 and 6.1).

pub mod batch;
pub mod bundles;
pub mod canary;
pub mod current;
pub mod diff;
pub mod document;
pub mod ending;
pub mod explain;
pub mod explanation;
pub mod gateway_view;
pub mod global;
pub mod jobs;
pub mod publish;
pub mod reports;
pub mod resolve;
pub mod scope;
pub mod standing;
pub mod versions;
