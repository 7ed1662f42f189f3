//! A directory or file that is not this user's alone, or cannot be used at all
//! -> a counted reason and a sentence, and the build goes on.

mod common;

#[path = "common/child.rs"]
mod child;

use cache_client::DiskStore;
use common::{Answers, disk, entries, look_up};
use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use stencil::{CacheStore, MissReason, PublishSummary};
use tempfile::TempDir;

const SIZE_MAX: u64 = 64 << 20;
const FIRST: &str = "entries-v1-000001.sqlite";
const WORKS: &str = "CACHE_CLIENT_TEST_WORKS";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Neither lookup nor publish does anything, for one reason that one sentence
/// explains.
#[track_caller]
fn assert_refused(dir: &Path, reason: MissReason, sentence: &str) {
    let new = entries(0..3, 100);
    let store = disk(dir, SIZE_MAX);
    let missed = Answers { hits: 0, misses: BTreeMap::from([(reason, 3)]) };
    assert_eq!(look_up(&store, &new), missed, "{:?}", store.problems());
    assert_eq!(store.publish(&new), PublishSummary::refused(reason, 3));
    // These make no files, so they may not notice that they could not.
    let unnoticed = reason == MissReason::Io && !dir.join(FIRST).exists();
    for failure in [store.stats().failure, store.prune(None).failure] {
        assert!(failure == Some(reason) || failure.is_none() && unnoticed, "{failure:?}");
    }
    let problems = store.problems();
    assert!(problems.len() == 1 && problems[0].contains(sentence), "{problems:?}");
    assert!(problems[0].contains(dir.to_str().unwrap()), "it names the place: {problems:?}");
    // A publish alone is refused, too.
    let store = disk(dir, SIZE_MAX);
    assert_eq!(store.publish(&new), PublishSummary::refused(reason, 3));
}

#[track_caller]
fn assert_works(store: &DiskStore) {
    let new = entries(0..30, 1000);
    let published = store.publish(&new);
    let taken = published.stored + published.already_there;
    assert_eq!(taken, 30, "{published:?} {:?}", store.problems());
    assert_eq!(look_up(store, &new).hits, 30, "{:?}", store.problems());
}

#[test]
fn missing_directories_are_made_for_this_user_alone() {
    let dir = TempDir::new().unwrap();
    let cache = dir.path().join("a/b/cache");
    let store = disk(&cache, SIZE_MAX);
    assert_works(&store);
    for made in [dir.path().join("a"), dir.path().join("a/b"), cache.clone()] {
        let mode = fs::metadata(&made).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o700, "{} has mode {mode:o}", made.display());
    }
    for file in fs::read_dir(&cache).unwrap().map(Result::unwrap) {
        let mode = file.metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{:?} has mode {mode:o}", file.file_name());
    }
    assert_eq!(store.problems(), [""; 0]);
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    for mode in [0o770, 0o707, 0o777, 0o1777, 0o720] {
        let dir = TempDir::new().unwrap();
        // Even if it has all that is asked for.
        assert_works(&disk(dir.path(), SIZE_MAX));
        set_mode(dir.path(), mode);
        assert_refused(dir.path(), MissReason::Untrusted, "may be written by others");
        set_mode(dir.path(), 0o755);
        assert_works(&disk(dir.path(), SIZE_MAX));
    }
}

