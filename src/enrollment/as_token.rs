//! The caller of an enrollment: the token.

use crate::{
    base::{Access, Caller, CallerKind, Cx, EnrolledKind, IdKind, TenantRef, caller::CallerFacts, cx::CxFacts},
    store::{columns::TokenKind, tables::EnrollmentTokenRow},
};

/// The context of a call that has a valid token: it acts for the token, in its tenant.
pub(super) fn as_token(cx: &Cx, token: &EnrollmentTokenRow) -> Cx {
    let tenant = TenantRef::Id(token.tenant_id.tenant());
    let caller = Caller::new(CallerFacts {
        kind: CallerKind::Service,
        subject: IdKind::EnrollmentToken.show(token.id),
        ..CallerFacts::default()
    });
    let audit_action = Some(match token.kind {
        TokenKind::Enrolled(EnrolledKind::Device) => "device.enroll",
        TokenKind::Enrolled(EnrolledKind::Gateway) => "gateway.enroll",
        TokenKind::Host => "host.register",
    });
    Cx::new(CxFacts { caller, access: Access::Tenant(tenant), audit_action, ..CxFacts::clone(cx) })
}
