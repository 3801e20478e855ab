//! The times of a rotation.

use time::{Duration, OffsetDateTime};

use crate::{
    base::{Error, Result, error::Reason},
    store::{
        columns::{KeyUse, RotationOutcome, RotationPhase},
        tables::rotations::Model,
    },
    trust::CERTIFICATE_LIFE,
};

/// How many refresh hints a key is announced for before it is used, at least and by default.
const LEAST_HINTS: i32 = 3;
const USUAL_HINTS: i32 = 5;
/// How far ahead a rotation may be planned, and how long both keys may be trusted.
const MOST: Duration = Duration::days(30);
/// The longest validity of what these keys sign (zero-trust contract, sections 5.4 and 6.3).
const SPC_LIFE: Duration = Duration::days(7);
const GRANT_LIFE: Duration = Duration::seconds(120);

/// A rotation that a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub key_use: KeyUse,
    pub reason: Option<String>,
    pub timing: Timing,
}

/// When the new key is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// At once; the old key is revoked.
    Emergency,
    /// After this number of seconds, or the default, during which consumers learn the key; the old key is trusted as long after that.
    Overlap(Option<i64>),
    /// At this time.
    At(OffsetDateTime),
    /// When a caller decides so.
    Later,
}

/// A phase with the time at which it began or begins; none if that is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseAt {
    pub phase: RotationPhase,
    pub at: Option<OffsetDateTime>,
    pub is_done: bool,
}

/// When a rotation activates its new key, and for how long both keys are trusted after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) activate_at: Option<OffsetDateTime>,
    pub(super) overlap: Duration,
}

/// Whether keys for this use belong to the installation, and not to a tenant.
pub fn is_of_installation(key_use: KeyUse) -> bool {
    match key_use {
        KeyUse::Root | KeyUse::DeviceCa | KeyUse::GatewayCa | KeyUse::ServerCa => true,
        KeyUse::PolicySigning | KeyUse::SpcSigning | KeyUse::AdmissionSigning => false,
    }
}

/// How long a key must be announced before it is used.
pub(super) fn announced_for(refresh: Duration) -> Duration {
    refresh * LEAST_HINTS
}

/// The times of a rotation that begins now. Fails with INVALID_ARGUMENT for one that consumers could not follow.
pub(super) fn times(timing: Timing, now: OffsetDateTime, refresh: Duration) -> Result<Times> {
    let usual = refresh * USUAL_HINTS;
    match timing {
        Timing::Emergency => Ok(Times { activate_at: Some(now), overlap: Duration::ZERO }),
        Timing::Later => Ok(Times { activate_at: None, overlap: usual }),
        Timing::Overlap(seconds) => {
            let overlap = overlap(seconds, refresh)?;
            Ok(Times { activate_at: Some(now + overlap), overlap })
        }
        Timing::At(at) => {
            let least = announced_for(refresh);
            if !(now + least..=now + MOST).contains(&at) {
                let message = format!(
                    "activate_at must be {} seconds to {} days from now, so that consumers learn the key first",
                    least.whole_seconds(),
                    MOST.whole_days()
                );
                return Err(Error::invalid(Reason::InvalidArgument, "activate_at", message));
            }
            Ok(Times { activate_at: Some(at), overlap: usual })
        }
    }
}

/// An overlap in seconds, or the default. Fails with INVALID_ARGUMENT for one that is too short or too long.
pub(super) fn overlap(seconds: Option<i64>, refresh: Duration) -> Result<Duration> {
    let (least, usual) = (announced_for(refresh), refresh * USUAL_HINTS);
    let overlap = seconds.map_or(usual, Duration::seconds);
    if (least..=MOST.max(usual)).contains(&overlap) {
        return Ok(overlap);
    }
    let message = format!(
        "overlap_seconds must be from {} (3 refresh intervals of consumers) to {}",
        least.whole_seconds(),
        MOST.whole_seconds()
    );
    Err(Error::invalid(Reason::InvalidArgument, "overlap_seconds", message))
}

/// How long after its replacement something that a key signed may be valid, unless the database knows the end.
pub(super) fn longest_life(key_use: KeyUse) -> Option<Duration> {
    match key_use {
        KeyUse::DeviceCa | KeyUse::GatewayCa | KeyUse::ServerCa => Some(CERTIFICATE_LIFE),
        KeyUse::SpcSigning => Some(SPC_LIFE),
        KeyUse::AdmissionSigning => Some(GRANT_LIFE),
        // An anchor set counts when it is read, and never again; the ends of policies are stored.
        KeyUse::Root | KeyUse::PolicySigning => None,
    }
}

/// The phases of a rotation, in their order.
pub(super) fn phases(row: &Model) -> Vec<PhaseAt> {
    let times = [Some(row.published_at), row.activate_at, row.retire_at, row.remove_at];
    let reached = |phase: RotationPhase| match row.outcome {
        RotationOutcome::Withdrawn => phase == RotationPhase::Publish,
        RotationOutcome::Running | RotationOutcome::Done => phase as usize <= row.phase as usize,
    };
    let all = RotationPhase::ALL.iter().zip(times);
    all.map(|(phase, at)| PhaseAt { phase: *phase, at: at.map(|at| at.time()), is_done: reached(*phase) }).collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);
    const HINT: Duration = Duration::seconds(300);

    #[test]
    fn a_key_is_announced_for_three_hints_at_least() {
        let activated = |timing| times(timing, NOW, HINT).map(|times| times.activate_at);
        assert_eq!(activated(Timing::Overlap(None)).unwrap(), Some(NOW + HINT * 5));
        assert_eq!(activated(Timing::Overlap(Some(900))).unwrap(), Some(NOW + HINT * 3));
        assert_eq!(activated(Timing::At(NOW + HINT * 3)).unwrap(), Some(NOW + HINT * 3));
        assert_eq!(activated(Timing::Later).unwrap(), None);
        assert_eq!(activated(Timing::Emergency).unwrap(), Some(NOW));
        for early in [
            Timing::Overlap(Some(899)),
            Timing::Overlap(Some(-1)),
            Timing::Overlap(Some(i64::MAX)),
            Timing::At(NOW),
            Timing::At(NOW + HINT * 3 - Duration::SECOND),
            Timing::At(NOW + Duration::days(31)),
        ] {
            let error = times(early, NOW, HINT).unwrap_err();
            assert_eq!(error.reason, Reason::InvalidArgument, "{early:?}");
        }
    }

    #[test]
    fn every_use_belongs_to_the_installation_or_to_a_tenant() {
        let of_tenants: Vec<_> = KeyUse::ALL.iter().filter(|key_use| !is_of_installation(**key_use)).collect();
        assert_eq!(of_tenants, [&KeyUse::PolicySigning, &KeyUse::SpcSigning, &KeyUse::AdmissionSigning]);
    }
}
