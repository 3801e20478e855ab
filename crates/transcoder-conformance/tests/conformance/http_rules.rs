//! The tables of path templates: the grammar, conflicts, matching.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use transcoder::router::{Found, Path, Router, Template};
use transcoder_build::template::{self, Template as Parsed};
use transcoder_conformance::{
    tables::{File, HttpRules, Table},
    templates::leaked,
};

use crate::support::{Tally, label, read};

/// Runs the cases of one section.
type Section = fn(&HttpRules) -> (&Vec<Value>, fn(&Value) -> Result<(), String>);

const SECTIONS: [(&str, Section); 4] = [
    ("templates_valid", |file| (&file.templates_valid, valid)),
    ("templates_invalid", |file| (&file.templates_invalid, invalid)),
    ("conflicts", |file| (&file.conflicts, conflict)),
    ("matching", |file| (&file.matching, matching)),
];

/// Runs the cases of some files, section by section.
pub fn run(files: &[File]) -> [Tally; 4] {
    let mut tallies: [Tally; 4] = Default::default();
    for file in files {
        let parsed = file.parse::<HttpRules>();
        let mut cases = 0;
        for ((name, section), tally) in SECTIONS.iter().zip(&mut tallies) {
            match &parsed {
                Ok(parsed) => {
                    let (list, check) = section(parsed);
                    cases += list.len();
                    for (index, case) in list.iter().enumerate() {
                        tally.count(file, &format!("{name}: {}", label(index, case)), check(case));
                    }
                }
                Err(why) => tally.failures.push(why.clone()),
            }
        }
        tallies[0].refuse_empty(file, if parsed.is_ok() { cases } else { 1 });
    }
    tallies
}

fn section(index: usize) {
    run(&Table::HttpRules.files().unwrap_or_else(|why| panic!("{why}"))).into_iter().nth(index).unwrap().finish();
}

#[test]
fn templates_valid() {
    section(0);
}

#[test]
fn templates_invalid() {
    section(1);
}

#[test]
fn conflicts() {
    section(2);
}

#[test]
fn matches() {
    section(3);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    template: String,
    segments: Value,
    verb: Value,
    variables: Value,
}

fn valid(case: &Value) -> Result<(), String> {
    let case: Valid = read(case)?;
    let got = described(&Parsed::parse(&case.template).map_err(|why| why.to_string())?);
    let want = json!({"segments": case.segments, "verb": case.verb, "variables": case.variables});
    if got == want { Ok(()) } else { Err(format!("got {got}, want {want}")) }
}

/// A parsed template in the form of the table.
fn described(parsed: &Parsed) -> Value {
    let segments: Vec<_> = parsed
        .segments
        .iter()
        .map(|segment| match segment {
            template::Segment::Literal(text) => text.as_str(),
            template::Segment::Any => "*",
            template::Segment::Rest => "**",
        })
        .collect();
    let variables: Vec<_> = parsed
        .variables
        .iter()
        .map(|variable| {
            let open = parsed.segments[variable.last] == template::Segment::Rest;
            let last = if open { json!(-1) } else { json!(variable.last) };
            json!({"field_path": variable.field, "first_segment": variable.first, "last_segment": last})
        })
        .collect();
    json!({"segments": segments, "verb": parsed.verb, "variables": variables})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    template: String,
    #[serde(default)]
    reason: String,
}

