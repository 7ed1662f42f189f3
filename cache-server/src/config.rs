//! Settings -> a configuration that is whole and safe to listen with.
//!
//! Invariant: without `--insecure`, a server that others than this machine can
//! reach has tokens and TLS.

pub mod settings;
pub mod token_table;

use crate::exit::Failure;
use crate::storage::ENTRIES_MAX_DEFAULT;
use proto::namespace::check_project;
pub use settings::{LogFormat, Settings};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
pub use token_table::TokenTable;

/// Where the server listens unless it is told otherwise.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(LOOPBACK, 7420);
/// Where metrics are.
pub const METRICS_LISTEN_DEFAULT: SocketAddr = SocketAddr::new(LOOPBACK, 7421);
const LOOPBACK: std::net::IpAddr = std::net::IpAddr::V4(Ipv4Addr::LOCALHOST);
const SIZE_MAX_DEFAULT: u64 = 10 << 30;
const HOT_BYTES_MAX_DEFAULT: u64 = 256 << 20;

/// Everything that a server needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address of the service.
    pub listen: SocketAddr,
    /// The address of `/metrics` and `/healthz`.
    pub metrics_listen: Option<SocketAddr>,
    /// Where entries are kept.
    pub data_dir: PathBuf,
    /// What the data directory may take, in bytes.
    pub size_max: u64,
    /// Memory for entries that are often asked for, in bytes.
    pub hot_bytes_max: u64,
    /// How many entries there may be.
    pub entries_max: u64,
    /// Certificate and key, if the server speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Who may do what; empty if everybody may publish.
    pub tokens: Vec<TokenTable>,
    /// Whether to listen beyond this machine without tokens or TLS.
    pub insecure: bool,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written.
    pub log_level: String,
    /// How much at once, and how long.
    pub limits: Limits,
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of clients; with it, clients need a certificate.
    pub client_ca: Option<PathBuf>,
}

/// How much at once, and how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Calls at once that read.
    pub lookups_max: u32,
    /// Publishes at once.
    pub publishes_max: u32,
    /// Calls of either kind that wait for their turn.
    pub waiting_max: u32,
    /// How long one waits.
    pub wait: Duration,
    /// Calls at once on one connection.
    pub streams_max: u32,
    /// Connections at once; one more is closed when it is accepted.
    pub connections_max: u32,
    /// How long a client may neither take nor send a chunk in a call.
    pub stall: Duration,
    /// How long one call may take.
    pub call: Duration,
    /// How long open calls may take when the server is stopping.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lookups_max: 64,
            publishes_max: 16,
            waiting_max: 64,
            wait: Duration::from_secs(1),
            streams_max: 64,
            connections_max: 1024,
            stall: Duration::from_secs(30),
            call: Duration::from_secs(600),
            stop: Duration::from_secs(20),
        }
    }
}

impl Config {
    /// A server for this machine with everything else as it is by default, on
    /// ports that the system chooses.
    pub fn local(data_dir: impl Into<PathBuf>) -> Self {
        let listen = SocketAddr::new(LOOPBACK, 0);
        Self {
            listen,
            metrics_listen: Some(listen),
            data_dir: data_dir.into(),
            size_max: SIZE_MAX_DEFAULT,
            hot_bytes_max: HOT_BYTES_MAX_DEFAULT,
            entries_max: ENTRIES_MAX_DEFAULT,
            tls: None,
            tokens: Vec::new(),
            insecure: false,
            log_format: LogFormat::default(),
            log_level: "info".to_owned(),
            limits: Limits::default(),
        }
    }

