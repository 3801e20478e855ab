//! google.protobuf.FieldMask: a string of paths in lower camel case, joined by commas.

use serde::de::Deserializer;

use crate::json::{
    decode_error::{DecodeError, Expected},
    kind::{Kind, ReadOutcome},
    read::{Reader, parsed},
    write::Writer,
};

/// google.protobuf.FieldMask.
#[derive(Debug)]
pub struct FieldMask;

impl Kind for FieldMask {
    type Rust = prost_types::FieldMask;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Self::Rust,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        parsed(slot, Expected::FieldMask, value, cx, parse)
    }

    fn write(value: &Self::Rust, out: &mut Writer<'_>) {
        let mut text = String::new();
        for path in &value.paths {
            if !text.is_empty() {
                text.push(',');
            }
            match to_camel(path) {
                Some(path) => text.push_str(&path),
                None => out.unprintable("a field mask path that has no JSON form"),
            }
        }
        out.string(&text);
    }

    fn is_default(_: &Self::Rust) -> bool {
        false
    }

    fn parse(text: &str, _: bool) -> Result<Self::Rust, DecodeError> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<prost_types::FieldMask, DecodeError> {
    let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
    let paths: Option<Vec<String>> = paths.map(to_snake).collect();
    match paths {
        Some(paths) => Ok(prost_types::FieldMask { paths }),
        None => Err(DecodeError::expected(Expected::FieldMask)),
    }
}

/// `fooBar.baz` to `foo_bar.baz`; `None` if it cannot be converted back.
fn to_snake(path: &str) -> Option<String> {
    let mut snake = String::with_capacity(path.len() + 4);
    for c in path.chars() {
        match c {
            'A'..='Z' => snake.extend(['_', c.to_ascii_lowercase()]),
            'a'..='z' | '0'..='9' | '.' => snake.push(c),
            _ => return None,
        }
    }
    Some(snake)
}

/// `foo_bar.baz` to `fooBar.baz`; `None` if it cannot be converted back, and for the empty path.
fn to_camel(path: &str) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    let mut camel = String::with_capacity(path.len());
    let mut after_underscore = false;
    for c in path.chars() {
        match c {
            '_' if !after_underscore => after_underscore = true,
            'a'..='z' if after_underscore => {
                camel.push(c.to_ascii_uppercase());
                after_underscore = false;
            }
            'a'..='z' | '0'..='9' | '.' if !after_underscore => camel.push(c),
            _ => return None,
        }
    }
    (!after_underscore).then_some(camel)
}
