//! Log output is best effort: if the log cannot be written, lines are lost, but no call, no task and no exit status.

use std::{fs::File, io::Read, process::Stdio};

use crate::harness::{
    PATIENCE, eventually,
    server::{Server, Setup},
};

const CALLS: usize = 600;

/// Logged calls, and a write; all are answered in time.
async fn is_served(server: &Server) {
    tokio::time::timeout(2 * PATIENCE, calls(server)).await.expect("responses to all calls");
}

async fn calls(server: &Server) {
    let admin = server.admin();
    for number in 0..CALLS {
        let answer = admin.get("/admin/v2/clusters").await;
        assert_eq!(answer.status, 200, "call {number}: {answer:?}");
    }
    let written = admin.put("/admin/v2/tenants/written", r#"{"allowedClusters":["standalone"]}"#).await;
    assert_eq!(written.status, 204, "{written:?}");
    assert_eq!(metric(server, "tenantry_panics_total").await, 0.0);
}

async fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.http().get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

async fn ends_well(mut server: Server) {
    server.terminate().await;
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_log_on_a_full_disk_loses_only_lines() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let server = Setup::dev().launch_logging_to(full.into()).await;
    is_served(&server).await;
    eventually("lost lines to be counted", async || {
        (metric(&server, "tenantry_log_lines_lost_total").await >= CALLS as f64).then_some(())
    })
    .await;
    ends_well(server).await;
}

#[tokio::test]
async fn a_log_at_the_limit_of_its_file_loses_only_lines() {
    const LIMIT: u64 = 16 << 20;
    let setup = Setup::dev().largest_file(LIMIT);
    let log = File::options().create(true).append(true).open(setup.home().join("log")).unwrap();
    log.set_len(LIMIT).unwrap();
    let server = setup.launch_logging_to(log.into()).await;
    is_served(&server).await;
    eventually("lost lines to be counted", async || {
        (metric(&server, "tenantry_log_lines_lost_total").await >= CALLS as f64).then_some(())
    })
    .await;
    ends_well(server).await;
}

#[tokio::test]
async fn a_log_without_a_reader_loses_only_lines() {
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Setup::dev().launch_logging_to(Stdio::from(writer)).await;
    drop(reader);
    is_served(&server).await;
    ends_well(server).await;
}

#[tokio::test]
async fn a_log_that_blocks_loses_only_lines() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let server = Setup::dev().env("TENANTRY_LOG", "trace").launch_logging_to(Stdio::from(writer)).await;
    is_served(&server).await;
    let admin = server.admin();
    eventually("lost lines to be counted", async || {
        // Several calls per scrape of the metrics, which takes longer than a call.
        for _ in 0..20 {
            admin.get("/admin/v2/clusters").await;
        }
        (metric(&server, "tenantry_log_lines_lost_total").await > 0.0).then_some(())
    })
    .await;
    let read = std::thread::spawn(move || {
        let (mut text, mut part) = (String::new(), [0; 65536]);
        while !text.contains("log lines were lost") {
            let length = reader.read(&mut part).unwrap();
            assert!(length > 0, "the log ended without a count of lost lines");
            text.push_str(&String::from_utf8_lossy(&part[..length]));
        }
    });
    eventually("the log to tell of lines that were lost", async || {
        server.http().get("/healthz").await;
        read.is_finished().then_some(())
    })
    .await;
    read.join().unwrap();
    // The reader is gone by now.
    ends_well(server).await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_the_reader_of_the_log() {
    let (_reader, writer) = std::io::pipe().unwrap();
    let server = Setup::dev().env("TENANTRY_LOG", "trace").launch_logging_to(Stdio::from(writer)).await;
    is_served(&server).await;
    ends_well(server).await;
}

#[tokio::test]
async fn counters_exist_before_the_first_event() {
    let server = Server::dev().await;
    for name in [
        "tenantry_calls_shed_total",
        "tenantry_log_lines_lost_total",
        "tenantry_panics_total",
        "tenantry_store_write_retries",
    ] {
        assert_eq!(metric(&server, name).await, 0.0, "{name}");
    }
}
