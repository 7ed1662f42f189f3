//! A WASI program as a component.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wit_component::ComponentEncoder;

/// Puts a preview 1 command into a component, beside Wasmtime's adapter.
pub fn component_of(wasm: &[u8]) -> Vec<u8> {
    ComponentEncoder::default()
        .module(wasm)
        .and_then(|encoder| {
            let (name, adapter) =
                (WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER);
            encoder.validate(true).adapter(name, adapter)
        })
        .and_then(|mut encoder| encoder.encode())
        .expect("the program is a WASI command")
}
