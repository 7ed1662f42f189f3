//! `cache-server`: the configuration -> a running server.

fn main() {}
