//! The table of literal paths gives the same results as the trie.

use proptest::{collection::vec, prelude::*};

use super::{Found, Path, Router, Segment, Template};

/// A template from its segments, including `*` and `**`.
fn template(segments: &[&'static str], verb: &'static str) -> &'static Template {
    let segment = |text: &&'static str| match *text {
        "*" => Segment::Any,
        "**" => Segment::Rest,
        literal => Segment::Literal(literal),
    };
    let segments = segments.iter().map(segment).collect::<Vec<_>>().leak();
    Box::leak(Box::new(Template { text: "", segments, verb, variables: &[] }))
}

fn by_trie(router: &Router, method: &str, path: &str) -> Found {
    Path::split(path).map_or(Found::Nothing, |path| router.find(method, &path))
}

#[test]
fn literal_paths_of_every_length_are_distinguished() {
    let mut router = Router::default();
    let texts: Vec<&'static str> = (1..=70).map(|length| &*"a".repeat(length).leak()).collect();
    for (rule, text) in texts.iter().enumerate() {
        assert_eq!(router.add("GET", template(&[text], "")), rule);
    }
    for (rule, text) in texts.iter().enumerate() {
        assert_eq!(router.literals.find("GET", &format!("/{text}")), Some(rule));
        assert_eq!(router.literals.find("GET", &format!("/{text}b")), None);
        assert_eq!(router.literals.find("PUT", &format!("/{text}")), None);
    }
}

#[test]
fn a_literal_path_is_found_by_its_own_method_by_head_and_by_any() {
    let mut router = Router::default();
    router.add("GET", template(&["a", "b"], ""));
    router.add("*", template(&["a"], ""));
    router.add("POST", template(&["a"], "undo"));
    router.add("GET", template(&[], ""));
    router.add("PUT", template(&["a", "*"], ""));
    assert_eq!(router.route("HEAD", "/a/b"), Found::Rule(0));
    assert_eq!(router.route("LINK", "/a"), Found::Rule(1));
    assert_eq!(router.route("POST", "/a:undo"), Found::Rule(2));
    assert_eq!(router.route("GET", "/"), Found::Rule(3));
    // The path is in the table, but not the method: the trie has a wider rule.
    assert_eq!(router.route("PUT", "/a/b"), Found::Rule(4));
    assert_eq!(router.route("POST", "/a/b"), Found::OtherMethods(vec!["GET", "PUT"]));
    assert_eq!(router.route("GET", "/a//b"), Found::Nothing);
}

proptest! {
    #[test]
    fn the_table_and_the_trie_agree(
        rules in vec(
            (
                prop::sample::select(&["GET", "PUT", "*"][..]),
                vec(prop::sample::select(&["a", "b", "a%3Ab", "*"][..]), 0..4),
                prop::sample::select(&["", "", "b"][..]),
            ),
            1..12,
        ),
        paths in vec("(/(a|b|a%3Ab|a%3ab|%61|a:b|c)?){0,4}(:b)?", 1..20),
    ) {
        let mut router = Router::default();
        for (method, segments, verb) in &rules {
            router.add(method, template(segments, verb));
        }
        for path in &paths {
            for method in ["GET", "HEAD", "PUT", "POST"] {
                prop_assert_eq!(router.route(method, path), by_trie(&router, method, path), "{} {}", method, path);
            }
        }
    }
}
