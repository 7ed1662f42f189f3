//! The constants of one function, and the offsets of its accesses -> which of them are
//! parameters.
//!
//! A constant is a parameter if it can be an address, a place in a table or a return
//! address of Go's, all of which move when something else in the program changes. What it
//! can be is told by its value and by the operator that takes it ([`Role`]): from
//! [`VALUE_MIN`] up, from [`DISTANCE_END`] up where it is compared, or added to what is an
//! address itself, and not at all where no address is computed.
//!
//! What an access adds to a constant address becomes a part of the constant. What it adds
//! to any other is a parameter of another kind, from [`OFFSET_MIN`] up and as far as the
//! bounds check does not depend on it.
//!
//! What the linker has named as an address is one, whatever its value is (see
//! [`super::relocations`]).
//!
//! A table that cannot grow is one of any size: code loads it.
//!
//! In the stencil an operator stands without its constant. The constants follow behind
//! the operators, in the order of the body: each either with its value, or with the
//! ordinal of its value. So the key holds which of them are equal.
//!
//! Which constants these are decides what is found again, and how good the code is, and
//! not whether it is right: where code is generated a parameter's value is unknown. What
//! has to be right is which constant is the address of which access. So operands are
//! followed through operators that take and give a fixed number of them, and calls.

use std::collections::HashMap;
use std::ops::Range;
use stencil::StencilWriter;
use wasmparser::{BinaryReader, BinaryReaderError};

/// Smaller numbers are rather sizes, counts and flags.
pub(super) const VALUE_MIN: i64 = 1024;

/// Smaller numbers are rather distances where they are added to an address, and bounds where they
/// are compared: from row to row of an array, and where the row ends. Innermost loops are full of
/// those, and an address plus an index plus a known number is one instruction.
const DISTANCE_END: i64 = 1 << 14;

/// No field of the code holds a larger number.
const VALUE_MAX: i64 = i32::MAX as i64;

/// Further constants of one function are in the key, and so are further offsets.
pub(crate) const CONSTANTS_MAX: usize = 1 << 14;

/// Smaller offsets are rather those of fields of a large structure, or of a frame.
pub(crate) const OFFSET_MIN: u64 = 1 << 16;

/// Larger ones are in the key: no guard region of a default configuration is larger.
pub(crate) const OFFSET_MAX: u64 = (1 << 25) - 32;

/// A constant's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ConstantType {
    I32,
    I64,
}

impl ConstantType {
    /// A constant's size in bytes.
    pub(crate) const fn bytes(self) -> u8 {
        match self {
            Self::I32 => 4,
            Self::I64 => 8,
        }
    }
}

/// A constant of the body that is a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConstantUse {
    /// Where its operator stands, as a byte offset in the body.
    pub(crate) at: u32,
    pub(crate) ty: ConstantType,
    /// Which of the function's distinct constants it is.
    pub(crate) ordinal: u32,
    /// Where the operator stands whose constant offset is a part of the value.
    pub(crate) access: Option<u32>,
}

/// An access whose offset is a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetUse {
    /// Where its operator stands, as a byte offset in the body.
    pub(crate) at: u32,
    /// Which of the function's distinct offsets it has.
    pub(crate) ordinal: u32,
}

/// What of a body is a parameter, in the order of the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) constants: Vec<ConstantUse>,
    /// How many distinct constants there are; their values are among the parameters'
    /// numbers behind those of the layout, and the offsets behind them.
    pub(crate) distinct_constants: u32,
    pub(crate) offsets: Vec<OffsetUse>,
    /// Another access has an offset that could be a parameter by its size.
    pub(crate) has_far_offset_in_key: bool,
    /// There is a table whose size is not in the key. Stock code would know it if the table
    /// cannot grow; whether it can is not in the key either.
    pub(crate) has_table: bool,
}

impl Uses {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.constants.is_empty() && self.offsets.is_empty() && !self.has_table
    }

    /// How many distinct offsets are parameters.
    pub(crate) fn offset_count(&self) -> u32 {
        self.offsets.iter().map(|used| used.ordinal + 1).max().unwrap_or(0)
    }
}

/// What becomes of the offset of an access.
pub(super) enum Offset {
    InKey,
    /// It is a part of the constant that is the address.
    InConstant,
    /// A parameter, by its ordinal.
    Parameter(u32),
}

/// What a constant can be, by the operator that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An address.
    Address,
    /// An address, or a distance from one: the operator adds.
    Summand,
    /// An address, or a bound: the operator compares.
    Compared,
    /// No address: none is computed with the operator, and its code is much better if it knows
    /// the operand.
    Number,
}

/// What is known of an operand.
#[derive(Clone, Copy, Debug)]
enum Operand {
    /// One of the constants that have been met.
    Constant(usize),
    /// What a local holds, or that and small numbers.
    Local(u32),
    Other,
}

/// A constant as it is met.
#[derive(Clone, Copy, Debug)]
struct Met {
    at: u32,
    ty: ConstantType,
    /// What the operator says.
    own: i64,
    /// With the offset of the access that is a part of it.
    value: i64,
    access: Option<u32>,
    role: Role,
    /// The local to which it is added.
    added_to: Option<u32>,
    /// There are too many in front of it.
    exceeds: bool,
    /// The linker has named it as an address.
    named: bool,
}