#[test]
fn a_file_that_others_may_write_to_is_refused_and_stays() {
    let dir = TempDir::new().unwrap();
    assert_works(&disk(dir.path(), SIZE_MAX));
    let file = dir.path().join(FIRST);
    set_mode(&file, 0o660);
    let before = fs::read(&file).unwrap();
    assert_refused(dir.path(), MissReason::Untrusted, "may be written by others");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn what_another_user_owns_is_refused() {
    let dir = TempDir::new().unwrap();
    let cache = dir.path().join("cache");
    assert_works(&disk(&cache, SIZE_MAX));
    let give_away = |path: &Path, user| chown(path, Some(user), None);
    let me = fs::metadata(&cache).unwrap().uid();
    if give_away(&cache, me + 1).is_err() {
        eprintln!("SKIPPED what_another_user_owns_is_refused: only root gives files away");
        return;
    }
    assert_refused(&cache, MissReason::Untrusted, "belongs to user");
    give_away(&cache, me).unwrap();
    assert_works(&disk(&cache, SIZE_MAX));

    let file = cache.join(FIRST);
    give_away(&file, me + 1).unwrap();
    assert_refused(&cache, MissReason::Untrusted, "belongs to user");
    give_away(&file, me).unwrap();

    // A link of our own may stand in the directory's place, another's may not.
    let link = dir.path().join("link");
    symlink(&cache, &link).unwrap();
    assert_works(&disk(&link, SIZE_MAX));
    if me == 0 {
        lchown(&link, Some(1), None).unwrap();
        assert_refused(&link, MissReason::Untrusted, "belongs to user");
    }
}

#[test]
fn links_are_followed_for_the_directory_alone() {
    let dir = TempDir::new().unwrap();
    let (cache, link) = (dir.path().join("cache"), dir.path().join("link"));
    fs::create_dir(&cache).unwrap();
    symlink(&cache, &link).unwrap();
    assert_works(&disk(&link, SIZE_MAX));
    assert_works(&disk(&cache, SIZE_MAX));

    // The database must not be one: it may lead to a file of someone else.
    let (file, elsewhere) = (cache.join(FIRST), dir.path().join("elsewhere"));
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    let before = fs::read(&elsewhere).unwrap();
    let store = disk(&cache, SIZE_MAX);
    let found = look_up(&store, &entries(0..30, 1000));
    assert_eq!(found.misses, BTreeMap::from([(MissReason::Corrupt, 30)]));
    assert_works(&store);
    assert_eq!(fs::read(&elsewhere).unwrap(), before, "left alone");

    // A link that leads nowhere.
    let nowhere = dir.path().join("nowhere");
    symlink(dir.path().join("gone"), &nowhere).unwrap();
    assert_refused(&nowhere, MissReason::Io, "cannot be used");
}

#[test]
fn something_else_in_the_place_of_the_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    assert_refused(&file, MissReason::Io, "cannot be used");
    assert_refused(&file.join("below"), MissReason::Io, "cannot be used");
    assert_eq!(fs::read(&file).unwrap(), b"not a directory");
}

#[test]
fn something_else_in_the_place_of_the_files_is_replaced() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join(FIRST)).unwrap();
    fs::create_dir(dir.path().join("entries.unfinished")).unwrap();
    fs::create_dir(dir.path().join("entries.lock")).unwrap();
    assert_works(&disk(dir.path(), SIZE_MAX));

    // Opening a pipe would wait for its other end for ever.
    let dir = TempDir::new().unwrap();
    for name in [FIRST, "entries.unfinished", "entries.lock"] {
        let made = Command::new("mkfifo").arg(dir.path().join(name)).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED the half with pipes: there is no mkfifo");
            return;
        }
    }
    assert_works(&disk(dir.path(), SIZE_MAX));
}

/// A directory in the place of one of the files was once removed with all that
/// was in it.
#[test]
fn nothing_of_others_is_lost() {
    for name in [FIRST, "entries.unfinished", "entries.lock"] {
        let dir = TempDir::new().unwrap();
        let theirs = dir.path().join(name).join("deep/theirs");
        fs::create_dir_all(theirs.parent().unwrap()).unwrap();
        fs::write(&theirs, "kept").unwrap();
        for other in ["lock", "unfinished", "notes.sqlite"] {
            fs::write(dir.path().join(other), "kept").unwrap();
        }
        let store = disk(dir.path(), SIZE_MAX);
        let entries = entries(0..3, 100);
        let summary = store.publish(&entries);
        assert!(summary.stored == 3 || !store.problems().is_empty(), "{name}: {summary:?}");
        store.clear().ok();
        assert_eq!(fs::read(&theirs).unwrap(), b"kept", "{name}");
        for other in ["lock", "unfinished", "notes.sqlite"] {
            assert_eq!(fs::read(dir.path().join(other)).unwrap(), b"kept", "{name}: {other}");
        }
    }
}

