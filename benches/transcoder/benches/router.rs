//! Finds the rule of a request among 200, in comparison with matchit, the router of axum.

use std::hint::black_box;

use transcoder::router::{Found, Router, Segment, Template, Variable};
use transcoder_bench::{
    load::{alternate, calls, median, rate, ratio},
    paths,
};

/// Length of one turn in milliseconds.
const TURN: u64 = 100;

fn main() {
    let literal = paths::literal();
    compare("200 literal paths, each in turn", &literal, &literal, Some(0.7));
    compare("200 paths with variables, each in turn", &paths::parameterised(), &paths::requests(), None);
}

/// Both routers have the same paths and get every request in turn.
fn compare(what: &str, paths: &[String], requests: &[String], goal: Option<f64>) {
    let mut twin = matchit::Router::new();
    let mut ours = Router::default();
    for (index, path) in paths.iter().enumerate() {
        twin.insert(path, index).expect("paths that do not conflict");
        ours.add("GET", template(path));
    }
    let find = |request: &str| match ours.route("GET", request) {
        Found::Rule(rule) => rule,
        other => unreachable!("{request}: {other:?}"),
    };
    for (index, request) in requests.iter().enumerate() {
        assert_eq!(*twin.at(request).expect("a match").value, index);
        assert_eq!(find(request), index);
    }
    let rates = alternate(|side| {
        let mut turn = requests.iter().cycle();
        let mut next = || black_box(turn.next().expect("a cycle has no end").as_str());
        match side {
            0 => calls(TURN, || *twin.at(next()).expect("a match").value),
            _ => calls(TURN, || find(next())),
        }
    });
    let [twin, ours] = rates.map(median);
    println!("{what}");
    rate("matchit", twin);
    rate("transcoder", ours);
    match goal {
        Some(goal) => {
            ratio("ratio", ours / twin, goal);
        }
        None => println!("  ratio {:.3} (for information)", ours / twin),
    }
}

/// A parsed path.
fn template(path: &str) -> &'static Template {
    let path: &'static str = path.to_owned().leak();
    let mut segments = Vec::new();
    let mut variables = Vec::new();
    for (index, segment) in path.split('/').skip(1).enumerate() {
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(field) => {
                segments.push(Segment::Any);
                variables.push(Variable { field, first: index, last: index });
            }
            None => segments.push(Segment::Literal(segment)),
        }
    }
    let (segments, variables) = (segments.leak(), variables.leak());
    Box::leak(Box::new(Template { text: path, segments, verb: "", variables }))
}
