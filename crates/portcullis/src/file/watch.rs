//! A file that is read again whenever its content changes.
use core::time::Duration;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Content, Look, Settled};

/// How often a file is looked at. Orchestrators take longer to bring a change to the file.
const INTERVAL: Duration = Duration::from_secs(1);

/// After how many looks what failed is tried again: what it needs besides the file may be there by then.
const TRY_AGAIN: u32 = 10;

/// What uses the content of a file.
pub(crate) trait FileUser: Send + Sync + 'static {
    /// What it makes of a content.
    type New;
    /// Why it can make nothing of one.
    type Fault: Clone + PartialEq + Send + 'static;

    /// Makes something of a content that counts, and puts it in the place of what was made before, which
    /// stays if that fails. `None`: nobody needs it any more.
    fn take_over(&self, path: &Path, content: &Content) -> Option<Result<Self::New, Self::Fault>>;

    /// Says how that ended.
    fn announce(&self, path: &Path, outcome: Result<Self::New, Self::Fault>);
}

/// A file, and who uses its content.
pub(crate) struct WatchedFile<U: FileUser> {
    path: PathBuf,
    user: U,
    /// Held while the file is read, by nobody who answers a request.
    state: Mutex<State<U::Fault>>,
}

struct State<F> {
    /// Its content counts, good or not.
    file: Settled,
    status: FileStatus<F>,
    /// How often it was looked at since it failed.
    looks: u32,
}

/// How a file is doing.
#[derive(Clone)]
pub(crate) struct FileStatus<F> {
    /// How many times a new content was taken over.
    pub(crate) reloads: u64,
    /// Why the content that counts is not in use.
    pub(crate) fault: Option<F>,
}

impl<U: FileUser> WatchedFile<U> {
    /// A file whose content `user` has taken over, and at which nobody looks yet.
    pub(crate) fn new(file: Settled, user: U) -> Self {
        let status = FileStatus { reloads: 0, fault: None };
        Self { path: file.path.clone(), user, state: Mutex::new(State { file, status, looks: 0 }) }
    }

    /// Looks at the file once a second, until what this returns is dropped.
    ///
    /// The content is compared, by reading it: notifications of the operating system see neither network mounts
    /// nor the symbolic links that orchestrators swap.
    pub(crate) fn watch(self: &Arc<Self>, thread: &str) -> io::Result<Watch> {
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::downgrade(self);
        let watch = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(watched) = watched.upgrade() else { return };
                // A panic of a user's own code must not end the watch: what is taken out of the file would stay
                // in use. The panic hook has said so.
                let _ = catch_unwind(AssertUnwindSafe(|| watched.look(Look::Routine)));
            }
        };
        std::thread::Builder::new().name(thread.to_owned()).spawn(watch)?;
        Ok(Watch { _stop: stop })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn user(&self) -> &U {
        &self.user
    }

    pub(crate) fn status(&self) -> FileStatus<U::Fault> {
        self.state().status.clone()
    }

    /// Looks at the file now: it is whole.
    pub(crate) fn reload(&self) -> Result<(), U::Fault> {
        self.look(Look::Requested);
        self.status().fault.map_or(Ok(()), Err)
    }

    /// Reads the file, and has what is new taken over.
    pub(crate) fn look(&self, look: Look) {
        let mut state = self.state();
        let is_new = state.file.look(look);
        if !is_new {
            state.looks = state.looks.wrapping_add(1);
            let is_due = look == Look::Requested || state.looks.is_multiple_of(TRY_AGAIN);
            if state.status.fault.is_none() || !is_due {
                return;
            }
        }
        let Some(outcome) = self.user.take_over(&self.path, state.file.content()) else { return };
        let fault = outcome.as_ref().err().cloned();
        let is_known = !is_new && fault == state.status.fault;
        state.status.reloads += u64::from(fault.is_none());
        state.status.fault = fault;
        drop(state);
        if !is_known {
            self.user.announce(&self.path, outcome);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<U::Fault>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that looks at a file, until this is dropped.
pub(crate) struct Watch {
    /// Wakes the thread by being dropped.
    _stop: mpsc::Sender<()>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes over what does not say `bad`, and not before it may.
    #[derive(Default)]
    struct User {
        waits: Mutex<bool>,
        told: Mutex<Vec<Result<String, String>>>,
    }

    impl FileUser for User {
        type New = String;
        type Fault = String;

        fn take_over(&self, _: &Path, content: &Content) -> Option<Result<String, String>> {
            let content = content.as_ref().map_err(ToString::to_string);
            let text = content.map(|content| String::from_utf8_lossy(content).into_owned());
            let waits = *self.waits.lock().unwrap();
            Some(text.and_then(|text| if waits || text == "bad" { Err(text) } else { Ok(text) }))
        }

        fn announce(&self, _: &Path, outcome: Result<String, String>) {
            self.told.lock().unwrap().push(outcome);
        }
    }

    struct Scene {
        _folder: tempfile::TempDir,
        file: WatchedFile<User>,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("file");
            std::fs::write(&path, "one").expect("a file");
            let file = WatchedFile::new(Settled::open(&path, 16), User::default());
            Self { _folder: folder, file }
        }

        fn write(&self, content: &str) {
            std::fs::write(self.file.path(), content).expect("a file");
        }

        fn look(&self, times: u32) {
            (0..times).for_each(|_| self.file.look(Look::Routine));
        }

        #[track_caller]
        fn told(&self, expected: &[Result<&str, &str>]) {
            let told = std::mem::take(&mut *self.file.user().told.lock().unwrap());
            let told: Vec<_> =
                told.iter().map(|one| one.as_deref().map_err(|one| &**one)).collect();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_new_content_is_taken_over_and_told_once() {
        let scene = Scene::new();
        scene.look(30);
        scene.told(&[]);
        scene.write("two");
        scene.look(30);
        scene.told(&[Ok("two")]);
        assert_eq!(scene.file.status().reloads, 1);
        assert_eq!(scene.file.reload(), Ok(()));
        scene.told(&[]);
    }

    #[test]
    fn a_bad_content_is_told_once_and_the_next_again() {
        let scene = Scene::new();
        scene.write("bad");
        scene.look(30);
        scene.told(&[Err("bad")]);
        assert_eq!(scene.file.reload(), Err("bad".to_owned()));
        scene.told(&[]);
        scene.write("one");
        assert_eq!(scene.file.reload(), Ok(()));
        scene.told(&[Ok("one")]);
        scene.write("bad");
        scene.look(2);
        scene.told(&[Err("bad")]);
        let FileStatus { reloads, fault } = scene.file.status();
        assert_eq!((reloads, fault.as_deref()), (1, Some("bad")));
    }

    #[test]
    fn what_failed_is_tried_again_every_ten_looks_or_when_somebody_asks() {
        let scene = Scene::new();
        *scene.file.user().waits.lock().unwrap() = true;
        scene.write("two");
        scene.look(2);
        scene.told(&[Err("two")]);
        *scene.file.user().waits.lock().unwrap() = false;
        scene.look(8);
        scene.told(&[]);
        scene.look(1);
        scene.told(&[Ok("two")]);

        *scene.file.user().waits.lock().unwrap() = true;
        scene.write("one");
        assert_eq!(scene.file.reload(), Err("one".to_owned()));
        *scene.file.user().waits.lock().unwrap() = false;
        assert_eq!(scene.file.reload(), Ok(()));
        scene.told(&[Err("one"), Ok("one")]);
    }
}
