//! Tokens that are bound to a certificate, in code and in policy files.
use std::net::SocketAddr;

use portcullis::dpop::{Dpop, DpopError, InProcessReplays};
use portcullis::error::ClaimsError;
use portcullis::mtls::{
    CertificateError, CertificateHeader, CertificateHeaderFault, Mtls, MtlsFault, ProxyFault,
};
use portcullis::policy::PolicyFault;
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::{Algorithm, Error, Policy, ReplaceablePolicy, UnixTime, VerifiedToken};
use portcullis_testkit::{SigningKey, TestIssuer, TokenBuilder};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const OWN: &[u8] = b"the DER of the client's certificate";
const OTHER: &[u8] = b"the DER of another";
const PROXY: [u8; 4] = [10, 0, 0, 7];

fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").at(NOW)
}

fn token(issuer: &TestIssuer) -> TokenBuilder {
    issuer.token(Algorithm::ES256)
}

fn dpop() -> Dpop {
    let began = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
    Dpop::new(began).at("https://api.example")
}

fn by_header() -> Mtls {
    Mtls::from_header(CertificateHeader::client_cert()).trusted_proxies(["10.0.0.0/24"])
}

fn policy(issuer: &TestIssuer, mtls: Mtls) -> Policy {
    issuer.policy_builder().mtls(mtls).build().expect("a policy")
}

fn client_cert(der: &[u8]) -> String {
    use base64::Engine as _;
    format!(":{}:", base64::engine::general_purpose::STANDARD.encode(der))
}

/// A request with a token, as a server hands it on.
struct Sent(http::Request<()>);

impl Sent {
    fn bearer(token: &str) -> Self {
        Self::with("Bearer", token)
    }

    fn with(scheme: &str, token: &str) -> Self {
        let request = http::Request::get("/orders/7");
        let request = request.header("authorization", format!("{scheme} {token}"));
        Self(request.body(()).expect("a request"))
    }

    fn over_tls(mut self, certificate: ClientCertificate) -> Self {
        self.0.extensions_mut().insert(certificate);
        self
    }

    fn from(mut self, peer: impl Into<Option<PeerAddress>>) -> Self {
        if let Some(peer) = peer.into() {
            self.0.extensions_mut().insert(peer);
        }
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers_mut().append(name, value.parse().expect("a value"));
        self
    }

    /// Through a proxy that is listed.
    fn proxied(self, der: &[u8]) -> Self {
        self.from(peer(PROXY)).header("client-cert", &client_cert(der))
    }

    /// What a policy says of it, twice: the second time, the token is remembered.
    fn to(&self, policy: &Policy) -> Result<(), Error> {
        let ask = || policy.verify_now(&self.0).map(drop).map_err(|refused| refused.into_error());
        let first = ask();
        assert_eq!(ask(), first, "the same again");
        first
    }
}

fn peer(address: impl Into<std::net::IpAddr>) -> PeerAddress {
    PeerAddress::Ip(SocketAddr::new(address.into(), 4711))
}

fn presented(der: &[u8]) -> ClientCertificate {
    ClientCertificate::presented(der)
}

fn refused(error: CertificateError) -> Result<(), Error> {
    Err(Error::Certificate(error))
}

#[test]
fn a_token_is_for_who_presents_its_certificate_and_for_nobody_else() {
    let issuer = issuer();
    let token = token(&issuer).bound_to_certificate(OWN).mint();
    let sent = || Sent::bearer(&token);
    let by_tls = policy(&issuer, Mtls::from_tls());
    let by_header = policy(&issuer, by_header());
    for (sent, said) in [
        (sent().over_tls(presented(OWN)), Ok(())),
        (sent().over_tls(presented(OTHER)), refused(CertificateError::Other)),
        (sent().over_tls(ClientCertificate::absent()), refused(CertificateError::Missing)),
        (sent(), refused(CertificateError::Unknown)),
        // No other place is looked at.
        (sent().proxied(OWN), refused(CertificateError::Unknown)),
        (
            sent().over_tls(ClientCertificate::absent()).proxied(OWN),
            refused(CertificateError::Missing),
        ),
    ] {
        assert_eq!(sent.to(&by_tls), said);
    }
    for (sent, said) in [
        (sent().proxied(OWN), Ok(())),
        (sent().proxied(OTHER), refused(CertificateError::Other)),
        (sent().from(peer(PROXY)), refused(CertificateError::NoHeader)),
        (sent().from(peer(PROXY)).header("client-cert", ""), refused(CertificateError::Missing)),
        // No other place is looked at.
        (sent().from(peer(PROXY)).over_tls(presented(OWN)), refused(CertificateError::NoHeader)),
    ] {
        assert_eq!(sent.to(&by_header), said);
    }
}

