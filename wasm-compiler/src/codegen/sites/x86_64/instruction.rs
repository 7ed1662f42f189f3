//! One decoded instruction -> what it does to registers, stack and flow.

use super::super::Unexplained;
use iced_x86::{
    ConstantOffsets, EncodingKind, FlowControl, Instruction, InstructionInfo,
    InstructionInfoFactory, InstructionInfoOptions, MemorySize, Mnemonic, OpAccess, OpKind,
    Register,
};

/// A general-purpose register by its number in the encoding.
pub(super) type Gpr = u8;
pub(super) const RAX: Gpr = 0;
pub(super) const RDX: Gpr = 2;
pub(super) const RSP: Gpr = 4;
pub(super) const RBP: Gpr = 5;
pub(super) const RDI: Gpr = 7;

/// A set of general-purpose registers, one bit each.
pub(super) type Gprs = u16;

pub(super) const fn bit(register: Gpr) -> Gprs {
    1 << register
}

/// Every register that may be the result of a call, or changed by it, in any of
/// the calling conventions between WebAssembly functions and their builtins; a
/// value that lives across a call is in none of them.
pub(super) const CLOBBERED_BY_CALLS: Gprs = 0b0000_1111_1100_0111;

/// What an instruction does, as far as pointers can pass through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// All of one register into another.
    Move { to: Gpr, from: Gpr },
    /// 64 bits from memory into a register.
    Load { to: Gpr },
    /// 64 bits of a register into memory.
    Store { from: Gpr },
    /// Nothing but flags.
    Compare,
    /// `xor` of two registers. Of a value with itself, it is how a zero is made of
    /// whatever a register holds.
    Xor(Gpr, Gpr),
    /// `lea`.
    Address,
    /// The stack pointer is moved by a constant.
    Adjust(i32),
    /// `mov rbp, rsp`
    Frame,
    /// `mov rsp, rbp`
    Unwind,
    /// A register onto the stack.
    Push,
    /// A register from the stack.
    Pop(Gpr),
    /// Any other.
    Other,
}

/// Where control goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    /// To a byte offset.
    Jump(u32),
    /// There, or on.
    Branch(u32),
    /// To the targets of a table behind the instruction.
    Table,
    Call,
    /// Out of the function.
    Leave,
}

/// What a memory operand is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Register(Gpr),
    /// A byte offset in the code.
    Code(u32),
    /// Nothing, or what is not a general-purpose register.
    Other,
}

/// A memory operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) from: From,
    pub(super) index: Gprs,
    pub(super) displacement: i64,
    /// Where the displacement's field is in the instruction, and its size.
    pub(super) field: (u8, u8),
    /// Whether a field of one byte counts in units of the access's size, as that of
    /// AVX-512 does; then the field's size depends on more than how far it reaches.
    pub(super) scaled: bool,
    /// Bytes accessed; 0 if not known.
    pub(super) size: u16,
    pub(super) reads: bool,
    pub(super) writes: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded {
    pub(super) at: u32,
    pub(super) len: u8,
    pub(super) effect: Effect,
    pub(super) flow: Flow,
    /// Registers whose value is used, other than for an address.
    pub(super) reads: Gprs,
    pub(super) writes: Gprs,
    pub(super) memory: Option<Memory>,
}

impl Decoded {
    pub(super) fn end(&self) -> u32 {
        self.at + u32::from(self.len)
    }
}

fn gpr(register: Register) -> Option<Gpr> {
    let full = register.full_register();
    full.is_gpr64().then(|| full.number() as Gpr)
}

