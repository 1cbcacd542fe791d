use core::time::Duration;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use tokio::sync::watch;

use super::Answer;

/// How many requests are kept: more than a test makes, and not much memory.
const KEPT: usize = 10_000;

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// What stands before the `?`.
    pub path: String,
    /// What stands behind the `?`, if there is one.
    pub query: Option<String>,
    /// Names, in lower case, and values in which all that is no UTF-8 is replaced.
    pub headers: Vec<(String, String)>,
}

impl SeenRequest {
    fn new(head: &Parts) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter();
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
                .collect(),
        }
    }

    /// The first value of this header, whose name is in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What a server and its thread share: what to answer, and what came.
#[derive(Debug, Default)]
pub(super) struct Site {
    answers: Mutex<HashMap<String, Arc<Answer>>>,
    log: Mutex<Log>,
    /// Both are told of each request.
    came: Condvar,
    coming: watch::Sender<()>,
    gate: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Log {
    hits: BTreeMap<String, usize>,
    latest: VecDeque<SeenRequest>,
}

/// The wait for the next release.
pub(super) struct Held(watch::Receiver<()>);

impl Held {
    pub(super) async fn released(mut self) {
        // The site has the sender, and whoever waits has the site.
        _ = self.0.changed().await;
    }
}

impl Site {
    pub(super) fn set_answer(&self, path: &str, answer: Answer) {
        lock(&self.answers).insert(path.to_owned(), Arc::new(answer));
    }

    /// Notes the request, and gives the answer to it.
    pub(super) fn receive(&self, head: &Parts) -> (Answer, Held) {
        // Before the request counts: whoever saw it come may then change the answer, and release.
        let held = Held(self.gate.subscribe());
        let answer = lock(&self.answers).get(head.uri.path()).map(Arc::clone);
        let answer = answer.map_or_else(|| Answer::status(404), |answer| answer.in_turn());

        let request = SeenRequest::new(head);
        let mut log = lock(&self.log);
        *log.hits.entry(request.path.clone()).or_default() += 1;
        if log.latest.len() == KEPT {
            log.latest.pop_front();
        }
        log.latest.push_back(request);
        drop(log);
        self.came.notify_all();
        self.coming.send_replace(());
        (answer, held)
    }

    pub(super) fn release(&self) {
        self.gate.send_replace(());
    }

    pub(super) fn hits(&self, path: &str) -> usize {
        lock(&self.log).hits(path)
    }

    pub(super) fn all_hits(&self) -> usize {
        lock(&self.log).hits.values().sum()
    }

    pub(super) fn requests(&self) -> Vec<SeenRequest> {
        lock(&self.log).latest.iter().cloned().collect()
    }

    /// Whether they came before the patience was at its end.
    pub(super) fn wait_for_hits(&self, path: &str, count: usize, patience: Duration) -> bool {
        let missing = |log: &mut Log| log.hits(path) < count;
        let waited = self.came.wait_timeout_while(lock(&self.log), patience, missing);
        let (log, _) = waited.unwrap_or_else(PoisonError::into_inner);
        log.hits(path) >= count
    }

    pub(super) async fn hit(&self, path: &str, count: usize) {
        let mut coming = self.coming.subscribe();
        while self.hits(path) < count {
            // The sender is in `self`.
            _ = coming.changed().await;
        }
    }

    /// What is wrong when they did not come.
    pub(super) fn complaint(&self, path: &str, count: usize) -> String {
        let log = lock(&self.log);
        let came: Vec<_> = log.hits.iter().map(|(path, hits)| format!("{path} {hits}")).collect();
        let came = if came.is_empty() { "nothing".to_owned() } else { came.join(", ") };
        format!("{path} was to have {count} hits and has {}; what came: {came}", log.hits(path))
    }
}

impl Log {
    fn hits(&self, path: &str) -> usize {
        self.hits.get(path).copied().unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::sync::atomic::{AtomicBool, Ordering};
    use core::task::{Context, Poll, Waker};
    use std::task::Wake;

    use http::Request;

    use super::*;

    fn request(target: &str) -> Parts {
        Request::get(target).body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_the_latest_requests_are_kept_but_all_are_counted() {
        let site = Site::default();
        for n in 0..KEPT + 2 {
            _ = site.receive(&request(&format!("/?{n}")));
        }
        let requests = site.requests();
        assert_eq!((requests.len(), site.hits("/")), (KEPT, KEPT + 2));
        assert_eq!(requests[0].query.as_deref(), Some("2"));
        assert_eq!(requests[KEPT - 1].query.as_deref(), Some("10001"));
    }

    #[test]
    fn a_request_wakes_whoever_awaits_a_hit() {
        #[derive(Default)]
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let site = Site::default();
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut hit = pin!(site.hit("/a", 2));
        for target in ["/a", "/b", "/a"] {
            assert_eq!(hit.as_mut().poll(&mut context), Poll::Pending);
            woken.0.store(false, Ordering::SeqCst);
            _ = site.receive(&request(target));
            assert!(woken.0.load(Ordering::SeqCst), "{target}");
        }
        assert_eq!(hit.as_mut().poll(&mut context), Poll::Ready(()));
    }
}
