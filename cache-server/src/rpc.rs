//! A path -> one of the protocol's calls, and the role that it needs.

use crate::auth::Role;

/// The calls of `stencil.cache.v1.Cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rpc {
    /// Keys -> entries.
    Lookup,
    /// Entries -> a summary.
    Publish,
    /// Keys -> those that are absent.
    FindMissing,
    /// -> what the server holds.
    GetStats,
}

impl Rpc {
    /// The call of a request's path.
    pub fn of_path(path: &str) -> Option<Self> {
        match path.strip_prefix("/stencil.cache.v1.Cache/")? {
            "Lookup" => Some(Self::Lookup),
            "Publish" => Some(Self::Publish),
            "FindMissing" => Some(Self::FindMissing),
            "GetStats" => Some(Self::GetStats),
            _ => None,
        }
    }

    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lookup => "Lookup",
            Self::Publish => "Publish",
            Self::FindMissing => "FindMissing",
            Self::GetStats => "GetStats",
        }
    }

    /// The role that it needs.
    pub const fn role(self) -> Role {
        match self {
            Self::Publish => Role::Publish,
            Self::Lookup | Self::FindMissing | Self::GetStats => Role::Read,
        }
    }
}
