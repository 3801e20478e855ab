//! Every RPC with an audit rule, and each of its actions, writes an outbox event when it takes effect, or is
//! listed in `tests/data/changes.json` with a reason. A new one needs a case there or in
//! `tests/data/fields.json`. Events contain only ids and versions of what changed.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::MethodDescriptor;
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::Value as Json;
use tenantry::store::tables::{audit_events, outbox};

use crate::harness::{
    cases::{self, Case, World, short},
    grpc, rpc,
};

/// An RPC with an audit rule and, if a field of the request decides the audit action, the value of that field.
type Change = (String, Option<String>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_has_an_outbox_event() {
    let (fields, own) = (cases::read("fields.json"), cases::read("changes.json"));
    let preludes = fields.preludes.into_iter().chain(own.preludes).collect();
    let (world, mut exceptions) = (World::start(preludes).await, own.explained);
    let mut missing: BTreeSet<Change> = grpc::methods().iter().flat_map(changes_of).collect();
    // Calls that took effect without an event.
    let mut silent = BTreeSet::new();
    for (number, case) in own.cases.iter().chain(&fields.cases).enumerate() {
        let change = (case.step.call.clone(), action(case));
        if !missing.contains(&change) {
            continue;
        }
        let mut topics = events(&world, case, &format!("q{number}q")).await;
        // A job may have written an event meanwhile, such as the next phase of a rotation.
        if exceptions.contains_key(&change.0) && topics.as_ref().is_some_and(|topics| !topics.is_empty()) {
            topics = events(&world, case, &format!("q{number}r")).await;
        }
        match topics {
            None => {}
            Some(topics) if topics.is_empty() => drop(silent.insert(change)),
            Some(_) => {
                silent.remove(&change);
                missing.remove(&change);
            }
        }
    }
    for (call, action) in silent {
        let reason = exceptions.remove(&call);
        assert!(reason.is_some(), "{call} {action:?} takes effect and leaves no outbox event");
        missing.remove(&(call, action));
    }
    assert!(missing.is_empty(), "no test case of these RPCs takes effect: {missing:?}");
    assert!(exceptions.is_empty(), "listed exceptions that write an outbox event or are not RPCs: {exceptions:?}");
}

/// The topics of the events of a call; `None` if it was refused.
async fn events(world: &World, case: &Case, tag: &str) -> Option<Vec<String>> {
    let (grpc, mut taken) = world.begin(case, tag).await;
    let (before, audited) = (rows(world).await.len(), audits(world).await);
    let answer = world.step(&grpc, &case.step, &mut taken, "").await;
    if answer.get("error").is_some() {
        return None;
    }
    assert!(audits(world).await > audited, "{} is not in the audit log", case.step.call);
    let new = rows(world).await.split_off(before);
    new.iter().for_each(|row| check(row, tag));
    Some(new.into_iter().map(|row| row.topic).collect())
}

async fn rows(world: &World) -> Vec<outbox::Model> {
    outbox::Entity::find().order_by_asc(outbox::Column::Revision).all(&world.db).await.unwrap()
}

async fn audits(world: &World) -> usize {
    audit_events::Entity::find().all(&world.db).await.unwrap().len()
}

/// Topics of resources that may be outside of tenants.
const WITHOUT_TENANT: [&str; 7] =
    ["account", "cluster", "identity", "operation", "platform_policy", "sessions", "token"];

/// Names of people, addresses and texts of a run contain its tag; only names that are ids may appear in an event.
fn check(row: &outbox::Model, tag: &str) {
    let payload: BTreeMap<String, Json> = serde_json::from_str(&row.payload).unwrap();
    let known = |member: &&String| ["change", "version"].contains(&member.as_str());
    assert!(payload.keys().all(|member| known(&member)) && payload.contains_key("change"), "{row:?}");
    assert!(!row.payload.contains(tag), "{row:?}");
    let named = ["namespace", "cluster"].contains(&row.topic.as_str());
    assert!(named || !row.key.contains(tag) && !row.key.contains('@'), "{row:?}");
    assert!(row.tenant_id.is_some() || WITHOUT_TENANT.contains(&row.topic.as_str()), "{row:?}");
}

/// The value of the field `action` of a case, if it decides the audit action.
fn action(case: &Case) -> Option<String> {
    let rule = changes_of_call(&case.step.call);
    let given = case.step.request.get("action").and_then(Json::as_str).map(str::to_owned);
    given.filter(|given| rule.iter().any(|(_, action)| action.as_ref() == Some(given)))
}

fn changes_of_call(call: &str) -> Vec<Change> {
    grpc::methods().iter().filter(|method| short(method) == call).flat_map(changes_of).collect()
}

/// The changes of a method: none without an audit rule. Where it has actions each of them is one.
fn changes_of(method: &MethodDescriptor) -> Vec<Change> {
    let name = short(method);
    let actions = rpc::actions(method);
    if !actions.is_empty() {
        let audited = actions.into_iter().filter(|action| !action.audit.is_empty());
        return audited.map(|action| (name.clone(), Some(action.name))).collect();
    }
    if rpc::is_audited(method) { vec![(name, None)] } else { Vec::new() }
}
