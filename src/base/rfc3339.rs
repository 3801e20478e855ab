//! Times as texts: RFC 3339 in UTC, in whole seconds, as signed payloads have them.

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::{Error, Result};

/// A time without its fraction of a second.
pub fn whole_seconds(time: OffsetDateTime) -> Result<String> {
    let whole = time.to_offset(UtcOffset::UTC).replace_nanosecond(0).map_err(Error::internal)?;
    whole.format(&Rfc3339).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_is_in_utc_without_a_fraction() {
        assert_eq!(whole_seconds(datetime!(2026-01-05 12:00:00.999 +02:00)).unwrap(), "2026-01-05T10:00:00Z");
    }
}
