//! A conversation over REST, recorded for a golden file. What differs between runs is masked.

use std::{collections::BTreeMap, fmt::Write as _};

use reqwest::Method;
use tenantry::base::{ManagerId, TenantId};

use super::http::{Answer, Http};

/// The caller, the method, the path and the body. `{acme.manager}` in the path or body is replaced by the id of
/// the tenant `acme` in the manager's format, once a response has returned it; likewise `dashed`, `warehouse`
/// and `zero-trust`, and `{web.project}` and `{web.app}` by the ids of the project and the app `web`.
pub type Line = (&'static str, &'static str, &'static str, Option<&'static str>);

#[derive(Default)]
pub struct Transcript {
    ids: BTreeMap<String, TenantId>,
    /// The ids of projects and apps, by their placeholders.
    others: BTreeMap<String, String>,
    written: String,
}

impl Transcript {
    /// Sends a line and records it with its response.
    pub async fn say(&mut self, http: &Http, line: &Line) -> Answer {
        let (who, method, path, body) = line;
        let sent = body.map(|body| self.filled(body));
        let answer = http.call(method.parse::<Method>().unwrap(), &self.filled(path), sent.as_deref()).await;
        self.learn(&answer);
        writeln!(self.written, "> {who}: {method} {path} {}", body.unwrap_or_default()).unwrap();
        writeln!(self.written, "{}", masked(&answer.shown())).unwrap();
        answer
    }

    /// Replaces a placeholder by a value from here on.
    pub fn define(&mut self, placeholder: &str, value: String) {
        self.others.insert(placeholder.to_owned(), value);
    }

    /// The recorded conversation.
    pub fn end(self) -> String {
        self.written
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, id) in &self.ids {
            for (spelling, id) in spellings(*id) {
                text = text.replace(&format!("{{{name}.{spelling}}}"), &id);
            }
        }
        for (placeholder, id) in &self.others {
            text = text.replace(placeholder, id);
        }
        text
    }

    fn learn(&mut self, answer: &Answer) {
        let Ok(reported) = serde_json::from_str::<serde_json::Value>(&answer.body) else { return };
        if let (Some(name), Some(Ok(id))) = (reported["name"].as_str(), reported["id"].as_str().map(str::parse)) {
            self.ids.insert(name.to_owned(), id);
        }
        if let (Some(name), Some((kind, id))) =
            (reported["name"].as_str(), reported["id"].as_str().and_then(manager_id))
        {
            self.others.insert(format!("{{{name}.{kind}}}"), id.to_owned());
        }
    }
}

/// An id in every format, with the name of the format.
pub fn spellings(id: TenantId) -> [(&'static str, String); 4] {
    [("dashed", id.dashed()), ("manager", id.manager()), ("warehouse", id.warehouse()), ("zero-trust", id.zero_trust())]
}

/// An id of a project or an app, with its kind.
fn manager_id(text: &str) -> Option<(&'static str, &str)> {
    let is_of = |kind: ManagerId| kind.read(text).is_some();
    let kinds = [("project", ManagerId::Project), ("app", ManagerId::App)];
    kinds.into_iter().find(|(_, kind)| is_of(*kind)).map(|(kind, _)| (kind, text))
}

/// Masks ids, times and tokens that are JSON strings.
pub fn masked(text: &str) -> String {
    let mask = |piece: &str| {
        if let Ok(id) = piece.parse::<TenantId>() {
            let (spelling, _) = spellings(id).into_iter().find(|(_, spelled)| spelled == piece).unwrap();
            format!("<id: {spelling}>")
        } else if let Some((kind, _)) = manager_id(piece) {
            format!("<id: {kind}>")
        } else if is_time(piece) {
            format!("<time of {} characters>", piece.len())
        } else if piece.starts_with("eyJ") && piece.split('.').count() == 3 {
            "<token>".to_owned()
        } else if piece.len() == 43 && piece.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
            "<43 characters>".to_owned()
        } else {
            piece.to_owned()
        }
    };
    text.split('"').map(mask).collect::<Vec<_>>().join("\"")
}

/// `2026-01-31T12:00:00.123456Z`.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape.strip_prefix("0000-00-00T00:00:00").and_then(|rest| rest.strip_suffix('Z')).is_some_and(|fraction| {
        fraction.is_empty() || fraction.strip_prefix('.').is_some_and(|digits| digits.bytes().all(|b| b == b'0'))
    })
}
