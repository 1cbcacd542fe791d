//! What an app is asked, and what must come back.
use core::fmt::Write;

use portcullis::Error;
use portcullis::error::SourceError;

use super::document::{Alternative, Documented, Operation, Presents};
use super::{OpenApi, Proofs, WantedToken};
use crate::dpop::{self, GoodProof};
use crate::mtls::MtlsClient;
use crate::protected::{Answer, Question};
use crate::routes::Credentials;

/// Asks for every operation, and panics with all that are not as documented.
pub(crate) async fn walk(
    api: OpenApi<'_>,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) {
    if let Some(message) = message(api, ask).await {
        panic!("{message}");
    }
}

/// What is not as documented, and what was not tested.
pub(super) async fn message(
    api: OpenApi<'_>,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) -> Option<String> {
    let documented = Documented::read(api.document, api.base.as_deref(), &*api.sample);
    let mut walk = Walk { api: &api, ask, faults: documented.faults, untested: Vec::new() };
    let (mut asked, mut passed_over) = (0_usize, 0_usize);
    for operation in &documented.operations {
        let Operation { method, path, .. } = operation;
        if api.excepted.iter().any(|(own, of)| own.eq_ignore_ascii_case(method) && of == path) {
            continue;
        }
        if !api.is_mutating && !operation.is_safe() {
            passed_over += 1;
            continue;
        }
        asked += 1;
        walk.operation(operation).await;
    }
    let Walk { faults, untested, .. } = walk;
    let unsafe_ones = match passed_over {
        0 => String::new(),
        count => format!(
            "\n{count} more would change something, and are asked where `OpenApi::mutating` is called."
        ),
    };
    if asked == 0 && faults.is_empty() {
        let hint = "see that it has `paths`";
        return Some(format!("the document has no operation to ask for: {hint}{unsafe_ones}"));
    }
    if faults.is_empty() && untested.is_empty() {
        return None;
    }
    let mut message = String::new();
    for (all, one, several) in [
        (faults, "a thing is not as documented:", "things are not as documented:"),
        (untested, "a thing was not tested:", "things were not tested:"),
    ] {
        let gap = if message.is_empty() { "" } else { "\n" };
        _ = match all.len() {
            0 => continue,
            1 => write!(message, "{gap}{one}"),
            count => write!(message, "{gap}{count} {several}"),
        };
        for line in all {
            _ = write!(message, "\n  - {line}");
        }
    }
    Some(format!("{message}{unsafe_ones}"))
}

/// Who sends a token, where an alternative asks for a certificate or a proof besides.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sender {
    /// Who has all that the alternative asks for. The token is bound to it.
    Own,
    /// The token is bound to a certificate, and its sender presents none.
    WithoutCertificate,
    /// The token is bound to no certificate, and its sender presents none.
    BoundToNoCertificate,
    /// The token is bound to a key, and comes with no proof of it.
    WithoutProof,
    /// The same, as a bearer token.
    AsBearer,
    /// The token comes with a proof once, and with the same proof again.
    WithUsedProof,
    /// The token is bound to no key, and comes as a bearer token.
    BoundToNoKey,
}

/// An operation, and the address of one of its requests.
#[derive(Clone, Copy)]
struct Place<'o> {
    operation: &'o Operation,
    address: &'o str,
}

struct Walk<'a, A> {
    api: &'a OpenApi<'a>,
    ask: A,
    faults: Vec<String>,
    untested: Vec<String>,
}

