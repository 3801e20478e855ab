//! Memory and time: texts that try to use much of either are limited to a constant times their length.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use prost_types::Value;
use tokio::runtime::Runtime;
use transcoder::json::{JsonOptions, Kind as _, Msg, Reader, decode, read::from_slice};
use transcoder_conformance::{
    bounds::{self, Bound},
    checks::{self, LOOSE, PLAIN},
    proto::conformance::v1::{Everything, Inner},
};

/// Linear work takes a tenth of a second of this, even without optimization; quadratic work takes minutes.
const LONGEST: Duration = Duration::from_secs(20);

/// What a text may take in addition to the memory for its length.
const BASE: usize = 64 << 10;

/// A sort of text: its description, a text with `n` parts, and the bytes allowed for each byte of it.
type Sort = (&'static str, fn(usize) -> String, usize);

const STRING: usize = size_of::<String>();
/// A boxed message.
const BOX: usize = size_of::<Everything>();
/// Lists double as they grow: while they move, the old and the new one exist.
const GROWTH: usize = 3;
/// The initial capacity of a list of larger items.
const FIRST: usize = 4;

fn object(name: &str, value: String) -> String {
    format!("{{\"{name}\":{value}}}")
}

fn list(name: &str, item: &str, n: usize) -> String {
    object(name, format!("[{}]", vec![item; n].join(",")))
}

/// An object with `n` different keys and a common value.
fn entries(value: &str, n: usize) -> String {
    let entries: Vec<_> = (0..n).map(|key| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", entries.join(","))
}

fn repeated(head: &str, part: &str, n: usize, tail: &str) -> String {
    format!("{head}{}{tail}", part.repeat(n))
}

/// Any in Any in Any, and a text of `n` bytes in the innermost.
fn nested_any(levels: usize, n: usize) -> String {
    let open = "{\"@type\":\"/google.protobuf.Any\",\"value\":".repeat(levels);
    let inside = format!("{{\"@type\":\"/google.protobuf.StringValue\",\"value\":\"{}\"}}", "x".repeat(n));
    object("oneAny", format!("{open}{inside}{}", "}".repeat(levels)))
}

const SORTS: &[Sort] = &[
    ("a long text", |n| object("oneString", format!("\"{}\"", "x".repeat(n))), 2),
    ("a text of escapes", |n| object("oneString", repeated("\"", "\\u0041", n, "\"")), 2),
    ("a text of short escapes", |n| object("oneString", repeated("\"", "\\n", n, "\"")), 4),
    ("a text that never ends", |n| format!("{{\"oneString\":\"\\n{}", "x".repeat(n)), 4),
    ("base64", |n| object("oneBytes", repeated("\"", "YWFh", n, "\"")), 2),
    ("base64 that is none", |n| object("oneBytes", repeated("\"", "YWFh", n, "!\"")), 2),
    ("a long integer", |n| object("oneInt64", "9".repeat(n)), 4),
    ("a long number", |n| object("oneDouble", "1".repeat(n)), 4),
    ("a long fraction", |n| object("oneDouble", format!("0.{}1", "0".repeat(n))), 4),
    ("a long fraction of sevens", |n| object("oneDouble", format!("0.{}", "7".repeat(n))), 4),
    ("a long exponent", |n| object("oneDouble", format!("1e{}", "9".repeat(n))), 4),
    ("a long exponent of zeros", |n| object("oneFloat", format!("1e-{}1", "0".repeat(n))), 4),
    ("a long number in quotes", |n| object("oneDouble", format!("\"{}\"", "1".repeat(n))), 4),
    ("a long integer in quotes", |n| object("oneInt32", format!("\"1.{}\"", "0".repeat(n))), 4),
    ("a long key that is unknown", |n| object(&"k".repeat(n), "1".to_owned()), 4),
    ("a long key of escapes", |n| object(&"\\u006b".repeat(n), "1".to_owned()), 4),
    ("a long key of a map", |n| object("mapStringString", object(&"k".repeat(n), "1".to_owned())), 4),
    ("a long name of an enum", |n| object("oneColor", format!("\"{}\"", "X".repeat(n))), 4),
    ("a long time", |n| object("oneWhen", format!("\"1970-01-01T00:00:00.{}Z\"", "0".repeat(n))), 4),
    ("a long duration", |n| object("oneSpan", format!("\"{}s\"", "1".repeat(n))), 4),
    ("a long mask", |n| object("oneMask", repeated("\"a", ",a", n, "\"")), GROWTH * STRING / 2 + 5),
    ("a mask of commas", |n| object("oneMask", repeated("\"a", ",", n, "\"")), 2),
    ("a mask of capitals", |n| object("oneMask", repeated("\"", "A", n, "\"")), 2 * GROWTH),
    ("numbers", |n| list("manyInt64", "1", n), GROWTH * 8 / 2),
    ("texts of nothing", |n| list("manyString", "\"\"", n), GROWTH * STRING / 3),
    ("messages of nothing", |n| list("manyInner", "{}", n), GROWTH * size_of::<Inner>() / 3),
    ("empty messages", |n| list("manyEmpty", "{}", n), 1),
    ("values", |n| list("manyValue", "0", n), GROWTH * size_of::<Value>() / 2),
    ("lists of one value", |n| list("manyValue", "[0]", n), (GROWTH + FIRST) * size_of::<Value>() / 4),
    ("objects of one value", |n| list("manyValue", "{\"\":0}", n), 12 * (size_of::<Value>() + STRING) / 5),
    ("an object of many", |n| object("oneStruct", entries("0", n)), 3 * (size_of::<Value>() + STRING) / 5),
    ("a map of numbers", |n| object("mapInt64Int64", entries("1", n)), 3 * 16 / 5),
    ("a map of texts", |n| object("mapStringString", entries("\"\"", n)), 3 * 2 * STRING / 6),
    ("a map of messages", |n| object("mapStringEverything", entries("{}", n)), 3 * BOX / 6),
    ("one key again and again", |n| repeated("{\"oneInt32\":1", ",\"oneInt32\":1", n, "}"), 1),
    ("one entry again and again", |n| object("mapInt32Int32", repeated("{\"1\":1", ",\"1\":1", n, "}")), 1),
    ("boxes in boxes", |n| repeated("", "{\"recursive\":", n, ""), BOX / 13),
    ("boxes in boxes by another way", |n| repeated("", "{\"oneInner\":{\"back\":", n, ""), BOX / 10),
    ("lists in lists", |n| repeated("{\"oneValue\":", "[", n, ""), 1),
    ("closed lists in lists", |n| format!("{{\"oneValue\":{}{}}}", "[".repeat(n), "]".repeat(n)), 1),
    ("Any in Any", |n| nested_any(10, n), 5),
    ("Any in Any, as deep as it goes", |n| nested_any(60, n), 5),
    ("Any in Any, deeper than it goes", |n| nested_any(n / 40, 40), 5),
    ("an Any of many members", |n| object("oneAny", entries("1", n)), GROWTH * 5 * 8 / 6 + 2),
    (
        "an Any of a list",
        |n| object("oneAny", format!("{{\"v\":[{}],\"@type\":\"/no.Such\"}}", vec!["0"; n].join(","))),
        2,
    ),
    ("unknown members", |n| entries("1", n), 1),
    ("an unknown member of many", |n| object("unknown", entries("[1,\"x\",{}]", n)), 1),
    ("an unknown member of lists", |n| repeated("{\"unknown\":", "[", n, ""), 1),
    ("blanks", |n| repeated("{", " \n\t\r", n, "}"), 1),
];

/// The peak memory while `run` runs, which must not take long.
fn peak_memory(what: &str, length: usize, run: impl FnOnce()) -> u64 {
    let start = Instant::now();
    let peak = measure(run).bytes_max;
    let took = start.elapsed();
    assert!(took < LONGEST, "{what}: {length} bytes took {took:?}");
    peak
}

fn reads(text: &[u8], options: &JsonOptions) -> u64 {
    peak_memory("reading", text.len(), || drop(decode::<Msg<Everything>>(text, options)))
}

#[test]
fn texts_take_a_constant_times_their_length() {
    // Only the length of the text limits what an unknown member can use.
    let endless = JsonOptions { max_items: u32::MAX, ..PLAIN };
    let mut wrong = Vec::new();
    for &(what, text, each) in SORTS {
        for n in [1, 100, 50_000] {
            let text = text(n);
            for options in [LOOSE, endless] {
                let peak = reads(text.as_bytes(), &options);
                if !(Bound { base: BASE, each }).admits(text.len(), peak) {
                    wrong.push(format!(
                        "{what}: {peak} bytes for {}, {:.1} each",
                        text.len(),
                        peak as f64 / text.len() as f64
                    ));
                }
                assert!(bounds::JSON.admits(text.len(), peak), "{what}");
            }
        }
    }
    assert!(wrong.is_empty(), "these exceed their bounds:\n{}", wrong.join("\n"));
}

/// Short texts that use as much memory as possible: the documented limit is theirs.
#[test]
fn the_limit_fits_the_worst_texts() {
    let text =
        format!("{{\"manyInner\":[{}]}}", vec!["{\"back\":{\"mapStringEverything\":{\"\":{}}}}"; 2_000].join(","));
    let peak = reads(text.as_bytes(), &PLAIN);
    bounds::JSON.check("the worst", text.len(), peak);
    // The limit must not be far above the real peak.
    assert!(peak as usize > bounds::JSON.each * text.len() / 4, "{peak} for {}: {:?}", text.len(), bounds::JSON);
}

/// If members are recorded for a mask, a path costs at most its own length, which the nesting limits.
#[test]
fn recorded_members_take_a_constant_times_their_length() {
    let leaf: Vec<_> = ('1'..='9').map(|digit| format!("\"oneInner\":{{\"a\":{digit}}}")).take(1).collect();
    for levels in [1, 10, 60] {
        let text = format!("{}{{{}}}{}", "{\"recursive\":".repeat(levels), leaf.join(","), "}".repeat(levels));
        let many = format!("{{\"manyInner\":[{}]}}", vec!["{\"a\":1}"; 9_000].join(","));
        for text in [text, many] {
            let peak = peak_memory("noting", text.len(), || {
                let mut message = Everything::default();
                let reader = Reader::new(&PLAIN).noting_members();
                let read =
                    from_slice(text.as_bytes(), reader, |json, cx| Msg::<Everything>::read(&mut message, json, cx));
                assert!(read.is_ok(), "{text}");
            });
            bounds::JSON.check("noting", text.len(), peak);
        }
    }
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

fn query_holds(query: &str) {
    // Lazily built tables do not count.
    RUNTIME.block_on(checks::query(""));
    let peak = peak_memory("a query", query.len(), || RUNTIME.block_on(checks::query(query)));
    bounds::QUERY.check(&query[..query.floor_char_boundary(60)], query.len(), peak);
}

fn path_holds(path: &str) {
    checks::path("/");
    let peak = peak_memory("a path", path.len(), || checks::path(path));
    bounds::PATH.check(&path[..path.floor_char_boundary(60)], path.len(), peak);
}

/// Approximately the longest URI.
const URI: usize = 60_000;

#[test]
fn queries_take_a_constant_times_their_length() {
    let many = |part: &dyn Fn(usize) -> String| {
        let mut query = String::new();
        for index in 0.. {
            let part = part(index);
            if query.len() + part.len() > URI {
                break;
            }
            query.push_str(&part);
        }
        query
    };
    let deep = |levels: usize| "recursive.".repeat(levels);
    for query in [
        many(&|_| "&".to_owned()),
        many(&|_| "=".to_owned()),
        many(&|_| "repeated_string=&".to_owned()),
        many(&|_| "repeated_string=x&".to_owned()),
        many(&|_| "repeated_int32=1&".to_owned()),
        many(&|_| "nope&".to_owned()),
        many(&|_| "int32_value=1&".to_owned()),
        many(&|index| format!("labels[{index}]=x&")),
        many(&|index| format!("{}labels[{index}]=x&", deep(1))),
        many(&|index| format!("{}int32_value=1&", deep(index % 63))),
        many(&|index| format!("{}level.second.third.deep_count=1&", deep(index % 60))),
        many(&|index| format!("{}level.tags=1&", deep(index % 60))),
        many(&|_| "recursive.".to_owned()),
        many(&|_| ".".to_owned()),
        many(&|_| "[".to_owned()),
        many(&|_| "]".to_owned()),
        many(&|_| "%41".to_owned()),
        many(&|_| "%".to_owned()),
        many(&|_| "+".to_owned()),
        format!("string_value={}", many(&|_| "%C3%A9".to_owned())),
        format!("string_value={}", many(&|_| "+".to_owned())),
        format!("double_value={}", many(&|_| "1".to_owned())),
        format!("bytes_value={}", many(&|_| "YWFh".to_owned())),
        format!("read_mask=a{}", many(&|_| ",a".to_owned())),
        format!("labels[{}]=x", many(&|_| "k".to_owned())),
    ] {
        query_holds(&query);
    }
}

#[test]
fn paths_take_a_constant_times_their_length() {
    for part in
        ["/a", "/", "a", "/%41", "%41", "/%2F", "%2f", "%", "/:", ":", ":a", "/a:a", "/*", "/**", "/é", "/v1/users"]
    {
        for n in [1, 100, URI / part.len(), 150_000 / part.len()] {
            path_holds(&part.repeat(n));
            path_holds(&format!("/v1{}", part.repeat(n)));
            path_holds(&format!("/v1/{}:verb", part.repeat(n)));
        }
    }
}

mod random {
    use proptest::{collection::vec, prelude::*};
    use transcoder_conformance::tables::Table;

    use super::{bounds, path_holds, query_holds, reads};
    use crate::properties::{mutated, seeds};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn mutated_texts(bytes in mutated(seeds(Table::Proto3Json))) {
            for options in [super::PLAIN, super::LOOSE] {
                bounds::JSON.check("a text", bytes.len(), reads(&bytes, &options));
            }
        }

        #[test]
        fn parts_of_texts(parts in vec(prop::sample::select(PARTS), 0..400)) {
            let text = parts.concat();
            bounds::JSON.check("parts", text.len(), reads(text.as_bytes(), &super::PLAIN));
        }

        #[test]
        fn mutated_queries(bytes in mutated(seeds(Table::QueryParams)), odd in any::<String>()) {
            query_holds(&String::from_utf8_lossy(&bytes));
            query_holds(&odd);
        }

        #[test]
        fn mutated_paths(bytes in mutated(seeds(Table::HttpRules)), odd in any::<String>()) {
            path_holds(&String::from_utf8_lossy(&bytes));
            path_holds(&odd);
        }
    }

    /// Building blocks of texts for the message.
    const PARTS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\"",
        "0",
        "1e9",
        "null",
        "{},",
        "[],",
        "[0],",
        "{\"recursive\":",
        "{\"mapStringEverything\":{\"a\":",
        "{\"manyInner\":[",
        "{\"back\":",
        "{\"oneValue\":",
        "{\"oneAny\":{\"@type\":",
        "\"/google.protobuf.Any\",\"value\":",
        "\"/conformance.v1.Everything\",",
        "}}",
        "]}",
        "}},",
        "]},",
    ];
}
