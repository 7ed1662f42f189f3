//! `stats`, `prune`, `inspect` and `verify` on a cache that a compile has filled.

use crate::planted::{entries, found, plant};
use crate::sandbox::{Sandbox, ledger};

fn filled() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(&["compile", &ledger(), "-o", "sample.cwasm"]).done();
    sandbox
}

#[test]
fn stats_before_and_after() {
    let sandbox = Sandbox::new();
    let before = sandbox.run(&["stats", "--json"]).done();
    assert_eq!(before.number("entries"), 0);
    assert!(!sandbox.cache().exists(), "looking made a cache");
    let compiled = sandbox.run(&["compile", &ledger(), "-o", "o.cwasm", "--json"]).done();
    let after = sandbox.run(&["stats", "--json"]).done();
    assert_eq!(after.number("entries"), compiled.number("published"));
    assert!(after.number("file_bytes") >= after.number("entry_bytes"));
    let text = sandbox.run(&["stats"]).done().stdout;
    assert!(text.contains("entries") && text.contains("of 10.0 GiB"), "{text}");
}

#[test]
fn prune_removes_what_it_says() {
    let sandbox = filled();
    let entries = sandbox.run(&["stats", "--json"]).done().number("entries");
    sandbox.run(&["prune", "--cache-size", "300KiB"]).done();
    let left = sandbox.run(&["stats", "--json"]).done();
    assert!(left.number("entries") < entries && left.number("entries") > 0);
    assert!(left.number("file_bytes") <= 300 << 10, "{}", left.number("file_bytes"));
    let all = sandbox.run(&["prune", "--all"]).done();
    assert!(all.stdout.starts_with("removed all "), "{}", all.stdout);
    assert_eq!(sandbox.run(&["stats", "--json"]).done().number("entries"), 0);
}

#[test]
fn inspect_shows_an_artifact() {
    let sandbox = filled();
    let text = sandbox.run(&["inspect", "sample.cwasm"]).done().stdout;
    for part in ["x86_64", ".text", "fingerprint", "cacheable"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    sandbox.write("other", "nothing");
    sandbox.run(&["inspect", "other"]).refused(1, &["cannot inspect other"]);
    sandbox.run(&["inspect", "abc123"]).refused(2, &["neither a file nor a cache key"]);
}

#[test]
fn inspect_shows_an_entry() {
    let sandbox = filled();
    let (key, bytes) = entries(&sandbox).remove(0);
    let text = sandbox.run(&["inspect", &key.to_string()]).done().stdout;
    assert!(text.contains(&key.to_string()) && text.contains("code bytes"), "{text}");
    let code = stencil::entry::open(&key, &bytes).unwrap().code().len();
    assert!(text.contains(&format!("{code} bytes, aligned")), "{text}");
    let unknown = "00".repeat(32);
    sandbox.run(&["inspect", &unknown]).refused(1, &["has no entry", &unknown]);
}

#[test]
fn verify_finds_sound_code_sound() {
    let sandbox = filled();
    let entries = sandbox.run(&["stats", "--json"]).done().number("entries");
    let all = sandbox.run(&["verify", &ledger()]).done();
    let expected = format!("{entries} cached entries were compiled again, 0 of them differ; 0 are");
    assert!(all.stdout.contains(&expected), "{}", all.stdout);
    let some = sandbox.run(&["verify", &ledger(), "--sample", "1/10"]).done();
    assert!(!some.stdout.contains(&expected), "{}", some.stdout);
    let after = sandbox.run(&["stats", "--json"]).done().number("entries");
    assert_eq!(after, entries, "verify has written");
    sandbox.run(&["verify", &ledger(), "--sample", "2/10"]);
}

/// A cache in which a sound entry of the right key holds other code.
#[test]
fn verify_finds_other_code() {
    let sandbox = filled();
    let planted = plant(&sandbox);
    let key = planted.wrong.key;
    let ran = sandbox.run(&["verify", &ledger()]);
    assert_eq!(ran.code, Some(4), "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(&key.to_string()), "{}", ran.stderr);
    assert!(ran.stdout.contains("1 of them differ"), "{}", ran.stdout);
    assert_eq!(found(&sandbox, &key), planted.wrong.bytes, "verify has written");
}
