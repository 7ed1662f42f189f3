//! Calls on the files of a cache directory that fail, one after the other -> rows.
//!
//! The real command runs with the shim. For each kind of call its first one fails, then its second
//! one, and so on until a run has no such call; once in a full cache and once in an empty one.

use crate::module::Module;
use crate::more;
use crate::shim::{EACCES, EIO, ENOSPC, Fault, Place, happened, prepare};
use crate::table::{Row, Trial};
use crate::tier::{Disk, compile_on_disk};

/// What a row says, which calls, how they fail, whether all that follow fail too.
pub type Kind = (&'static str, &'static str, &'static str, bool);

pub const KINDS: [Kind; 14] = [
    ("EIO on one open", "o", EIO, false),
    ("EACCES on one open", "o", EACCES, false),
    ("EACCES on every open from one on", "o", EACCES, true),
    ("EIO on one read", "r", EIO, false),
    ("EIO on every read from one on", "r", EIO, true),
    ("a short read", "r", "short", false),
    ("EIO on one write", "w", EIO, false),
    ("EIO on every write from one on", "w", EIO, true),
    ("ENOSPC on one write", "w", ENOSPC, false),
    ("ENOSPC on every write from one on", "w", ENOSPC, true),
    ("a short write", "w", "short", false),
    ("EIO on one fsync", "s", EIO, false),
    ("EIO on one ftruncate", "t", EIO, false),
    ("EIO on one rename, unlink or mkdir", "n", EIO, false),
];

pub fn rows(module: &Module) -> Vec<Row> {
    let disk = Disk::new(module);
    KINDS.iter().map(|kind| row(module, &disk, *kind)).collect()
}

fn row(module: &Module, disk: &Disk, (fault, calls, what, forever): Kind) -> Row {
    let mut row = Row::new(fault, "disk");
    let step = if forever && !more() { 3 } else { 1 };
    for warm in [true, false] {
        for nth in (1..).step_by(step) {
            let place = Place::new(module);
            if warm {
                disk.copy_to(&place.cache);
            }
            let mut command = place.command();
            let fault = Fault { calls, nth, forever, what };
            prepare(&mut command, fault, &place.cache, &place.log());
            let under = place.run(module, command);
            if happened(&place.log()) == 0 {
                break;
            }
            let what = format!("call {nth}, warm: {warm}");
            let trial = Trial::new(&what, under, || compile_on_disk(module, &place.cache));
            row.add(trial.warm(warm));
        }
    }
    row.if_none("the tier makes no such call")
}