#[test]
fn a_right_certificate_after_a_wrong_one_and_before_it_changes_nothing() {
    let issuer = issuer();
    let token = token(&issuer).bound_to_certificate(OWN).mint();
    let policy = policy(&issuer, by_header());
    let right = Sent::bearer(&token).proxied(OWN);
    let wrong = Sent::bearer(&token).proxied(OTHER);
    for _ in 0..2 {
        assert_eq!(wrong.to(&policy), refused(CertificateError::Other));
        assert_eq!(right.to(&policy), Ok(()));
    }
    // The same header, from a peer that is not listed.
    let forged = Sent::bearer(&token).from(peer([192, 0, 2, 1]));
    let forged = forged.header("client-cert", &client_cert(OWN));
    assert_eq!(forged.to(&policy), refused(CertificateError::UntrustedProxy));
    // What is remembered of one token is not for another.
    let others = issuer.token(Algorithm::ES256).bound_to_certificate(OTHER).mint();
    let stolen = Sent::bearer(&others).proxied(OWN);
    assert_eq!(stolen.to(&policy), refused(CertificateError::Other));
}

#[test]
fn a_header_counts_from_listed_peers_of_the_connection_alone() {
    let issuer = issuer();
    let token = token(&issuer).bound_to_certificate(OWN).mint();
    let listed = policy(&issuer, by_header());
    let sent = |peer: Option<PeerAddress>| {
        let sent = Sent::bearer(&token).from(peer).header("client-cert", &client_cert(OWN));
        // Whoever sends a request writes these.
        sent.header("x-forwarded-for", "10.0.0.7").header("forwarded", "for=10.0.0.7")
    };
    let mapped = std::net::Ipv4Addr::from(PROXY).to_ipv6_mapped();
    for (peer, said) in [
        (Some(peer(PROXY)), Ok(())),
        (Some(peer(mapped)), Ok(())),
        (Some(peer([192, 0, 2, 1])), refused(CertificateError::UntrustedProxy)),
        (Some(peer([127, 0, 0, 1])), refused(CertificateError::UntrustedProxy)),
        (Some(PeerAddress::UnixSocket), refused(CertificateError::UntrustedProxy)),
        // Nobody says whose it is, which is not the client's fault.
        (None, refused(CertificateError::PeerUnknown)),
    ] {
        assert_eq!(sent(peer).to(&listed), said, "{peer:?}");
    }
    let socket = Mtls::from_header(CertificateHeader::client_cert()).trusted_unix_socket();
    let socket = policy(&issuer, socket);
    assert_eq!(sent(Some(PeerAddress::UnixSocket)).to(&socket), Ok(()));
    assert_eq!(sent(Some(peer(PROXY))).to(&socket), refused(CertificateError::UntrustedProxy));
}

#[test]
fn two_values_of_the_header_are_refused_even_if_both_are_right() {
    let issuer = issuer();
    let token = token(&issuer).bound_to_certificate(OWN).mint();
    let policy = policy(&issuer, by_header());
    let several = CertificateError::Header(CertificateHeaderFault::Several);
    let (own, other) = (client_cert(OWN), client_cert(OTHER));
    for values in [[&own, &own], [&own, &other], [&other, &own], [&own, &String::new()]] {
        let sent = Sent::bearer(&token).from(peer(PROXY));
        let sent = values.iter().fold(sent, |sent, value| sent.header("client-cert", value));
        assert_eq!(sent.to(&policy), refused(several));
    }
    // Of a name that is nearly the same, some proxies make the same one; here it is another.
    let sent = Sent::bearer(&token).from(peer(PROXY)).header("client_cert", &own);
    assert_eq!(sent.to(&policy), refused(CertificateError::NoHeader));
}

