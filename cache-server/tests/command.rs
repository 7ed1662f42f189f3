//! What the command says when it cannot serve: one sentence and an exit code.
//! Method: the built server.

mod support;

use sha2::{Digest as _, Sha256};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use support::binary::{Process, command};

fn run(args: &[&str], variables: &[(&str, &str)]) -> Output {
    command().args(args).envs(variables.iter().copied()).output().unwrap()
}

/// It ends with this code and one sentence with these words.
#[track_caller]
fn check(args: &[&str], variables: &[(&str, &str)], code: i32, words: &[&str]) {
    let output = run(args, variables);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    let errors = text.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{text}");
}

fn file(dir: &Path, text: &str) -> String {
    let path = dir.join("server.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn wrong_arguments_are_one_sentence_and_exit_2() {
    check(&["--listen-on", "x"], &[], 2, &["--listen-on"]);
    check(&["--listen", "here"], &[], 2, &["here"]);
    check(&["--size-max", "10 apples", "--data-dir", "d"], &[], 2, &["a size is"]);
    check(&["--streams-max", "0", "--data-dir", "d"], &[], 2, &["0"]);
    check(&[], &[], 2, &["--data-dir"]);
    check(&["--data-dir", "d", "--log-level", "a=b=c"], &[], 2, &["log-level"]);
    check(&["--data-dir", "d", "--tls-cert", "c"], &[], 2, &["tls-key"]);
    check(&["--data-dir", "d"], &[("STENCIL_SERVER_LISTEN", "x")], 2, &["STENCIL_SERVER_LISTEN=x"]);
}

#[test]
fn a_wrong_configuration_is_named_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "data-dir = 'd'\nsize = '1GiB'\n");
    check(&["--config", &path], &[], 2, &["server.toml, line 2", "`size`"]);
    check(&[], &[("STENCIL_SERVER_CONFIG", &path)], 2, &["server.toml, line 2"]);
    let missing = dir.path().join("missing.toml");
    check(&["--config", missing.to_str().unwrap()], &[], 2, &["missing.toml", "No such file"]);
    let path = file(dir.path(), "[[token]]\nname = 'a'\nrole = 'read'\nsha256 = 'ab'\n");
    check(&["--config", &path], &[], 2, &["line 4", "64 hexadecimal digits"]);
}

#[test]
fn other_machines_are_let_in_only_with_tokens_and_tls() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let open = ["--listen", "0.0.0.0:0", "--metrics-listen", "off", "--data-dir", data];
    check(&open, &[], 2, &["tokens and TLS", "--insecure"]);
    let insecure = ["--insecure", "--listen", "0.0.0.0:0"];
    let process = Process::start_with(dir.path(), &insecure, &[]);
    assert!(process.seen.iter().any(|line| line.contains("everybody who can reach")));
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.wait().0.code(), Some(0));
}

#[test]
fn without_tokens_the_server_says_that_every_user_may_publish() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), &[]);
    process.signal(rustix::process::Signal::TERM);
    let (status, lines) = process.wait();
    assert_eq!(status.code(), Some(0));
    assert!(lines.iter().any(|line| line.contains("every user of this machine may publish")));
}

#[test]
fn a_port_in_use_is_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let off = ["--metrics-listen", "off", "--data-dir", data];
    check(&[&["--listen", &addr], &off[..]].concat(), &[], 2, &[&addr, "in use"]);
    let metrics = ["--listen", "127.0.0.1:0", "--metrics-listen", &addr, "--data-dir", data];
    check(&metrics, &[], 2, &[&addr, "metrics-listen"]);
}

#[test]
fn a_data_directory_that_cannot_be_used_is_exit_3() {
    let dir = tempfile::tempdir().unwrap();
    let not_a_dir = file(dir.path(), "a file");
    let listen = ["--listen", "127.0.0.1:0", "--metrics-listen", "off", "--data-dir"];
    check(&[&listen[..], &[&not_a_dir]].concat(), &[], 3, &["server.toml"]);
    let below = format!("{not_a_dir}/below");
    check(&[&listen[..], &[&below]].concat(), &[], 3, &["server.toml/below"]);
    check(&[&listen[..], &["/proc/no-data-here"]].concat(), &[], 3, &["/proc/no-data-here"]);
}

#[test]
fn tls_files_that_cannot_be_used_are_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let garbage = file(dir.path(), "not a certificate");
    let tls = ["--tls-cert", &garbage, "--tls-key", &garbage, "--data-dir", data];
    check(&tls, &[], 2, &["TLS", "server.toml"]);
    let tls = ["--tls-cert", "missing.pem", "--tls-key", &garbage, "--data-dir", data];
    check(&tls, &[], 2, &["missing.pem", "No such file"]);
}

#[test]
fn a_made_token_is_what_its_table_says() {
    let args = ["token", "--role", "publish", "--name", "ci", "--project", "swc"];
    let output = run(&[&args[..], &["--expires", "2090-01-01"]].concat(), &[]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let token = text.lines().find(|line| line.starts_with("stencil_")).unwrap();
    let (_, table) = text.split_once("[[token]]").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let table = format!("[[token]]{table}");
    let digest = Sha256::digest(token);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(table.contains(&digest), "{table}");
    assert!(table.contains("projects = [\"swc\"]"), "{table}");
    // The server takes the table as it is.
    let path = file(dir.path(), &table);
    let process = Process::start(&dir.path().join("data"), &["--config", &path]);
    process.signal(rustix::process::Signal::TERM);
    let (status, lines) = process.wait();
    assert_eq!(status.code(), Some(0));
    assert!(!lines.iter().any(|line| line.contains("may publish")), "{lines:?}");
    // Another call makes another one.
    assert_ne!(run(&args, &[]).stdout, run(&args, &[]).stdout);
    check(&["token", "--role", "boss", "--name", "a"], &[], 2, &["boss"]);
    check(&["token", "--role", "read", "--name", "a\"b"], &[], 2, &["--name"]);
    check(&["token", "--role", "read", "--name", "a", "--project", "A"], &[], 2, &["--project"]);
}

#[test]
fn the_file_and_the_environment_are_enough() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let path = file(dir.path(), &format!("data-dir = {data:?}\nlookups-max = 3\n"));
    let process = Process::start_with(
        &data,
        &["--config", &path],
        &[("STENCIL_SERVER_LOG_LEVEL", "warn,cache_server=info"), ("STENCIL_SERVER_HOT_SIZE", "")],
    );
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.wait().0.code(), Some(0));
}