fn invalid(case: &Value) -> Result<(), String> {
    let case: Invalid = read(case)?;
    match Parsed::parse(&case.template) {
        Ok(parsed) => Err(format!("({}) was parsed: {parsed:?}", case.reason)),
        Err(_) => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    id: String,
    method: String,
    template: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conflict {
    rules: Vec<Rule>,
    conflict: bool,
}

fn conflict(case: &Value) -> Result<(), String> {
    let case: Conflict = read(case)?;
    if case.rules.len() < 2 {
        return Err("fewer than two rules".to_owned());
    }
    let parse = |rule: &Rule| Parsed::parse(&rule.template).map_err(|why| format!("rule {}: {why}", rule.id));
    let parsed = case.rules.iter().map(parse).collect::<Result<Vec<_>, String>>()?;
    let keys: Vec<_> = case.rules.iter().zip(&parsed).map(|(rule, parsed)| (&rule.method, parsed.shape())).collect();
    let same = keys.iter().enumerate().any(|(index, key)| keys[..index].contains(key));
    if same == case.conflict { Ok(()) } else { Err(format!("got {same}, want {}", case.conflict)) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matching {
    rules: Vec<Rule>,
    requests: Vec<Requested>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requested {
    method: String,
    path: String,
    expect: Expected,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Expected {
    id: Option<String>,
    bindings: Option<BTreeMap<String, String>>,
    status: Option<u16>,
    allow: Option<Vec<String>>,
}

impl Expected {
    fn status(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// Sorted, and without the two methods that a server may add.
    fn comparable(mut self) -> Self {
        if let Some(allow) = &mut self.allow {
            allow.retain(|method| method != "HEAD" && method != "OPTIONS");
            allow.sort_unstable();
        }
        self
    }
}

fn matching(case: &Value) -> Result<(), String> {
    let Matching { rules, requests, .. } = read(case)?;
    if requests.is_empty() {
        return Err("no request in it".to_owned());
    }
    let mut rules = rules
        .iter()
        .map(|rule| leaked(&rule.template).map(|template| (rule, template)))
        .collect::<Result<Vec<_>, String>>()?;
    let mut wrong = Vec::new();
    // The order of registration must not matter, so both orders are tested.
    for _ in 0..2 {
        let mut router = Router::default();
        for (rule, template) in &rules {
            router.add(rule.method.clone().leak(), template);
        }
        for request in &requests {
            if let Err(why) = one_request(&router, &rules, request) {
                wrong.push(format!("{} {}: {why}", request.method, request.path));
            }
        }
        rules.reverse();
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn one_request(router: &Router, rules: &[(&Rule, &'static Template)], request: &Requested) -> Result<(), String> {
    let want = &request.expect;
    let answers = (want.id.is_some(), want.bindings.is_some(), want.status.is_some(), want.allow.is_some());
    if !matches!(answers, (true, true, false, false) | (false, false, true, _)) {
        return Err("expect is {id, bindings} or {status} or {status, allow}".to_owned());
    }
    let got = found(router, rules, &request.method, &request.path).comparable();
    let want = Expected {
        id: want.id.clone(),
        bindings: want.bindings.clone(),
        status: want.status,
        // If the case does not list the allowed methods, any are accepted.
        allow: want.allow.clone().or_else(|| got.allow.clone()),
    };
    let want = want.comparable();
    if got == want { Ok(()) } else { Err(format!("got {got:?}, want {want:?}")) }
}

/// The router's result for a path, in the form of the table.
fn found(router: &Router, rules: &[(&Rule, &'static Template)], method: &str, path: &str) -> Expected {
    let Some(path) = Path::split(path) else { return Expected::status(404) };
    match router.find(method, &path) {
        Found::Nothing => Expected::status(404),
        Found::OtherMethods(methods) => {
            let allow = Some(methods.iter().map(|&method| method.to_owned()).collect());
            Expected { allow, ..Expected::status(405) }
        }
        Found::Rule(rule) => {
            let (rule, template) = rules[rule];
            let values = template.variables.iter().map(|variable| {
                path.value(template, variable).map(|value| (variable.field.to_owned(), value.into_owned()))
            });
            match values.collect::<Result<BTreeMap<_, _>, _>>() {
                Ok(bindings) => Expected { id: Some(rule.id.clone()), bindings: Some(bindings), ..Expected::default() },
                Err(_) => Expected::status(400),
            }
        }
    }
}
