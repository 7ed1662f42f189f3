//! Instructions -> where the two pointers are before each of them, and so which
//! displacements are sites.

use super::super::{Base, Code, Site, Unexplained};
use super::graph::Graph;
use super::instruction::{
    CLOBBERED_BY_CALLS, Decoded, Effect, Flow, From, Gpr, Gprs, Memory, RBP, RDI, RSP, bit,
};
use std::collections::HashMap;

/// The register in which a WebAssembly function gets its `VMContext`: the first
/// argument.
const VMCTX: Gpr = RDI;

/// What a register or a stack slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Value {
    /// Neither pointer.
    Other = 0,
    VmContext = 1,
    TypeIds = 2,
    /// On one path this, on another that.
    Unclear = 3,
}

impl Value {
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Other,
            1 => Self::VmContext,
            2 => Self::TypeIds,
            _ => Self::Unclear,
        }
    }
}

/// Two bits for each of 32 places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Values(u64);

impl Values {
    fn get(self, at: usize) -> Value {
        Value::from_bits(self.0 >> (2 * at))
    }

    fn set(&mut self, at: usize, value: Value) {
        self.0 = self.0 & !(3 << (2 * at)) | (value as u64) << (2 * at);
    }

    /// Whether one of the registers holds anything but [`Value::Other`].
    fn any(self, registers: Gprs) -> bool {
        self.0 & Self::lanes(registers) != 0
    }

    /// The registers hold neither pointer any more.
    fn clear(&mut self, registers: Gprs) {
        self.0 &= !Self::lanes(registers);
    }

    /// Both bits of each register's place.
    const fn lanes(registers: Gprs) -> u64 {
        let mut lanes = registers as u64;
        lanes = (lanes | lanes << 8) & 0x00ff_00ff;
        lanes = (lanes | lanes << 4) & 0x0f0f_0f0f;
        lanes = (lanes | lanes << 2) & 0x3333_3333;
        lanes = (lanes | lanes << 1) & 0x5555_5555;
        lanes | lanes << 1
    }

    /// Both where they agree, else unclear.
    fn join(self, other: Self) -> Self {
        const LOW: u64 = 0x5555_5555_5555_5555;
        let different = self.0 ^ other.0;
        let lanes = (different | different >> 1) & LOW;
        Self(self.0 | lanes | lanes << 1)
    }
}

/// Stack slots that may hold a pointer; more of them are not followed.
const SLOTS_MAX: usize = 32;

/// The width of a pointer, in bytes.
const POINTER_BYTES: i32 = 8;

/// Before an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    registers: Values,
    slots: Values,
    /// The stack pointer's and the frame pointer's distance from where the stack
    /// pointer was at entry.
    stack: i32,
    frame: Option<i32>,
}

/// Follows the pointers and gives the sites.
pub(super) fn follow(graph: &Graph, code: &Code<'_>) -> Result<Vec<Site>, Unexplained> {
    let mut landings = HashMap::new();
    for landing in code.landings {
        landings.insert(landing.return_offset, landing.handlers.as_slice());
    }
    let mut entry =
        State { registers: Values::default(), slots: Values::default(), stack: 0, frame: None };
    entry.registers.set(usize::from(VMCTX), Value::VmContext);
    let mut follower = Follower {
        graph,
        landings,
        type_ids_at: code.type_ids_at,
        slots: Vec::new(),
        before: HashMap::from([(0, entry)]),
        waiting: vec![0],
        sites: None,
    };
    while let Some(start) = follower.waiting.pop() {
        follower.follow_run(start)?;
    }
    follower.sites = Some(Vec::new());
    for start in graph.targets() {
        follower.follow_run(start)?;
    }
    debug_assert!(follower.waiting.is_empty());
    Ok(follower.sites.unwrap_or_default())
}

