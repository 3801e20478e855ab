//! Passwords: the policy, and argon2id on a bounded pool of threads.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use thread_priority::{ThreadPriority, set_current_thread_priority};
use tokio::sync::oneshot;

use crate::base::{Error, Kind, Result, Secret, error::Reason};

/// Longest password, in bytes: longer ones only cost time.
pub const MAX_BYTES: usize = 1024;
/// Most passwords that wait for a thread. Each takes tens of milliseconds, so more would wait for seconds.
const QUEUE: usize = 128;

/// A password that may be set.
#[derive(Clone, Debug)]
pub struct Password(Secret<String>);

impl Password {
    /// A password that need not keep the policy: that of the development account, which only `dev` on loopback makes.
    pub fn of_development(text: &str) -> Self {
        Self(Secret::new(text.to_owned()))
    }

    /// A password that keeps a policy of the caller's own.
    pub fn kept(text: Secret<String>) -> Self {
        Self(text)
    }
}

/// A password that breaks the policy.
pub fn weak(message: &'static str) -> Error {
    Error::invalid(Reason::PasswordWeak, "password", message)
}

/// What became of a password that was given for a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is another one.
    Wrong,
    /// It is the one.
    Right,
    /// It is the one, and the hash is of a kind that is not made any more: hash it again.
    Outdated,
}

/// Hashes and verifies passwords, no more at once than there are threads: each takes 19 MiB and tens of milliseconds of
/// a core, so without a bound a burst of logins would stop everything else. The threads start with the first password and
/// have the lowest priority, so that calls which need no password go first. Cheap to clone.
#[derive(Clone)]
pub struct Passwords(Arc<Pool>);

struct Pool {
    at_once: usize,
    queue: OnceLock<SyncSender<Job>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Passwords {
    /// A pool of this many threads.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Pool { at_once, queue: OnceLock::new() }))
    }

    /// A pool for a server: a core in two, and one at least.
    pub fn of_server() -> Self {
        Self::new((thread::available_parallelism().map_or(1, usize::from) / 2).max(1))
    }

    /// The hash of a password as a PHC string: argon2id with the parameters that OWASP recommends.
    pub async fn hash(&self, password: Password) -> Result<String> {
        self.run(move || {
            let hash = Argon2::default().hash_password(password.0.expose().as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(error.to_string()))
        })
        .await
    }

    /// Whether a password is the one of the hash.
    pub async fn verify(&self, password: Secret<String>, hash: String) -> Result<bool> {
        Ok(self.judge(password, hash).await? != Verdict::Wrong)
    }

    /// What a password is to a hash of ours, or to one of bcrypt that came from elsewhere. It takes as long to learn that
    /// there is no password (the empty hash) as that it is another one.
    pub async fn judge(&self, password: Secret<String>, hash: String) -> Result<Verdict> {
        // One that is too long to be anybody's is judged as a wrong one, and takes as long.
        let hash = if password.expose().len() > MAX_BYTES { String::new() } else { hash };
        self.run(move || judge(password.expose(), &hash)).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move || {
            // A caller who has gone needs no answer, and no core.
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        });
        match self.0.queue().try_send(job) {
            Ok(()) => answer.await.map_err(Error::internal)?,
            Err(TrySendError::Full(_)) => {
                let message = "too many logins at a time; retry later";
                Err(Error::new(Kind::Unavailable, Reason::Overloaded, message))
            }
            Err(TrySendError::Disconnected(_)) => Err(Error::internal("the threads for passwords have ended")),
        }
    }
}

impl Pool {
    fn queue(&self) -> &SyncSender<Job> {
        self.queue.get_or_init(|| {
            let (sender, receiver) = sync_channel(QUEUE);
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..self.at_once {
                let receiver = receiver.clone();
                let started = thread::Builder::new().name("password".to_owned()).spawn(move || work(&receiver));
                if let Err(error) = started {
                    tracing::error!(%error, "a thread for passwords cannot be started");
                }
            }
            sender
        })
    }
}

/// A thread of the pool; it ends with the pool.
fn work(receiver: &Mutex<Receiver<Job>>) {
    if let Err(error) = set_current_thread_priority(ThreadPriority::Min) {
        tracing::debug!(?error, "a thread for passwords has the priority of all others");
    }
    loop {
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A job that panics answers nobody; the thread goes on.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

fn judge(password: &str, hash: &str) -> Result<Verdict> {
    if hash.starts_with("$2") {
        let right = bcrypt::verify(password, hash).map_err(Error::internal)?;
        return Ok(if right { Verdict::Outdated } else { Verdict::Wrong });
    }
    if hash.is_empty() {
        // The work of a wrong password, for nothing.
        let least = password.as_bytes().get(..MAX_BYTES).unwrap_or(password.as_bytes());
        let _ = Argon2::default().hash_password(least);
        return Ok(Verdict::Wrong);
    }
    let hash = PasswordHash::new(hash).map_err(|error| Error::internal(error.to_string()))?;
    let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    Ok(if right { Verdict::Right } else { Verdict::Wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_alone() {
        let pool = Passwords::new(1);
        let hash = pool.hash(Password::of_development("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = |text: &str| pool.verify(secret(text), hash.clone());
        assert!(verify("correct horse").await.unwrap());
        assert!(!verify("correct horsf").await.unwrap());
        assert!(!verify(&"x".repeat(MAX_BYTES + 1)).await.unwrap());
        assert!(!pool.verify(secret(""), String::new()).await.unwrap(), "no password is no password");
    }

    #[tokio::test]
    async fn a_hash_from_elsewhere_verifies_and_is_outdated() {
        let (pool, hash) = (Passwords::new(1), bcrypt::hash("correct horse", 4).unwrap());
        assert_eq!(pool.judge(secret("correct horse"), hash.clone()).await.unwrap(), Verdict::Outdated);
        assert_eq!(pool.judge(secret("correct horsf"), hash).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn more_than_can_wait_are_turned_away() {
        let pool = Passwords::new(1);
        let hash = pool.hash(Password::of_development("correct horse")).await.unwrap();
        let many = (0..QUEUE + 20).map(|_| pool.verify(secret("correct horse"), hash.clone()));
        let outcomes = futures::future::join_all(many).await;
        let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert!(!refused.is_empty() && refused.iter().all(|error| error.reason == Reason::Overloaded), "{refused:?}");
        assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() >= QUEUE);
    }
}
