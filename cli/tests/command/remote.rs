//! `stencil` with a server: what one machine has compiled the next one does
//! not, over real sockets, and the report tells it.

use crate::planted;
use crate::sandbox::{Ran, Sandbox, assert_same, ledger, stock};
use crate::server::{Running, url};
use std::path::Path;
use std::time::Duration;
use stencil::{CacheKey, CacheStore as _, Lookup, MissReason, NewEntry, StencilBuilder, Tier};
use toxic_proxy::{Proxy, Toxics};

/// A machine of its own: an empty cache directory.
fn compile(machine: &Sandbox, url: &str, more: &[&str]) -> Ran {
    let ledger = ledger();
    let mut args = vec!["compile", &ledger, "-o", "out.cwasm", "--json", "--server", url];
    // The server answers, if slowly on a busy machine.
    args.extend(["--remote-budget-ms", "60000"]);
    args.extend(more);
    machine.run(&args)
}

#[track_caller]
fn assert_right(machine: &Sandbox) {
    let expected = stock(&wasmtime::Config::new(), Path::new(&ledger()));
    assert_same(&machine.path("out.cwasm"), &expected);
}

#[test]
fn what_one_machine_has_compiled_another_one_does_not() {
    let server = Running::start();
    let first = Sandbox::new();
    let ran = compile(&first, &server.url(), &["--require-remote"]).done();
    assert_eq!(ran.number("hits.remote"), 0);
    assert_eq!(ran.number("remote.published"), ran.number("misses"));
    assert_eq!(ran.number("remote.dropped"), 0);

    let second = Sandbox::new();
    let ran = compile(&second, &server.url(), &["--require-remote"]).done();
    assert_eq!(ran.number("codegen"), 0);
    assert_eq!(ran.number("misses"), 0);
    let (memory, remote) = (ran.number("hits.memory"), ran.number("hits.remote"));
    assert_eq!(memory + remote, ran.number("lookups"));
    assert!(ran.number("round_trips") <= 4, "{}", ran.stdout);
    assert_right(&second);

    let ran = compile(&second, &server.url(), &[]).done();
    assert_eq!(ran.number("hits.remote"), 0, "the server has filled the directory");
    assert_eq!(ran.number("hits.disk"), remote);
    assert_eq!(ran.number("conflicts"), 0);
}

/// Of every three keys one is there, published in another order than asked for.
#[test]
fn each_key_gets_its_own_entry_though_others_are_absent() {
    let server = Running::start();
    let remote = planted::remote(&server.url());
    let entry = |number: u8| {
        let key = CacheKey::from_bytes([number; 32]);
        let builder = StencilBuilder::new(vec![number; 99], 1, 0, 0);
        NewEntry { key, bytes: stencil::entry::seal(&key, &builder).unwrap() }
    };
    let all: Vec<NewEntry> = (0..60).map(entry).collect();
    let there: Vec<NewEntry> = all.iter().step_by(3).rev().cloned().collect();
    remote.publish(&there);
    assert_eq!(remote.flush().published.stored, 20);
    let keys: Vec<CacheKey> = all.iter().map(|entry| entry.key).collect();
    let expected = all.iter().enumerate().map(|(at, entry)| match at % 3 {
        0 => Lookup::Hit(entry.bytes.clone(), Tier::Remote),
        _ => Lookup::Miss(MissReason::Absent),
    });
    assert_eq!(remote.lookup(&keys), expected.collect::<Vec<_>>());
}

#[test]
fn a_restarted_server_still_has_everything() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start_in(directory.path());
    compile(&Sandbox::new(), &server.url(), &[]).done();
    server.stop();
    let server = Running::start_in(directory.path());
    let machine = Sandbox::new();
    let ran = compile(&machine, &server.url(), &[]).done();
    assert_eq!(ran.number("codegen"), 0);
    assert_right(&machine);
}

#[test]
fn distance_costs_a_few_round_trips_however_many_functions_there_are() {
    let server = Running::start();
    compile(&Sandbox::new(), &server.url(), &[]).done();
    let delay = Duration::from_millis(10);
    let proxy = Proxy::start(server.addr, Toxics { delay, ..Toxics::default() }).unwrap();
    let machine = Sandbox::new();
    let far = url(proxy.addr());
    let ran = compile(&machine, &far, &[]).done();
    assert_eq!(ran.number("codegen"), 0);
    assert!(ran.number("round_trips") <= 4, "{}", ran.stdout);
    assert_eq!(proxy.connections(), 1);
    assert_right(&machine);
}

#[test]
fn projects_do_not_share() {
    let server = Running::start();
    compile(&Sandbox::new(), &server.url(), &["--project", "a"]).done();
    let ran = compile(&Sandbox::new(), &server.url(), &["--project", "b"]).done();
    assert_eq!(ran.number("hits.remote"), 0);
    let ran = compile(&Sandbox::new(), &server.url(), &["--project", "a"]).done();
    assert_eq!(ran.number("codegen"), 0);
}

