//! What operators see of a request that is refused, through axum and actix-web alike. Alone in its process: what listens
//! to events, listens to all of a program.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::fmt;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Request;
use portcullis::Policy;
use portcullis_testkit::TestIssuer;
use tower::ServiceExt;
use tracing::field::{Field, Visit};
use tracing::span;

fn policy() -> Policy {
    TestIssuer::new("https://id.example").policy()
}

async fn of_axum(path: &str) {
    let inner = axum::Router::new().fallback(async || "open");
    let app = axum::Router::new().nest("/v1", inner);
    let app = app.layer(portcullis_axum::VerifyLayer::new(policy()));
    let request = Request::post(path).header("authorization", "Bearer hidden");
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 401);
}

async fn of_actix(path: &str) {
    use actix_web::{App, test};

    let app = App::new().wrap(portcullis_actix::Verify::new(policy()));
    let app = test::init_service(app).await;
    let request = test::TestRequest::post().uri(path);
    let request = request.insert_header(("authorization", "Bearer hidden")).to_request();
    assert_eq!(test::call_service(&app, request).await.status(), 401);
}

/// The fields of the events of refusals.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Event>>>);

/// Name and value of each field of an event.
type Event = Vec<(String, String)>;

struct Fields(Event);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name().to_owned(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name().to_owned(), format!("{value:?}")));
    }
}

impl tracing::Subscriber for Heard {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "portcullis::refusal"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[actix_web::test]
async fn the_event_of_a_refusal_names_method_and_path_without_the_query_in_both_frameworks() {
    let heard = Heard::default();
    let _listening = tracing::subscriber::set_default(heard.clone());
    let long = format!("/v1/orders/{}?token=hidden", "9".repeat(1_000));
    for (path, seen) in [
        ("/v1/orders/17?token=hidden", "/v1/orders/17".to_owned()),
        (&*long, long[..256].to_owned()),
    ] {
        of_axum(path).await;
        of_actix(path).await;
        let events = std::mem::take(&mut *heard.0.lock().unwrap());
        assert_eq!(events.len(), 2, "{events:?}");
        for event in events {
            let field = |name: &str| {
                let found = event.iter().find(|(own, _)| own == name);
                found.map(|(_, value)| value.as_str())
            };
            assert_eq!((field("method"), field("path")), (Some("POST"), Some(&*seen)));
            assert_eq!(field("reason"), Some("malformed"));
            assert!(!format!("{event:?}").contains("hidden"), "{event:?}");
        }
    }
}
