use core::fmt;
use core::future::poll_fn;
use core::hint::black_box;
use core::marker::PhantomData;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;
use std::{env, fs};

use http::{Request, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service;

use crate::{Answer, Case, Cases, Hello, Order};

/// Requests between two looks at the clock. Few, so that what they allocate fits the allocator's
/// caches, as it would in a server.
const BATCH: usize = 4;

/// What a program measures.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// Its package.
    pub package: &'static str,
    /// See [`Hello::engine`].
    pub engine: &'static [&'static str],
    /// See [`Hello::note`].
    pub note: &'static str,
    /// The algorithms that it does not verify.
    pub without: &'static [&'static str],
}

/// A program that measures one library: makes its routes, then does what the driver says.
///
/// `Q` is the body of the requests.
pub struct Program<Q> {
    hello: Hello,
    cases: Cases,
    runtime: Runtime,
    /// By route and case.
    targets: BTreeMap<(usize, usize), Box<dyn Target>>,
    body: PhantomData<fn() -> Q>,
}

impl<Q: Default + 'static> Program<Q> {
    /// Reads the cases from the file that the program was started with. `floor` makes the route
    /// without the library.
    ///
    /// # Panics
    ///
    /// If there is no such file.
    pub fn new<S, A>(library: Library, floor: impl Fn() -> S) -> Self
    where
        S: Service<Request<Q>, Response = Response<A>, Error: fmt::Debug> + 'static,
        A: http_body::Body<Error: fmt::Debug>,
    {
        let path = env::args_os().nth(1).expect("the driver names a file");
        let text = fs::read_to_string(path).expect("the driver's file");
        let cases: Cases = serde_json::from_str(&text).expect("what the driver wrote");
        let verifies = |&case: &usize| {
            let algorithm = cases.cases[case].algorithm.as_str();
            !library.without.contains(&algorithm)
        };
        let hello = Hello {
            library: library.package.to_owned(),
            engine: library.engine.iter().map(|&package| package.to_owned()).collect(),
            note: library.note.to_owned(),
            cases: (0..cases.cases.len()).filter(verifies).collect(),
            routes: Vec::new(),
        };
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let program = Self { hello, cases, runtime, targets: BTreeMap::new(), body: PhantomData };
        program.route("", async |_| floor())
    }

    /// Adds the route that `make` makes for each case. `name` tells several routes of a library
    /// apart.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "a closure is written in the call")]
    pub fn route<S, A>(mut self, name: &str, make: impl AsyncFn(&Case) -> S) -> Self
    where
        S: Service<Request<Q>, Response = Response<A>, Error: fmt::Debug> + 'static,
        A: http_body::Body<Error: fmt::Debug>,
    {
        for &case in &self.hello.cases {
            let service = self.runtime.block_on(make(&self.cases.cases[case]));
            let target = Route { service, calls: 0, body: self.body };
            self.targets.insert((self.hello.routes.len(), case), Box::new(target));
        }
        self.hello.routes.push(name.to_owned());
        self
    }

    /// Does what the driver says until it says no more.
    ///
    /// # Panics
    ///
    /// If a route fails, or refuses a token of the case.
    pub fn serve(mut self) {
        tell(&self.hello);
        let glance = glance();
        for line in io::stdin().lines() {
            let line = line.expect("the driver's line");
            match serde_json::from_str(&line).expect("an order") {
                Order::Call { route, case, token } => {
                    tell(&self.target(route, case).call(&token));
                }
                Order::Run { route, case, micros } => {
                    let length = Duration::from_micros(micros);
                    tell(&(self.target(route, case).turn(length) - glance / BATCH as f64));
                }
            }
        }
    }

    fn target(&mut self, route: usize, case: usize) -> Aimed<'_> {
        let target = self.targets.get_mut(&(route, case)).expect("a route that was said to be");
        Aimed { target, runtime: &self.runtime, tokens: &self.cases.cases[case].tokens }
    }
}

impl<Q> fmt::Debug for Program<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("hello", &self.hello).finish_non_exhaustive()
    }
}

struct Aimed<'a> {
    target: &'a mut Box<dyn Target>,
    runtime: &'a Runtime,
    tokens: &'a [String],
}

impl Aimed<'_> {
    fn call(self, token: &str) -> Answer {
        self.target.call(self.runtime, token)
    }

    fn turn(self, length: Duration) -> f64 {
        self.target.turn(self.runtime, self.tokens, length)
    }
}

trait Target {
    fn call(&mut self, runtime: &Runtime, token: &str) -> Answer;

    /// The median of a call, so that an interruption does not count.
    fn turn(&mut self, runtime: &Runtime, tokens: &[String], length: Duration) -> f64;
}

struct Route<S, Q> {
    service: S,
    calls: usize,
    body: PhantomData<fn() -> Q>,
}

impl<S, Q, A> Target for Route<S, Q>
where
    S: Service<Request<Q>, Response = Response<A>, Error: fmt::Debug>,
    Q: Default,
    A: http_body::Body<Error: fmt::Debug>,
{
    fn call(&mut self, runtime: &Runtime, token: &str) -> Answer {
        runtime.block_on(async {
            let response = call(&mut self.service, request(token)).await;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            Answer { status, body: String::from_utf8_lossy(&body).into_owned() }
        })
    }

    fn turn(&mut self, runtime: &Runtime, tokens: &[String], length: Duration) -> f64 {
        let mut times = Vec::new();
        runtime.block_on(async {
            let start = Instant::now();
            while times.len() < 3 || start.elapsed() < length {
                let requests: [Request<Q>; BATCH] = core::array::from_fn(|index| {
                    request(&tokens[(self.calls + index) % tokens.len()])
                });
                self.calls += BATCH;
                let start = Instant::now();
                for request in requests {
                    let response = call(&mut self.service, black_box(request)).await;
                    assert_eq!(response.status().as_u16(), 200, "a token of the case passes");
                    drop(black_box(response));
                }
                times.push(start.elapsed().as_secs_f64() * 1e9);
            }
        });
        median(times) / BATCH as f64
    }
}

async fn call<S: Service<R, Error: fmt::Debug>, R>(service: &mut S, request: R) -> S::Response {
    poll_fn(|context| service.poll_ready(context)).await.expect("the route is ready");
    service.call(request).await.expect("the route answers")
}

/// A request as a browser's or a client's: the header with the token is one of four.
fn request<Q: Default>(token: &str) -> Request<Q> {
    Request::builder()
        .uri("/orders/17?page=2")
        .header("host", "orders.example")
        .header("user-agent", "client/1.0")
        .header("accept", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Q::default())
        .expect("a request")
}

/// What two looks at the clock take, in nanoseconds.
fn glance() -> f64 {
    let look = |_| Instant::now().elapsed().as_secs_f64() * 1e9;
    median((0..10_001).map(look).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn tell(what: &impl Serialize) {
    let mut line = serde_json::to_string(what).expect("JSON");
    line.push('\n');
    let mut output = io::stdout().lock();
    output.write_all(line.as_bytes()).and_then(|()| output.flush()).expect("the driver listens");
}
