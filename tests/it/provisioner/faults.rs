//! A server that is down, slow, full, busy or restarted: each is a failure that can pass, in our words.

use std::time::Duration;

use tenantry::{
    base::{Error, Kind, error::Reason},
    providers::provisioner::{Limits, Provisioner},
};
use tokio::net::TcpListener;

use super::{LOGIN, PASSWORD, Place, acme, connect, provision, provisioner, rows};
use crate::{
    db::eventually,
    harness::{postgres::free_port, tripwire::Tripwire},
};

/// Fails unless the error is one that can pass, with this text.
fn can_pass(error: &Error, text: &str) {
    assert_eq!((error.kind, error.reason), (Kind::Unavailable, Reason::ProvisionerUnavailable), "{error:?}");
    assert!(error.to_string().contains(text), "{text}: {error}");
}

/// Gives up soon.
fn hasty(provisioner: Provisioner) -> Provisioner {
    let soon = Duration::from_secs(2);
    provisioner.with_limits(Limits { connect: soon, statement: soon })
}

fn at(port: u16) -> Provisioner {
    provisioner(&format!("postgres://{LOGIN}:{PASSWORD}@127.0.0.1:{port}/postgres"))
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_or_does_not_respond_is_reported() {
    can_pass(&at(free_port()).create_owner(acme()).await.unwrap_err(), "cannot be reached");
    let nowhere = provisioner("postgres://p:p@no-such-host.invalid/postgres");
    can_pass(&nowhere.create_owner(acme()).await.unwrap_err(), "cannot be reached");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let frozen = hasty(at(silent.local_addr().unwrap().port()));
    can_pass(&frozen.create_owner(acme()).await.unwrap_err(), "did not respond in time");
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_reported() {
    for place in Place::all().await {
        place.sql(&format!("ALTER ROLE {LOGIN} CONNECTION LIMIT 1")).await;
        let taken = connect(&place.url()).await.unwrap();
        can_pass(&place.provisioner().create_owner(acme()).await.unwrap_err(), "no free connection");
        drop(taken);
        eventually("the connection to be free", || async { provision(&place.provisioner(), acme()).await.is_ok() })
            .await;
    }
}

#[tokio::test]
async fn a_statement_that_waits_for_another_one_is_given_up() {
    for place in Place::all().await {
        let other = connect(&place.postgres.url()).await.unwrap();
        rows(&other, "BEGIN; CREATE ROLE acme_owner").await.unwrap();
        can_pass(&hasty(place.provisioner()).create_owner(acme()).await.unwrap_err(), "busy");
        // Nothing waits on the server for a caller that has given up.
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'provisioner' AND state = 'active'";
        eventually("the statement to end", || async { place.sql(waiting).await == ["0"] }).await;
        rows(&other, "ROLLBACK").await.unwrap();
        provision(&place.provisioner(), acme()).await.unwrap();
    }
}

#[tokio::test]
async fn provisioning_converges_from_a_connection_that_ends_at_any_point() {
    for place in Place::all().await {
        let wire = Tripwire::to(place.postgres.port()).await;
        let (through, direct) = (at(wire.address.port()), place.provisioner());
        provision(&direct, acme()).await.unwrap();
        let complete = place.catalog().await;
        let mut points = 0;
        loop {
            direct.drop_database(acme()).await.unwrap();
            direct.drop_owner(acme()).await.unwrap();
            let delivers = points % 2 == 0;
            wire.arm(points + 1, delivers, true);
            let outcome = provision(&through, acme()).await;
            if !wire.disarm() {
                outcome.unwrap();
                break;
            }
            points += 1;
            if let Err(error) = outcome {
                assert_eq!(error.kind, Kind::Unavailable, "piece {points}: {error:?}");
            }
            // The server may still be at work for the connection that has ended.
            eventually("provisioning", || async { provision(&direct, acme()).await.is_ok() }).await;
            assert_eq!(place.catalog().await, complete, "piece {points}, delivered: {delivers}");
        }
        assert!(points > 40, "{points}");
    }
}

#[tokio::test]
async fn a_restart_of_the_server_in_the_middle_is_survived() {
    for mut place in Place::all().await {
        let wire = Tripwire::to(place.postgres.port()).await;
        let through = at(wire.address.port());
        // In the middle of the second step.
        through.create_owner(acme()).await.unwrap();
        wire.arm(9, false, false);
        let creating = tokio::spawn(async move { through.create_database(acme()).await });
        wire.tripped().await;
        place.postgres.stop();
        let down = place.provisioner();
        can_pass(&down.create_database(acme()).await.unwrap_err(), "cannot be reached");
        creating.abort();
        place.postgres.resume();
        place.reconnect().await;
        provision(&place.provisioner(), acme()).await.unwrap();
    }
}