impl Met {
    fn is_parameter(&self, addresses: &Locals) -> bool {
        let is_one = self.named && (0..=VALUE_MAX).contains(&self.value);
        (is_one || self.can_be_address(addresses)) && !self.exceeds
    }

    fn can_be_address(&self, addresses: &Locals) -> bool {
        let is_distance = match self.role {
            Role::Address => false,
            Role::Summand => self.added_to.is_some_and(|local| addresses.contain(local)),
            Role::Compared => true,
            Role::Number => return false,
        };
        is_address(self.value) && (!is_distance || self.value >= DISTANCE_END)
    }
}

/// Some of a function's locals.
#[derive(Default)]
struct Locals(Vec<bool>);

impl Locals {
    fn add(&mut self, local: u32) {
        let local = local as usize;
        if local >= self.0.len() {
            self.0.resize(local + 1, false);
        }
        self.0[local] = true;
    }

    fn contain(&self, local: u32) -> bool {
        self.0.get(local as usize) == Some(&true)
    }
}

fn is_address(value: i64) -> bool {
    (VALUE_MIN..=VALUE_MAX).contains(&value)
}

/// The constants of the function that is being split.
#[derive(Default)]
pub(super) struct Constants {
    enabled: bool,
    /// None of the constants is a parameter after all.
    in_key: bool,
    met: Vec<Met>,
    /// The topmost operands.
    operands: Vec<Operand>,
    /// What the operator being read gives, if that is known.
    fresh: Option<Operand>,
    /// The lowest of the operands that the operator being read takes.
    address: Option<Operand>,
    /// The locals that hold an address somewhere: one that is accessed, at hardly any distance.
    addresses: Locals,
    ordinals: HashMap<(ConstantType, i64), u32>,
    offsets: Vec<OffsetUse>,
    /// The distinct offsets, in the order of their ordinals; and those.
    distinct_offsets: Vec<u32>,
    offset_ordinals: HashMap<u32, u32>,
    has_far_offset_in_key: bool,
    /// The sizes of the tables that are used, if they cannot grow.
    tables: Vec<Option<u64>>,
}

impl Constants {
    /// Starts the next function; without constants as parameters if not enabled.
    pub(super) fn start(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.in_key = false;
        self.fresh = None;
        self.met.clear();
        self.operands.clear();
        self.addresses.0.clear();
        self.ordinals.clear();
        self.offsets.clear();
        self.distinct_offsets.clear();
        self.offset_ordinals.clear();
        self.has_far_offset_in_key = false;
        self.tables.clear();
    }

    /// Whether constants stand behind the operators.
    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// None of the function's constants is a parameter.
    pub(super) fn keep(&mut self) {
        self.in_key = true;
    }

    /// The operator takes so many operands; what those can be.
    pub(super) fn take(&mut self, count: usize, role: Role) {
        self.address = None;
        for _ in 0..count {
            let above = self.address;
            self.address = self.operands.pop();
            if let Some(Operand::Constant(constant)) = self.address {
                self.met[constant].role = role;
            }
            if role == Role::Summand
                && let (Some(one), Some(other)) = (self.address, above)
            {
                self.add(one, other);
            }
        }
    }

    fn add(&mut self, one: Operand, other: Operand) {
        let (constant, local) = match (one, other) {
            (Operand::Constant(constant), Operand::Local(local))
            | (Operand::Local(local), Operand::Constant(constant)) => (constant, local),
            _ => return,
        };
        let met = &mut self.met[constant];
        met.added_to = Some(local);
        if !met.named && (1 - VALUE_MIN..VALUE_MIN).contains(&met.value) {
            self.fresh = Some(Operand::Local(local));
        }
    }

    /// The operator gives what a local holds.
    pub(super) fn local(&mut self, local: u32) {
        self.fresh = Some(Operand::Local(local));
    }

    /// The operator gives so many.
    pub(super) fn give(&mut self, count: usize) {
        let fresh = self.fresh.take().unwrap_or(Operand::Other);
        self.operands.extend((0..count).map(|_| fresh));
    }

    /// The operator does something else to the operands.
    pub(super) fn forget_operands(&mut self) {
        self.address = None;
        self.operands.clear();
    }

    /// The operator, at a byte offset of the body, is a constant.
    pub(super) fn constant(&mut self, at: u32, (ty, value): (ConstantType, i64), named: bool) {
        self.fresh = Some(Operand::Constant(self.met.len()));
        self.met.push(Met {
            at,
            ty,
            own: value,
            value,
            access: None,
            role: Role::Address,
            added_to: None,
            exceeds: self.met.len() >= CONSTANTS_MAX,
            named,
        });
    }

    /// The operator accesses memory at an offset, which is not named, from the lowest of its
    /// operands.
    pub(super) fn accessed(&mut self, offset: u64) {
        if let Some(Operand::Local(local)) = self.address
            && offset < VALUE_MIN as u64
        {
            self.addresses.add(local);
        }
    }