#[test]
fn a_token_that_is_bound_to_none_passes_where_none_is_required() {
    let issuer = issuer();
    let unbound = token(&issuer).mint();
    for mtls in [Mtls::from_tls(), by_header()] {
        let (allowed, required) = (policy(&issuer, mtls.clone()), policy(&issuer, mtls.required()));
        for sent in [
            Sent::bearer(&unbound),
            Sent::bearer(&unbound).over_tls(presented(OWN)),
            Sent::bearer(&unbound).proxied(OWN),
            // What a stranger's header says does no harm to it.
            Sent::bearer(&unbound).header("client-cert", "nonsense"),
        ] {
            assert_eq!(sent.to(&allowed), Ok(()));
            assert_eq!(sent.to(&required), refused(CertificateError::BindingRequired));
        }
        // Without a request.
        assert!(allowed.verify_token_now(&unbound).is_ok());
        let error = required.verify_token_now(&unbound).expect_err("refused");
        assert_eq!(error, Error::Certificate(CertificateError::BindingRequired));
    }
}

#[test]
fn a_bound_token_needs_its_request() {
    let issuer = issuer();
    let policy = policy(&issuer, Mtls::from_tls());
    let bound = token(&issuer).bound_to_certificate(OWN).mint();
    let error = policy.verify_token_now(&bound).expect_err("refused");
    assert_eq!(error, Error::Certificate(CertificateError::NoRequest));
}

#[test]
fn without_rules_for_it_a_binding_is_refused() {
    let issuer = issuer();
    let constrained = Err(Error::Claims(ClaimsError::SenderConstrained));
    let key = SigningKey::generate(Algorithm::ES256);
    let to_certificate = token(&issuer).bound_to_certificate(OWN).mint();
    let to_key = token(&issuer).bound_to(&key).mint();
    let to_both = token(&issuer).bound_to(&key).bound_to_certificate(OWN).mint();
    let bare = issuer.policy();
    let proofs = issuer.policy_builder().dpop(dpop()).build().expect("a policy");
    let certificates = policy(&issuer, Mtls::from_tls());
    for (token, policies) in [
        (&to_certificate, &[&bare, &proofs][..]),
        (&to_key, &[&bare, &certificates]),
        (&to_both, &[&bare, &proofs, &certificates]),
    ] {
        for policy in policies {
            let sent = Sent::bearer(token).over_tls(presented(OWN));
            assert_eq!(sent.to(policy), constrained);
        }
    }
}

#[test]
fn what_is_not_a_thumbprint_of_sha_256_is_a_binding_that_nobody_checks() {
    let issuer = issuer();
    let policy = policy(&issuer, Mtls::from_tls());
    let good = {
        use base64::Engine as _;
        let digest = *presented(OWN).sha256().expect("a certificate");
        (base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest), digest)
    };
    let hex: String = good.1.iter().map(|byte| format!("{byte:02x}")).collect();
    let padded = format!("{}=", good.0);
    let sent = |cnf: Value| {
        let token = issuer.token(Algorithm::ES256).claim("cnf", cnf).mint();
        Sent::bearer(&token).over_tls(presented(OWN)).to(&policy)
    };
    assert_eq!(sent(json!({ "x5t#S256": good.0 })), Ok(()));
    for cnf in [
        json!({}),
        json!({ "x5t": good.0 }),
        json!({ "x5t#s256": good.0 }),
        json!({ "x5t#S256": padded }),
        json!({ "x5t#S256": hex }),
        json!({ "x5t#S256": &good.0[..27] }),
        json!({ "x5t#S256": [good.0] }),
        json!({ "x5t#S256": null }),
        json!({ "x5t#S256": good.0, "kid": "1" }),
        json!({ "x5t#S256": good.0, "jkt": 1 }),
    ] {
        assert_eq!(sent(cnf.clone()), Err(Error::Claims(ClaimsError::SenderConstrained)), "{cnf}");
    }
}

