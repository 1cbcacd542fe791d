//! What a policy file says of proofs, and what stays when the file is read again.
#![cfg(feature = "config")]
use std::path::PathBuf;

use portcullis::config::{ConfigError, ConfigProblem, PolicyConfig, PolicyFile};
use portcullis::dpop::{
    Dpop, DpopError, DpopFault, InProcessReplays, NonceFault, ProofFault, ProofUse, Replays, Spent,
    TargetPart,
};
use portcullis::policy::{PolicyFault, Verification};
use portcullis::{Algorithm, Error, Policy, PolicyBuilder, Readiness, UnixTime};
use portcullis_testkit::{FixedClock, ProofBuilder, SigningKey, TestIssuer};
use tempfile::TempDir;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";
const URL: &str = "https://api.example/orders/7";
const BASE: &str = "base_urls = [\"https://api.example\"]";

/// A service whose policy is in a file, and a client.
struct Service {
    folder: TempDir,
    issuer: TestIssuer,
    key: SigningKey,
}

impl Service {
    fn new(dpop: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let issuer = TestIssuer::new(ISSUER).at(NOW);
        let service = Self { folder, issuer, key: SigningKey::generate(Algorithm::ES256) };
        service.put("jwks.json", service.issuer.jwks_of(&[Algorithm::ES256]));
        service.write(dpop);
        service
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("policy.toml")
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.folder.path().join(name), content).expect("a file");
    }

    fn text(dpop: &str) -> String {
        format!(
            "[[issuer]]\nid = \"{ISSUER}\"\naudiences = [\"{}\"]\nalgorithms = [\"ES256\"]\n\
             keys = {{ jwks_file = \"jwks.json\" }}\n[dpop]\n{dpop}\n",
            TestIssuer::AUDIENCE
        )
    }

    fn write(&self, dpop: &str) {
        self.put("policy.toml", Self::text(dpop));
    }

    fn config(&self) -> PolicyConfig {
        PolicyConfig::from_file(self.path()).expect("TOML")
    }

    /// The policy at the time of the proofs, by a store that was there before them.
    fn policy(&self) -> Policy {
        let began = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
        let builder = self.config().replays("in_process", began).into_builder(self.folder.path());
        built(builder.expect("settings"))
    }

    fn refused(&self) -> ConfigError {
        self.config().build(self.folder.path()).expect_err("faults")
    }

    /// The file, of which the store begins now.
    fn open(&self) -> (PolicyFile, FixedClock) {
        let clock = FixedClock::at(NOW);
        let of_policy = clock.clone();
        let file = PolicyFile::options(self.path())
            .finish_with(move |builder| builder.clock(of_policy.clone()))
            .open()
            .expect("a policy");
        (file, clock)
    }

    fn token(&self) -> String {
        self.issuer.token(Algorithm::ES256).bound_to(&self.key).mint()
    }

    fn proof(&self, token: &str) -> ProofBuilder {
        self.issuer.proof(&self.key, "GET", URL).token(token)
    }
}

fn built(builder: PolicyBuilder) -> Policy {
    builder.clock(FixedClock::at(NOW)).build().expect("a policy")
}

fn ask(policy: &Policy, token: &str, proof: &str) -> Result<(), Error> {
    let request = http::Request::builder()
        .uri("/orders/7")
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof)
        .body(())
        .expect("a request");
    match policy.start_verify(&request) {
        Verification::Done(Ok(_)) => Ok(()),
        Verification::Done(Err(rejection)) => Err(rejection.error().clone()),
        Verification::Pending(_) => panic!("all is at hand"),
    }
}

fn refuses(error: DpopError) -> Result<(), Error> {
    Err(error.into())
}

/// The nonce that an answer would tell.
fn nonce(policy: &Policy, token: &str, proof: &str) -> String {
    let request = http::Request::builder()
        .uri("/orders/7")
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof)
        .body(())
        .expect("a request");
    let Verification::Done(Err(rejection)) = policy.start_verify(&request) else {
        panic!("it has no nonce")
    };
    let response = rejection.into_response::<bytes::Bytes>();
    let header = response.headers().get("dpop-nonce").expect("a nonce");
    header.to_str().expect("ASCII").to_owned()
}