    /// The operator, at a byte offset of the body, accesses memory at an offset from an
    /// address. `can_fold` if code knows no more of the access than its whole address; `is_free`
    /// if no offset of an access that may be a parameter matters to its bounds check.
    pub(super) fn access(
        &mut self,
        at: u32,
        (offset, named): (u64, bool),
        can_fold: bool,
        is_free: bool,
    ) -> Offset {
        if offset != 0 && can_fold && self.is_part_of_constant(at, (offset, named)) {
            return Offset::InConstant;
        }
        let is_far = named || offset >= OFFSET_MIN;
        let is_parameter = is_free && is_far && offset <= OFFSET_MAX;
        if !is_parameter || self.in_key || self.offsets.len() >= CONSTANTS_MAX {
            return Offset::InKey;
        }
        let offset = offset as u32;
        let next = self.distinct_offsets.len() as u32;
        let ordinal = *self.offset_ordinals.entry(offset).or_insert(next);
        if ordinal == next {
            self.distinct_offsets.push(offset);
        }
        self.offsets.push(OffsetUse { at, ordinal });
        Offset::Parameter(ordinal)
    }

    /// The offset of an access is in the key.
    pub(super) fn keep_offset(&mut self, offset: u64) {
        self.has_far_offset_in_key |= (OFFSET_MIN..=OFFSET_MAX).contains(&offset);
    }

    /// A table is used for the first time; its size, if it cannot grow.
    pub(super) fn table(&mut self, size: Option<u64>) {
        self.tables.push(size);
    }

    fn is_part_of_constant(&mut self, at: u32, (offset, named): (u64, bool)) -> bool {
        let Some(Operand::Constant(address)) = self.address else { return false };
        let met = &mut self.met[address];
        // An address that can be one by itself is shared by accesses around it.
        let is_shared = offset < VALUE_MIN as u64 && is_address(met.value);
        if met.named || met.value < 0 || (is_shared && !named) {
            return false;
        }
        let whole = i64::try_from(offset).ok().and_then(|offset| met.value.checked_add(offset));
        let fits = |whole: &i64| is_address(*whole) || (named && *whole <= VALUE_MAX);
        let Some(whole) = whole.filter(fits) else { return false };
        met.value = whole;
        met.access = Some(at);
        met.named = named;
        true
    }

    /// What else the key leaves out, beyond what fields hold: what only code depends on that is made
    /// of the function's own body, where that with placeholders is refused.
    fn known_to_own_code(&self) -> Vec<u32> {
        let mut known = Vec::new();
        for met in self.met.iter().filter(|met| met.access.is_some()) {
            if !met.is_parameter(&self.addresses) {
                continue;
            }
            // The rest of the value is the offset.
            known.push(met.own as u32);
        }
        for size in &self.tables {
            let len = size.unwrap_or(0);
            known.extend([u32::from(size.is_some()), len as u32, (len >> 32) as u32]);
        }
        known
    }

    /// Writes the constants into the key and the parameters, in the order of the body;
    /// gives what is a parameter.
    pub(super) fn finish(&mut self, out: &mut StencilWriter, numbers: &mut Vec<u32>) -> Uses {
        let mut constants = Vec::new();
        for met in &self.met {
            if self.in_key || !met.is_parameter(&self.addresses) {
                out.u8(0);
                out.sleb(met.own);
                out.sleb(met.value);
                continue;
            }
            let next = self.ordinals.len() as u32;
            let ordinal = *self.ordinals.entry((met.ty, met.value)).or_insert_with(|| {
                numbers.push(met.value as u32);
                next
            });
            out.uleb(u64::from(ordinal) + 1);
            let Met { at, ty, access, .. } = *met;
            constants.push(ConstantUse { at, ty, ordinal, access });
        }
        if self.in_key {
            for offset in self.distinct_offsets.drain(..) {
                out.u32(offset);
            }
            self.offsets.clear();
            for size in self.tables.drain(..) {
                out.u8(u8::from(size.is_some()));
                out.u64(size.unwrap_or(0));
            }
        } else {
            numbers.extend_from_slice(&self.distinct_offsets);
            numbers.extend(self.known_to_own_code());
        }
        let distinct_constants = self.ordinals.len() as u32;
        let has_table = !self.tables.is_empty();
        let offsets = std::mem::take(&mut self.offsets);
        let has_far_offset_in_key = self.has_far_offset_in_key;
        Uses { constants, distinct_constants, offsets, has_far_offset_in_key, has_table }
    }
}

/// The offset of the access whose operator stands at an offset in the body: where it
/// stands, and its value.
pub(crate) fn offset_at(body: &[u8], at: u32) -> Result<(Range<usize>, u64), BinaryReaderError> {
    /// Set in the first number of an access that names its memory.
    const HAS_MEMORY: u32 = 1 << 6;
    let at = at as usize;
    let mut reader = BinaryReader::new(&body[at..], at);
    reader.read_u8()?;
    if reader.read_var_u32()? & HAS_MEMORY != 0 {
        reader.read_var_u32()?;
    }
    let start = reader.original_position();
    let offset = reader.read_var_u64()?;
    Ok((start..reader.original_position(), offset))
}
