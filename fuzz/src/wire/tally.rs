//! What executions did, in numbers: a check that never got an answer would
//! prove nothing.

use super::request::Method;
use proto::v1::PublishSummary;
use std::collections::BTreeMap;
use tonic::Code;

/// Counts of one or more executions.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls answered with OK, by method.
    pub answered: BTreeMap<&'static str, u64>,
    /// Calls refused, by method and status.
    pub refused: BTreeMap<(&'static str, String), u64>,
    /// Entries found again.
    pub found: u64,
    /// Keys that were told to be absent.
    pub missing: u64,
    /// Entries stored.
    pub stored: u64,
    /// Of those, in the place of others.
    pub replaced: u64,
    /// Entries that were there already.
    pub already_there: u64,
    /// Entries that others of the same key had come before.
    pub conflicts: u64,
    /// Entries refused, by the number of the reason.
    pub refused_entries: BTreeMap<i32, u64>,
    /// Connections of bytes that are no HTTP/2.
    pub sockets: u64,
}

impl Tally {
    /// A call was answered.
    pub fn answered(&mut self, method: Method) {
        *self.answered.entry(name(method)).or_default() += 1;
    }

    /// A call was refused.
    pub fn refused(&mut self, method: Method, code: Code) {
        *self.refused.entry((name(method), format!("{code:?}"))).or_default() += 1;
    }

    /// A publish was summed up.
    pub fn publish(&mut self, summary: &PublishSummary) {
        self.stored += summary.stored;
        self.already_there += summary.already_there;
        self.conflicts += summary.conflicts;
        for refused in &summary.refused {
            *self.refused_entries.entry(refused.reason).or_default() += refused.count;
        }
    }
}

fn name(method: Method) -> &'static str {
    method.path().rsplit('/').next().unwrap_or_default()
}
