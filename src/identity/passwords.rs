//! Passwords: the policy, and argon2id on a bounded pool.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::base::{Error, Result, Secret, error::Reason};

/// Least length of a password, in characters.
pub const MIN_CHARS: usize = 8;
/// Longest password, in bytes: longer ones only cost time.
pub const MAX_BYTES: usize = 1024;

/// A password that may be set.
#[derive(Clone, Debug)]
pub struct Password(Secret<String>);

impl Password {
    /// A password that keeps the policy: 8 characters at least, 1024 bytes at most, not the account's name.
    pub fn checked(text: Secret<String>, username: &str) -> Result<Self> {
        let password = text.expose();
        if password.chars().count() < MIN_CHARS {
            return Err(weak("a password has 8 characters at least"));
        }
        if password.len() > MAX_BYTES {
            return Err(weak("a password has 1024 bytes at most"));
        }
        if password.eq_ignore_ascii_case(username) {
            return Err(weak("a password may not be the name of its account"));
        }
        Ok(Self(text))
    }

    /// A password that need not keep the policy: that of the development account, which only `dev` on loopback makes.
    pub fn of_development(text: &str) -> Self {
        Self(Secret::new(text.to_owned()))
    }
}

fn weak(message: &'static str) -> Error {
    Error::invalid(Reason::PasswordWeak, "password", message)
}

/// Hashes and verifies passwords, no more at once than there are permits: each takes 19 MiB and tens of milliseconds of
/// a core, so without a bound a burst of logins would stop everything else. Cheap to clone.
#[derive(Clone)]
pub struct Passwords(Arc<Semaphore>);

impl Passwords {
    /// A pool for this many at once.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
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
        if password.expose().len() > MAX_BYTES {
            return Ok(false);
        }
        self.run(move || {
            let hash = PasswordHash::new(&hash).map_err(|error| Error::internal(error.to_string()))?;
            Ok(Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        // The permit goes with the work: a caller who leaves frees no core.
        let permit = self.0.clone().acquire_owned().await.map_err(Error::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(Error::internal)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_verifies_its_password_alone() {
        let pool = Passwords::new(1);
        let hash = pool.hash(Password::of_development("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = |text: &str| pool.verify(Secret::new(text.to_owned()), hash.clone());
        assert!(verify("correct horse").await.unwrap());
        assert!(!verify("correct horsf").await.unwrap());
        assert!(!verify(&"x".repeat(MAX_BYTES + 1)).await.unwrap());
    }

    #[test]
    fn the_policy_refuses_what_is_short_long_or_the_name() {
        let refused = |text: &str| Password::checked(Secret::new(text.to_owned()), "Alexandra").is_err();
        assert!(refused("") && refused("1234567") && refused("alexandra") && refused(&"x".repeat(1025)));
        assert!(!refused("12345678") && !refused("pässword"));
    }
}
