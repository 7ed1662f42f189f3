//! A server's address and what it takes to be let in -> how to connect to it.
//!
//! Nothing is connected here, and a token is never shown.

use proto::limits::FRAME_BYTES;
use std::fmt;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// How much may be on its way to us before we read it: a large module's
/// entries. The HTTP/2 windows of a stream and of the connection.
const WINDOW_BYTES: u32 = 64 << 20;

/// A connection that takes longer than this is none.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How often a server that owes an answer is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(10);

/// How long it may take to say so.
const PING_ANSWER: Duration = Duration::from_secs(5);

/// Where the server is, and how to be let in.
#[derive(Clone, Default)]
pub struct ServerConfig {
    /// `http://host:port`, or `https://host:port` for TLS.
    pub url: String,
    /// The bearer token, if the server wants one.
    pub token: Option<String>,
    /// The authorities that may have signed the server's certificate, in PEM;
    /// `None` is the system's.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate and its key, in PEM, if the server wants one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Why a server's configuration is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerConfigError {
    /// Not an address.
    #[error("{url:?} is no server; write http://HOST:PORT, or https://HOST:PORT for TLS")]
    Url {
        /// What was given.
        url: String,
    },
    /// Characters that cannot be sent.
    #[error("the token has characters that no token has; copy it again, without quotes")]
    Token,
    /// A token would be readable on the way.
    #[error(
        "a token would be sent in the clear to {url}; use https://, or an address of this machine"
    )]
    TokenInTheClear {
        /// The address.
        url: String,
    },
    /// Certificates for a server without TLS.
    #[error("certificates are for https:// servers, and {url} is not one")]
    NotTls {
        /// The address.
        url: String,
    },
    /// Files that are no certificates or keys.
    #[error("TLS cannot be set up for {url}: {why}; the files have to be PEM")]
    Tls {
        /// The address.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The system gives no threads for the connection.
    #[error("no threads for a connection: {why}; raise the limit on processes (ulimit -u)")]
    Threads {
        /// The system's answer.
        why: String,
    },
}

/// How to connect.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) endpoint: Endpoint,
    pub(crate) bearer: Option<MetadataValue<Ascii>>,
}

impl ServerConfig {
    /// A server without token and TLS.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Whether all of it can be used. Does not connect.
    ///
    /// # Errors
    ///
    /// Any [`ServerConfigError`].
    pub fn check(&self) -> Result<(), ServerConfigError> {
        self.way().map(|_| ())
    }

    pub(crate) fn way(&self) -> Result<Way, ServerConfigError> {
        let url = self.url.clone();
        let no_url = || ServerConfigError::Url { url: url.clone() };
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| no_url())?;
        let (scheme, host) = (endpoint.uri().scheme_str(), endpoint.uri().host());
        let (Some(scheme @ ("http" | "https")), Some(host)) = (scheme, host) else {
            return Err(no_url());
        };
        let tls = scheme == "https";
        if !tls && (self.ca.is_some() || self.identity.is_some()) {
            return Err(ServerConfigError::NotTls { url });
        }
        if !tls && self.token.is_some() && !is_this_machine(host) {
            return Err(ServerConfigError::TokenInTheClear { url });
        }
        let bearer = self.token.as_ref().map(|token| {
            let mut bearer = MetadataValue::try_from(format!("Bearer {token}"))
                .map_err(|_| ServerConfigError::Token)?;
            bearer.set_sensitive(true);
            Ok(bearer)
        });
        let endpoint = endpoint
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES);
        let endpoint = match tls {
            false => endpoint,
            true => self.with_tls(endpoint)?,
        };
        Ok(Way { endpoint, bearer: bearer.transpose()? })
    }

    fn with_tls(&self, endpoint: Endpoint) -> Result<Endpoint, ServerConfigError> {
        let mut tls = match &self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        endpoint.tls_config(tls).map_err(|error| {
            let why = super::failure::causes(&error);
            ServerConfigError::Tls { url: self.url.clone(), why }
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: &ServerConfig) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for url in ["", "127.0.0.1:7420", "ftp://a", "http://", "http:///x", "a b"] {
            assert!(refused(&ServerConfig::new(url)).contains("is no server"), "{url:?}");
        }
        for url in ["http://127.0.0.1:7420", "https://cache.example", "http://[::1]:1"] {
            ServerConfig::new(url).check().unwrap();
        }
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear() {
        let with_token = |url: &str, token: &str| ServerConfig {
            token: Some(token.to_owned()),
            ..ServerConfig::new(url)
        };
        assert!(refused(&with_token("http://cache.example:1", "a")).contains("in the clear"));
        assert!(refused(&with_token("http://localhost:1", "a\nb")).contains("characters"));
        with_token("http://[::1]:1", "a").check().unwrap();
        with_token("https://cache.example", "a").check().unwrap();
        assert!(!format!("{:?}", with_token("http://[::1]:1", "secret")).contains("secret"));
    }

    #[test]
    fn certificates_are_for_tls() {
        let ca = Some(b"no certificate".to_vec());
        let plain = ServerConfig { ca: ca.clone(), ..ServerConfig::new("http://localhost:1") };
        assert!(refused(&plain).contains("https"));
    }
}
