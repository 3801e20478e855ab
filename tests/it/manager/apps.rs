//! Apps and the policy of the platform over REST: every documented response and error, on both databases.

use reqwest::Method;
use serde_json::json;

use super::{
    projects::{post, project, text},
    rest::setup,
};
use crate::{
    db,
    harness::{
        golden,
        server::Server,
        talk::{Line, Transcript},
    },
};

#[rustfmt::skip]
const APPS: &[Line] = &[
    // Document 002, in its order.
    ("admin", "POST", "/v1/tenants", Some(r#"{"name":"acme"}"#)),
    ("admin", "POST", "/v1/projects", Some(r#"{"tenantID":"{acme.manager}","name":"shop"}"#)),
    ("admin", "GET", "/v1/apps", None),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":"web","image":"docker.io/library/nginx:1.25","host":"web.local"}"#)),
    ("admin", "GET", "/v1/apps?projectID={shop.project}", None),
    ("admin", "GET", "/v1/apps/{web.app}", None),
    ("admin", "PUT", "/v1/apps", Some(r#"{"ID":"{web.app}","Name":"web","Image":"docker.io/library/nginx:1.26","Host":"web.local"}"#)),
    ("admin", "GET", "/v1/apps/{web.app}", None),
    // Update: a replacement clears what it does not name, a change leaves it.
    ("admin", "PATCH", "/v1/apps", Some(r#"{"ID":"{web.app}","Host":"WEB.example.com"}"#)),
    ("admin", "GET", "/v1/apps/{web.app}", None),
    ("admin", "PATCH", "/v1/apps", Some(r#"{"ID":"{web.app}","Image":""}"#)),
    ("admin", "GET", "/v1/apps/{web.app}", None),
    ("admin", "PUT", "/v1/apps", Some(r#"{"ID":"{web.app}","Name":"web two"}"#)),
    ("admin", "GET", "/v1/apps/{web.app}", None),
    ("admin", "PATCH", "/v1/apps", Some(r#"{"ID":"{web.app}"}"#)),
    ("admin", "PUT", "/v1/apps", Some(r#"{"ID":"{web.app}"}"#)),
    ("admin", "PUT", "/v1/apps", Some(r#"{"ID":"","Name":"x"}"#)),
    ("admin", "PUT", "/v1/apps", Some(r#"{"ID":"malformed","Name":"x"}"#)),
    ("admin", "PUT", "/v1/apps", Some(r#"{"ID":"malformed","Name":"x","Image":"a b"}"#)),
    ("admin", "PATCH", "/v1/apps", Some(r#"{"ID":"{shop.project}","Name":"x"}"#)),
    // Create: names, images, hosts and projects.
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":"web two"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"PROJECTID":"{shop.project}","Name":"plain","image":null,"host":""}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"project_id":"{shop.project}","name":"x","image":"https://ghcr.io/x"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":"x","host":"a b"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":" x"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"malformed","name":"x"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{acme.manager}","name":"x"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"p_00000000000000000000000000000000","name":"x","host":"_"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"","name":"x"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"name":"x"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":"x","image":1}"#)),
    ("admin", "POST", "/v1/apps", Some("[]")),
    // Lists and ids.
    ("admin", "GET", "/v1/apps?project_id={shop.project}&limit=1", None),
    ("admin", "GET", "/v1/apps?PROJECTID={shop.project}&limit=1&page_token={plain.app}", None),
    ("admin", "GET", "/v1/apps?projectID=p_00000000000000000000000000000000", None),
    ("admin", "GET", "/v1/apps?projectID=malformed", None),
    ("admin", "GET", "/v1/apps?limit=-1", None),
    ("admin", "GET", "/v1/apps?page_token={shop.project}", None),
    ("admin", "GET", "/v1/apps/a_00000000000000000000000000000000", None),
    ("admin", "GET", "/v1/apps/malformed", None),
    ("admin", "GET", "/v1/apps/{shop.project}", None),
    ("admin", "DELETE", "/v1/apps/malformed", None),
    ("admin", "DELETE", "/v1/apps/{plain.app}", None),
    ("admin", "DELETE", "/v1/apps/{plain.app}", None),
    // The policy of the platform.
    ("admin", "GET", "/v1/platform/policy", None),
    ("admin", "PUT", "/v1/platform/policy", Some(r#"{"imageAllowlist":["docker.io","ghcr.io"],"egressBaseline":["10.0.0.0/8","172.16.0.0/12"],"quotaMax":{"requestsCPU":"4","requestsMemory":"8Gi"}}"#)),
    ("admin", "GET", "/v1/platform/policy", None),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":"short","image":"nginx"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":"shorter","image":"library/nginx:1"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":"upper","image":"GHCR.io/a/b"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"{shop.project}","name":"other","image":"quay.io/a/b"}"#)),
    ("admin", "POST", "/v1/apps", Some(r#"{"projectID":"missing","name":"other","image":"localhost:5000/a"}"#)),
    ("admin", "PATCH", "/v1/apps", Some(r#"{"ID":"{web.app}","Image":"quay.io/a/b"}"#)),
    ("admin", "PUT", "/v1/platform/policy", Some(r#"{"imageAllowlist":["*"]}"#)),
    ("admin", "PUT", "/v1/platform/policy", Some(r#"{"egressBaseline":["10.0.0.1/8"]}"#)),
    ("admin", "PUT", "/v1/platform/policy", Some(r#"{"quotaMax":{"requestsCPU":"four"}}"#)),
    ("admin", "PUT", "/v1/platform/policy", Some(r#"{"quotaMax":{"requestsMemory":"-1"}}"#)),
    ("admin", "PUT", "/v1/platform/policy", Some(r#"{"imageAllowlist":"docker.io"}"#)),
    ("admin", "GET", "/v1/platform/policy", None),
    ("admin", "POST", "/v1/platform/policy", Some(r#"{"ImageAllowlist":["QUAY.io"],"QUOTAMAX":{"requestscpu":"500m"}}"#)),
    ("admin", "GET", "/v1/platform/policy", None),
    ("admin", "PUT", "/v1/platform/policy", Some("{}")),
    ("admin", "GET", "/v1/platform/policy", None),
    // The apps are deleted with their project.
    ("admin", "DELETE", "/v1/projects/{shop.project}", None),
    ("admin", "GET", "/v1/apps/{web.app}", None),
    ("admin", "GET", "/v1/apps", None),
];

async fn run_conversation(server: &Server) -> String {
    let (mut talk, admin) = (Transcript::default(), server.admin());
    for line in APPS {
        talk.say(&admin, line).await;
    }
    talk.end()
}

#[tokio::test]
async fn apps_answer_as_documented_on_sqlite() {
    golden::check("manager/apps.txt", &run_conversation(&setup().start().await).await);
}

#[tokio::test]
async fn apps_answer_as_documented_on_postgres() {
    let setup = setup().database(db::postgres_unmigrated().await);
    golden::check("manager/apps.txt", &run_conversation(&setup.start().await).await);
}

#[tokio::test]
async fn a_list_in_the_configuration_takes_precedence_over_the_policy() {
    let server = setup().env("KUBEOP_IMAGE_ALLOWLIST", "ghcr.io, localhost:5000").start().await;
    let admin = server.admin();
    let (_, project) = project(&admin, "acme").await;
    let policy = json!({"imageAllowlist": ["docker.io"]}).to_string();
    assert_eq!(admin.call(Method::PUT, "/v1/platform/policy", Some(&policy)).await.status, 204);
    post(&admin, "/v1/apps", &json!({"projectID": project, "name": "a", "image": "localhost:5000/x"})).await;
    let refused = json!({"projectID": project, "name": "b", "image": "nginx"}).to_string();
    let refused = admin.call(Method::POST, "/v1/apps", Some(&refused)).await;
    assert_eq!((refused.status, text(&refused.json()["error"])), (400, "image registry not allowed".to_owned()));
}

#[tokio::test]
async fn without_a_list_a_closed_policy_lets_no_image_in() {
    let server = setup().env("TENANTRY_IMAGE_POLICY", "closed").start().await;
    let admin = server.admin();
    let (_, project) = project(&admin, "acme").await;
    let image = |name: &str| json!({"projectID": project, "name": name, "image": "nginx"});
    let refused = admin.call(Method::POST, "/v1/apps", Some(&image("a").to_string())).await;
    assert_eq!((refused.status, text(&refused.json()["error"])), (400, "image registry not allowed".to_owned()));
    post(&admin, "/v1/apps", &json!({"projectID": project, "name": "without"})).await;
    let policy = json!({"imageAllowlist": ["docker.io"]}).to_string();
    assert_eq!(admin.call(Method::PUT, "/v1/platform/policy", Some(&policy)).await.status, 204);
    post(&admin, "/v1/apps", &image("b")).await;
}
