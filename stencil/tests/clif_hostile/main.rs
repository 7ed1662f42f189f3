//! Entries that lie: damaged, forged and sealed again, or of other functions.
//! Whatever a store serves, the function's own code comes out, a miss has a
//! counted reason, and reading an entry that was taken neither panics nor
//! allocates beyond what the entry has. The same holds for stencils.

#![cfg(all(feature = "image", feature = "module"))]

mod forge;

use cranelift_codegen::ir;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_module::FuncId;
use forge::{Liar, Sound, key_of_kind, mutate, sound};
use generate::clif::Generator;
use oracle::allocations::{Counting, peak};
use oracle::seal::{metadata_at, reseal};
use oracle::views;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stencil::clif::{Compiler, Origin, restore};
use stencil::compiled::{
    DebugBuilder, RelocationTarget, StencilDebugTag, StencilFrameSlot, StencilHandler,
    StencilPatchableCall, StencilRelocation, StencilSlot, StencilTrap, StencilValueRange,
};
use stencil::image::{CodeImage, Fragment};
use stencil::{
    CacheKey, ExternalName, FunctionStencil, MissReason, StencilBuilder, StencilKind, entry,
};

#[global_allocator]
static COUNTING: Counting = Counting;

fn isa() -> OwnedTargetIsa {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").unwrap();
    flags.set("enable_llvm_abi_extensions", "true").unwrap();
    flags.set("machine_code_cfg_info", "true").unwrap();
    cranelift_native::builder().unwrap().finish(settings::Flags::new(flags)).unwrap()
}

/// Functions of several programs, small ones first.
fn functions(isa: &OwnedTargetIsa, count: usize) -> Vec<ir::Function> {
    let mut generator = Generator::new(&**isa);
    let program = |seed| generator.program(&mut SmallRng::seed_from_u64(seed), 4);
    let mut functions: Vec<ir::Function> = (0..count as u64 / 2).flat_map(program).collect();
    functions.sort_by_key(|function| function.dfg.num_insts());
    functions.truncate(count);
    functions
}

/// By view, the most bytes that reading it has allocated, and those of the
/// entry and the stencil then.
type Most = BTreeMap<&'static str, (usize, usize)>;

/// Compiles functions with what the store serves in place of their entries.
struct Victim {
    function: ir::Function,
    sound: Sound,
    store: Arc<Liar>,
    compiler: Compiler,
    most: Most,
}

/// What became of a forged entry.
#[derive(Debug, PartialEq)]
enum Fate {
    Refused(MissReason),
    Taken,
}

impl Victim {
    fn new(isa: &OwnedTargetIsa, function: &ir::Function) -> Self {
        let store = Arc::new(Liar::default());
        let mut victim = Self {
            sound: sound(&**isa, function),
            compiler: Compiler::new(isa.clone(), store.clone()),
            function: function.clone(),
            store,
            most: BTreeMap::new(),
        };
        // The control: the sound entry is taken.
        let sound = victim.sound.entry.clone();
        assert_eq!(victim.check(&sound), Fate::Taken);
        victim
    }

    #[track_caller]
    fn check(&mut self, forged: &[u8]) -> Fate {
        self.store.serve(forged);
        let before = self.compiler.report().clone();
        let compiled = self.compiler.compile(&self.function).expect("it compiles");
        let sound_code = entry::open(&self.sound.key, &self.sound.entry).unwrap().code();
        assert_eq!(compiled.code(), sound_code, "its own code comes out");
        let after = self.compiler.report();
        if let Origin::Hit(_) = compiled.origin() {
            assert_eq!(compiled.entry(), forged);
            assert_eq!(after.hit_count(), before.hit_count() + 1);
            let bytes = forged.len() + self.sound.stencil.len();
            let finalized = compiled.finalized();
            let mut views = views::read_all(&finalized);
            let module_relocs = || drop(finalized.module_relocs(FuncId::from_u32(0)));
            views.push(("module_relocs", peak(module_relocs).1));
            for (view, allocated) in views {
                let bound = views::bound(view, bytes);
                assert!(allocated <= bound, "{view}: {allocated} B of an entry of {bytes} B");
                let most = self.most.entry(view).or_default();
                *most = (*most).max((allocated, bytes));
            }
            return Fate::Taken;
        }
        assert_eq!(compiled.entry(), &self.sound.entry, "compiled afresh");
        let counted = |reason: &MissReason| before.misses.get(reason).copied().unwrap_or(0);
        let mut new = after.misses.iter().filter(|(reason, count)| **count > counted(reason));
        let (reason, _) = new.next().expect("a miss is counted");
        assert_eq!((new.next(), after.miss_count()), (None, before.miss_count() + 1));
        Fate::Refused(*reason)
    }
}