impl<A: AsyncFn(&Question<'_>) -> Result<Answer, String>> Walk<'_, A> {
    async fn operation(&mut self, operation: &Operation) {
        let address = match &operation.address {
            Ok(address) => address,
            Err(why) => return self.untested.push(format!("{operation}: {why}")),
        };
        let place = Place { operation, address };
        self.untested.extend(operation.untested.iter().map(|why| format!("{operation}: {why}")));
        if !self.without_token(place).await {
            return;
        }
        for alternative in &operation.alternatives {
            let missing = self.missing_clients(operation, alternative);
            if missing.is_empty() {
                self.alternative(place, alternative).await;
            }
            self.untested.extend(missing);
        }
    }

    /// Asks with a token that has all, and with those that lack something.
    async fn alternative(&mut self, place: Place<'_>, alternative: &Alternative) {
        let all: Vec<_> = alternative.scopes.iter().map(String::as_str).collect();
        let is_worth_asking_on = self.with_all(place, alternative, &all).await
            && !place.operation.is_open
            && self.without_certificate(place, alternative, &all).await
            && self.without_proof(place, alternative, &all).await;
        if !is_worth_asking_on {
            return;
        }
        for scope in &all {
            let rest: Vec<_> = all.iter().copied().filter(|own| own != scope).collect();
            let mut others = place.operation.alternatives.iter();
            if !others.any(|other| other.is_met_by(alternative, &rest)) {
                self.without_one(place, alternative, rest, scope).await;
            }
        }
    }

    /// What cannot be asked for, since nobody has what it takes.
    fn missing_clients(&self, operation: &Operation, alternative: &Alternative) -> Vec<String> {
        let scheme = &alternative.scheme;
        let certificate = (alternative.needs_certificate && self.api.client.is_none()).then(|| {
            format!(
                "{operation}: asks for a certificate beside `{scheme}`: give a client that has one, by `OpenApi::mtls_client`"
            )
        });
        let proof = (alternative.needs_proof() && self.api.proofs.is_none()).then(|| {
            format!(
                "{operation}: asks for a proof by `{scheme}`: give a client that makes them, by `OpenApi::dpop_client`"
            )
        });
        certificate.into_iter().chain(proof).collect()
    }

    async fn ask(
        &mut self,
        operation: &Operation,
        (method, address): (&str, &str),
        (credentials, with_certificate): (Credentials, bool),
        how: &str,
    ) -> Option<Answer> {
        let question = match self.api.client {
            Some(client) => client.ask_by((method, address), credentials, with_certificate),
            None => Question::plain(method, address, credentials),
        };
        match (self.ask)(&question).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.faults.push(format!("{operation}: {how} it failed: {error}"));
                None
            }
        }
    }

    /// Keeps what is wrong with an answer, and says whether nothing is.
    fn is_right(&mut self, operation: &Operation, how: &str, fault: Option<String>) -> bool {
        let is_right = fault.is_none();
        self.faults.extend(fault.map(|fault| format!("{operation}: {how} it answered {fault}")));
        is_right
    }

    /// Whether it answered as documented, so that it is worth to ask on.
    async fn without_token(&mut self, Place { operation, address }: Place<'_>) -> bool {
        let how = "without a token";
        let asked = (operation.method, address);
        let Some(answer) = self.ask(operation, asked, (Credentials::none(), false), how).await
        else {
            return false;
        };
        let fault = if !operation.is_open {
            answer.fault_without_token(operation)
        } else if answer.is_refusal() {
            Some(format!("{}, though the document says that it needs none", answer.shown()))
        } else {
            answer.missing_route(operation)
        };
        if !self.is_right(operation, how, fault) {
            return false;
        }
        // Routers answer HEAD by GET, whether or not a document says so.
        if operation.method == "GET" && !operation.is_open && !operation.has_head {
            let how = "without a token, to HEAD";
            let asked = ("HEAD", address);
            let answer = self.ask(operation, asked, (Credentials::none(), false), how).await;
            let answer = answer.filter(|it| !it.is_refusal() && !it.is_missing());
            self.is_right(operation, how, answer.map(|answer| answer.shown()));
        }
        let has_certificate = operation.alternatives.iter().any(|it| it.needs_certificate);
        if has_certificate && !operation.is_open && self.api.client.is_some() {
            let how = "with a certificate and without a token";
            let answer = self.ask(operation, asked, (Credentials::none(), true), how).await;
            let fault = answer.and_then(|answer| answer.fault_without_token(operation));
            return self.is_right(operation, how, fault);
        }
        true
    }

    async fn with_all(
        &mut self,
        place: Place<'_>,
        alternative: &Alternative,
        scopes: &[&str],
    ) -> bool {
        let how = match scopes {
            [] => format!("with a token in `{}`", alternative.scheme),
            some => format!("with `{}` in `{}`", some.join(" "), alternative.scheme),
        };
        let asked = (alternative, scopes.to_vec(), Sender::Own);
        let Some(answer) = self.with_token(place, asked, &how).await else { return false };
        let fault = if answer.is_refusal() {
            Some(self.refused(place.address, alternative, &answer))
        } else {
            answer.missing_route(place.operation)
        };
        self.is_right(place.operation, &how, fault)
    }

    /// With what a good token was refused, why, and what to do.
    fn refused(&self, address: &str, alternative: &Alternative, answer: &Answer) -> String {
        let hint = match answer.why() {
            Some(Error::Forbidden(_)) if !alternative.beyond.is_empty() => {
                ": let the token have what is beyond its scopes, by `WantedToken::beyond`"
            }
            Some(Error::Forbidden(_)) | None => "",
            Some(Error::Certificate(_)) if !alternative.needs_certificate => {
                ": the document does not say that it takes a certificate as well"
            }
            Some(Error::Certificate(_)) => {
                ": does the token have `WantedToken::certificate`, and does the client of `OpenApi::mtls_client` come as the policy has it, by TLS or behind a proxy?"
            }
            Some(Error::Dpop(_)) if !alternative.needs_proof() => {
                ": the document does not say that it takes a proof as well"
            }
            Some(why) => match self.api.proofs.filter(|_| alternative.needs_proof()) {
                Some(proofs) => {
                    return format!("{}: {}", answer.status(), proofs.refused(address, why));
                }
                None => ": give a token that the policy accepts",
            },
        };
        format!("{}{hint}", answer.shown())
    }

    /// Whether nobody gets in without the certificate that the document asks for.
    async fn without_certificate(
        &mut self,
        place: Place<'_>,
        alternative: &Alternative,
        scopes: &[&str],
    ) -> bool {
        let mut others = place.operation.alternatives.iter();
        if !alternative.needs_certificate
            || others.any(|other| other.is_met_without_certificate(alternative, scopes))
        {
            return true;
        }
        let senders = [
            (Sender::WithoutCertificate, "without the certificate that its token is bound to"),
            (
                Sender::BoundToNoCertificate,
                "with a token that is bound to no certificate, and without one,",
            ),
        ];
        let is_for_it = |why: &Error| matches!(why, Error::Certificate(_));
        self.none_gets_in(place, (alternative, scopes), &senders, ("one", is_for_it)).await
    }

    /// Whether nobody gets in without a new proof of the key that the token is bound to.
    async fn without_proof(
        &mut self,
        place: Place<'_>,
        alternative: &Alternative,
        scopes: &[&str],
    ) -> bool {
        if !alternative.needs_proof() {
            return true;
        }
        let mut senders = vec![
            (Sender::WithoutProof, "without a proof"),
            // Whatever else the document has: this token is bound (RFC 9449 §7.2).
            (Sender::AsBearer, "with its bound token as a bearer token"),
            (Sender::WithUsedProof, "with the same proof again"),
        ];
        let mut others = place.operation.alternatives.iter();
        if !others.any(|other| other.is_met_as_bearer_token(alternative, scopes)) {
            senders.push((Sender::BoundToNoKey, "with a bearer token that is bound to no key"));
        }
        let is_for_it = |why: &Error| matches!(why, Error::Dpop(_));
        self.none_gets_in(place, (alternative, scopes), &senders, ("a new proof", is_for_it)).await
    }

    /// Whether each of these is refused. `what`: what they lack, and whether an error is for that.
    async fn none_gets_in(
        &mut self,
        place: Place<'_>,
        (alternative, scopes): (&Alternative, &[&str]),
        senders: &[(Sender, &str)],
        what: (&str, impl Fn(&Error) -> bool),
    ) -> bool {
        let mut are_refused = true;
        for (sender, how) in senders {
            let asked = (alternative, scopes.to_vec(), *sender);
            let answer = self.with_token(place, asked, how).await;
            are_refused &= answer.is_some_and(|answer| {
                let fault = answer.fault_of_thief(place.operation, &what);
                self.is_right(place.operation, how, fault)
            });
        }
        are_refused
    }

    async fn without_one(
        &mut self,
        place: Place<'_>,
        alternative: &Alternative,
        rest: Vec<&str>,
        scope: &str,
    ) {
        let how = format!("without the scope `{scope}` in `{}`", alternative.scheme);
        let answer = self.with_token(place, (alternative, rest, Sender::Own), &how).await;
        let fault =
            answer.and_then(|answer| answer.fault_without_scope(place.operation, alternative));
        self.is_right(place.operation, &how, fault);
    }

    async fn with_token(
        &mut self,
        place: Place<'_>,
        (alternative, scopes, sender): (&Alternative, Vec<&str>, Sender),
        how: &str,
    ) -> Option<Answer> {
        let Place { operation, address } = place;
        let needs_certificate = alternative.needs_certificate;
        let has_certificate = needs_certificate && sender != Sender::BoundToNoCertificate;
        let certificate = self.api.client.filter(|_| has_certificate).map(MtlsClient::der);
        let has_key = alternative.needs_proof() && sender != Sender::BoundToNoKey;
        let proofs = self.api.proofs.filter(|_| has_key);
        let key = proofs.map(|proofs| proofs.client.key());
        let wanted = WantedToken { operation, alternative, scopes, certificate, key };
        let token = (self.api.token)(&wanted);
        let presents_certificate = has_certificate && sender != Sender::WithoutCertificate;
        let credentials = match &alternative.presents {
            Presents::Bearer => token.as_str().into(),
            Presents::Dpop => match (sender, proofs) {
                (Sender::WithoutProof, _) => {
                    Credentials::headers(&[("authorization", &format!("DPoP {token}"))])
                }
                // Without a key, there is nothing to prove.
                (Sender::AsBearer, _) | (_, None) => token.as_str().into(),
                (_, Some(proofs)) => {
                    let sent = (proofs, token, sender, presents_certificate);
                    return self.with_proof(place, sent, how).await;
                }
            },
            Presents::Header { name, prefix } => {
                Credentials::headers(&[(name, &format!("{prefix}{token}"))])
            }
            // As a page of the service's own would send it.
            Presents::Cookie { name } => Credentials::headers(&[
                ("cookie", &format!("{name}={token}")),
                ("sec-fetch-site", "same-origin"),
            ]),
            Presents::Query { name } => {
                let mark = if address.contains('?') { '&' } else { '?' };
                let address = format!("{address}{mark}{name}={token}");
                let asked = (operation.method, address.as_str());
                let sent = (Credentials::none(), presents_certificate);
                return self.ask(operation, asked, sent, how).await;
            }
        };
        let sent = (credentials, presents_certificate);
        self.ask(operation, (operation.method, address), sent, how).await
    }

    /// Follows one demand for a nonce.
    async fn with_proof(
        &mut self,
        Place { operation, address }: Place<'_>,
        (proofs, token, sender, presents_certificate): (Proofs<'_>, String, Sender, bool),
        how: &str,
    ) -> Option<Answer> {
        let client = proofs.client.clone().token(token);
        let (url, asked) = (proofs.url(address), (operation.method, address));
        let proven = || {
            let headers = client.headers(operation.method, &url).into_iter();
            headers.fold(Credentials::none(), |all, (name, value)| all.with(name, value))
        };
        let mut credentials = proven();
        let sent = (credentials.clone(), presents_certificate);
        let mut answer = self.ask(operation, asked, sent, how).await?;
        if client.learn(&url, answer.status(), answer.nonces(), answer.asks_for_nonce()) {
            credentials = proven();
            let sent = (credentials.clone(), presents_certificate);
            answer = self.ask(operation, asked, sent, how).await?;
        }
        if sender == Sender::WithUsedProof {
            let sent = (credentials, presents_certificate);
            answer = self.ask(operation, asked, sent, how).await?;
        }
        Some(answer)
    }
}