#[test]
fn a_token_with_both_bindings_needs_both() {
    let issuer = issuer();
    let key = SigningKey::generate(Algorithm::ES256);
    let builder = issuer.policy_builder().dpop(dpop()).mtls(Mtls::from_tls());
    let policy = builder.build().expect("a policy");
    let both = token(&issuer).bound_to(&key).bound_to_certificate(OWN).mint();
    let ask = |scheme: &str, certificate: &[u8], proof: bool| {
        let sent = Sent::with(scheme, &both).over_tls(presented(certificate));
        let made = issuer.proof(&key, "GET", "https://api.example/orders/7").token(&both).mint();
        let sent = if proof { sent.header("dpop", &made) } else { sent };
        policy.verify_now(&sent.0).map(drop).map_err(|refused| refused.into_error())
    };
    assert_eq!(ask("DPoP", OWN, true), Ok(()));
    assert_eq!(ask("DPoP", OTHER, true), refused(CertificateError::Other));
    assert_eq!(ask("DPoP", OWN, false), Err(Error::Dpop(DpopError::ProofMissing)));
    assert_eq!(ask("Bearer", OWN, false), Err(Error::Dpop(DpopError::BoundAsBearer)));
    let error = policy.verify_token_now(&both).expect_err("refused");
    assert_eq!(error, Error::Dpop(DpopError::BoundAsBearer));
}

#[test]
fn a_refusal_for_the_certificate_uses_up_no_proof() {
    let issuer = issuer();
    let key = SigningKey::generate(Algorithm::ES256);
    let builder = issuer.policy_builder().dpop(dpop()).mtls(Mtls::from_tls());
    let policy = builder.build().expect("a policy");
    let both = token(&issuer).bound_to(&key).bound_to_certificate(OWN).mint();
    let proof = issuer.proof(&key, "GET", "https://api.example/orders/7").token(&both).mint();
    let ask = |certificate: &[u8]| {
        let sent = Sent::with("DPoP", &both).header("dpop", &proof);
        let sent = sent.over_tls(presented(certificate));
        policy.verify_now(&sent.0).map(drop).map_err(|refused| refused.into_error())
    };
    assert_eq!(ask(OTHER), refused(CertificateError::Other));
    assert_eq!(ask(OWN), Ok(()));
    assert_eq!(ask(OWN), Err(Error::Dpop(DpopError::Replayed)));
}

#[test]
fn each_requirement_asks_for_its_own_binding() {
    let issuer = issuer();
    let key = SigningKey::generate(Algorithm::ES256);
    let to_certificate = token(&issuer).bound_to_certificate(OWN).mint();
    let to_key = token(&issuer).bound_to(&key).mint();
    let of_key = |token: &str| {
        let proof = issuer.proof(&key, "GET", "https://api.example/orders/7").token(token);
        Sent::with("DPoP", token).header("dpop", &proof.mint())
    };
    let ask = |dpop: Dpop, mtls: Mtls, sent: Sent| {
        let policy = issuer.policy_builder().dpop(dpop).mtls(mtls).build().expect("a policy");
        let sent = sent.over_tls(presented(OWN));
        policy.verify_now(&sent.0).map(drop).map_err(|refused| refused.into_error())
    };
    let tls = Mtls::from_tls;
    assert_eq!(ask(dpop(), tls(), Sent::bearer(&to_certificate)), Ok(()));
    assert_eq!(ask(dpop(), tls(), of_key(&to_key)), Ok(()));
    assert_eq!(ask(dpop(), tls().required(), Sent::bearer(&to_certificate)), Ok(()));
    assert_eq!(
        ask(dpop(), tls().required(), of_key(&to_key)),
        refused(CertificateError::BindingRequired)
    );
    assert_eq!(ask(dpop().required(), tls(), of_key(&to_key)), Ok(()));
    assert_eq!(
        ask(dpop().required(), tls(), Sent::bearer(&to_certificate)),
        Err(Error::Dpop(DpopError::BindingRequired))
    );
}

/// A connection goes on under a policy that took the place of the one that let it in.
#[test]
fn a_token_is_rechecked_by_what_the_present_policy_asks_of_certificates() {
    let issuer = issuer();
    let allowed = policy(&issuer, Mtls::from_tls());
    let required = policy(&issuer, Mtls::from_tls().required());
    let without = issuer.policy();
    let recheck = |policy: &Policy, held: &VerifiedToken| policy.recheck_now(held).err();
    let let_in = |token: &str| {
        let sent = Sent::bearer(token).over_tls(presented(OWN));
        let admission = allowed.verify_now(&sent.0).expect("a good token");
        admission.token().expect("a token").clone()
    };
    let unbound = let_in(&token(&issuer).mint());
    assert_eq!(recheck(&allowed, &unbound), None);
    assert_eq!(recheck(&without, &unbound), None);
    let refused = Error::Certificate(CertificateError::BindingRequired);
    assert_eq!(recheck(&required, &unbound), Some(refused));

    let bound = let_in(&token(&issuer).bound_to_certificate(OWN).mint());
    assert_eq!(recheck(&allowed, &bound), None);
    assert_eq!(recheck(&required, &bound), None);
    assert_eq!(recheck(&without, &bound), Some(Error::Claims(ClaimsError::SenderConstrained)));
}

