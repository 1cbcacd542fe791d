//! Asks the server, on a thread of its own: proofs that come together go in one question.
use core::future::Future;
use core::pin::pin;
use core::time::Duration;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};
use std::time::Instant;

use tokio::select;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::memory::{Memory, Watch};
use super::shares::{Place, Shares, Untold};
use super::store::{Answer, Entry, Layout};
use crate::connection::{Connection, Connector, failed, retry_delays};
use crate::error::RedisError;

/// How often it is asked which memory the server has, and what its clock says.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// How many proofs go in one question: for a tenth of a millisecond or two the server does nothing else.
const BATCH: usize = 64;

/// How many questions are on their way at once. While they are, proofs gather for the next.
const IN_FLIGHT: usize = 4;

/// How long the store is not told what was let in: what comes in that time may be more than a share.
const UNTOLD: Duration = Duration::from_millis(20);

/// At how many places something new is told at once.
const MOST_UNTOLD: usize = 256;

/// How seldom at most a connection that broke is tried again.
const LAST_RETRY: Duration = Duration::from_secs(1);

/// A proof that somebody waits for. Where it is dropped, nobody can tell.
pub(crate) struct Question {
    /// In which memory it is fresh.
    pub(crate) epoch: u64,
    pub(crate) entry: Entry,
    pub(crate) asked: Instant,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What requests go by.
pub(crate) struct State {
    now: RwLock<Now>,
    watch: StdMutex<Watch>,
    /// After which a look is too long ago.
    longest: Duration,
}

struct Now {
    memory: Result<Memory, RedisError>,
    /// Also while there is none.
    epoch: u64,
}

impl State {
    /// Where an answer may take so long.
    pub(crate) fn new(timeout: Duration) -> Self {
        let nothing = Err(failed("it was not asked yet"));
        Self {
            now: RwLock::new(Now { memory: nothing, epoch: 0 }),
            watch: StdMutex::default(),
            longest: 2 * EVERY + timeout,
        }
    }

    /// The memory that can be asked at this instant.
    pub(crate) fn memory(&self, instant: Instant) -> Option<Memory> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.memory.as_ref().ok().filter(|memory| memory.age(instant) <= self.longest).copied()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.now.read().unwrap_or_else(PoisonError::into_inner).epoch
    }

    pub(crate) fn error(&self) -> Option<RedisError> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).memory.as_ref().err().cloned()
    }

    fn set(&self, memory: Result<Memory, RedisError>) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(memory) = &memory {
            now.epoch = memory.epoch;
        }
        now.memory = memory;
    }

    async fn look(
        &self,
        layout: &Layout,
        connection: &mut Connection,
    ) -> Result<Memory, RedisError> {
        let watch = || self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = watch().lost();
        let looked = layout.look(connection, lost).await?;
        watch().take(looked)
    }
}

/// Has the questions, and asks.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) connector: Connector,
    pub(crate) layout: Arc<Layout>,
    pub(crate) state: Arc<State>,
    pub(crate) questions: Arc<Mutex<Receiver<Question>>>,
}

/// A connection, and the memory that was found there.
pub(crate) struct Session {
    connection: Connection,
    memory: Memory,
}

/// Nobody can ask any more.
struct Over;

/// What comes of a task.
enum Done {
    Looked(Connection, Memory),
    /// Which were fresh.
    Asked(Vec<(Place, bool)>),
    Counted(Untold, Vec<u64>),
}

/// What a session is at.
struct Work {
    layout: Arc<Layout>,
    state: Arc<State>,
    connection: Connection,
    memory: Memory,
    timeout: Duration,
    /// They end with it, and who waits for them is told that nobody can tell.
    tasks: JoinSet<Result<Done, RedisError>>,
    shares: Shares,
    is_looking: bool,
    is_counting: bool,
    in_flight: usize,
}

impl Worker {
    /// Connects, and looks which memory it is.
    pub(crate) async fn open(&self) -> Result<Session, RedisError> {
        let mut connection = self.connector.open(Duration::ZERO).await?;
        let memory = self.state.look(&self.layout, &mut connection).await?;
        self.state.set(Ok(memory));
        Ok(Session { connection, memory })
    }

    /// Asks for as long as somebody can ask.
    pub(crate) async fn run(self, first: Option<Session>) {
        let questions = Arc::clone(&self.questions);
        let mut questions = questions.lock().await;
        let (mut session, mut delays) = (first, retry_delays(LAST_RETRY));
        loop {
            let opened = match session.take() {
                Some(session) => Ok(session),
                None => match without_asking(&mut questions, self.open()).await {
                    Some(opened) => opened,
                    None => return,
                },
            };
            let ended = match opened {
                Ok(session) => match self.serve(&mut questions, session).await {
                    Ok(Over) => return,
                    Err(error) => {
                        delays = retry_delays(LAST_RETRY);
                        error
                    }
                },
                Err(error) => error,
            };
            #[cfg(feature = "tracing")]
            tracing::warn!(error = %ended, "used proofs cannot be told");
            self.state.set(Err(ended));
            let delay = delays.next().unwrap_or(LAST_RETRY);
            if without_asking(&mut questions, sleep(delay)).await.is_none() {
                return;
            }
        }
    }

