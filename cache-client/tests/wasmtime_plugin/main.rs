//! Stock Wasmtime with the plugin as its store: what it hits, what it writes,
//! and what it asks of the tiers.

mod compile;
mod tiers;

mod distance;
mod hits;
mod manifests;
mod trust;
