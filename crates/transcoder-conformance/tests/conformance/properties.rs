//! Properties: nothing panics or hangs, and output can be read back.

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::{collection::vec, option, prelude::*};
use tokio::runtime::Runtime;
use transcoder::json::{Msg, decode, encode};
use transcoder_conformance::{
    checks::{self, LOOSE, PLAIN, SNAKE},
    proto::conformance::v1::{Everything, Inner, Leaf, everything::Choice},
    tables::Table,
};

/// The texts of a table.
pub fn seeds(table: Table) -> &'static [String] {
    static ALL: LazyLock<[Vec<String>; 4]> = LazyLock::new(|| Table::ALL.map(checks::seeds));
    &ALL[table as usize]
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

fn binds(query: &str) {
    RUNTIME.block_on(checks::query(query));
}

/// One of these texts with some bytes removed, inserted or doubled.
pub fn mutated(texts: &'static [String]) -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..5);
    (any::<prop::sample::Index>(), edits).prop_map(|(text, edits)| {
        let mut bytes = text.get(texts).clone().into_bytes();
        for (part, edit, byte) in edits {
            let at = part.index(bytes.len() + 1);
            match edit {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"{}[]\",:0123456789.eE-ntf%&=+\\"[usize::from(byte) % 29]),
                _ => {
                    let tail = bytes[at..].to_vec();
                    bytes.extend(tail.into_iter().take(64));
                }
            }
        }
        bytes
    })
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![8 => any::<f64>(), 1 => Just(f64::INFINITY), 1 => Just(f64::NEG_INFINITY), 1 => Just(-0.0)]
}

fn value() -> impl Strategy<Value = prost_types::Value> {
    use prost_types::{ListValue, Struct, value::Kind};
    let leaf = prop_oneof![
        Just(Kind::NullValue(0)),
        any::<bool>().prop_map(Kind::BoolValue),
        any::<f64>().prop_map(Kind::NumberValue),
        any::<String>().prop_map(Kind::StringValue),
    ];
    let wrap = |kind| prost_types::Value { kind: Some(kind) };
    leaf.prop_map(wrap).prop_recursive(4, 16, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(move |values| wrap(Kind::ListValue(ListValue { values }))),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(move |fields| wrap(Kind::StructValue(Struct { fields }))),
        ]
    })
}

fn when() -> impl Strategy<Value = prost_types::Timestamp> {
    (-62_135_596_800..=253_402_300_799_i64, 0..1_000_000_000_i32)
        .prop_map(|(seconds, nanos)| prost_types::Timestamp { seconds, nanos })
}

fn span() -> impl Strategy<Value = prost_types::Duration> {
    (0..=315_576_000_000_i64, 0..1_000_000_000_i32, any::<bool>()).prop_map(|(seconds, nanos, negative)| {
        let sign = if negative { -1 } else { 1 };
        prost_types::Duration { seconds: seconds * sign, nanos: nanos * i32::try_from(sign).unwrap() }
    })
}

fn mask() -> impl Strategy<Value = prost_types::FieldMask> {
    vec("[a-z]{1,4}(_[a-z][a-z0-9]{0,3}){0,2}(\\.[a-z]{1,3}){0,1}", 0..4)
        .prop_map(|paths| prost_types::FieldMask { paths })
}

fn inner() -> impl Strategy<Value = Inner> {
    (any::<i32>(), any::<String>(), option::of((any::<i64>(), vec(any::<String>(), 0..3))))
        .prop_map(|(a, label, leaf)| Inner { a, label, leaf: leaf.map(|(b, tags)| Leaf { b, tags }), back: None })
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        any::<u32>().prop_map(Choice::PickUint32),
        inner().prop_map(|inner| Choice::PickInner(Box::new(inner))),
        any::<String>().prop_map(Choice::PickString),
        any::<Vec<u8>>().prop_map(Choice::PickBytes),
        any::<bool>().prop_map(Choice::PickBool),
        any::<u64>().prop_map(Choice::PickUint64),
        any::<f32>().prop_map(Choice::PickFloat),
        double().prop_map(Choice::PickDouble),
        any::<i32>().prop_map(Choice::PickColor),
        Just(Choice::PickNull(0)),
        any::<i32>().prop_map(Choice::PickWrap),
        when().prop_map(Choice::PickWhen),
        value().prop_map(Choice::PickValue),
    ]
}

