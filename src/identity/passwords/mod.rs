//! Passwords: the policy, and argon2id on a bounded pool of threads.

pub mod policy;

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

use crate::base::{Error, Kind, Result, Secret, error::Reason, text};

/// Longest password, in bytes: longer ones only cost time.
pub const MAX_BYTES: usize = 1024;
/// Most passwords that wait for a thread. Each takes tens of milliseconds, so more would wait for seconds.
const QUEUE: usize = 128;

/// Bytes of a password that bcrypt reads.
const BCRYPT_BYTES: usize = 72;
/// The most that a stored hash may cost to compare: KiB of memory, passes and lanes of argon2, the exponent of bcrypt. Each
/// is some ten times what is recommended.
const MOST_MEMORY: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;
const MOST_BCRYPT: u32 = 15;

/// A password that may be set, in its normal form.
#[derive(Clone, Debug)]
pub struct Password(Secret<String>);

impl Password {
    /// A password that need not keep the policy: that of the development account, which only `dev` on loopback makes.
    pub fn of_development(text: &str) -> Self {
        Self::kept(Secret::new(text.to_owned()))
    }

    /// A password that keeps a policy of the caller's own.
    pub fn kept(text: Secret<String>) -> Self {
        Self(normalized(&text))
    }
}

/// A password in its normal form, NFKC (NIST SP 800-63B, section 3.1.1.2): what is hashed, what policies measure and what
/// is compared with another one. One that is too long to be anybody's stays as it is.
pub fn normalized(text: &Secret<String>) -> Secret<String> {
    if text.expose().len() > MAX_BYTES {
        return text.clone();
    }
    Secret::new(text::password(text.expose()))
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
    /// It is the one as far as the hash tells, which did not see all of it: it must not be hashed again, but changed.
    Truncated,
}

/// Hashes and verifies passwords, no more at once than there are threads: each takes 19 MiB and tens of milliseconds of
/// a core, so without a bound a burst of logins would stop everything else. The threads start with the first password and
/// have a low priority, so that calls which need no password go first. Whoever has failed often has one thread apart, of the
/// lowest, for which nobody else waits. Cheap to clone.
#[derive(Clone)]
pub struct Passwords(Arc<Pools>);

struct Pools {
    usual: Pool,
    /// For those who have failed often.
    apart: Pool,
}

struct Pool {
    at_once: usize,
    priority: ThreadPriority,
    queue: OnceLock<SyncSender<Job>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Passwords {
    /// A pool of this many threads.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Pools { usual: Pool::of(at_once, usual_priority()), apart: Pool::of(1, ThreadPriority::Min) }))
    }

    /// A pool for a server: a core in two, and one at least.
    pub fn of_server() -> Self {
        Self::new((thread::available_parallelism().map_or(1, usize::from) / 2).max(1))
    }

    /// The hash of a password as a PHC string: argon2id with the parameters that OWASP recommends.
    pub async fn hash(&self, password: Password) -> Result<String> {
        self.0
            .usual
            .run(move || {
                let hash = Argon2::default().hash_password(password.0.expose().as_bytes());
                hash.map(|hash| hash.to_string()).map_err(|error| Error::internal(error.to_string()))
            })
            .await
    }

    /// Whether a password is the one of the hash.
    pub async fn verify(&self, password: Secret<String>, hash: String) -> Result<bool> {
        Ok(self.judge(password, hash, false).await? != Verdict::Wrong)
    }

    /// What a password is to a hash of ours, or to one of bcrypt that came from elsewhere. It takes as long to learn that
    /// there is no password (the empty hash) as that it is another one. The password is taken in its normal form, and as it
    /// was typed, which older versions hashed. `apart` tells that it comes from where many have failed.
    pub async fn judge(&self, password: Secret<String>, hash: String, apart: bool) -> Result<Verdict> {
        // One that is too long to be anybody's is judged as a wrong one, and takes as long.
        let hash = if password.expose().len() > MAX_BYTES { String::new() } else { hash };
        let pool = if apart { &self.0.apart } else { &self.0.usual };
        pool.run(move || Ok(judge(password.expose(), &hash))).await
    }
}