impl Proofs<'_> {
    /// Which proofs are for.
    fn url(self, address: &str) -> String {
        dpop::address(self.base, address)
    }

    /// Why a good proof was refused, and what to do.
    fn refused(self, address: &str, why: &Error) -> String {
        let proof = GoodProof {
            client: self.client,
            url: &self.url(address),
            path_hint: "put the policy around whatever rewrites the path",
            bind: "Bind the token to `WantedToken::key`",
        };
        proof.refused(why, "Give a token that the policy accepts")
    }
}

impl Answer {
    /// Whether Portcullis refused, or something that challenges as it does. A handler that answers 403 itself ran.
    fn is_refusal(&self) -> bool {
        self.why().is_some()
            || (self.status() == 401 && self.challenges_for_tokens())
            || self.error().is_some()
    }

    /// Whether it challenges for a token that is bound to a key, or one that is not.
    fn challenges_for_tokens(&self) -> bool {
        self.challenges() || self.challenges_for_proofs()
    }

    fn is_missing(&self) -> bool {
        matches!(self.status(), 404 | 405 | 501) && self.why().is_none()
    }

    /// What it answered, and why.
    fn shown(&self) -> String {
        match self.why() {
            Some(why) => format!("{}: {why}", self.status()),
            None => self.status().to_string(),
        }
    }