/// Whether permissions hold for this user; they do not for root.
fn permissions_hold(test: &str) -> bool {
    let dir = TempDir::new().unwrap();
    set_mode(dir.path(), 0o500);
    let hold = File::create(dir.path().join("file")).is_err();
    if !hold {
        eprintln!("SKIPPED {test}: permissions do not hold for this user");
    }
    hold
}

#[test]
fn a_directory_without_permission_is_refused() {
    if !permissions_hold("a_directory_without_permission_is_refused") {
        return;
    }
    for mode in [0o500, 0o000] {
        let dir = TempDir::new().unwrap();
        set_mode(dir.path(), mode);
        assert_refused(dir.path(), MissReason::Io, "cannot be used");
        assert_refused(&dir.path().join("below"), MissReason::Io, "cannot be used");
        set_mode(dir.path(), 0o700);
    }
}

/// The same for root, whom permissions do not hold: the child gives its
/// identity up before it starts.
#[test]
fn a_directory_without_permission_is_refused_when_root_tests() {
    let name = "uses_what_it_may_not";
    let dir = TempDir::new().unwrap();
    let me = fs::metadata(dir.path()).unwrap().uid();
    let binary = std::env::current_exe().unwrap();
    if me != 0 {
        eprintln!("SKIPPED a_directory_without_permission_is_refused_when_root_tests: not root");
        return;
    }
    // The binary may lie where only root reads; a copy does not. Another
    // process writes it: a child that another test starts meanwhile would
    // inherit our open file, and what is open for writing cannot be run.
    let copy = dir.path().join("test");
    assert!(Command::new("cp").arg(binary).arg(&copy).status().unwrap().success());
    set_mode(dir.path(), 0o755);
    set_mode(&copy, 0o755);
    for (mode, works) in [(0o700, true), (0o500, false), (0o000, false)] {
        let cache = dir.path().join(format!("cache-{mode:o}"));
        fs::create_dir(&cache).unwrap();
        chown(&cache, Some(1), Some(1)).unwrap();
        set_mode(&cache, mode);
        let command = child::command(name, &cache);
        let output = Command::new(&copy)
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env(WORKS, works.to_string())
            .gid(1)
            .uid(1)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(child::passed(&output), "mode {mode:o}: {}: {said}", output.status);
    }
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn uses_what_it_may_not() {
    let Some(dir) = child::dir() else { return };
    if std::env::var(WORKS).is_ok_and(|works| works == "true") {
        assert_works(&disk(&dir, SIZE_MAX));
    } else {
        assert_refused(&dir, MissReason::Io, "cannot be used");
        assert_refused(&dir.join("below"), MissReason::Io, "cannot be used");
    }
}

#[test]
fn a_directory_that_is_deleted_meanwhile_is_made_again() {
    let dir = TempDir::new().unwrap();
    let cache = dir.path().join("cache");
    let store = disk(&cache, SIZE_MAX);
    let new = entries(0..30, 1000);
    for _ in 0..3 {
        assert_works(&store);
        fs::remove_dir_all(&cache).unwrap();
        let found = look_up(&store, &new);
        assert_eq!(found.misses, BTreeMap::from([(MissReason::Absent, 30)]));
        assert_works(&store);
        fs::remove_dir_all(&cache).unwrap();
        assert_eq!(store.publish(&new).stored, 30, "{:?}", store.problems());
        // Another directory with other entries in its place.
        let other = dir.path().join("other");
        assert_eq!(disk(&other, SIZE_MAX).publish(&entries(50..60, 10)).stored, 10);
        fs::remove_dir_all(&cache).unwrap();
        fs::rename(&other, &cache).unwrap();
        assert_eq!(look_up(&store, &entries(50..60, 10)).hits, 10);
    }
    assert_eq!(store.problems(), [""; 0]);
}

#[test]
fn a_limit_on_file_sizes_is_no_room() {
    // In units of 512 bytes: none, less than an empty database has, and less
    // than the entries need.
    for limit in [0, 8, 100, 2000] {
        let dir = TempDir::new().unwrap();
        let cache = dir.path().join("cache");
        let output = under_limit("publishes_under_a_limit", &cache, limit);
        assert!(output.status.success(), "limit {limit}: {}", output.status);
        // Without the limit, the same directory works.
        let store = disk(&cache, SIZE_MAX);
        assert_works(&store);
        assert_eq!(store.problems(), [""; 0], "limit {limit}");
    }
}

#[test]
fn what_is_there_is_found_under_a_limit_on_file_sizes() {
    let dir = TempDir::new().unwrap();
    assert_works(&disk(dir.path(), SIZE_MAX));
    under_limit("finds_under_a_limit", dir.path(), 0);
    assert_works(&disk(dir.path(), SIZE_MAX));
}

/// A disk of 3 MiB, in a mount namespace of the child's own.
#[test]
fn a_full_disk_is_no_room_and_what_is_there_stays() {
    let dir = TempDir::new().unwrap();
    let in_namespace = |mount: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &format!("{mount} exec \"$@\""), "sh"]);
        command
    };
    let mount = format!("mount -t tmpfs -o size=3m,mode=700 tmpfs '{}' &&", dir.path().display());
    if !in_namespace(&mount).arg("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED a_full_disk_is_no_room_and_what_is_there_stays: may not mount");
        return;
    }
    let child = child::command("fills_the_disk", dir.path());
    let output = in_namespace(&mount)
        .arg(child.get_program())
        .args(child.get_args())
        .envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(child::passed(&output), "{}: {said}", output.status);
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn fills_the_disk() {
    let Some(dir) = child::dir() else { return };
    let store = disk(&dir, SIZE_MAX);
    let few = entries(0..500, 1000);
    assert_eq!(store.publish(&few).stored, 500);
    let many = entries(1000..5000, 1000);
    let published = store.publish(&many);
    assert_eq!(published, PublishSummary::refused(MissReason::Full, 4000));
    let problems = store.problems();
    assert!(problems.len() == 1 && problems[0].contains("no room"), "{problems:?}");
    assert_eq!(look_up(&store, &few).hits, 500);
    assert_eq!(look_up(&disk(&dir, SIZE_MAX), &few).hits, 500);
    assert!(dir.join(FIRST).exists(), "nothing was replaced");
}

