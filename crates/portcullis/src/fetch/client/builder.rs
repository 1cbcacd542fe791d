//! The options of a client.
use core::fmt;
use core::time::Duration;
use std::net::IpAddr;

use ::pem::Pem;
use ::reqwest::{Certificate, Identity, NoProxy, Proxy, redirect};
use url::Host;
use zeroize::Zeroizing;

use super::fault::{ClientError, ClientFault, PemFault};
use super::{Client, reason};
use crate::fetch::{SettingFault, proxy_fault};
use crate::setting::Words;
use crate::text::pem_blocks;

/// What servers see of us.
const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// The options of a [`Client`], which [`build`](Self::build) makes.
///
/// Settings that are said twice and not alike are a fault.
#[derive(Clone)]
#[must_use]
pub struct ClientBuilder {
    pub(super) connect_timeout: Duration,
    root_certificates: Vec<Vec<u8>>,
    has_system_roots: bool,
    client_certificate: Option<ClientCertificate>,
    pub(super) proxy: Option<String>,
    proxy_basic_auth: Option<(String, Zeroizing<String>)>,
    no_proxy: Vec<String>,
    words: Words,
}

/// In PEM.
#[derive(Clone, PartialEq)]
struct ClientCertificate {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// Who may sign a server's certificate.
pub(super) enum Roots {
    System,
    Only(Vec<Certificate>),
    SystemAnd(Vec<Certificate>),
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            root_certificates: Vec::new(),
            has_system_roots: false,
            client_certificate: None,
            proxy: None,
            proxy_basic_auth: None,
            no_proxy: Vec::new(),
            words: Words::default(),
        }
    }

    /// How long to wait for a connection, name and TLS included. 1 ms to 60 s.
    ///
    /// If you do not call it: 2 s.
    pub fn connect_timeout(mut self, duration: Duration) -> Self {
        self.words.say("connect_timeout", &mut self.connect_timeout, duration);
        self
    }

    /// Trusts servers whose certificates these authorities signed, **and no others**: certificates in
    /// PEM, one or several. Each is that of an authority, not that of a server.
    ///
    /// Whoever can have a certificate made for the key server decides which keys are trusted. Of an authority
    /// of your own, that is you; the operating system has over a hundred others. To trust those as well, call
    /// [`system_root_certificates`](Self::system_root_certificates).
    ///
    /// Called again, all are trusted. If you do not call it: the authorities of the operating system.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Trusts the authorities of the operating system besides the
    /// [root certificates](Self::root_certificates): where one client asks servers inside and outside.
    ///
    /// If you do not call it: they are trusted only where no root certificates are named.
    pub fn system_root_certificates(mut self) -> Self {
        self.has_system_roots = true;
        self
    }

    /// Proves to servers that ask for it who this service is (mutual TLS): a certificate in PEM, followed by
    /// those that lead to its authority, and the private key, in PEM and not encrypted. PKCS#8, `EC PRIVATE
    /// KEY` or `RSA PRIVATE KEY`. Each may hold other blocks, so a file with both may be given twice.
    ///
    /// The files are not watched: build another client when they change.
    ///
    /// If you do not call it: a server that demands a certificate ends the connection.
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        let certificate =
            ClientCertificate { chain: chain.into(), key: Zeroizing::new(key.into()) };
        self.words.say("client_certificate", &mut self.client_certificate, Some(certificate));
        self
    }

    /// A proxy to fetch through: `http://proxy.internal:3128`. What is fetched from `https` goes through a
    /// tunnel, whose ends are this program and the server.
    ///
    /// If you do not call it: no proxy. The variables of the environment (`HTTPS_PROXY`) do not count, since
    /// whoever sets them would decide where keys come from.
    pub fn proxy(mut self, address: impl Into<String>) -> Self {
        self.words.say("proxy", &mut self.proxy, Some(address.into()));
        self
    }

    /// The user and password that the [proxy](Self::proxy) wants (RFC 7617). Over `http://`, whoever is on the
    /// way to the proxy reads them.
    ///
    /// If you do not call it: the proxy is told nothing.
    pub fn proxy_basic_auth(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        let login = (user.into(), Zeroizing::new(password.into()));
        self.words.say("proxy_basic_auth", &mut self.proxy_basic_auth, Some(login));
        self
    }

    /// Fetches from this host without the [proxy](Self::proxy), and from hosts below it: `id.internal`. For a
    /// server whose address has an IP address for its host, that address or its network: `10.0.0.0/8`.
    ///
    /// Called again, all are. If you do not call it: everything goes through the proxy, loopback included.
    pub fn no_proxy(mut self, host: impl Into<String>) -> Self {
        self.no_proxy.push(host.into());
        self
    }

    /// Makes the client. Reads the root certificates of the operating system where they count.
    ///
    /// # Errors
    ///
    /// A setting is out of its bounds, a certificate or key cannot be used, or the operating system has no root
    /// certificates.
    pub fn build(self) -> Result<Client, ClientError> {
        let mut faults: Vec<_> = self.setting_faults().map(ClientFault::Setting).collect();
        let roots = self.roots().map_err(|fault| faults.push(ClientFault::RootCertificates(fault)));
        let identity =
            self.identity().map_err(|fault| faults.push(ClientFault::ClientCertificate(fault)));
        ClientError::check(faults)?;
        let (roots, identity) = (roots.unwrap_or(Roots::System), identity.unwrap_or(None));
        self.finish(roots, identity).map_err(|error| ClientFault::Tls(reason(error)).into())
    }

    fn setting_faults(&self) -> impl Iterator<Item = SettingFault> {
        let bounds = Duration::from_millis(1)..=Duration::from_secs(60);
        let is_bad_timeout = !bounds.contains(&self.connect_timeout);
        let is_bad_login = self.proxy_basic_auth.as_ref().is_some_and(|(user, _)| {
            self.proxy.is_none() || user.bytes().any(|byte| byte == b':' || byte.is_ascii_control())
        });
        let is_bad_host = self.no_proxy.iter().any(|host| direct(host).is_none())
            || (self.proxy.is_none() && !self.no_proxy.is_empty());
        let fault =
            |is_bad: bool, setting, allowed| is_bad.then_some(SettingFault { setting, allowed });
        let twice = self.words.contradicted().map(SettingFault::said_twice);
        let faults = [
            fault(is_bad_timeout, "connect_timeout", "1 ms to 60 s"),
            proxy_fault(self.proxy.as_deref()),
            fault(
                is_bad_login,
                "proxy_basic_auth",
                "said together with `proxy`, and of a user without a colon",
            ),
            fault(
                is_bad_host,
                "no_proxy",
                "said together with `proxy`, and a host, an IP address or a network such as `10.0.0.0/8`",
            ),
        ];
        faults.into_iter().flatten().chain(twice)
    }

    fn roots(&self) -> Result<Roots, PemFault> {
        if self.root_certificates.is_empty() {
            return Ok(Roots::System);
        }
        let mut roots = Vec::new();
        for pem in &self.root_certificates {
            for block in pem_blocks(pem).ok_or(PemFault::NotPem)? {
                if block.tag() != "CERTIFICATE" {
                    let label = block.tag().chars().flat_map(char::escape_debug).take(64).collect();
                    return Err(PemFault::NotACertificate { label });
                }
                roots.push(Certificate::from_der(block.contents()).map_err(unusable)?);
            }
        }
        // They are read when a client is built, and it is not said then what is wrong.
        bare().tls_certs_only(roots.clone()).build().map_err(unusable)?;
        Ok(if self.has_system_roots { Roots::SystemAnd(roots) } else { Roots::Only(roots) })
    }

    fn identity(&self) -> Result<Option<Identity>, PemFault> {
        let Some(ClientCertificate { chain, key }) = &self.client_certificate else {
            return Ok(None);
        };
        let mut blocks = pem_blocks(chain).ok_or(PemFault::NotPem)?;
        blocks.retain(|block| block.tag() == "CERTIFICATE");
        if blocks.is_empty() {
            return Err(PemFault::NoCertificate);
        }
        let mut keys = pem_blocks(key).ok_or(PemFault::NotPem)?;
        keys.retain(|block| block.tag().ends_with("PRIVATE KEY"));
        if keys.iter().any(is_encrypted) {
            return Err(PemFault::EncryptedKey);
        }
        match keys.len() {
            0 => return Err(PemFault::NoKey),
            1 => blocks.extend(keys),
            _ => return Err(PemFault::SeveralKeys),
        }
        let pem = Zeroizing::new(::pem::encode_many(&blocks));
        blocks.into_iter().for_each(|block| drop(Zeroizing::new(block.into_contents())));
        let identity = Identity::from_pem(pem.as_bytes()).map_err(unusable)?;
        // As above.
        bare().tls_certs_only([]).identity(identity.clone()).build().map_err(unusable)?;
        Ok(Some(identity))
    }

    pub(super) fn finish(
        &self,
        roots: Roots,
        identity: Option<Identity>,
    ) -> Result<Client, ::reqwest::Error> {
        let mut builder = bare()
            .user_agent(USER_AGENT)
            .connect_timeout(self.connect_timeout)
            // An address that redirects is not the one that was configured, and may lead inside.
            .redirect(redirect::Policy::none())
            .referer(false)
            // Fetches are minutes apart.
            .pool_idle_timeout(Duration::from_secs(5));
        builder = match roots {
            Roots::System => builder,
            Roots::Only(roots) => builder.tls_certs_only(roots),
            Roots::SystemAnd(roots) => builder.tls_certs_merge(roots),
        };
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        if let Some(address) = &self.proxy {
            let direct: Vec<_> = self.no_proxy.iter().filter_map(|host| direct(host)).collect();
            let mut proxy = Proxy::all(address)?.no_proxy(NoProxy::from_string(&direct.join(",")));
            if let Some((user, password)) = &self.proxy_basic_auth {
                proxy = proxy.basic_auth(user, password);
            }
            builder = builder.proxy(proxy);
        }
        builder.build().map(Client)
    }
}