struct Follower<'g> {
    graph: &'g Graph,
    landings: HashMap<u32, &'g [u32]>,
    type_ids_at: u32,
    /// The slots that have held a pointer, as distances from the stack pointer at
    /// entry.
    slots: Vec<i32>,
    before: HashMap<u32, State>,
    waiting: Vec<u32>,
    /// Once nothing changes any more.
    sites: Option<Vec<Site>>,
}

impl Follower<'_> {
    /// From a target on until the next one.
    fn follow_run(&mut self, start: u32) -> Result<(), Unexplained> {
        let Some(mut state) = self.before.get(&start).copied() else {
            return Err(Unexplained { at: start, what: "a block that nothing leads to" });
        };
        let mut at = start;
        let mut after_call = false;
        let mut copies = Copies::default();
        loop {
            let instruction = self.graph.at(at);
            let step = Step { follower: self, instruction, after_call, copies: &copies };
            step.take(&mut state)?;
            copies.follow(instruction);
            after_call = instruction.flow == Flow::Call;
            match instruction.flow {
                Flow::Next => {}
                Flow::Branch(target) => self.arrive(target, &state, at)?,
                Flow::Jump(target) => return self.arrive(target, &state, at),
                Flow::Table => {
                    let graph = self.graph;
                    let mut targets = graph.table(at).iter();
                    return targets.try_for_each(|target| self.arrive(*target, &state, at));
                }
                Flow::Leave => return Ok(()),
                Flow::Call => {
                    for handler in self.landings.get(&instruction.end()).copied().unwrap_or(&[]) {
                        let unwound = State { registers: Values::default(), ..state };
                        self.arrive(*handler, &unwound, at)?;
                    }
                }
            }
            at = instruction.end();
            if self.graph.is_target(at) {
                return self.arrive(at, &state, at);
            }
        }
    }

    /// Control comes to a target.
    fn arrive(&mut self, target: u32, state: &State, at: u32) -> Result<(), Unexplained> {
        let Some(before) = self.before.get_mut(&target) else {
            self.before.insert(target, *state);
            self.waiting.push(target);
            return Ok(());
        };
        if before.stack != state.stack || before.frame != state.frame {
            return Err(Unexplained { at, what: "two stack frames at one place" });
        }
        let joined = State {
            registers: before.registers.join(state.registers),
            slots: before.slots.join(state.slots),
            ..*before
        };
        if joined != *before {
            *before = joined;
            self.waiting.push(target);
        }
        Ok(())
    }

    /// The slots that a stack access touches.
    fn touched(&self, from: i32, size: u16) -> impl Iterator<Item = usize> + '_ {
        let end = from + i32::from(size);
        let slots = self.slots.iter().enumerate();
        slots
            .filter(move |(_, slot)| **slot < end && from < **slot + POINTER_BYTES)
            .map(|(at, _)| at)
    }
}

/// One instruction's step.
struct Step<'f, 'g> {
    follower: &'f mut Follower<'g>,
    instruction: &'f Decoded,
    after_call: bool,
    copies: &'f Copies,
}

/// Which registers hold the same, as far as a run of instructions tells: those of one number.
struct Copies {
    numbers: [u32; 16],
    next: u32,
}

impl Default for Copies {
    /// No two are known to.
    fn default() -> Self {
        Self { numbers: std::array::from_fn(|register| register as u32), next: 16 }
    }
}

impl Copies {
    fn are_same(&self, one: Gpr, other: Gpr) -> bool {
        self.numbers[usize::from(one)] == self.numbers[usize::from(other)]
    }

    fn follow(&mut self, instruction: &Decoded) {
        let moved = match instruction.effect {
            Effect::Move { to, from } => Some((to, self.numbers[usize::from(from)])),
            _ => None,
        };
        let mut written = instruction.writes;
        if instruction.flow == Flow::Call {
            written |= CLOBBERED_BY_CALLS;
        }
        while written != 0 {
            self.numbers[written.trailing_zeros() as usize] = self.next;
            self.next += 1;
            written &= written - 1;
        }
        if let Some((to, number)) = moved {
            self.numbers[usize::from(to)] = number;
        }
    }
}