#[test]
fn every_truncated_and_every_damaged_entry_is_a_miss() {
    let isa = isa();
    let mut rounds = 0;
    for function in &functions(&isa, 8)[3..6] {
        let mut victim = Victim::new(&isa, function);
        let sound = victim.sound.entry.clone();
        for len in 0..sound.len() {
            assert_eq!(victim.check(&sound[..len]), Fate::Refused(MissReason::Checksum));
        }
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut damaged = sound.to_vec();
                damaged[at] ^= 1 << bit;
                let reason =
                    if (4..8).contains(&at) { MissReason::Version } else { MissReason::Checksum };
                assert_eq!(victim.check(&damaged), Fate::Refused(reason), "byte {at}");
            }
        }
        rounds += 9 * sound.len();
    }
    println!("{rounds} damaged entries");
}

#[test]
fn forged_metadata_is_refused_or_harmless() {
    let isa = isa();
    let (mut fates, mut most) = (BTreeMap::<String, usize>::new(), Most::new());
    for (seed, function) in functions(&isa, 40).iter().enumerate() {
        let mut rng = SmallRng::seed_from_u64(seed as u64);
        let mut victim = Victim::new(&isa, function);
        let sound = victim.sound.entry.clone();
        let from = metadata_at(&sound);
        for _ in 0..500 {
            let mut forged = sound.to_vec();
            mutate(&mut rng, &mut forged, from);
            reseal(from, &mut forged);
            *fates.entry(format!("{:?}", victim.check(&forged))).or_default() += 1;
        }
        merge(&mut most, &victim.most);
    }
    println!("{fates:?}; bytes allocated, of so many: {most:?}");
    assert!(fates.keys().eq(["Refused(BadEntry)", "Taken"]), "{fates:?}");
}

#[test]
fn a_forged_description_of_the_frame_is_no_description() {
    let isa = isa();
    let (mut with, mut rounds) = (0, 0);
    for (seed, function) in functions(&isa, 10).iter().enumerate() {
        let mut rng = SmallRng::seed_from_u64(seed as u64);
        let mut victim = Victim::new(&isa, function);
        let sound = victim.sound.entry.clone();
        let stencil = entry::open(&victim.sound.key, &sound).unwrap();
        let stencil::compiled::Unwind::Cranelift(description) = stencil.unwind() else {
            panic!("Cranelift describes every frame");
        };
        for _ in 0..300 {
            let mut description = description.to_vec();
            mutate(&mut rng, &mut description, 0);
            let mut forged = victim.sound.builder.clone();
            forged.unwind_cranelift(description);
            let forged = entry::seal(&victim.sound.key, &forged).unwrap();
            assert_eq!(victim.check(&forged), Fate::Taken);
            let compiled = victim.compiler.compile(&victim.function).unwrap();
            with += usize::from(compiled.finalized().unwind_info().is_some());
            rounds += 1;
        }
    }
    println!("{rounds} forged descriptions, {with} of them can be read");
    assert!(with < rounds);
}

/// Callees, source locations and stack slots of an entry.
fn counts(key: &CacheKey, bytes: &[u8]) -> [usize; 3] {
    let stencil = entry::open(key, bytes).unwrap();
    let slots = stencil.slot_count() as usize;
    [stencil.callee_count() as usize, stencil.source_count() as usize, slots]
}

