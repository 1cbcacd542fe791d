use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::stores::Stores;
use super::{ConfigError, MAX_BYTES, from_content};
use crate::dpop::Replays;
use crate::file::{Content, FileStatus, FileUser, Settled, WatchedFile};
use crate::listeners::Listeners;
use crate::policy::{Policy, PolicyBuilder, ReplaceablePolicy, WeakReplaceablePolicy};

/// A policy in a file, TOML or by the ending `.json` JSON, which is replaced whenever the file's content changes.
///
/// The content is compared once a second. A new one counts when two looks in a row find it, so 1 to 2 s after the
/// change: the beginning of a policy is a policy too, and a weaker one, so that a file which is being written must
/// not be taken over half. Still write it beside and rename it, as orchestrators do by swapping a link: a writer
/// that pauses for longer is not noticed, nor one that writes while the file is opened.
///
/// A new content replaces the policy only if it makes one that [`PolicyBuilder::build`] accepts. A broken one, or a file that went missing, keeps the policy that was good, and
/// says so: to the [observer](PolicyFileOptions::on_event), in the [status](Self::status), and as a `tracing` warning
/// (feature `tracing`). It is tried again every ten seconds, so that a key file which comes later is found.
///
/// Fetched keys of an issuer go over to the new policy where the file says the same of them; those of a new issuer are
/// asked for at once. With `load_at_start`, a policy whose keys cannot be had is not taken over. The new policy
/// remembers no tokens yet. Proofs of keys that were used stay used, and the nonces of this process stay good; files with
/// secrets of nonces are read anew.
///
/// The file is looked at for as long as this, or a policy of it, is there. Whoever can write it decides who gets in.
///
/// ```no_run
/// use portcullis::config::PolicyFile;
///
/// let file = PolicyFile::open("/etc/orders/policy.toml")?;
/// let policy = file.policy(); // for `VerifyLayer::new`, and all else
/// # let _ = policy;
/// # Ok::<_, portcullis::config::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct PolicyFile {
    file: Arc<WatchedFile<Standing>>,
    policy: ReplaceablePolicy,
}

type Finish = dyn Fn(PolicyBuilder) -> PolicyBuilder + Send + Sync;
type Observer = dyn Fn(&PolicyFileEvent) + Send + Sync;

/// The policy of a file.
struct Standing {
    finish: Box<Finish>,
    stores: Stores,
    observers: Listeners<Observer>,
    /// Which keeps this.
    policy: WeakReplaceablePolicy,
}

/// How a [`PolicyFile`] is doing.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PolicyFileStatus {
    /// How many times the policy was replaced since the file was opened.
    pub reloads: u64,
    /// Why the file as it is now is not used, and a policy read before is.
    pub fault: Option<ConfigError>,
}

/// What happened to a [`PolicyFile`].
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum PolicyFileEvent {
    /// Its new content is in force.
    Reloaded,
    /// Its new content makes no policy. The one before stays.
    Failed {
        /// Why.
        error: ConfigError,
    },
}

/// In one line.
impl fmt::Display for PolicyFileEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reloaded => {
                f.write_str("the policy file changed, and its new policy is in force")
            }
            Self::Failed { error } => {
                f.write_str("the policy file")?;
                if let Some(file) = error.file() {
                    write!(f, " {}", file.display())?;
                }
                f.write_str(" is refused, and the policy before it stays in force")?;
                error.faults().iter().enumerate().try_for_each(|(at, fault)| {
                    write!(f, "{}{fault}", if at == 0 { ": " } else { "; " })
                })
            }
        }
    }
}

impl PolicyFile {
    /// Opens a file with the defaults of [`options`](Self::options).
    ///
    /// # Errors
    ///
    /// As of [`Policy::from_file`], or the thread that looks at the file cannot be had.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::options(path).open()
    }

    /// For what data cannot say, and to be told of changes.
    pub fn options(path: impl Into<PathBuf>) -> PolicyFileOptions {
        let finish = Box::new(core::convert::identity);
        let (stores, observers) = (Stores::default(), Listeners::default());
        PolicyFileOptions { path: path.into(), finish, stores, observers }
    }

    /// The policy, which is always the one that the file said last.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy.policy()
    }

    /// Looks at the file now, and takes over what is there: call it when the file is whole.
    ///
    /// # Errors
    ///
    /// It makes no policy. The one before stays.
    pub fn reload(&self) -> Result<(), ConfigError> {
        self.file.reload()
    }

    /// How it is doing.
    pub fn status(&self) -> PolicyFileStatus {
        let FileStatus { reloads, fault } = self.file.status();
        PolicyFileStatus { reloads, fault }
    }
}

impl fmt::Debug for PolicyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyFile").field("path", &self.file.path()).finish_non_exhaustive()
    }
}

/// A [`PolicyFile`] not opened yet.
#[must_use]
pub struct PolicyFileOptions {
    path: PathBuf,
    finish: Box<Finish>,
    stores: Stores,
    observers: Listeners<Observer>,
}