/// Runs a child that may write files of `limit` times 512 bytes, and for whom a
/// write beyond that fails instead of ending it.
#[track_caller]
fn under_limit(name: &str, dir: &Path, limit: u32) -> Output {
    let command = child::command(name, dir);
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(command.get_program())
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(child::passed(&output), "limit {limit}: {}: {said}", output.status);
    output
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn publishes_under_a_limit() {
    let Some(dir) = child::dir() else { return };
    let store = disk(&dir, SIZE_MAX);
    // More than any of the limits.
    let new = entries(0..2000, 1000);
    let published = store.publish(&new);
    let refused: u64 = published.refused.values().sum();
    assert!(refused > 0 && published.stored + refused == 2000, "{published:?}");
    let reasons: Vec<_> = published.refused.keys().collect();
    assert_eq!(reasons, [&MissReason::Full], "{:?}", store.problems());
    assert_eq!(look_up(&store, &new).hits as u64, published.stored);
    let problems = store.problems();
    assert!(problems.iter().any(|p| p.contains("no room")), "{problems:?}");
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn finds_under_a_limit() {
    let Some(dir) = child::dir() else { return };
    let store = disk(&dir, SIZE_MAX);
    assert_eq!(look_up(&store, &entries(0..30, 1000)).hits, 30, "{:?}", store.problems());
    let published = store.publish(&entries(100..200, 1000));
    assert_eq!(published, PublishSummary::refused(MissReason::Full, 100));
    assert_eq!(look_up(&store, &entries(0..30, 1000)).hits, 30, "{:?}", store.problems());
}
