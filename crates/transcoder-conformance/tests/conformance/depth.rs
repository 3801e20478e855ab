//! Deep nesting is refused before it can exhaust the stack of a thread.

use transcoder::json::{
    DecodeErrorKind, JsonOptions, Msg, Types, decode, encode,
    text::{Rules, bind},
};
use transcoder_conformance::proto::conformance::{
    query,
    v1::{Everything, TYPES},
};

const HABITS: JsonOptions = JsonOptions { types: Types(&[TYPES]), ..JsonOptions::PROTO3 };

/// Half of the stack of the runtime's threads.
const STACK: usize = 1 << 20;

/// Opening and closing text of one level, the innermost value, and how many levels of the limit one level takes.
const NESTS: [(&str, &str, &str); 6] = [
    ("", "{\"recursive\":", "}"),
    ("", "{\"oneInner\":{\"back\":", "}}"),
    ("", "{\"manyInner\":[{\"back\":", "}]}"),
    ("", "{\"mapStringEverything\":{\"a\":", "}}"),
    ("{\"oneValue\":", "[", "]"),
    (
        "{\"oneAny\":{\"@type\":\"x/google.protobuf.Any\",\"value\":",
        "{\"@type\":\"x/google.protobuf.Any\",\"value\":",
        "}",
    ),
];

fn nested(nest: usize, levels: usize) -> String {
    let (head, open, close) = NESTS[nest];
    let tail = "}".repeat(head.matches('{').count());
    format!("{head}{}{{}}{}{tail}", open.repeat(levels), close.repeat(levels))
}

fn with_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(test).unwrap().join().unwrap();
}

#[test]
fn thirty_levels_are_read_and_written() {
    with_small_stack(|| {
        for nest in 0..NESTS.len() {
            let text = nested(nest, 28);
            let message =
                decode::<Msg<Everything>>(text.as_bytes(), &HABITS).unwrap_or_else(|error| panic!("{nest}: {error}"));
            let json = encode::<Msg<Everything>>(&message, &HABITS).unwrap();
            assert_eq!(decode::<Msg<Everything>>(&json, &HABITS).unwrap(), message);
        }
    });
}

#[test]
fn too_deep_nesting_is_refused() {
    with_small_stack(|| {
        for nest in 0..NESTS.len() {
            for levels in [63, 64, 65, 200, 100_000] {
                if let Err(error) = decode::<Msg<Everything>>(nested(nest, levels).as_bytes(), &HABITS) {
                    assert!(
                        levels >= 30 && matches!(error.kind, DecodeErrorKind::Depth | DecodeErrorKind::Syntax),
                        "{nest}: {error}"
                    );
                } else {
                    assert!(levels < 65, "{nest}: {levels}");
                }
            }
            // Skipped members have the same limit.
            let options = JsonOptions { ignore_unknown: true, ..HABITS };
            let skipped = |levels| {
                let text = format!("{{\"nope\":{}}}", nested(nest, levels));
                decode::<Msg<Everything>>(text.as_bytes(), &options)
            };
            // One level of some nests takes three of what is skipped, because its lists count as well.
            assert_eq!(skipped(15), Ok(Everything::default()));
            assert_eq!(skipped(100_000).unwrap_err().kind, DecodeErrorKind::Depth);
        }
    });
}

#[test]
fn queries_have_the_same_depth_limit() {
    with_small_stack(|| {
        let bound = |levels: usize| {
            let key = format!("{}int32_value", "recursive.".repeat(levels));
            let mut message = query::v1::Request::default();
            bind(&mut message, &key, "1", &HABITS, &Rules::default(), &mut Vec::new())
        };
        assert_eq!(bound(63), Ok(true));
        for levels in [64, 6_000] {
            assert_eq!(bound(levels).unwrap_err().kind, DecodeErrorKind::Depth);
        }
    });
}

#[test]
fn nested_any_has_a_depth_limit_in_output() {
    use prost::Message as _;
    with_small_stack(|| {
        let mut any = prost_types::Any::default();
        for _ in 0..5_000 {
            any = prost_types::Any { type_url: "x/google.protobuf.Any".to_owned(), value: any.encode_to_vec() };
        }
        let message = Everything { one_any: Some(any), ..Everything::default() };
        assert!(encode::<Msg<Everything>>(&message, &HABITS).is_err());
    });
}
