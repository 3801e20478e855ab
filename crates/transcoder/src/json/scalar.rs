//! Scalars: numbers, booleans, strings and bytes.

use base64::Engine as _;
use serde::de::Deserializer;

use super::{
    decode_error::{DecodeError, DecodeErrorKind, Expected},
    kind::{Kind, ReadOutcome},
    read::{Reader, Scalar, convert, parsed, wrong_type},
    write::Writer,
};

fn out_of_range(expected: Expected) -> DecodeError {
    DecodeError::new(DecodeErrorKind::OutOfRange, format!("out of range for {}", expected.words())).expecting(expected)
}

/// Whether a text has the syntax of a JSON number.
fn is_json_number(text: &str) -> bool {
    is_json_integer(text) || is_other_json_number(text)
}

/// Whether a text has the syntax of a JSON number without fraction and exponent.
fn is_json_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let padded = digits.len() > 1 && digits.first() == Some(&b'0');
    !digits.is_empty() && !padded && digits.iter().all(u8::is_ascii_digit)
}

fn is_other_json_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
        && text.ends_with(|c: char| c.is_ascii_digit())
}

macro_rules! integer {
    ($(#[$doc:meta])* $kind:ident, $rust:ty, $expected:ident, $write:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $kind;

        impl $kind {
            const EXPECTED: Expected = Expected::$expected;

            pub(super) fn from_scalar(scalar: Scalar<'_>) -> Result<$rust, DecodeError> {
                let number = match &scalar {
                    Scalar::Unsigned(value) => <$rust>::try_from(*value).map_err(|_| out_of_range(Self::EXPECTED)),
                    Scalar::Signed(value) => <$rust>::try_from(*value).map_err(|_| out_of_range(Self::EXPECTED)),
                    Scalar::Float(value) => Self::from_float(*value),
                    Scalar::Text(text) => Self::parse(text, false),
                    other => Err(other.mismatch(Self::EXPECTED)),
                };
                number.map_err(|error| error.with_input(|| scalar.input()))
            }

            /// `1.0` and `1e3` are integers, `1.5` is not.
            fn from_float(value: f64) -> Result<$rust, DecodeError> {
                if value.fract() != 0.0 || !value.is_finite() {
                    return Err(wrong_type(Self::EXPECTED, "a fraction"));
                }
                // Both bounds are exact in floating point: the lower is a power of two or zero, the upper is one more
                // than the largest value, a power of two. The lower bound of 64 bits is also what a smaller number
                // is rounded to, so as a fraction or power of ten it is refused.
                let above = (<$rust>::MAX as u128 + 1) as f64;
                let rounded = <$rust>::BITS == 64 && <$rust>::MIN != 0 && value == <$rust>::MIN as f64;
                if value < <$rust>::MIN as f64 || value >= above || rounded {
                    return Err(out_of_range(Self::EXPECTED));
                }
                Ok(value as $rust)
            }
        }

        impl Kind for $kind {
            type Rust = $rust;

            fn read<'de, D: Deserializer<'de>>(slot: &mut $rust, value: D, cx: &mut Reader<'_>) -> Result<ReadOutcome, D::Error> {
                convert(slot, Self::EXPECTED, value, cx, Self::from_scalar)
            }

            fn write(value: &$rust, out: &mut Writer<'_>) {
                out.$write(*value);
            }

            fn is_default(value: &$rust) -> bool {
                *value == 0
            }

            fn parse(text: &str, _: bool) -> Result<$rust, DecodeError> {
                if !is_json_number(text) {
                    return Err(DecodeError::expected(Self::EXPECTED));
                }
                // Unsigned types do not parse minus zero.
                let text = if text == "-0" { "0" } else { text };
                if text.contains(['.', 'e', 'E']) {
                    return Self::from_float(text.parse().map_err(|_| out_of_range(Self::EXPECTED))?);
                }
                text.parse().map_err(|_| out_of_range(Self::EXPECTED))
            }
        }
    };
}

integer!(
    /// int32, sint32, sfixed32.
    Int32, i32, Int32, integer
);
integer!(
    /// int64, sint64, sfixed64.
    Int64, i64, Int64, long
);
integer!(
    /// uint32, fixed32.
    UInt32, u32, UInt32, integer
);
integer!(
    /// uint64, fixed64.
    UInt64, u64, UInt64, long
);

macro_rules! float {
    ($(#[$doc:meta])* $kind:ident, $rust:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $kind;

        impl $kind {
            fn in_range(value: f64) -> Result<$rust, DecodeError> {
                let narrow = value as $rust;
                if narrow.is_infinite() { Err(out_of_range(Expected::Number)) } else { Ok(narrow) }
            }
        }

        impl Kind for $kind {
            type Rust = $rust;

            fn read<'de, D: Deserializer<'de>>(slot: &mut $rust, value: D, cx: &mut Reader<'_>) -> Result<ReadOutcome, D::Error> {
                convert(slot, Expected::Number, value, cx, |scalar| {
                    let number = match &scalar {
                        Scalar::Unsigned(value) => Self::in_range(*value as f64),
                        Scalar::Signed(value) => Self::in_range(*value as f64),
                        Scalar::Float(value) => Self::in_range(*value),
                        Scalar::Text(text) => Self::parse(text, false),
                        other => Err(other.mismatch(Expected::Number)),
                    };
                    number.map_err(|error| error.with_input(|| scalar.input()))
                })
            }

            fn write(value: &$rust, out: &mut Writer<'_>) {
                if value.is_nan() {
                    out.raw("\"NaN\"");
                } else if value.is_infinite() {
                    out.raw(if *value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
                } else {
                    out.number(value);
                }
            }

            fn is_default(value: &$rust) -> bool {
                // Minus zero is not the default: its sign bit is set.
                value.to_bits() == 0
            }

            fn parse(text: &str, _: bool) -> Result<$rust, DecodeError> {
                match text {
                    "NaN" => Ok(<$rust>::NAN),
                    "Infinity" => Ok(<$rust>::INFINITY),
                    "-Infinity" => Ok(<$rust>::NEG_INFINITY),
                    _ if is_json_number(text) => Self::in_range(text.parse().map_err(|_| out_of_range(Expected::Number))?),
                    _ => Err(DecodeError::expected(Expected::Number)),
                }
            }
        }
    };
}

float!(
    /// float.
    Float, f32
);
float!(
    /// double.
    Double, f64
);

/// bool.
#[derive(Debug)]
pub struct Bool;

impl Kind for Bool {
    type Rust = bool;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut bool,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        convert(slot, Expected::Boolean, value, cx, |scalar| match scalar {
            Scalar::Bool(value) => Ok(value),
            other => Err(other.mismatch(Expected::Boolean)),
        })
    }

    fn write(value: &bool, out: &mut Writer<'_>) {
        out.raw(if *value { "true" } else { "false" });
    }

    fn is_default(value: &bool) -> bool {
        !value
    }

    fn parse(text: &str, lenient: bool) -> Result<bool, DecodeError> {
        match text {
            _ if lenient => Ok(text.eq_ignore_ascii_case("true")),
            "true" => Ok(true),
            "false" => Ok(false),
            _ => {
                Err(DecodeError::new(DecodeErrorKind::WrongType, "expected true or false").expecting(Expected::Boolean))
            }
        }
    }
}

/// string.
#[derive(Debug)]
pub struct Str;

impl Kind for Str {
    type Rust = String;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut String,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        convert(slot, Expected::String, value, cx, |scalar| match scalar {
            Scalar::Text(text) => Ok(text.into_owned()),
            other => Err(other.mismatch(Expected::String)),
        })
    }

    fn write(value: &String, out: &mut Writer<'_>) {
        out.string(value);
    }

    fn is_default(value: &String) -> bool {
        value.is_empty()
    }

    fn parse(text: &str, _: bool) -> Result<String, DecodeError> {
        Ok(text.to_owned())
    }
}

/// A string with a decimal number, which JSON has as a number. A request may have the number or its text.
#[derive(Debug)]
pub struct Decimal;

impl Kind for Decimal {
    type Rust = String;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut String,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        convert(slot, Expected::Number, value, cx, |scalar| match scalar {
            Scalar::Unsigned(number) => Ok(number.to_string()),
            Scalar::Signed(number) => Ok(number.to_string()),
            // The shortest decimal that is read as this number: what was sent, up to 15 digits.
            Scalar::Float(number) => Ok(number.to_string()),
            Scalar::Text(text) => {
                Self::parse(&text, false).map_err(|error| error.with_input(|| serde_json::Value::from(text.as_ref())))
            }
            other => Err(other.mismatch(Expected::Number)),
        })
    }

    fn write(value: &String, out: &mut Writer<'_>) {
        if is_json_number(value) {
            out.raw(value);
        } else {
            out.string(value);
        }
    }

    fn is_default(value: &String) -> bool {
        value.is_empty()
    }

    fn parse(text: &str, _: bool) -> Result<String, DecodeError> {
        if is_json_number(text) { Ok(text.to_owned()) } else { Err(DecodeError::expected(Expected::Number)) }
    }
}

