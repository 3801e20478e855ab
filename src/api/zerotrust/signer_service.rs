//! `SignerService`: the keys that sign the artifacts of a tenant.

use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::signer_service::{ChangeSignerAction, SignerService},
        paging, timestamp,
    },
    base::{Cx, Error, IdKind, Result, error::Reason},
    proto::zerotrust::v1::{
        self as proto, ChangeSignerRequest, ChangeSignerResponse, ListSignersRequest, ListSignersResponse, SignerAnswer,
    },
    store::{Stamp, columns::KeyUse, tables::SignerRow},
    trust::rotation::{Activation, SignerRef},
};

/// The purposes by their names on this surface.
const PURPOSES: [(&str, KeyUse); 3] =
    [("policy", KeyUse::PolicySigning), ("spc", KeyUse::SpcSigning), ("admission", KeyUse::AdmissionSigning)];

pub struct Signers {
    pub(super) deps: Deps,
}

impl SignerService for Signers {
    async fn list_signers(&self, cx: &Cx, message: ListSignersRequest) -> Result<ListSignersResponse> {
        let request = paging::request(cx, &message)?;
        let key_use = message.purpose.as_deref().map(purpose).transpose()?;
        let page = self.deps.trust.signers(cx, cx.tenant()?, key_use, request).await?;
        Ok(paging::response(page, to_proto))
    }

    async fn change_signer(
        &self,
        cx: &Cx,
        action: ChangeSignerAction,
        message: ChangeSignerRequest,
    ) -> Result<ChangeSignerResponse> {
        use ChangeSignerAction::{Activate, Create, Retire, Revoke};
        let (trust, reason) = (&self.deps.trust, message.reason.clone());
        let signer = SignerRef { tenant: cx.tenant()?.clone(), id: message.signer_id().to_owned() };
        let row = match action {
            Create => trust.create_signer(cx, &signer.tenant, purpose(message.purpose())?, reason).await,
            Activate => {
                let how = Activation { overlap_seconds: message.overlap_seconds, emergency: message.emergency };
                trust.activate_signer(cx, &signer, how, reason).await
            }
            Retire => trust.retire_signer(cx, &signer, reason).await,
            Revoke => trust.revoke_signer(cx, &signer, message.emergency, reason).await,
        };
        let answer = Some(SignerAnswer { signer: Some(to_proto(row?)) });
        Ok(ChangeSignerResponse { answer, created: action == Create })
    }
}

fn purpose(word: &str) -> Result<KeyUse> {
    let found = PURPOSES.iter().find(|(name, _)| *name == word).map(|(_, key_use)| *key_use);
    let unknown = || Error::invalid(Reason::InvalidArgument, "purpose", "must be one of policy, spc, admission");
    found.ok_or_else(unknown)
}

fn to_proto(row: SignerRow) -> proto::Signer {
    let time = |at: Stamp| timestamp(at.time());
    let purpose = PURPOSES.iter().find(|(_, key_use)| *key_use == row.key_use).map(|(name, _)| *name);
    proto::Signer {
        id: IdKind::Signer.show(row.id),
        tenant_id: row.tenant_id.tenant().zero_trust(),
        purpose: purpose.unwrap_or_else(|| row.key_use.as_str()).to_owned(),
        algorithm: "ed25519".to_owned(),
        key_id: row.key_id,
        public_key: row.public_key,
        state: row.state.as_str().to_owned(),
        not_before: Some(time(row.not_before)),
        not_after: Some(time(row.not_after)),
        backend: "file".to_owned(),
        created_at: Some(time(row.created_at)),
        activated_at: row.activated_at.map(time),
        retired_at: row.retired_at.map(time),
    }
}
