//! Measured times -> whether to ask the tiers for one key.
//!
//! Asking is paid from a credit. It starts with [`START`], enough to find out
//! how long asking takes; it grows by 2 % of the time that passes and by the
//! mean compile time of a function for each one that asking gave; it never
//! exceeds [`CREDIT_MAX`], so that no long pause is paid back by waiting.
//!
//! Invariant: in any stretch of time, asking takes at most 2 % of it, and
//! [`CREDIT_MAX`], and what it saved. Asking is thus cheap near by (memory,
//! disk, a server in the same room) without anybody's saying so, and stops by
//! itself where an answer takes longer than to compile.

use std::time::Duration;

/// What may be spent before anything is known.
const START: Duration = Duration::from_millis(10);
/// What may be saved up.
const CREDIT_MAX: Duration = Duration::from_millis(100);
/// The part of the passing time that may be spent: 1 / 50.
const SHARE: u32 = 50;
/// Before compile times are known, a function is taken to need this long.
const COMPILE_TIME_GUESSED: Duration = Duration::from_micros(500);
/// The guess counts as much as this many measurements.
const GUESS_WEIGHT: u32 = 4;

/// What may be spent on asking, and what was learned. All times are since the
/// store was made, as its owner's clock says.
#[derive(Debug)]
pub(super) struct Economics {
    credit: Duration,
    /// How much more was spent than there was.
    debt: Duration,
    now: Duration,
    ask_time: Option<Duration>,
    compile_time: Duration,
    compiles: u32,
}

/// Leave to ask once; to be given back with [`Economics::asked`].
#[derive(Debug)]
pub(super) struct Leave {
    reserved: Duration,
}

impl Economics {
    pub(super) fn new() -> Self {
        Self {
            credit: START,
            debt: Duration::ZERO,
            now: Duration::ZERO,
            ask_time: None,
            compile_time: COMPILE_TIME_GUESSED * GUESS_WEIGHT,
            compiles: GUESS_WEIGHT,
        }
    }

    /// Whether one key may be asked for now.
    pub(super) fn may_ask(&mut self, now: Duration) -> Option<Leave> {
        let passed = now.saturating_sub(self.now);
        self.now = self.now.max(now);
        self.earn(passed / SHARE);
        // While the first answer is awaited, nobody else asks.
        let reserved = self.ask_time.unwrap_or(START);
        if self.credit < reserved {
            return None;
        }
        self.credit -= reserved;
        Some(Leave { reserved })
    }

    /// An answer came after `took`.
    pub(super) fn asked(&mut self, leave: Leave, took: Duration, hit: bool) {
        self.measured(took);
        self.earn(leave.reserved);
        if hit {
            self.earn(self.mean_compile_time());
        }
        let paid = took.min(self.credit);
        self.credit -= paid;
        self.debt += took - paid;
    }

    /// An answer takes this long, as was learned elsewhere.
    pub(super) fn measured(&mut self, took: Duration) {
        let before = self.ask_time.unwrap_or(took);
        self.ask_time = Some((before * 3 + took) / 4);
    }

    /// A function was compiled in this time.
    pub(super) fn compiled(&mut self, took: Duration) {
        self.compile_time = self.compile_time.saturating_add(took);
        self.compiles = self.compiles.saturating_add(1);
    }

    pub(super) fn mean_compile_time(&self) -> Duration {
        self.compile_time / self.compiles
    }

    fn earn(&mut self, earned: Duration) {
        let repaid = earned.min(self.debt);
        self.debt -= repaid;
        self.credit = (self.credit + (earned - repaid)).min(CREDIT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const US: Duration = Duration::from_micros(1);

    /// Compiles `functions` of `compile_time` on one thread, each of which is
    /// first asked for if that is allowed. How many were, and how long it took.
    fn run(functions: u32, compile_time: Duration, ask: Duration, hit: bool) -> (u32, Duration) {
        let mut economics = Economics::new();
        let (mut now, mut asks) = (Duration::ZERO, 0);
        for _ in 0..functions {
            let leave = economics.may_ask(now);
            let is_hit = hit && leave.is_some();
            if let Some(leave) = leave {
                now += ask;
                asks += 1;
                economics.asked(leave, ask, hit);
            }
            if !is_hit {
                now += compile_time;
                economics.compiled(compile_time);
            }
        }
        (asks, now)
    }

    #[test]
    fn near_stores_are_asked_for_every_function_while_they_hit() {
        assert_eq!(run(10_000, MS, 50 * US, true).0, 10_000);
    }

    #[test]
    fn near_stores_that_miss_cost_two_percent() {
        let (asks, time) = run(10_000, MS, 50 * US, false);
        assert!(asks > 1_000, "{asks}");
        assert!(time <= 10_000 * MS * 102 / 100 + 2 * START, "{time:?}");
    }

    #[test]
    fn a_store_slower_than_compiling_is_asked_once_and_then_rarely() {
        for hit in [false, true] {
            let (asks, time) = run(10_000, MS, 20 * MS, hit);
            assert!((1..=11).contains(&asks), "{asks}");
            assert!(time <= 10_000 * MS * 103 / 100, "{time:?}");
        }
    }

    #[test]
    fn a_far_store_is_asked_for_functions_that_take_longer_to_compile() {
        let (asks, time) = run(200, 80 * MS, 20 * MS, true);
        assert!(asks > 100, "{asks}");
        assert!(time < 200 * 80 * MS, "{time:?}");
    }

    #[test]
    fn one_asks_first_and_the_others_wait_for_what_it_learns() {
        let mut economics = Economics::new();
        let leave = economics.may_ask(MS);
        assert!(leave.is_some());
        assert!(economics.may_ask(MS).is_none());
        economics.asked(leave.unwrap(), 50 * US, false);
        assert!(economics.may_ask(MS).is_some());
    }

    #[test]
    fn a_known_far_store_is_not_asked_at_the_start() {
        let mut economics = Economics::new();
        economics.measured(20 * MS);
        assert!(economics.may_ask(MS).is_none());
    }

    #[test]
    fn an_hour_of_rest_allows_a_few_slow_answers_only() {
        let mut economics = Economics::new();
        economics.measured(20 * MS);
        let mut asks = 0;
        while let Some(leave) = economics.may_ask(Duration::from_secs(3600)) {
            economics.asked(leave, 20 * MS, false);
            asks += 1;
        }
        assert_eq!(asks, 5);
    }
}
