//! Passwords: the policy, and argon2id hashing on a bounded thread pool.

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

/// Maximum length in bytes, as it is typed: the longest password in decomposed form, where a character is up to four of four bytes.
/// Longer input only costs time.
pub const MAX_BYTES: usize = 4096;
/// Maximum number of queued passwords. Each takes tens of milliseconds, so a longer queue would mean waits of seconds.
const QUEUE: usize = 128;

/// Number of bytes that bcrypt reads of a password.
const BCRYPT_BYTES: usize = 72;
/// Maximum cost of verifying a stored hash: KiB of memory, passes and lanes of argon2, exponent of bcrypt. Each
/// is about ten times what is recommended.
const MOST_MEMORY: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;
const MOST_BCRYPT: u32 = 15;

/// A password that may be set, in normal form.
#[derive(Clone, Debug)]
pub struct Password(Secret<String>);

impl Password {
    /// A password exempt from the policy: that of the development account, which only `dev` creates, on loopback.
    pub fn of_development(text: &str) -> Self {
        Self::kept(Secret::new(text.to_owned()))
    }

    /// A password that the caller has checked against a policy.
    pub fn kept(text: Secret<String>) -> Self {
        Self(normalized(&text))
    }
}

/// The normal form of a password, NFKC (NIST SP 800-63B, section 3.1.1.2): it is hashed, measured by policies
/// and compared. Overlong input is returned unchanged.
pub fn normalized(text: &Secret<String>) -> Secret<String> {
    if text.expose().len() > MAX_BYTES {
        return text.clone();
    }
    Secret::new(text::password(text.expose()))
}

/// The password violates the policy.
pub fn weak(message: &'static str) -> Error {
    Error::invalid(Reason::PasswordWeak, "password", message)
}

/// The result of verifying a password against a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMatch {
    Wrong,
    Right,
    /// The password is right, but the hash has a kind that is no longer created; hash the password again.
    Outdated,
    /// The password is right as far as the hash covers it: it must be changed, not hashed again.
    Truncated,
}

/// Hashes and verifies passwords on a fixed number of threads: each operation takes 19 MiB and tens of
/// milliseconds of CPU, so an unbounded burst of logins would starve all other calls. The threads start with
/// the first password and run at low priority, so that calls without a password come first. Clients with many
/// failures share one separate thread of the lowest priority, so that other clients do not wait for them. Cheap
/// to clone.
#[derive(Clone)]
pub struct Passwords(Arc<Pools>);

struct Pools {
    usual: Pool,
    /// For clients with many failures.
    throttled: Pool,
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
        Self(Arc::new(Pools {
            usual: Pool::of(at_once, usual_priority()),
            throttled: Pool::of(1, ThreadPriority::Min),
        }))
    }

    /// The pool of a server: half of the cores, at least one.
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

    /// Whether the password matches the hash.
    pub async fn verify(&self, password: Secret<String>, hash: String) -> Result<bool> {
        Ok(self.compare(password, hash, false).await? != PasswordMatch::Wrong)
    }

    /// Verifies a password against one of our hashes or an imported bcrypt hash. An empty hash (no password) takes
    /// as long as a wrong password. The password is tried in normal form, and as it was typed, which is what older
    /// versions hashed. `throttled` selects the thread for clients with many failures.
    pub async fn compare(&self, password: Secret<String>, hash: String, throttled: bool) -> Result<PasswordMatch> {
        // Overlong input is treated as a wrong password and takes as long.
        let hash = if password.expose().len() > MAX_BYTES { String::new() } else { hash };
        let pool = if throttled { &self.0.throttled } else { &self.0.usual };
        pool.run(move || Ok(compare(password.expose(), &hash))).await
    }
}

