//! Whatever is done to an image, its code computes what it should: random call
//! graphs of functions that Cranelift compiles are put in forwards, backwards
//! and shuffled, then replaced, removed and put back, and run after each step.
//! The results are held against an interpreter and against Cranelift's own JIT;
//! in the end, every generation is run once more.

#![cfg(feature = "image")]

mod graph;
mod native;

use graph::{Body, Callee, Graph, How, body, interpret, within};
use native::{Direct, compile, name_of, run};
use proptest::collection::vec;
use proptest::prelude::*;
use stencil::image::{Architecture, CodeImage, Generation, ImageError};

#[derive(Clone, Debug)]
enum Order {
    Forwards,
    Backwards,
    /// In the order of these numbers; in front if odd.
    Shuffled(Vec<u32>),
}

#[derive(Clone, Debug)]
enum Step {
    Replace(u32, Body),
    /// Taken out, and put back in front (`true`) or at the back.
    Remove(u32, Body, bool),
}

fn order() -> impl Strategy<Value = Order> {
    let shuffled = vec(any::<u32>(), 8).prop_map(Order::Shuffled);
    prop_oneof![Just(Order::Forwards), Just(Order::Backwards), shuffled]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (any::<u32>(), body()).prop_map(|(at, body)| Step::Replace(at, body)),
        1 => (any::<u32>(), body(), any::<bool>())
            .prop_map(|(at, body, front)| Step::Remove(at, body, front)),
    ]
}

fn put(image: &mut CodeImage, index: u32, body: &Body, front: bool) {
    let compiled = compile(body);
    let put = if front { CodeImage::prepend } else { CodeImage::append };
    put(image, name_of(index), compiled.fragment()).unwrap();
}

fn fill(image: &mut CodeImage, graph: &Graph, order: &Order) {
    let mut indices: Vec<_> = graph.keys().copied().collect();
    match order {
        Order::Forwards => indices.iter().for_each(|it| put(image, *it, &graph[it], false)),
        Order::Backwards => indices.iter().rev().for_each(|it| put(image, *it, &graph[it], true)),
        Order::Shuffled(by) => {
            indices.sort_by_key(|it| by[*it as usize]);
            let front = |it: u32| by[it as usize] % 2 == 1;
            indices.iter().for_each(|it| put(image, *it, &graph[it], front(*it)));
        }
    }
}

/// Each function of the generation computes what the graph says.
#[track_caller]
fn check(generation: &Generation, graph: &Graph, direct: Option<&Direct>) {
    for &function in graph.keys() {
        let code = generation.address_of(name_of(function)).unwrap();
        for (fuel, number) in [(0, 7), (1, u64::MAX), (3, 0x0123_4567_89ab_cdef)] {
            let expected = interpret(graph, function, fuel, number);
            // SAFETY: compiled from the graph's bodies; `generation` lives.
            let got = unsafe { run(code, fuel, number) };
            assert_eq!(got, expected, "function {function}, fuel {fuel}");
            if let Some(direct) = direct {
                assert_eq!(direct.run(function, fuel, number), expected, "Cranelift's JIT");
            }
        }
    }
}

/// Commits, and checks code and bytes.
#[track_caller]
fn check_commit(image: &mut CodeImage, graph: &Graph) -> Generation {
    let generation = image.commit().unwrap();
    check(&generation, graph, Some(&Direct::new(graph)));
    let base = generation.bytes().as_ptr() as u64;
    let bytes = image.to_bytes(base).unwrap();
    assert!(bytes.bytes() == generation.bytes(), "to_bytes differs from what was mapped");
    assert!(bytes.functions().eq(generation.functions()));
    generation
}

/// The image is committed if and only if nobody refers to what is not there.
#[track_caller]
fn check_without(image: &mut CodeImage, graph: &Graph, removed: u32) {
    let calls = |body: &Body| body.calls.iter().any(|it| it.to == Callee::Function(removed));
    let callers = graph.iter().any(|(&index, body)| index != removed && calls(body));
    match image.commit() {
        Ok(generation) => {
            assert!(!callers, "function {removed} is called, and is not there");
            assert_eq!(generation.address_of(name_of(removed)), None);
        }
        Err(ImageError::Undefined { function, target, .. }) => {
            assert!(callers, "nobody calls function {removed}");
            assert_eq!(target, name_of(removed));
            assert!(calls(&graph[&function.index]), "{function:?} does not refer to it");
        }
        Err(error) => panic!("{error}"),
    }
}