    async fn serve(
        &self,
        questions: &mut Receiver<Question>,
        session: Session,
    ) -> Result<Over, RedisError> {
        let Session { connection, memory } = session;
        let mut work = Work {
            layout: Arc::clone(&self.layout),
            state: Arc::clone(&self.state),
            connection,
            memory,
            timeout: self.connector.timeout,
            tasks: JoinSet::new(),
            shares: Shares::default(),
            is_looking: false,
            is_counting: false,
            in_flight: 0,
        };
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Its first tick is at once, and the session has just been looked at.
        looks.tick().await;
        let mut tell = pin!(sleep(UNTOLD));
        let mut is_to_tell = false;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            select! {
                biased;
                Some(done) = work.tasks.join_next() => {
                    work.take(done.unwrap_or_else(|_| Err(failed("a question to it panicked"))))?;
                }
                _ = looks.tick(), if !work.is_looking => work.look(),
                () = &mut tell, if is_to_tell && !work.is_counting => {
                    is_to_tell = false;
                    if let Some(untold) = work.shares.take() {
                        work.count(untold);
                    }
                }
                count = questions.recv_many(&mut batch, BATCH), if work.in_flight < IN_FLIGHT => {
                    if count == 0 {
                        return Ok(Over);
                    }
                    work.ask(batch.drain(..));
                }
            }
            let untold = work.shares.untold();
            if untold > 0 && !is_to_tell {
                is_to_tell = true;
                tell.as_mut().reset(tokio::time::Instant::now() + UNTOLD);
            } else if untold > MOST_UNTOLD {
                tell.as_mut().reset(tokio::time::Instant::now());
            }
        }
    }
}

impl Work {
    fn take(&mut self, done: Result<Done, RedisError>) -> Result<(), RedisError> {
        match done? {
            Done::Looked(connection, memory) => {
                self.state.set(Ok(memory));
                (self.connection, self.memory) = (connection, memory);
                self.is_looking = false;
            }
            Done::Asked(settled) => {
                for (place, is_fresh) in &settled {
                    self.shares.settle(place, *is_fresh);
                }
                self.in_flight -= 1;
            }
            Done::Counted(untold, counts) => {
                self.shares.hear(&untold, &counts);
                self.is_counting = false;
            }
        }
        Ok(())
    }

    fn look(&mut self) {
        self.is_looking = true;
        let (state, layout) = (Arc::clone(&self.state), Arc::clone(&self.layout));
        let mut connection = self.connection.clone();
        self.tasks.spawn(async move {
            let memory = state.look(&layout, &mut connection).await?;
            Ok(Done::Looked(connection, memory))
        });
    }

    fn count(&mut self, untold: Untold) {
        self.is_counting = true;
        let layout = Arc::clone(&self.layout);
        let mut redis = self.connection.redis.clone();
        self.tasks.spawn(async move {
            let counts = layout.count(&mut redis, &untold).await?;
            Ok(Done::Counted(untold, counts))
        });
    }

    /// Asks for proofs that came together, as far as there is room for them.
    fn ask(&mut self, batch: impl Iterator<Item = Question>) {
        let (mut entries, mut answers) = (Vec::new(), Vec::new());
        for Question { epoch, mut entry, asked, answer } in batch {
            // An error of `send` is one who does not wait any more.
            if epoch != self.memory.epoch {
                // It was used in a memory that is gone, or could have been.
                let _ = answer.send(Answer::Seen);
            } else if asked.elapsed() < self.timeout {
                let (is_let_in, before) = self.shares.admit(&mut entry.place);
                if let Some(before) = before {
                    self.count(before);
                }
                if is_let_in {
                    entries.push(entry);
                    answers.push(answer);
                } else {
                    let _ = answer.send(Answer::NoRoom);
                }
            }
        }
        if entries.is_empty() {
            return;
        }
        self.in_flight += 1;
        let (layout, epoch) = (Arc::clone(&self.layout), self.memory.epoch);
        let mut redis = self.connection.redis.clone();
        self.tasks.spawn(async move {
            let told = layout.spend(&mut redis, epoch, &entries).await?;
            let is_known = told.is_some();
            let told = told.unwrap_or_else(|| vec![false; entries.len()]);
            for (answer, is_fresh) in answers.into_iter().zip(&told) {
                let _ = answer.send(if *is_fresh { Answer::Fresh } else { Answer::Seen });
            }
            if !is_known {
                return Err(RedisError::Forgotten);
            }
            Ok(Done::Asked(entries.iter().map(|entry| entry.place).zip(told).collect()))
        });
    }
}

/// Does something, and drops all questions meanwhile. `None`: nobody can ask any more.
async fn without_asking<T>(
    questions: &mut Receiver<Question>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        select! {
            biased;
            done = &mut work => return Some(done),
            question = questions.recv() => drop(question?),
        }
    }
}
