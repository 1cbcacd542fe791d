use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread;

use actix_web::dev::{ServerHandle, Service as _};
use actix_web::rt::System;
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use axum::Router;
use axum::middleware::{self, Next};
use portcullis::{Policy, TokenCookie};
use portcullis_actix::Verify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::DEADLINE;
use crate::sites::listen;

/// A service of the examples, and what it was asked.
#[derive(Debug)]
pub struct Service {
    port: u16,
    log: UnboundedReceiver<String>,
    server: Option<ServerHandle>,
}

impl Service {
    /// The routes of `examples/actix-cookie`; beside them an open page `/`, and a WebSocket `/ws` behind
    /// the same policy.
    ///
    /// # Panics
    ///
    /// It does not start.
    #[must_use]
    pub fn actix(policy: Policy, cookie: TokenCookie) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (sender, log) = unbounded_channel();
        let app = move || {
            let sender = sender.clone();
            let socket = web::resource("/ws").wrap(Verify::new(policy.clone()));
            App::new()
                .wrap_fn(move |request, service| {
                    let (sender, asked) = (sender.clone(), asked_of_actix(request.request()));
                    let answer = service.call(request);
                    async move {
                        let answer = answer.await?;
                        let why =
                            answer.response().extensions().get().map(portcullis::Error::reason);
                        tell(&sender, &asked, answer.status().as_u16(), why);
                        Ok(answer)
                    }
                })
                .configure(example_actix_cookie::api(policy.clone(), cookie.clone()))
                .service(socket.to(open_socket))
                .route(
                    "/",
                    web::get().to(async || HttpResponse::Ok().content_type("text/html").body("")),
                )
        };
        let (send_handle, handle) = mpsc::channel();
        thread::spawn(move || {
            System::new().block_on(async {
                let server = HttpServer::new(app).workers(1).disable_signals();
                let server = server.listen(listener).expect("a listener").run();
                let _ = send_handle.send(server.handle());
                server.await
            })
        });
        Self { port, log, server: Some(handle.recv().expect("a running server")) }
    }

    /// An app of axum.
    pub async fn axum(app: Router) -> Self {
        let (listener, port) = listen().await;
        let (sender, log) = unbounded_channel();
        let app =
            app.layer(middleware::from_fn(move |request: axum::extract::Request, next: Next| {
                let sender = sender.clone();
                async move {
                    let header = |name| request.headers().get(name).map(|value| value.as_bytes());
                    let asked = asked(request.method().as_str(), request.uri().path(), header);
                    let answer = next.run(request).await;
                    let why = answer.extensions().get().map(portcullis::Error::reason);
                    tell(&sender, &asked, answer.status().as_u16(), why);
                    answer
                }
            }));
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { port, log, server: None }
    }

    /// Its port, without TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for a request that starts so, and says what it was and how it was answered: method, path, where
    /// the browser says it comes from, its cookies' names, status, and why it was refused. What came before it
    /// is forgotten.
    ///
    /// # Panics
    ///
    /// None comes.
    pub async fn saw(&mut self, start: &str) -> String {
        let seen = async {
            loop {
                let seen = self.log.recv().await.expect("a running server");
                if seen.starts_with(start) {
                    return seen;
                }
            }
        };
        timeout(DEADLINE, seen).await.unwrap_or_else(|_| panic!("nobody sent {start}"))
    }

    /// What came since, as [`saw`](Self::saw) says it.
    pub fn seen(&mut self) -> Vec<String> {
        let seen = core::iter::from_fn(|| self.log.try_recv().ok());
        // The browser asks for it when it likes.
        seen.filter(|seen| !seen.starts_with("GET /favicon.ico")).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            // The command is sent by the call; the future only waits for its end.
            drop(server.stop(false));
        }
    }
}

fn asked_of_actix(request: &HttpRequest) -> String {
    let header = |name| request.headers().get(name).map(|value| value.as_bytes());
    asked(request.method().as_str(), request.path(), header)
}

fn asked<'r>(
    method: &str,
    path: &str,
    header: impl Fn(&'static str) -> Option<&'r [u8]>,
) -> String {
    let cookies = String::from_utf8_lossy(header("cookie").unwrap_or_default());
    let names = cookies.split("; ").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
    let names = names.collect::<Vec<_>>().join(", ");
    let site = header("sec-fetch-site").map_or("-".into(), String::from_utf8_lossy);
    format!("{method} {path} {site} [{names}]")
}

fn tell(log: &UnboundedSender<String>, asked: &str, status: u16, why: Option<&str>) {
    // Nobody listens any more where a test is over.
    let _ = log.send(match why {
        Some(why) => format!("{asked} {status} {why}"),
        None => format!("{asked} {status}"),
    });
}

/// Open until the other side is gone.
async fn open_socket(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Error> {
    let (response, session, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(_)) = messages.recv().await {}
        drop(session);
    });
    Ok(response)
}
