//! Code -> every instruction that can be reached, with the targets of its jumps.
//!
//! Invariants: no byte belongs to two instructions; what no instruction covers
//! are jump tables, constants, and jumps that Cranelift has made unreachable.

use super::super::{Code, Unexplained};
use super::instruction::{Decoded, Effect, Explainer, Flow, From, Memory, bit};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use std::collections::{BTreeMap, BTreeSet};

/// Of a byte at which no instruction starts.
const NONE: u32 = u32::MAX;

/// The size of an entry of a jump table, in bytes.
const ENTRY_BYTES: u32 = 4;

pub(super) struct Graph {
    instructions: Vec<Decoded>,
    /// For each byte, the instruction that starts there.
    index: Vec<u32>,
    /// For each byte, whether control may come there from more than the instruction before.
    is_target: Vec<bool>,
    /// The targets of the jump tables, by the offset of the jump.
    tables: BTreeMap<u32, Vec<u32>>,
}

impl Graph {
    pub(super) fn decode(code: &Code<'_>) -> Result<Self, Unexplained> {
        let mut reader = Reader {
            code,
            decoder: Decoder::with_ip(64, code.bytes, 0, DecoderOptions::NONE),
            explainer: Explainer::new(),
            graph: Self {
                instructions: Vec::with_capacity(code.bytes.len() / 4),
                index: vec![NONE; code.bytes.len()],
                is_target: vec![false; code.bytes.len()],
                tables: BTreeMap::new(),
            },
            covered: vec![false; code.bytes.len()],
            waiting: Vec::new(),
            tables: Vec::new(),
            constants: BTreeSet::new(),
        };
        reader.target(0);
        for handler in code.landings.iter().flat_map(|landing| &landing.handlers) {
            if *handler as usize >= code.bytes.len() {
                return Err(Unexplained { at: *handler, what: "a handler outside of the code" });
            }
            reader.target(*handler);
        }
        reader.read_all()?;
        reader.check_cover()?;
        Ok(reader.graph)
    }

    pub(super) fn at(&self, offset: u32) -> &Decoded {
        &self.instructions[self.index[offset as usize] as usize]
    }

    /// All instructions, in no particular order.
    pub(super) fn instructions(&self) -> &[Decoded] {
        &self.instructions
    }

    /// Where control may come from more than the instruction before, in ascending order.
    pub(super) fn targets(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.is_target).filter(|(_, is_target)| **is_target).map(|(offset, _)| offset)
    }

    pub(super) fn is_target(&self, offset: u32) -> bool {
        self.is_target.get(offset as usize).copied().unwrap_or(false)
    }

    pub(super) fn table(&self, jump: u32) -> &[u32] {
        self.tables.get(&jump).map_or(&[], Vec::as_slice)
    }
}

struct Reader<'c, 'a> {
    code: &'c Code<'a>,
    decoder: Decoder<'a>,
    explainer: Explainer,
    graph: Graph,
    /// The bytes that are of an instruction or a jump table.
    covered: Vec<bool>,
    /// Targets that have not been read.
    waiting: Vec<u32>,
    /// Jumps whose table has not been read, with how many entries it has if that is
    /// known: the later it is read, the more of the targets behind it are known.
    tables: Vec<(u32, u32)>,
    /// What addresses relative to the instruction pointer point to.
    constants: BTreeSet<u32>,
}

impl Reader<'_, '_> {
    fn target(&mut self, offset: u32) {
        // One out of the code is refused when it is read.
        let is_target = self.graph.is_target.get_mut(offset as usize);
        let is_known = is_target.is_some_and(|is_target| std::mem::replace(is_target, true));
        if !is_known {
            self.waiting.push(offset);
        }
    }

    fn read_all(&mut self) -> Result<(), Unexplained> {
        loop {
            if let Some(start) = self.waiting.pop() {
                self.read_run(start)?;
            } else if let Some((jump, entries)) = self.tables.pop() {
                self.read_table(jump, entries)?;
            } else {
                return Ok(());
            }
        }
    }

