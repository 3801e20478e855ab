//! Why an artifact is refused.

use core::fmt;

/// Why an artifact is refused. A consumer reports [`code`](Self::code) and keeps what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Larger than the limit.
    TooLarge,
    /// Not an envelope, or not a compact JWS.
    Malformed,
    /// The envelope has another type of payload, or the JWS another `typ` or `alg`.
    WrongType,
    /// No signature is by a key that is trusted.
    UnknownKey,
    /// A signature is by a trusted key, but not one for this use.
    WrongUse,
    /// The key is revoked.
    RevokedKey,
    /// The key is not valid at this time.
    KeyNotValid,
    /// A signature does not match.
    BadSignature,
    /// The payload is not JSON, or a member occurs twice.
    BadPayload,
    /// The payload has another schema, or lacks a member.
    BadSchema,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// Its version, or its sequence, is lower than one that was accepted before.
    RolledBack,
    /// The anchor set is not the one after the current one.
    NotNext,
    /// It continues a bundle that was not accepted. Get the whole one.
    Gap,
    /// It is for another gateway, pool or tenant.
    Audience,
    /// It is for another key than the one that was proven.
    KeyMismatch,
    /// It was revoked.
    Revoked,
    /// It was issued for another policy than the current one.
    PolicySuperseded,
    /// It was used before.
    Replayed,
    /// There is no fresh artifact to check it against.
    NothingFresh,
    /// The gateway has not reached the control plane for longer than its configuration permits.
    OfflineGraceOver,
    /// The gateway drains, and accepts no new sessions.
    Draining,
}

impl Refusal {
    /// The code, for reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::WrongType => "wrong_type",
            Self::UnknownKey => "unknown_key",
            Self::WrongUse => "wrong_use",
            Self::RevokedKey => "revoked_key",
            Self::KeyNotValid => "key_not_valid",
            Self::BadSignature => "bad_signature",
            Self::BadPayload => "bad_payload",
            Self::BadSchema => "bad_schema",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::RolledBack => "rolled_back",
            Self::NotNext => "not_next",
            Self::Gap => "gap",
            Self::Audience => "audience",
            Self::KeyMismatch => "key_mismatch",
            Self::Revoked => "revoked",
            Self::PolicySuperseded => "policy_superseded",
            Self::Replayed => "replayed",
            Self::NothingFresh => "nothing_fresh",
            Self::OfflineGraceOver => "offline_grace_over",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl core::error::Error for Refusal {}
