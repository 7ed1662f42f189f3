//! The farm's load on a server in this process: what is published, asked for and
//! counted.
//! Invariant: nothing here depends on how fast the machine is.

use benches::farm::expected::Expected;
use benches::farm::load::{Load, Loaded, Peer, load};
use benches::farm::mix::Mix;
use benches::farm::publish::publish;
use benches::farm::{client_runtime, publish::Published};
use cache_server::{Config, Server};
use proto::Namespace;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

struct Farm {
    mix: Mix,
    expected: Arc<[Expected]>,
    namespace: Namespace,
    url: String,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

/// A server that listens, and what is to be asked of it.
fn farm() -> Farm {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wasm/ledger.wasm");
    let directory = tempfile::tempdir().unwrap();
    let mix = Mix::load(&[module], Some(directory.path())).unwrap();
    let expected = Expected::of(&mix).unwrap();
    let namespace = Namespace::new("farm", mix.fingerprint).unwrap();
    let runtime = client_runtime().unwrap();
    let config = Config::local(directory.path().join("data"));
    let server = runtime.block_on(Server::bind(config)).unwrap();
    let url = format!("http://{}", server.addr());
    runtime.spawn(server.serve(std::future::pending()));
    Farm { mix, expected, namespace, url, runtime, _directory: directory }
}

impl Farm {
    fn publish(&self) -> Published {
        publish(&self.url, &self.namespace, &self.mix.modules[0].entries).unwrap()
    }

    fn load(&self, asked: &Load) -> anyhow::Result<Loaded> {
        let peer = Peer::Server { url: self.url.clone(), namespace: self.namespace.clone() };
        self.runtime.block_on(load(&peer, &self.expected, asked))
    }
}

#[test]
fn every_worker_gets_every_entry_of_every_lookup() {
    let farm = farm();
    let module = &farm.mix.modules[0];
    let entries = module.entries.len() as u64;
    assert_eq!(farm.expected[0].entries(), entries);
    assert!(module.keys.len() as u64 >= entries);
    let first = farm.publish();
    assert_eq!((first.offered, first.stored, first.conflicts), (entries, entries, 0));
    let again = farm.publish();
    assert_eq!((again.stored, again.already_there, again.conflicts), (0, entries, 0));

    let window = Duration::from_millis(300);
    let asked = Load { clients: 2, window, lookups_max: 5, verify_every: 1, seed: 1 };
    let loaded = farm.load(&asked).unwrap();
    let lookups = loaded.lookups.len() as u64;
    assert!((2..=10).contains(&lookups), "{lookups}");
    let all = loaded.arrived;
    assert_eq!((all.entries, all.verified), (entries * lookups, entries * lookups));
    assert_eq!(all.coded_bytes, farm.expected[0].coded_bytes() * lookups);
    assert_eq!(all.entry_bytes, farm.expected[0].entry_bytes() * lookups);
}

#[test]
fn an_answer_that_is_not_whole_is_an_error() {
    let farm = farm();
    let window = Duration::from_secs(60);
    let asked = Load { clients: 2, window, lookups_max: 1, verify_every: 1, seed: 1 };
    let failed = farm.load(&asked).unwrap_err().to_string();
    assert!(failed.contains("did not come"), "{failed}");
}

#[test]
fn a_prepared_module_is_the_one_that_was_compiled() {
    let Farm { mix, _directory: directory, .. } = farm();
    let wasm = Path::new(&mix.modules[0].name).to_path_buf();
    let again = Mix::load(&[wasm], Some(directory.path())).unwrap();
    assert_eq!(again.modules[0].keys, mix.modules[0].keys);
    assert_eq!(again.modules[0].entries, mix.modules[0].entries);
}
