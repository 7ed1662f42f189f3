//! What a server says about itself -> the memory that it may take, as its own
//! documents state it (`docs/service.md`, and the head of the server's `service`
//! module): with the default limits and entries of ordinary size.

use proto::v1::Stats;

/// Lookups, clients that wait for them, and publishes.
const CALLS_BYTES: u64 = (416 + 256 + 216) << 20;

/// One entry in the table of all keys.
const TABLE_ENTRY_BYTES: u64 = 48;

/// The bound, in bytes.
pub fn memory_bound_bytes(stats: &Stats) -> u64 {
    stats.hot_bytes_max + stats.entries * TABLE_ENTRY_BYTES + CALLS_BYTES
}