fn everything() -> impl Strategy<Value = Everything> {
    let ones = (
        any::<i32>(),
        any::<i64>(),
        any::<u64>(),
        any::<f32>(),
        double(),
        any::<bool>(),
        any::<String>(),
        any::<Vec<u8>>(),
        -2..9_i32,
    );
    let opts = (
        option::of(any::<u32>()),
        option::of(any::<u64>()),
        option::of(double()),
        option::of(any::<String>()),
        option::of(any::<Vec<u8>>()),
        option::of(any::<i32>()),
        option::of(inner()),
    );
    let many = (
        vec(any::<i64>(), 0..4),
        vec(any::<f32>(), 0..4),
        vec(any::<String>(), 0..4),
        vec(any::<i32>(), 0..4),
        vec(value(), 0..3),
        vec(inner(), 0..3),
    );
    let map = |of| proptest::collection::btree_map(any::<i64>(), of, 0..4);
    let maps = (
        map(any::<i64>()),
        proptest::collection::btree_map(any::<bool>(), any::<bool>(), 0..2),
        proptest::collection::btree_map(any::<String>(), inner(), 0..3),
        proptest::collection::btree_map(any::<String>(), value(), 0..3),
    );
    let known = (
        option::of(when()),
        option::of(span()),
        option::of(mask()),
        option::of(value()),
        option::of(any::<i64>()),
        option::of(inner()),
        option::of(choice()),
    );
    (ones, opts, many, maps, known).prop_map(|(ones, opts, many, maps, known)| {
        let held = |inner: Inner| prost_types::Any {
            type_url: "type.googleapis.com/conformance.v1.Inner".to_owned(),
            value: prost::Message::encode_to_vec(&inner),
        };
        Everything {
            one_int32: ones.0,
            one_int64: ones.1,
            one_uint64: ones.2,
            one_float: ones.3,
            one_double: ones.4,
            one_bool: ones.5,
            one_string: ones.6,
            one_bytes: ones.7,
            one_color: ones.8,
            opt_uint32: opts.0,
            opt_uint64: opts.1,
            opt_double: opts.2,
            opt_string: opts.3,
            opt_bytes: opts.4,
            opt_color: opts.5,
            opt_inner: opts.6.map(Box::new),
            many_int64: many.0,
            many_float: many.1,
            many_string: many.2,
            many_color: many.3,
            many_value: many.4,
            many_inner: many.5,
            map_int64_int64: maps.0,
            map_bool_bool: maps.1,
            map_string_inner: maps.2,
            map_string_value: maps.3,
            one_when: known.0,
            one_span: known.1,
            one_mask: known.2,
            one_value: known.3,
            wrap_int64: known.4,
            one_any: known.5.map(held),
            choice: known.6,
            ..Everything::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        checks::json(&bytes);
        checks::binary(&bytes);
    }

    #[test]
    fn mutated_texts_are_read_or_refused(bytes in mutated(seeds(Table::Proto3Json))) {
        checks::json(&bytes);
    }

    #[test]
    fn what_is_written_is_read_back(message in everything(), nest in any::<bool>()) {
        let message = if nest { Everything { recursive: Some(Box::new(message)), ..Everything::default() } } else { message };
        for options in [PLAIN, SNAKE, LOOSE] {
            let json = encode::<Msg<Everything>>(&message, &options).unwrap();
            let again = decode::<Msg<Everything>>(&json, &options);
            prop_assert_eq!(again.as_ref(), Ok(&message), "{}", String::from_utf8_lossy(&json));
        }
    }

    #[test]
    fn any_path_is_matched_or_not(path in "/[a-z/:%0-9*.~ ]{0,40}", odd in any::<String>()) {
        checks::path(&path);
        checks::path(&odd);
        checks::path(&format!("/{odd}"));
    }

    #[test]
    fn mutated_paths_are_matched_or_not(bytes in mutated(seeds(Table::HttpRules))) {
        checks::path(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_query_is_bound_or_refused(query in "[a-z0-9_.\\[\\]=&%+]{0,60}", odd in any::<String>()) {
        binds(&query);
        binds(&odd);
    }

    #[test]
    fn mutated_queries_are_bound_or_refused(bytes in mutated(seeds(Table::QueryParams))) {
        binds(&String::from_utf8_lossy(&bytes));
    }
}

/// The tables are the start of the mutations.
#[test]
fn the_tables_have_seeds() {
    let counts = [Table::Proto3Json, Table::QueryParams, Table::HttpRules].map(|table| seeds(table).len());
    assert!(counts[0] > 500 && counts[1] > 200 && counts[2] > 300, "{counts:?}");
}

/// A map is written in the order of its keys, so that responses do not change from call to call.
#[test]
fn maps_are_written_in_order() {
    let map_string_string: BTreeMap<_, _> = ["b", "a", "c"].map(|key| (key.to_owned(), String::new())).into();
    let json = encode::<Msg<Everything>>(&Everything { map_string_string, ..Everything::default() }, &PLAIN).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), r#"{"mapStringString":{"a":"","b":"","c":""}}"#);
}