impl Pool {
    fn of(at_once: usize, priority: ThreadPriority) -> Self {
        Self { at_once, priority, queue: OnceLock::new() }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move || {
            // A caller who has gone needs no answer, and no core.
            if !reply.is_closed() {
                let _ = reply.send(work());
            }
        });
        match self.queue().try_send(job) {
            Ok(()) => answer.await.map_err(Error::internal)?,
            Err(TrySendError::Full(_)) => {
                let message = "too many concurrent logins; retry later";
                Err(Error::new(Kind::Unavailable, Reason::Overloaded, message))
            }
            Err(TrySendError::Disconnected(_)) => Err(Error::internal("the password threads have stopped")),
        }
    }

    fn queue(&self) -> &SyncSender<Job> {
        self.queue.get_or_init(|| {
            let (sender, receiver) = sync_channel(QUEUE);
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..self.at_once {
                let (receiver, priority) = (receiver.clone(), self.priority);
                let started =
                    thread::Builder::new().name("password".to_owned()).spawn(move || work(&receiver, priority));
                if let Err(error) = started {
                    tracing::error!(%error, "cannot start a password thread");
                }
            }
            sender
        })
    }
}

/// The priority of the threads for everybody: niceness 4 on Linux, below the calls, and well above the thread apart.
fn usual_priority() -> ThreadPriority {
    36_u8.try_into().map_or(ThreadPriority::Min, ThreadPriority::Crossplatform)
}

