//! The sections of a policy that are objects.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::words::{Check, Day, OnFail};

/// Name resolution of devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    pub servers: Vec<IpAddr>,
    /// In lower case and punycode; empty for all names.
    pub match_domains: Vec<String>,
}

/// Requirements for the state of devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posture {
    pub required: Vec<Check>,
    /// How long a report is valid.
    pub max_age_seconds: u32,
    pub on_fail: OnFail,
}

/// Limits of sessions; no limit where one is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reauth_seconds: Option<u32>,
}

/// Requirements for where and when devices connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Two-letter codes; empty for all countries.
    pub countries_allow: Vec<String>,
    /// Empty for all times.
    pub time_windows: Vec<TimeWindow>,
}

/// A time window, in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeWindow {
    /// Empty for all days.
    pub days: Vec<Day>,
    pub start: TimeOfDay,
    /// After the start.
    pub end: TimeOfDay,
}

/// A time of day in minutes after midnight, `00:00` to `24:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Parses a time such as `08:00`. The error says what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let two = |digits: &str| {
            let is_number = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| is_number)
        };
        let parts = text.split_once(':').and_then(|(hour, minute)| Some((two(hour)?, two(minute)?)));
        let minutes = parts.filter(|(_, minute)| *minute < 60).map(|(hour, minute)| 60 * hour + minute);
        let minutes = minutes.filter(|minutes| *minutes <= 24 * 60);
        minutes.map(Self).ok_or_else(|| "must be a time of day, such as 08:00".to_owned())
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        format!("{:02}:{:02}", time.0 / 60, time.0 % 60)
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_has_two_digits_each() {
        for good in ["00:00", "08:05", "23:59", "24:00"] {
            assert_eq!(String::from(TimeOfDay::read(good).unwrap()), good);
        }
        for bad in ["", "8:00", "24:01", "08:60", "25:00", "+8:00", "08:00:00", "0800"] {
            assert!(TimeOfDay::read(bad).is_err(), "{bad}");
        }
    }
}
