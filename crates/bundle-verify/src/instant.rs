//! Times in payloads.

/// The seconds since 1970 of a time in RFC 3339, in UTC, such as `2026-01-05T10:00:00Z`; fractions are dropped.
pub fn seconds(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_fraction = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    let bytes = whole.as_bytes();
    let form = b"dddd-dd-ddTdd:dd:dd";
    let fits = bytes.len() == form.len()
        && bytes.iter().zip(form).all(|(byte, form)| if *form == b'd' { byte.is_ascii_digit() } else { byte == form });
    if !fits || !is_fraction {
        return None;
    }
    // The form has 19 bytes, and digits where numbers are: nothing here is out of bounds or below zero.
    let number =
        |from: usize, to: usize| bytes[from..to].iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    let real = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    if !real || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The days since 1970, counted from the last 29 February: years begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2026-01-05T10:00:00Z"), Some(1_767_607_200));
        assert_eq!(seconds("2024-02-29T23:59:59.999999Z"), Some(1_709_251_199));
        assert_eq!(seconds("1969-12-31T23:59:59Z"), Some(-1));
        for bad in [
            "",
            "2026-01-05T10:00:00",
            "2026-01-05T10:00:00+00:00",
            "2026-01-05 10:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-05T24:00:00Z",
            "2026-01-05T10:00:60Z",
            "2026-01-05T10:00:00.Z",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
