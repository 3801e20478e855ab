//! google.protobuf.Timestamp and google.protobuf.Duration.

use serde::de::Deserializer;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::json::{
    decode_error::{DecodeError, DecodeErrorKind, Expected},
    kind::{Kind, ReadOutcome},
    options::Timestamps,
    read::{Reader, parsed},
    write::Writer,
};

/// google.protobuf.Timestamp: RFC 3339, years 0001 to 9999.
#[derive(Debug)]
pub struct Timestamp;

/// 0001-01-01T00:00:00Z.
const FIRST_SECOND: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;
/// Nanoseconds in a second.
const SECOND: i32 = 1_000_000_000;

impl Kind for Timestamp {
    type Rust = prost_types::Timestamp;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        parsed(slot, Expected::Timestamp, value, cx, parse_timestamp)
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        match calendar(value) {
            Some(mut text) => {
                let length = DATE_AND_TIME + fraction(&mut text, value.nanos, out.options.timestamps);
                out.raw_bytes(&text[..length]);
                out.raw(if out.options.timestamps == Timestamps::NaiveMicroseconds { "\"" } else { "Z\"" });
            }
            None => out.unprintable("a timestamp outside the years 0001 to 9999"),
        }
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(text: &str, _: bool) -> Result<Self::Rust, DecodeError> {
        parse_timestamp(text)
    }
}

fn parse_timestamp(text: &str) -> Result<prost_types::Timestamp, DecodeError> {
    let error = || DecodeError::expected(Expected::Timestamp);
    // The format library also accepts any byte for the `T` and a lower-case `z`, drops digits beyond the ninth, and
    // maps a leap second to the last nanosecond of its minute.
    let digits = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    if text.get(10..11) != Some("T") || text.contains('z') || digits > 9 || text.get(17..19) == Some("60") {
        return Err(error());
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| error())?;
    // Nor does it refuse the hours 24 and 25.
    if at.offset().whole_hours().abs() > 23 {
        return Err(error());
    }
    let seconds = at.unix_timestamp();
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
        let error = DecodeError::new(DecodeErrorKind::OutOfRange, "must be in the years 0001 to 9999");
        return Err(error.expecting(Expected::Timestamp));
    }
    // The nanoseconds of a second fit.
    Ok(prost_types::Timestamp { seconds, nanos: at.nanosecond() as i32 })
}

/// Buffer for a timestamp: a quote, date and time, a point and nine digits. Only the needed part is written.
type Text = [u8; 30];

const BLANK: Text = *b"\"0000-00-00T00:00:00.000000000";
/// The length before the point.
const DATE_AND_TIME: usize = 20;

/// Date and time of a timestamp within the range that can be written.
fn calendar(value: &prost_types::Timestamp) -> Option<Text> {
    if !(FIRST_SECOND..=LAST_SECOND).contains(&value.seconds) || !(0..SECOND).contains(&value.nanos) {
        return None;
    }
    let at = OffsetDateTime::from_unix_timestamp(value.seconds).ok()?;
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let mut text = BLANK;
    // The year has four digits and is positive.
    digits(&mut text[1..5], year.unsigned_abs());
    for (part, value) in [(6, u8::from(month)), (9, day), (12, hour), (15, minute), (18, second)] {
        digits(&mut text[part..part + 2], u32::from(value));
    }
    Some(text)
}

