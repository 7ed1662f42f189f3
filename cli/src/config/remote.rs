//! The settings that are about the server.

use super::Config;
use super::source::{Chosen, Source, choose, choose_path, switch, text, variable};
use crate::args::RemoteArgs;
use crate::exit::Failure;
use cache_client::remote::ServerConfig;
use proto::{Namespace, namespace};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A server's name that says that there is none.
pub(super) const OFF: &str = "off";

/// The server, if one is to be asked.
#[derive(Clone, Debug)]
pub struct RemoteChoice {
    pub server: ServerConfig,
    pub project: String,
    /// `None` leaves it to the expected time of the compile.
    pub budget: Option<Duration>,
    /// Whether a compile fails if the server does.
    pub required: bool,
}

/// Every setting about the server and where it came from.
#[derive(Clone, Debug)]
pub struct RemoteSources {
    pub server: Option<Chosen<String>>,
    pub project: Chosen<String>,
    pub token: Option<Chosen<TokenFrom>>,
    pub ca: Option<Chosen<PathBuf>>,
    pub cert: Option<Chosen<PathBuf>>,
    pub key: Option<Chosen<PathBuf>>,
    pub budget_ms: Option<Chosen<u64>>,
    pub required: Chosen<bool>,
}

/// Where a token is. The command line is no place for it: everyone can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFrom {
    Environment,
    File(PathBuf),
}

impl Config {
    /// The server, with its files read.
    pub fn remote(&self, args: &RemoteArgs) -> Result<Option<RemoteChoice>, Failure> {
        let sources = self.remote_sources(args)?;
        let required = sources.required.value;
        let Some(server) = sources.server else {
            if required {
                let why = "no server is named, and --require-remote wants one; give --server URL";
                return Err(Failure::usage(why));
            }
            return Ok(None);
        };
        let token = match sources.token.map(|token| token.value) {
            None => None,
            Some(TokenFrom::Environment) => {
                variable(TOKEN).map(|token| token.to_string_lossy().trim().to_owned())
            }
            Some(TokenFrom::File(path)) => {
                let token = fs::read_to_string(&path);
                let token = token.map_err(|error| Failure::unreadable(&path, &error))?;
                Some(token.trim().to_owned())
            }
        };
        let pem = |path: Option<Chosen<PathBuf>>| match path.map(|path| path.value) {
            None => Ok(None),
            Some(path) => match fs::read(&path) {
                Ok(pem) => Ok(Some(pem)),
                Err(error) => Err(Failure::unreadable(&path, &error)),
            },
        };
        let identity = match (pem(sources.cert)?, pem(sources.key)?) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                let why = "a client certificate has two files; give both --cert and --key";
                return Err(Failure::usage(why));
            }
        };
        let server = ServerConfig { url: server.value, token, ca: pem(sources.ca)?, identity };
        server.check().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Some(RemoteChoice {
            server,
            project: sources.project.value,
            budget: sources.budget_ms.map(|ms| Duration::from_millis(ms.value)),
            required,
        }))
    }

    /// Every setting about the server.
    pub fn remote_sources(&self, args: &RemoteArgs) -> Result<RemoteSources, Failure> {
        let file = &self.file;
        let server =
            choose(args.server.clone(), "STENCIL_SERVER", text, self.in_file(&file.server))?;
        let name = |text: &str| match namespace::check_project(text) {
            Ok(()) => Ok(text.to_owned()),
            Err(error) => Err(error),
        };
        let project =
            choose(args.project.clone(), "STENCIL_PROJECT", name, self.in_file(&file.project))?;
        let default = || Chosen::new(Namespace::PROJECT_DEFAULT.to_owned(), Source::Default);
        let project = project.unwrap_or_else(default);
        name(&project.value).map_err(|error| Failure::usage(error.to_string()))?;
        let path = |flag: &Option<PathBuf>, name, in_file: &Option<PathBuf>| {
            choose_path(flag.clone(), name, self.in_file(in_file))
        };
        let token_file = path(&args.token_file, "STENCIL_TOKEN_FILE", &file.token_file)?;
        let from_file = token_file.map(|file| file.map(TokenFrom::File));
        let token = match (&from_file, variable(TOKEN)) {
            (Some(Chosen { source: Source::Flag, .. }), _) | (_, None) => from_file,
            (_, Some(_)) => Some(Chosen::new(TokenFrom::Environment, Source::Environment(TOKEN))),
        };
        let number = |text: &str| text.parse().map_err(|_| "it is a number of milliseconds");
        let budget = self.in_file(&file.remote_budget_ms);
        let required = args.require_remote.then_some(true);
        let in_file = self.in_file(&file.require_remote);
        let required = choose(required, "STENCIL_REQUIRE_REMOTE", switch, in_file)?;
        Ok(RemoteSources {
            server: server.filter(|server| server.value != OFF),
            project,
            token,
            ca: path(&args.ca, "STENCIL_CA", &file.ca)?,
            cert: path(&args.cert, "STENCIL_CERT", &file.cert)?,
            key: path(&args.key, "STENCIL_KEY", &file.key)?,
            budget_ms: choose(args.remote_budget_ms, "STENCIL_REMOTE_BUDGET_MS", number, budget)?,
            required: required.unwrap_or(Chosen::new(false, Source::Default)),
        })
    }
}

const TOKEN: &str = "STENCIL_TOKEN";
