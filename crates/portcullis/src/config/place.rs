//! Where a fault that building the policy finds stands in its data.
use super::fault::ConfigProblem;
use super::reader::Reader;
use crate::dpop::{DpopFault, MAX_WINDOW};
use crate::keys::SecretFault;
#[cfg(feature = "remote-jwks")]
use crate::keys::remote::RemoteJwksError;
use crate::mtls::MtlsFault;
use crate::policy::PolicyFault;
use crate::source::{Kind, TokenSource};

/// Where settings came from.
#[derive(Default)]
pub(super) struct Sites {
    pub(super) issuers: Vec<IssuerSite>,
    /// Each with its place.
    pub(super) sources: Vec<(TokenSource, String)>,
    /// Place and origin.
    pub(super) origins: Vec<(String, String)>,
    /// The places of the addresses that proofs are for.
    pub(super) bases: Vec<String>,
    /// Those of the files with secrets of nonces.
    pub(super) nonce_secrets: Vec<String>,
    /// Those of the addresses of trusted proxies.
    pub(super) proxies: Vec<String>,
}

/// Where an issuer's settings came from.
#[derive(Default)]
pub(super) struct IssuerSite {
    /// Of no other issuer.
    pub(super) name: String,
    /// The place of its name.
    pub(super) identity: String,
    pub(super) place: String,
    /// Whether its keys are fetched from where its metadata say.
    #[cfg(feature = "remote-jwks")]
    pub(super) is_discovered: bool,
    /// Whether it names clients in the place of audiences.
    pub(super) by_client: bool,
    /// What a fault calls each secret, and its place.
    pub(super) secrets: Vec<(String, String)>,
}

#[cfg(feature = "remote-jwks")]
impl IssuerSite {
    /// Whether its name stands for many.
    pub(super) fn is_template(&self) -> bool {
        self.identity.strip_prefix(&self.place) == Some(".template")
    }
}

