//! The keeper with a lessor in memory and a clock that moves on request. `tests/it/openbao/keeper.rs` has it with the real server.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::time::advance;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Grants leases of an hour, and counts.
#[derive(Clone, Default)]
struct Fake(Arc<Counts>);

#[derive(Default)]
struct Counts {
    live: Mutex<BTreeSet<String>>,
    leased: AtomicUsize,
    renewed: AtomicUsize,
    /// The cause of the next failures.
    failing: Mutex<Option<Cause>>,
    /// Renewals grant at most this.
    most: Mutex<Option<Duration>>,
    generation: AtomicU64,
}

impl Fake {
    fn keeper(bounds: Bounds) -> (Self, LeaseKeeper<Self>) {
        let fake = Self::default();
        (fake.clone(), LeaseKeeper::new(fake, bounds))
    }

    fn fail(&self, cause: Option<Cause>) {
        *lock(&self.0.failing) = cause;
    }

    fn live(&self) -> usize {
        lock(&self.0.live).len()
    }

    fn renewed(&self) -> usize {
        self.0.renewed.load(Ordering::SeqCst)
    }

    fn outcome(&self, call: Call) -> Result<()> {
        match *lock(&self.0.failing) {
            Some(cause) => Err(OpenBaoError::new(call, cause)),
            None => Ok(()),
        }
    }
}

impl Lessor for Fake {
    async fn lease(&self, role: &Name) -> Result<Credentials> {
        tokio::task::yield_now().await;
        self.outcome(Call::LeaseCredentials)?;
        let id = format!("database/creds/{role}/{}", self.0.leased.fetch_add(1, Ordering::SeqCst));
        lock(&self.0.live).insert(id.clone());
        Ok(Credentials {
            username: id.clone(),
            password: crate::base::Secret::new("it".to_owned()),
            lease: Lease { id, duration: HOUR, renewable: true },
            generation: self.generation(),
        })
    }

    async fn renew(&self, lease: &str, by: Duration) -> Result<Lease> {
        self.outcome(Call::RenewLease)?;
        if !lock(&self.0.live).contains(lease) {
            return Err(OpenBaoError::new(Call::RenewLease, Cause::NoLease));
        }
        self.0.renewed.fetch_add(1, Ordering::SeqCst);
        let duration = lock(&self.0.most).map_or(by, |most| most.min(by));
        Ok(Lease { id: lease.to_owned(), duration, renewable: true })
    }

    async fn revoke(&self, lease: &str) -> Result<()> {
        self.outcome(Call::RevokeLease)?;
        lock(&self.0.live).remove(lease);
        Ok(())
    }

    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::SeqCst)
    }
}

