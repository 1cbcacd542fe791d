//! To the server that takes writes.
use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::address::Address;
use crate::error::RedisError;

/// How soon a connection that broke is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(50);

/// How the server is found.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Server(Address),
    /// The master that these say there is.
    Sentinel {
        sentinels: Vec<Address>,
        name: String,
        server: Address,
    },
    /// The node of a cluster that serves the slot of our keys.
    Cluster {
        nodes: Vec<Address>,
    },
}

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) place: Place,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// For one answer.
    pub(crate) timeout: Duration,
    /// A key of ours, for its slot.
    pub(crate) key: String,
}

/// A connection, and which server it leads to.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) redis: MultiplexedConnection,
    /// Changes when the server starts anew, or continues another one's data.
    pub(crate) incarnation: String,
}

/// TLS with what this process trusts, with its certificate and the key of that, and with no provider of cryptography but
/// ours.
pub(crate) fn tls(
    root: Option<&[u8]>,
    client: Option<(&[u8], &[u8])>,
) -> Result<Arc<ClientConfig>, RedisError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| RedisError::Certificates)?;
    let builder = match root {
        None => builder.with_platform_verifier().map_err(|_| RedisError::Certificates)?,
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| RedisError::Certificates)?;
                roots.add(certificate).map_err(|_| RedisError::Certificates)?;
            }
            if roots.is_empty() {
                return Err(RedisError::Certificates);
            }
            builder.with_root_certificates(roots)
        }
    };
    let Some((chain, key)) = client else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let key = PrivateKeyDer::from_pem_slice(key).ok();
    let (Some(chain), Some(key)) = (chain, key) else {
        return Err(RedisError::ClientCertificate);
    };
    let config = builder.with_client_auth_cert(chain, key);
    config.map(Arc::new).map_err(|_| RedisError::ClientCertificate)
}

/// What comes of the first that it can be had of, or else of the last. None of them has more than its share of the
/// time, so that one that leads nowhere does not hide the others. `None`: there are none.
async fn first<'a, A, T, F: Future<Output = Result<T, RedisError>>>(
    all: &'a [A],
    time: Duration,
    ask: impl Fn(&'a A) -> F,
) -> Option<Result<T, RedisError>> {
    let share = time / u32::try_from(all.len().max(1)).unwrap_or(u32::MAX);
    let mut last = None;
    for one in all {
        let result = timeout(share, ask(one))
            .await
            .unwrap_or_else(|_| Err(failed("no answer came in time")));
        let is_over = result.is_ok();
        last = Some(result);
        if is_over {
            break;
        }
    }
    last
}

pub(crate) fn failed(reason: impl fmt::Display) -> RedisError {
    RedisError::Connection { reason: reason.to_string() }
}

/// How long to wait before a connection that broke is tried again, each time: longer and longer, and at most so long.
pub(crate) fn retry_delays(longest: Duration) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_RETRY)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

impl Connector {
    /// A connection on which an answer may take `wait` longer than others.
    pub(crate) async fn open(&self, wait: Duration) -> Result<Connection, RedisError> {
        let address = self.find().await?;
        let mut redis = self.dial(&address, wait).await?;
        let info = info(&mut redis).await?;
        is_master_that_keeps(&info)?;
        if memory(&info).is_some_and(|(used, most)| used >= most) {
            return Err(RedisError::Memory);
        }
        let incarnation = incarnation(&info)?;
        Ok(Connection { redis, incarnation })
    }

    /// Where the server is that takes writes, as the first says that can be asked.
    async fn find(&self) -> Result<Address, RedisError> {
        let asked = match &self.place {
            Place::Server(address) => return Ok(address.clone()),
            Place::Sentinel { sentinels, .. } => sentinels,
            Place::Cluster { nodes } => nodes,
        };
        first(asked, self.timeout, |address| self.ask(address))
            .await
            .unwrap_or(Err(RedisError::Address))
    }

    async fn ask(&self, address: &Address) -> Result<Address, RedisError> {
        let redis = self.dial(address, Duration::ZERO).await?;
        match &self.place {
            Place::Sentinel { name, server, .. } => master(redis, name, server).await,
            Place::Server(_) | Place::Cluster { .. } => self.node_of_slot(redis, address).await,
        }
    }

