//! `AdmissionService`: admission of devices at gateways.

use crate::{
    access::admission::{Admissions, Answer, Granted, Question},
    api::{handlers::zerotrust::v1::admission_service::AdmissionService, timestamp},
    base::{Cx, Error, IdKind, Result, error::Reason},
    policy::document::words::{AuthMode, Word as _},
    proto::zerotrust::v1::{GetClientAdmissionGrantRequest, GetClientAdmissionGrantResponse},
};

pub struct Admission {
    pub(super) admissions: Admissions,
}

impl AdmissionService for Admission {
    async fn get_client_admission_grant(
        &self,
        cx: &Cx,
        message: GetClientAdmissionGrantRequest,
    ) -> Result<GetClientAdmissionGrantResponse> {
        Ok(to_proto(self.admissions.decide(cx, &question(message)?).await?))
    }
}

fn question(message: GetClientAdmissionGrantRequest) -> Result<Question> {
    let invalid = |field: &str, message: String| Error::invalid(Reason::InvalidArgument, field, message);
    let auth_mode = AuthMode::read(message.auth_mode())
        .ok_or_else(|| invalid("auth_mode", format!("auth_mode must be {}", AuthMode::list())))?;
    let address = |text: &String| {
        text.parse().map_err(|_| invalid("client_ip", "client_ip must be an IPv4 or IPv6 address".to_owned()))
    };
    let session =
        |text: &String| IdKind::Session.read(text).ok_or_else(|| invalid("session_id", "not a session id".to_owned()));
    Ok(Question {
        client_ip: message.client_ip.as_ref().map(address).transpose()?,
        session: message.session_id.as_ref().map(session).transpose()?,
        auth_mode,
        pool: message.pool_id,
        device: message.device_id.unwrap_or_default(),
        client_key: message.client_key.unwrap_or_default(),
    })
}

fn to_proto(answer: Answer) -> GetClientAdmissionGrantResponse {
    match answer {
        Answer::Allow(Granted { session, grant, expires_at, recheck_seconds }) => GetClientAdmissionGrantResponse {
            decision: "allow".to_owned(),
            reason: "ok".to_owned(),
            grant: Some(grant),
            session_id: Some(IdKind::Session.show(session)),
            expires_at: Some(timestamp(expires_at)),
            recheck_after_seconds: recheck_seconds.cast_signed(),
        },
        Answer::Deny { reason, session, recheck_seconds } => GetClientAdmissionGrantResponse {
            decision: "deny".to_owned(),
            reason: reason.as_str().to_owned(),
            grant: None,
            session_id: session.map(|id| IdKind::Session.show(id)),
            expires_at: None,
            recheck_after_seconds: recheck_seconds.cast_signed(),
        },
    }
}