#[test]
fn an_entry_of_another_function_is_a_miss() {
    let isa = isa();
    let sounds: Vec<(ir::Function, Sound)> = functions(&isa, 60)
        .into_iter()
        .map(|function| (function.clone(), sound(&*isa, &function)))
        .collect();
    let (mut reasons, mut differences) = (BTreeSet::new(), BTreeSet::new());
    for (function, sound) in &sounds {
        let mut victim = Victim::new(&isa, function);
        let mine = counts(&sound.key, &sound.entry);
        for (_, other) in sounds.iter().filter(|(_, other)| other.key != sound.key) {
            assert_eq!(victim.check(&other.entry), Fate::Refused(MissReason::WrongKey));
            // Under this function's key: found out if the counts differ.
            let forged = entry::seal(&sound.key, &other.builder).unwrap();
            let theirs = counts(&sound.key, &forged);
            if mine == theirs {
                continue;
            }
            differences.insert([mine[0] != theirs[0], mine[1] != theirs[1], mine[2] != theirs[2]]);
            let Fate::Refused(reason) = victim.check(&forged) else {
                panic!("{mine:?} {theirs:?}")
            };
            reasons.insert(reason);
        }
    }
    assert!(reasons.iter().eq([&MissReason::BadEntry]), "{reasons:?}");
    for alone in [[true, false, false], [false, true, false], [false, false, true]] {
        assert!(differences.contains(&alone), "{alone:?} of {differences:?}");
    }
}

fn merge(all: &mut Most, one: &Most) {
    for (view, bytes) in one {
        let most = all.entry(view).or_default();
        *most = (*most).max(*bytes);
    }
}

fn number(rng: &mut SmallRng, limit: u32) -> u32 {
    match rng.random_range(0..8) {
        0 => 0,
        1 => limit,
        2 => u32::MAX,
        _ => rng.random_range(0..limit.max(1)),
    }
}

/// Tables that no generated function has, with numbers that nothing means.
fn forged_tables(rng: &mut SmallRng, sound: &Sound, slots: usize) -> StencilBuilder {
    let code_len = entry::open(&sound.key, &sound.entry).unwrap().code().len() as u32;
    let mut debug = DebugBuilder::default();
    debug.frame_pointer(number(rng, 64));
    for _ in 0..slots {
        let key = rng.random_bool(0.5).then(|| rng.random());
        debug.frame_slot(StencilFrameSlot { offset: number(rng, 1 << 27) & 0x07ff_ffff, key });
    }
    let places = [0, code_len / 2, code_len];
    for place in places {
        let tags = [StencilDebugTag::User(rng.random()), StencilDebugTag::StackSlot(rng.random())];
        debug.tags(place, rng.random_bool(0.5), &tags);
        debug.patchable_call(StencilPatchableCall { return_offset: place, len: place / 2 });
        debug.block_start(place);
        debug.block_edge(place, 0);
    }
    for _ in 0..rng.random_range(0..40) {
        let register = rng.random_bool(0.5).then(|| number(rng, 1000).min(u32::MAX - 1));
        let range = |start| StencilValueRange { start, end: code_len, register, frame_offset: -8 };
        debug.value_label(rng.random(), &places.map(range));
    }
    let mut builder = sound.builder.clone();
    for place in places {
        let context = StencilHandler::ContextInRegister(rng.random());
        let handlers = [context, StencilHandler::Tag { tag: rng.random(), offset: place }];
        builder.call_site(code_len, number(rng, 64), &handlers);
        let slot = StencilSlot { ty: rng.random(), offset: number(rng, 1 << 20) & 0x07ff_ffff };
        builder.stack_map(code_len - 1, rng.random(), &[slot; 3]);
        builder.trap(StencilTrap { offset: code_len, code: rng.random() });
    }
    let call = RelocationTarget::LibCall(rng.random_range(0..20));
    for target in [call, RelocationTarget::KnownSymbol(rng.random_range(0..3))] {
        let (kind, addend) = (rng.random_range(0..33), rng.random());
        builder.relocation(StencilRelocation { offset: code_len - 4, kind, addend, target });
    }
    builder.debug(&debug);
    builder
}

