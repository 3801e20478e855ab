//! Any bytes are refused as an anchor set, as an artifact and as a statement, unless a key of the test vectors signed them.

#![no_main]

use std::sync::LazyLock;

use bundle_verify::{AnchorSet, Compact, Kind, Shelf};
use libfuzzer_sys::fuzz_target;

/// The first set of the test vectors, and a time at which it is valid.
static ANCHORS: LazyLock<(AnchorSet, i64)> = LazyLock::new(|| {
    let vectors = include_str!("../../crates/bundle-verify/vectors/vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).expect("the vectors are JSON");
    let case = &vectors["cases"][0];
    let set = case["anchors"][0].as_str().expect("the first case has a set");
    (AnchorSet::first(set.as_bytes()).expect("the set is valid"), case["now"].as_i64().expect("a time"))
});

fuzz_target!(|data: &[u8]| {
    let (anchors, now) = &*ANCHORS;
    let _ = AnchorSet::first(data);
    let _ = anchors.next(data);
    let mut shelf = Shelf::default();
    for kind in Kind::ALL {
        let _ = shelf.accept(anchors, kind, data, *now);
    }
    if let Ok(text) = str::from_utf8(data) {
        let _ = Compact::parse(text, "spc+jwt");
        let _ = bundle_verify::grant::verify(anchors, text, "gw_1", "key", *now, |_| false);
    }
});
