//! Keys -> those that are not there.

use crate::guard::Call;
use crate::service::{namespace_of, status};
use crate::shared::Shared;
use proto::keys;
use proto::v1::{FindMissingReply, FindMissingRequest};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tonic::Status;

pub async fn find_missing(
    shared: &Arc<Shared>,
    call: Arc<Call>,
    request: FindMissingRequest,
) -> Result<FindMissingReply, Status> {
    let namespace = namespace_of(shared, &call, request.namespace)?;
    let keys = keys::decode(&request.keys).map_err(|error| status::malformed(&error))?;
    let shared = Arc::clone(shared);
    let missing = spawn_blocking(move || {
        let indexes = shared.storage.find_missing(&namespace, &keys);
        drop(call);
        indexes
    });
    let indexes = missing.await.map_err(|_| status::bug())?;
    Ok(FindMissingReply { indexes })
}