#[test]
fn every_setting_arrives() {
    let service = Service::new(
        r#"
        base_urls  = ["https://other.example", "https://api.example"]
        mode       = "required"
        algorithms = ["ES384", "ES256"]
        window     = { past = "2m", future = "20s" }
        nonces     = "off"
        replay     = "in_process"
        "#,
    );
    let policy = service.policy();
    let token = service.token();
    let made = |age: i64| service.proof(&token).claim("iat", NOW - age).mint();
    for (age, passes) in [(0, true), (120, true), (121, false), (-20, true), (-21, false)] {
        let answer = ask(&policy, &token, &made(age));
        assert_eq!(answer.is_ok(), passes, "{age}: {answer:?}");
    }
    let unbound = service.issuer.token(Algorithm::ES256).mint();
    let refused = policy.verify_token_now(&unbound).map(drop);
    assert_eq!(refused, refuses(DpopError::BindingRequired));
    let key = SigningKey::generate(Algorithm::EdDSA);
    let token = service.issuer.token(Algorithm::ES256).bound_to(&key).mint();
    let proof = service.issuer.proof(&key, "GET", URL).token(&token).mint();
    let refused = ask(&policy, &token, &proof);
    assert_eq!(refused, refuses(DpopError::Proof(ProofFault::Algorithm)));

    // Of a window, one side.
    service.write(&format!("{BASE}\nwindow = {{ future = \"30s\" }}"));
    let policy = service.policy();
    let token = service.token();
    for (age, passes) in [(60, true), (61, false), (-30, true), (-31, false)] {
        let proof = service.proof(&token).claim("iat", NOW - age).mint();
        assert_eq!(ask(&policy, &token, &proof).is_ok(), passes, "{age}");
    }
    assert!(policy.verify_token_now(&unbound).is_ok(), "allowed, where nothing is said");
}

#[test]
fn a_proof_that_was_used_is_refused_however_often_the_file_is_read_again() {
    let service = Service::new(BASE);
    let (file, clock) = service.open();
    let policy = file.policy();
    // The store begins with the policy: what is made after that is new.
    clock.set(NOW + 60);
    let token = service.issuer.token(Algorithm::ES256).bound_to(&service.key);
    let token = token.expires_at(NOW + 300).mint();
    let made = |url: &str| {
        let proof = service.issuer.proof(&service.key, "GET", url).token(&token);
        proof.claim("iat", NOW + 60).mint()
    };
    let used = made(URL);
    assert_eq!(ask(&policy, &token, &used), Ok(()));
    let is_used = || assert_eq!(ask(&policy, &token, &used), refuses(DpopError::Replayed));
    is_used();
    for (more, passes) in [
        ("mode = \"allowed\"", Ok(())),
        ("window = { past = \"30s\" }", Ok(())),
        // Of a wider window, and of times in place of nonces: what was used may have been forgotten.
        ("window = { past = \"5m\" }", refuses(DpopError::Replayed)),
        ("window = { past = \"5m\" }\nalgorithms = [\"ES256\"]", refuses(DpopError::Replayed)),
        ("nonces = \"required\"", refuses(DpopError::Nonce(NonceFault::Missing))),
        ("", refuses(DpopError::Replayed)),
    ] {
        service.write(&format!("{BASE}\n{more}"));
        file.reload().expect("a good policy");
        if !more.contains("nonces") {
            is_used();
        }
        assert_eq!(ask(&policy, &token, &made(URL)), passes, "another one: {more}");
        service.write("base_urls = 7");
        file.reload().expect_err("a broken policy");
    }
    assert_eq!(file.status().reloads, 6);
    // Without proofs for a while.
    let text = Service::text(BASE);
    service.put("policy.toml", text.split_once("[dpop]").expect("a table").0);
    file.reload().expect("a good policy");
    assert!(ask(&policy, &token, &used).is_err());
    service.write(BASE);
    file.reload().expect("a good policy");
    is_used();
    // What was made before it came back may have been used meanwhile.
    clock.set(NOW + 71);
    let made = |url: &str| {
        let proof = service.issuer.proof(&service.key, "GET", url).token(&token);
        proof.claim("iat", NOW + 71).mint()
    };
    // Another address counts at once.
    service.write("base_urls = [\"https://new.example\"]");
    file.reload().expect("a good policy");
    let found = ask(&policy, &token, &made(URL)).expect_err("the former address");
    assert!(
        matches!(found, Error::Dpop(DpopError::Target { differs: TargetPart::Host, .. })),
        "{found:?}"
    );
    // The way out is in the log: what the service is called now.
    assert!(found.to_string().contains("`https://new.example` and then the path"), "{found}");
    assert_eq!(ask(&policy, &token, &made("https://new.example/orders/7")), Ok(()));
}

