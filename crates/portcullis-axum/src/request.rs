use core::fmt;

use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, OriginalUri};
use http::request::Parts;
use http::{Extensions, Request};
use portcullis::RequestView;
use portcullis::request::{ClientCertificate, PeerAddress, UsedProof};

/// A request of axum, as the policy sees it: for calls of [`Policy::verify`](portcullis::Policy::verify)
/// and its like by hand, `policy.verify(&AxumRequest::from(&request))`.
///
/// What axum knows besides the request itself counts:
///
/// - the path is that of [`OriginalUri`], which is whole where a router nests others;
/// - the peer is that of [`ConnectInfo<SocketAddr>`](ConnectInfo), as `into_make_service_with_connect_info` has it;
///   without one, [`PeerAddress`](portcullis::request::PeerAddress).
pub struct AxumRequest<'a, R> {
    request: &'a R,
    extensions: &'a Extensions,
}

impl<'a, B> From<&'a Request<B>> for AxumRequest<'a, Request<B>> {
    fn from(request: &'a Request<B>) -> Self {
        Self { request, extensions: request.extensions() }
    }
}

impl<'a> From<&'a Parts> for AxumRequest<'a, Parts> {
    fn from(request: &'a Parts) -> Self {
        Self { request, extensions: &request.extensions }
    }
}

impl<R: RequestView> RequestView for AxumRequest<'_, R> {
    fn method(&self) -> &str {
        self.request.method()
    }

    fn authority(&self) -> Option<&str> {
        self.request.authority()
    }

    fn path(&self) -> Option<&str> {
        match self.extensions.get() {
            Some(OriginalUri(uri)) => Some(uri.path()),
            // In front of the router.
            None => self.request.path(),
        }
    }

    fn query(&self) -> Option<&str> {
        self.request.query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.request.header(name)
    }

    fn peer(&self) -> Option<PeerAddress> {
        // In the order of axum's own extractor.
        if let Some(ConnectInfo(address)) = self.extensions.get() {
            return Some(PeerAddress::Ip(*address));
        }
        if let Some(MockConnectInfo(address)) = self.extensions.get() {
            return Some(PeerAddress::Ip(*address));
        }
        self.request.peer()
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        self.request.client_certificate()
    }

    fn used_proof(&self) -> Option<UsedProof> {
        self.request.used_proof()
    }
}

impl<R> Clone for AxumRequest<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for AxumRequest<'_, R> {}

impl<R> fmt::Debug for AxumRequest<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request holds the token.
        f.debug_struct("AxumRequest").finish_non_exhaustive()
    }
}
