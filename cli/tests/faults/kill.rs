//! `kill -9` at every call on a cache's files, and at random ones of several threads -> rows.
//!
//! The command stops itself at its Nth call and is killed there: no call is missed, and none is
//! waited for. A killed compile says nothing; that what it had not committed is absent is no loss.

use crate::module::Module;
use crate::shim::Place;
use crate::table::{Row, Trial};
use crate::tier::{Disk, compile_on_disk};

pub fn rows(module: &Module) -> Vec<Row> {
    let disk = Disk::new(module);
    let row = |fault: &str, warm: bool| {
        let mut row = Row::new(fault, "disk");
        for nth in 1.. {
            let place = Place::new(module);
            if warm {
                disk.copy_to(&place.cache);
            }
            match place.run_to_stop("orwtsn", nth) {
                Ok(stopped) => stopped.kill(),
                Err(_) => break,
            }
            let what = format!("call {nth}");
            let trial = Trial::new(&what, None, || compile_on_disk(module, &place.cache));
            let taken = trial.next.misses;
            if warm && taken > 0 {
                row.fail(format!("{what}: a compile that was killed took {taken} entries"));
            }
            row.add(trial);
        }
        row
    };
    vec![row("kill -9, cache empty", false), row("kill -9, cache full", true)]
}
