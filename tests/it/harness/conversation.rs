//! Conversations over REST: lines that are sent one after the other and recorded with their responses, as
//! golden files. What differs between runs (ids, times, tokens) is masked; a later line refers to an id by its
//! mask.

use std::fmt::Write as _;

use reqwest::Method;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{http::Http, mask::secrets};

/// The ids of a conversation, in the order in which responses returned them.
#[derive(Default)]
pub struct Ids(Vec<String>);

impl Ids {
    /// Sends a line, and records it with its response. `<1>` in the path or the body is the first id.
    pub async fn say(&mut self, who: &str, http: &Http, line: (&str, &str, Option<&str>)) -> String {
        let (method, path, body) = line;
        let (sent_path, sent_body) = (self.fill(path), body.map(|body| self.fill(body)));
        let verb = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = http.call(verb, &sent_path, sent_body.as_deref()).await;
        let mut written = format!("> {who}: {method} {path}");
        if let Some(body) = body {
            write!(written, " {body}").unwrap();
        }
        let shown = self.mask(&answer.shown());
        format!("{written}\n{shown}\n")
    }

    /// Replaces masks by ids, and `<in 2 h>` by the time in two hours.
    pub fn fill(&self, text: &str) -> String {
        let filled = self.0.iter().enumerate().rev();
        let filled = filled.fold(text.to_owned(), |text, (index, id)| text.replace(&format!("<{}>", index + 1), id));
        let mut parts = filled.split("<in ");
        let mut with_times = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (hours, rest) = part.split_once(" h>").unwrap();
            let time = OffsetDateTime::now_utc() + Duration::hours(hours.parse().unwrap());
            write!(with_times, "{}{rest}", time.format(&Rfc3339).unwrap()).unwrap();
        }
        with_times
    }

    /// Replaces what differs between runs by masks.
    pub fn mask(&mut self, text: &str) -> String {
        let text = value_masked(&times_masked(text), "Authorization", "<token>");
        let text = secrets().fold(text, |text, member| value_masked(&text, member, "<...>"));
        let (mut masked, mut rest) = (String::new(), text.as_str());
        while let Some(at) = rest.char_indices().map(|(at, _)| at).find(|at| id_at(&rest[*at..]).is_some()) {
            let id = id_at(&rest[at..]).unwrap().to_owned();
            let known = self.0.iter().position(|known| *known == id);
            let number = known.unwrap_or_else(|| {
                self.0.push(id.clone());
                self.0.len() - 1
            });
            write!(masked, "{}<{}>", &rest[..at], number + 1).unwrap();
            rest = &rest[at + id.len()..];
        }
        masked + rest
    }
}

/// The dashed UUIDv7 at the beginning of a text.
fn id_at(text: &str) -> Option<&str> {
    let id = text.get(..36)?;
    let fits = id.bytes().enumerate().all(|(at, b)| match at {
        8 | 13 | 18 | 23 => b == b'-',
        14 => b == b'7',
        _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
    });
    fits.then_some(id)
}

/// Replaces the strings that are times near the present, which a server computes, by a mask. Those of requests are far away.
fn times_masked(text: &str) -> String {
    let (mut parts, mut masked) = (text.split('"'), String::new());
    masked.push_str(parts.next().unwrap_or_default());
    for part in parts {
        write!(masked, "\"{}", if is_recent(part) { time_shape(part) } else { part }).unwrap();
    }
    masked
}

fn is_recent(text: &str) -> bool {
    let utc = format!("{}Z", text.trim_end_matches('Z'));
    let read = [text, &utc].into_iter().find_map(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    read.is_some_and(|time| (time - OffsetDateTime::now_utc()).abs() < Duration::days(400))
}

/// Replaces the values of a JSON member by a mask.
fn value_masked(text: &str, member: &str, mask: &str) -> String {
    let head = format!("\"{member}\":\"");
    let mut parts = text.split(&head);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part.find('"').unwrap_or(part.len());
        write!(masked, "{head}{mask}{}", &part[value..]).unwrap();
    }
    masked
}

/// The mask of a time, if it has the documented format: microseconds and no offset.
fn time_shape(text: &str) -> &'static str {
    let form = "dddd-dd-ddTdd:dd:dd.dddddd";
    let fits = |(b, f): (u8, u8)| if f == b'd' { b.is_ascii_digit() } else { b == f };
    let fits = text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits);
    if fits { "<time>" } else { "<not the documented form of a time>" }
}
