//! What a test needs beyond Wasmtime's defaults -> an engine that has it.

use wasmtime::{Config, Engine, WasmFeatures};

/// Proposals that are switched, the others are as Wasmtime has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Features {
    on: WasmFeatures,
    off: WasmFeatures,
}

impl Features {
    /// As Wasmtime has them.
    pub fn defaults() -> Self {
        Self { on: WasmFeatures::empty(), off: WasmFeatures::empty() }
    }

    /// The features that a list names, as `wasm-tools` takes it: `wasm3,threads,-simd`.
    ///
    /// # Panics
    ///
    /// If one has no such name.
    pub fn listed(list: &str) -> Self {
        let mut features = Self::defaults();
        for word in list.split(',').filter(|word| !word.is_empty()) {
            match (word.strip_prefix('-'), edition(word)) {
                (Some(word), _) => features.switch(named(word), false),
                (None, Some(edition)) => features = Self::edition(edition),
                (None, None) => features.switch(named(word), true),
            }
        }
        features
    }

    /// What a file of wasm-tools says that it needs: `;; RUN: wast -f gc,cm-gc`, over one line or
    /// more.
    pub fn of_comment(text: &str) -> Self {
        let comment = text.lines().map_while(|line| line.strip_prefix(";;"));
        let mut words = comment.flat_map(|line| line.split([' ', '=']));
        let mut list = String::new();
        while let Some(word) = words.next() {
            if word == "-f" || word == "--features" {
                list = words.next().expect("a list follows").to_owned();
            }
        }
        Self::listed(&list)
    }

    /// Components are not a part of the editions, and the host's functions are in a component's
    /// linker as well.
    fn edition(edition: WasmFeatures) -> Self {
        let kept = WasmFeatures::COMPONENT_MODEL | WasmFeatures::CM_ASYNC;
        Self { on: edition, off: !edition - kept }
    }

    fn switch(&mut self, features: WasmFeatures, on: bool) {
        self.on.set(features, on);
        self.off.set(features, !on);
    }

    /// An engine with these features, for all else Wasmtime's default.
    ///
    /// # Errors
    ///
    /// Wasmtime's, if it has no such feature.
    pub fn engine(&self) -> wasmtime::Result<Engine> {
        let mut config = Config::new();
        config.shared_memory(true).wasm_branch_hinting(true);
        config.wasm_features(self.on, true).wasm_features(self.off, false);
        Engine::new(&config)
    }
}

fn edition(name: &str) -> Option<WasmFeatures> {
    Some(match name {
        "mvp" | "wasm1" => WasmFeatures::WASM1,
        "wasm2" => WasmFeatures::WASM2,
        "wasm3" => WasmFeatures::WASM3,
        "lime1" => WasmFeatures::LIME1,
        "all" => WasmFeatures::all(),
        _ => return None,
    })
}

fn named(name: &str) -> WasmFeatures {
    WasmFeatures::from_name(&name.replace('-', "_").to_uppercase())
        .unwrap_or_else(|| panic!("there is no feature of the name {name}"))
}
