//! The tree -> the tree, known to name only what there is. What comes after
//! cannot fail for the program's sake.

use super::ast::{Expression, ExpressionKind, Function, Program, Statement};
use super::source::SourceError;
use std::collections::HashMap;

/// The function that the host provides.
pub const PRINT: &str = "print";

/// The function that is run.
pub const MAIN: &str = "main";

/// A program that has been checked.
#[derive(Debug)]
pub struct CheckedProgram<'s>(Program<'s>);

impl<'s> CheckedProgram<'s> {
    /// Its functions, in the order of the source.
    pub fn functions(&self) -> &[Function<'s>] {
        &self.0.functions
    }
}

/// Checks that every name is declared, every call has its number of arguments
/// and that there is a `main`.
pub fn check<'s>(source: &'s str, program: Program<'s>) -> Result<CheckedProgram<'s>, SourceError> {
    let mut arities = HashMap::from([(PRINT, 1)]);
    for function in &program.functions {
        if arities.insert(function.name, function.parameters.len()).is_some() {
            let sentence = format!("there is a function `{}` already", function.name);
            return Err(SourceError::at(source, function.offset, sentence));
        }
    }
    match program.functions.iter().find(|function| function.name == MAIN) {
        Some(main) if main.parameters.is_empty() => {}
        Some(main) => {
            let sentence = format!("`{MAIN}` has no parameters");
            return Err(SourceError::at(source, main.offset, sentence));
        }
        None => {
            let sentence = format!("expected a function `{MAIN}`, found none");
            return Err(SourceError::at(source, source.len() as u32, sentence));
        }
    }
    for function in &program.functions {
        let mut scope = Scope { source, arities: &arities, names: Vec::new() };
        for &(name, offset) in &function.parameters {
            if scope.names.contains(&name) {
                return scope.wrong(offset, format!("there is a parameter `{name}` already"));
            }
            scope.names.push(name);
        }
        scope.block(&function.body)?;
    }
    Ok(CheckedProgram(program))
}

struct Scope<'a, 's> {
    source: &'s str,
    /// How many arguments each function takes.
    arities: &'a HashMap<&'s str, usize>,
    /// The variables that can be seen.
    names: Vec<&'s str>,
}

impl<'s> Scope<'_, 's> {
    fn wrong<T>(&self, offset: u32, sentence: String) -> Result<T, SourceError> {
        Err(SourceError::at(self.source, offset, sentence))
    }

    fn name(&self, name: &str, offset: u32) -> Result<(), SourceError> {
        if self.names.contains(&name) {
            return Ok(());
        }
        self.wrong(offset, format!("there is no variable `{name}`; `let {name} = ..;` makes one"))
    }

    fn block(&mut self, statements: &[Statement<'s>]) -> Result<(), SourceError> {
        let outside = self.names.len();
        for statement in statements {
            match statement {
                Statement::Let(name, value) => {
                    self.expression(value)?;
                    self.names.push(name);
                }
                Statement::Assign(name, offset, value) => {
                    self.expression(value)?;
                    self.name(name, *offset)?;
                }
                Statement::If(condition, then, otherwise) => {
                    self.expression(condition)?;
                    self.block(then)?;
                    self.block(otherwise)?;
                }
                Statement::While(condition, body) => {
                    self.expression(condition)?;
                    self.block(body)?;
                }
                Statement::Return(_, value) | Statement::Expression(value) => {
                    self.expression(value)?;
                }
            }
        }
        self.names.truncate(outside);
        Ok(())
    }

    fn expression(&self, expression: &Expression<'s>) -> Result<(), SourceError> {
        let offset = expression.offset;
        match &expression.kind {
            ExpressionKind::Number(_) => Ok(()),
            ExpressionKind::Name(name) => self.name(name, offset),
            ExpressionKind::Unary(_, operand) => self.expression(operand),
            ExpressionKind::Binary(_, left, right) | ExpressionKind::Lazy(_, left, right) => {
                self.expression(left)?;
                self.expression(right)
            }
            ExpressionKind::Call(callee, arguments) => {
                match self.arities.get(callee) {
                    None => return self.wrong(offset, format!("there is no function `{callee}`")),
                    Some(arity) if *arity != arguments.len() => {
                        let given = arguments.len();
                        let sentence =
                            format!("expected {arity} arguments of `{callee}`, found {given}");
                        return self.wrong(offset, sentence);
                    }
                    Some(_) => {}
                }
                arguments.iter().try_for_each(|argument| self.expression(argument))
            }
        }
    }
}
