//! Texts with errors of every kind, or with unusual but valid forms.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_reflect::{FieldDescriptor, Kind};
use transcoder::json::{Msg, encode};
use transcoder_conformance::{checks::PLAIN, proto::conformance::v1::Everything};

use super::random::Random;
use crate::schema::POOL;

/// Fields from here on are about names; their types repeat those of others.
const NAMES: u32 = 200;

/// Values, each of which is valid for some fields.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "1.5",
    "1e3",
    "1E3",
    "1e+3",
    "1e-3",
    "-1e0",
    "-0.0",
    "01",
    "+1",
    ".5",
    "1.",
    "1e",
    "0x10",
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "2147483647.5",
    "2147483648.0",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "-9223372036854775808.0",
    "18446744073709551615",
    "18446744073709551616",
    "1e18",
    "1e19",
    "1e20",
    "9.223372036854775807e18",
    "1e-400",
    "1e400",
    "3.4028235e38",
    "3.40282357e38",
    "-3.5e38",
    "1.7976931348623157e308",
    "1.8e308",
    "0.1000000000000000055511151231257827",
    "123456789012345678901234567890",
    "\"\"",
    "\" \"",
    "\"0\"",
    "\"1\"",
    "\"-1\"",
    "\" 1\"",
    "\"1 \"",
    "\"1.0\"",
    "\"1.5\"",
    "\"1e3\"",
    "\"+1\"",
    "\"01\"",
    "\"-0\"",
    "\"0x1\"",
    "\"1_000\"",
    "\"\u{0661}\"",
    "\"1.\"",
    "\".5\"",
    "\"1e400\"",
    "\"9223372036854775807\"",
    "\"9223372036854775808\"",
    "\"18446744073709551615\"",
    "\"1e18\"",
    "\"3.5e38\"",
    "\"NaN\"",
    "\"nan\"",
    "\"Infinity\"",
    "\"-Infinity\"",
    "\"+Infinity\"",
    "\"inf\"",
    "\"infinity\"",
    "\"true\"",
    "\"false\"",
    "\"True\"",
    "\"RED\"",
    "\"red\"",
    "\"NEGATIVE\"",
    "\"DEUX\"",
    "\"deux\"",
    "\"NULL_VALUE\"",
    "\"null\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\u{e9}\"",
    "\"a\tb\"",
    "\"a\\qb\"",
    "'a'",
    "\"YQ==\"",
    "\"YQ\"",
    "\"YQ=\"",
    "\"YWI\"",
    "\"YWI=\"",
    "\"-_-_\"",
    "\"+/+/\"",
    "\"-_+/\"",
    "\"Y Q==\"",
    "\"YQ==\\n\"",
    "\"YQ===\"",
    "\"=\"",
    "\"Y\"",
    "\"YR\"",
    "\"YQ==YQ==\"",
    "\"1970-01-01T00:00:00Z\"",
    "\"1970-01-01T01:00:00+01:00\"",
    "\"1970-01-01T00:00:00.1Z\"",
    "\"1970-01-01T00:00:00.123456789Z\"",
    "\"1970-01-01T00:00:00.1234567891Z\"",
    "\"1970-01-01T00:00:00.Z\"",
    "\"1970-01-01t00:00:00z\"",
    "\"1970-01-01 00:00:00Z\"",
    "\"0001-01-01T00:00:00Z\"",
    "\"0000-12-31T23:59:59Z\"",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\"10000-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:59-01:00\"",
    "\"0001-01-01T00:00:00+01:00\"",
    "\"1990-12-31T23:59:60Z\"",
    "\"1970-01-01T24:00:00Z\"",
    "\"1971-02-29T00:00:00Z\"",
    "\"1970-01-01T00:00:00\"",
    "\"1970-01-01T00:00:00+24:00\"",
    "\"1970-01-01T00:00:00+0100\"",
    "\"1970-01-01T00:00:00-00:00\"",
    "\"1970-01-01T00:00Z\"",
    "\"1970-1-1T0:0:0Z\"",
    "\"1970-01-01\"",
    "\"0s\"",
    "\"1s\"",
    "\"-1s\"",
    "\"1.5s\"",
    "\"-0.5s\"",
    "\"-.5s\"",
    "\".5s\"",
    "\"1.s\"",
    "\"1.000000001s\"",
    "\"1.0000000001s\"",
    "\"315576000000s\"",
    "\"315576000001s\"",
    "\"-315576000000s\"",
    "\"-315576000001s\"",
    "\"s\"",
    "\"1S\"",
    "\"1 s\"",
    "\"+1s\"",
    "\"1e3s\"",
    "\"1.5.5s\"",
    "\"--1s\"",
    "\"1.-5s\"",
    "\"a\"",
    "\"a,b\"",
    "\"a,,b\"",
    "\"fooBar\"",
    "\"foo_bar\"",
    "\"foo.barBaz\"",
    "\"Foo\"",
    "\"a b\"",
    "\"a, b\"",
    "\"f-b\"",
    "\"*\"",
    "\"foo1Bar\"",
    "[]",
    "{}",
    "[null]",
    "[1]",
    "[[1]]",
    "[1,]",
    "{\"a\":1}",
    "{\"a\":null}",
    "{\"b\":1}",
    "{\"a\":1,}",
    "{\"value\":1}",
    "{\"seconds\":1}",
    "{\"\":1}",
    "{\"1\":1,\"1\":1}",
    "{\"1\":1,\"1.0\":1}",
    "{\"true\":true}",
    "{\"True\":true}",
    "{\"@type\":\"\"}",
    "{\"@type\":null}",
    "{\"@type\":1}",
    "{\"@type\":\"x/conformance.v1.Leaf\"}",
    "{\"@type\":\"x/conformance.v1.Leaf\",\"b\":1}",
    "{\"b\":1,\"@type\":\"x/conformance.v1.Leaf\"}",
    "{\"@type\":\"x/conformance.v1.Leaf\",\"c\":1}",
    "{\"@type\":\"x/conformance.v1.Leaf\",\"@type\":\"x/conformance.v1.Leaf\"}",
    "{\"@type\":\"conformance.v1.Leaf\"}",
    "{\"@type\":\"x/no.Such\"}",
    "{\"@type\":\"x/google.protobuf.Empty\"}",
    "{\"@type\":\"x/google.protobuf.Empty\",\"value\":{}}",
    "{\"@type\":\"x/google.protobuf.Int32Value\",\"value\":1}",
    "{\"@type\":\"x/google.protobuf.Int32Value\"}",
    "{\"@type\":\"x/google.protobuf.Int32Value\",\"value\":null}",
    "{\"@type\":\"x/google.protobuf.Int32Value\",\"value\":1,\"other\":1}",
    "{\"@type\":\"x/google.protobuf.Any\",\"value\":{}}",
    "{\"@type\":\"x/google.protobuf.Value\",\"value\":null}",
    "{\"@type\":\"x/google.protobuf.Struct\",\"value\":null}",
];

