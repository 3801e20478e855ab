//! Validation of reports without the database.

use std::collections::HashSet;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Line, Rejected, Report};
use crate::{
    base::{Error, IdKind, Result, error::Reason},
    store::columns::{Applied, Totals},
};

/// Maximum number of sessions in a report.
const MOST: usize = 5000;
/// Maximum length of a window, and how far its end may be in the future.
const LONGEST: Duration = Duration::hours(24);
const AHEAD: Duration = Duration::minutes(5);
/// Maximum length of the id of a report, and of the reason for an end.
const MAX_WORD: usize = 64;

/// A valid session in a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its place in the report.
    pub index: usize,
    pub session: Uuid,
    pub device: Uuid,
    pub bytes_in: i64,
    pub bytes_out: i64,
    pub started_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub end_reason: Option<String>,
    pub admitted_offline: bool,
}

/// Validates all but the sessions. Fails with INVALID_ARGUMENT.
pub fn report(report: &Report, now: OffsetDateTime) -> Result<()> {
    let is_word = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(fits)
    };
    require(
        is_word(&report.report_id),
        "report_id",
        "must have 1 to 64 letters, digits, dots, colons, dashes and underscores",
    )?;
    require(report.sequence >= 0, "sequence", "must not be negative")?;
    let (start, end) = (report.window_start, report.window_end);
    require(start <= end, "window_end", "must not be before window_start")?;
    require(end - start <= LONGEST, "window_end", "must be at most 24 hours after window_start")?;
    require(
        end <= now + AHEAD,
        "window_end",
        "must be at most 5 minutes in the future; check the clock of the gateway",
    )?;
    require(report.lines.len() <= MOST, "sessions", "must have at most 5000 items")?;
    totals(&report.totals)?;
    report.applied.as_ref().map_or(Ok(()), applied)
}

fn totals(of: &Totals) -> Result<()> {
    let is_part = |part: Option<f64>| part.is_none_or(|part| (0.0..=1.0).contains(&part));
    require(of.active_sessions >= 0, "totals.active_sessions", "must not be negative")?;
    require(of.peak_sessions >= 0, "totals.peak_sessions", "must not be negative")?;
    require(is_part(of.cpu), "totals.cpu", "must be 0 to 1")?;
    require(is_part(of.mem), "totals.mem", "must be 0 to 1")?;
    let is_rate = of.mbps.is_none_or(|rate| rate.is_finite() && rate >= 0.0);
    require(is_rate, "totals.mbps", "must not be negative")
}

fn applied(of: &Applied) -> Result<()> {
    for (field, number) in [
        ("applied.policy_version", of.policy_version),
        ("applied.anchors_sequence", of.anchors_sequence),
        ("applied.spc_sequence", of.spc_sequence),
        ("applied.config_version", of.config_version),
    ] {
        require(number.is_none_or(|number| number >= 0), field, "must not be negative")?;
    }
    Ok(())
}

fn require(is_so: bool, field: &str, rule: &str) -> Result<()> {
    let message = || format!("{field} {rule}");
    if is_so { Ok(()) } else { Err(Error::invalid(Reason::InvalidArgument, field, message())) }
}

/// Divides the sessions of a report into valid ones and others.
pub fn lines(lines: Vec<Line>, now: OffsetDateTime) -> (Vec<Checked>, Vec<Rejected>) {
    let (mut valid, mut rejected, mut seen) = (Vec::with_capacity(lines.len()), Vec::new(), HashSet::new());
    for (index, line) in lines.into_iter().enumerate() {
        match checked(index, line, now)
            .and_then(|line| if seen.insert(line.session) { Ok(line) } else { Err("repeated") })
        {
            Ok(line) => valid.push(line),
            Err(reason) => rejected.push(Rejected { index, reason }),
        }
    }
    (valid, rejected)
}

