//! The protocol's document, as a second implementation: a call's bytes -> the
//! one answer that it may have.
//!
//! It knows what this execution has published, and nothing of namespaces that
//! others may have used. What is sent here stays far below a batch of the
//! server, so that a publish that ends with a status has stored nothing.

use super::request::{Ending, Method, Request, Token};
use super::script::project;
use super::soundness::soundness;
use bytes::Bytes;
use cache_server::auth::Role;
use prost::Message;
use proto::limits::{CHUNK_ENTRIES_MAX, MESSAGE_BYTES_MAX};
use proto::v1::{
    Conflict, FindMissingRequest, GetStatsRequest, LookupRequest, Namespace, NewEntry,
    PublishChunk, PublishSummary, Refused, RefusedReason,
};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use stencil::CacheKey;
use tonic::Code;

/// Conflicts that a summary lists.
const CONFLICTS_LISTED: usize = 16;
const FRAME_HEAD: usize = 5;

type Name = (String, Bytes);

/// What is stored under a key: as it was sent, and decoded.
#[derive(Clone, Debug)]
pub struct Stored {
    pub new: NewEntry,
    pub entry: Vec<u8>,
}

/// What the answer to a call is to be.
#[derive(Debug)]
pub enum Expected {
    /// This status, and no message.
    Refused(Code),
    /// The summary.
    Summary(PublishSummary),
    /// A summary of so many entries, in a namespace that others have used.
    SummaryOf(u64),
    /// Entries, by the index of their key; `None` if others may have published.
    Found(Vec<CacheKey>, Option<BTreeMap<u32, Stored>>),
    /// The indexes of absent keys, out of so many.
    Missing(usize, Option<Vec<u32>>),
    /// The caller's role.
    Stats(Role),
    /// Anything that is an answer at all: the service is not ours, or the caller
    /// has gone.
    Anything,
}

/// What one execution has published.
#[derive(Debug)]
pub struct Model {
    own: String,
    /// Every namespace that a publish has named, whatever became of it.
    namespaces: BTreeMap<Name, BTreeMap<CacheKey, Stored>>,
    /// Entries that have taken the place of others.
    pub replaced: u64,
    /// Every key that an entry was offered under.
    offered: BTreeSet<CacheKey>,
}

/// How a body's messages end, if not well.
struct Messages {
    messages: Vec<Bytes>,
    broken: Option<Code>,
}

impl Model {
    /// Nothing is published yet.
    pub fn new(execution: u64) -> Self {
        let (namespaces, offered) = Default::default();
        Self { own: project(execution), namespaces, replaced: 0, offered }
    }

    /// What the server is to answer.
    pub fn expect(&mut self, request: &Request) -> Expected {
        let Request { method, token, .. } = *request;
        if request.ending == Ending::Reset || [Method::Health, Method::Reflection].contains(&method)
        {
            return Expected::Anything;
        }
        if method == Method::Other {
            return Expected::Refused(Code::Unimplemented);
        }
        let needed = if method == Method::Publish { Role::Publish } else { Role::Read };
        let role = match token {
            Token::None | Token::Unknown => return Expected::Refused(Code::Unauthenticated),
            Token::Of(role) if role < needed => return Expected::Refused(Code::PermissionDenied),
            Token::Of(role) => role,
        };
        if request.says_gzip {
            return Expected::Refused(Code::Unimplemented);
        }
        let messages = messages(request);
        let expected = match method {
            Method::Publish => self.publish(&messages, role),
            Method::Lookup => single(&messages).and_then(|LookupRequest { namespace, keys }| {
                let (name, keys) = (name(namespace)?, self::keys(&keys)?);
                let found = self.of(&name).map(|stored| found(stored, &keys));
                Ok(Expected::Found(keys, found))
            }),
            Method::FindMissing => {
                single(&messages).and_then(|FindMissingRequest { namespace, keys }| {
                    let (name, keys) = (name(namespace)?, self::keys(&keys)?);
                    let missing = self.of(&name).map(|stored| {
                        // A place that is another key's counts as taken: what is
                        // published for this one is refused.
                        let is_there = |key| stored.contains_key(key) || is_taken(stored, key);
                        let missing = (0..).zip(&keys).filter(|(_, key)| !is_there(key));
                        missing.map(|(index, _)| index).collect()
                    });
                    Ok(Expected::Missing(keys.len(), missing))
                })
            }
            _ => single(&messages).map(|GetStatsRequest {}| Expected::Stats(role)),
        };
        expected.unwrap_or_else(Expected::Refused)
    }

