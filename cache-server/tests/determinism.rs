//! A planted difference under a key is one conflict: in the summary, in
//! `/metrics` and in the log, with both digests. Publishing the same from many
//! at once is none.

mod support;

use cache_server::config::LogFormat;
use cache_server::logs;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::io;
use std::sync::{Arc, Mutex};
use support::*;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_difference_is_one_conflict_in_summary_metrics_and_log() {
    let lines = Lines::default();
    let subscriber = logs::subscriber(LogFormat::Json, "info", lines.clone()).unwrap();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = Running::start(|_| {}).await;
    let entries: Vec<_> = (0..200).map(|number| entry_of(number, 500)).collect();

    let publishers: Vec<_> = (0..8)
        .map(|_| {
            let (addr, entries) = (server.addr, entries.clone());
            tokio::spawn(async move {
                let mut client = connect(addr).await;
                publish(&mut client, vec![chunk(entries)]).await.unwrap()
            })
        })
        .collect();
    let mut stored = 0;
    for publisher in publishers {
        let summary = publisher.await.unwrap();
        assert_eq!(summary.conflicts, 0);
        assert_eq!(summary.stored + summary.already_there, 200);
        stored += summary.stored;
    }
    assert_eq!(stored, 200);
    assert_eq!(server.metric("stencil_server_conflicts_total").await, 0);

    let good = sealed(&key(77), code(77, 500));
    let planted = sealed(&key(77), vec![1, 2, 3]);
    let mut client = server.client().await;
    let mut batch = entries.clone();
    batch[77] = new_entry(&key(77), &planted);
    let summary = publish(&mut client, vec![chunk(batch)]).await.unwrap();
    assert_eq!((summary.stored, summary.already_there, summary.conflicts), (0, 199, 1));
    let [conflict] = &summary.conflict_list[..] else { panic!("{summary:?}") };
    assert_eq!(conflict.key, key(77).as_bytes()[..]);
    assert_eq!(conflict.stored_sha256, Sha256::digest(&good)[..]);
    assert_eq!(conflict.offered_sha256, Sha256::digest(&planted)[..]);
    assert_eq!(server.metric("stencil_server_conflicts_total").await, 1);
    // What is stored stays.
    assert_eq!(lookup(&mut client, &[key(77)]).await.unwrap()[&0], good);

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let conflicts: Vec<_> = lines.iter().filter(|line| line["stored_sha256"].is_string()).collect();
    let [line] = &conflicts[..] else { panic!("{text}") };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["key"], key(77).to_string());
    assert_eq!(line["stored_sha256"], hex(&Sha256::digest(&good)));
    assert_eq!(line["offered_sha256"], hex(&Sha256::digest(&planted)));
    assert_eq!(lines.iter().filter(|line| line["conflicts"] == 1).count(), 1);

    // Many: all are counted, the first 16 are listed.
    let planted = (0..40).map(|it| new_entry(&key(it), &sealed(&key(it), vec![9]))).collect();
    let summary = publish(&mut client, vec![chunk(planted)]).await.unwrap();
    assert_eq!((summary.conflicts, summary.conflict_list.len()), (40, 16));
    assert_eq!(server.metric("stencil_server_conflicts_total").await, 41);
}
