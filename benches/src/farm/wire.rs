//! A module's keys -> one Lookup stream after the other, each entry checked as
//! it comes, and dropped.
//!
//! The worker is tonic's client with the settings of the real one, but for the
//! windows: many workers share this process, and none may hold a whole module.

use crate::farm::expected::{Check, Expected};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use proto::limits::{FRAME_BYTES, KEYS_MAX, MESSAGE_BYTES_MAX};
use proto::v1::cache_client::CacheClient;
use proto::v1::{Coding, LookupRequest};
use proto::{Namespace, keys};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// What a server may send before the worker has read it: two chunks.
const WINDOW_BYTES: u32 = 1 << 20;

/// A worker's connection to a cache server.
pub struct Wire {
    client: CacheClient<Channel>,
    namespace: Namespace,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub async fn connect(url: &str, namespace: &Namespace) -> Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned())?
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES);
        let channel =
            endpoint.connect().await.with_context(|| format!("cannot connect to {url}"))?;
        let client = CacheClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self { client, namespace: namespace.clone() })
    }

    /// Asks for a module; `progress` is called after every chunk.
    pub(crate) async fn lookup(
        &mut self,
        expected: &Expected,
        requests: &[Bytes],
        check: &mut Check,
        mut progress: impl FnMut(&Check),
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
                progress(check);
            }
        }
        Ok(())
    }
}

/// A module's keys as its requests have them.
pub(crate) fn requests(expected: &Expected) -> Vec<Bytes> {
    expected.keys.chunks(KEYS_MAX).map(|keys| keys::encode(keys.iter())).collect()
}
