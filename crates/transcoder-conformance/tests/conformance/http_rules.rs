//! The tables of path templates: the grammar, conflicts, matching.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use transcoder::router::{Found, Path, Router, Segment, Template, Variable};
use transcoder_build::template::{self, Template as Parsed};

use crate::support::{list, report, text};

fn table() -> Value {
    serde_json::from_str(include_str!("../../data/http_rules.json")).unwrap()
}

#[test]
fn templates_valid() {
    let table = table();
    let cases = list(&table, "templates_valid");
    let failures = cases.iter().filter_map(|case| {
        let got = match Parsed::parse(text(case, "template")) {
            Ok(parsed) => described(&parsed),
            Err(why) => return Some(format!("{}: {why}", case["template"])),
        };
        let want = json!({"segments": case["segments"], "verb": case["verb"], "variables": case["variables"]});
        (got != want).then(|| format!("{}: got {got}, want {want}", case["template"]))
    });
    report(failures.collect(), cases.len());
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

#[test]
fn templates_invalid() {
    let table = table();
    let cases = list(&table, "templates_invalid");
    let failures = cases.iter().filter_map(|case| {
        let parsed = Parsed::parse(text(case, "template")).ok()?;
        Some(format!("{} ({}): {parsed:?}", case["template"], text(case, "reason")))
    });
    report(failures.collect(), cases.len());
}

#[test]
fn conflicts() {
    let table = table();
    let cases = list(&table, "conflicts");
    let failures = cases.iter().filter_map(|case| {
        let rules: Vec<_> = list(case, "rules")
            .iter()
            .map(|rule| (text(rule, "method"), Parsed::parse(text(rule, "template")).unwrap()))
            .collect();
        let same = rules[0].0 == rules[1].0 && rules[0].1.shape() == rules[1].1.shape();
        (same != case["conflict"].as_bool().unwrap()).then(|| format!("{}: {same}", case["name"]))
    });
    report(failures.collect(), cases.len());
}

#[test]
fn matching() {
    let table = table();
    let (mut failures, mut count) = (Vec::new(), 0);
    for case in list(&table, "matching") {
        let rules: Vec<_> = list(case, "rules").iter().map(|rule| (rule, leaked(text(rule, "template")))).collect();
        // The order of registration must not matter, so both orders are tried.
        for backward in [false, true] {
            let mut order = rules.clone();
            if backward {
                order.reverse();
            }
            let mut router = Router::default();
            for (rule, template) in &order {
                router.add(text(rule, "method").to_owned().leak(), template);
            }
            for request in list(case, "requests") {
                count += 1;
                let got = found(&router, &order, text(request, "method"), text(request, "path"));
                if got != request["expect"] {
                    let name = text(case, "name");
                    failures.push(format!("{name} {}: got {got}, want {}", request["path"], request["expect"]));
                }
            }
        }
    }
    report(failures, count);
}

/// What the router says of a path, in the form of the table.
fn found(router: &Router, rules: &[(&Value, &'static Template)], method: &str, path: &str) -> Value {
    let Some(path) = Path::split(path) else { return json!({"status": 404}) };
    match router.find(method, &path) {
        Found::Nothing => json!({"status": 404}),
        Found::OtherMethods(methods) => json!({"status": 405, "allow": methods}),
        Found::Rule(rule) => {
            let (rule, template) = rules[rule];
            let values = template
                .variables
                .iter()
                .map(|variable| path.value(template, variable).map(|value| (variable.field, value)));
            match values.collect::<Result<BTreeMap<_, _>, _>>() {
                Ok(bindings) => json!({"id": rule["id"], "bindings": bindings}),
                Err(_) => json!({"status": 400}),
            }
        }
    }
}

/// A template as generated code would have it. The memory lives as long as the test.
pub fn leaked(text: &str) -> &'static Template {
    let parsed = Parsed::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let segments = parsed.segments.iter().map(|segment| match segment {
        template::Segment::Literal(text) => Segment::Literal(text.clone().leak()),
        template::Segment::Any => Segment::Any,
        template::Segment::Rest => Segment::Rest,
    });
    let variables = parsed.variables.iter().map(|variable| Variable {
        field: variable.field.clone().leak(),
        first: variable.first,
        last: variable.last,
    });
    Box::leak(Box::new(Template {
        text: text.to_owned().leak(),
        segments: segments.collect::<Vec<_>>().leak(),
        verb: parsed.verb.clone().leak(),
        variables: variables.collect::<Vec<_>>().leak(),
    }))
}