fn run_steps(bodies: Vec<Body>, order: &Order, steps: Vec<Step>) {
    let count = bodies.len() as u32;
    let bodies = bodies.into_iter().map(|body| within(body, count));
    let mut graph: Graph = (0..count).zip(bodies).collect();
    let mut image = native::image().unwrap();
    fill(&mut image, &graph, order);
    let mut generations = vec![(check_commit(&mut image, &graph), graph.clone())];
    for step in steps {
        match step {
            Step::Replace(at, body) => {
                let (at, body) = (at % count, within(body, count));
                image.replace(name_of(at), compile(&body).fragment()).unwrap();
                graph.insert(at, body);
            }
            Step::Remove(at, body, front) => {
                let (at, body) = (at % count, within(body, count));
                image.remove(name_of(at)).unwrap();
                check_without(&mut image, &graph, at);
                put(&mut image, at, &body, front);
                graph.insert(at, body);
            }
        }
        generations.push((check_commit(&mut image, &graph), graph.clone()));
    }
    drop(image);
    for (generation, graph) in &generations {
        check(generation, graph, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 384,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn any_order_of_changes_computes_what_direct_compilation_does(
        bodies in vec(body(), 1..8),
        order in order(),
        steps in vec(step(), 0..8),
    ) {
        run_steps(bodies, &order, steps);
    }
}

/// The random graphs are made of every way to refer to something.
#[test]
#[cfg(target_arch = "x86_64")]
fn compiled_bodies_refer_in_every_way() {
    use How::{ByAddress, Far, Near};
    use cranelift_codegen::binemit::Reloc;
    let kinds = |how, pic| {
        let call = graph::Call { to: Callee::Function(0), how, rotate: 1 };
        let compiled = compile(&Body { scale: 3, add: 1, rounds: 1, calls: vec![call], pic });
        compiled.fragment().relocations.iter().map(|it| it.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(Near, false), [Reloc::X86CallPCRel4]);
    assert_eq!(kinds(Far, false), [Reloc::Abs8]);
    assert_eq!(kinds(Far, true), [Reloc::X86GOTPCRel4]);
    assert_eq!(kinds(ByAddress, false), [Reloc::X86CallPCRel4], "of `lea`");
}

/// Not run here, but put in: what Cranelift makes for the other machine.
#[test]
fn images_know_what_cranelift_makes_for_either_machine() {
    for (machine, architecture) in
        [("x86_64", Architecture::X86_64), ("aarch64", Architecture::Aarch64)]
    {
        let mut image = CodeImage::new(architecture);
        image.define(native::HOST, 0x1234_5678).unwrap();
        let mut index = 0;
        for how in [How::Near, How::Far, How::ByAddress] {
            for (to, pic) in [(Callee::Function(0), false), (Callee::Host, true)] {
                let builder = cranelift_codegen::isa::lookup_by_name(machine).unwrap();
                let calls = vec![graph::Call { to, how, rotate: 1 }];
                let body = Body { scale: 3, add: 1, rounds: 1, calls, pic };
                let compiled = native::compile_for(&native::isa_of(builder, pic), &body);
                assert!(!compiled.fragment().relocations.is_empty());
                image.append(name_of(index), compiled.fragment()).unwrap();
                index += 1;
            }
        }
        image.to_bytes(0x7f00_0000_0000).unwrap();
    }
}

/// Replaced by code that is smaller, as large, and larger; each time the right
/// one runs.
#[test]
fn smaller_equal_and_larger_replacements_run() {
    let body = |rounds, add| Body { scale: 3, add, rounds, calls: vec![], pic: false };
    let call = graph::Call { to: Callee::Function(0), how: How::Near, rotate: 5 };
    let caller = Body { scale: 5, add: 1, rounds: 1, calls: vec![call], pic: false };
    let mut graph = Graph::from([(0, body(8, u64::MAX / 3)), (1, caller)]);
    let mut image = native::image().unwrap();
    fill(&mut image, &graph, &Order::Forwards);
    let start = |it: &Generation| it.functions().next().unwrap().1;
    let first = check_commit(&mut image, &graph);
    for (rounds, stays) in [(8, true), (6, true), (8, true), (40, false)] {
        let body = body(rounds, u64::MAX / 5);
        image.replace(name_of(0), compile(&body).fragment()).unwrap();
        graph.insert(0, body);
        let generation = check_commit(&mut image, &graph);
        assert_eq!(start(&generation) == start(&first), stays, "{rounds} rounds");
    }
}

/// Threads run the first generation while hundreds of others come and go.
#[test]
fn threads_that_run_old_code_go_on_with_it() {
    let body = |add| Body { scale: 3, add, rounds: 4, calls: vec![], pic: false };
    let mut image = native::image().unwrap();
    let old = Graph::from([(0, body(1))]);
    fill(&mut image, &old, &Order::Forwards);
    let generation = image.commit().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let generation = generation.clone();
            scope.spawn(|| {
                let generation = generation;
                (0..2000).for_each(|_| check(&generation, &old, None));
            });
        }
        for add in 2..300 {
            let new = Graph::from([(0, body(add))]);
            image.replace(name_of(0), compile(&new[&0]).fragment()).unwrap();
            check(&image.commit().unwrap(), &new, None);
        }
    });
}
