//! What decides about an admission.

use uuid::Uuid;

use super::policies::Effective;
use crate::{
    base::IdKind,
    store::tables::{AccessSessionRow, AdmissionPlace, AdmissionSubject},
};

/// What decides about the admission of a device that may have access.
#[derive(Clone, Debug)]
pub struct Facts {
    pub subject: AdmissionSubject,
    pub place: AdmissionPlace,
    /// The groups of the device.
    pub groups: Vec<Uuid>,
    /// The policy of the device, if one is published for it.
    pub policy: Option<Effective>,
    /// The session of the question, if it exists.
    pub session: Option<AccessSessionRow>,
}

impl Facts {
    /// The public id of the device.
    pub fn shown_device(&self) -> String {
        IdKind::Device.show(self.subject.device)
    }

    /// The version of the policy that decides.
    pub fn policy_version(&self) -> i64 {
        self.policy.as_ref().map_or(0, |policy| policy.version)
    }
}