    fn missing_route(&self, operation: &Operation) -> Option<String> {
        let is_fault = self.is_missing() && !operation.documents(self.status());
        is_fault.then(|| format!("{}: is there such a route?", self.status()))
    }

    fn undocumented(&self, operation: &Operation) -> Option<String> {
        let is_fault = !operation.documents(self.status());
        is_fault.then(|| format!("{}, which is not among its `responses`", self.status()))
    }

    fn fault_without_token(&self, operation: &Operation) -> Option<String> {
        let is_met = match self.why() {
            Some(why) => {
                matches!(why, Error::Source(SourceError::Missing | SourceError::DpopScheme))
                    && !self.is_success()
            }
            None => self.status() == 401 && self.challenges_for_tokens(),
        };
        if is_met {
            return self.undocumented(operation);
        }
        Some(match (self.why(), self.status()) {
            (Some(_), _) => self.shown(),
            (None, 404 | 405 | 501) => format!("{}: is there such a route?", self.status()),
            (None, 401) => "401 without `WWW-Authenticate: Bearer` or `DPoP`".to_owned(),
            (None, _) => format!("{}, though its `security` asks for one", self.status()),
        })
    }

    /// `what`: what its sender lacks, and whether an error is for that.
    fn fault_of_thief(
        &self,
        operation: &Operation,
        (what, is_for_it): &(&str, impl Fn(&Error) -> bool),
    ) -> Option<String> {
        let is_met = match self.why() {
            Some(why) => is_for_it(why) && self.status() == 401,
            None => self.status() == 401 && self.challenges_for_tokens(),
        };
        if is_met {
            return self.undocumented(operation);
        }
        Some(match self.why() {
            Some(_) => self.shown(),
            None => format!("{}, though its `security` asks for {what}", self.status()),
        })
    }

    fn fault_without_scope(
        &self,
        operation: &Operation,
        alternative: &Alternative,
    ) -> Option<String> {
        let is_met = match self.why() {
            Some(why) => matches!(why, Error::Forbidden(_)) && !self.is_success(),
            None => self.status() == 403 && self.error() == Some("insufficient_scope"),
        };
        if !is_met {
            return Some(match self.why() {
                Some(_) => self.shown(),
                None => format!("{}, and not as a requirement does", self.status()),
            });
        }
        let Some(challenged) = self.scope() else {
            return Some(format!("{} without a scope in its challenge", self.status()));
        };
        // Of several alternatives, a client is told one.
        let challenged_scopes: Vec<_> = challenged.split(' ').collect();
        if !operation.alternatives.iter().any(|one| one.has_exactly(&challenged_scopes)) {
            return Some(format!(
                "{} with a challenge for `{challenged}`, and the document asks for `{}`",
                self.status(),
                alternative.scopes.join(" ")
            ));
        }
        self.undocumented(operation)
    }
}
