//! What operators see: an event for each refusal (feature `tracing`), and metrics (feature `metrics`). Without
//! these features it comes to nothing.
use crate::error::Error;
use crate::refusal::RefusalContext;
#[cfg(feature = "tracing")]
use crate::refusal::rows::{Answer, Severity};
use crate::terms::Terms;
use crate::verified::VerifiedToken;

/// A request is turned away. Said once for each, wherever that is decided.
///
/// `terms` are those of the policy in front of the route, if there is one. `caller` is the token that verified, if one did
/// and its names may be told.
pub(crate) fn refused(
    error: &Error,
    terms: Option<&Terms>,
    caller: Option<&VerifiedToken>,
    context: &impl RefusalContext,
) {
    #[cfg(feature = "metrics")]
    crate::metrics::count_refusal(error, terms.map(|terms| &terms.counters));
    #[cfg(feature = "tracing")]
    {
        let row = Answer::to(error).row();
        let (reason, status) = (error.reason(), row.status.as_u16());
        let method = || context.method_and_path().map(|(method, _)| method);
        let path = || context.method_and_path().and_then(|(_, path)| path).map(shortened);
        #[cfg(debug_assertions)]
        tell_developer(error, method, path);
        // The values of an event that nobody listens to are not asked for.
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    target: "portcullis::refusal",
                    reason,
                    status,
                    code = row.code,
                    policy = terms.and_then(|terms| terms.name.as_deref()),
                    method = method(),
                    path = path(),
                    issuer = caller.map(VerifiedToken::issuer),
                    subject = caller.and_then(VerifiedToken::subject),
                    token_id = caller.and_then(VerifiedToken::token_id),
                    "{error}"
                )
            };
        }
        match row.severity {
            Severity::Routine => tell!(debug),
            Severity::Client => tell!(info),
            Severity::Dependency => tell!(warn),
            Severity::Fault => tell!(error),
        }
    }
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    let _ = error;
    #[cfg(not(feature = "tracing"))]
    let _ = (terms, caller, context);
}

/// In a debug build to which no subscriber listens, the first refusal of each reason is told on standard error: who
/// sees a 401 there for the first time would learn nothing else of why.
#[cfg(all(feature = "tracing", debug_assertions))]
fn tell_developer<'r>(
    error: &Error,
    method: impl FnOnce() -> Option<&'r str>,
    path: impl FnOnce() -> Option<&'r str>,
) {
    use core::sync::atomic::{AtomicU64, Ordering};

    static TOLD: AtomicU64 = AtomicU64::new(0);

    if tracing::level_filters::LevelFilter::current() != tracing::level_filters::LevelFilter::OFF {
        return;
    }
    let reason = error.reason();
    let Some(index) = Error::REASONS.iter().position(|it| *it == reason) else { return };
    let bit = 1_u64.checked_shl(index as u32).unwrap_or(0);
    let told = TOLD.fetch_or(bit, Ordering::Relaxed);
    if told & bit != 0 || bit == 0 {
        return;
    }
    let (method, path) = (method().unwrap_or("a request"), path().unwrap_or_default());
    eprintln!("portcullis: refused {method} {path:?}: {error} ({reason})");
    if told == 0 {
        eprintln!(
            "portcullis: (Only a debug build says this, once for each reason, while no `tracing` subscriber is installed. To see every refusal, call `tracing_subscriber::fmt::init()` and set RUST_LOG=portcullis=debug.)"
        );
    }
}

/// A path as logs have it: what is longer than a line is cut.
#[cfg(feature = "tracing")]
fn shortened(path: &str) -> &str {
    const MOST: usize = 256;
    let end = (0..=MOST.min(path.len())).rev().find(|end| path.is_char_boundary(*end));
    &path[..end.unwrap_or(0)]
}

/// How long a decision takes.
pub(crate) struct Stopwatch {
    #[cfg(feature = "metrics")]
    start: std::time::Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            start: std::time::Instant::now(),
        }
    }

    /// A policy has decided about a request: whether one that it let in has a token.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(clippy::unused_self, reason = "as with the feature")
    )]
    pub(crate) fn decided(&self, terms: &Terms, decision: Result<bool, &Error>) {
        #[cfg(feature = "metrics")]
        terms.counters.count_decision(decision, self.start.elapsed());
        #[cfg(not(feature = "metrics"))]
        let _ = (terms, decision);
    }
}
