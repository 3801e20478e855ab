//! Every command in the documents works.

use std::{collections::BTreeSet, fs};

use crate::harness::{
    docs::{self, Block},
    root,
    server::Setup,
};

/// The documents, and for each the command blocks that no test runs: how the block begins, and the reason.
const DOCUMENTS: &[(&str, &[(&str, &str)])] = &[
    (
        "README.md",
        &[
            ("cargo run --release -- dev", "it builds the program in release mode; the tests run the one they built"),
            ("scripts/test", "it is what runs this test"),
            ("scripts/peers openbao postgres-18", "it installs programs, and starts the server of this test"),
        ],
    ),
    ("CONTRIBUTING.md", &[("scripts/test", "it is what runs this test")]),
    ("docs/architecture.md", &[]),
    (
        "docs/bundle-verification.md",
        &[
            ("curl --cacert", "tests/it/mtls.rs makes this call"),
            ("python3 crates/bundle-verify", "crates/bundle-verify/tests/vectors.rs runs it"),
        ],
    ),
    (
        "docs/adding-an-rpc.md",
        &[
            ("cargo build", "it shows the error of a step that is half done"),
            ("UPDATE_GOLDEN=1", "it changes files of the repository, and builds"),
        ],
    ),
    ("docs/data.md", &[]),
    (
        "docs/gateways.md",
        &[
            ("grpcurl -cacert", "tests/it/gateway_streams/mutual_tls.rs opens this stream"),
            ("cargo run --release", "it builds a program; tests/it/gateway_streams runs its library"),
        ],
    ),
    ("docs/grpc.md", &[]),
    (
        "docs/operations.md",
        &[
            ("kill -HUP", "it would end the server of the test, which speaks no TLS"),
            ("export TENANTRY_TRUSTED_PROXIES", "it sets a variable for a server that is started later"),
            ("TENANTRY_KEK=next.kek", "the server of the test does not hold the next key"),
            ("export BAO_ADDR", "tests/it/openbao/bootstrap.rs runs the script, with a server of its own"),
            ("tenantry tenants migrate", "tests/it/provisioner/migrating.rs runs it, with servers of its own"),
            ("KEK=tenantry", "tests/it/openbao/transit.rs runs the script, with a server of its own"),
        ],
    ),
    ("docs/performance.md", &[("scripts/bench", "it builds the program as it is packaged, and measures for minutes")]),
    ("docs/references.md", &[]),
    ("docs/security.md", &[]),
    ("docs/streams.md", &[]),
    ("docs/style.md", &[]),
    (
        "docs/surfaces.md",
        &[
            (
                "curl -H \"$AUTH\" -X POST",
                "tests/it/controlplane/provisioning.rs makes these calls, with servers of its own",
            ),
            ("DATABASE=http", "tests/it/database_leases/surface.rs makes these calls, with servers of its own"),
        ],
    ),
    ("docs/transcoding.md", &[]),
];

async fn try_out(document: &str) {
    let blocks = read(document);
    if blocks.iter().all(|block| block.norun) {
        return;
    }
    let setup = Setup::plain().env("TENANTRY_MTLS_LISTEN", "127.0.0.1:0");
    // Its tour has a tenant with a database.
    let setup = if document == "README.md" { setup.with_peers() } else { setup };
    let server = setup.start().await;
    docs::run(document, &server, &blocks).await;
}

fn read(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    docs::blocks(&text)
}

#[tokio::test]
async fn the_commands_of_the_readme_work() {
    try_out("README.md").await;
}

#[tokio::test]
async fn the_commands_of_the_contributing_guide_work() {
    try_out("CONTRIBUTING.md").await;
}

#[tokio::test]
async fn the_commands_of_the_architecture_work() {
    try_out("docs/architecture.md").await;
}

#[tokio::test]
async fn the_commands_of_the_recipe_work() {
    try_out("docs/adding-an-rpc.md").await;
}