impl PolicyFileOptions {
    /// Adds what data cannot say - a hook, a predicate, revocation - to every policy that the file makes. It
    /// takes nothing away of what the file says: see [`PolicyBuilder::overrule`].
    ///
    /// Called again, the policy has what each adds. If you do not call it: the file says all.
    pub fn finish_with(
        mut self,
        finish: impl Fn(PolicyBuilder) -> PolicyBuilder + Send + Sync + 'static,
    ) -> Self {
        let before = self.finish;
        self.finish = Box::new(move |builder| finish(before(builder)));
        self
    }

    /// Gives a store of used proofs a name, as [`PolicyConfig::replays`](super::PolicyConfig::replays) does.
    ///
    /// Called again with another name, the file may say either. If you do not call it: the file may say `in_process` alone.
    pub fn replays(mut self, name: impl Into<String>, replays: impl Replays) -> Self {
        self.stores.give(name.into(), replays);
        self
    }

    /// Is told when the file changed, from the thread that looks at it.
    ///
    /// Called again, all are told. If you do not call it: nobody is, but for `tracing`.
    pub fn on_event(mut self, observer: impl Fn(&PolicyFileEvent) + Send + Sync + 'static) -> Self {
        self.observers.add(Arc::new(observer));
        self
    }

    /// Reads the file and starts to look at it.
    ///
    /// # Errors
    ///
    /// As of [`Policy::from_file`], or the thread that looks at the file cannot be had.
    pub fn open(self) -> Result<PolicyFile, ConfigError> {
        let (file, policy) = self.read()?;
        let file = Arc::new(file);
        let watch = file
            .watch("portcullis-policy")
            .map_err(|error| ConfigError::unwatched(file.path(), &error))?;
        policy.keep(Arc::new((Arc::clone(&file), watch)));
        Ok(PolicyFile { file, policy })
    }

    /// Reads the file, at which nobody looks yet.
    fn read(self) -> Result<(WatchedFile<Standing>, ReplaceablePolicy), ConfigError> {
        let Self { path, finish, stores, observers } = self;
        let file = Settled::open(&path, MAX_BYTES);
        let first = from_content(&path, file.content(), |config, base| {
            config.with_stores(&stores).build_with(&base, &finish)
        })?;
        let policy = ReplaceablePolicy::new(&first);
        let standing = Standing { finish, stores, observers, policy: policy.downgrade() };
        Ok((WatchedFile::new(file, standing), policy))
    }
}

impl fmt::Debug for PolicyFileOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyFileOptions").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileUser for Standing {
    type New = ();
    type Fault = ConfigError;

    fn take_over(&self, path: &Path, content: &Content) -> Option<Result<(), ConfigError>> {
        let place = self.policy.upgrade()?;
        let made = from_content(path, content, |config, base| {
            let config = config.with_stores(&self.stores);
            config.build_with(&base, |builder| (self.finish)(succeed(builder, &place.policy())))
        });
        Some(made.map(|policy| {
            place.replace(&policy);
            // Of an issuer that the policy before did not have.
            #[cfg(feature = "remote-jwks")]
            policy.want_keys();
        }))
    }

    #[cfg_attr(
        not(feature = "tracing"),
        expect(unused_variables, reason = "only `tracing` is told the file")
    )]
    fn announce(&self, path: &Path, outcome: Result<(), ConfigError>) {
        let event = match outcome {
            Ok(()) => PolicyFileEvent::Reloaded,
            Err(error) => PolicyFileEvent::Failed { error },
        };
        #[cfg(feature = "tracing")]
        match &event {
            PolicyFileEvent::Reloaded => {
                tracing::info!(path = %path.display(), "policy file reloaded");
            }
            PolicyFileEvent::Failed { error } => {
                tracing::warn!(path = %path.display(), %error, "policy file not usable, the policy read before stays");
            }
        }
        self.observers.notify(|observer| observer(&event));
    }
}

fn succeed(builder: PolicyBuilder, former: &Policy) -> PolicyBuilder {
    #[cfg(feature = "remote-jwks")]
    return builder.reuse_keys_of(former);
    #[cfg(not(feature = "remote-jwks"))]
    {
        let _ = former;
        builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Look;

    #[test]
    fn a_policy_that_is_being_written_is_not_taken_over_half() {
        const ISSUER: &str = r#"
            [[issuer]]
            id = "https://id.example"
            audiences = ["https://api.example"]
            algorithms = ["HS256"]
            keys = { secrets = [{ file = "secret" }] }
        "#;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("policy.toml");
        let secret = "mFQmXCRaSbnhTzHKHTGr85zwXOUmn9qBpzGRGCGJ0xE";
        std::fs::write(folder.path().join("secret"), secret).expect("a file");
        let whole = format!("{ISSUER}\n[claims]\nrequired = [\"tenant\"]");
        std::fs::write(&path, &whole).expect("a file");
        let (file, policy) = PolicyFile::options(&path).read().expect("a policy");
        let reloads = || file.status().reloads;
        let new = whole.replace("tenant", "plan");
        // The beginning is a policy as well.
        for (content, count) in [(ISSUER, 0), (&new, 0), (&new, 1), (ISSUER, 1), (&new, 1)] {
            std::fs::write(&path, content).expect("a file");
            file.look(Look::Routine);
            assert_eq!(reloads(), count, "{content}");
        }
        drop(policy);
    }
}
