//! The cost of failed logins: an account has one count for all its spellings, and waiting attempts take no
//! resources that others need.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::Client;
use sea_orm::EntityTrait;
use serde_json::json;
use tenantry::{
    base::{Cx, IdKind, Role, Secret, TenantRef, cx::CxFacts, error::Reason},
    identity::{self, AccountChange, Credentials, Email, NewAccount, Password, Passwords, People, accounts},
    store::{Fetch, Sealer, tables::accounts as rows},
};

use crate::{
    db::platform_cx,
    harness::server::{Server, Setup},
    rows::tenant,
};

const PASSWORD: &str = "correct horse battery staple";

async fn attempt(people: &People, from: u8, place: &str, user: &str, password: &str) -> Result<(), Reason> {
    let client = Some(IpAddr::from([192, 0, 2, from]));
    let cx = Cx::new(CxFacts { client, ..CxFacts::clone(&platform_cx("auth.login")) });
    let (tenant, user) = (Some(TenantRef::parse(place)), user.to_owned());
    let credentials = Credentials { tenant, user, password: Secret::new(password.to_owned()), code: None };
    identity::login(&cx, people, &credentials).await.map(drop).map_err(|error| error.reason)
}

both_databases! {
    async fn an_account_has_one_throttle_under_all_its_spellings(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let new = NewAccount {
            email: Some(Email::read("ada@b\u{fc}cher.example").unwrap()),
            ..NewAccount::login(Some(scope), "ada", Password::of_development(PASSWORD), Role::Admin)
        };
        let passwords = Passwords::new(2);
        let id = identity::create_account(&db, &passwords, &platform_cx("account.create"), new).await.unwrap();
        let people = People::new(db.store.clone(), passwords, Sealer::new(db.store.clone(), None));
        let (shown, dashed) = (IdKind::User.show(id), scope.tenant().dashed());
        let spellings = [
            ("acme", "ada"),
            ("ACME", "ADA"),
            (dashed.as_str(), " ada "),
            ("acme", shown.as_str()),
            ("acme", "Ada@B\u{fc}cher.example"),
            (&dashed, "ada@xn--bcher-kva.example"),
            ("acme", "ada@b\u{fc}cher.\u{ff45}xample"),
        ];
        // Each from a different address, so that the counts of addresses do not interfere.
        for (from, (place, user)) in (1..).zip(spellings) {
            let refused = attempt(&people, from, place, user, "wrong").await;
            assert_eq!(refused, Err(Reason::LoginRefused), "{place} {user}");
        }
        // Seven failures delay the next attempt by two seconds, whichever spelling it uses.
        let began = Instant::now();
        attempt(&people, 100, "acme", "ada", PASSWORD).await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    }

    async fn a_waiting_login_is_checked_against_the_current_state(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let new = NewAccount::login(Some(scope), "ada", Password::of_development(PASSWORD), Role::Admin);
        let passwords = Passwords::new(2);
        let id = identity::create_account(&db, &passwords, &platform_cx("account.create"), new).await.unwrap();
        let people = People::new(db.store.clone(), passwords, Sealer::new(db.store.clone(), None));
        for from in 1..=7 {
            assert!(attempt(&people, from, "acme", "ada", "wrong").await.is_err());
        }
        let hash = people.passwords.hash(Password::of_development("another one")).await.unwrap();
        let waiting = attempt(&people, 100, "acme", "ada", "another one");
        let changing = async {
            let cx = platform_cx("x");
            let changed = crate::db::write(&db, &cx, move |tx| {
                let password = Some((hash.clone(), false));
                Box::pin(async move {
                    let row = rows::Entity::find_by_id(id).fetch_one(tx.conn()).await?.unwrap();
                    accounts::change(tx, row, &AccountChange { password, ..AccountChange::default() }).await
                })
            });
            changed.await.unwrap();
        };
        assert_eq!(tokio::join!(waiting, changing).0, Ok(()));
    }
}

fn client(from: [u8; 4], h2: bool) -> Client {
    let client = Client::builder().no_proxy().local_address(IpAddr::from(from));
    if h2 { client.http2_prior_knowledge() } else { client.http1_only().pool_max_idle_per_host(0) }.build().unwrap()
}

async fn log_in(server: &Server, client: &Client, user: &str, password: &str) -> u16 {
    let body = json!({"username": user, "password": password}).to_string();
    let url = format!("http://{}/api/auth/login", server.address());
    let call = client.post(url).header("content-type", "application/json").body(body);
    call.send().await.map_or(0, |answer| answer.status().as_u16())
}

/// A flood of failing logins from one address, over several clients, and the statuses of another address's
/// logins in the meantime.
async fn flood(h2: bool, clients: usize, each: usize) -> (Vec<u16>, BTreeMap<u16, usize>) {
    // Passwords are hashed at low priority, so on a busy machine a login may take long, but it must succeed.
    let setup = Setup::dev().env("TENANTRY_MAX_IN_FLIGHT", "32").env("TENANTRY_REQUEST_TIMEOUT", "10m");
    let server = Arc::new(setup.start().await);
    let other = client([127, 0, 0, 3], false);
    crate::harness::eventually("the account of dev", async || {
        (log_in(&server, &other, "admin", "admin").await == 200).then_some(())
    })
    .await;
    let attacker = client([127, 0, 0, 2], false);
    futures::future::join_all((0..8).map(|n| {
        let (server, attacker) = (server.clone(), attacker.clone());
        async move { log_in(&server, &attacker, &format!("first-{n}"), "wrong").await }
    }))
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let attackers: Vec<_> = (0..clients)
        .flat_map(|one| {
            let client = client([127, 0, 0, 2], h2);
            (0..each).map(move |n| (one * each + n, client.clone())).collect::<Vec<_>>()
        })
        .map(|(n, client)| {
            let (server, stop) = (server.clone(), stop.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    seen.push(log_in(&server, &client, &format!("nobody-{n}-{}", seen.len()), "wrong").await);
                }
                seen
            })
        })
        .collect();
    let mut others = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        others.push(log_in(&server, &other, "admin", "admin").await);
    }
    stop.store(true, Ordering::Relaxed);
    let mut seen = BTreeMap::new();
    for attacker in attackers {
        for status in attacker.await.unwrap() {
            *seen.entry(status).or_default() += 1;
        }
    }
    (others, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_logins_hold_no_resources_that_others_need() {
    let (others, seen) = flood(false, 1, 200).await;
    assert!(others.iter().all(|status| *status == 200), "{others:?}; the attacker: {seen:?}");
    assert!(seen.keys().all(|status| matches!(status, 401 | 429)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn multiplexed_streams_achieve_no_more_than_connections() {
    let (others, seen) = flood(true, 2, 100).await;
    assert!(others.iter().all(|status| *status == 200), "{others:?}; the attacker: {seen:?}");
    assert!(seen.keys().all(|status| matches!(status, 401 | 429)), "{seen:?}");
}