impl Step<'_, '_> {
    fn unexplained(&self, what: &'static str) -> Unexplained {
        Unexplained { at: self.instruction.at, what }
    }

    fn take(mut self, state: &mut State) -> Result<(), Unexplained> {
        let Decoded { effect, reads, writes, memory, flow, .. } = *self.instruction;
        let stack_access = match memory {
            Some(memory) => self.address(&memory, state)?,
            None => None,
        };
        let read = |register: Gpr| state.registers.get(usize::from(register));
        match effect {
            Effect::Move { .. } | Effect::Compare => {}
            // To memory that is not on the stack: an argument of the runtime's.
            Effect::Store { .. } => {}
            // Whatever it was, of a value and its copy this makes zero.
            Effect::Xor(one, other) if self.copies.are_same(one, other) => {}
            Effect::Xor(one, other) if read(one) == read(other) && read(one) != Value::Unclear => {}
            _ if state.registers.any(reads) => {
                return Err(self.unexplained("a pointer in a computation"));
            }
            _ => {}
        }
        let result = match effect {
            Effect::Move { to, from } => Some((to, read(from))),
            Effect::Load { to } => Some((to, self.loaded(stack_access, memory, state)?)),
            Effect::Store { from } => {
                let stored = read(from);
                self.store(stack_access, stored, state)?;
                None
            }
            _ => {
                if let Some((from, size, reads, writes)) = stack_access {
                    self.touch((from, size), (reads, writes), state)?;
                }
                None
            }
        };
        state.registers.clear(writes);
        if let Some((to, value)) = result {
            state.registers.set(usize::from(to), value);
        }
        if flow == Flow::Call {
            state.registers.clear(CLOBBERED_BY_CALLS);
        }
        self.stack(state)
    }

    /// Checks a memory operand's address, and notes a site. For an access of the
    /// stack: where, how much, and whether it is read and written.
    fn address(
        &mut self,
        memory: &Memory,
        state: &State,
    ) -> Result<Option<(i32, u16, bool, bool)>, Unexplained> {
        let is_address = self.instruction.effect == Effect::Address;
        if state.registers.any(memory.index) {
            return Err(self.unexplained("a pointer as an index"));
        }
        let register = match memory.from {
            From::Register(register) => register,
            From::Code(_) | From::Other => return Ok(None),
        };
        let frame = match register {
            RSP => Some(state.stack),
            RBP => state.frame,
            _ => None,
        };
        if let Some(frame) = frame {
            if is_address {
                return Ok(None);
            }
            if memory.index != 0 || memory.size == 0 {
                return Err(self.unexplained("an access of the stack of unknown extent"));
            }
            let displacement = i32::try_from(memory.displacement);
            let from = displacement.ok().and_then(|by| frame.checked_add(by));
            let from = from.ok_or(self.unexplained("an access far from the stack"))?;
            return Ok(Some((from, memory.size, memory.reads, memory.writes)));
        }
        let base = match state.registers.get(usize::from(register)) {
            Value::Other => return Ok(None),
            Value::VmContext => Base::VmContext,
            Value::TypeIds => Base::TypeIds,
            Value::Unclear => return Err(self.unexplained("an address that may be a pointer")),
        };
        if is_address || memory.index != 0 {
            return Err(self.unexplained("a pointer in a computed address"));
        }
        if memory.scaled {
            return Err(self.unexplained("a displacement in units of the access's size"));
        }
        let Ok(displacement) = u32::try_from(memory.displacement) else {
            return Err(self.unexplained("an access below a pointer"));
        };
        let (at, width) = memory.field;
        let holds = match width {
            0 => displacement == 0,
            1 => displacement < 0x80,
            4 => displacement <= i32::MAX as u32,
            _ => false,
        };
        if !holds {
            return Err(self.unexplained("a displacement in an unknown encoding"));
        }
        if let Some(sites) = &mut self.follower.sites {
            let instruction = self.instruction.at;
            let at = instruction + u32::from(at);
            sites.push(Site { at, width, base, displacement, instruction });
        }
        Ok(None)
    }

