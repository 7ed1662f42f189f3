//! What went wrong -> a gRPC status. All of them are made here.

use crate::auth::Denial;
use crate::gate::Busy;
use crate::rpc::Rpc;
use crate::storage::StorageError;
use proto::limits::MESSAGE_BYTES_MAX;
use std::fmt::Display;
use tonic::{Code, Status};

/// The request is not one; the error names the field and the limit.
pub fn malformed(error: &dyn Display) -> Status {
    Status::invalid_argument(error.to_string())
}

/// The caller may not do this.
pub fn denied(rpc: Rpc, denial: Denial) -> Status {
    let rpc_name = rpc.name();
    match denial {
        Denial::NoToken => Status::unauthenticated(
            "no token; send the metadata `authorization: Bearer TOKEN`".to_owned(),
        ),
        Denial::UnknownToken => Status::unauthenticated("the token is not known"),
        Denial::ExpiredToken => Status::unauthenticated("the token has expired"),
        Denial::Role => {
            let role = rpc.role().name();
            Status::permission_denied(format!("{rpc_name} needs the role {role}"))
        }
        Denial::Replace => Status::permission_denied("replace needs the role admin"),
        Denial::Project => Status::permission_denied("the token is not for this project"),
    }
}

/// Too many calls at once.
pub fn busy(rpc: Rpc, busy: Busy) -> Status {
    let (rpc, max) = (rpc.name(), busy.at_once_max);
    Status::resource_exhausted(format!("{rpc}: {max} such calls are running; try again later"))
}

/// The storage did not do it.
pub fn storage(error: &StorageError) -> Status {
    match error {
        StorageError::Full { .. } => Status::resource_exhausted(error.to_string()),
        StorageError::Closed => stopping(),
        _ => Status::internal(error.to_string()),
    }
}

/// The server is stopping.
pub fn stopping() -> Status {
    Status::unavailable("the server is stopping; try again")
}

/// A request, or the next part of one, did not come in time.
pub fn stalled() -> Status {
    Status::deadline_exceeded("nothing was received for too long")
}

/// The whole call took too long.
pub fn too_long() -> Status {
    Status::deadline_exceeded("the call took too long")
}

/// A blocking part of a call has panicked; the panic is in the log.
pub fn bug() -> Status {
    Status::internal("this is a bug in the server; its log tells more")
}

/// Too many calls of health and reflection at once.
pub fn aside_busy(busy: Busy) -> Status {
    let max = busy.at_once_max;
    Status::resource_exhausted(format!("{max} such calls are running; try again later"))
}

/// A request that is not a publish has more bytes than it can need.
pub fn request_too_large(limit: usize) -> Status {
    Status::invalid_argument(format!("request has more than {limit} bytes; ask for less"))
}

/// What tonic says of a message that it cannot read, in the protocol's terms.
pub fn received(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::invalid_argument(format!(
            "message has more than the limit of {MESSAGE_BYTES_MAX} bytes; send smaller chunks"
        )),
        Code::Internal if status.message().contains("decode Protobuf") => {
            Status::invalid_argument(status.message())
        }
        _ => status,
    }
}

/// A code's name in metrics.
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