fn checked(index: usize, line: Line, now: OffsetDateTime) -> Result<Checked, &'static str> {
    let session = IdKind::Session.read(&line.session).ok_or("unknown_session")?;
    let device = IdKind::Device.read(&line.device).ok_or("device_mismatch")?;
    if [line.bytes_in, line.bytes_out, line.packets_in, line.packets_out].iter().any(|counter| *counter < 0) {
        return Err("counter_invalid");
    }
    let ended = line.ended_at.unwrap_or(now);
    if line.started_at > now + AHEAD || ended > now + AHEAD || ended + AHEAD < line.started_at {
        return Err("time_invalid");
    }
    let is_word = |text: &String| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (1..=MAX_WORD).contains(&text.len()) && text.bytes().all(fits)
    };
    if !line.end_reason.as_ref().is_none_or(is_word) {
        return Err("end_reason_invalid");
    }
    let Line { bytes_in, bytes_out, started_at, ended_at, end_reason, admitted_offline, .. } = line;
    Ok(Checked { index, session, device, bytes_in, bytes_out, started_at, ended_at, end_reason, admitted_offline })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::days(1));

    fn valid() -> Report {
        Report {
            report_id: "r-1".to_owned(),
            gateway: None,
            sequence: 1,
            window_start: NOW - Duration::minutes(1),
            window_end: NOW,
            lines: Vec::new(),
            totals: Totals::default(),
            applied: Some(Applied::default()),
        }
    }

    fn line() -> Line {
        Line {
            session: IdKind::Session.show(Uuid::nil()),
            device: IdKind::Device.show(Uuid::nil()),
            bytes_in: 0,
            bytes_out: 0,
            packets_in: 0,
            packets_out: 0,
            started_at: NOW,
            ended_at: None,
            end_reason: None,
            admitted_offline: false,
        }
    }

    #[test]
    fn each_member_of_a_report_has_its_rule() {
        let field = |broken: Report| report(&broken, NOW).unwrap_err().violations[0].field.clone();
        assert!(report(&valid(), NOW).is_ok());
        for id in ["", "a b", &"x".repeat(65)] {
            assert_eq!(field(Report { report_id: id.to_owned(), ..valid() }), "report_id");
        }
        assert_eq!(field(Report { sequence: -1, ..valid() }), "sequence");
        let (long, ahead) = (Duration::hours(24) + Duration::SECOND, Duration::minutes(5) + Duration::SECOND);
        assert_eq!(field(Report { window_start: NOW + Duration::SECOND, ..valid() }), "window_end");
        assert_eq!(field(Report { window_start: NOW - long, ..valid() }), "window_end");
        assert_eq!(field(Report { window_end: NOW + ahead, ..valid() }), "window_end");
        assert_eq!(field(Report { lines: vec![line(); MOST + 1], ..valid() }), "sessions");
        let totals = |totals| field(Report { totals, ..valid() });
        assert_eq!(totals(Totals { active_sessions: -1, ..Totals::default() }), "totals.active_sessions");
        assert_eq!(totals(Totals { cpu: Some(1.1), ..Totals::default() }), "totals.cpu");
        assert_eq!(totals(Totals { mem: Some(f64::NAN), ..Totals::default() }), "totals.mem");
        assert_eq!(totals(Totals { mbps: Some(f64::INFINITY), ..Totals::default() }), "totals.mbps");
        let applied = Some(Applied { spc_sequence: Some(-1), ..Applied::default() });
        assert_eq!(field(Report { applied, ..valid() }), "applied.spc_sequence");
    }

    #[test]
    fn each_session_of_a_report_stands_by_itself() {
        let long_ago = NOW - Duration::hours(1);
        let broken = vec![
            line(),
            line(),
            Line { session: "ses_1".to_owned(), ..line() },
            Line { device: "one".to_owned(), ..line() },
            Line { bytes_out: -1, ..line() },
            Line { packets_in: -1, ..line() },
            Line { ended_at: Some(long_ago), ..line() },
            Line { started_at: NOW + Duration::hours(1), ..line() },
            Line { end_reason: Some("Went away".to_owned()), ..line() },
        ];
        let (valid, rejected) = lines(broken, NOW);
        assert_eq!(valid.len(), 1);
        let found: Vec<_> = rejected.iter().map(|rejected| (rejected.index, rejected.reason)).collect();
        assert_eq!(
            found,
            [
                (1, "repeated"),
                (2, "unknown_session"),
                (3, "device_mismatch"),
                (4, "counter_invalid"),
                (5, "counter_invalid"),
                (6, "time_invalid"),
                (7, "time_invalid"),
                (8, "end_reason_invalid"),
            ]
        );
    }
}
