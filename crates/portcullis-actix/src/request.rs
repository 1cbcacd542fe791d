use actix_web::HttpRequest;
use portcullis::RequestView;

/// actix-web speaks version 0.2 of the `http` crate: names cross as text, values as bytes.
pub(crate) struct View<'a>(pub(crate) &'a HttpRequest);

impl RequestView for View<'_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn authority(&self) -> Option<&str> {
        self.0.uri().authority().map(|authority| authority.as_str())
    }

    fn query(&self) -> Option<&str> {
        self.0.uri().query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.headers().get_all(name).map(|value| value.as_bytes())
    }
}
