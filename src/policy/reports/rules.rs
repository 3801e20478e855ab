//! Validation of the reports of devices.

use std::ops::RangeInclusive;

use time::{Duration, OffsetDateTime};

use super::Verdict;
use crate::{
    base::{Error, Result, error::Reason, text},
    store::{Stamp, tables::SessionReport},
};

/// The words for what happened in a session.
const EVENTS: [&str; 4] = ["start", "update", "end", "error"];
/// How old a report may be, and how far the clock of a device may be ahead.
const OLDEST: Duration = Duration::hours(24);
const AHEAD: Duration = Duration::minutes(5);
/// The longest round trip, in milliseconds.
const MAX_RTT: f64 = 3_600_000.0;
/// Maximum length of the reason for a refusal, in characters.
const MAX_ERROR: usize = 500;
/// Maximum length of the version of a client, in characters.
const MAX_VERSION: usize = 64;

/// A report of a device.
#[derive(Clone, Debug)]
pub struct NewReport {
    pub session: Option<String>,
    pub event: String,
    pub at: OffsetDateTime,
    pub rtt_ms: Option<f64>,
    pub loss: Option<f64>,
    pub path_changes: Option<i64>,
    pub bytes_in: Option<i64>,
    pub bytes_out: Option<i64>,
    pub applied: Option<NewVerdict>,
    pub client_version: Option<String>,
}

/// What a report says about a version of the policy.
#[derive(Clone, Debug)]
pub struct NewVerdict {
    pub version: i64,
    pub ok: bool,
    pub error: Option<String>,
}

/// A valid [`NewReport`].
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub session: SessionReport,
    pub verdict: Option<Verdict>,
    pub client_version: Option<String>,
}

pub(super) fn check(new: NewReport, now: OffsetDateTime) -> Result<Checked> {
    if !EVENTS.contains(&new.event.as_str()) {
        return Err(invalid("event", "event must be start, update, end or error"));
    }
    let verdict = new.applied.map(verdict).transpose()?;
    let is_refusal = new.event == "error" && verdict.as_ref().is_some_and(|verdict| verdict.refused.is_some());
    match &new.session {
        None if !is_refusal => {
            let text = "required, except with the event error and a refused policy";
            return Err(Error { message: "missing: session_id".into(), ..required(text) });
        }
        Some(id) if !is_session_id(id) => {
            return Err(invalid("session_id", "session_id must be the id of a session: ses_ and 26 characters"));
        }
        _ => {}
    }
    if !(now - OLDEST..=now + AHEAD).contains(&new.at) {
        return Err(invalid("at", "at must not be older than 24 hours or more than 5 minutes in the future"));
    }
    Ok(Checked {
        session: SessionReport {
            session_id: new.session,
            event: new.event,
            at: Stamp::from(new.at).micros(),
            rtt_ms: real("rtt_ms", new.rtt_ms, 0.0..=MAX_RTT, "rtt_ms must be 0 to 3600000")?,
            loss: real("loss", new.loss, 0.0..=1.0, "loss must be 0 to 1")?,
            path_changes: whole("path_changes", new.path_changes)?,
            bytes_in: whole("bytes_in", new.bytes_in)?,
            bytes_out: whole("bytes_out", new.bytes_out)?,
        },
        verdict,
        client_version: new.client_version.map(client_version).transpose()?,
    })
}

fn verdict(new: NewVerdict) -> Result<Verdict> {
    if new.version < 1 {
        return Err(invalid("applied_policy.version", "version must be at least 1"));
    }
    if new.ok && new.error.is_some() {
        return Err(invalid("applied_policy.error", "error is only used if ok is false"));
    }
    let error = new.error.unwrap_or_default();
    let error = text::prose("applied_policy.error", &error, MAX_ERROR, "error must have at most 500 characters")?;
    Ok(Verdict { version: new.version, refused: (!new.ok).then_some(error) })
}

fn client_version(given: String) -> Result<String> {
    text::name_of("client_version", &given, 1..=MAX_VERSION, "client_version must have 1 to 64 characters")
}

fn is_session_id(text: &str) -> bool {
    text.strip_prefix("ses_").is_some_and(|id| id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn real(field: &str, given: Option<f64>, range: RangeInclusive<f64>, text: &'static str) -> Result<Option<f64>> {
    match given {
        Some(number) if !range.contains(&number) => Err(invalid(field, text)),
        given => Ok(given),
    }
}

fn whole(field: &str, given: Option<i64>) -> Result<Option<i64>> {
    match given {
        Some(number) if number < 0 => Err(invalid(field, format!("{field} must not be negative"))),
        given => Ok(given),
    }
}

fn required(text: &'static str) -> Error {
    Error::invalid(Reason::FieldRequired, "session_id", text)
}

fn invalid(field: &str, text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(Reason::InvalidArgument, field, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::days(10));

    fn report() -> NewReport {
        NewReport {
            session: Some("ses_01J7ST8Z0GFCQ9TCATDDY8V7GF".to_owned()),
            event: "update".to_owned(),
            at: NOW,
            rtt_ms: None,
            loss: None,
            path_changes: None,
            bytes_in: None,
            bytes_out: None,
            applied: None,
            client_version: None,
        }
    }

    fn applied(version: i64, ok: bool, error: Option<&str>) -> NewReport {
        let applied = NewVerdict { version, ok, error: error.map(str::to_owned) };
        NewReport { applied: Some(applied), ..report() }
    }

    #[test]
    fn each_member_has_its_rule() {
        assert!(check(report(), NOW).is_ok());
        for (new, field) in [
            (NewReport { event: "pause".to_owned(), ..report() }, "event"),
            (NewReport { session: None, ..report() }, "session_id"),
            (NewReport { session: Some("ses_1".to_owned()), ..report() }, "session_id"),
            (NewReport { at: NOW - Duration::hours(25), ..report() }, "at"),
            (NewReport { at: NOW + Duration::minutes(6), ..report() }, "at"),
            (NewReport { rtt_ms: Some(-1.0), ..report() }, "rtt_ms"),
            (NewReport { rtt_ms: Some(f64::NAN), ..report() }, "rtt_ms"),
            (NewReport { loss: Some(1.5), ..report() }, "loss"),
            (NewReport { path_changes: Some(-1), ..report() }, "path_changes"),
            (NewReport { bytes_in: Some(-1), ..report() }, "bytes_in"),
            (NewReport { bytes_out: Some(-1), ..report() }, "bytes_out"),
            (NewReport { client_version: Some(String::new()), ..report() }, "client_version"),
            (applied(0, true, None), "applied_policy.version"),
            (applied(1, true, Some("no")), "applied_policy.error"),
            (applied(1, false, Some(&"x".repeat(501))), "applied_policy.error"),
        ] {
            assert_eq!(check(new.clone(), NOW).unwrap_err().violations[0].field, field, "{new:?}");
        }
    }

    #[test]
    fn a_refusal_needs_no_session() {
        let refusal = NewReport { session: None, event: "error".to_owned(), ..applied(3, false, None) };
        let verdict = check(refusal, NOW).unwrap().verdict.unwrap();
        assert_eq!(verdict, Verdict { version: 3, refused: Some(String::new()) });
        let success = NewReport { session: None, event: "error".to_owned(), ..applied(3, true, None) };
        assert_eq!(check(success, NOW).unwrap_err().violations[0].field, "session_id");
    }
}
