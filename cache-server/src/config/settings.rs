//! Flags, environment and file -> one set of settings, in this order.
//!
//! The three sources have the same names: `--size-max` is `STENCIL_SERVER_SIZE_MAX`
//! and the file's `size-max`.
//!
//! Invariant: a name that is not known is refused, in the file as on the command
//! line; an empty environment variable counts as not set.

use super::token_table::TokenTable;
use crate::exit::Failure;
use clap::{Args as _, FromArgMatches as _, ValueEnum};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{env, fs};
use wording::{ByteSize, parse_toml, reason};

/// What every variable's name starts with.
const PREFIX: &str = "STENCIL_SERVER_";

/// An address of the second port, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MetricsListen(pub Option<SocketAddr>);

impl FromStr for MetricsListen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self(None)),
            _ => match text.parse() {
                Ok(addr) => Ok(Self(Some(addr))),
                Err(_) => Err("it is an address such as 127.0.0.1:7421, or off"),
            },
        }
    }
}

impl TryFrom<String> for MetricsListen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|why| format!("metrics-listen {text:?} is wrong: {why}"))
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

macro_rules! settings {
    ($($(#[$meta:meta])* $name:ident: $kind:ty,)*) => {
        /// What one source says.
        #[derive(Clone, Debug, Default, Deserialize, clap::Args)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct Settings {
            $($(#[$meta])* pub $name: Option<$kind>,)*
            /// Who may do what; in the file only, as tables [[token]]
            #[arg(skip)]
            #[serde(default, rename = "token")]
            pub tokens: Vec<TokenTable>,
        }

        impl Settings {
            /// What this source leaves open is taken from `other`.
            pub fn or(self, other: Self) -> Self {
                let tokens = if self.tokens.is_empty() { other.tokens } else { self.tokens };
                Self { $($name: self.$name.or(other.$name),)* tokens }
            }
        }
    };
}

settings! {
    /// The address to listen on [default: 127.0.0.1:7420]
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where the entries are kept
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// What the data directory may take, such as 500MB or 10GiB [default: 10GiB]
    #[arg(long, value_name = "SIZE")]
    size_max: ByteSize,
    /// Memory for entries that are often asked for [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    hot_size: ByteSize,
    /// How many entries there may be; each takes up to 48 bytes of memory [default: 14680064]
    #[arg(long, value_name = "N")]
    entries_max: u64,
    /// The address of /metrics and /healthz, or off [default: 127.0.0.1:7421]
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: MetricsListen,
    /// The server's certificate chain, a PEM file; turns TLS on
    #[arg(long, value_name = "FILE")]
    tls_cert: PathBuf,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf,
    /// Clients need a certificate of one of these authorities, a PEM file
    #[arg(long, value_name = "FILE")]
    tls_client_ca: PathBuf,
    /// Listen beyond this machine even without tokens or without TLS
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    insecure: bool,
    /// How log lines are written [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: LogFormat,
    /// error, warn, info, debug or trace, also by module as in info,h2=warn [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: String,
    /// Lookups at once [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    lookups_max: u32,
    /// Publishes at once [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    publishes_max: u32,
    /// Calls of either kind that wait for their turn [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=4096))]
    waiting_max: u32,
    /// How long a call waits for its turn, in milliseconds [default: 1000]
    #[arg(long, value_name = "MS")]
    wait_ms: u32,
    /// Calls at once on one connection [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    streams_max: u32,
    /// Connections at once [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    connections_max: u32,
    /// How long a client may neither read nor send in a call, in seconds [default: 30]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86400))]
    stall_seconds: u32,
    /// How long one call may take, in seconds [default: 600]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86400))]
    call_seconds: u32,
    /// How long open calls may take after SIGTERM, in seconds [default: 20]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(0..=86400))]
    stop_seconds: u32,
}

/// One setting alone, as an argument.
#[derive(Debug)]
struct Variable(Settings);

impl Settings {
    /// What the environment says, through `variable`.
    ///
    /// # Errors
    ///
    /// A variable that is not what its setting needs.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let mut all = Self::default();
        let command = Self::augment_args(clap::Command::new("environment").no_binary_name(true));
        let flags = command.get_arguments().filter_map(|argument| argument.get_long());
        for flag in flags {
            let name = format!("{PREFIX}{}", flag.replace('-', "_").to_ascii_uppercase());
            let Some(value) = variable(&name).filter(|value| !value.is_empty()) else { continue };
            let found = command
                .clone()
                .try_get_matches_from([format!("--{flag}={value}")])
                .and_then(|matches| Self::from_arg_matches(&matches))
                .map_err(|error| wrong_variable(&name, &value, &error))?;
            all = Variable(found).0.or(all);
        }
        Ok(all)
    }

    /// What a file says.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, and a line that is wrong.
    pub fn from_file(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(|error| {
            let why = reason(&error);
            Failure::usage(format!("cannot read {}: {why}; check --config", path.display()))
        })?;
        Self::from_text(path, &text)
    }

    /// What a file with this text says.
    ///
    /// # Errors
    ///
    /// A line that is wrong.
    pub fn from_text(path: &Path, text: &str) -> Result<Self, Failure> {
        parse_toml(path, text).map_err(Failure::usage)
    }

    /// The variable that names the file.
    pub fn file_variable() -> Option<PathBuf> {
        env::var_os(format!("{PREFIX}CONFIG")).filter(|path| !path.is_empty()).map(PathBuf::from)
    }
}

fn wrong_variable(name: &str, value: &str, error: &clap::Error) -> Failure {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let why = first.rsplit_once("': ").map_or(first, |(_, why)| why);
    let why = why.trim_start_matches("error: ");
    Failure::usage(format!("the environment has {name}={value}, but that is wrong: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        let failure = Settings::from_text(Path::new("/c/server.toml"), text).unwrap_err();
        for part in expected {
            assert!(failure.sentence.contains(part), "{part:?} is not in {:?}", failure.sentence);
        }
    }

    #[test]
    fn every_source_knows_the_same_names() {
        let text = "listen = '127.0.0.1:1'\nsize-max = '5GiB'\nmetrics-listen = 'off'\n\
                    insecure = true\nlog-format = 'json'\nlookups-max = 3\n";
        let file = Settings::from_text(Path::new("c"), text).unwrap();
        let variable = |name: &str| {
            let value = match name {
                "STENCIL_SERVER_SIZE_MAX" => "6GiB",
                "STENCIL_SERVER_METRICS_LISTEN" => "127.0.0.1:2",
                "STENCIL_SERVER_INSECURE" => "false",
                "STENCIL_SERVER_LISTEN" => "",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let all = Settings::from_environment(&variable).unwrap().or(file);
        assert_eq!(all.size_max, Some(ByteSize(6 << 30)));
        assert_eq!(all.metrics_listen.unwrap().0.unwrap().port(), 2);
        assert_eq!(all.insecure, Some(false));
        assert_eq!(all.listen.unwrap().port(), 1);
        assert_eq!(all.log_format, Some(LogFormat::Json));
        assert_eq!(all.lookups_max, Some(3));
    }

    #[test]
    fn an_unknown_or_wrong_line_is_refused_with_file_and_line() {
        refused(
            "listen = '127.0.0.1:1'\nlisten-on = 1\n",
            &["/c/server.toml, line 2", "listen-on"],
        );
        refused("\nsize-max = '10 apples'\n", &["line 2", "a size is"]);
        refused("listen = 'here'\n", &["line 1"]);
        refused("[[token]]\nname = 'a'\nrole = 'boss'\n", &["line 3", "boss"]);
    }

    #[test]
    fn a_wrong_variable_is_named_with_its_value() {
        let variable = |name: &str| (name == "STENCIL_SERVER_LOOKUPS_MAX").then(|| "many".into());
        let failure = Settings::from_environment(&variable).unwrap_err();
        assert!(failure.sentence.contains("STENCIL_SERVER_LOOKUPS_MAX=many"), "{failure}");
    }
}
