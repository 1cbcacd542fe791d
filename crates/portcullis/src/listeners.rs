//! Those who want to be told of what happens.
//!
//! They are not ours: a panic of one ends neither the others nor who tells, which may be a request or the thread that
//! keeps keys. The panic hook has said so.
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::setting::Shared;

/// Who is told: all that were added.
pub(crate) struct Listeners<F: ?Sized>(Vec<Shared<F>>);

impl<F: ?Sized> Listeners<F> {
    pub(crate) fn add(&mut self, observer: Arc<F>) {
        self.0.push(Shared(observer));
    }

    /// Lets `notify` tell each.
    pub(crate) fn notify(&self, notify: impl Fn(&F)) {
        for Shared(observer) in &self.0 {
            guarded(|| notify(observer));
        }
    }
}

/// Runs what may panic and is nobody's loss.
pub(crate) fn guarded(run: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(run));
}

impl<F: ?Sized> Default for Listeners<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: ?Sized> Clone for Listeners<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: ?Sized> PartialEq for Listeners<F> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<F: ?Sized> fmt::Debug for Listeners<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_is_told_whoever_panics_before() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut observers = Listeners::<dyn Fn(u8)>::default();
        for name in ["first", "panics", "last"] {
            let told = Arc::clone(&told);
            observers.add(Arc::new(move |event| {
                assert_ne!(name, "panics");
                told.lock().expect("no panic under the lock").push((name, event));
            }));
        }
        observers.notify(|observer| observer(7));
        assert_eq!(*told.lock().expect("no panic under the lock"), [("first", 7), ("last", 7)]);
    }
}