/// Whole texts.
const WHOLE: &[&[u8]] = &[
    b"",
    b" ",
    b"null",
    b"true",
    b"1",
    b"\"\"",
    b"[]",
    b"[{}]",
    b"{}",
    b" \r\n\t{ } ",
    b"{}{}",
    b"{} x",
    b"{",
    b"}",
    b"{,}",
    b"{\"oneInt32\"}",
    b"{\"oneInt32\":}",
    b"{oneInt32:1}",
    b"{'oneInt32':1}",
    b"{\"oneInt32\":1,}",
    b"{\"oneInt32\":1}//",
    b"{/**/\"oneInt32\":1}",
    b"{\"oneInt32\" 1}",
    b"{\"oneint32\":1}",
    b"{\"one_int32\":1}",
    b"{\"OneInt32\":1}",
    b"{\"oneInt32 \":1}",
    b"{\"\\u006fneInt32\":1}",
    b"{\"\":1}",
    b"{\"nope\":null}",
    b"{\"[conformance.v1.ext]\":1}",
    b"\xef\xbb\xbf{}",
    b"{\"oneString\":\"\xff\"}",
    b"{\"oneString\":\"\xed\xa0\x80\"}",
    b"{\"oneString\":\"\xc0\x80\"}",
    b"{\"oneString\":\"\x7f\"}",
    b"{\"oneString\":\"\x01\"}",
    b"{\x0c}",
    b"{\xc2\xa0}",
];

