//! A role -> a new token, shown once, and the table for the configuration.

use crate::args::TokenArgs;
use crate::config::token_table::Expiry;
use crate::exit::Failure;
use proto::namespace::check_project;
use rand::TryRng as _;
use sha2::{Digest as _, Sha256};
use stencil::CacheKey;

/// A token's text starts with this, so that scanners for secrets find it.
const PREFIX: &str = "stencil_";

/// What `cache-server token` prints.
///
/// # Errors
///
/// A name, project or date that is wrong, or a system without random numbers.
pub fn make(args: &TokenArgs) -> Result<String, Failure> {
    let wrong = |flag: &str, why: String| Failure::usage(format!("--{flag}: {why}"));
    let plain = |c: char| !c.is_control() && c != '"' && c != '\\';
    if args.name.is_empty() || !args.name.chars().all(plain) {
        return Err(wrong("name", "it has no quotes, backslashes or line breaks".to_owned()));
    }
    for project in &args.projects {
        check_project(project).map_err(|error| wrong("project", error.to_string()))?;
    }
    if let Some(expires) = args.expires {
        Expiry::try_from(expires).map_err(|why| wrong("expires", why.to_owned()))?;
    }
    let mut secret = [0; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut secret)
        .map_err(|error| Failure::usage(format!("the system has no random numbers: {error}")))?;
    // Digests and secrets have the shape of a key, 32 bytes, and its text.
    let token = format!("{PREFIX}{}", CacheKey::from_bytes(secret));
    let sha256 = CacheKey::from_bytes(Sha256::digest(&token).into());
    let name = args.name.as_str();
    let role = args.role.name();
    let mut table =
        format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n");
    if !args.projects.is_empty() {
        let projects: Vec<_> = args.projects.iter().map(|name| format!("{name:?}")).collect();
        table += &format!("projects = [{}]\n", projects.join(", "));
    }
    if let Some(expires) = args.expires {
        table += &format!("expires = {expires}\n");
    }
    Ok(format!(
        "The token; it is shown only now, and the server keeps only its SHA-256:\n\n{token}\n\n\
         The table for the server's configuration file:\n\n{table}"
    ))
}