    /// What is stored in a namespace, if only this execution has used it.
    fn of(&self, name: &Name) -> Option<&BTreeMap<CacheKey, Stored>> {
        const NOTHING: &BTreeMap<CacheKey, Stored> = &BTreeMap::new();
        let is_own = name.0 == self.own || name.0 == format!("{}-2", self.own);
        is_own.then(|| self.namespaces.get(name).unwrap_or(NOTHING))
    }

    /// The namespaces of this execution alone, and the keys of all that was
    /// offered, taken or not.
    pub fn all(&self) -> (Vec<Namespace>, Vec<CacheKey>) {
        let names = self.namespaces.keys().filter(|name| self.of(name).is_some()).cloned();
        let names = names.map(|(project, fingerprint)| Namespace { project, fingerprint });
        (names.collect(), self.offered.iter().copied().collect())
    }

    fn publish(&mut self, messages: &Messages, role: Role) -> Result<Expected, Code> {
        let mut entries = Vec::new();
        let mut first: Option<(Name, bool)> = None;
        for message in &messages.messages {
            let chunk: PublishChunk = decode(message)?;
            if chunk.entries.len() > CHUNK_ENTRIES_MAX {
                return Err(Code::InvalidArgument);
            }
            match &first {
                None => {
                    let name = name(chunk.namespace)?;
                    self.namespaces.entry(name.clone()).or_default();
                    first = Some((name, chunk.replace));
                    if chunk.replace && role < Role::Admin {
                        return Err(Code::PermissionDenied);
                    }
                }
                Some((before, replace)) => {
                    let other = chunk.namespace.is_some() && name(chunk.namespace)? != *before;
                    if other || chunk.replace && !replace {
                        return Err(Code::InvalidArgument);
                    }
                }
            }
            let key = |new: &NewEntry| <[u8; 32]>::try_from(&*new.key).ok();
            let offered: Vec<_> = chunk.entries.iter().filter_map(key).collect();
            self.offered.extend(offered.iter().copied().map(CacheKey::from_bytes));
            if offered.len() < chunk.entries.len() {
                return Err(Code::InvalidArgument);
            }
            entries.extend(chunk.entries);
        }
        messages.broken.map_or(Ok(()), Err)?;
        let Some((name, replace)) = first else {
            return Ok(Expected::Summary(PublishSummary::default()));
        };
        if self.of(&name).is_none() {
            return Ok(Expected::SummaryOf(entries.len() as u64));
        }
        let stored = self.namespaces.entry(name).or_default();
        let before = stored.len() as u64;
        let summary = store(stored, entries, replace);
        self.replaced += summary.stored - (stored.len() as u64 - before);
        Ok(Expected::Summary(summary))
    }
}

