//! What lives in the state of an app, in extensions and in tasks may be shared by threads. It compiles, or it does not.
use portcullis::error::Forbidden;
use portcullis::grpc::GrpcStatus;
use portcullis::keys::{KeyFault, KeyFileError, VerificationKey};
use portcullis::policy::{Verification, VerifyFuture};
use portcullis::refusal::{RejectionResponse, ResponseForm};
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::response::ResponseNeeds;
use portcullis::revocation::store::StoreError;
use portcullis::revocation::{RevocationOptions, RevokeError, SnapshotError};
use portcullis::routes::{AdminError, Administrator, BoundedBody, LogoutError, NotReady, Reply};
use portcullis::tower::{RequireLayer, VerifyLayer};
use portcullis::{
    Admission, BackChannelLogout, BuildError, Error, Issuer, KeyFile, KeySet, Keys, Policy,
    PolicyBuilder, Presentation, ProtectedResource, Readiness, Rejection, ReplaceablePolicy,
    Requirement, Revocation, RevocationAdmin, Revocations, Secret, TokenCookie, TokenSource,
    VerifiedToken,
};

const fn shared<T: Send + Sync + 'static>() {}
const fn cloned<T: Clone + Send + Sync + 'static>() {}
const fn error<T: std::error::Error + Send + Sync + 'static>() {}

// What an app keeps, and hands to each worker, route or connection.
const _: () = {
    cloned::<Policy>();
    cloned::<ReplaceablePolicy>();
    cloned::<KeyFile>();
    cloned::<KeySet>();
    cloned::<Requirement>();
    cloned::<Revocations>();
    cloned::<BackChannelLogout>();
    cloned::<ProtectedResource>();
    cloned::<Readiness>();
    cloned::<RevocationAdmin>();
    cloned::<TokenCookie>();
    #[cfg(feature = "rustls")]
    cloned::<portcullis::tls::AnyClientCertificate>();
    cloned::<VerifyLayer>();
    cloned::<RequireLayer>();
    shared::<Keys>();
    shared::<Secret>();
    shared::<Issuer>();
    shared::<PolicyBuilder>();
    shared::<Presentation>();
    shared::<RevocationOptions>();
    shared::<TokenSource>();
    shared::<VerificationKey>();
};

// What requests, responses and their extensions carry.
const _: () = {
    cloned::<Admission>();
    cloned::<VerifiedToken>();
    cloned::<Error>();
    cloned::<Forbidden>();
    cloned::<AdminError>();
    cloned::<LogoutError>();
    cloned::<NotReady>();
    cloned::<PeerAddress>();
    cloned::<ClientCertificate>();
    cloned::<GrpcStatus>();
    shared::<Administrator>();
    shared::<BoundedBody>();
    shared::<RejectionResponse>();
    shared::<Rejection>();
    shared::<Reply<LogoutError>>();
    shared::<ResponseForm>();
    shared::<ResponseNeeds>();
    shared::<Revocation>();
};

const _: () = {
    error::<BuildError>();
    error::<Error>();
    #[cfg(feature = "rustls")]
    error::<portcullis::tls::TlsFault>();
    #[cfg(feature = "rustls")]
    error::<portcullis::tls::ChainTooLong>();
    error::<KeyFault>();
    error::<KeyFileError>();
    error::<RevokeError>();
    error::<SnapshotError>();
    error::<StoreError>();
};

/// What is awaited moves between threads; nobody looks at it from two.
const fn sent<T: Send + 'static>() {}

const _: () = {
    sent::<Verification>();
    sent::<VerifyFuture>();
};

#[cfg(feature = "remote-jwks")]
const _: () = {
    use portcullis::keys::remote::{RemoteJwksOptions, RemoteKeysHealth};
    cloned::<portcullis::RemoteJwks>();
    shared::<RemoteJwksOptions>();
    shared::<RemoteKeysHealth>();
    error::<portcullis::provider::ProviderError>();
};

#[cfg(feature = "status-list")]
const _: () = {
    shared::<portcullis::StatusLists>();
    error::<portcullis::status_list::StatusListsError>();
};

#[cfg(feature = "config")]
const _: () = {
    cloned::<portcullis::config::PolicyFile>();
    shared::<portcullis::config::PolicyConfig>();
    error::<portcullis::config::ConfigError>();
};

/// The futures of a policy can be spawned.
#[test]
fn decisions_move_between_threads() {
    fn spawned(_: impl Send) {}
    fn all(policy: &Policy, request: &http::Request<()>, token: &VerifiedToken) {
        spawned(policy.verify(request));
        spawned(policy.verify_token("x"));
        spawned(policy.recheck(token));
    }
    let _ = all;
}
