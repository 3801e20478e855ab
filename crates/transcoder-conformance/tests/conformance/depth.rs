//! Deep nesting is refused before it can exhaust the stack of a thread.

use transcoder::json::{
    FaultKind, Habits, Msg, Types, decode, encode,
    text::{Rules, bind},
};
use transcoder_conformance::proto::conformance::{
    query,
    v1::{Everything, TYPES},
};

const HABITS: Habits = Habits { types: Types(&[TYPES]), ..Habits::PROTO3 };

/// Half of what threads of the runtime have.
const STACK: usize = 1 << 20;

/// Opening and closing texts of one level, what one level nests, and how many levels of the limit one level takes.
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
                decode::<Msg<Everything>>(text.as_bytes(), &HABITS).unwrap_or_else(|fault| panic!("{nest}: {fault}"));
            let json = encode::<Msg<Everything>>(&message, &HABITS).unwrap();
            assert_eq!(decode::<Msg<Everything>>(&json, &HABITS).unwrap(), message);
        }
    });
}

#[test]
fn what_is_too_deep_is_refused() {
    with_small_stack(|| {
        for nest in 0..NESTS.len() {
            for levels in [63, 64, 65, 200, 100_000] {
                if let Err(fault) = decode::<Msg<Everything>>(nested(nest, levels).as_bytes(), &HABITS) {
                    assert!(
                        levels >= 30 && matches!(fault.kind, FaultKind::Depth | FaultKind::Syntax),
                        "{nest}: {fault}"
                    );
                } else {
                    assert!(levels < 65, "{nest}: {levels}");
                }
            }
            // Members that nobody reads are held to the same depth.
            let habits = Habits { ignore_unknown: true, ..HABITS };
            let skipped = |levels| {
                let text = format!("{{\"nope\":{}}}", nested(nest, levels));
                decode::<Msg<Everything>>(text.as_bytes(), &habits)
            };
            // One level of some nests takes three of what is skipped, whose lists count as well.
            assert_eq!(skipped(15), Ok(Everything::default()));
            assert_eq!(skipped(100_000).unwrap_err().kind, FaultKind::Depth);
        }
    });
}

#[test]
fn queries_go_as_deep_and_no_deeper() {
    with_small_stack(|| {
        let bound = |levels: usize| {
            let key = format!("{}int32_value", "recursive.".repeat(levels));
            let mut message = query::v1::Request::default();
            bind(&mut message, &key, "1", &HABITS, &Rules::default(), &mut Vec::new())
        };
        assert_eq!(bound(63), Ok(true));
        for levels in [64, 6_000] {
            assert_eq!(bound(levels).unwrap_err().kind, FaultKind::Depth);
        }
    });
}

#[test]
fn what_is_nested_in_any_is_written_to_a_depth() {
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