/// Every field with every value, duplicate members, members of one oneof, nesting, and `count` texts with random edits.
pub fn texts(random: &mut Random, count: u64) -> Vec<Vec<u8>> {
    let descriptor = POOL.get_message_by_name(super::NAME).unwrap();
    let mut texts: Vec<Vec<u8>> = WHOLE.iter().map(|text| text.to_vec()).collect();
    let fields: Vec<_> = descriptor.fields().filter(|field| field.number() < NAMES).collect();
    for field in &fields {
        every_value(field, &mut texts);
        twice(random, field, &mut texts);
    }
    let members: Vec<_> = fields.iter().filter(|field| is_in_oneof(field)).collect();
    for first in &members {
        for second in &members {
            let (one, other) = (member(random, first), member(random, second));
            texts.push(format!("{{{one},{other}}}").into());
            texts.push(format!("{{{one},\"{}\":null}}", second.json_name()).into());
            texts.push(format!("{{\"{}\":null,{other}}}", first.json_name()).into());
        }
    }
    for levels in [1, 20, 30, 62, 63, 64, 65, 99, 100, 200, 2_000] {
        for (head, open, close, tail) in [("", "{\"recursive\":", "}", "{}"), ("{\"oneValue\":", "[", "]", "}")] {
            let (inside, end) = if head.is_empty() { (tail, "") } else { ("", tail) };
            texts.push(format!("{head}{}{inside}{}{end}", open.repeat(levels), close.repeat(levels)).into());
        }
    }
    for _ in 0..count {
        texts.push(edited(random));
    }
    // Once is enough.
    let mut seen = BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

fn is_in_oneof(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic())
}

fn every_value(field: &FieldDescriptor, texts: &mut Vec<Vec<u8>>) {
    let name = field.json_name();
    for value in VALUES {
        texts.push(format!("{{\"{name}\":{value}}}").into());
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { panic!("{field:?}") };
            let key = match entry.map_entry_key_field().kind() {
                Kind::Bool => "true",
                Kind::String => "k",
                _ => "7",
            };
            texts.push(format!("{{\"{name}\":{{\"{key}\":{value}}}}}").into());
            if value.starts_with('"') {
                texts.push(format!("{{\"{name}\":{{{value}:1}}}}").into());
            }
        } else if field.is_list() {
            texts.push(format!("{{\"{name}\":[{value}]}}").into());
        }
    }
}

/// A random member, such as `"oneInt32":7`.
fn member(random: &mut Random, field: &FieldDescriptor) -> String {
    let name = field.json_name();
    // A default without presence is not written, so other values are preferred, if there are any.
    for _ in 0..20 {
        let message = Everything::decode(&*random.of_field(field).encode_to_vec()).unwrap();
        let text = String::from_utf8(encode::<Msg<Everything>>(&message, &PLAIN).unwrap()).unwrap();
        if text != "{}" {
            return text[1..text.len() - 1].to_owned();
        }
    }
    format!("\"{name}\":null")
}

fn twice(random: &mut Random, field: &FieldDescriptor, texts: &mut Vec<Vec<u8>>) {
    let (one, other) = (member(random, field), member(random, field));
    let value = other.split_once(':').unwrap().1;
    texts.push(format!("{{{one},{other}}}").into());
    texts.push(format!("{{{one},\"{}\":{value}}}", field.name()).into());
    texts.push(format!("{{{one},\"{}\":null}}", field.json_name()).into());
}

/// The text of a small message with some bytes removed, inserted, replaced or doubled.
fn edited(random: &mut Random) -> Vec<u8> {
    let descriptor = POOL.get_message_by_name(super::NAME).unwrap();
    let message = Everything::decode(&*random.message(&descriptor, 1).encode_to_vec()).unwrap();
    let mut text = encode::<Msg<Everything>>(&message, &PLAIN).unwrap();
    for _ in 0..=random.below(3) {
        let at = random.below(text.len());
        let put = *random.pick(b"{}[]\",:0123456789.eE+-ntfu\\ \n_/=TZs");
        match random.below(5) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, put),
            2 => text[at] = put,
            3 => {
                let end = (at + 1 + random.below(30)).min(text.len());
                let part = text[at..end].to_vec();
                text.splice(at..at, part);
            }
            _ => {
                // The value of a member is replaced.
                let value = random.pick(VALUES).as_bytes().to_vec();
                if let Some(colon) = text[at..].iter().position(|byte| *byte == b':') {
                    let start = at + colon + 1;
                    let length = text[start..].iter().position(|byte| b",}]".contains(byte)).unwrap_or(0);
                    text.splice(start..start + length, value);
                }
            }
        }
        if text.is_empty() {
            text.push(put);
        }
    }
    text
}
