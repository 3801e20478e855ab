//! google.protobuf.Timestamp and google.protobuf.Duration.

use serde::de::Deserializer;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::json::{
    fault::{Expected, Fault, FaultKind},
    habits::Timestamps,
    kind::{Kind, Met},
    read::Reader,
    scalar::parsed,
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

    fn read<'de, D: Deserializer<'de>>(slot: &mut Self::Rust, value: D, cx: &mut Reader<'_>) -> Result<Met, D::Error> {
        parsed(slot, Expected::Timestamp, value, cx, parse_timestamp)
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        match format_timestamp(value, out.habits.timestamps) {
            Some(text) => out.string(&text),
            None => out.unprintable("a timestamp outside of the years 0001 to 9999"),
        }
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(text: &str, _: bool) -> Result<Self::Rust, Fault> {
        parse_timestamp(text)
    }
}

fn parse_timestamp(text: &str) -> Result<prost_types::Timestamp, Fault> {
    let fault = || Fault::expected(Expected::Timestamp);
    // The format library also reads any byte for the `T` and a lower-case `z`, drops digits beyond the ninth, and makes a
    // leap second the last nanosecond of its minute, which here has 60 seconds.
    let digits = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    if text.get(10..11) != Some("T") || text.contains('z') || digits > 9 || text.get(17..19) == Some("60") {
        return Err(fault());
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| fault())?;
    let seconds = at.unix_timestamp();
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) {
        let fault = Fault::new(FaultKind::OutOfRange, "not in the years 0001 to 9999");
        return Err(fault.expecting(Expected::Timestamp));
    }
    // Nanoseconds of a second fit.
    Ok(prost_types::Timestamp { seconds, nanos: at.nanosecond() as i32 })
}

fn format_timestamp(value: &prost_types::Timestamp, habit: Timestamps) -> Option<String> {
    if !(FIRST_SECOND..=LAST_SECOND).contains(&value.seconds) || !(0..SECOND).contains(&value.nanos) {
        return None;
    }
    let at = OffsetDateTime::from_unix_timestamp(value.seconds).ok()?;
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let fraction = match habit {
        Timestamps::Rfc3339 => fraction(value.nanos),
        Timestamps::Microseconds | Timestamps::NaiveMicroseconds => format!(".{:06}", value.nanos / 1000),
    };
    let zone = if habit == Timestamps::NaiveMicroseconds { "" } else { "Z" };
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"))
}

/// Nanoseconds as 0, 3, 6 or 9 digits.
fn fraction(nanos: i32) -> String {
    match nanos {
        0 => String::new(),
        n if n % 1_000_000 == 0 => format!(".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => format!(".{:06}", n / 1_000),
        n => format!(".{n:09}"),
    }
}

/// google.protobuf.Duration: seconds with up to nine digits of fraction and `s`.
#[derive(Debug)]
pub struct Duration;

/// About ten thousand years.
const LONGEST: i64 = 315_576_000_000;

impl Kind for Duration {
    type Rust = prost_types::Duration;

    fn read<'de, D: Deserializer<'de>>(slot: &mut Self::Rust, value: D, cx: &mut Reader<'_>) -> Result<Met, D::Error> {
        parsed(slot, Expected::Duration, value, cx, parse_duration)
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        let (seconds, nanos) = (value.seconds, value.nanos);
        let mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
        if mixed || seconds.abs() > LONGEST || nanos.abs() >= SECOND {
            out.unprintable("a duration that is too long, or of mixed signs");
            return;
        }
        let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
        out.string(&format!("{sign}{}{}s", seconds.abs(), fraction(nanos.abs())));
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(text: &str, _: bool) -> Result<Self::Rust, Fault> {
        parse_duration(text)
    }
}

fn parse_duration(text: &str) -> Result<prost_types::Duration, Fault> {
    let fault = || Fault::expected(Expected::Duration);
    let number = text.strip_suffix('s').ok_or_else(fault)?;
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits =
        |text: &str, most: usize| !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 18) || !digits(fraction, 9) {
        return Err(fault());
    }
    let seconds: i64 = whole.parse().map_err(|_| fault())?;
    let nanos: i32 = format!("{fraction:0<9}").parse().map_err(|_| fault())?;
    if seconds > LONGEST {
        let fault = Fault::new(FaultKind::OutOfRange, "longer than 315576000000 seconds");
        return Err(fault.expecting(Expected::Duration));
    }
    let sign = if negative { -1 } else { 1 };
    Ok(prost_types::Duration { seconds: seconds * i64::from(sign), nanos: nanos * sign })
}