    /// What a load of 64 bits gives.
    fn loaded(
        &self,
        stack_access: Option<(i32, u16, bool, bool)>,
        memory: Option<Memory>,
        state: &State,
    ) -> Result<Value, Unexplained> {
        if let Some((from, size, ..)) = stack_access {
            let mut loaded = Value::Other;
            for slot in self.follower.touched(from, size) {
                let value = state.slots.get(slot);
                if self.follower.slots[slot] == from {
                    loaded = value;
                } else if value != Value::Other {
                    return Err(self.unexplained("a part of a pointer"));
                }
            }
            return Ok(loaded);
        }
        let Some(Memory { from: From::Register(register), displacement, .. }) = memory else {
            return Ok(Value::Other);
        };
        let is_vmctx = state.registers.get(usize::from(register)) == Value::VmContext;
        let is_type_ids = displacement == i64::from(self.follower.type_ids_at);
        Ok(if is_vmctx && is_type_ids { Value::TypeIds } else { Value::Other })
    }

    fn store(
        &mut self,
        stack_access: Option<(i32, u16, bool, bool)>,
        value: Value,
        state: &mut State,
    ) -> Result<(), Unexplained> {
        let Some((from, size, ..)) = stack_access else { return Ok(()) };
        self.touch((from, size), (false, true), state)?;
        if value == Value::Other {
            return Ok(());
        }
        let slots = &mut self.follower.slots;
        let known = slots.iter().position(|slot| *slot == from);
        let slot = known.unwrap_or_else(|| {
            slots.push(from);
            slots.len() - 1
        });
        if slot >= SLOTS_MAX {
            return Err(self.unexplained("pointers in too many stack slots"));
        }
        state.slots.set(slot, value);
        Ok(())
    }

    /// An access of the stack that pointers do not pass through.
    fn touch(
        &self,
        (from, size): (i32, u16),
        (reads, writes): (bool, bool),
        state: &mut State,
    ) -> Result<(), Unexplained> {
        for slot in self.follower.touched(from, size) {
            if reads && state.slots.get(slot) != Value::Other {
                return Err(self.unexplained("a spilled pointer in a computation"));
            }
            if writes {
                state.slots.set(slot, Value::Other);
            }
        }
        Ok(())
    }

    /// The stack pointer's and the frame pointer's own movements.
    fn stack(&self, state: &mut State) -> Result<(), Unexplained> {
        let frame = bit(RBP);
        match self.instruction.effect {
            // What the callee has popped is taken back.
            Effect::Adjust(by) if self.after_call && by < 0 => {}
            Effect::Adjust(by) => {
                let moved = state.stack.checked_add(by);
                state.stack = moved.ok_or(self.unexplained("a stack frame of more than 2 GiB"))?;
            }
            Effect::Frame => state.frame = Some(state.stack),
            Effect::Unwind => {
                state.stack = state.frame.ok_or(self.unexplained("an unknown stack frame"))?;
            }
            Effect::Push => state.stack -= POINTER_BYTES,
            Effect::Pop(to) => {
                state.stack += POINTER_BYTES;
                if to == RBP {
                    state.frame = None;
                }
            }
            _ if self.instruction.flow == Flow::Call || self.instruction.flow == Flow::Leave => {}
            _ if self.instruction.writes & bit(RSP) != 0 => {
                return Err(self.unexplained("an unknown stack frame"));
            }
            _ if self.instruction.writes & frame != 0 => state.frame = None,
            _ => {}
        }
        Ok(())
    }
}
