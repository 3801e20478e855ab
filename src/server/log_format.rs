//! The format of log lines that are not for a terminal: one JSON object each. Every call has a line, so it is written in
//! one pass.

use std::fmt::{self, Write};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Lines such as `{"timestamp":"2026-11-28T12:00:00.000000Z","level":"INFO","message":"ready","target":"tenantry"}`. Spans
/// are not shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        line.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut line)?;
        line.write_str(r#"","level":""#)?;
        line.write_str(metadata.level().as_str())?;
        line.write_char('"')?;
        let mut fields = Fields { line: &mut line, written: Ok(()) };
        event.record(&mut fields);
        fields.written?;
        line.write_str(r#","target":""#)?;
        Escaped(&mut line).write_str(metadata.target())?;
        line.write_str("\"}\n")
    }
}

/// Writes the fields of an event as members.
struct Fields<'a, 'w> {
    line: &'a mut Writer<'w>,
    written: fmt::Result,
}

impl Fields<'_, '_> {
    fn member(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.written.is_ok() {
            self.written = self.key(field).and_then(|()| value(self.line));
        }
    }

    fn key(&mut self, field: &Field) -> fmt::Result {
        self.line.write_str(",\"")?;
        // A raw identifier is shown without its prefix.
        Escaped(self.line).write_str(field.name().strip_prefix("r#").unwrap_or(field.name()))?;
        self.line.write_str("\":")
    }
}

/// Writes a text as a JSON string.
fn string(line: &mut Writer<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    line.write_char('"')?;
    match text.as_str() {
        Some(text) => Escaped(line).write_str(text)?,
        None => Escaped(line).write_fmt(text)?,
    }
    line.write_char('"')
}

impl Visit for Fields<'_, '_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field, |line| match value.is_finite() {
            true => write!(line, "{value:?}"),
            false => line.write_str("null"),
        });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |line| line.write_str(if value { "true" } else { "false" }));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, |line| {
            line.write_char('"')?;
            Escaped(line).write_str(value)?;
            line.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |line| string(line, format_args!("{value:?}")));
    }
}

/// Writes text as the inside of a JSON string (RFC 8259, section 7).
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            match special.as_bytes()[0] {
                b'"' => self.0.write_str("\\\"")?,
                b'\\' => self.0.write_str("\\\\")?,
                b'\n' => self.0.write_str("\\n")?,
                control => write!(self.0, "\\u{control:04x}")?,
            }
            rest = &special[1..];
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Text(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Text {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_object_whatever_its_fields_contain() {
        let text = Text::default();
        let writer = text.clone();
        let subscriber = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let hostile = "a\"b\\c\nd\u{0}\u{7f}\u{e9}\u{1f600}";
            let known: Option<&str> = None;
            tracing::info!(target: "it", text = hostile, shown = %hostile, debug = ?hostile, r#type = 1_u64, on = true,
                less = -1_i64, half = 0.5, whole = 2.0, huge = f64::INFINITY, known, "said {}", "\"this\"");
        });
        let lines = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
        assert_eq!(lines.matches('\n').count(), 1, "{lines}");
        let mut line: Value = serde_json::from_str(&lines).unwrap();
        let at = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(at.as_str().unwrap().ends_with('Z'));
        let hostile = "a\"b\\c\nd\u{0}\u{7f}\u{e9}\u{1f600}";
        assert_eq!(
            line,
            json!({
                "level": "INFO", "message": "said \"this\"", "text": hostile, "shown": hostile,
                "debug": format!("{hostile:?}"), "type": 1, "on": true, "less": -1, "half": 0.5, "whole": 2.0,
                "huge": null, "target": "it",
            })
        );
    }
}
