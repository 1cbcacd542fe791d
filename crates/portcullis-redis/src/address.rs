//! Where a server is.
use core::fmt;
use std::sync::Arc;

use redis::RedisConnectionInfo;
use url::Url;

use crate::error::RedisError;

/// One server, from its URL.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    pub(crate) login: RedisConnectionInfo,
}

impl Address {
    pub(crate) fn read(url: &str, default_port: u16) -> Result<Self, RedisError> {
        let url = Url::parse(url).map_err(|_| RedisError::Address)?;
        let is_tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisError::Address),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(RedisError::Address)?;
        // As it is resolved and checked: an IPv6 address without brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let decode = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded.map(String::from).map_err(|_| RedisError::Address)
        };
        // Which library this is, no server needs to know, and a user may not be allowed to tell it (`CLIENT SETINFO`).
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if !url.username().is_empty() {
            login = login.set_username(decode(url.username())?);
        }
        if let Some(password) = url.password() {
            login = login.set_password(decode(password)?);
        }
        match url.path().trim_start_matches('/') {
            "" => {}
            database => {
                login = login.set_db(database.parse().map_err(|_| RedisError::Address)?);
            }
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(RedisError::Address);
        }
        Ok(Self { host: host.into(), port: url.port().unwrap_or(default_port), is_tls, login })
    }

    /// Another server, reached in the same way.
    pub(crate) fn at(&self, host: &str, port: u16) -> Self {
        // A node that does not know its own address sends an empty one.
        let host = if host.is_empty() { Arc::clone(&self.host) } else { host.into() };
        Self { host, port, ..self.clone() }
    }
}

impl fmt::Debug for Address {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_all_its_parts() {
        let address = Address::read("rediss://us%40er:pa%3Ass@cache.example:6380/3", 6379).unwrap();
        assert_eq!((&*address.host, address.port, address.is_tls), ("cache.example", 6380, true));
        assert_eq!(address.login.username(), Some("us@er"));
        assert_eq!(address.login.password(), Some("pa:ss"));
        assert_eq!(address.login.db(), 3);

        let address = Address::read("redis://[::1]", 6379).unwrap();
        assert_eq!((&*address.host, address.port, address.is_tls), ("::1", 6379, false));
        assert_eq!(address.login.username(), None);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in [
            "",
            "cache.example",
            "http://cache.example",
            "redis://",
            "redis:///0",
            "redis://cache.example/x",
            "redis://cache.example?a=b",
            "unix:///redis.sock",
        ] {
            assert_eq!(Address::read(url, 6379).err(), Some(RedisError::Address), "{url}");
        }
    }

    #[test]
    fn no_password_shows() {
        let address = Address::read("redis://user:hidden@cache.example", 6379).unwrap();
        assert_eq!(format!("{address:?}"), "redis://cache.example:6379");
    }
}
