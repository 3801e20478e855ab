//! The table of queries, through whole calls.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;
use tonic::{Request, Response, Status};
use transcoder::{
    Dialects, Rest, RestBuilder,
    json::{Habits, Msg, decode, encode},
};
use transcoder_conformance::{
    Open,
    proto::conformance::query::v1::{self as proto, query_rest, query_server::Query},
};

use crate::support::{call, list, report, text};

struct Echo;

#[tonic::async_trait]
impl Query for Echo {
    async fn echo(&self, request: Request<proto::Request>) -> Result<Response<proto::Request>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

pub fn rest() -> Rest {
    let guard = Arc::new(Open);
    let service = query_rest::Guarded::new(Echo, guard.clone());
    RestBuilder::new(Dialects::new([])).routes(query_rest::routes(&service)).build(guard)
}

#[tokio::test]
async fn table() {
    let table: Value = serde_json::from_str(include_str!("../../data/query_params.json")).unwrap();
    let (cases, rest) = (list(&table, "cases"), rest());
    let mut failures = Vec::new();
    for case in cases {
        if let Err(why) = run(&rest, case).await {
            failures.push(format!("{}: {why}", text(case, "name")));
        }
    }
    report(failures, cases.len());
}

async fn run(rest: &Rest, case: &Value) -> Result<(), String> {
    let in_path = case["bound_by_path"][0].as_str().unwrap_or_default();
    let (method, path) = match (text(case, "bound_by_body"), in_path) {
        ("", "") => ("GET", "/echo"),
        ("", "string_value") => ("GET", "/string/path"),
        ("", "level.display_name") => ("GET", "/nested/path"),
        ("level", "") => ("POST", "/body/level"),
        ("level", "string_value") => ("POST", "/body/level/path"),
        ("repeated_string", "") => ("POST", "/body/strings"),
        ("*", "") => ("POST", "/body/whole"),
        other => return Err(format!("no path for {other:?}")),
    };
    let answer = call(rest, method, &format!("{path}?{}", text(case, "query")), None).await;
    let expect = &case["expect"];
    if expect["error"] == true {
        let field = answer.violation().unwrap_or_default();
        return match answer.status {
            StatusCode::BAD_REQUEST if field == text(expect, "field") => Ok(()),
            status => Err(format!("{status}, field {field:?}, {:?}", answer.message())),
        };
    }
    if answer.status != StatusCode::OK {
        return Err(format!("{}: {}", answer.status, answer.message()));
    }
    let mut got = decode::<Msg<proto::Request>>(&answer.body, &Habits::PROTO3).unwrap();
    // What the path binds is not part of what the table expects.
    match in_path {
        "string_value" => got.string_value.clear(),
        "level.display_name" => got.level.as_mut().unwrap().display_name.clear(),
        _ => {}
    }
    let want = decode::<Msg<proto::Request>>(expect.to_string().as_bytes(), &Habits::PROTO3).unwrap();
    // As texts, because NaN equals nothing.
    let plain = |message: &proto::Request| {
        String::from_utf8(encode::<Msg<proto::Request>>(message, &Habits::PROTO3).unwrap()).unwrap()
    };
    let (got, want) = (plain(&got), plain(&want));
    if got == want { Ok(()) } else { Err(format!("got {got}, want {want}")) }
}
