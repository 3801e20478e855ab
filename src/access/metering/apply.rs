//! What a report changes in a session.

use time::OffsetDateTime;

use super::{
    check::Checked,
    counters::{Traffic, advance},
};
use crate::{
    access::admission::SILENT,
    store::{
        Stamp,
        columns::{EndReason, Reading, SessionStatus},
        tables::{AccessSessionRow, is_being_killed},
    },
};

/// A report, as far as a session depends on it.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub sequence: i64,
    pub window_end: OffsetDateTime,
    pub now: OffsetDateTime,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    pub traffic: Traffic,
    /// Whether the list of sessions that the gateway has to end changed.
    pub kills_changed: bool,
}

/// Applies a report to a session. One that ended and that its gateway still reports has to be ended by it.
pub fn apply(session: &mut AccessSessionRow, line: &Checked, at: At) -> Applied {
    let reading = Reading { sequence: at.sequence, bytes_in: line.bytes_in, bytes_out: line.bytes_out };
    let is_newest = session.counters.last.is_none_or(|last| last.sequence < at.sequence);
    let traffic = advance(&mut session.counters.0, reading);
    session.bytes_in = session.bytes_in.saturating_add(traffic.bytes_in);
    session.bytes_out = session.bytes_out.saturating_add(traffic.bytes_out);
    if session.reported_at.is_none() {
        let granted = session.started_at.time();
        session.started_at = line.started_at.clamp(granted, at.now.max(granted)).into();
    }
    session.reported_at = Some(at.now.into());
    if traffic != Traffic::default() {
        let active = line.ended_at.unwrap_or(at.window_end).min(at.now);
        session.last_activity_at = session.last_activity_at.max(active.into());
    }
    let kills_changed = match line.ended_at {
        Some(ended) => end(session, line, ended, at.now),
        None if is_newest => continues(session, at.now),
        None => false,
    };
    Applied { traffic, kills_changed }
}

/// The gateway reports the end of a session. Returns whether it had to end it.
fn end(session: &mut AccessSessionRow, line: &Checked, ended: OffsetDateTime, now: OffsetDateTime) -> bool {
    // One that had ended before it was given up has ended when and why its gateway says.
    let was_over = session.ended_at.is_some_and(|given_up| ended < given_up.time());
    if session.status == SessionStatus::Active || (is_given_up(session) && was_over) {
        let started = session.started_at.time();
        session.status = SessionStatus::Ended;
        session.ended_at = Some(ended.clamp(started, now.max(started)).into());
        let unknown = || EndReason::Closed.as_str().to_owned();
        session.end_reason = Some(line.end_reason.clone().unwrap_or_else(unknown));
    } else {
        started_after_all(session);
    }
    session.end_reported = true;
    session.kill_requested_at.take().is_some()
}

/// Whether a session ended because its gateway did not report it for too long.
fn is_given_up(session: &AccessSessionRow) -> bool {
    let given_up = [EndReason::NotStarted.as_str(), EndReason::Lost.as_str()];
    !session.end_reported && session.end_reason.as_deref().is_some_and(|reason| given_up.contains(&reason))
}

/// A session that was given up because it was never reported is reported.
fn started_after_all(session: &mut AccessSessionRow) {
    if session.end_reason.as_deref() == Some(EndReason::NotStarted.as_str()) {
        session.end_reason = Some(EndReason::Lost.as_str().to_owned());
    }
}

/// The gateway reports that a session continues. Returns whether it has to end it from now on.
fn continues(session: &mut AccessSessionRow, now: OffsetDateTime) -> bool {
    if session.status == SessionStatus::Active {
        session.expires_at = session.max_end.min(Stamp::from(now + SILENT));
        return false;
    }
    started_after_all(session);
    let is_news = !is_being_killed(session, now.into());
    if is_news {
        session.end_reported = false;
        session.kill_requested_at = Some(now.into());
    }
    is_news
}