/// Fills `places` with the digits of a number.
fn digits(places: &mut [u8], mut number: u32) {
    for part in places.iter_mut().rev() {
        // A digit fits.
        *part = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Appends the fraction of a second to date and time, and returns the length.
fn fraction(text: &mut Text, nanos: i32, habit: Timestamps) -> usize {
    // Plus one for the point.
    let length = match habit {
        Timestamps::Microseconds | Timestamps::NaiveMicroseconds => 7,
        Timestamps::Rfc3339 if nanos == 0 => return 0,
        Timestamps::Rfc3339 => 1 + decimals(nanos.unsigned_abs()),
    };
    digits(&mut text[DATE_AND_TIME + 1..], nanos.unsigned_abs());
    length
}

/// How many digits nanoseconds need: 3, 6 or 9.
fn decimals(nanos: u32) -> usize {
    match nanos {
        n if n % 1_000_000 == 0 => 3,
        n if n % 1_000 == 0 => 6,
        _ => 9,
    }
}

/// google.protobuf.Duration: seconds with up to nine digits of fraction and `s`.
#[derive(Debug)]
pub struct Duration;

/// About ten thousand years.
const LONGEST: i64 = 315_576_000_000;

impl Kind for Duration {
    type Rust = prost_types::Duration;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        parsed(slot, Expected::Duration, value, cx, parse_duration)
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        let (seconds, nanos) = (value.seconds, value.nanos);
        let mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
        if mixed || seconds.abs() > LONGEST || nanos.abs() >= SECOND {
            out.unprintable("a duration that is too long or has mixed signs");
            return;
        }
        out.raw(if seconds < 0 || nanos < 0 { "\"-" } else { "\"" });
        out.integer(seconds.unsigned_abs());
        if nanos != 0 {
            let mut text = *b".000000000";
            digits(&mut text[1..], nanos.unsigned_abs());
            out.raw_bytes(&text[..1 + decimals(nanos.unsigned_abs())]);
        }
        out.raw("s\"");
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(text: &str, _: bool) -> Result<Self::Rust, DecodeError> {
        parse_duration(text)
    }
}

fn parse_duration(text: &str) -> Result<prost_types::Duration, DecodeError> {
    let error = || DecodeError::expected(Expected::Duration);
    let number = text.strip_suffix('s').ok_or_else(error)?;
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits =
        |text: &str, most: usize| !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 18) || !digits(fraction, 9) {
        return Err(error());
    }
    let seconds: i64 = whole.parse().map_err(|_| error())?;
    let nanos: i32 = format!("{fraction:0<9}").parse().map_err(|_| error())?;
    if seconds > LONGEST {
        let error = DecodeError::new(DecodeErrorKind::OutOfRange, "must not exceed 315576000000 seconds");
        return Err(error.expecting(Expected::Duration));
    }
    let sign = if negative { -1 } else { 1 };
    Ok(prost_types::Duration { seconds: seconds * i64::from(sign), nanos: nanos * sign })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{JsonOptions, encode};

    fn written(seconds: i64, nanos: i32, timestamps: Timestamps) -> String {
        let value = prost_types::Timestamp { seconds, nanos };
        let options = JsonOptions { timestamps, ..JsonOptions::PROTO3 };
        String::from_utf8(encode::<Timestamp>(&value, &options).unwrap()).unwrap()
    }

    #[test]
    fn a_time_has_the_configured_number_of_digits() {
        for (nanos, digits) in [
            (0, ""),
            (120_000_000, ".120"),
            (120_000, ".000120"),
            (1, ".000000001"),
            (999_999_999, ".999999999"),
            (7_000_000, ".007"),
        ] {
            let expected = format!("\"2026-01-31T12:05:09{digits}Z\"");
            assert_eq!(written(1_769_861_109, nanos, Timestamps::Rfc3339), expected);
        }
        assert_eq!(written(FIRST_SECOND, 1_999, Timestamps::Microseconds), "\"0001-01-01T00:00:00.000001Z\"");
        let last = "\"9999-12-31T23:59:59.000000\"";
        assert_eq!(written(LAST_SECOND, 999, Timestamps::NaiveMicroseconds), last);
    }

    #[test]
    fn an_offset_has_at_most_23_hours() {
        assert_eq!(parse_timestamp("1970-01-02T00:59:00+23:59").unwrap().seconds, 3_600);
        assert_eq!(parse_timestamp("1970-01-01T00:00:00-23:59").unwrap().seconds, 86_340);
        for offset in ["+24:00", "-24:00", "+25:59"] {
            assert!(parse_timestamp(&format!("1970-01-02T00:00:00{offset}")).is_err(), "{offset}");
        }
    }

    #[test]
    fn a_time_is_written_as_the_format_library_writes_it() {
        for step in 0..4_000_i64 {
            let seconds = FIRST_SECOND + step * ((LAST_SECOND - FIRST_SECOND) / 4_000) + step;
            let expected = OffsetDateTime::from_unix_timestamp(seconds).unwrap().format(&Rfc3339).unwrap();
            assert_eq!(written(seconds, 0, Timestamps::Rfc3339), format!("\"{expected}\""));
        }
    }

    #[test]
    fn a_duration_has_its_sign_once() {
        for (seconds, nanos, expected) in [
            (0, 0, "\"0s\""),
            (-1, -500_000_000, "\"-1.500s\""),
            (0, -1_000, "\"-0.000001s\""),
            (LONGEST, 999_999_999, "\"315576000000.999999999s\""),
        ] {
            let value = prost_types::Duration { seconds, nanos };
            let text = encode::<Duration>(&value, &JsonOptions::PROTO3).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
