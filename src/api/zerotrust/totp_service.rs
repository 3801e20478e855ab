//! `TotpService`: the second factor of users.

use super::request::{user_or_caller, user_ref};
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
        let of = user_or_caller(cx, message.user_id)?;
        let enrolled = second_factor::enroll(cx, &self.deps.people, &of, reach).await?;
        Ok(EnrollTotpResponse {
            // The only response that contains the secret.
            secret: enrolled.secret.expose().clone(),
            provisioning_uri: enrolled.uri.expose().clone(),
            digits: i32::from(totp::DIGITS),
            // Thirty seconds.
            period: totp::PERIOD as i32,
            algorithm: totp::ALGORITHM.to_owned(),
            expires_at: Some(timestamp(enrolled.expires_at)),
        })
    }

    async fn verify_totp(&self, cx: &Cx, reach: Reach, message: VerifyTotpRequest) -> Result<VerifyTotpResponse> {
        let code = Secret::new(message.code.unwrap_or_default());
        let of = user_or_caller(cx, message.user_id)?;
        let codes = second_factor::confirm(cx, &self.deps.people, &of, reach, &code).await?;
        Ok(VerifyTotpResponse {
            status: TotpState::Enabled.as_str().to_owned(),
            // The only response that contains the codes.
            recovery_codes: codes.iter().map(|code| code.expose().clone()).collect(),
        })
    }

    async fn disable_totp(&self, cx: &Cx, message: DisableTotpRequest) -> Result<DisableTotpResponse> {
        let of = user_ref(cx, message.user_id().to_owned(), None)?;
        second_factor::disable(cx, &self.deps.people.store, &of, message.reason()).await?;
        Ok(DisableTotpResponse { status: TotpState::None.as_str().to_owned() })
    }
}
