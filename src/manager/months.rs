//! Months of invoices: calendar months in UTC.

use std::{fmt, str::FromStr};

use time::{Date, Duration, OffsetDateTime, UtcOffset};

/// A calendar month in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(i64);

impl Month {
    /// The month of a time in any zone.
    pub fn of(time: OffsetDateTime) -> Self {
        let utc = time.to_offset(UtcOffset::UTC);
        Self(i64::from(utc.year()) * 12 + i64::from(u8::from(utc.month())) - 1)
    }

    /// Its stored number.
    pub fn number(self) -> i64 {
        self.0
    }

    pub fn numbered(number: i64) -> Self {
        Self(number)
    }

    pub fn start(self) -> OffsetDateTime {
        // Parsed months and those of times have four digits in their year, and so has the next one.
        let month = time::Month::January.nth_next(self.0.rem_euclid(12) as u8);
        let first = Date::from_calendar_date(self.0.div_euclid(12) as i32, month, 1);
        first.map_or(OffsetDateTime::UNIX_EPOCH, |date| date.midnight().assume_utc())
    }

    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Whether nothing in it changes: a time after its end has passed.
    pub fn is_closed(self, now: OffsetDateTime, after: Duration) -> bool {
        now >= self.next().start() + after
    }
}

impl FromStr for Month {
    type Err = ();

    /// Parses `YYYY-MM`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (year, month) = text.split_once('-').ok_or(())?;
        let number = |text: &str, digits: usize| match text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())
        {
            true => text.parse::<i64>().map_err(|_| ()),
            false => Err(()),
        };
        let (year, month) = (number(year, 4)?, number(month, 2)?);
        let known = (1970..=9998).contains(&year) && (1..=12).contains(&month);
        if known { Ok(Self(year * 12 + month - 1)) } else { Err(()) }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

#[cfg(test)]
mod tests {
    use time::{format_description::well_known::Rfc3339, macros::datetime};

    use super::*;

    #[test]
    fn the_month_of_a_time_is_that_in_utc_whatever_its_zone() {
        for (time, month) in [
            ("2026-11-30T23:59:59Z", "2026-11"),
            ("2026-12-01T00:00:00Z", "2026-12"),
            ("2026-11-30T23:30:00-02:00", "2026-12"),
            ("2026-12-01T01:30:00+02:00", "2026-11"),
            ("2026-12-31T23:00:00-14:00", "2027-01"),
            ("2027-01-01T00:00:00+14:00", "2026-12"),
        ] {
            assert_eq!(Month::of(OffsetDateTime::parse(time, &Rfc3339).unwrap()).to_string(), month, "{time}");
        }
        for hours in -23_i8..=23 {
            let zone = UtcOffset::from_hms(hours, 0, 0).unwrap();
            let (last, first) = (datetime!(2024-02-29 23:00 UTC), datetime!(2024-03-01 0:00 UTC));
            assert_eq!(Month::of(last.to_offset(zone)).to_string(), "2024-02");
            assert_eq!(Month::of(first.to_offset(zone)).to_string(), "2024-03");
        }
    }

    #[test]
    fn a_month_begins_where_the_one_before_ends() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!(month.start(), datetime!(2026-12-01 0:00 UTC));
        assert_eq!(month.next().start(), datetime!(2027-01-01 0:00 UTC));
        assert!(!month.is_closed(datetime!(2027-01-03 23:59 UTC), Duration::hours(72)));
        assert!(month.is_closed(datetime!(2027-01-04 0:00 UTC), Duration::hours(72)));
    }

    #[test]
    fn other_texts_are_not_months() {
        for bad in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-1",
            "26-01",
            "2026-01-01",
            "-026-01",
            "1969-12",
            "9999-01",
            "2026-+1",
        ] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }
}