/// What every client has, whatever other crates make of reqwest's defaults.
fn bare() -> ::reqwest::ClientBuilder {
    // The environment does not decide where keys come from.
    ::reqwest::Client::builder().tls_backend_rustls().no_proxy()
}

fn unusable(error: ::reqwest::Error) -> PemFault {
    PemFault::Unusable(reason(error))
}

/// RFC 5958 §3 (`ENCRYPTED PRIVATE KEY`), or RFC 1421 §4.6.1.1, as OpenSSL wrote keys before.
fn is_encrypted(block: &Pem) -> bool {
    block.tag().starts_with("ENCRYPTED") || block.headers().get("Proc-Type").is_some()
}

/// A host, IP address or network as reqwest reads it: it takes a comma for two hosts, and a star for all.
fn direct(host: &str) -> Option<String> {
    if let Some((address, bits)) = host.split_once('/') {
        let most = if address.parse::<IpAddr>().ok()?.is_ipv4() { 32 } else { 128 };
        let is_number = bits.bytes().all(|byte| byte.is_ascii_digit());
        let is_network = is_number && bits.parse::<u8>().is_ok_and(|bits| bits <= most);
        return is_network.then(|| host.to_owned());
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    match Host::parse(host.strip_prefix('.').unwrap_or(host)).ok()? {
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(address.to_string()),
        Host::Domain(name) => {
            let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            name.bytes().all(is_fit).then_some(name)
        }
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_the_proxy_is_a_name_an_ip_address_or_a_network() {
        for (host, expected) in [
            ("id.internal", "id.internal"),
            (".Internal", "internal"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(direct(host).as_deref(), Some(expected), "{host}");
        }
        for host in [
            "",
            ".",
            "*",
            "*.internal",
            "a,b",
            "a b",
            "https://a",
            "a:1",
            "a/b",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
        ] {
            assert_eq!(direct(host), None, "{host}");
        }
    }
}