fn role(name: &str) -> Name {
    name.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_lease_that_is_renewed_after_two_thirds() {
    let (fake, keeper) = Fake::keeper(Bounds { idle: 100 * HOUR, ..Bounds::default() });
    let acme = role("acme");
    let all = futures::future::join_all((0..50).map(|_| keeper.credentials(&acme))).await;
    let names: BTreeSet<_> = all.into_iter().map(|found| found.unwrap().username.clone()).collect();
    assert_eq!((names.len(), fake.live(), keeper.count()), (1, 1, 1));
    assert!(lock(&keeper.0.leasing).is_empty());
    advance(HOUR * 2 / 3 - Duration::from_secs(1)).await;
    assert!(!keeper.is_due());
    for round in 1..=30 {
        advance(Duration::from_secs(1)).await;
        assert!(keeper.is_due());
        assert_eq!(keeper.step().await, Report::done(1));
        assert_eq!(fake.renewed(), round);
        assert!(!keeper.is_due());
        advance(HOUR * 2 / 3 - Duration::from_secs(1)).await;
    }
    assert_eq!(keeper.credentials(&acme).await.unwrap().username, "database/creds/acme/0");
}

#[tokio::test(start_paused = true)]
async fn an_unused_lease_is_revoked_and_the_next_caller_gets_a_new_one() {
    let (fake, keeper) = Fake::keeper(Bounds::default());
    keeper.credentials(&role("acme")).await.unwrap();
    advance(HOUR * 2 / 3).await;
    keeper.step().await;
    assert_eq!((fake.live(), keeper.count(), fake.renewed()), (0, 0, 0));
    assert_eq!(keeper.credentials(&role("acme")).await.unwrap().username, "database/creds/acme/1");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ended_elsewhere_is_dropped_at_its_renewal() {
    let (fake, keeper) = Fake::keeper(Bounds { idle: 100 * HOUR, ..Bounds::default() });
    keeper.credentials(&role("acme")).await.unwrap();
    lock(&fake.0.live).clear();
    advance(HOUR * 2 / 3).await;
    keeper.step().await;
    assert_eq!(keeper.count(), 0);
    assert_eq!(keeper.credentials(&role("acme")).await.unwrap().username, "database/creds/acme/1");
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_is_repeated_until_the_lease_expires() {
    let (fake, keeper) = Fake::keeper(Bounds { idle: 100 * HOUR, ..Bounds::default() });
    keeper.credentials(&role("acme")).await.unwrap();
    fake.fail(Some(Cause::Sealed));
    advance(HOUR * 2 / 3).await;
    assert_eq!(keeper.step().await, Report::done(1));
    assert!(!keeper.is_due(), "the next attempt waits");
    advance(RETRY).await;
    fake.fail(None);
    assert_eq!((keeper.step().await, fake.renewed()), (Report::done(1), 1));
    fake.fail(Some(Cause::Down));
    let mut attempts = 0;
    for _ in 0..HOUR.as_secs() + 60 {
        advance(Duration::from_secs(1)).await;
        attempts += keeper.step().await.items;
    }
    assert!((20..60).contains(&attempts), "{attempts} attempts in twenty minutes");
    assert_eq!(keeper.count(), 0, "it has expired");
    fake.fail(None);
    assert_eq!(keeper.credentials(&role("acme")).await.unwrap().username, "database/creds/acme/1");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_soon_is_replaced_but_not_taken_away() {
    let (fake, keeper) = Fake::keeper(Bounds { idle: 100 * HOUR, ..Bounds::default() });
    keeper.credentials(&role("acme")).await.unwrap();
    // Its longest life is almost reached.
    *lock(&fake.0.most) = Some(Duration::from_secs(120));
    advance(HOUR * 2 / 3).await;
    keeper.step().await;
    assert_eq!(keeper.credentials(&role("acme")).await.unwrap().username, "database/creds/acme/1");
    assert_eq!((fake.live(), keeper.count()), (2, 2));
    advance(Duration::from_secs(120)).await;
    keeper.step().await;
    assert_eq!(keeper.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_means_new_leases() {
    let (fake, keeper) = Fake::keeper(Bounds::default());
    keeper.credentials(&role("acme")).await.unwrap();
    fake.0.generation.store(1, Ordering::SeqCst);
    assert_eq!(keeper.credentials(&role("acme")).await.unwrap().username, "database/creds/acme/1");
    assert_eq!(keeper.end().await, 0);
    assert_eq!(fake.live(), 0, "the earlier one is revoked at the end, too");
}

#[tokio::test(start_paused = true)]
async fn an_evicted_lease_is_not_used_again_even_if_it_cannot_be_revoked() {
    let (fake, keeper) = Fake::keeper(Bounds::default());
    keeper.credentials(&role("acme")).await.unwrap();
    fake.fail(Some(Cause::DatabaseDown));
    assert_eq!(keeper.evict(&role("acme")).await.unwrap_err().cause, Cause::DatabaseDown);
    fake.fail(None);
    assert_eq!(keeper.credentials(&role("acme")).await.unwrap().username, "database/creds/acme/1");
    assert_eq!(fake.live(), 2);
    advance(RETRY).await;
    keeper.step().await;
    assert_eq!((fake.live(), keeper.count()), (1, 1), "the revocation was repeated");
    keeper.evict(&role("acme")).await.unwrap();
    keeper.evict(&role("other")).await.unwrap();
    assert_eq!((fake.live(), keeper.count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn too_many_leases_are_those_that_were_not_used_for_the_longest_time() {
    let (fake, keeper) = Fake::keeper(Bounds { most: 32, ..Bounds::default() });
    for number in 0..32 {
        keeper.credentials(&role(&format!("r{number}"))).await.unwrap();
        advance(Duration::from_millis(10)).await;
    }
    keeper.credentials(&role("r0")).await.unwrap();
    keeper.credentials(&role("new")).await.unwrap();
    keeper.step().await;
    assert_eq!((fake.live(), keeper.count()), (30, 30));
    let kept = |name: &str| lock(&fake.0.live).iter().any(|id| id.contains(&format!("/{name}/")));
    assert!(kept("r0") && kept("new") && !kept("r1") && !kept("r2") && !kept("r3") && kept("r4"));
    for number in 0..1000 {
        keeper.credentials(&role(&format!("more{number}"))).await.unwrap();
        keeper.step().await;
        assert!(keeper.count() <= 33);
    }
    assert!(keeper.held().pending() <= 200, "outdated times are dropped");
}

#[tokio::test(start_paused = true)]
async fn the_end_revokes_everything_and_nothing_is_leased_after_it() {
    let (fake, keeper) = Fake::keeper(Bounds::default());
    for number in 0..300 {
        keeper.credentials(&role(&format!("r{number}"))).await.unwrap();
    }
    let late = keeper.clone();
    let late = tokio::spawn(async move { late.credentials(&role("late")).await.map(|found| found.username.clone()) });
    tokio::task::yield_now().await;
    assert_eq!(keeper.end().await, 0);
    assert_eq!(late.await.unwrap().unwrap_err().cause, Cause::Stopping);
    assert_eq!((fake.live(), keeper.count()), (0, 0));
    assert_eq!(keeper.credentials(&role("r0")).await.unwrap_err().cause, Cause::Stopping);
}