    async fn node_of_slot(
        &self,
        mut node: MultiplexedConnection,
        seed: &Address,
    ) -> Result<Address, RedisError> {
        type Range = (u64, u64, Vec<redis::Value>);
        let slot: u64 =
            redis::cmd("CLUSTER").arg("KEYSLOT").arg(&self.key).query_async(&mut node).await?;
        let ranges: Vec<Vec<redis::Value>> =
            redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut node).await?;
        let ranges = ranges.into_iter().filter_map(|range| {
            let mut range = range.into_iter();
            let start = redis::from_redis_value(range.next()?).ok()?;
            let end = redis::from_redis_value(range.next()?).ok()?;
            let redis::Value::Array(master) = range.next()? else { return None };
            Some::<Range>((start, end, master))
        });
        let mut ranges = ranges.filter(|(start, end, _)| (*start..=*end).contains(&slot));
        let (.., master) = ranges.next().ok_or_else(|| failed("no node serves the slot"))?;
        let mut master = master.into_iter();
        let host: Option<String> =
            master.next().and_then(|host| redis::from_redis_value(host).ok());
        let port = master.next().and_then(|port| redis::from_redis_value(port).ok());
        let port = port.ok_or_else(|| failed("a node of the cluster has no port"))?;
        Ok(seed.at(&host.unwrap_or_default(), port))
    }

    async fn dial(
        &self,
        address: &Address,
        wait: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let dial = async {
            let stream = self.reach(address).await?;
            stream.set_nodelay(true).map_err(failed)?;
            match (&self.tls, address.is_tls) {
                (Some(tls), true) => {
                    let name = ServerName::try_from(address.host.to_string())
                        .map_err(|_| RedisError::Address)?;
                    let connector = TlsConnector::from(Arc::clone(tls));
                    let stream = connector.connect(name, stream).await.map_err(failed)?;
                    self.greet(&address.login, stream, wait).await
                }
                _ => self.greet(&address.login, stream, wait).await,
            }
        };
        timeout(self.timeout, dial).await.map_err(|_| failed("no answer came in time"))?
    }

    /// The first of the host's addresses that answers.
    async fn reach(&self, address: &Address) -> Result<TcpStream, RedisError> {
        let found = lookup_host((&*address.host, address.port)).await.map_err(failed)?;
        let found: Vec<_> = found.collect();
        let connect =
            async |address: &SocketAddr| TcpStream::connect(address).await.map_err(failed);
        let reached = first(&found, self.timeout, connect).await;
        reached.unwrap_or_else(|| Err(failed("the host has no address")))
    }

    async fn greet<S>(
        &self,
        login: &RedisConnectionInfo,
        stream: S,
        wait: Duration,
    ) -> Result<MultiplexedConnection, RedisError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.timeout + wait));
        let (redis, driver) = MultiplexedConnection::new_with_config(login, stream, config).await?;
        // It ends with the last clone of the connection.
        tokio::spawn(driver);
        Ok(redis)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

async fn master(
    mut sentinel: MultiplexedConnection,
    name: &str,
    server: &Address,
) -> Result<Address, RedisError> {
    let mut question = redis::cmd("SENTINEL");
    question.arg("get-master-addr-by-name").arg(name);
    let master: Option<(String, u16)> = question.query_async(&mut sentinel).await?;
    let (host, port) = master.ok_or_else(|| failed("Sentinel knows no such master"))?;
    Ok(server.at(&host, port))
}

async fn info(redis: &mut MultiplexedConnection) -> Result<String, RedisError> {
    Ok(redis::cmd("INFO").query_async(redis).await?)
}

/// What a server's `INFO` says of something.
fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

/// Whether a server takes writes and keeps them, by the sections `replication` and `memory`.
pub(crate) fn is_master_that_keeps(info: &str) -> Result<(), RedisError> {
    if field(info, "role") != Some("master") {
        return Err(RedisError::Replica);
    }
    match field(info, "maxmemory_policy").unwrap_or("unknown") {
        "noeviction" => Ok(()),
        policy => Err(RedisError::Evicts { policy: policy.to_owned() }),
    }
}

/// How much memory a server uses, and the most that it may, where there is a bound. Of the section `memory`.
pub(crate) fn memory(info: &str) -> Option<(u64, u64)> {
    let bytes = |name| field(info, name).and_then(|bytes| bytes.parse::<u64>().ok());
    bytes("used_memory").zip(bytes("maxmemory")).filter(|(_, most)| *most > 0)
}

/// Of the sections `server` and `replication`.
pub(crate) fn incarnation(info: &str) -> Result<String, RedisError> {
    let unknown = || failed("the server does not say which one it is");
    let run = field(info, "run_id").ok_or_else(unknown)?;
    let replication = field(info, "master_replid").ok_or_else(unknown)?;
    Ok(format!("{run}:{replication}"))
}

#[cfg(test)]
mod tests {
    use core::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_leads_nowhere_does_not_hide_the_others() {
        let time = Duration::from_secs(2);
        let ask = async |answer: &Option<Result<u8, RedisError>>| match answer {
            Some(answer) => answer.clone(),
            None => pending().await,
        };
        let start = tokio::time::Instant::now();
        let refused = || Some(Err(RedisError::Replica));
        let found = first(&[None, refused(), Some(Ok(3)), Some(Ok(4))], time, ask).await;
        assert_eq!((found, start.elapsed()), (Some(Ok(3)), time / 4));
        assert_eq!(first(&[None, refused()], time, ask).await, Some(Err(RedisError::Replica)));
        assert!(matches!(
            first(&[None, None], time, ask).await,
            Some(Err(RedisError::Connection { .. }))
        ));
        assert_eq!(start.elapsed(), time / 4 + time / 2 + time);
        assert_eq!(first(&[], time, ask).await, None);
    }
}
