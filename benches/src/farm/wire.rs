//! A module's keys -> one Lookup stream after the other, each entry checked as
//! it comes, and dropped.
//!
//! The worker is tonic's client with the settings of the real one. A real worker
//! has a machine of its own and windows of 64 MiB; those here share as much.

use crate::farm::expected::{Check, Expected};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use proto::limits::{FRAME_BYTES, KEYS_MAX, MESSAGE_BYTES_MAX};
use proto::v1::cache_client::CacheClient;
use proto::v1::{Coding, LookupRequest};
use proto::{Namespace, keys};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// What servers may send to all workers together before they have read it.
const WINDOWS_BYTES: u32 = 64 << 20;

/// A worker's connection to a cache server.
pub struct Wire {
    client: CacheClient<Channel>,
    namespace: Namespace,
}

impl Wire {
    /// Connects as one of so many workers.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub async fn connect(url: &str, namespace: &Namespace, workers: u32) -> Result<Self> {
        let window_bytes = WINDOWS_BYTES / workers.max(1);
        let endpoint = Endpoint::from_shared(url.to_owned())?
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .initial_stream_window_size(window_bytes)
            .initial_connection_window_size(window_bytes)
            .max_frame_size(FRAME_BYTES);
        let channel =
            endpoint.connect().await.with_context(|| format!("cannot connect to {url}"))?;
        let client = CacheClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self { client, namespace: namespace.clone() })
    }

    /// Asks for a module.
    pub(crate) async fn lookup(
        &mut self,
        expected: &Expected,
        requests: &[Bytes],
        check: &mut Check,
    ) -> Result<()> {
        for (part, keys) in requests.iter().enumerate() {
            let first = part * KEYS_MAX;
            let namespace = Some(self.namespace.to_message());
            let request = LookupRequest { namespace, keys: keys.clone() };
            let mut chunks = self.client.lookup(request).await?.into_inner();
            while let Some(chunk) = chunks.message().await? {
                for entry in chunk.entries {
                    let coding = Coding::try_from(entry.coding)?;
                    let index = first + entry.index as usize;
                    check.entry(expected, index, (coding, entry.entry_bytes), &entry.data)?;
                }
            }
        }
        Ok(())
    }
}

/// A module's keys as its requests have them.
pub(crate) fn requests(expected: &Expected) -> Vec<Bytes> {
    expected.keys.chunks(KEYS_MAX).map(|keys| keys::encode(keys.iter())).collect()
}
