//! Random numbers -> programs of the language that end and never trap.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Write;

/// How many functions there are besides `main`.
const FUNCTIONS: usize = 5;

/// A program; the same for the same seed.
pub fn program(seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let arities: Vec<usize> = (0..FUNCTIONS).map(|_| random.random_range(0..9)).collect();
    let mut source = String::new();
    for function in 0..FUNCTIONS {
        let mut body = Body {
            random: &mut random,
            arities: &arities[..function],
            calls: 1,
            names: (0..arities[function]).map(|index| format!("p{index}")).collect(),
            counters: 0,
            source: String::new(),
        };
        body.block(3);
        let parameters = body.names.join(", ");
        let result = body.expression(3);
        let (statements, result) = (body.source, result);
        write!(source, "fn f{function}({parameters}) {{\n{statements}return {result};\n}}\n")
            .unwrap();
    }
    source.push_str("fn main() {\n");
    for (function, arity) in arities.iter().enumerate() {
        let arguments: Vec<String> =
            (0..*arity).map(|_| random.random_range(0..99).to_string()).collect();
        writeln!(source, "print(f{function}({}));", arguments.join(", ")).unwrap();
    }
    source.push_str("}\n");
    source
}

struct Body<'r> {
    random: &'r mut StdRng,
    /// Of the functions that may be called: those before this one, so that the
    /// program ends.
    arities: &'r [usize],
    /// How many calls there may be still.
    calls: u32,
    names: Vec<String>,
    counters: u32,
    source: String,
}

impl Body<'_> {
    fn block(&mut self, depth: u32) {
        let outside = self.names.len();
        for _ in 0..self.random.random_range(1..6) {
            self.statement(depth);
        }
        self.names.truncate(outside);
    }

    fn statement(&mut self, depth: u32) {
        match self.random.random_range(0..6) {
            0 | 1 => {
                let value = self.expression(depth);
                let name = format!("v{}", self.names.len());
                writeln!(self.source, "let {name} = {value};").unwrap();
                self.names.push(name);
            }
            2 if depth > 0 => {
                let condition = self.expression(2);
                writeln!(self.source, "if {condition} {{").unwrap();
                self.block(depth - 1);
                self.source.push_str("} else {\n");
                self.block(depth - 1);
                self.source.push_str("}\n");
            }
            3 if depth > 0 => {
                // No other name is like this one and no edit changes its step, so
                // that the loop ends.
                let counter = format!("count{}", self.counters);
                self.counters += 1;
                let turns = self.random.random_range(1..4);
                writeln!(self.source, "let {counter} = 0;\nwhile {counter} < {turns} {{").unwrap();
                self.block(depth - 1);
                writeln!(self.source, "{counter} = {counter} - -1;\n}}").unwrap();
            }
            _ if !self.names.is_empty() => {
                let value = self.expression(depth);
                let index = self.random.random_range(0..self.names.len());
                writeln!(self.source, "{} = {value};", self.names[index]).unwrap();
            }
            _ => {
                let value = self.expression(depth);
                writeln!(self.source, "print({value});").unwrap();
            }
        }
    }

    fn expression(&mut self, depth: u32) -> String {
        let choice = if depth == 0 { 0 } else { self.random.random_range(0..7) };
        match choice {
            0 | 1 if !self.names.is_empty() => {
                self.names[self.random.random_range(0..self.names.len())].clone()
            }
            0 | 1 => self.random.random_range(0..1_000_000).to_string(),
            2 => {
                let sign = ["/", "%"][self.random.random_range(0..2)];
                let divisor = self.random.random_range(1..50);
                format!("({} {sign} {divisor})", self.expression(depth - 1))
            }
            3 if self.calls > 0 && !self.arities.is_empty() => {
                self.calls -= 1;
                let callee = self.random.random_range(0..self.arities.len());
                let arguments: Vec<String> =
                    (0..self.arities[callee]).map(|_| self.expression(depth - 1)).collect();
                format!("f{callee}({})", arguments.join(", "))
            }
            4 => format!(
                "{}({})",
                ["-", "!"][self.random.random_range(0..2)],
                self.expression(depth - 1)
            ),
            _ => {
                let signs = ["+", "-", "*", "==", "!=", "<", "<=", ">", ">=", "&&", "||"];
                let sign = signs[self.random.random_range(0..signs.len())];
                format!("({} {sign} {})", self.expression(depth - 1), self.expression(depth - 1))
            }
        }
    }
}
