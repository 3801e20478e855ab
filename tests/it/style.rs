//! Phrases that docs/style.md replaces are not used in comments, texts, names of tests and documents.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::harness::root;

/// Phrases in lower case, and what to write instead.
const PHRASES: [(&str, &str); 28] = [
    ("an answer", "a response"),
    ("any more", "no longer"),
    ("anybody", "any caller, any user"),
    ("are told", "get, are notified"),
    ("as many as", "the number of"),
    ("at most so many", "at most `most`"),
    ("comes of", "results from"),
    ("everybody", "every caller, all users"),
    ("for ever", "forever, without a limit"),
    ("given back", "released, returned"),
    ("gives back", "releases, returns"),
    ("go on", "continue"),
    ("goes on", "continues"),
    ("hangs on", "depends on"),
    ("has no place", "cannot contain, is not allowed"),
    ("in vain", "without success"),
    ("in whatever", "in any"),
    ("is told", "gets, is notified"),
    ("of before", "earlier, previous"),
    ("of ours", "our"),
    ("of theirs", "their"),
    ("said of", "documented for"),
    ("so many rows", "a number of rows"),
    ("stands in", "is in"),
    ("twice is once", "a repeated call changes nothing"),
    ("was told", "got, was notified"),
    ("who asks", "the client, the caller"),
    ("whoever", "the client, the caller"),
];

/// Where the phrases are searched.
const PARTS: [&str; 9] =
    ["README.md", "CONTRIBUTING.md", "src", "crates", "migrations", "tests/it", "scripts", "docs", "proto/tenantry"];

/// Files that quote the phrases, or come from other projects.
const EXCEPT: [&str; 4] = ["docs/style.md", "tests/it/style.rs", "/proto/google/", "/proto/connectrpc/"];

#[test]
fn no_text_has_a_phrase_that_the_style_guide_replaces() {
    let mut files = Vec::new();
    PARTS.iter().for_each(|part| collect(&root().join(part), &mut files));
    assert!(files.len() > 500, "only {} files were found", files.len());
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        // Binary files, of which there are few, have no text.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        if EXCEPT.iter().any(|except| name.contains(except)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            found.extend(faults(line).map(|fault| format!("{name}:{}: {fault}", number + 1)));
        }
    }
    assert!(found.is_empty(), "see docs/style.md:\n{}", found.join("\n"));
}

#[test]
fn phrases_are_found_in_any_case_and_in_names() {
    let found = |line: &str| faults(line).count();
    assert_eq!(found("// Whoever asks gets an answer."), 2);
    assert_eq!(found("async fn whoever_waits_gets_the_operation() {"), 1);
    assert_eq!(found("/// The key is no credential."), 1);
    for line in ["/// There is no such tenant.", "// is no longer valid", "// It is no more than 3.", "type_of(&ours)"]
    {
        assert_eq!(found(line), 0, "{line}");
    }
}

/// The phrases of a line, with what to write instead.
fn faults(line: &str) -> impl Iterator<Item = String> {
    // Punctuation ends a phrase, except inside of names.
    let line = line.to_lowercase().replace('_', " ").replace('(', " ( ");
    let words: Vec<_> = line.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).collect();
    let text = format!(" {} ", words.join(" "));
    let phrases = PHRASES.iter().filter(|(phrase, _)| text.contains(&format!(" {phrase} ")));
    let phrases: Vec<_> = phrases.map(|(phrase, better)| format!("{phrase:?}: write {better:?}")).collect();
    let is_no = text.split_once(" is no ").filter(|(before, after)| {
        // "There is no", perhaps with a line break, and comparisons are standard English.
        let before = before.rsplit(' ').next().unwrap_or_default();
        let after = after.split(' ').next().unwrap_or_default();
        !["", "there"].contains(&before) && !["longer", "more", "less", "such"].contains(&after)
    });
    phrases.into_iter().chain(is_no.map(|_| "\"is no\": write \"is not a\"".to_owned()))
}

/// Collects the files below a path.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).unwrap() {
        collect(&entry.unwrap().path(), files);
    }
}