/// Stores entries in their order, and sums up.
fn store(
    stored: &mut BTreeMap<CacheKey, Stored>,
    entries: Vec<NewEntry>,
    replace: bool,
) -> PublishSummary {
    let mut summary = PublishSummary::default();
    let mut refused = BTreeMap::<i32, u64>::new();
    for new in entries {
        let sound = soundness(&new).and_then(|(key, entry)| {
            if is_taken(stored, &key) { Err(RefusedReason::Io) } else { Ok((key, entry)) }
        });
        let (key, entry) = match sound {
            Ok(sound) => sound,
            Err(reason) => {
                *refused.entry(reason.into()).or_default() += 1;
                continue;
            }
        };
        match stored.get(&key) {
            Some(before) if before.entry == entry => summary.already_there += 1,
            Some(before) if !replace => {
                summary.conflicts += 1;
                if summary.conflict_list.len() < CONFLICTS_LISTED {
                    let digest = |bytes: &[u8]| Bytes::copy_from_slice(&Sha256::digest(bytes));
                    let (stored_sha256, offered_sha256) = (digest(&before.entry), digest(&entry));
                    summary.conflict_list.push(Conflict {
                        key: new.key,
                        stored_sha256,
                        offered_sha256,
                    });
                }
            }
            _ => {
                summary.stored += 1;
                summary.stored_bytes += u64::from(new.entry_bytes);
                stored.insert(key, Stored { new, entry });
            }
        }
    }
    let refused = refused.into_iter();
    summary.refused = refused.map(|(reason, count)| Refused { reason, count }).collect();
    summary
}

/// Whether another key has this one's place: of those that begin alike, the
/// first has it.
fn is_taken(stored: &BTreeMap<CacheKey, Stored>, key: &CacheKey) -> bool {
    let start = |key: &CacheKey| key.as_bytes().first_chunk::<8>().copied();
    stored.keys().any(|other| other != key && start(other) == start(key))
}

fn found(stored: &BTreeMap<CacheKey, Stored>, keys: &[CacheKey]) -> BTreeMap<u32, Stored> {
    let found = (0..).zip(keys).filter_map(|(index, key)| Some((index, stored.get(key)?.clone())));
    found.collect()
}

/// A namespace that is one.
fn name(namespace: Option<Namespace>) -> Result<Name, Code> {
    let Namespace { project, fingerprint } = namespace.ok_or(Code::InvalidArgument)?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || b"0123456789._-".contains(&byte);
    let is_good = (1..=64).contains(&project.len())
        && project.bytes().all(is_plain)
        && !project.starts_with('.')
        && fingerprint.len() == 32;
    if is_good { Ok((project, fingerprint)) } else { Err(Code::InvalidArgument) }
}

fn keys(bytes: &[u8]) -> Result<Vec<CacheKey>, Code> {
    let (keys, rest) = bytes.as_chunks::<32>();
    let keys = keys.iter().map(|key| CacheKey::from_bytes(*key)).collect();
    if rest.is_empty() { Ok(keys) } else { Err(Code::InvalidArgument) }
}

fn decode<T: Message + Default>(message: &[u8]) -> Result<T, Code> {
    T::decode(message).map_err(|_| Code::InvalidArgument)
}

/// The one message of a call that takes one. Others behind it are read and not
/// used.
fn single<T: Message + Default>(messages: &Messages) -> Result<T, Code> {
    let mut all = messages.messages.iter().map(|message| decode(message));
    let first = all.next().unwrap_or(Err(messages.broken.unwrap_or(Code::Internal)))?;
    all.try_for_each(|other: Result<T, Code>| other.map(drop))?;
    messages.broken.map_or(Ok(first), Err)
}

/// A body's messages, as tonic takes it apart. It does not miss the rest of a
/// message of which the body holds nothing but the head, or that trailers cut
/// off.
fn messages(request: &Request) -> Messages {
    let mut messages = Vec::new();
    let mut rest = request.body.as_slice();
    let broken = loop {
        let Some((head, behind)) = rest.split_first_chunk::<FRAME_HEAD>() else {
            break (!rest.is_empty()).then_some(Code::Internal);
        };
        let [flag, len @ ..] = *head;
        let len = u32::from_be_bytes(len) as usize;
        if flag != 0 {
            return Messages { messages, broken: Some(Code::Internal) };
        }
        if len > MESSAGE_BYTES_MAX {
            return Messages { messages, broken: Some(Code::InvalidArgument) };
        }
        let Some((message, next)) = behind.split_at_checked(len) else {
            break (!behind.is_empty()).then_some(Code::Internal);
        };
        messages.push(Bytes::copy_from_slice(message));
        rest = next;
    };
    let broken = broken.filter(|_| request.ending == Ending::Clean);
    Messages { messages, broken }
}
