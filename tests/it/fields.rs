//! Every request field has an effect: each field, found by reflection, is left out of a call that sets it, and
//! something must change: the response, what is read back afterwards, or the audit log. Fields without any
//! effect must be explained in `tests/data/fields.json`, with the source of the rule.
//!
//! `tests/golden/fields.txt` lists the effect of each field; a new field needs a case that sets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use futures::StreamExt as _;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value as Json, json};

use crate::harness::{
    cases::{self, Case, World, filled},
    golden,
};

/// Number of concurrent cases.
const AT_ONCE: usize = 4;

/// Everything that a run returned, by path.
type Seen = BTreeMap<String, Json>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_every_request_has_an_effect() {
    let cases = cases::read("fields.json");
    let world = World::start(cases.preludes).await;
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    // Runs share only the server, so several can run concurrently.
    let effects =
        futures::stream::iter(cases.cases.iter().enumerate().map(|(number, case)| world.effects(number, case)));
    let effects: Vec<_> = effects.buffered(AT_ONCE).collect().await;
    for (case, effects) in cases.cases.iter().zip(effects) {
        let of = found.entry(case.step.call.clone()).or_default();
        for (field, effect) in effects {
            of.entry(field).or_insert(effect);
        }
    }
    golden::check("fields.txt", &table(&world, found, cases.explained));
}

impl World {
    /// The effect of each field that a case sets.
    async fn effects(&self, number: usize, case: &Case) -> Vec<(String, String)> {
        let tag = |run: usize| format!("q{number}x{run}q");
        let one = self.run(case, &tag(0), "").await;
        let mut less = Vec::new();
        for field in given(&self.message(&case.step, &case.step.request)) {
            let seen = self.run(case, &tag(less.len() + 2), &field).await;
            less.push((field, seen));
        }
        // Values that differ between two equal calls are ignored, but not their presence. The second call is made last,
        // so that values that change with time are noticed too.
        let two = self.run(case, &tag(1), "").await;
        let steady = |path: &String| one.get(path) == two.get(path);
        let mut effects = Vec::new();
        for (field, less) in less {
            let paths: BTreeSet<_> = one.keys().chain(two.keys()).chain(less.keys()).collect();
            let differs = |path: &&&String| {
                one.contains_key(**path) != less.contains_key(**path)
                    && one.contains_key(**path) == two.contains_key(**path)
                    || steady(path) && one.get(**path) != less.get(**path)
            };
            let mut changed = paths.iter().filter(differs);
            if changed.clone().next().is_some() {
                let kept = kept(case, &field, &one, changed.clone().copied());
                let first = changed.next().unwrap();
                effects.push((field, kept.unwrap_or_else(|| decided(first, &one, &less))));
            }
        }
        effects
    }

    /// Makes the call of a case without one field, and reads everything back.
    async fn run(&self, case: &Case, tag: &str, without: &str) -> Seen {
        let (grpc, mut taken) = self.begin(case, tag).await;
        let mut seen = vec![("answer".to_owned(), self.step(&grpc, &case.step, &mut taken, without).await)];
        seen.push(("audit log".to_owned(), Json::from(self.audited(tag).await)));
        for step in &case.after {
            let name = step.call.split('/').next_back().unwrap().to_owned();
            seen.push((name, self.step(&grpc, step, &mut taken, "").await));
        }
        let mut flat = Seen::new();
        for (name, value) in seen {
            flatten(&name, &value, tag, &mut flat);
        }
        flat
    }

    /// The audit events that contain a run's tag, oldest first.
    async fn audited(&self, tag: &str) -> Vec<Json> {
        let sql =
            "SELECT action, details FROM audit_events WHERE outcome = 'success' AND instr(details, ?) > 0 ORDER BY id";
        let query = Statement::from_sql_and_values(DbBackend::Sqlite, sql, [tag.into()]);
        let rows = self.db.query_all_raw(query).await.unwrap();
        let told = rows.iter().map(|row| {
            let text = |column: &str| row.try_get::<String>("", column).unwrap();
            json!({"action": text("action"), "details": serde_json::from_str::<Json>(&text("details")).unwrap()})
        });
        told.collect()
    }
}

/// All values in a JSON value by path, with the run's tag replaced by a constant.
fn flatten(path: &str, value: &Json, tag: &str, into: &mut Seen) {
    match value {
        Json::Object(members) => members.iter().for_each(|(name, value)| {
            flatten(&format!("{path}.{}", name.replace(tag, "T")), value, tag, into);
        }),
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| flatten(&format!("{path}[{at}]"), value, tag, into));
        }
        Json::String(text) => drop(into.insert(path.to_owned(), Json::from(text.replace(tag, "T")))),
        other => drop(into.insert(path.to_owned(), other.clone())),
    }
}

