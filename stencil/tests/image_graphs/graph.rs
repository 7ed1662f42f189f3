//! Random call graphs: what their functions compute, and how to choose them.

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A function of fuel and a number. It mixes the number in `rounds`, and while
/// there is fuel it calls others with one less.
#[derive(Clone, Debug)]
pub struct Body {
    pub scale: u64,
    pub add: u64,
    pub rounds: u64,
    pub calls: Vec<Call>,
    /// Compiled as position-independent code?
    pub pic: bool,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub to: Callee,
    pub how: How,
    pub rotate: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Callee {
    /// A function of the graph; numbers past its end count from the start again.
    Function(u32),
    /// [`host`].
    Host,
}

/// What the compiler is told about the callee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is near: called by distance.
    Near,
    /// It may be anywhere: called by address.
    Far,
    /// It is near, and its address is taken by distance, then called.
    ByAddress,
}

pub type Graph = BTreeMap<u32, Body>;

/// A function of the test program, far away from code that is mapped.
pub extern "C" fn host(fuel: u64, number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left((fuel & 31) as u32)
}

/// What the compiled code has to say.
pub fn interpret(graph: &Graph, function: u32, fuel: u64, number: u64) -> u64 {
    let body = &graph[&function];
    let mut number = number;
    for round in 0..body.rounds {
        number = number.wrapping_mul(body.scale).wrapping_add(body.add ^ round);
    }
    if fuel == 0 {
        return number;
    }
    for call in &body.calls {
        let got = match call.to {
            Callee::Function(to) => interpret(graph, to, fuel - 1, number),
            Callee::Host => host(fuel - 1, number),
        };
        number = number.rotate_left(call.rotate) ^ got;
    }
    number
}

pub fn call() -> impl Strategy<Value = Call> {
    let to = prop_oneof![4 => any::<u32>().prop_map(Callee::Function), 1 => Just(Callee::Host)];
    let how = prop_oneof![2 => Just(How::Near), 1 => Just(How::Far), 1 => Just(How::ByAddress)];
    (to, how, 0..64_u32).prop_map(|(to, how, rotate)| Call { to, how, rotate })
}

/// A body whose size in bytes depends on `rounds` and calls.
pub fn body() -> impl Strategy<Value = Body> {
    (any::<u64>(), any::<u64>(), 0..12_u64, vec(call(), 0..4), any::<bool>()).prop_map(
        |(scale, add, rounds, calls, pic)| Body { scale: scale | 1, add, rounds, calls, pic },
    )
}

/// The body in a graph of `count` functions.
pub fn within(mut body: Body, count: u32) -> Body {
    for call in &mut body.calls {
        if let Callee::Function(to) = &mut call.to {
            *to %= count;
        }
    }
    body
}
