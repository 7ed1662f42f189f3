//! The cache directory taken away while a compile works on it -> rows.
//!
//! The command stops at its Nth call below the directory; then the directory goes, and the command
//! goes on. Call 0 is before it starts, and the last one after its lookup.

use crate::module::Module;
use crate::more;
use crate::shim::Place;
use crate::table::{Row, Trial};
use crate::tier::{Disk, compile_on_disk};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Deleted,
    File,
    Link,
    Unreadable,
    OthersMayWrite,
}

const DEEDS: [(Deed, &str); 5] = [
    (Deed::Deleted, "cache directory deleted"),
    (Deed::File, "cache directory replaced by a file"),
    (Deed::Link, "cache directory replaced by a dangling link"),
    (Deed::Unreadable, "cache directory given to another user, or unreadable"),
    (Deed::OthersMayWrite, "cache directory made writable for all"),
];

pub fn rows(module: &Module) -> Vec<Row> {
    let disk = Disk::new(module);
    DEEDS.map(|(deed, fault)| row(module, &disk, deed, fault)).into()
}

fn row(module: &Module, disk: &Disk, deed: Deed, fault: &str) -> Row {
    let mut row = Row::new(fault, "disk");
    for (warm, step) in [(true, 2), (false, 4)] {
        for nth in (0..).step_by(if more() { 1 } else { step }) {
            let place = Place::new(module);
            if warm || nth == 0 {
                disk.copy_to(&place.cache);
            }
            let under = match nth {
                0 => {
                    deed.do_to(&place.cache);
                    place.run(module, place.command())
                }
                nth => match place.run_to_stop("orwtsn", nth) {
                    Err(_) => break,
                    Ok(stopped) => {
                        deed.do_to(&place.cache);
                        place.seen(module, stopped.go_on(&place))
                    }
                },
            };
            deed.undo(&place.cache);
            let what = format!("call {nth}, warm: {warm}");
            let trial = Trial::new(&what, under, || compile_on_disk(module, &place.cache));
            let mut trial = trial.warm(warm);
            deed.explain(warm, &mut trial);
            row.add(trial);
        }
    }
    row
}

impl Deed {
    fn do_to(self, dir: &Path) {
        let mode = |mode| fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
        match self {
            // Before the command has made it there is none.
            _ if !dir.exists() => fs::create_dir(dir).unwrap(),
            _ => {}
        }
        match self {
            Self::Unreadable if rustix::process::geteuid().is_root() => {
                // Nothing is unreadable for root.
                std::os::unix::fs::chown(dir, Some(65_534), None).unwrap();
            }
            Self::Unreadable => mode(0o000),
            Self::OthersMayWrite => mode(0o777),
            Self::Deleted | Self::File | Self::Link => {
                fs::remove_dir_all(dir).unwrap();
                match self {
                    Self::File => fs::write(dir, "not a directory").unwrap(),
                    Self::Link => symlink("/nowhere/at/all", dir).unwrap(),
                    _ => {}
                }
            }
        }
    }

    fn undo(self, dir: &Path) {
        match self {
            Self::Deleted => {}
            Self::File | Self::Link => fs::remove_file(dir).unwrap(),
            Self::Unreadable | Self::OthersMayWrite => {
                let user = rustix::process::geteuid().as_raw();
                std::os::unix::fs::chown(dir, Some(user), None).unwrap();
                fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
            }
        }
    }

    /// What was deleted is absent: that is the whole truth, and no silence.
    fn explain(self, warm: bool, Trial { under, next, .. }: &mut Trial<'_>) {
        if matches!(self, Self::Deleted | Self::File | Self::Link) {
            next.count("absent: deleted", next.misses);
        }
        if self == Self::Deleted
            && warm
            && let Some(under) = under
        {
            under.count("absent: deleted", under.misses);
        }
    }
}