    /// What the settings come to.
    ///
    /// # Errors
    ///
    /// Settings that are missing or do not go together.
    pub fn from_settings(settings: Settings) -> Result<Self, Failure> {
        let limits = limits(&settings);
        let data_dir = settings.data_dir.ok_or_else(|| {
            Failure::usage("no data directory; say where entries are kept with --data-dir DIR")
        })?;
        let tls = match (settings.tls_cert, settings.tls_key) {
            (Some(cert), Some(key)) => {
                Some(TlsFiles { cert, key, client_ca: settings.tls_client_ca })
            }
            (None, None) if settings.tls_client_ca.is_none() => None,
            _ => {
                let what = "TLS needs a certificate and its key; set tls-cert and tls-key";
                return Err(Failure::usage(what));
            }
        };
        let metrics_listen = settings.metrics_listen.map(|metrics| metrics.0);
        let config = Self {
            listen: settings.listen.unwrap_or(LISTEN_DEFAULT),
            metrics_listen: metrics_listen.unwrap_or(Some(METRICS_LISTEN_DEFAULT)),
            size_max: settings.size_max.map_or(SIZE_MAX_DEFAULT, |size| size.0),
            hot_bytes_max: settings.hot_size.map_or(HOT_BYTES_MAX_DEFAULT, |size| size.0),
            entries_max: settings.entries_max.unwrap_or(ENTRIES_MAX_DEFAULT),
            tls,
            tokens: settings.tokens,
            insecure: settings.insecure.unwrap_or(false),
            log_format: settings.log_format.unwrap_or_default(),
            log_level: settings.log_level.unwrap_or_else(|| "info".to_owned()),
            limits,
            ..Self::local(data_dir)
        };
        config.check()?;
        Ok(config)
    }

    /// Whether a server may run with this.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), Failure> {
        self.check_tokens()?;
        if self.listen.ip().is_loopback() || self.insecure {
            return Ok(());
        }
        let missing = match (self.tokens.is_empty(), self.tls.is_none()) {
            (true, true) => "tokens and TLS",
            (true, false) => "tokens",
            (false, true) => "TLS",
            (false, false) => return Ok(()),
        };
        Err(Failure::usage(format!(
            "{} can be reached by other machines, and there are no {missing} in the configuration: \
             whoever may publish runs code on every reader; add them, listen on 127.0.0.1, or say \
             --insecure",
            self.listen
        )))
    }

    fn check_tokens(&self) -> Result<(), Failure> {
        let mut digests = HashSet::new();
        for token in &self.tokens {
            let wrong = |what: String| {
                Err(Failure::usage(format!("token {:?} in the configuration: {what}", token.name)))
            };
            if !digests.insert(token.sha256) {
                return wrong("another one has the same sha256; remove one of them".to_owned());
            }
            for project in token.projects.iter().flatten() {
                if let Err(error) = check_project(project) {
                    return wrong(error.to_string());
                }
            }
        }
        Ok(())
    }
}

fn limits(settings: &Settings) -> Limits {
    let default = Limits::default();
    let seconds = |setting: Option<u32>, default| {
        setting.map_or(default, |seconds| Duration::from_secs(u64::from(seconds)))
    };
    // The file has no ranges of its own; nothing at once would be no server.
    let at_least_one = |setting: Option<u32>, default: u32| setting.unwrap_or(default).max(1);
    let wait_ms = settings.wait_ms.map(|ms| Duration::from_millis(u64::from(ms)));
    Limits {
        lookups_max: at_least_one(settings.lookups_max, default.lookups_max),
        publishes_max: at_least_one(settings.publishes_max, default.publishes_max),
        waiting_max: settings.waiting_max.unwrap_or(default.waiting_max),
        wait: wait_ms.unwrap_or(default.wait),
        streams_max: at_least_one(settings.streams_max, default.streams_max),
        connections_max: at_least_one(settings.connections_max, default.connections_max),
        stall: seconds(settings.stall_seconds, default.stall).max(Duration::from_secs(1)),
        call: seconds(settings.call_seconds, default.call).max(Duration::from_secs(1)),
        stop: seconds(settings.stop_seconds, default.stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_let_in_only_with_tokens_and_tls() {
        let text = "[[token]]\nname = 'a'\nrole = 'read'\nsha256 = '{}'\n";
        let text = text.replace("{}", &"ab".repeat(32));
        let tokens = Settings::from_text("c".as_ref(), &text).unwrap().tokens;
        let files = TlsFiles { cert: "c".into(), key: "k".into(), client_ca: None };
        for (listen, open) in [("0.0.0.0:1", true), ("[::]:1", true), ("127.9.9.9:1", false)] {
            for (tokens, tls, insecure) in [
                (vec![], None, false),
                (tokens.clone(), None, false),
                (vec![], Some(files.clone()), false),
                (tokens.clone(), Some(files.clone()), false),
                (vec![], None, true),
            ] {
                let fine = !open || insecure || (!tokens.is_empty() && tls.is_some());
                let listen = listen.parse().unwrap();
                let config = Config { listen, tokens, tls, insecure, ..Config::local("d") };
                assert_eq!(config.check().is_ok(), fine, "{config:?}");
            }
        }
    }
}
