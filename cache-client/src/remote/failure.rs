//! What a call ended with -> a reason for the counters and a sentence for a
//! person. The only file that knows gRPC's codes.

use std::error::Error;
use stencil::MissReason;
use tonic::{Code, Status};

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: MissReason,
    /// Without the server's name.
    pub(crate) what: String,
}

impl Failure {
    pub(crate) fn new(reason: MissReason, what: impl Into<String>) -> Self {
        Self { reason, what: what.into() }
    }

    pub(crate) fn timeout() -> Self {
        Self::new(MissReason::Timeout, "did not answer in time")
    }

    /// Whether the server is well and has refused this one thing, so that others
    /// may still be answered: a token that does not allow it, a full disk.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.reason, MissReason::Unauthorized | MissReason::Full)
    }
}

impl From<&Status> for Failure {
    fn from(status: &Status) -> Self {
        let message = match status.message() {
            "" => causes(status),
            message => message.to_owned(),
        };
        // Only what came out of the connection itself has a cause.
        let broken = status.source().is_some();
        let (reason, what) = match status.code() {
            Code::Unauthenticated => (MissReason::Unauthorized, "does not let us in"),
            Code::PermissionDenied => (MissReason::Unauthorized, "does not allow it"),
            Code::DeadlineExceeded | Code::Cancelled => {
                return Self::timeout();
            }
            Code::Unimplemented => (MissReason::Protocol, "speaks another version of the protocol"),
            Code::ResourceExhausted => (MissReason::Full, "has no room"),
            Code::Unavailable => (MissReason::Unreachable, "cannot be reached"),
            _ if broken && is_protocol(status) => {
                (MissReason::Protocol, "answers with something that is not this protocol")
            }
            _ if broken => (MissReason::Unreachable, "broke the connection"),
            Code::Internal => (MissReason::Io, "failed"),
            _ => (MissReason::Protocol, "refused the request"),
        };
        let causes = if broken { causes(status) } else { message };
        Self::new(reason, format!("{what}: {causes}"))
    }
}

/// Whether a broken connection was broken by what was said on it.
fn is_protocol(status: &Status) -> bool {
    let text = causes(status);
    ["invalid", "malformed", "frame", "decod", "corrupt"].iter().any(|word| text.contains(word))
}

/// An error and its causes, without those that only repeat one another.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = match error.downcast_ref::<Status>() {
            Some(status) => status.message().to_owned(),
            None => error.to_string(),
        };
        // What tonic calls every end of a connection.
        let text = text.trim_start_matches("h2 protocol error: ");
        let text = text.split(" (os error").next().unwrap_or_default().to_owned();
        let said = texts.iter().any(|said| said.contains(&text) || text.contains(said.as_str()));
        if !text.is_empty() && !said {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_reason() {
        for (code, reason) in [
            (Code::Unauthenticated, MissReason::Unauthorized),
            (Code::PermissionDenied, MissReason::Unauthorized),
            (Code::DeadlineExceeded, MissReason::Timeout),
            (Code::Unimplemented, MissReason::Protocol),
            (Code::ResourceExhausted, MissReason::Full),
            (Code::Unavailable, MissReason::Unreachable),
            (Code::Internal, MissReason::Io),
            (Code::InvalidArgument, MissReason::Protocol),
        ] {
            assert_eq!(Failure::from(&Status::new(code, "why")).reason, reason, "{code:?}");
        }
    }
}