/// The description of a field whose value is read back in something that changes without it.
fn kept<'p>(case: &Case, field: &str, seen: &Seen, changed: impl Iterator<Item = &'p String>) -> Option<String> {
    let mut values = Vec::new();
    at(&case.step.request, field, &mut values);
    let values: Vec<_> =
        values.into_iter().map(|value| filled(&value, &BTreeMap::from([("T".into(), "T".into())]))).collect();
    let is_value = |path: &&String| seen.get(*path).is_some_and(|shown| values.contains(shown));
    let read_back = |path: &&String| !path.starts_with("answer") && !path.starts_with("audit log") && is_value(path);
    changed.into_iter().find(read_back).map(|path| format!("kept: read back at {path}"))
}

/// The scalars at a path of fields.
fn at(request: &Json, path: &str, into: &mut Vec<Json>) {
    match request {
        Json::Object(members) if path.is_empty() => members.values().for_each(|value| at(value, path, into)),
        Json::Object(members) => {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            match name.strip_suffix("{}") {
                Some(name) => {
                    let entries = members.get(name).and_then(Json::as_object).into_iter().flat_map(|map| map.values());
                    entries.for_each(|value| at(value, rest, into));
                }
                None => members.get(name).into_iter().for_each(|value| at(value, rest, into)),
            }
        }
        Json::Array(items) => items.iter().for_each(|item| at(item, path, into)),
        scalar => into.push(scalar.clone()),
    }
}

/// The description of a field that decides something.
fn decided(path: &str, one: &Seen, less: &Seen) -> String {
    let error = |seen: &Seen| seen.get("answer.error").and_then(Json::as_str).unwrap_or("OK").to_owned();
    match (error(one), error(less)) {
        (with, without) if with != without => format!("decides: {with} with it, {without} without"),
        _ => format!("decides: without it another {}", path.replace(|c: char| c.is_ascii_digit(), "")),
    }
}

/// The fields that a request sets, down to those without one of our messages.
fn given(message: &DynamicMessage) -> Vec<String> {
    let mut found = Vec::new();
    for (field, value) in message.fields() {
        match value {
            Value::Message(inner) if is_ours(&inner.descriptor()) => {
                found.extend(given(inner).into_iter().map(|below| format!("{}.{below}", field.name())));
            }
            Value::Map(entries) if map_of_our_messages(&field).is_some() => {
                let below = entries.values().filter_map(Value::as_message).flat_map(given);
                let below: BTreeSet<_> = below.map(|below| format!("{}{{}}.{below}", field.name())).collect();
                found.extend(below);
            }
            _ => found.push(field.name().to_owned()),
        }
    }
    found
}

/// All fields of a message, down to those without one of our messages.
fn fields(message: &MessageDescriptor) -> Vec<String> {
    let below = |prefix: String, inner: &MessageDescriptor| {
        fields(inner).into_iter().map(|below| format!("{prefix}.{below}")).collect::<Vec<_>>()
    };
    let of_field = |field: prost_reflect::FieldDescriptor| match field.kind() {
        _ if field.is_map() => match map_of_our_messages(&field) {
            Some(inner) => below(format!("{}{{}}", field.name()), &inner),
            None => vec![field.name().to_owned()],
        },
        Kind::Message(inner) if is_ours(&inner) && !field.is_list() => below(field.name().to_owned(), &inner),
        _ => vec![field.name().to_owned()],
    };
    message.fields().flat_map(of_field).collect()
}

fn is_ours(message: &MessageDescriptor) -> bool {
    message.full_name().starts_with("tenantry.")
}

/// The type of a map's values, if it is one of our messages.
fn map_of_our_messages(field: &prost_reflect::FieldDescriptor) -> Option<MessageDescriptor> {
    let Kind::Message(entry) = field.kind() else { return None };
    let value = field.is_map().then(|| entry.map_entry_value_field().kind())?;
    value.as_message().filter(|message| is_ours(message)).cloned()
}

/// Every field of every request with its effect. Fails for a field without a known effect, and for an
/// explanation of a field that does not exist or needs none.
fn table(
    world: &World,
    mut found: BTreeMap<String, BTreeMap<String, String>>,
    mut explained: BTreeMap<String, String>,
) -> String {
    let mut text = String::from(
        "What each field of each request is for. `kept`: a later call reads it back. `decides`: without it the call does \
         something else. All else is explained by hand, with the source of the rule.\n",
    );
    let mut unknown = Vec::new();
    for (method, descriptor) in &world.methods {
        let mut effects = found.remove(method).unwrap_or_default();
        let names = fields(&descriptor.input());
        if names.is_empty() {
            continue;
        }
        writeln!(text, "\n{method}").unwrap();
        for name in names {
            let said = explained.remove(&format!("{method} {name}"));
            match (effects.remove(&name), said) {
                (Some(effect), None) => writeln!(text, "  {name:<58} {effect}").unwrap(),
                (None, Some(said)) => writeln!(text, "  {name:<58} {said}").unwrap(),
                (Some(effect), Some(_)) => unknown.push(format!("{method} {name} needs no explanation: {effect}")),
                (None, None) => {
                    unknown.push(format!("{method} {name}: nothing changes without it, or no case gives it"))
                }
            }
        }
    }
    unknown.extend(explained.into_keys().map(|field| format!("{field} is explained, and there is no such field")));
    assert!(unknown.is_empty(), "{}\n\n{text}", unknown.join("\n"));
    text
}