#[test]
fn one_thread_and_two_processes_publish_without_conflicts() {
    let server = Running::start();
    let machines: Vec<Sandbox> = (0..2).map(|_| Sandbox::new()).collect();
    let url = server.url();
    std::thread::scope(|scope| {
        let threads: Vec<_> = machines
            .iter()
            .zip(["1", "2"])
            .map(|(machine, jobs)| scope.spawn(|| compile(machine, &url, &["--jobs", jobs]).done()))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap().number("conflicts"), 0);
        }
    });
    let ran = compile(&Sandbox::new(), &url, &["-j", "1"]).done();
    assert_eq!(ran.number("codegen"), 0);
}

#[test]
fn a_planted_difference_is_one_conflict_that_everybody_sees() {
    let server = Running::start();
    plant(&server.url());
    let machine = Sandbox::new();
    let ran = compile(&machine, &server.url(), &[]).done();
    assert_eq!(ran.number("miss_reasons.bad-entry"), 1, "it does not fit the function");
    assert_eq!(ran.number("conflicts"), 1);
    assert_eq!(ran.number("remote.conflicts"), 1);
    assert_eq!(server.metric("stencil_server_conflicts"), 1);
    assert_right(&machine);
    let ran = machine.run(&["stats", "--server", &server.url(), "--json"]).done();
    assert_eq!(ran.number("server.conflicts"), 1);
}

/// Publishes a sound entry with other code under a key of the program.
fn plant(url: &str) {
    let key = planted::keys()[0];
    let entry = StencilBuilder::new(vec![0xc3], 1, 7, 7);
    let bytes = stencil::entry::seal(&key, &entry).unwrap();
    let remote = planted::remote(url);
    remote.publish(&[NewEntry { key, bytes }]);
    assert_eq!(remote.flush().published.stored, 1);
}

#[test]
fn statistics_and_doctor_show_the_server() {
    let server = Running::start();
    let machine = Sandbox::new();
    compile(&machine, &server.url(), &[]).done();
    let ran = machine.run(&["stats", "--server", &server.url(), "--json"]).done();
    assert!(ran.number("server.entries") > 500, "{}", ran.stdout);
    let ran = machine.run(&["stats", "--server", &server.url()]).done();
    assert!(ran.stdout.contains("round trip"), "{}", ran.stdout);

    let ran = machine.run(&["doctor", "--server", &server.url()]).done();
    for part in ["command line", "well: version", "role publish", "fingerprint"] {
        assert!(ran.stdout.contains(part), "{part} is not in {}", ran.stdout);
    }
    let ran = machine.run(&["doctor", "--server", "http://127.0.0.1:1"]);
    assert_eq!(ran.code, Some(5), "{}", ran.stdout);
    assert!(ran.stdout.contains("cannot be reached"), "{}", ran.stdout);
}

#[test]
fn doctor_tells_what_keeps_two_machines_apart() {
    let machine = Sandbox::new();
    let baseline = machine.run(&["doctor", "--settings-only", "--target", "x86_64"]).done();
    machine.write("other.txt", &baseline.stdout);
    let same = machine.run(&["doctor", "--target", "x86_64", "--compare", "other.txt"]).done();
    assert!(same.stdout.contains("has the same one"), "{}", same.stdout);
    let ran =
        machine.run(&["doctor", "--target", "x86_64", "-O", "none", "--compare", "other.txt"]);
    assert!(ran.done().stdout.contains("flag opt_level: none - speed"));
}

#[test]
fn doctor_shows_where_each_value_came_from() {
    let machine = Sandbox::new();
    std::fs::create_dir_all(machine.path("config/stencil")).unwrap();
    machine.write("config/stencil/config.toml", "project = 'from-file'\njobs = 3\n");
    let ran = machine.command().args(["doctor"]).env("STENCIL_JOBS", "2").output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    let line = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).to_owned()
    };
    assert!(line("project").contains("from-file") && line("project").contains("config.toml"));
    assert!(line("jobs").contains('2') && line("jobs").contains("STENCIL_JOBS"));
    assert!(line("cache-size").contains("default"));
}

#[test]
fn a_server_on_the_command_line_wins_over_no_cache_elsewhere() {
    let server = Running::start();
    let machine = Sandbox::new();
    let ledger = ledger();
    let mut command = machine.command();
    command.args(["compile", &ledger, "-o", "out.cwasm", "--json", "--require-remote"]);
    command.args(["--server", &server.url()]).env("STENCIL_NO_CACHE", "1");
    let ran = crate::sandbox::ran(command.output().unwrap()).done();
    assert_ne!(ran.number("remote.published"), 0);
}

#[test]
fn wrong_server_settings_are_refused_in_one_sentence() {
    let machine = Sandbox::new();
    let ledger = ledger();
    let refused = |args: &[&str], part: &str| {
        let mut all = vec!["compile", ledger.as_str()];
        all.extend(args);
        machine.run(&all).refused(2, &[part]);
    };
    refused(&["--server", "127.0.0.1:7420"], "write http://HOST:PORT");
    refused(&["--require-remote"], "--server URL");
    refused(&["--server", "http://127.0.0.1:1", "--project", "A B"], "is no name");
    refused(&["--server", "https://127.0.0.1:1", "--cert", &ledger], "both --cert and --key");
    assert_eq!(machine.names(), Vec::<String>::new(), "nothing is written");
}
