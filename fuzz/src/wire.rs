//! Bytes -> calls of a real server, half of them valid -> the claim that every
//! answer is the protocol's.
//!
//! `script` makes calls of the bytes, `model` says what each is to be answered,
//! `call` makes it over a socket and compares: the status, every number of a
//! summary, every byte of an entry. After each input all that was published is
//! looked up again, and one more publish and lookup have to work. The same bytes
//! are also read as a client reads answers (`answer`).
//!
//! An execution has a project of its own, by a number that is never used again:
//! it finds nothing of the executions before it, also not of one with the same
//! input. Namespaces that raw bytes name themselves are others' as well; of
//! those less is claimed.

mod answer;
mod call;
mod host;
mod model;
mod offer;
mod panics;
mod request;
mod script;
mod socket;
mod soundness;
mod tally;

use self::host::{Host, Running};
use self::model::Model;
use self::request::{Method, Request, Token, framed};
use self::script::{Script, script};
use self::tally::Tally;
use cache_server::auth::Role;
use prost::Message as _;
use proto::v1::{Namespace, PublishChunk};
use std::sync::{LazyLock, Mutex, PoisonError};

static HOST: LazyLock<Mutex<Host>> = LazyLock::new(|| Mutex::new(Host::new()));

/// Sends what the input says, and compares what comes back.
///
/// # Panics
///
/// On a finding.
pub fn check(input: &[u8]) {
    count(input, &mut Tally::default());
}

fn count(input: &[u8], tally: &mut Tally) {
    let mut host = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    panics::watched(|| {
        host.execute(script::is_hot(input), async |server, execution| {
            let mut model = Model::new(execution);
            match script(input, execution) {
                Script::Calls(calls) => {
                    for request in calls {
                        call::call(server, &mut model, &request, tally).await;
                    }
                    answer::check(input.get(3..).unwrap_or_default()).await;
                }
                Script::Socket { is_metrics, bytes } => {
                    socket::check(server, is_metrics, &bytes).await;
                    tally.sockets += 1;
                }
            }
            probe(server, &mut model, execution, tally).await;
            call::find_all(server, &mut model, tally).await;
        });
    });
}

/// A publish that has to work, whatever came before it.
async fn probe(server: &mut Running, model: &mut Model, execution: u64, tally: &mut Tally) {
    let namespace = Namespace {
        project: script::project(execution),
        fingerprint: bytes::Bytes::from_static(&[0x33; 32]),
    };
    let entries = vec![offer::offer(&mut arbitrary::Unstructured::new(&[]))];
    let chunk = PublishChunk { namespace: Some(namespace), entries, replace: false };
    let body = framed(&chunk.encode_to_vec());
    let request = Request::new(Method::Publish, Token::Of(Role::Publish), body);
    let before = tally.stored + tally.already_there + tally.conflicts;
    call::call(server, model, &request, tally).await;
    assert!(tally.stored + tally.already_there + tally.conflicts > before, "the probe is refused");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Inputs of the seeds and of the corpus, if there is one.
    fn kept() -> Vec<Vec<u8>> {
        let dirs = ["seeds/wire", "corpus/wire"]
            .map(|dir| Path::new(env!("CARGO_MANIFEST_DIR")).join(dir));
        let files = dirs.into_iter().filter_map(|dir| dir.read_dir().ok()).flatten();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn smoke() {
        let mut tally = Tally::default();
        let kept = kept();
        assert!(!kept.is_empty(), "the seeds are there");
        let started = std::time::Instant::now();
        let mut executions = 0_u32;
        for input in kept.into_iter().chain(crate::inputs(3_000, 400)) {
            count(&input, &mut tally);
            executions += 1;
        }
        let took = started.elapsed();
        HOST.lock().unwrap_or_else(PoisonError::into_inner).stop();
        println!(
            "{executions} executions, {:.0} a second",
            f64::from(executions) / took.as_secs_f64()
        );
        println!("{tally:#?}");
    }
}
