//! How a server is reached, and under which names its keys stand: what all stores of this crate are told alike.
use core::time::Duration;

use crate::address::Address;
use crate::connection::{Connector, Place, tls};
use crate::error::RedisError;

/// The port of Redis.
const PORT: u16 = 6379;

/// The port of Sentinel.
const SENTINEL_PORT: u16 = 26379;

/// What names of keys begin with where nobody said otherwise.
const PREFIX: &str = "portcullis";

#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) place: Place,
    prefix: Option<String>,
    /// Of which two different ones were said.
    torn: Option<&'static str>,
    root: Option<Vec<u8>>,
    /// A chain and its key, as PEM.
    client: Option<(Vec<u8>, Vec<u8>)>,
    timeout: Option<Duration>,
}

impl Access {
    fn new(place: Place) -> Self {
        Self { place, prefix: None, torn: None, root: None, client: None, timeout: None }
    }

    pub(crate) fn server(url: &str) -> Result<Self, RedisError> {
        Ok(Self::new(Place::Server(Address::read(url, PORT)?)))
    }

    pub(crate) fn sentinel<'u>(
        sentinels: impl IntoIterator<Item = &'u str>,
        name: String,
        server: &str,
    ) -> Result<Self, RedisError> {
        let sentinels = addresses(sentinels, SENTINEL_PORT)?;
        let server = Address::read(server, PORT)?;
        Ok(Self::new(Place::Sentinel { sentinels, name, server }))
    }

    pub(crate) fn cluster<'u>(
        nodes: impl IntoIterator<Item = &'u str>,
    ) -> Result<Self, RedisError> {
        Ok(Self::new(Place::Cluster { nodes: addresses(nodes, PORT)? }))
    }

    pub(crate) fn prefix(&mut self, prefix: String) {
        if self.prefix.as_ref().is_some_and(|before| *before != prefix) {
            self.torn = Some("`prefix` is set twice, to different values: leave one out");
        }
        self.prefix = Some(prefix);
    }

    pub(crate) fn root_certificates(&mut self, pem: &[u8]) {
        let all = self.root.get_or_insert_default();
        all.extend_from_slice(b"\n");
        all.extend_from_slice(pem);
    }

    pub(crate) fn client_certificate(&mut self, chain: Vec<u8>, key: Vec<u8>) {
        let client = (chain, key);
        if self.client.as_ref().is_some_and(|before| *before != client) {
            self.torn =
                Some("`client_certificate` is set twice, to different values: leave one out");
        }
        self.client = Some(client);
    }

    pub(crate) fn timeout(&mut self, timeout: Duration) {
        self.timeout = shortest(self.timeout, timeout);
    }

    pub(crate) fn answer_timeout(&self, unless_said: Duration) -> Duration {
        self.timeout.unwrap_or(unless_said)
    }

    pub(crate) fn prefix_of_keys(&self) -> &str {
        self.prefix.as_deref().unwrap_or(PREFIX)
    }

    /// What makes no sense.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let prefix = self.prefix_of_keys();
        if prefix.is_empty() || prefix.contains(['{', '}']) {
            return self.torn.or(Some("`prefix` is a name without braces"));
        }
        self.torn
    }

    /// For a server that serves the slot of this key.
    pub(crate) fn connector(
        &self,
        timeout: Duration,
        key: String,
    ) -> Result<Connector, RedisError> {
        let needs_tls = match &self.place {
            Place::Server(server) => server.is_tls,
            Place::Sentinel { sentinels, server, .. } => {
                server.is_tls || sentinels.iter().any(|sentinel| sentinel.is_tls)
            }
            Place::Cluster { nodes } => nodes.iter().any(|node| node.is_tls),
        };
        let client = self.client.as_ref().map(|(chain, key)| (&**chain, &**key));
        let tls = || tls(self.root.as_deref(), client);
        let tls = if needs_tls { Some(tls()?) } else { None };
        Ok(Connector { place: self.place.clone(), tls, timeout, key })
    }
}

pub(crate) fn shortest(before: Option<Duration>, said: Duration) -> Option<Duration> {
    Some(before.map_or(said, |before| before.min(said)))
}

fn addresses<'u>(
    urls: impl IntoIterator<Item = &'u str>,
    port: u16,
) -> Result<Vec<Address>, RedisError> {
    let addresses = urls.into_iter().map(|url| Address::read(url, port));
    let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
    if addresses.is_empty() { Err(RedisError::Address) } else { Ok(addresses) }
}
