//! The limits that both sides keep. `cache.proto` tells users about them.

/// Keys in one request.
pub const KEYS_MAX: usize = 65_536;

/// Entries in one chunk, either way.
pub const CHUNK_ENTRIES_MAX: usize = 65_536;

/// Bytes of one entry, decoded as well as coded. Larger ones stay on the machine
/// that has compiled them.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;

/// Bytes of one message: the largest entry with its envelope, or a full chunk.
pub const MESSAGE_BYTES_MAX: usize = 17 << 20;

/// A chunk is sent when it has this many bytes of entries.
pub const CHUNK_BYTES: usize = 512 << 10;

/// Characters of a project's name.
pub const PROJECT_LEN_MAX: usize = 64;

/// How much a peer may send before it is read: a whole module's keys, or a few
/// chunks of entries. The HTTP/2 windows of a stream and of a connection, in
/// bytes.
pub const STREAM_WINDOW_BYTES: u32 = 4 << 20;

/// See [`STREAM_WINDOW_BYTES`].
pub const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Payload of one HTTP/2 frame, in bytes: fewer, larger frames cost less.
pub const FRAME_BYTES: u32 = 256 << 10;