/// What one policy remembers of a header is nothing to one that reads another.
#[test]
fn a_policy_that_takes_the_place_of_another_goes_by_its_own_header_and_its_own_proxies() {
    let issuer = issuer();
    let token = token(&issuer).bound_to_certificate(OWN).mint();
    let sent = Sent::bearer(&token).proxied(OWN);
    let replaceable = ReplaceablePolicy::new(&policy(&issuer, by_header()));
    let in_force = replaceable.policy();
    assert_eq!(sent.to(&in_force), Ok(()));
    for (mtls, said) in [
        (
            Mtls::from_header(CertificateHeader::client_cert()).trusted_proxies(["192.0.2.1"]),
            refused(CertificateError::UntrustedProxy),
        ),
        (
            Mtls::from_header(CertificateHeader::xfcc()).trusted_proxies(["10.0.0.7"]),
            refused(CertificateError::NoHeader),
        ),
        (Mtls::from_tls(), refused(CertificateError::Unknown)),
        (by_header(), Ok(())),
    ] {
        replaceable.replace(&policy(&issuer, mtls));
        assert_eq!(sent.to(&in_force), said);
    }
}

#[test]
fn settings_that_would_let_anybody_say_it_are_faults() {
    let issuer = issuer();
    let header = || Mtls::from_header(CertificateHeader::client_cert());
    let faults = |mtls: Mtls| {
        let refused = issuer.policy_builder().mtls(mtls).build().expect_err("faults");
        let faults = refused.faults().iter().map(|fault| match fault {
            PolicyFault::Mtls(fault) => *fault,
            other => panic!("{other}"),
        });
        faults.collect::<Vec<_>>()
    };
    assert_eq!(faults(header()), [MtlsFault::Proxies { found: 0 }]);
    let everybody = MtlsFault::Proxy { at: 1, fault: ProxyFault::Everybody };
    assert_eq!(faults(header().trusted_proxies(["10.0.0.7", "0.0.0.0/0"])), [everybody]);
    let many: Vec<_> = (0..65).map(|last| format!("10.0.0.{last}")).collect();
    assert_eq!(faults(header().trusted_proxies(&many)), [MtlsFault::Proxies { found: 65 }]);
    policy(&issuer, header().trusted_proxies(&many[..64]));
    assert_eq!(faults(Mtls::from_tls().trusted_proxies(["10.0.0.7"])), [MtlsFault::ProxiesOfTls]);
    assert_eq!(faults(Mtls::from_tls().trusted_unix_socket()), [MtlsFault::ProxiesOfTls]);
    for name in ["", "a b", "authorization", "Cookie", "DPoP"] {
        let named = Mtls::from_header(CertificateHeader::escaped_pem(name));
        assert_eq!(faults(named.trusted_proxies(["10.0.0.7"])), [MtlsFault::Header], "{name}");
    }
}

#[test]
fn the_client_is_told_what_to_do_and_an_outage_is_not_its_fault() {
    let issuer = issuer();
    let policy = policy(&issuer, Mtls::from_tls());
    let bound = token(&issuer).bound_to_certificate(OWN).mint();
    let answer = |sent: Sent| {
        let refused = policy.verify_now(&sent.0).expect_err("refused");
        let response: http::Response<bytes::Bytes> = refused.into_response();
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
        };
        (response.status().as_u16(), header("www-authenticate"), header("retry-after").is_some())
    };
    let (status, challenge, retry) = answer(Sent::bearer(&bound).over_tls(presented(OTHER)));
    assert_eq!((status, retry), (401, false));
    let challenge = challenge.expect("a challenge");
    assert!(challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""));
    assert_eq!(answer(Sent::bearer(&bound)), (503, None, true));
}
