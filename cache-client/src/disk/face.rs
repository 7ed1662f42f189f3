//! [`DiskStore`] as a [`CacheStore`]: what becomes of one lookup or publish when
//! the file that it works on goes away or turns out to be damaged.

use super::error::DiskError;
use super::write::{Present, Publisher};
use super::{ATTEMPTS_MAX, DiskStore, Opened, read};
use crate::single;
use std::borrow::Cow;
use stencil::{CacheKey, CacheStore, Lookup, MissReason, NewEntry, PublishSummary};

impl CacheStore for DiskStore {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        single::get(self, key)
    }

    /// Keeps sealed entries only.
    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        single::insert(self, key, value)
    }

    fn lookup(&self, keys: &[CacheKey]) -> Vec<Lookup> {
        let missed = |reason| vec![Lookup::Miss(reason); keys.len()];
        if keys.is_empty() {
            return Vec::new();
        }
        let mut attempt = 0;
        let (generation, answers) = loop {
            attempt += 1;
            let generation = match self.generation() {
                Ok(Opened { generation, healed: None }) => generation,
                Ok(Opened { healed: Some(reason), .. }) | Err(reason) => return missed(reason),
            };
            let answers = read::lookup(&generation, keys);
            // Another process replaced the file, or deleted the directory.
            let again = answers.failure.is_some() && !generation.is_in_place();
            if !again || attempt == ATTEMPTS_MAX {
                break (generation, answers);
            }
        };
        self.touch(&generation, answers.uses);
        let damaged = |answer: &Lookup| match answer {
            Lookup::Hit(..) | Lookup::Miss(MissReason::Absent) => None,
            Lookup::Miss(reason) => Some(*reason),
        };
        if let Some(error) = answers.failure {
            self.give_up(&generation, error);
        } else if let Some(reason) = answers.lookups.iter().find_map(damaged) {
            self.note(&DiskError::Entries { path: generation.path.clone(), reason });
        }
        answers.lookups
    }

    fn publish(&self, entries: &[NewEntry]) -> PublishSummary {
        self.publish_with(Present::Stays, entries)
    }

    fn replace(&self, entries: &[NewEntry]) -> PublishSummary {
        self.publish_with(Present::IsErased, entries)
    }
}

impl DiskStore {
    fn publish_with(&self, present: Present, entries: &[NewEntry]) -> PublishSummary {
        let (size_max, observer) = (self.config.size_max, self.observer);
        let publisher = Publisher { size_max, observer, present };
        let mut summary = PublishSummary::default();
        let admitted = publisher.admit(entries, &mut summary);
        let mut left = admitted.as_slice();
        let mut failure = MissReason::Io;
        for attempt in 1..=ATTEMPTS_MAX {
            if left.is_empty() {
                break;
            }
            let generation = match self.generation() {
                Ok(opened) => opened.generation,
                Err(reason) => {
                    failure = reason;
                    break;
                }
            };
            let Err(error) = publisher.publish(&generation, &mut left, &mut summary) else {
                break;
            };
            // A new file may do what a lost or a damaged one did not.
            if attempt < ATTEMPTS_MAX && !generation.is_in_place() {
                continue;
            }
            let again = error.is_damage();
            failure = self.give_up(&generation, error);
            if !again {
                break;
            }
        }
        summary.refuse(failure, left.len() as u64);
        summary
    }
}
