//! What is stored and what has been counted -> `Stats`.

use crate::guard::Call;
use crate::service::status;
use crate::shared::Shared;
use proto::v1::{NamespaceStats, Stats};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tonic::Status;

pub async fn stats(shared: &Arc<Shared>, call: Arc<Call>) -> Result<Stats, Status> {
    let storage = Arc::clone(&shared.storage);
    let stored = spawn_blocking(move || storage.stats()).await.map_err(|_| status::bug())?;
    let metrics = &shared.metrics;
    let (hits, hot_hits) = metrics.hits();
    // A token for some projects sees only those.
    let mine = stored.namespaces.iter().filter(|(name, ..)| call.caller.may_use(name).is_ok());
    let namespaces = mine.map(|(namespace, entries, stored_bytes)| NamespaceStats {
        namespace: Some(namespace.to_message()),
        entries: *entries,
        stored_bytes: *stored_bytes,
    });
    Ok(Stats {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        entry_format: u32::from(stencil::entry::FORMAT_VERSION),
        uptime_seconds: shared.started.elapsed().as_secs(),
        role: call.caller.role.name().to_owned(),
        entries: stored.entries,
        entry_bytes: stored.entry_bytes,
        stored_bytes: stored.stored_bytes,
        disk_bytes: stored.disk_bytes,
        size_max: stored.size_max,
        hot_entries: stored.hot_entries,
        hot_bytes: stored.hot_bytes,
        hot_bytes_max: stored.hot_bytes_max,
        lookups: metrics.lookups.get(),
        hits,
        hot_hits,
        published: metrics.published.get(),
        conflicts: metrics.conflicts.get(),
        refused: metrics.refused(),
        denied: metrics.denied(),
        quarantined: stored.quarantined,
        evicted: stored.evicted,
        namespaces: namespaces.collect(),
        keys: metrics.keys.get(),
    })
}