#[test]
fn forged_tables_are_read_without_harm() {
    let isa = isa();
    let (mut fates, mut most) = (BTreeMap::<String, usize>::new(), Most::new());
    for (seed, function) in functions(&isa, 20).iter().enumerate() {
        let mut rng = SmallRng::seed_from_u64(seed as u64);
        let mut victim = Victim::new(&isa, function);
        let [_, _, slots] = counts(&victim.sound.key, &victim.sound.entry);
        for _ in 0..100 {
            let forged = forged_tables(&mut rng, &victim.sound, slots);
            let forged = entry::seal(&victim.sound.key, &forged).unwrap();
            *fates.entry(format!("{:?}", victim.check(&forged))).or_default() += 1;
        }
        merge(&mut most, &victim.most);
    }
    println!("{fates:?}; bytes allocated, of so many: {most:?}");
    assert!(fates["Taken"] > 100, "{fates:?}");
}

#[test]
fn an_entry_of_another_kind_is_a_miss() {
    let isa = isa();
    for function in &functions(&isa, 10) {
        let mut victim = Victim::new(&isa, function);
        let key = key_of_kind(&*isa, StencilKind::WasmFunction, &victim.sound.stencil);
        let of_kind = entry::seal(&key, &victim.sound.builder).unwrap();
        assert_eq!(victim.check(&of_kind), Fate::Refused(MissReason::WrongKey));
        // Of WebAssembly, which has no tables for debuggers, under this key.
        let sound = entry::open(&victim.sound.key, &victim.sound.entry).unwrap();
        let bare = stencil::StencilBuilder::new(
            sound.code().to_vec(),
            sound.alignment(),
            sound.callee_count(),
            sound.source_count(),
        );
        let bare = entry::seal(&victim.sound.key, &bare).unwrap();
        assert_eq!(victim.check(&bare), Fate::Refused(MissReason::BadEntry));
    }
}

fn executable_bytes() -> u64 {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let hex = |it: &str| u64::from_str_radix(it, 16).unwrap();
    let executable = maps.lines().filter(|line| line.split(' ').nth(1).unwrap().contains('x'));
    let sizes = executable.map(|line| line.split(' ').next().unwrap().split_once('-').unwrap());
    sizes.map(|(start, end)| hex(end) - hex(start)).sum()
}

/// Some of the last bytes of the code, or of those behind it, are to be patched.
fn forged_relocations(rng: &mut SmallRng, sound: &Sound) -> StencilBuilder {
    let code_len = entry::open(&sound.key, &sound.entry).unwrap().code().len() as u32;
    let mut builder = sound.builder.clone();
    let target = match rng.random_range(0..4) {
        0 => RelocationTarget::LibCall(rng.random_range(0..40)),
        1 => RelocationTarget::KnownSymbol(rng.random_range(0..4)),
        2 => RelocationTarget::Fixed(ExternalName { namespace: 7, index: 7 }),
        _ => RelocationTarget::FunctionOffset(rng.random_range(0..=code_len)),
    };
    let kind = rng.random_range(0..9);
    let addend = if rng.random_bool(0.5) { -4 } else { rng.random() };
    builder.relocation(StencilRelocation { offset: code_len - 4, kind, addend, target });
    builder
}

