//! Compares with protobuf for Python: random messages in both directions, and texts with every kind of error, must have
//! the same values.
//!
//! Random data comes from a seed, which every failure shows. `TENANTRY_ORACLE_SEED` sets it, and
//! `TENANTRY_ORACLE_COUNT` the number of messages.

mod deviations;
mod mutated;
mod plain;
mod process;
mod random;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use transcoder::json::{JsonOptions, Msg, Names, decode, encode};
use transcoder_conformance::{checks::PLAIN, proto::conformance::v1::Everything};

use self::{
    deviations::{DEVIATIONS, Verdict},
    plain::plain,
    process::ask,
    random::Random,
};
use crate::schema::POOL;

/// The message of all tests.
const NAME: &str = "conformance.v1.Everything";

fn variable(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => otherwise,
    }
}

fn seed() -> u64 {
    variable("TENANTRY_ORACLE_SEED", 20_261_126)
}

/// The number of messages in each direction.
fn count() -> u64 {
    variable("TENANTRY_ORACLE_COUNT", 2_500)
}

/// Reports failures with their seed.
fn report(what: &str, failures: &[String]) {
    println!("{what} of seed {}", seed());
    let shown = failures.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "seed {}: {} of {what}:\n{shown}", seed(), failures.len());
}

/// Options whose output every parser reads.
const WAYS: [JsonOptions; 5] = [
    PLAIN,
    JsonOptions { int64_as_number: true, ..PLAIN },
    JsonOptions { names: Names::Proto, ..PLAIN },
    JsonOptions { print_defaults: true, ..PLAIN },
    JsonOptions { int64_as_number: true, names: Names::Proto, print_defaults: true, ..PLAIN },
];

/// Python reads what we write, and gets the same message.
#[test]
fn python_reads_what_we_write() {
    let descriptor = POOL.get_message_by_name(NAME).unwrap();
    let mut random = Random::new(seed());
    let mut written = Vec::new();
    for index in 0..count() {
        let binary = random.message(&descriptor, 0).encode_to_vec();
        let message = Everything::decode(&*binary).unwrap();
        let options = &WAYS[usize::try_from(index).unwrap() % WAYS.len()];
        let json = encode::<Msg<Everything>>(&message, options).unwrap();
        written.push((binary, String::from_utf8(json).unwrap()));
    }
    let questions = written.iter().map(|(_, json)| format!("read\t{}", STANDARD.encode(json))).collect();
    let answers = ask(questions);
    assert_eq!(answers.len(), written.len());
    let (mut failures, mut excused) = (Vec::new(), 0);
    for ((binary, json), answer) in written.iter().zip(&answers) {
        match answer.strip_prefix("read\t") {
            None if is_excused(&Verdict::OnlyWeRead(answer.clone()), json.as_bytes()) => excused += 1,
            None => failures.push(format!("{answer}: {json}")),
            Some(read) => {
                let (want, got) = (plain(binary), plain(&STANDARD.decode(read).unwrap()));
                if want != got {
                    failures.push(format!("wrote {want}, Python read {got}: {json}"));
                }
            }
        }
    }
    println!("{excused} have what Python departs from");
    assert!(excused * 5 < written.len(), "too many cases were not compared");
    report(&format!("{} messages from us to Python", written.len()), &failures);
}

fn is_excused(verdict: &Verdict, text: &[u8]) -> bool {
    DEVIATIONS.iter().any(|deviation| deviation.is_of(verdict, text))
}

/// We read what Python writes, and get the same message.
#[test]
fn we_read_what_python_writes() {
    let answers = ask(vec![format!("make\t{}\t{}", seed(), count())]);
    assert_eq!(u64::try_from(answers.len()).unwrap(), count());
    let mut failures = Vec::new();
    for answer in &answers {
        let [verb, binary, json, habit] = answer.split('\t').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(verb, "made");
        let (binary, json) = (STANDARD.decode(binary).unwrap(), STANDARD.decode(json).unwrap());
        let text = String::from_utf8_lossy(&json);
        match decode::<Msg<Everything>>(&json, &PLAIN) {
            Err(error) => failures.push(format!("{habit}: {error}: {text}")),
            Ok(message) => {
                let (want, got) = (plain(&binary), plain(&message.encode_to_vec()));
                if want != got {
                    failures.push(format!("{habit}: Python wrote {want}, we read {got}: {text}"));
                }
            }
        }
    }
    report(&format!("{} messages from Python to us", answers.len()), &failures);
}

/// Both read an irregular text with the same value, or both refuse it, except for the deviations.
#[test]
fn both_read_or_both_refuse() {
    let texts = mutated::texts(&mut Random::new(seed()), count());
    let questions = texts.iter().map(|text| format!("read\t{}", STANDARD.encode(text))).collect();
    let answers = ask(questions);
    assert_eq!(answers.len(), texts.len());
    let (mut failures, mut met) = (Vec::new(), [0; DEVIATIONS.len()]);
    let (mut read, mut refused) = (0, 0);
    for (text, answer) in texts.iter().zip(&answers) {
        let verdict = verdict(text, answer);
        match verdict {
            Verdict::BothRead => read += 1,
            Verdict::BothRefuse => refused += 1,
            _ => match DEVIATIONS.iter().position(|deviation| deviation.is_of(&verdict, text)) {
                Some(index) => met[index] += 1,
                None => failures.push(format!("{verdict:?}: {}", String::from_utf8_lossy(text))),
            },
        }
    }
    println!("{} texts: both read {read}, both refused {refused}", texts.len());
    for (deviation, met) in DEVIATIONS.iter().zip(met) {
        println!("{met:6} {}: {}", deviation.name, deviation.because);
        if met == 0 {
            failures.push(format!("the deviation {:?} was not met: it is none", deviation.name));
        }
    }
    // If all texts were refused, the test would show little.
    assert!(read > 1_000 && refused > 1_000, "{read} read, {refused} refused");
    report(&format!("{} texts", texts.len()), &failures);
}

fn verdict(text: &[u8], answer: &str) -> Verdict {
    let ours = decode::<Msg<Everything>>(text, &PLAIN);
    let theirs = answer.strip_prefix("read\t").map(|read| STANDARD.decode(read).unwrap());
    match (ours, theirs) {
        (Err(_), None) => Verdict::BothRefuse,
        (Err(error), Some(_)) => Verdict::OnlyPythonReads(error.to_string()),
        (Ok(_), None) => Verdict::OnlyWeRead(answer.to_owned()),
        (Ok(ours), Some(theirs)) => {
            let (ours, theirs) = (plain(&ours.encode_to_vec()), plain(&theirs));
            if ours == theirs { Verdict::BothRead } else { Verdict::Differ(ours, theirs) }
        }
    }
}
