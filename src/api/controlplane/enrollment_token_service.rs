//! `EnrollmentTokenService`: tokens with which agents register hosts.

use crate::{
    api::{
        Deps, List, handlers::controlplane::v1::enrollment_token_service::EnrollmentTokenService, list_response,
        timestamp,
    },
    base::{Cx, Result, ids::read_dashed},
    enrollment::tokens::{self, EnrollmentToken, NewHostToken},
    proto::controlplane::v1::{
        CreateEnrollmentTokenRequest, CreateEnrollmentTokenResponse, EnrollmentToken as EnrollmentTokenMessage,
        ListEnrollmentTokensRequest, ListEnrollmentTokensResponse, RevokeEnrollmentTokenRequest,
        RevokeEnrollmentTokenResponse,
    },
    store::Stamp,
};

pub struct EnrollmentTokens {
    pub(super) deps: Deps,
}

impl EnrollmentTokenService for EnrollmentTokens {
    async fn list_enrollment_tokens(
        &self,
        cx: &Cx,
        _: ListEnrollmentTokensRequest,
    ) -> Result<List<ListEnrollmentTokensResponse>> {
        let found = tokens::list_for_hosts(cx, &self.deps.store, cx.tenant()?).await?;
        let now = cx.clock.now().into();
        Ok(list_response(cx, found, move |page| ListEnrollmentTokensResponse {
            enrollment_tokens: page.into_iter().map(|token| to_proto(token, now)).collect(),
        }))
    }

    async fn create_enrollment_token(
        &self,
        cx: &Cx,
        message: CreateEnrollmentTokenRequest,
    ) -> Result<CreateEnrollmentTokenResponse> {
        let CreateEnrollmentTokenRequest { label, expires_in_days, max_uses, .. } = message;
        let new = NewHostToken { label, expires_in_days, max_uses };
        let generated = tokens::generate_for_hosts(cx, &self.deps.store, cx.tenant()?, new).await?;
        Ok(CreateEnrollmentTokenResponse {
            // The only response that contains the token.
            token: generated.text.expose().clone(),
            summary: Some(to_proto(generated.token, cx.clock.now().into())),
        })
    }

    async fn revoke_enrollment_token(
        &self,
        cx: &Cx,
        message: RevokeEnrollmentTokenRequest,
    ) -> Result<RevokeEnrollmentTokenResponse> {
        tokens::revoke_for_hosts(cx, &self.deps.store, cx.tenant()?, read_dashed(&message.token_id)).await?;
        Ok(RevokeEnrollmentTokenResponse {})
    }
}

/// A token with its state at a time.
fn to_proto(token: EnrollmentToken, now: Stamp) -> EnrollmentTokenMessage {
    let (tenant, row) = (token.tenant, token.row);
    let time = |at: Stamp| timestamp(at.time());
    EnrollmentTokenMessage {
        id: row.id.to_string(),
        tenant_id: tenant.dashed(),
        state: row.state(now).as_str().to_owned(),
        created_at: Some(time(row.created_at)),
        expires_at: row.expires_at.map(time),
        max_uses: row.max_uses,
        use_count: row.use_count,
        last_used_at: row.last_used_at.map(time),
        revoked: row.revoked_at.is_some(),
        label: Some(row.name).filter(|label| !label.is_empty()),
    }
}
