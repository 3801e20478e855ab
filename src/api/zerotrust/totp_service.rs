//! `TotpService`: the second factor of users.

use super::{
    given,
    people::{named, own_or_named},
};
use crate::{
    api::{Deps, handlers::zerotrust::v1::totp_service::TotpService, timestamp},
    base::{Cx, Reach, Result, Secret},
    identity::{TotpState, second_factor, totp},
    proto::zerotrust::v1::{
        DisableTotpRequest, DisableTotpResponse, EnrollTotpRequest, EnrollTotpResponse, VerifyTotpRequest,
        VerifyTotpResponse,
    },
};

pub struct SecondFactors {
    pub(super) deps: Deps,
}

impl TotpService for SecondFactors {
    async fn enroll_totp(&self, cx: &Cx, reach: Reach, message: EnrollTotpRequest) -> Result<EnrollTotpResponse> {
        let of = own_or_named(cx, message.tenant_id.as_deref(), message.user_id)?;
        let made = second_factor::enroll(cx, &self.deps.people, &of, reach).await?;
        Ok(EnrollTotpResponse {
            // The only response that contains the secret.
            secret: made.secret.expose().clone(),
            provisioning_uri: made.uri.expose().clone(),
            digits: i32::from(totp::DIGITS),
            // Thirty seconds.
            period: totp::PERIOD as i32,
            algorithm: totp::ALGORITHM.to_owned(),
            expires_at: Some(timestamp(made.expires_at)),
        })
    }

    async fn verify_totp(&self, cx: &Cx, reach: Reach, message: VerifyTotpRequest) -> Result<VerifyTotpResponse> {
        let code = Secret::new(given::required("code", message.code)?);
        let of = own_or_named(cx, message.tenant_id.as_deref(), message.user_id)?;
        let codes = second_factor::confirm(cx, &self.deps.people, &of, reach, &code).await?;
        Ok(VerifyTotpResponse {
            status: TotpState::Enabled.as_str().to_owned(),
            // The only response that contains the codes.
            recovery_codes: codes.iter().map(|code| code.expose().clone()).collect(),
        })
    }

    async fn disable_totp(&self, cx: &Cx, message: DisableTotpRequest) -> Result<DisableTotpResponse> {
        let user = given::required("user_id", message.user_id)?;
        let reason = given::required("reason", message.reason)?;
        let of = named(cx, message.tenant_id.as_deref(), user, None)?;
        second_factor::disable(cx, &self.deps.people.store, &of, &reason).await?;
        Ok(DisableTotpResponse { status: TotpState::None.as_str().to_owned() })
    }
}
