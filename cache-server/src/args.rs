//! The command line -> typed arguments. Nothing is read or looked up here.

use crate::auth::Role;
use crate::config::Settings;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

const HELP: &str = "\
Every setting can also be given in the environment, as STENCIL_SERVER_ and its name
(STENCIL_SERVER_SIZE_MAX), and in the configuration file, by its name (size-max = '5GiB').
A flag wins over the environment, and that over the file. Tokens are in the file only;
`cache-server token` makes them.

Exit codes:
  0    stopped by SIGTERM or SIGINT; open calls were finished
  2    wrong flags, environment or configuration, or an address that cannot be used
  3    the data directory cannot be used
  101  a bug in this program
  130  ended by a second signal, without waiting";

/// Keep compiled functions for a whole build farm
#[derive(Debug, Parser)]
#[command(name = "cache-server", version, after_help = HELP, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings on the command line.
    #[command(flatten)]
    pub settings: Settings,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token, and the table that makes it known to the server
    Token(TokenArgs),
}

/// A token to be made.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// What it allows
    #[arg(long)]
    pub role: Role,
    /// Whose it is; the server's log shows it
    #[arg(long)]
    pub name: String,
    /// A project that it is good for; may be repeated [default: all]
    #[arg(long = "project", value_name = "NAME")]
    pub projects: Vec<String>,
    /// When it ends, such as 2030-12-31 [default: never]
    #[arg(long, value_name = "DATE")]
    pub expires: Option<toml::value::Datetime>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