const fn is_read(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

const fn is_write(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

/// Explains decoded instructions.
pub(super) struct Explainer {
    info: InstructionInfoFactory,
}

impl Explainer {
    pub(super) fn new() -> Self {
        Self { info: InstructionInfoFactory::new() }
    }

    /// An instruction's effects. `offsets` says where its constants are;
    /// `relocated`, whether a relocation fills in a field of it.
    pub(super) fn explain(
        &mut self,
        instruction: &Instruction,
        offsets: ConstantOffsets,
        relocated: bool,
        code_len: u32,
    ) -> Result<Decoded, Unexplained> {
        let at = instruction.ip32();
        let unexplained = |what| Unexplained { at, what };
        let options = InstructionInfoOptions::NO_MEMORY_USAGE;
        let info = self.info.info_options(instruction, options);
        let (reads, writes) = registers(instruction, info);
        let memory = memory(instruction, offsets, info)?;
        let target = || {
            let target = u32::try_from(instruction.near_branch_target()).ok();
            target.filter(|target| *target < code_len).ok_or(unexplained("a jump out of the code"))
        };
        let flow = match instruction.flow_control() {
            FlowControl::Next => Flow::Next,
            FlowControl::UnconditionalBranch if relocated => Flow::Leave,
            FlowControl::UnconditionalBranch => Flow::Jump(target()?),
            FlowControl::ConditionalBranch => Flow::Branch(target()?),
            FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
            FlowControl::IndirectBranch | FlowControl::Return | FlowControl::Exception => {
                Flow::Leave
            }
            FlowControl::Interrupt | FlowControl::XbeginXabortXend => {
                return Err(unexplained("an instruction of an unknown flow"));
            }
        };
        Ok(Decoded {
            at,
            len: instruction.len() as u8,
            effect: effect(instruction).map_err(unexplained)?,
            flow,
            reads,
            writes,
            memory,
        })
    }
}

/// The registers that are read as data, and those that are written.
fn registers(instruction: &Instruction, info: &InstructionInfo) -> (Gprs, Gprs) {
    let (mut reads, mut writes) = (0, 0);
    let mut explicit = 0;
    for operand in 0..instruction.op_count() {
        if instruction.op_kind(operand) == OpKind::Register
            && let Some(register) = gpr(instruction.op_register(operand))
        {
            explicit |= bit(register);
            if is_read(info.op_access(operand)) {
                reads |= bit(register);
            }
        }
    }
    let base = gpr(instruction.memory_base()).map_or(0, bit);
    let address = base | gpr(instruction.memory_index()).map_or(0, bit);
    for used in info.used_registers() {
        let Some(register) = gpr(used.register()) else { continue };
        if is_write(used.access()) {
            writes |= bit(register);
        }
        if is_read(used.access()) && (explicit | address) & bit(register) == 0 {
            reads |= bit(register);
        }
    }
    // Of these, an address's register may be an operand that is not named, too.
    if matches!(
        instruction.mnemonic(),
        Mnemonic::Mul
            | Mnemonic::Imul
            | Mnemonic::Div
            | Mnemonic::Idiv
            | Mnemonic::Cmpxchg
            | Mnemonic::Cmpxchg8b
            | Mnemonic::Cmpxchg16b
            | Mnemonic::Mulx
    ) {
        reads |= address & (bit(RAX) | bit(RDX));
    }
    (reads, writes)
}

fn memory(
    instruction: &Instruction,
    offsets: ConstantOffsets,
    info: &InstructionInfo,
) -> Result<Option<Memory>, Unexplained> {
    let at = instruction.ip32();
    let unexplained = |what| Unexplained { at, what };
    let mut operand = None;
    for index in 0..instruction.op_count() {
        match instruction.op_kind(index) {
            OpKind::Register
            | OpKind::NearBranch16
            | OpKind::NearBranch32
            | OpKind::NearBranch64
            | OpKind::Immediate8
            | OpKind::Immediate8_2nd
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64 => {}
            OpKind::Memory if operand.is_none() => operand = Some(index),
            _ => return Err(unexplained("an operand of an unknown kind")),
        }
    }
    let Some(operand) = operand else { return Ok(None) };
    if instruction.has_segment_prefix() {
        return Err(unexplained("a segment"));
    }
    let access = info.op_access(operand);
    let size = match instruction.memory_size() {
        MemorySize::Unknown => 0,
        size => u16::try_from(size.size()).unwrap_or(0),
    };
    let from = match instruction.memory_base() {
        Register::RIP => {
            let target = u32::try_from(instruction.ip_rel_memory_address());
            From::Code(target.map_err(|_| unexplained("an address out of the code"))?)
        }
        base => gpr(base).map_or(From::Other, From::Register),
    };
    Ok(Some(Memory {
        from,
        index: gpr(instruction.memory_index()).map_or(0, bit),
        displacement: instruction.memory_displacement64() as i64,
        field: (offsets.displacement_offset() as u8, offsets.displacement_size() as u8),
        scaled: instruction.encoding() == EncodingKind::EVEX,
        size,
        reads: is_read(access),
        writes: is_write(access),
    }))
}

/// What passes through an instruction.
fn effect(instruction: &Instruction) -> Result<Effect, &'static str> {
    let kinds = (instruction.op0_kind(), instruction.op1_kind());
    let registers = (instruction.op0_register(), instruction.op1_register());
    let whole = |register: Register| register.is_gpr64();
    let number = |register: Register| register.number() as Gpr;
    let is_stack = |register: Register| register == Register::RSP;
    let effect = match (instruction.mnemonic(), kinds) {
        (Mnemonic::Mov, (OpKind::Register, OpKind::Register))
            if whole(registers.0) && whole(registers.1) =>
        {
            match registers {
                (Register::RBP, Register::RSP) => Effect::Frame,
                (Register::RSP, Register::RBP) => Effect::Unwind,
                (to, from) => Effect::Move { to: number(to), from: number(from) },
            }
        }
        (Mnemonic::Mov, (OpKind::Register, OpKind::Memory)) if whole(registers.0) => {
            Effect::Load { to: number(registers.0) }
        }
        (Mnemonic::Mov, (OpKind::Memory, OpKind::Register)) if whole(registers.1) => {
            Effect::Store { from: number(registers.1) }
        }
        (Mnemonic::Cmp | Mnemonic::Test, _) => Effect::Compare,
        (Mnemonic::Xor, (OpKind::Register, OpKind::Register)) => {
            let number = |register: Register| register.full_register().number() as Gpr;
            Effect::Xor(number(registers.0), number(registers.1))
        }
        (Mnemonic::Lea, _) => Effect::Address,
        (Mnemonic::Push, (OpKind::Register, _)) => Effect::Push,
        (Mnemonic::Pop, (OpKind::Register, _)) => Effect::Pop(number(registers.0)),
        (
            Mnemonic::Add | Mnemonic::Sub,
            (OpKind::Register, OpKind::Immediate8to64 | OpKind::Immediate32to64),
        ) if is_stack(registers.0) => {
            let by = i32::try_from(instruction.immediate(1) as i64)
                .map_err(|_| "a stack frame of more than 2 GiB")?;
            match instruction.mnemonic() {
                Mnemonic::Add => Effect::Adjust(by),
                _ => Effect::Adjust(-by),
            }
        }
        _ => Effect::Other,
    };
    Ok(effect)
}