impl Sites {
    /// Notes what building found, but for what only follows from faults that are known already.
    pub(super) fn refuse<'f>(
        &self,
        found: impl IntoIterator<Item = &'f PolicyFault>,
        reader: &Reader<'_>,
    ) {
        let located = found.into_iter().filter_map(|fault| {
            let (place, causes) = self.locate(fault);
            let is_new = !causes.iter().any(|cause| reader.has_faults_within(cause));
            is_new.then(|| (place, fault.clone()))
        });
        // All are judged before one is noted: none of them explains another.
        for (place, fault) in located.collect::<Vec<_>>() {
            reader.refuse(place, ConfigProblem::Policy(fault));
        }
    }

    /// The place of a fault, and the places of which a fault would explain it.
    #[allow(clippy::too_many_lines, reason = "one match, with an arm for each")]
    fn locate(&self, fault: &PolicyFault) -> (String, Vec<String>) {
        let alone = |place: String| (place, Vec::new());
        let itself = |place: String| (place.clone(), vec![place]);
        match fault {
            PolicyFault::NoIssuer => itself("issuer".to_owned()),
            // The store in the place of one that there is not says nothing of secrets.
            PolicyFault::Dpop(fault @ DpopFault::SharedNonces) => {
                (self.dpop(fault), vec!["dpop.nonce_secrets".to_owned(), "dpop.replay".to_owned()])
            }
            PolicyFault::Dpop(fault) => itself(self.dpop(fault)),
            // The server's own TLS stands in for what is not known.
            PolicyFault::Mtls(fault @ MtlsFault::ProxiesOfTls) => {
                (self.mtls(*fault), vec!["mtls.certificate".to_owned()])
            }
            PolicyFault::Mtls(fault) => itself(self.mtls(*fault)),
            PolicyFault::SaidTwice { place, setting } => alone(self.said(place, setting)),
            PolicyFault::DuplicateIssuer { issuer } => alone(self.identity(issuer)),
            PolicyFault::EmptyIssuer => alone(self.identity("")),
            PolicyFault::MetadataAddress { issuer } | PolicyFault::Braces { issuer } => {
                itself(self.identity(issuer))
            }
            PolicyFault::NoAlgorithm { issuer } => itself(self.below(issuer, "algorithms")),
            PolicyFault::NoKeys { issuer } => itself(self.below(issuer, "keys")),
            PolicyFault::NoAudience { issuer } => itself(self.audience(issuer)),
            PolicyFault::WhiteSpace { issuer, text } if issuer == text => {
                alone(self.identity(issuer))
            }
            PolicyFault::WhiteSpace { issuer, .. } => alone(self.audience(issuer)),
            PolicyFault::NoTokenType { issuer } => itself(self.below(issuer, "token_type")),
            PolicyFault::NoScopeClaim { issuer } => itself(self.below(issuer, "scope_claims")),
            PolicyFault::UnusableAlgorithm { issuer, .. } => {
                (self.below(issuer, "algorithms"), vec![self.below(issuer, "keys")])
            }
            PolicyFault::UnusedKeys { issuer, .. } => {
                (self.below(issuer, "keys"), vec![self.below(issuer, "algorithms")])
            }
            PolicyFault::TooManyCandidates { issuer, .. } => {
                (self.below(issuer, "keys"), vec![self.below(issuer, "require_key_id")])
            }
            PolicyFault::Secret { issuer, secret, fault } => {
                let causes = match fault {
                    SecretFault::NoAlgorithm => vec![self.below(issuer, "algorithms")],
                    _ => Vec::new(),
                };
                (self.secret(issuer, secret), causes)
            }
            PolicyFault::KeyFile { issuer, .. } => alone(self.below(issuer, "keys")),
            #[cfg(feature = "remote-jwks")]
            PolicyFault::RemoteKeys { issuer, error } => self.remote_keys(issuer, error),
            #[cfg(feature = "remote-jwks")]
            PolicyFault::Template { issuer } => itself(self.identity(issuer)),
            #[cfg(feature = "remote-jwks")]
            PolicyFault::KnownTenant { issuer, .. } => alone(self.below(issuer, "known_tenants")),
            #[cfg(feature = "remote-jwks")]
            PolicyFault::Tenants { issuer, fault } => alone(self.below(issuer, fault.setting)),
            // Only code can ask for them, which may add to what a file says.
            #[cfg(feature = "status-list")]
            PolicyFault::StatusLists { .. } => alone("status_lists".to_owned()),
            PolicyFault::Leeway { place, .. } => alone(self.claim_setting(place, "leeway")),
            PolicyFault::Lifetime { place, .. } => alone(self.claim_setting(place, "max_lifetime")),
            PolicyFault::ZeroDuration { place, setting } => {
                alone(self.claim_setting(place, setting))
            }
            PolicyFault::NamelessClaim { place } => alone(self.claims(place)),
            PolicyFault::Contradiction { place, claim } => {
                let setting = |name: &str| self.claim_setting(place, name);
                (setting("forbidden"), vec![setting(&format!("one_of.{claim}"))])
            }
            PolicyFault::NoSource => itself("sources".to_owned()),
            PolicyFault::DuplicateSource => alone(self.duplicate_source()),
            PolicyFault::SourceName { name } | PolicyFault::CookiePrefix { name } => {
                alone(self.source(name))
            }
            // An algorithm that could not be read may be a smaller one.
            PolicyFault::CookieTooSmall { name, .. } => {
                (self.source(name), vec!["issuer".to_owned()])
            }
            PolicyFault::CookieHeader => alone(self.source("cookie")),
            PolicyFault::WebSocketHeader => alone(self.source("sec-websocket-protocol")),
            PolicyFault::Name { .. } => alone("name".to_owned()),
            PolicyFault::TokenLimit { .. } => alone("token_limit".to_owned()),
            PolicyFault::HeaderLimit { .. } => alone("header_limit".to_owned()),
            PolicyFault::TokenCache { .. } => alone("token_cache".to_owned()),
            PolicyFault::Revocations { place, .. } => {
                alone(self.claim_setting(place, "max_lifetime"))
            }
            // Only code can name one.
            PolicyFault::ProtectedResource { .. } => alone("protected_resource".to_owned()),
            PolicyFault::Origin { origin } => {
                let own = self.origins.iter().find(|(_, own)| own == origin);
                alone(own.map_or("allowed_origins", |(place, _)| place).to_owned())
            }
            PolicyFault::Text { setting } => alone(format!("presentation.{setting}")),
        }
    }

    #[cfg(feature = "remote-jwks")]
    fn remote_keys(&self, issuer: &str, error: &RemoteJwksError) -> (String, Vec<String>) {
        let below = |key| self.below(issuer, key);
        match error {
            RemoteJwksError::Address { .. } => {
                let is_discovered = self.issuer(issuer).is_some_and(|site| site.is_discovered);
                let address =
                    if is_discovered { self.identity(issuer) } else { below("keys.jwks_url") };
                // Of a name that is at fault, no address can be made; and a host without TLS may be
                // named by what is.
                (address.clone(), vec![address, below("dangerous")])
            }
            RemoteJwksError::FirstFetch(_) => (below("keys.load_at_start"), Vec::new()),
            RemoteJwksError::Settings(faults)
                if faults.iter().any(|fault| fault.setting == "allow_http") =>
            {
                (below("dangerous.allow_http"), Vec::new())
            }
            // The others were judged when they were read.
            RemoteJwksError::Settings(_) | RemoteJwksError::Thread(_) => {
                (below("keys"), Vec::new())
            }
        }
    }

    fn mtls(&self, fault: MtlsFault) -> String {
        let proxies = || "mtls.trusted_proxies".to_owned();
        match fault {
            MtlsFault::Header => "mtls.header".to_owned(),
            MtlsFault::Proxy { at, .. } => self.proxies.get(at).cloned().unwrap_or_else(proxies),
            MtlsFault::Proxies { .. } | MtlsFault::ProxiesOfTls => proxies(),
        }
    }

    fn dpop(&self, fault: &DpopFault) -> String {
        let own = |key: &str| format!("dpop.{key}");
        match fault {
            DpopFault::Bases { .. } => own("base_urls"),
            DpopFault::Base { at, .. } => {
                self.bases.get(*at).cloned().unwrap_or_else(|| own("base_urls"))
            }
            DpopFault::NoAlgorithm | DpopFault::Secret { .. } => own("algorithms"),
            DpopFault::NonceSecret { at, .. } | DpopFault::NonceSecretShort { at, .. } => {
                self.nonce_secrets.get(*at).cloned().unwrap_or_else(|| own("nonce_secrets"))
            }
            DpopFault::NonceSecrets { .. } | DpopFault::SharedNonces => own("nonce_secrets"),
            DpopFault::Window { past, .. } if past.is_zero() || *past > MAX_WINDOW => {
                own("window.past")
            }
            DpopFault::Window { .. } => own("window.future"),
        }
    }

    fn issuer(&self, name: &str) -> Option<&IssuerSite> {
        self.issuers.iter().find(|site| site.name == name)
    }

    /// The place of an issuer's name.
    fn identity(&self, name: &str) -> String {
        self.issuer(name).map_or("issuer", |site| &site.identity).to_owned()
    }

    /// The place of an issuer's audiences, or of what stands in for them.
    fn audience(&self, name: &str) -> String {
        let by_client = self.issuer(name).is_some_and(|site| site.by_client);
        self.below(name, if by_client { "client_ids_instead_of_audience" } else { "audiences" })
    }

    /// The place of an issuer's setting.
    fn below(&self, name: &str, key: &str) -> String {
        match self.issuer(name) {
            Some(site) => format!("{}.{key}", site.place),
            None => "issuer".to_owned(),
        }
    }

    fn secret(&self, issuer: &str, label: &str) -> String {
        let site = self.issuer(issuer);
        let mut own =
            site.into_iter().flat_map(|site| &site.secrets).filter(|(own, _)| own == label);
        match (own.next(), own.next()) {
            (Some((_, place)), None) => place.clone(),
            // Several of one file or variable: which one, the fault does not say.
            _ => self.below(issuer, "keys.secrets"),
        }
    }

    /// The place of a setting of claims, by what the fault calls whose rules it is in.
    fn claim_setting(&self, whose: &str, setting: &str) -> String {
        format!("{}.{setting}", self.claims(whose))
    }

    fn claims(&self, whose: &str) -> String {
        match whose.strip_prefix("issuer `").and_then(|rest| rest.strip_suffix('`')) {
            Some(name) => self.below(name, "claims"),
            None => "claims".to_owned(),
        }
    }

    /// The place of a setting that code said besides.
    fn said(&self, whose: &str, setting: &str) -> String {
        match setting {
            "leeway" | "max_lifetime" | "max_age" => self.claim_setting(whose, setting),
            "realm" | "resource_metadata" | "problem_base" | "scopes" => {
                format!("presentation.{setting}")
            }
            // Issuers of a file and those of code do not meet; the rest is of the top level, or of code alone.
            _ => setting.to_owned(),
        }
    }

    fn source(&self, name: &str) -> String {
        let own = self.sources.iter().find(|(source, _)| match &source.0 {
            Kind::Bearer => false,
            Kind::Cookie { cookie, .. } => cookie.name() == name,
            Kind::Header { name: own, .. }
            | Kind::WebSocketProtocol { marker: own }
            | Kind::Query { name: own } => own == name,
        });
        own.map_or("sources", |(_, place)| place).to_owned()
    }

    fn duplicate_source(&self) -> String {
        let second = self.sources.iter().enumerate().find(|(at, (source, _))| {
            self.sources[..*at].iter().any(|(earlier, _)| earlier == source)
        });
        second.map_or("sources", |(_, (_, place))| place).to_owned()
    }
}