#[test]
fn nonces_of_a_process_are_taken_after_the_file_was_read_again() {
    let dpop = format!("{BASE}\nnonces = \"required\"");
    let service = Service::new(&dpop);
    let (file, _) = service.open();
    let (policy, token) = (file.policy(), service.token());
    let proof = service.proof(&token);
    assert_eq!(ask(&policy, &token, &proof.mint()), refuses(DpopError::Nonce(NonceFault::Missing)));
    let nonce = nonce(&policy, &token, &proof.mint());
    let with_nonce = proof.clone().claim("nonce", nonce.as_str()).mint();
    assert_eq!(ask(&policy, &token, &with_nonce), Ok(()));
    for more in ["mode = \"required\"", "algorithms = [\"ES256\"]"] {
        service.write(&format!("{dpop}\n{more}"));
        file.reload().expect("a good policy");
        assert_eq!(ask(&policy, &token, &with_nonce), refuses(DpopError::Replayed), "{more}");
        let another = service.proof(&token).claim("nonce", nonce.as_str()).mint();
        assert_eq!(ask(&policy, &token, &another), Ok(()), "{more}");
    }
}

/// A store that says that others share it.
#[derive(Clone, Debug)]
struct Shared(InProcessReplays);

impl Replays for Shared {
    fn spend(&self, proof: &ProofUse) -> Spent {
        self.0.spend(proof)
    }

    fn start(&self, now: UnixTime) {
        self.0.start(now);
    }

    fn epoch(&self) -> u64 {
        self.0.epoch()
    }
}

fn shared() -> Shared {
    Shared(InProcessReplays::new().started_at(UnixTime(NOW - 3600)))
}

const SECRETS: [&str; 3] = [
    "mFQmXCRaSbnhTzHKHTGr85zwXOUmn9qBpzGRGCGJ0xE",
    "Zk1Vt7rQeD4sXn0wBq8uYj5pLc2hGm6fAo9iRx3bKdE",
    "Qw7Jc0vXr5tNz2kLh8sGf4yBd1mPa6eUo3iWq9xRjTs",
];

#[test]
fn secrets_of_nonces_are_files_that_are_read_with_the_policy() {
    let dpop = format!(
        "{BASE}\nnonces = \"required\"\nnonce_secrets = [\"new\", \"old\"]\nreplay = \"fleet\""
    );
    let service = Service::new(&dpop);
    service.put("new", SECRETS[0]);
    service.put("old", format!("{}\n", SECRETS[1]));
    let other = Service::new(&dpop.replace("\"new\", \"old\"", "\"old\""));
    other.put("old", SECRETS[1]);
    let store = shared();
    let options = |service: &Service| {
        PolicyFile::options(service.path())
            .replays("fleet", store.clone())
            .finish_with(|builder| builder.clock(FixedClock::at(NOW)))
            .open()
            .expect("a policy")
    };
    let (file, other_file) = (options(&service), options(&other));
    let (policy, token) = (file.policy(), service.token());
    let other_policy = other_file.policy();
    let proof = || service.proof(&token);
    // What an instance with the old secret alone gives out.
    let of_other = nonce(&other_policy, &token, &proof().mint());
    assert_eq!(ask(&policy, &token, &proof().claim("nonce", of_other.as_str()).mint()), Ok(()));
    let of_new = nonce(&policy, &token, &proof().mint());
    let foreign = refuses(DpopError::Nonce(NonceFault::Foreign));
    let with_new = proof().claim("nonce", of_new.as_str()).mint();
    assert_eq!(ask(&other_policy, &token, &with_new), foreign);

    // The file has another secret once the policy is read.
    service.put("old", SECRETS[2]);
    service.write(&format!("{dpop}\nmode = \"required\""));
    file.reload().expect("a good policy");
    let with_old = proof().claim("nonce", of_other.as_str()).mint();
    assert_eq!(ask(&policy, &token, &with_old), foreign);
    assert_eq!(ask(&policy, &token, &proof().claim("nonce", of_new.as_str()).mint()), Ok(()));
}

