//! The protocol's calls -> the storage's.
//!
//! Memory, at most, beside the storage's own tiers. With the defaults and
//! entries of ordinary size:
//!
//! ```text
//! lookups    64 x ( request 2 MiB + keys 2 MiB
//!                 + chunks: 1 made, 2 queued, 1 encoded, 1 in HTTP/2: 5 x 512 KiB )  = 416 MiB
//! waiting    64 before each gate x what HTTP/2 takes in unread, 4 MiB            2 x = 256 MiB
//! health,    ( 16 + 64 that wait ) x what HTTP/2 takes in unread, 4 MiB               = 320 MiB
//! reflection
//! publishes  16 x ( 3 messages of 512 KiB + a batch of 8 MiB + HTTP/2's 4 MiB )      = 216 MiB
//! ```
//!
//! A chunk always has room for one entry, and entries and messages may have up
//! to 16 and 17 MiB; if all have, a lookup holds 5 x 16.5 MiB and a publish
//! 3 x 17 MiB + 8 MiB + 16 MiB. What messages become when they are decoded is
//! bounded by the limit of 65,536 entries, which is kept before that.
//!
//! All of it is a call's turn, which lasts until HTTP/2 has sent the last byte;
//! a client that does not take its answer within the stall limit loses its
//! connection, and with it everything that is held for it.
//!
//! Invariant: nothing here waits for the storage on a thread that serves
//! connections.

mod find_missing;
mod lookup;
mod publish;
mod stats;
pub mod status;

use crate::guard::Call;
use crate::shared::Shared;
use proto::Namespace;
use proto::v1::cache_server::Cache;
use proto::v1::{
    FindMissingReply, FindMissingRequest, GetStatsRequest, LookupChunk, LookupRequest,
    PublishChunk, PublishSummary, Stats,
};
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// `stencil.cache.v1.Cache`.
#[derive(Debug)]
pub struct CacheService(pub Arc<Shared>);

#[tonic::async_trait]
impl Cache for CacheService {
    type LookupStream = ReceiverStream<Result<LookupChunk, Status>>;

    async fn lookup(
        &self,
        request: Request<LookupRequest>,
    ) -> Result<Response<Self::LookupStream>, Status> {
        let call = call_of(&request)?;
        lookup::lookup(&self.0, call, request.into_inner()).map(Response::new)
    }

    async fn publish(
        &self,
        request: Request<Streaming<PublishChunk>>,
    ) -> Result<Response<PublishSummary>, Status> {
        let call = call_of(&request)?;
        publish::publish(&self.0, call, request.into_inner()).await.map(Response::new)
    }

    async fn find_missing(
        &self,
        request: Request<FindMissingRequest>,
    ) -> Result<Response<FindMissingReply>, Status> {
        let call = call_of(&request)?;
        find_missing::find_missing(&self.0, call, request.into_inner()).await.map(Response::new)
    }

    async fn get_stats(
        &self,
        request: Request<GetStatsRequest>,
    ) -> Result<Response<Stats>, Status> {
        let call = call_of(&request)?;
        stats::stats(&self.0, call).await.map(Response::new)
    }
}

/// The call that the guard has let in.
fn call_of<T>(request: &Request<T>) -> Result<Arc<Call>, Status> {
    let call = request.extensions().get::<Arc<Call>>();
    call.cloned().ok_or_else(|| Status::internal("a call came past the guard"))
}

/// A request's namespace, if the caller may use it.
fn namespace_of(
    shared: &Shared,
    call: &Call,
    message: Option<proto::v1::Namespace>,
) -> Result<Namespace, Status> {
    let namespace = Namespace::from_message(message).map_err(|error| status::malformed(&error))?;
    match call.caller.may_use(&namespace) {
        Ok(()) => Ok(namespace),
        Err(denial) => Err(shared.deny(call.rpc, denial, call.caller.name())),
    }
}
