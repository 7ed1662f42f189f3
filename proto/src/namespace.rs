//! A namespace's message -> a namespace whose name is known to be one.

use crate::limits::PROJECT_LEN_MAX;
use crate::v1;
use bytes::Bytes;
use std::fmt;
use stencil::Fingerprint;

/// Where keys are looked up: a project, and a compiler's fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace {
    project: String,
    fingerprint: Fingerprint,
}

/// Why a namespace is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// There is none.
    #[error("namespace is missing; the first message has to name one")]
    Missing,
    /// The project's name is not one.
    #[error(
        "project {name:?} is no name: it has 1 to {PROJECT_LEN_MAX} of the characters a-z, 0-9, \
         '.', '_' and '-', and does not start with a '.'"
    )]
    Project {
        /// The name found, cut to a few characters more than are allowed.
        name: String,
    },
    /// The fingerprint does not have 32 bytes.
    #[error("fingerprint has {got} bytes, not 32")]
    Fingerprint {
        /// The bytes found.
        got: usize,
    },
}

impl Namespace {
    /// The project of those who do not name one.
    pub const PROJECT_DEFAULT: &'static str = "default";

    /// A namespace.
    ///
    /// # Errors
    ///
    /// [`NamespaceError::Project`].
    pub fn new(project: &str, fingerprint: Fingerprint) -> Result<Self, NamespaceError> {
        check_project(project)?;
        Ok(Self { project: project.to_owned(), fingerprint })
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The compiler's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Its message.
    pub fn to_message(&self) -> v1::Namespace {
        let fingerprint = Bytes::copy_from_slice(self.fingerprint.as_bytes());
        v1::Namespace { project: self.project.clone(), fingerprint }
    }

    /// The namespace of a request.
    ///
    /// # Errors
    ///
    /// Any [`NamespaceError`].
    pub fn from_message(message: Option<v1::Namespace>) -> Result<Self, NamespaceError> {
        let v1::Namespace { project, fingerprint } = message.ok_or(NamespaceError::Missing)?;
        let wrong = NamespaceError::Fingerprint { got: fingerprint.len() };
        let fingerprint = <[u8; 32]>::try_from(&*fingerprint).map_err(|_| wrong)?;
        check_project(&project)?;
        Ok(Self { project, fingerprint: Fingerprint::from_bytes(fingerprint) })
    }
}

/// Whether a name can be a project's.
///
/// # Errors
///
/// [`NamespaceError::Project`].
pub fn check_project(name: &str) -> Result<(), NamespaceError> {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let length = (1..=PROJECT_LEN_MAX).contains(&name.len());
    if length && name.bytes().all(allowed) && !name.starts_with('.') {
        return Ok(());
    }
    Err(NamespaceError::Project { name: name.chars().take(PROJECT_LEN_MAX + 8).collect() })
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_comes_back() {
        let namespace = Namespace::new("swc.v1_x-2", Fingerprint::from_bytes([7; 32])).unwrap();
        assert_eq!(Namespace::from_message(Some(namespace.to_message())), Ok(namespace));
    }

    #[test]
    fn a_project_has_a_plain_name() {
        let longest = "a".repeat(PROJECT_LEN_MAX);
        check_project(&longest).unwrap();
        for wrong in ["", "A", "a/b", "..", ".a", "a b", "\u{e9}", &format!("{longest}a")] {
            assert!(check_project(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_without_its_parts_is_refused() {
        assert_eq!(Namespace::from_message(None), Err(NamespaceError::Missing));
        let short = v1::Namespace { project: "a".into(), fingerprint: Bytes::from_static(b"123") };
        let refused = Namespace::from_message(Some(short));
        assert_eq!(refused, Err(NamespaceError::Fingerprint { got: 3 }));
    }
}