#[test]
fn a_secret_that_will_not_do_is_told_with_its_place_and_never_shown() {
    let service = Service::new(&format!(
        "{BASE}\nnonces = \"required\"\nreplay = \"fleet\"\n\
         nonce_secrets = [\n\"good\",\n\"short\",\n\"nowhere\",\n\"weak\"]"
    ));
    service.put("good", SECRETS[0]);
    service.put("short", "hunter2-hunter2");
    service.put("weak", "a".repeat(40));
    let refused = service.config().replays("fleet", shared()).build(service.folder.path());
    let error = refused.expect_err("faults");
    let found: Vec<_> =
        error.faults().iter().map(|fault| (fault.line, fault.place.as_str())).collect();
    assert_eq!(
        found,
        [
            (Some(12), "dpop.nonce_secrets[1]"),
            (Some(13), "dpop.nonce_secrets[2]"),
            (Some(14), "dpop.nonce_secrets[3]")
        ]
    );
    let shown = format!("{error}\n{error:?}");
    for secret in [SECRETS[0], "hunter2", "aaaa"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("15 bytes") && shown.contains("32"), "{shown}");
}

#[test]
fn a_store_is_one_that_the_program_gives() {
    let service = Service::new(&format!("{BASE}\nreplay = \"redis\""));
    let problem = |error: &ConfigError| {
        let [fault] = error.faults() else { panic!("{error}") };
        (fault.line, fault.place.clone(), fault.problem.clone())
    };
    let at = |problem| (Some(8), "dpop.replay".to_owned(), problem);
    let name = "redis".to_owned();
    let known = vec!["in_process".to_owned()];
    let found = service.refused();
    assert_eq!(problem(&found), at(ConfigProblem::UnknownReplays { name: name.clone(), known }));
    assert!(found.to_string().contains("`redis`") && found.to_string().contains("\"in_process\""));
    let build = |config: PolicyConfig| config.build(service.folder.path());
    let known = vec!["in_process".to_owned(), "fleet".to_owned()];
    let refused = build(service.config().replays("fleet", shared())).expect_err("faults");
    assert_eq!(problem(&refused), at(ConfigProblem::UnknownReplays { name: name.clone(), known }));
    let twice = service.config().replays("redis", shared()).replays("redis", shared());
    let refused = build(twice).expect_err("faults");
    assert_eq!(problem(&refused), at(ConfigProblem::SeveralReplays { name }));
    // Also of the name that a file need not say.
    let unnamed = Service::new(BASE);
    let usual = "in_process".to_owned();
    let twice = unnamed.config().replays(&*usual, shared()).replays(&*usual, shared());
    let refused = twice.build(unnamed.folder.path()).expect_err("faults");
    let several = ConfigProblem::SeveralReplays { name: usual };
    let (_, place, found) = problem(&refused);
    assert_eq!((&*place, found), ("dpop", several));

    // What nobody names is not used, and what is named is.
    let (named, other) = (InProcessReplays::new(), InProcessReplays::new());
    for store in [&named, &other] {
        store.start(UnixTime(NOW - 3600));
    }
    let config = service.config().replays("redis", named.clone()).replays("b", other.clone());
    let policy = built(config.into_builder(service.folder.path()).expect("settings"));
    let token = service.token();
    assert_eq!(ask(&policy, &token, &service.proof(&token).mint()), Ok(()));
    assert_eq!((named.len(), other.len()), (1, 0));
}

