//! `CertificateService`: keys and certificates that end soon.

use crate::{
    api::{
        Deps, handlers::zerotrust::v1::certificate_service::CertificateService, timestamp,
        zerotrust::request::tenant_or_installation,
    },
    base::{Cx, Result},
    proto::zerotrust::v1::{ExpiringCertificate, ListExpiringCertificatesRequest, ListExpiringCertificatesResponse},
    trust::Expiring,
};

pub struct Certificates {
    pub(super) deps: Deps,
}

impl CertificateService for Certificates {
    async fn list_expiring_certificates(
        &self,
        cx: &Cx,
        message: ListExpiringCertificatesRequest,
    ) -> Result<ListExpiringCertificatesResponse> {
        let found = self.deps.trust.expiring(cx, tenant_or_installation(cx)?, message.within_days).await?;
        let certificates = found.into_iter().map(|one| to_proto(cx, one)).collect();
        Ok(ListExpiringCertificatesResponse { certificates })
    }
}

fn to_proto(cx: &Cx, one: Expiring) -> ExpiringCertificate {
    let now = cx.clock.now();
    ExpiringCertificate {
        kind: one.kind.as_str().to_owned(),
        not_after: Some(timestamp(one.not_after)),
        days_left: i32::try_from(one.days_left(now)).unwrap_or(i32::MAX),
        status: one.expiry(now).as_str().to_owned(),
        renewable: if one.kind.is_automatic() { "auto" } else { "manual" }.to_owned(),
        subject: one.subject,
        serial: one.serial,
    }
}
