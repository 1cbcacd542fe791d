//! Passwords, by Argon2id with the parameters that its crate recommends (OWASP Password Storage Cheat Sheet: 19 MiB, two
//! passes).
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use serde::{Deserialize, Deserializer};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// A password as a user wrote it. It has no `Debug`, and is erased when it is dropped.
#[derive(Clone)]
pub(crate) struct Password(Zeroizing<String>);

impl Password {
    /// The fewest characters (OWASP ASVS 5.0, 6.2.1).
    pub(crate) const SHORTEST: usize = 8;

    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether somebody may choose it.
    pub(crate) fn is_long_enough(&self) -> bool {
        self.0.chars().count() >= Self::SHORTEST
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// The longest that a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hashes passwords and checks them. A hash takes a core for a moment, and 19 MiB: so many are made at once as there are
/// cores, on threads that no request waits on.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    /// A hash of no password of anybody.
    dummy: String,
}

/// Too many others are logging in, or the machine has no randomness.
#[derive(Debug)]
pub(crate) struct NotHashed(String);

impl fmt::Display for NotHashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a password was not hashed: {}", self.0)
    }
}

impl std::error::Error for NotHashed {}

impl Passwords {
    pub(crate) async fn new() -> Result<Self, NotHashed> {
        let turns = available_parallelism().map_or(1, NonZero::get);
        let mut passwords = Self { turns: Arc::new(Semaphore::new(turns)), dummy: String::new() };
        passwords.dummy = passwords.hash(Password::new("nobody's".to_owned())).await?;
        Ok(passwords)
    }

    /// A PHC string, with a salt of its own.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, NotHashed> {
        let hash = move || Argon2::default().hash_password(password.0.as_bytes());
        let hash = self.in_turn(hash).await?;
        Ok(hash.map_err(|error| NotHashed(error.to_string()))?.to_string())
    }

    /// Whether this is the password of the hash. `None`: there is no user, and it takes as long to say no.
    pub(crate) async fn is_right(
        &self,
        password: Password,
        hash: Option<&str>,
    ) -> Result<bool, NotHashed> {
        let is_user = hash.is_some();
        let hash = hash.unwrap_or(&self.dummy).to_owned();
        let is_right = move || {
            let hash = PasswordHash::new(&hash).map_err(|error| NotHashed(error.to_string()))?;
            Ok(Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
        };
        let is_right: bool = self.in_turn(is_right).await??;
        Ok(is_right && is_user)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotHashed> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(NotHashed(format!("no turn within {PATIENCE:?}")));
        };
        let done = spawn_blocking(move || {
            // Whether or not somebody still waits for it, it keeps its turn until it is done.
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| NotHashed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_alone() {
        let passwords = Passwords::new().await.expect("a hash");
        let password = |text: &str| Password::new(text.to_owned());
        let hash = passwords.hash(password("correct horse")).await.expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let is_right =
            async |text, hash| passwords.is_right(password(text), hash).await.expect("a turn");
        assert!(is_right("correct horse", Some(&*hash)).await);
        assert!(!is_right("correct horse ", Some(&*hash)).await);
        assert!(!is_right("correct horse", None).await);
        // Of a user who is not there, no password is right, not that of the dummy either.
        assert!(!is_right("nobody's", None).await);
    }

    #[tokio::test]
    async fn no_more_are_hashed_at_once_than_there_are_turns() {
        let passwords = Passwords::new().await.expect("a hash");
        let cores = passwords.turns.available_permits();
        let taken =
            Arc::clone(&passwords.turns).acquire_many_owned(u32::try_from(cores).expect("few"));
        let _taken = taken.await.expect("turns");
        tokio::time::pause();
        let refused = passwords.hash(Password::new("correct horse".to_owned())).await;
        assert!(refused.expect_err("no turn").to_string().contains("no turn within 5s"));
    }
}