/// The only test here that maps code, so that others do not count.
#[test]
fn forged_code_is_mapped_as_a_whole_or_not_at_all() {
    let isa = isa();
    let name = |index| ExternalName { namespace: 0, index };
    let mapped = executable_bytes();
    let mut fates: BTreeMap<&str, usize> = BTreeMap::new();
    for (seed, function) in functions(&isa, 60).iter().enumerate() {
        let mut rng = SmallRng::seed_from_u64(seed as u64);
        let mut victim = Victim::new(&isa, function);
        let sound = victim.sound.entry.clone();
        let from = metadata_at(&sound);
        for round in 0..200 {
            let mut forged = sound.to_vec();
            if round % 2 == 1 {
                mutate(&mut rng, &mut forged, from);
                reseal(from, &mut forged);
            } else if round > 0 {
                let builder = forged_relocations(&mut rng, &victim.sound);
                forged = entry::seal(&victim.sound.key, &builder).unwrap().to_vec();
            }
            victim.store.serve(&forged);
            let compiled = victim.compiler.compile(function).unwrap();
            let finalized = compiled.finalized();
            let mut image = CodeImage::for_host().unwrap();
            for index in 0..4 {
                let callee = Fragment { code: &[0xc3; 4], alignment: 16, relocations: vec![] };
                image.append(name(index), callee).unwrap();
            }
            let mut fate = match Fragment::of(&finalized, |_| Some(4096)) {
                Err(_) => "no fragment",
                Ok(fragment) => match image.append(name(99), fragment) {
                    Err(_) => "not taken",
                    Ok(()) => match image.commit() {
                        Err(_) => "not committed",
                        Ok(generation) => {
                            assert!(!cfg!(target_os = "linux") || executable_bytes() > mapped);
                            drop(generation);
                            if round == 0 { "sound" } else { "committed" }
                        }
                    },
                },
            };
            assert!(round > 0 || fate == "sound", "the control: {fate}");
            if fate == "committed" && compiled.origin() == Origin::Compiled {
                fate = "refused before";
            }
            assert_eq!(executable_bytes(), mapped, "{fate}");
            *fates.entry(fate).or_default() += 1;
        }
    }
    println!("{fates:?}");
    for fate in ["refused before", "not taken", "not committed", "committed", "sound"] {
        assert!(fates.contains_key(fate), "{fate} of {fates:?}");
    }
}

/// It once panicked at indirect calls without a callee, and at operators of
/// vectors on types that they do not take.
#[test]
fn restoring_any_bytes_never_panics_and_allocates_as_much_as_they_have_room_for() {
    let isa = isa();
    let (mut restored, mut refused, mut most) = (0, 0, 0);
    for (seed, function) in functions(&isa, 60).iter().enumerate() {
        let mut rng = SmallRng::seed_from_u64(seed as u64);
        let stencil = sound(&*isa, function).stencil;
        for _ in 0..500 {
            let mut forged = stencil.clone();
            mutate(&mut rng, &mut forged, 0);
            let stencil = FunctionStencil::of(StencilKind::Clif, &forged);
            let (sound, allocated) = peak(|| restore(&stencil).is_ok());
            let bound = views::bound("", forged.len());
            assert!(allocated <= bound, "{allocated} B of {} B: {forged:?}", forged.len());
            most = most.max(allocated / forged.len().max(1));
            *(if sound { &mut restored } else { &mut refused }) += 1;
        }
    }
    println!("{restored} restored, {refused} refused, {most} B for each byte");
    assert!(restored > 100 && refused > 100);
}

/// Every opcode with every type, with and without operands, in one block.
#[test]
fn restoring_any_opcode_with_any_type_never_panics() {
    let start = [2, 0, 0, 1, 0, 1, 2, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 8];
    let (mut restored, mut refused) = (0, 0);
    for opcode in 0..=u8::MAX {
        for ty in (0x70..0x140).step_by(2) {
            for (operand, operands) in (0..3).flat_map(|of| (0..13).map(move |n| (of, n))) {
                let mut bytes = start.to_vec();
                bytes.extend([0; 10]);
                // No constants, no limit; one block without parameters.
                bytes.extend([0, 0, 0, 1, 0, opcode, 1 << 4]);
                stencil::packed::put_uleb(&mut bytes, ty);
                bytes.extend(vec![operand; operands]);
                bytes.extend([0, 0]);
                let stencil = FunctionStencil::of(StencilKind::Clif, &bytes);
                *(if restore(&stencil).is_ok() { &mut restored } else { &mut refused }) += 1;
            }
        }
    }
    println!("{restored} restored, {refused} refused");
    assert!(restored > 100 && refused > 100);
}
