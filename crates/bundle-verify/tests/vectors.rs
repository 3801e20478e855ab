//! The test vectors: made here from fixed keys, kept in `vectors/vectors.json` for implementations in other languages, and run from there.
//! `UPDATE_GOLDEN=1` writes the file.

mod cases;
mod signer;

use std::{fs, path::PathBuf, process::Command};

use bundle_verify::{AnchorSet, Kind, Refusal, Shelf, grant, spc};
use serde_json::Value;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

#[test]
fn the_file_has_all_cases() {
    let made = serde_json::to_string_pretty(&cases::all()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file("vectors.json"), &made).unwrap();
    }
    assert!(fs::read_to_string(file("vectors.json")).unwrap() == made, "write the vectors with UPDATE_GOLDEN=1");
}

#[test]
fn every_case_has_the_expected_outcome() {
    let vectors: Value = serde_json::from_str(&fs::read_to_string(file("vectors.json")).unwrap()).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert!(cases.len() > 40, "{} cases", cases.len());
    for case in cases {
        let outcome = match run(case) {
            Ok(()) => "ok",
            Err(refusal) => refusal.code(),
        };
        assert_eq!(outcome, case["expect"].as_str().unwrap(), "{}", case["name"]);
    }
}

/// The vectors suffice for another language.
#[test]
fn the_python_reader_agrees() {
    let output = Command::new("python3").arg(file("check.py")).arg(file("vectors.json")).output().expect("python3");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(" cases agree"), "{text}");
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member}: {value}"))
}

fn kind(value: &Value) -> Kind {
    let name = text(value, "kind");
    Kind::ALL.into_iter().find(|kind| kind.name() == name).unwrap()
}

/// Walks through the anchor sets of a case.
fn walk(case: &Value) -> Result<AnchorSet, Refusal> {
    let mut sets = case["anchors"].as_array().unwrap().iter().map(|set| set.as_str().unwrap().as_bytes());
    let first = AnchorSet::first(sets.next().unwrap())?;
    sets.try_fold(first, |set, next| set.next(next))
}

fn run(case: &Value) -> Result<(), Refusal> {
    let now = case["now"].as_i64().unwrap();
    let does = text(case, "do");
    if does == "walk" {
        return walk(case).map(|set| assert_eq!(Value::from(set.sequence), case["sequence"]));
    }
    let (anchors, mut shelf) = (walk(case).unwrap(), Shelf::default());
    for earlier in case["shelf"].as_array().unwrap() {
        let at = earlier["now"].as_i64().unwrap();
        shelf.accept(&anchors, kind(earlier), text(earlier, "envelope").as_bytes(), at).unwrap();
    }
    match does {
        "accept" => {
            let before = shelf.clone();
            let accepted = shelf.accept(&anchors, kind(case), text(case, "envelope").as_bytes(), now).cloned();
            match &accepted {
                Ok(accepted) => {
                    assert_eq!(
                        (Value::from(accepted.version), accepted.digest.as_str()),
                        (case["version"].clone(), text(case, "digest"))
                    );
                }
                Err(_) => assert!(shelf == before, "the last good one stays: {}", case["name"]),
            }
            accepted.map(drop)
        }
        "current" => shelf.current(kind(case), now).map(drop).ok_or(Refusal::NothingFresh),
        "spc" | "offline" => {
            let policies: Vec<_> =
                case["policies"].as_array().unwrap().iter().map(|digest| digest.as_str().unwrap()).collect();
            let connection = spc::Connection {
                audience: text(case, "audience"),
                proven_key: text(case, "proven_key"),
                policies: &policies,
            };
            match case["heard_at"].as_i64() {
                Some(heard_at) => {
                    spc::verify_offline(&anchors, &shelf, text(case, "spc"), &connection, heard_at, now).map(drop)
                }
                None => spc::verify(&anchors, &shelf, text(case, "spc"), &connection, now).map(drop),
            }
        }
        "grant" => {
            let used = case["used"].as_array().unwrap();
            let seen = |grant: &grant::Grant| used.contains(&Value::from(grant.jti.as_str()));
            grant::verify(&anchors, text(case, "grant"), text(case, "gateway"), text(case, "proven_key"), now, seen)
                .map(drop)
        }
        other => panic!("unknown: {other}"),
    }
}

/// A byte that is flipped anywhere in an envelope: it is refused, or the byte had no meaning.
#[test]
fn no_flipped_byte_changes_what_is_accepted() {
    let anchors = AnchorSet::first(cases::usual().as_bytes()).unwrap();
    let envelope = cases::artifact("policy", &cases::payload("policy", 7));
    let payload =
        Shelf::default().accept(&anchors, Kind::Policy, envelope.as_bytes(), cases::NOW).unwrap().payload.clone();
    let mut refused = 0;
    for place in 0..envelope.len() {
        for bit in [1, 4, 32] {
            let mut flipped = envelope.clone().into_bytes();
            flipped[place] ^= bit;
            let mut shelf = Shelf::default();
            match shelf.accept(&anchors, Kind::Policy, &flipped, cases::NOW) {
                Ok(accepted) => assert_eq!(accepted.payload, payload, "{place} {bit}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 2 * envelope.len(), "{refused} of {}", envelope.len());
}
