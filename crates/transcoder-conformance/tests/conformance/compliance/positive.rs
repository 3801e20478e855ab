//! Every request of every group through every RPC that the group names, those with a body in two forms.

use transcoder_conformance::{proto::compliance::v1::ComplianceGroup, tables::File};

use super::{
    driver::{Form, call_of, compare, echoed},
    fixture::{Fixture, fixtures},
};
use crate::support::Tally;

/// Runs the groups of some files.
pub async fn run(files: Vec<File>) -> Tally {
    let mut tally = Tally::default();
    for file in files {
        match Fixture::of(file).await {
            Ok(fixture) => calls(&fixture, &mut tally).await,
            Err(why) => tally.failures.push(why),
        }
    }
    tally
}

async fn calls(fixture: &Fixture, tally: &mut Tally) {
    let before = tally.cases;
    for (index, group) in fixture.suite.group.iter().enumerate() {
        let calls = group_calls(fixture, group, tally).await;
        if calls == 0 {
            tally.count(&fixture.file, &format!("group {index}, {:?}", group.name), Err("no call in it".to_owned()));
        }
    }
    tally.refuse_empty(&fixture.file, tally.cases - before);
}

/// Returns the number of calls in one form.
async fn group_calls(fixture: &Fixture, group: &ComplianceGroup, tally: &mut Tally) -> usize {
    for form in [Form::Short, Form::Long] {
        for (request, rpc) in group.requests.iter().flat_map(|request| group.rpcs.iter().map(move |rpc| (request, rpc)))
        {
            let name = format!("group {:?}, request {:?}, {rpc}, {form:?}", group.name, request.name);
            let call = match rpc.strip_prefix("Compliance.") {
                Some(rpc) => call_of(rpc, request, form),
                None => Err("an RPC is named Compliance. and its name".to_owned()),
            };
            let outcome = match call {
                Ok(call) => compare(request, &fixture.call(&call).await),
                Err(why) => Err(why),
            };
            tally.count(&fixture.file, &name, outcome);
        }
    }
    group.requests.len() * group.rpcs.len()
}

#[tokio::test]
async fn suite() {
    let mut tally = Tally::default();
    for fixture in fixtures().await {
        calls(&fixture, &mut tally).await;
    }
    // The published suite has 53 calls.
    assert!(tally.cases >= 2 * 53, "only {} calls", tally.cases);
    tally.finish();
}

/// No group names this RPC, so it uses its own request.
#[tokio::test]
async fn trailing_resource() {
    let mut tally = Tally::default();
    for fixture in fixtures().await {
        for request in fixture.requests_of("RepeatDataPathResource") {
            let mut request = request.clone();
            (request.server_verify, request.intended_binding_uri) = (false, None);
            let info = request.info.get_or_insert_default();
            info.f_string = "first/hello".to_owned();
            for tail in ["second", "second/greetings", "second/a/b/c"] {
                let info = request.info.get_or_insert_default();
                info.f_child.get_or_insert_default().f_string = tail.to_owned();
                let call = call_of("RepeatDataPathTrailingResource", &request, Form::Short).unwrap();
                let answer = fixture.call(&call).await;
                let template =
                    "/v1beta1/repeat/{info.f_string=first/*}/{info.f_child.f_string=second/**}:pathtrailingresource";
                let outcome = compare(&request, &answer).and_then(|()| match echoed(&answer)?.binding_uri {
                    uri if uri == template => Ok(()),
                    other => Err(format!("{other} matched")),
                });
                tally.count(&fixture.file, &format!("{:?} to {tail}", request.name), outcome);
            }
        }
    }
    assert!(tally.cases >= 9);
    tally.finish();
}
