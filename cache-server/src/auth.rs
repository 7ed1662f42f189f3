//! A token -> who is calling, and what they may do.
//!
//! Invariants:
//! - a token is compared by its SHA-256; it is never logged and never kept;
//! - without tokens in the configuration every caller may publish and nobody
//!   may replace.

use crate::config::TokenTable;
use clap::ValueEnum;
use proto::Namespace;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

/// What a caller may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look up.
    Read,
    /// Publish.
    Publish,
    /// Replace what is stored.
    Admin,
}

impl Role {
    /// Its name in the configuration and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Admin => "admin",
        }
    }
}

/// Why a call is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// No token was sent.
    NoToken,
    /// Not a token of the configuration.
    UnknownToken,
    /// A token that has ended.
    ExpiredToken,
    /// The token's role does not allow the call.
    Role,
    /// The token's role does not allow to replace.
    Replace,
    /// The token is not for the project.
    Project,
}

impl Denial {
    /// The label in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::UnknownToken => "unknown-token",
            Self::ExpiredToken => "expired-token",
            Self::Role => "role",
            Self::Replace => "replace",
            Self::Project => "project",
        }
    }
}

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What they may do.
    pub role: Role,
    /// The token's name; `None` where there are no tokens.
    pub token: Option<Arc<TokenTable>>,
}

impl Caller {
    /// Whether the role is enough.
    ///
    /// # Errors
    ///
    /// [`Denial::Role`].
    pub fn needs(&self, role: Role) -> Result<(), Denial> {
        if self.role >= role { Ok(()) } else { Err(Denial::Role) }
    }

    /// Whether the role is enough to replace what is stored.
    ///
    /// # Errors
    ///
    /// [`Denial::Replace`].
    pub fn needs_replace(&self) -> Result<(), Denial> {
        self.needs(Role::Admin).map_err(|_| Denial::Replace)
    }

    /// Whether the token is for this namespace's project.
    ///
    /// # Errors
    ///
    /// [`Denial::Project`].
    pub fn may_use(&self, namespace: &Namespace) -> Result<(), Denial> {
        let projects = self.token.as_ref().and_then(|token| token.projects.as_ref());
        match projects {
            Some(projects) if !projects.iter().any(|name| name == namespace.project()) => {
                Err(Denial::Project)
            }
            _ => Ok(()),
        }
    }

    /// The name for logs.
    pub fn name(&self) -> &str {
        self.token.as_ref().map_or("", |token| &token.name)
    }
}

/// All tokens.
#[derive(Debug, Default)]
pub struct Tokens(HashMap<[u8; 32], Arc<TokenTable>>);

impl Tokens {
    /// The tokens of the configuration.
    pub fn new(tokens: &[TokenTable]) -> Self {
        Self(tokens.iter().map(|token| (token.sha256.0, Arc::new(token.clone()))).collect())
    }

    /// Who is calling with this `authorization`.
    ///
    /// # Errors
    ///
    /// That there is no token, or none that is good now.
    pub fn caller(&self, authorization: Option<&[u8]>, now: SystemTime) -> Result<Caller, Denial> {
        if self.0.is_empty() {
            return Ok(Caller { role: Role::Publish, token: None });
        }
        let header = authorization.ok_or(Denial::NoToken)?;
        let (scheme, token) = header.split_at_checked(BEARER.len()).ok_or(Denial::UnknownToken)?;
        if !scheme.eq_ignore_ascii_case(BEARER) {
            return Err(Denial::UnknownToken);
        }
        let digest: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        let token = self.0.get(&digest).ok_or(Denial::UnknownToken)?;
        if token.expires.is_some_and(|expires| expires.0 <= now) {
            return Err(Denial::ExpiredToken);
        }
        Ok(Caller { role: token.role, token: Some(Arc::clone(token)) })
    }

    /// Whether everybody may publish.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

const BEARER: &[u8] = b"bearer ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::token_table::{Digest, Expiry};
    use std::time::Duration;

    #[test]
    fn a_token_is_good_until_it_ends() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let tokens = Tokens::new(&[TokenTable {
            name: "ci".into(),
            role: Role::Read,
            sha256: Digest(Sha256::digest(b"secret").into()),
            projects: None,
            expires: Some(Expiry(end)),
        }]);
        let before = end - Duration::from_secs(1);
        let caller = tokens.caller(Some(b"Bearer secret"), before).unwrap();
        assert_eq!((caller.role, caller.needs(Role::Publish)), (Role::Read, Err(Denial::Role)));
        let denied = |header, now| tokens.caller(header, now).unwrap_err();
        assert_eq!(denied(Some(b"Bearer secret"), end), Denial::ExpiredToken);
        assert_eq!(denied(None, before), Denial::NoToken);
        for wrong in [&b"Bearer secreT"[..], b"secret", b"Basic secret", b"", b"Bearer \xff"] {
            assert_eq!(denied(Some(wrong), before), Denial::UnknownToken, "{wrong:?}");
        }
    }
}