/// bytes: base64. Output is standard; input may be standard or URL-safe, padded or not.
#[derive(Debug)]
pub struct Bytes;

impl Bytes {
    fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
        use base64::{
            alphabet,
            engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
        };
        const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
        const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
        let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        let error = |_| DecodeError::new(DecodeErrorKind::WrongType, "expected base64").expecting(Expected::Base64);
        engine.decode(text).map_err(error)
    }
}

impl Kind for Bytes {
    type Rust = Vec<u8>;

    fn read<'de, D: Deserializer<'de>>(
        slot: &mut Vec<u8>,
        value: D,
        cx: &mut Reader<'_>,
    ) -> Result<ReadOutcome, D::Error> {
        parsed(slot, Expected::Base64, value, cx, Self::decode)
    }

    fn write(value: &Vec<u8>, out: &mut Writer<'_>) {
        out.string(&base64::engine::general_purpose::STANDARD.encode(value));
    }

    fn is_default(value: &Vec<u8>) -> bool {
        value.is_empty()
    }

    fn parse(text: &str, _: bool) -> Result<Vec<u8>, DecodeError> {
        Self::decode(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::options::JsonOptions, *};

    #[test]
    fn a_decimal_is_written_as_a_number_of_any_length() {
        for (text, json) in [
            ("0.00014", "0.00014"),
            ("1138687900034166298874491626.5", "1138687900034166298874491626.5"),
            ("0", "0"),
            ("", "\"\""),
            ("1.", "\"1.\""),
            ("NaN", "\"NaN\""),
        ] {
            let mut writer = Writer::new(&JsonOptions::PROTO3);
            Decimal::write(&text.to_owned(), &mut writer);
            assert_eq!(String::from_utf8(writer.finish().unwrap()).unwrap(), json, "{text}");
        }
        assert!(Decimal::parse("0.1", false).is_ok() && Decimal::parse("x", false).is_err());
    }
}