#[test]
fn shared_nonces_need_a_shared_store() {
    let dpop = format!("{BASE}\nnonces = \"required\"\nnonce_secrets = [\"secret\"]");
    let service = Service::new(&dpop);
    service.put("secret", SECRETS[0]);
    let error = service.refused();
    let [fault] = error.faults() else { panic!("{error}") };
    assert_eq!((fault.line, fault.place.as_str()), (Some(9), "dpop.nonce_secrets"));
    let expected = PolicyFault::Dpop(DpopFault::SharedNonces);
    assert_eq!(fault.problem, ConfigProblem::Policy(expected));
    // Of a store that is not there, it is not said that it is not shared.
    service.write(&format!("{dpop}\nreplay = \"redis\""));
    let error = service.refused();
    let places: Vec<_> = error.faults().iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["dpop.replay"]);
}

#[test]
fn what_code_says_as_well_is_a_fault_at_the_table() {
    let service = Service::new(BASE);
    let of_code = Dpop::new(InProcessReplays::new()).at("https://api.example");
    let file = PolicyFile::options(service.path())
        .finish_with(move |builder| builder.dpop(of_code.clone()));
    let error = file.open().expect_err("both");
    let [fault] = error.faults() else { panic!("{error}") };
    assert_eq!((fault.line, fault.place.as_str()), (Some(6), "dpop"));
    let of_code = Dpop::new(InProcessReplays::new()).at("https://api.example");
    let file = PolicyFile::options(service.path())
        .finish_with(move |builder| builder.overrule(|builder| builder.dpop(of_code.clone())));
    file.open().expect("code counts");
}

#[test]
fn a_variable_of_the_environment_names_an_address() {
    // One that every test runner sets.
    let service = Service::new("base_urls = [\"https://${CARGO_PKG_NAME}.example\"]");
    let policy = service.policy();
    let token = service.token();
    let url = format!("https://{}.example/orders/7", env!("CARGO_PKG_NAME"));
    let proof = service.issuer.proof(&service.key, "GET", url).token(&token).mint();
    assert_eq!(ask(&policy, &token, &proof), Ok(()));
}

#[test]
fn a_policy_is_ready_once_a_proof_that_is_made_now_gets_in() {
    let service = Service::new(BASE);
    let (file, clock) = service.open();
    let (policy, token) = (file.policy(), service.token());
    let readiness = Readiness::new(policy.clone());
    for (seconds, passes) in [(0, false), (10, false), (11, true)] {
        clock.set(NOW + seconds);
        assert_eq!(policy.is_ready(), passes, "{seconds}");
        let reply = readiness.answer(&http::Request::new(()));
        let body =
            format!(r#"{{"ready":{passes},"keys":true,"revocation":true,"proofs":{passes}}}"#);
        assert_eq!(core::str::from_utf8(reply.body()), Ok(&*body));
        assert_eq!(reply.status(), if passes { 200 } else { 503 });
        let proof = service.proof(&token).claim("iat", NOW + seconds).mint();
        assert_eq!(ask(&policy, &token, &proof).is_ok(), passes, "{seconds}");
    }
    // Nor is it after a change for which proofs of before count as used.
    service.write(&format!("{BASE}\nwindow = {{ past = \"5m\" }}"));
    file.reload().expect("a good policy");
    assert!(!policy.is_ready());
    clock.set(NOW + 22);
    assert!(policy.is_ready());
    // A clock that was ahead when it began.
    clock.set(NOW - 3600);
    assert!(!policy.is_ready());
    // With nonces, times do not count.
    service.write(&format!("{BASE}\nnonces = \"required\""));
    file.reload().expect("a good policy");
    assert!(policy.is_ready());
}
