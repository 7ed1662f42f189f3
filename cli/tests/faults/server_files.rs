//! Calls on a server's packs and index that fail -> rows.
//!
//! The server is this test binary again, in a process with the shim. Under the fault it may refuse
//! to start, or to answer; then a server without fault takes its directory over, and has all that
//! was acknowledged.

use crate::files::{KINDS, Kind};
use crate::module::{Module, Seen};
use crate::more;
use crate::server::Running;
use crate::shim::{Fault, happened, prepare};
use crate::table::{Row, Trial};
use crate::tier::compile_on_server;
use cache_server::{Config, Server};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const DIR: &str = "STENCIL_FAULTS_SERVER_DIR";
const ADDRESS: &str = "SERVES AT ";
const REFUSED: &str = "REFUSES: ";

/// The calls tried by default: the first ones open the directory, later ones serve.
const NTH: [u64; 9] = [1, 3, 8, 13, 21, 34, 55, 89, 144];

pub fn rows(module: &Module) -> Vec<Row> {
    let full = tempfile::tempdir().unwrap();
    let server = Running::start_in(full.path());
    let seen = compile_on_server(module, &server.url());
    assert_eq!(seen.stored, module.entries.len() as u64);
    server.stop();
    KINDS.iter().map(|kind| row(module, &full, *kind)).collect()
}

fn row(module: &Module, full: &TempDir, (fault, calls, what, forever): Kind) -> Row {
    let mut row = Row::new(fault, "remote");
    for warm in [true, false] {
        let mut points: Vec<u64> = if more() { (1..1000).collect() } else { NTH.into() };
        if forever && !more() {
            points.retain(|nth| nth % 2 == 1);
        }
        for nth in points {
            let dir = tempfile::tempdir().unwrap();
            if warm {
                copy(&full.path().join("data"), &dir.path().join("data"));
            }
            let log = dir.path().join("log");
            let fault = Fault { calls, nth, forever, what };
            let under = compile_under(module, dir.path(), fault, &log);
            if happened(&log) == 0 {
                break;
            }
            let server = Running::start_in(dir.path());
            let what = format!("call {nth}, warm: {warm}");
            let kept = if warm { module.entries.len() as u64 } else { under.stored };
            let trial = Trial::new(&what, under, || compile_on_server(module, &server.url()));
            server.stop();
            let lost = trial.next.misses;
            if lost + kept > module.entries.len() as u64 {
                row.fail(format!("{what}: {kept} were acknowledged, {lost} are lost"));
            }
            row.add(trial.warm(warm));
        }
    }
    row.if_none("the server makes no such call")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => copy(&file.path(), &to),
            false => drop(fs::copy(file.path(), to).unwrap()),
        }
    }
}

/// Compiles on a server that has a fault, and counts if it does not start.
fn compile_under(module: &Module, dir: &Path, fault: Fault, log: &Path) -> Seen {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "server_files::serves", "--nocapture", "--test-threads=1"]);
    prepare(&mut command, fault, &dir.join("data"), log);
    command.env(DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (url, refusal) = started(&mut child);
    let nowhere = "http://127.0.0.1:1".to_owned();
    let mut seen = compile_on_server(module, &url.unwrap_or(nowhere));
    // Its input ends: the server stops.
    drop(child.stdin.take());
    child.stdout.take().map(|mut rest| rest.read_to_end(&mut Vec::new()));
    let status = child.wait().unwrap();
    if refusal {
        seen.count("the server refuses to start", 1);
    } else if !status.success() {
        seen.count("the server ends with an error", 1);
    }
    seen
}

fn started(child: &mut Child) -> (Option<String>, bool) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        if let Some((_, addr)) = line.split_once(ADDRESS) {
            return (Some(format!("http://{addr}")), false);
        }
        if line.contains(REFUSED) {
            return (None, true);
        }
    }
    (None, false)
}

/// The child's part. Does nothing where it is run as a test.
#[test]
fn serves() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let runtime = Runtime::new().unwrap();
    let config = Config::local(Path::new(&dir).join("data"));
    let server = match runtime.block_on(Server::bind(config)) {
        Ok(server) => server,
        Err(failure) => return println!("{REFUSED}{failure:?}"),
    };
    println!("{ADDRESS}{}", server.addr());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let waiting = std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        drop(stop);
    });
    let served = runtime.block_on(server.serve(async { stopped.await.unwrap_or_default() }));
    waiting.join().unwrap();
    if let Err(failure) = served {
        println!("{failure:?}");
        std::process::exit(3);
    }
}