    /// Reads from a target on until control does not go on.
    fn read_run(&mut self, start: u32) -> Result<(), Unexplained> {
        let unexplained = |at, what| Err(Unexplained { at, what });
        let code_len = self.code.bytes.len() as u32;
        let mut at = start;
        let mut instruction = Instruction::default();
        loop {
            if at >= code_len {
                return unexplained(at, "control runs out of the code");
            }
            if self.graph.index[at as usize] != NONE {
                return Ok(());
            }
            if self.decoder.set_position(at as usize).is_err() {
                return unexplained(at, "control runs out of the code");
            }
            self.decoder.set_ip(u64::from(at));
            self.decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                return unexplained(at, "bytes that are no instruction");
            }
            let offsets = self.decoder.get_constant_offsets(&instruction);
            let relocated = self.is_relocated(at, instruction.len());
            let mut decoded = self.explainer.explain(&instruction, offsets, relocated, code_len)?;
            if instruction.is_jmp_near_indirect()
                && let Some(entries) = self.table_at(decoded.end(), instruction.op0_register())
            {
                decoded.flow = Flow::Table;
                self.tables.push((at, entries));
            }
            self.cover(at, decoded.end())?;
            if let Some(memory) = decoded.memory
                && let From::Code(target) = memory.from
                && !relocated
            {
                self.constants.insert(target);
            }
            self.graph.index[at as usize] = self.graph.instructions.len() as u32;
            self.graph.instructions.push(decoded);
            match decoded.flow {
                Flow::Next | Flow::Call => {}
                Flow::Branch(target) => self.target(target),
                Flow::Jump(target) => {
                    self.target(target);
                    return Ok(());
                }
                Flow::Table | Flow::Leave => return Ok(()),
            }
            at = decoded.end();
        }
    }

    fn is_relocated(&self, at: u32, len: usize) -> bool {
        let relocated = self.code.relocated;
        let first = relocated.partition_point(|offset| *offset < at);
        relocated.get(first).is_some_and(|offset| *offset < at + len as u32)
    }

    fn cover(&mut self, from: u32, to: u32) -> Result<(), Unexplained> {
        let overlap = Unexplained { at: from, what: "two readings of the same bytes" };
        let bytes = self.covered.get_mut(from as usize..to as usize).ok_or(overlap)?;
        if bytes.contains(&true) {
            return Err(overlap);
        }
        bytes.fill(true);
        Ok(())
    }

    /// If the three instructions before a jump load its target from a table right
    /// behind it (`JmpTableSeq`): how many entries that has, or more.
    fn table_at(&self, table: u32, target: Register) -> Option<u32> {
        let [before @ .., lea, load, add] = self.graph.instructions.as_slice() else {
            return None;
        };
        let is_table = |memory: &Memory| memory.from == From::Code(table);
        let consecutive = lea.end() == load.at && load.end() == add.at;
        if !consecutive
            || lea.effect != Effect::Address
            || !lea.memory.as_ref().is_some_and(is_table)
        {
            return None;
        }
        let [load, add] = [load, add].map(|decoded| self.decode_again(decoded));
        let loads = load.mnemonic() == Mnemonic::Movsxd && load.memory_base() == target;
        let adds = add.mnemonic() == Mnemonic::Add && add.op0_register() == target;
        let index = load.memory_index();
        (loads && adds).then(|| self.index_limit(before, index).unwrap_or(u32::MAX))
    }

    /// How many values an index has that was limited by a conditional move, as it
    /// is against speculation: `mov index, last`, `cmovb index, value`.
    fn index_limit(&self, before: &[Decoded], index: Register) -> Option<u32> {
        let number = index.full_register().number() as u8;
        let mut writes = before.iter().rev().filter(|decoded| decoded.writes & bit(number) != 0);
        let select = self.decode_again(writes.next()?);
        let last = self.decode_again(writes.next()?);
        let is_limit = select.mnemonic() == Mnemonic::Cmovb
            && last.mnemonic() == Mnemonic::Mov
            && last.op1_kind() == OpKind::Immediate32;
        is_limit.then(|| last.immediate32().saturating_add(1))
    }

    fn decode_again(&self, decoded: &Decoded) -> Instruction {
        let bytes = &self.code.bytes[decoded.at as usize..decoded.end() as usize];
        Decoder::with_ip(64, bytes, u64::from(decoded.at), DecoderOptions::NONE).decode()
    }

    /// Reads the table behind a jump: distances from its start. It ends where a
    /// target is, or what is no distance to an instruction; an entry too many
    /// would be a target that overlaps an instruction, or a constant.
    fn read_table(&mut self, jump: u32, entries: u32) -> Result<(), Unexplained> {
        let table = self.graph.at(jump).end();
        let code_len = self.code.bytes.len() as u32;
        let mut targets = Vec::new();
        let mut at = table;
        while (targets.len() as u32) < entries
            && !self.graph.is_target(at)
            && self.covered.get(at as usize) == Some(&false)
            && let Some(entry) = self.code.bytes[at as usize..].first_chunk::<4>()
        {
            let target = i64::from(table) + i64::from(i32::from_le_bytes(*entry));
            match u32::try_from(target) {
                Ok(target) if target < code_len && !(table..=at).contains(&target) => {
                    self.target(target);
                    targets.push(target);
                }
                _ => break,
            }
            at += ENTRY_BYTES;
        }
        if targets.is_empty() {
            return Err(Unexplained { at: jump, what: "a jump table without entries" });
        }
        self.constants.remove(&table);
        self.cover(table, at)?;
        self.graph.tables.insert(jump, targets);
        Ok(())
    }

    /// What is not covered has to be what instructions name as data, or jumps.
    fn check_cover(&self) -> Result<(), Unexplained> {
        for constant in &self.constants {
            if self.covered.get(*constant as usize) != Some(&false) {
                return Err(Unexplained { at: *constant, what: "a constant among instructions" });
            }
        }
        let mut at = 0;
        for run in self.covered.chunk_by(|one, other| one == other) {
            let end = at + run.len() as u32;
            if !run[0] && self.constants.range(at..end).next().is_none() && !self.are_jumps(at, end)
            {
                return Err(Unexplained { at, what: "bytes that nothing leads to" });
            }
            at = end;
        }
        Ok(())
    }

    /// Whether bytes are direct jumps and nothing else: of a block that is nothing
    /// but a jump, Cranelift sends the predecessors to the jump's target, and if the
    /// block before it does not end in a jump of its own, its bytes stay.
    fn are_jumps(&self, from: u32, to: u32) -> bool {
        let bytes = &self.code.bytes[from as usize..to as usize];
        let mut decoder = Decoder::with_ip(64, bytes, u64::from(from), DecoderOptions::NONE);
        let mut jumps = decoder.iter();
        jumps.all(|instruction| instruction.is_jmp_short_or_near())
    }
}
