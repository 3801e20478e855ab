//! Reading what an admission depends on, with one query for each part.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Admissions, Asking, Question,
    facts::Facts,
    rules::{self, Denial},
};
use crate::{
    base::{Error, IdKind, Result, error::Reason},
    policy::resolve,
    store::{
        Db,
        tables::{AccessSessionRow, AdmissionSubject, TenantRows},
    },
};

impl Admissions {
    /// Reads the facts, or finds why the device has no access. Fails with INVALID_ARGUMENT for a session of another device or gateway.
    pub(super) async fn facts(
        &self,
        asking: Asking,
        question: &Question,
        now: OffsetDateTime,
    ) -> Result<std::result::Result<Facts, Denial>> {
        let rows = self.store.tenant(asking.scope);
        let Some(device) = IdKind::Device.read(&question.device) else { return Ok(Err(Denial::UnknownDevice)) };
        let Some(subject) = rows.admission_subject(device, &question.client_key).await? else {
            return Ok(Err(Denial::UnknownDevice));
        };
        if let Err(denial) = rules::check_subject(&subject, now.into()) {
            return Ok(Err(denial));
        }
        let Some(place) = rows.admission_place(asking.gateway).await? else { return Ok(Err(Denial::PoolNotAllowed)) };
        let groups = groups(&rows, &subject).await?;
        let of = resolve::Subject { device, groups: groups.clone() };
        let policy = self.policies.effective(&rows, asking.scope.tenant(), &of, now.into()).await?;
        let session = match question.session {
            Some(id) => session(&rows, id, device, asking.gateway).await?,
            None => None,
        };
        Ok(Ok(Facts { subject, place, groups, policy, session }))
    }
}

/// The groups of a device: those of its user and of its token, without deleted ones.
async fn groups(rows: &TenantRows<'_, impl Db>, subject: &AdmissionSubject) -> Result<Vec<Uuid>> {
    let mut groups = BTreeSet::new();
    if !subject.groups.is_empty() {
        groups.extend(rows.groups().existing(&subject.groups).await?);
    }
    if let Some(account) = subject.account {
        groups.extend(rows.group_members().groups_of(&[account]).await?.remove(&account).unwrap_or_default());
    }
    Ok(groups.into_iter().collect())
}

/// The session that a gateway asked about before.
async fn session(
    rows: &TenantRows<'_, impl Db>,
    id: Uuid,
    device: Uuid,
    gateway: Uuid,
) -> Result<Option<AccessSessionRow>> {
    let found = rows.access_sessions().get(id).await?;
    if found.as_ref().is_some_and(|session| (session.device_id, session.gateway_id) != (device, gateway)) {
        let message = "the session is one of another device or gateway; leave out session_id to start a new one";
        return Err(Error::invalid(Reason::InvalidArgument, "session_id", message));
    }
    Ok(found)
}