#[tokio::test]
async fn the_commands_of_the_guide_for_gateways_work() {
    try_out("docs/gateways.md").await;
}

#[tokio::test]
async fn the_commands_of_the_guide_for_grpc_work() {
    try_out("docs/grpc.md").await;
}

#[tokio::test]
async fn the_commands_of_the_operations_guide_work() {
    try_out("docs/operations.md").await;
}

#[tokio::test]
async fn the_commands_of_the_references_work() {
    try_out("docs/references.md").await;
}

#[tokio::test]
async fn the_commands_of_the_security_guide_work() {
    try_out("docs/security.md").await;
}

#[tokio::test]
async fn the_commands_of_the_streams_work() {
    try_out("docs/streams.md").await;
}

#[tokio::test]
async fn the_calls_of_the_surfaces_work() {
    try_out("docs/surfaces.md").await;
}

#[test]
fn every_document_is_tested_and_every_exception_has_a_reason() {
    let mut present: Vec<String> = vec!["README.md".into(), "CONTRIBUTING.md".into()];
    present.extend(fs::read_dir(root().join("docs")).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.ends_with(".md").then(|| format!("docs/{name}"))
    }));
    present.sort();
    let mut listed: Vec<_> = DOCUMENTS.iter().map(|(document, _)| (*document).to_owned()).collect();
    listed.sort();
    assert_eq!(present, listed, "a document is missing in DOCUMENTS, or in the repository");
    for (document, exceptions) in DOCUMENTS {
        let (left_out, run): (Vec<_>, Vec<_>) = read(document).into_iter().partition(|block| block.norun);
        let is_tried = include_str!("documents.rs").contains(&format!("try_out(\"{document}\")"));
        assert!(is_tried || run.is_empty(), "no test runs the commands of {document}");
        for block in &left_out {
            let named = exceptions.iter().any(|(begins, _)| block.commands.starts_with(begins));
            assert!(named, "{document}:{} is `norun` for no reason that this test knows", block.line);
        }
        for (begins, _) in *exceptions {
            let used = left_out.iter().any(|block| block.commands.starts_with(begins));
            assert!(used, "{document} has no `norun` block that begins with `{begins}`");
        }
    }
}

#[test]
fn every_relative_link_has_a_target() {
    for (document, _) in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let base = root().join(document).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let outside = path.is_empty() || path.contains("://");
            assert!(outside || base.join(path).exists(), "{document}: nothing is at {link}");
        }
    }
}

#[test]
fn files_named_in_documents_exist() {
    let ours = ["src/", "crates/", "migrations/", "proto/", "tests/", "scripts/", "docs/", "benches/", "deploy/"];
    for (document, _) in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let path = ours.iter().any(|part| word.starts_with(part)) && !word.contains(['<', '*', '{', ' ']);
            assert!(!path || root().join(word).exists(), "{document} names {word}, which does not exist");
        }
    }
}

/// The operations guide lists exactly the settings of `config check`.
#[tokio::test]
async fn the_table_of_settings_is_complete() {
    let shown = Setup::dev().run(&["config", "check"]).await;
    assert!(shown.status.success(), "{shown:?}");
    let shown = String::from_utf8(shown.stdout).unwrap();
    let guide = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let rows = guide.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 3);
    let documented: BTreeSet<_> =
        rows.filter_map(|row| row.split('|').nth(2)?.trim().strip_prefix('`')?.strip_suffix('`')).collect();
    let known: BTreeSet<_> = shown.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(known, documented);
}

/// The operations guide lists every metric of the server.
#[tokio::test]
async fn every_metric_is_documented() {
    let server = Setup::dev().start().await;
    let created = server.admin().put("/admin/v2/tenants/acme", r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(created.status, 204, "{created:?}");
    let metrics = server.http().get("/metrics").await.body;
    let guide = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<_> = names.filter(|name| !guide.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md does not document {missing:?}");
}
