//! `TotpService`: the second factor of users.

use tonic::{Request, Response, Status, async_trait};

use super::{
    given,
    people::{named, own_or_named, reach},
};
use crate::{
    api::{answer, take, timestamp},
    base::{Cx, Result, Secret},
    identity::{People, TotpState, second_factor, totp},
    proto::zerotrust::v1::{
        DisableTotpRequest, DisableTotpResponse, EnrollTotpRequest, EnrollTotpResponse, VerifyTotpRequest,
        VerifyTotpResponse, totp_service_server::TotpService,
    },
};

/// Who may change the second factors of others.
const PERMISSION: &str = "zerotrust.users.mfa";

/// The service.
#[derive(Clone)]
pub struct SecondFactors {
    people: People,
}

impl SecondFactors {
    /// The service for these people.
    pub fn new(people: People) -> Self {
        Self { people }
    }

    async fn enroll(&self, cx: &Cx, message: EnrollTotpRequest) -> Result<EnrollTotpResponse> {
        let of = own_or_named(cx, message.tenant_id.as_deref(), message.user_id)?;
        let made = second_factor::enroll(cx, &self.people, &of, reach(cx, PERMISSION)).await?;
        Ok(EnrollTotpResponse {
            // The one place that tells them.
            secret: made.secret.expose().clone(),
            provisioning_uri: made.uri.expose().clone(),
            digits: i32::from(totp::DIGITS),
            // Thirty seconds.
            period: totp::PERIOD as i32,
            algorithm: totp::ALGORITHM.to_owned(),
            expires_at: Some(timestamp(made.expires_at)),
        })
    }

    async fn verify(&self, cx: &Cx, message: VerifyTotpRequest) -> Result<VerifyTotpResponse> {
        let code = Secret::new(given::required("code", message.code)?);
        let of = own_or_named(cx, message.tenant_id.as_deref(), message.user_id)?;
        let codes = second_factor::confirm(cx, &self.people, &of, reach(cx, PERMISSION), &code).await?;
        Ok(VerifyTotpResponse {
            status: TotpState::Enabled.as_str().to_owned(),
            // The one place that tells them.
            recovery_codes: codes.iter().map(|code| code.expose().clone()).collect(),
        })
    }

    async fn disable(&self, cx: &Cx, message: DisableTotpRequest) -> Result<DisableTotpResponse> {
        let user = given::required("user_id", message.user_id)?;
        let reason = given::required("reason", message.reason)?;
        let of = named(cx, message.tenant_id.as_deref(), user, None)?;
        second_factor::disable(cx, &self.people.store, &of, &reason).await?;
        Ok(DisableTotpResponse { status: TotpState::None.as_str().to_owned() })
    }
}

#[async_trait]
impl TotpService for SecondFactors {
    async fn enroll_totp(&self, request: Request<EnrollTotpRequest>) -> Result<Response<EnrollTotpResponse>, Status> {
        let (cx, message) = take(request)?;
        answer(&cx, self.enroll(&cx, message).await)
    }

    async fn verify_totp(&self, request: Request<VerifyTotpRequest>) -> Result<Response<VerifyTotpResponse>, Status> {
        let (cx, message) = take(request)?;
        answer(&cx, self.verify(&cx, message).await)
    }

    async fn disable_totp(
        &self,
        request: Request<DisableTotpRequest>,
    ) -> Result<Response<DisableTotpResponse>, Status> {
        let (cx, message) = take(request)?;
        answer(&cx, self.disable(&cx, message).await)
    }
}
