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
            tally.replaced += model.replaced;
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
    use proto::v1::RefusedReason;
    use std::time::Instant;

    /// What kept and random inputs do, in an ordinary test.
    fn run() -> Tally {
        let mut tally = Tally::default();
        let (started, mut executions) = (Instant::now(), 0_u32);
        for input in crate::smoke::inputs("wire", 3_000, 400) {
            count(&input, &mut tally);
            executions += 1;
        }
        let rate = f64::from(executions) / started.elapsed().as_secs_f64();
        println!("{executions} executions, {rate:.0} a second: {tally:#?}");
        HOST.lock().unwrap_or_else(PoisonError::into_inner).stop();
        tally
    }

    #[test]
    fn smoke() {
        let tally = run();
        for method in ["Lookup", "Publish", "FindMissing", "GetStats"] {
            let answered = tally.answered.get(method).copied().unwrap_or(0);
            assert!(answered >= 50, "{method} was answered {answered} times");
            for code in ["Internal", "InvalidArgument", "Unauthenticated", "Unimplemented"] {
                let refused = tally.refused.get(&(method, code.to_owned())).copied();
                assert!(refused.is_some_and(|count| count >= 3), "{method} {code}: {refused:?}");
            }
        }
        let denied = tally.refused.get(&("Publish", "PermissionDenied".to_owned()));
        assert!(denied.is_some_and(|count| *count >= 50), "{denied:?}");
        // The probe alone stores and finds one each time.
        assert!(tally.stored > 3_500 && tally.found > 3_500);
        assert!(tally.missing > 500 && tally.sockets > 100);
        assert!(tally.replaced > 5 && tally.already_there > 20 && tally.conflicts > 20);
        for reason in ["DAMAGED", "WRONG_KEY", "FORMAT", "TOO_LARGE", "IO"] {
            let name = format!("REFUSED_REASON_{reason}");
            let reason = RefusedReason::from_str_name(&name).expect("it is one");
            let refused = tally.refused_entries.get(&i32::from(reason)).copied();
            assert!(refused.is_some_and(|count| count >= 20), "{name}: {refused:?}");
        }
    }
}
