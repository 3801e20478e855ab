//! `EnrollmentTokenService`: tokens that enroll devices and gateways.

use url::form_urlencoded;

use crate::{
    api::{Deps, handlers::zerotrust::v1::enrollment_token_service::EnrollmentTokenService, paging, timestamp},
    base::{Cx, EnrolledKind, Error, IdKind, Reach, Result, error::Reason},
    enrollment::tokens::{self, EnrollmentToken, Enrolls, Filter, GeneratedToken, NewTokens, Revocation},
    proto::zerotrust::v1::{
        self as proto, GenerateTokensRequest, GenerateTokensResponse, GeneratedTokens, GetTokenRequest,
        GetTokenResponse, ListTokensRequest, ListTokensResponse, RevokeTokenRequest, RevokeTokenResponse, TokenUse,
    },
    store::tables::CredentialRow,
};

/// Where devices and gateways enroll.
const ENROLL: &str = "/v1/enroll";

pub struct EnrollmentTokens {
    pub(super) deps: Deps,
}

impl EnrollmentTokenService for EnrollmentTokens {
    async fn generate_tokens(
        &self,
        cx: &Cx,
        reach: Reach,
        message: GenerateTokensRequest,
    ) -> Result<GenerateTokensResponse> {
        let several = message.count.is_some_and(|count| count > 1);
        let generated = tokens::generate(cx, &self.deps.store, cx.tenant()?, new_tokens(message)?, reach).await?;
        let mut shown: Vec<_> = generated.iter().map(|token| self.generated(token)).collect();
        let answer = match shown.pop() {
            Some(token) if !several => GeneratedTokens {
                token: Some(token.token),
                token_id: Some(token.token_id),
                expires_at: token.expires_at,
                enroll_url: token.enroll_url,
                qr_payload: token.qr_payload,
                tokens: Vec::new(),
            },
            last => GeneratedTokens { tokens: shown.into_iter().chain(last).collect(), ..GeneratedTokens::default() },
        };
        Ok(GenerateTokensResponse { answer: Some(answer) })
    }

    async fn list_tokens(&self, cx: &Cx, reach: Reach, message: ListTokensRequest) -> Result<ListTokensResponse> {
        let request = paging::request(cx, &message)?;
        let filter = Filter { status: message.status, kind: message.kind };
        let page = tokens::page(cx, &self.deps.store, cx.tenant()?, &filter, reach, request).await?;
        Ok(paging::response(page, |token| to_proto(cx, token)))
    }

    async fn get_token(&self, cx: &Cx, reach: Reach, message: GetTokenRequest) -> Result<GetTokenResponse> {
        let (token, uses) = tokens::get(cx, &self.deps.store, cx.tenant()?, &message.token_id, reach).await?;
        Ok(GetTokenResponse { token: Some(to_proto(cx, token)), uses: uses.into_iter().map(use_to_proto).collect() })
    }

    async fn revoke_token(&self, cx: &Cx, reach: Reach, message: RevokeTokenRequest) -> Result<RevokeTokenResponse> {
        let RevokeTokenRequest { token_id: id, reason, revoke_devices: devices, if_version: version, .. } = message;
        let revocation = Revocation { id, reason, devices, version };
        let (token, revoked) = tokens::revoke(cx, &self.deps.store, cx.tenant()?, revocation, reach).await?;
        Ok(RevokeTokenResponse { token: Some(to_proto(cx, token)), devices_revoked: revoked.cast_signed() })
    }
}

impl EnrollmentTokens {
    fn generated(&self, generated: &GeneratedToken) -> proto::GeneratedToken {
        let (token, text) = (&generated.token, generated.text.expose());
        let enroll_url = self.deps.settings.public_url.as_ref().map(|url| url.at(ENROLL));
        let qr_payload = enroll_url.as_ref().map(|url| {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("url", url)
                .append_pair("token", text)
                .finish();
            format!("tenantry://enroll?{query}")
        });
        proto::GeneratedToken {
            // The only response that contains the token.
            token: text.clone(),
            token_id: token.shown_id(),
            expires_at: token.row.expires_at.map(|at| timestamp(at.time())),
            enroll_url,
            qr_payload,
        }
    }
}

fn new_tokens(message: GenerateTokensRequest) -> Result<NewTokens> {
    let kind = message.kind.as_deref().map_or(Ok(EnrolledKind::Device), tokens::kind)?;
    let enrolls = match kind {
        EnrolledKind::Device if message.pool_id.is_some() => return Err(unused("pool_id", kind)),
        EnrolledKind::Device => {
            Enrolls::Devices { user: message.user_id, groups: message.group_ids, ephemeral: message.ephemeral }
        }
        EnrolledKind::Gateway if message.user_id.is_some() => return Err(unused("user_id", kind)),
        EnrolledKind::Gateway if !message.group_ids.is_empty() => return Err(unused("group_ids", kind)),
        EnrolledKind::Gateway if message.ephemeral => return Err(unused("ephemeral", kind)),
        EnrolledKind::Gateway => match message.pool_id {
            Some(pool) => Enrolls::Gateways { pool },
            None => return Err(Error::invalid(Reason::FieldRequired, "pool_id", "a token for gateways needs a pool")),
        },
    };
    Ok(NewTokens {
        enrolls,
        name: message.name.unwrap_or_default(),
        expires_in: message.expires_in_seconds,
        max_uses: message.max_uses,
        reusable: message.reusable,
        pre_approved: message.pre_approved,
        count: message.count,
    })
}

/// The error for a member that tokens of the other kind have.
fn unused(field: &str, kind: EnrolledKind) -> Error {
    let text = format!("{field} is not used for tokens of kind {}", kind.as_str());
    Error::invalid(Reason::InvalidArgument, field, text)
}

fn to_proto(cx: &Cx, token: EnrollmentToken) -> proto::EnrollmentToken {
    let (id, tenant_id, state) = (token.shown_id(), token.tenant.zero_trust(), token.row.state(cx.clock.now().into()));
    let row = token.row;
    let version = row.version();
    proto::EnrollmentToken {
        id,
        tenant_id,
        kind: row.kind.as_str().to_owned(),
        name: row.name,
        prefix: row.prefix,
        state: state.as_str().to_owned(),
        max_uses: row.max_uses,
        use_count: row.use_count,
        expires_at: row.expires_at.map(|at| timestamp(at.time())),
        user_id: row.account_id.map(|id| IdKind::User.show(id)),
        group_ids: row.group_ids.iter().map(|id| IdKind::Group.show(*id)).collect(),
        pool_id: row.pool_id.map(|id| IdKind::GatewayPool.show(id)),
        pre_approved: row.pre_approved,
        ephemeral: row.ephemeral,
        created_by: row.created_by,
        created_at: Some(timestamp(row.created_at.time())),
        last_used_at: row.last_used_at.map(|at| timestamp(at.time())),
        revoked_at: row.revoked_at.map(|at| timestamp(at.time())),
        device_id: row.device_id.map(|id| IdKind::Device.show(id)),
        version,
    }
}

/// The credential that was issued for a use.
fn use_to_proto(credential: CredentialRow) -> TokenUse {
    let subject = credential.subject_id;
    let of = |kind, shown: IdKind| (credential.kind == kind).then(|| shown.show(subject));
    TokenUse {
        device_id: of(EnrolledKind::Device, IdKind::Device),
        gateway_id: of(EnrolledKind::Gateway, IdKind::Gateway),
        at: Some(timestamp(credential.created_at.time())),
        ip: credential.ip,
    }
}