impl Pool {
    fn of(at_once: usize, priority: ThreadPriority) -> Self {
        Self { at_once, priority, queue: OnceLock::new() }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move || {
            // A caller that has disconnected gets no result, and costs no CPU time.
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

/// The priority of the regular threads: niceness 4 on Linux, below the calls and well above the thread for
/// clients with many failures.
fn usual_priority() -> ThreadPriority {
    36_u8.try_into().map_or(ThreadPriority::Min, ThreadPriority::Crossplatform)
}

/// Runs a thread of the pool, until the pool is dropped.
fn work(receiver: &Mutex<Receiver<Job>>, priority: ThreadPriority) {
    if let Err(error) = set_current_thread_priority(priority) {
        tracing::debug!(?error, "cannot lower the priority of a password thread");
    }
    loop {
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A job that panics sends no reply; the thread continues.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

fn compare(password: &str, hash: &str) -> PasswordMatch {
    let normal = text::password(password);
    let mut matched = compare_form(&normal, hash);
    // The same work for every account, so that timing does not reveal which of them have a password.
    if normal != password {
        let typed = compare_form(password, hash);
        if matched == PasswordMatch::Wrong {
            matched = if typed == PasswordMatch::Right { PasswordMatch::Outdated } else { typed };
        }
    }
    matched
}

fn compare_form(password: &str, hash: &str) -> PasswordMatch {
    if hash.is_empty() || password.len() > MAX_BYTES {
        return dummy_hash(password);
    }
    if hash.starts_with("$2") {
        return compare_bcrypt(password, hash);
    }
    let Some(hash) = PasswordHash::new(hash).ok().filter(is_affordable) else { return unreadable(password) };
    let right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    if right { PasswordMatch::Right } else { PasswordMatch::Wrong }
}

/// Whether an argon2 hash costs no more than the maximum: an imported row must not occupy a thread for hours.
fn is_affordable(hash: &PasswordHash) -> bool {
    let params = argon2::Params::try_from(hash);
    params.is_ok_and(|params| {
        params.m_cost() <= MOST_MEMORY && params.t_cost() <= MOST_PASSES && params.p_cost() <= MOST_LANES
    })
}

/// The same for a bcrypt hash, whose cost follows the version: `$2b$12$...`.
fn is_affordable_bcrypt(hash: &str) -> bool {
    hash.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok()).is_some_and(|cost| cost <= MOST_BCRYPT)
}

/// bcrypt reads 72 bytes, and appends a zero byte to a shorter password before it repeats it. So it cannot
/// distinguish passwords of 72 bytes or more that share a prefix, nor passwords that contain a zero byte; the
/// latter are never accepted.
fn compare_bcrypt(password: &str, hash: &str) -> PasswordMatch {
    if !is_affordable_bcrypt(hash) {
        return unreadable(password);
    }
    match bcrypt::verify(password, hash) {
        Ok(true) if password.contains('\0') => PasswordMatch::Wrong,
        Ok(true) if password.len() >= BCRYPT_BYTES => PasswordMatch::Truncated,
        Ok(true) => PasswordMatch::Outdated,
        Ok(false) => PasswordMatch::Wrong,
        Err(_) => unreadable(password),
    }
}

/// A stored hash that cannot be parsed matches no password: the password has to be set again.
fn unreadable(password: &str) -> PasswordMatch {
    tracing::warn!("cannot read a stored password hash; set the account's password again");
    dummy_hash(password)
}

/// Does the work of verifying a wrong password.
fn dummy_hash(password: &str) -> PasswordMatch {
    let least = password.as_bytes().get(..MAX_BYTES).unwrap_or(password.as_bytes());
    let _ = Argon2::default().hash_password(least);
    PasswordMatch::Wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_hash_verifies_only_its_password() {
        let pool = Passwords::new(1);
        let hash = pool.hash(Password::of_development("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = |text: &str| pool.verify(secret(text), hash.clone());
        assert!(verify("correct horse").await.unwrap());
        assert!(!verify("correct horsf").await.unwrap());
        assert!(!verify(&"x".repeat(MAX_BYTES + 1)).await.unwrap());
        assert!(!pool.verify(secret(""), String::new()).await.unwrap(), "an empty password must not match");
    }

    #[tokio::test]
    async fn a_long_password_is_the_same_in_every_normal_form() {
        // 256 letters of three code points each, when they are decomposed.
        let (composed, decomposed) = ("\u{1ed9}".repeat(256), "o\u{323}\u{302}".repeat(256));
        let (pool, typed) = (Passwords::new(1), secret(&decomposed));
        assert_eq!(normalized(&typed).expose(), &composed);
        let hash = pool.hash(Password::kept(normalized(&typed))).await.unwrap();
        assert!(pool.verify(typed, hash.clone()).await.unwrap() && pool.verify(secret(&composed), hash).await.unwrap());
    }

    #[tokio::test]
    async fn an_imported_hash_verifies_and_is_outdated() {
        let (pool, hash) = (Passwords::new(1), bcrypt::hash("correct horse", 4).unwrap());
        assert_eq!(pool.compare(secret("correct horse"), hash.clone(), false).await.unwrap(), PasswordMatch::Outdated);
        assert_eq!(pool.compare(secret("correct horsf"), hash, false).await.unwrap(), PasswordMatch::Wrong);
    }

    #[tokio::test]
    async fn a_password_is_the_same_in_every_normal_form() {
        let pool = Passwords::new(1);
        let (composed, decomposed) = ("zu viele K\u{f6}che", "zu viele Ko\u{308}che");
        let compare = async |text: &str, hash: &str| pool.compare(secret(text), hash.to_owned(), false).await.unwrap();
        for set in [composed, decomposed] {
            let hash = pool.hash(Password::kept(secret(set))).await.unwrap();
            for typed in [composed, decomposed] {
                assert_eq!(compare(typed, &hash).await, PasswordMatch::Right, "{set} {typed}");
            }
            assert_eq!(compare("zu viele Koche", &hash).await, PasswordMatch::Wrong);
        }
        // A hash that an older version made of the password as it was typed still works, and is replaced.
        let older = Argon2::default().hash_password(decomposed.as_bytes()).unwrap().to_string();
        assert_eq!(compare(decomposed, &older).await, PasswordMatch::Outdated);
        assert_eq!(compare(composed, &older).await, PasswordMatch::Wrong);
        let wide = pool.hash(Password::kept(secret("\u{ff50}assw\u{f6}rd"))).await.unwrap();
        assert_eq!(compare("passw\u{f6}rd", &wide).await, PasswordMatch::Right);
    }

    #[tokio::test]
    async fn a_hash_of_a_truncated_password_is_not_replaced() {
        let pool = Passwords::new(1);
        let hash = |text: &str| bcrypt::hash(text, 4).unwrap();
        let compare = async |text: &str, hash: &str| pool.compare(secret(text), hash.to_owned(), false).await.unwrap();
        let long = "x1".repeat(40);
        let stored = hash(&long);
        assert_eq!(compare(&long, &stored).await, PasswordMatch::Truncated);
        assert_eq!(compare(&format!("{}TYPO", &long[..72]), &stored).await, PasswordMatch::Truncated);
        assert_eq!(
            compare(&long[..72], &stored).await,
            PasswordMatch::Truncated,
            "nobody knows that the password was longer"
        );
        assert_eq!(compare(&long[..71], &stored).await, PasswordMatch::Wrong);
        assert_eq!(compare(&long[..71], &hash(&long[..71])).await, PasswordMatch::Outdated);
        assert_eq!(compare("pw\0pw", &hash("pw")).await, PasswordMatch::Wrong, "a zero begins the password again");
    }

    #[tokio::test]
    async fn an_unreadable_hash_matches_no_password() {
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
                pool.compare(secret("correct horse"), hash.to_owned(), false).await.unwrap(),
                PasswordMatch::Wrong,
                "{hash}"
            );
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_more() {
        let pool = Passwords::new(1);
        let hash = pool.hash(Password::of_development("correct horse")).await.unwrap();
        let many = (0..QUEUE + 20).map(|_| pool.verify(secret("correct horse"), hash.clone()));
        let outcomes = futures::future::join_all(many).await;
        let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert!(!refused.is_empty() && refused.iter().all(|error| error.reason == Reason::Overloaded), "{refused:?}");
        assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() >= QUEUE);
    }
}