/// A thread of the pool; it ends with the pool.
fn work(receiver: &Mutex<Receiver<Job>>, priority: ThreadPriority) {
    if let Err(error) = set_current_thread_priority(priority) {
        tracing::debug!(?error, "cannot lower the priority of a password thread");
    }
    loop {
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A job that panics answers nobody; the thread goes on.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

fn judge(password: &str, hash: &str) -> Verdict {
    let normal = text::password(password);
    let mut verdict = verdict_of(&normal, hash);
    // As much work for every account, so that the time does not tell which have a password.
    if normal != password {
        let typed = verdict_of(password, hash);
        if verdict == Verdict::Wrong {
            verdict = if typed == Verdict::Right { Verdict::Outdated } else { typed };
        }
    }
    verdict
}

fn verdict_of(password: &str, hash: &str) -> Verdict {
    if hash.is_empty() || password.len() > MAX_BYTES {
        return nobody(password);
    }
    if hash.starts_with("$2") {
        return bcrypt_verdict(password, hash);
    }
    let Some(hash) = PasswordHash::new(hash).ok().filter(is_affordable) else { return unreadable(password) };
    let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    if right { Verdict::Right } else { Verdict::Wrong }
}

/// Whether a hash of argon2 asks for no more work than one that somebody would make: a row that came from elsewhere must
/// not keep a thread for hours.
fn is_affordable(hash: &PasswordHash) -> bool {
    let params = argon2::Params::try_from(hash);
    params.is_ok_and(|params| {
        params.m_cost() <= MOST_MEMORY && params.t_cost() <= MOST_PASSES && params.p_cost() <= MOST_LANES
    })
}

/// Whether a hash of bcrypt does. Its cost stands after the version: `$2b$12$...`.
fn is_affordable_bcrypt(hash: &str) -> bool {
    hash.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok()).is_some_and(|cost| cost <= MOST_BCRYPT)
}

/// bcrypt reads 72 bytes, and a zero after a shorter password, which it then reads again from the start. So it cannot tell
/// a password of 72 bytes or more from others, nor one with a zero in it; the second is nobody's.
fn bcrypt_verdict(password: &str, hash: &str) -> Verdict {
    if !is_affordable_bcrypt(hash) {
        return unreadable(password);
    }
    match bcrypt::verify(password, hash) {
        Ok(true) if password.contains('\0') => Verdict::Wrong,
        Ok(true) if password.len() >= BCRYPT_BYTES => Verdict::Truncated,
        Ok(true) => Verdict::Outdated,
        Ok(false) => Verdict::Wrong,
        Err(_) => unreadable(password),
    }
}

/// A stored hash that cannot be read is no password's: a new one has to be set.
fn unreadable(password: &str) -> Verdict {
    tracing::warn!("cannot read a stored password hash; set the account's password again");
    nobody(password)
}

/// The work of a wrong password, for nothing.
fn nobody(password: &str) -> Verdict {
    let least = password.as_bytes().get(..MAX_BYTES).unwrap_or(password.as_bytes());
    let _ = Argon2::default().hash_password(least);
    Verdict::Wrong
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
        assert_eq!(pool.judge(secret("correct horse"), hash.clone(), false).await.unwrap(), Verdict::Outdated);
        assert_eq!(pool.judge(secret("correct horsf"), hash, false).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_password_is_the_same_in_every_normal_form() {
        let pool = Passwords::new(1);
        let (composed, apart) = ("zu viele K\u{f6}che", "zu viele Ko\u{308}che");
        let judge = async |text: &str, hash: &str| pool.judge(secret(text), hash.to_owned(), false).await.unwrap();
        for set in [composed, apart] {
            let hash = pool.hash(Password::kept(secret(set))).await.unwrap();
            for typed in [composed, apart] {
                assert_eq!(judge(typed, &hash).await, Verdict::Right, "{set} {typed}");
            }
            assert_eq!(judge("zu viele Koche", &hash).await, Verdict::Wrong);
        }
        // What an older version hashed as it was typed goes on working, and is hashed anew.
        let older = Argon2::default().hash_password(apart.as_bytes()).unwrap().to_string();
        assert_eq!(judge(apart, &older).await, Verdict::Outdated);
        assert_eq!(judge(composed, &older).await, Verdict::Wrong);
        let wide = pool.hash(Password::kept(secret("\u{ff50}assw\u{f6}rd"))).await.unwrap();
        assert_eq!(judge("passw\u{f6}rd", &wide).await, Verdict::Right);
    }

    #[tokio::test]
    async fn a_hash_that_did_not_see_all_of_a_password_is_not_replaced() {
        let pool = Passwords::new(1);
        let hash = |text: &str| bcrypt::hash(text, 4).unwrap();
        let judge = async |text: &str, hash: &str| pool.judge(secret(text), hash.to_owned(), false).await.unwrap();
        let long = "x1".repeat(40);
        let stored = hash(&long);
        assert_eq!(judge(&long, &stored).await, Verdict::Truncated);
        assert_eq!(judge(&format!("{}TYPO", &long[..72]), &stored).await, Verdict::Truncated);
        assert_eq!(judge(&long[..72], &stored).await, Verdict::Truncated, "nobody knows that the password was longer");
        assert_eq!(judge(&long[..71], &stored).await, Verdict::Wrong);
        assert_eq!(judge(&long[..71], &hash(&long[..71])).await, Verdict::Outdated);
        assert_eq!(judge("pw\0pw", &hash("pw")).await, Verdict::Wrong, "a zero begins the password again");
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_read_is_no_passwords() {
        let pool = Passwords::new(1);
        for hash in [
            "$2b$",
            "$2b$10$short",
            "$2b$99$abcdefghijklmnopqrstuuxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "$argon2id$",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=19456,t=4294967295,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$2b$31$abcdefghijklmnopqrstuuxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "{SHA}x",
            "x",
        ] {
            assert_eq!(
                pool.judge(secret("correct horse"), hash.to_owned(), false).await.unwrap(),
                Verdict::Wrong,
                "{hash}"
            );
        }
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
