//! gRPC calls that are refused elsewhere than in the layer.
use portcullis::error::ClaimsError;
use portcullis::grpc::GrpcMetadata;
use portcullis::keys::{KeyFuture, KeyQuery};
use portcullis::refusal::ResponseForm;
use portcullis::{
    Admission, Algorithm, Error, Issuer, KeySet, KeySource, Keys, Policy, Presentation,
    VerifiedToken,
};
use portcullis_testkit::TestIssuer;

fn call(token: Option<&str>) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a header");
        headers.insert("authorization", value);
    }
    headers
}

#[test]
fn metadata_with_a_good_token_passes_and_names_the_caller() {
    let issuer = TestIssuer::new("https://id.example");
    let token = issuer.token(Algorithm::ES256).subject("alice").mint();
    let headers = call(Some(&token));
    let admission = issuer.policy().verify_now(&GrpcMetadata(&headers)).expect("it passes");
    let caller = admission.token().and_then(VerifiedToken::subject);
    assert_eq!(caller, Some("alice"));
    assert!(!format!("{:?}", GrpcMetadata(&headers)).contains(&token));
}

#[test]
fn what_has_to_be_waited_for_is_unavailable_now() {
    #[derive(Debug)]
    struct Late;
    impl KeySource for Late {
        fn keys(&self) -> KeySet {
            KeySet::empty()
        }
        fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
            Some(Box::pin(core::future::pending()))
        }
    }
    let issuer = TestIssuer::new("https://id.example");
    let late = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(Keys::source(Late))
        .audience(TestIssuer::AUDIENCE);
    let policy = Policy::builder().issuer(late).build().expect("a policy");
    let headers = call(Some(&issuer.token(Algorithm::ES256).mint()));
    let status = policy.verify_now(&GrpcMetadata(&headers)).expect_err("a refusal");
    let status = status.into_grpc_status();
    assert_eq!((status.code, &status.metadata["retry-after"]), (14, &"5".parse().expect("5")));
}

#[test]
fn a_refused_call_has_code_text_and_challenge_and_nothing_of_a_body() {
    let issuer = TestIssuer::new("https://id.example");
    let policy = issuer.policy();
    let refuse = |token| {
        let headers = call(token);
        policy.verify_now(&GrpcMetadata(&headers)).expect_err("a refusal").into_grpc_status()
    };
    let status = refuse(None);
    assert_eq!((status.code, status.message), (16, "This resource needs an access token."));
    let names: Vec<_> = status.metadata.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["www-authenticate", "cache-control"]);
    assert_eq!(status.metadata["www-authenticate"], "Bearer");

    let expired = issuer.token(Algorithm::ES256).expired().mint();
    let status = refuse(Some(&expired));
    assert_eq!((status.code, status.message), (16, "The access token has expired."));
}

#[test]
fn a_presentation_without_details_says_no_more_to_a_grpc_call() {
    let presentation = Presentation::new().without_details();
    let issuer = TestIssuer::new("https://id.example");
    let policy = issuer.policy_builder().presentation(presentation).build().expect("a policy");
    let token = issuer.token(Algorithm::ES256).mint();
    let headers = call(Some(&token));
    let admission = policy.verify_now(&GrpcMetadata(&headers)).expect("it passes");
    let rejection = admission.reject(ClaimsError::Audience, ResponseForm::Grpc);
    let refusal = rejection.refusal();
    let message = refusal.headers().find(|(name, _)| *name == "grpc-message");
    assert_eq!(message, Some(("grpc-message", &b"Invalid access token"[..])));
    assert_eq!(rejection.into_grpc_status().message, "Invalid access token");
}

#[test]
fn a_handler_without_a_policy_in_front_fails_inside() {
    let rejection = Admission::require(None, ResponseForm::Grpc).expect_err("no policy");
    assert_eq!(rejection.error(), &Error::NotInstalled);
    assert_eq!(rejection.into_grpc_status().code, 13);
}
