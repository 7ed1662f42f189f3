//! A checked tree -> CLIF -> definitions in any `cranelift_module::Module`.
//!
//! One context and one builder context serve all functions, callees are
//! declared where they are called, and an expression's source location is its
//! byte offset in the file: as front ends do it that are not examples.

#![expect(clippy::result_large_err, reason = "the error of `Module`, by value like there")]

use super::ast::{Expression, ExpressionKind, Function, Lazy, Statement, Unary};
use super::check::{CheckedProgram, MAIN, PRINT};
use cranelift_codegen::Context;
use cranelift_codegen::ir::{
    self, AbiParam, Block, InstBuilder, Signature, SourceLoc, Value, types,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use cranelift_module::{FuncId, Linkage, Module, ModuleResult};
use std::collections::HashMap;

mod operators;

/// A function's name in the module and the linker's symbol.
pub fn symbol(name: &str) -> String {
    format!("lang_{name}")
}

/// A program whose functions are declared in a module; makes their definitions.
pub struct Lowering<'a, 's> {
    program: &'a CheckedProgram<'s>,
    ids: HashMap<&'s str, FuncId>,
    context: Context,
    builder_context: FunctionBuilderContext,
}

impl<'a, 's> Lowering<'a, 's> {
    /// Declares all functions of a program: `print` is the host's, `main` can be
    /// seen from outside.
    pub fn new<M: Module>(module: &mut M, program: &'a CheckedProgram<'s>) -> ModuleResult<Self> {
        let mut ids = HashMap::new();
        let print = signature(module, 1);
        ids.insert(PRINT, module.declare_function(&symbol(PRINT), Linkage::Import, &print)?);
        for function in program.functions() {
            let linkage = if function.name == MAIN { Linkage::Export } else { Linkage::Local };
            let signature = signature(module, function.parameters.len());
            let id = module.declare_function(&symbol(function.name), linkage, &signature)?;
            ids.insert(function.name, id);
        }
        let context = module.make_context();
        Ok(Self { program, ids, context, builder_context: FunctionBuilderContext::new() })
    }

    /// The id of `main`.
    pub fn main(&self) -> FuncId {
        self.ids[MAIN]
    }

    /// Defines every function, one after the other.
    pub fn define<M: Module>(&mut self, module: &mut M) -> ModuleResult<()> {
        for function in self.program.functions() {
            let id = self.build(module, function);
            module.define_function(id, &mut self.context)?;
        }
        Ok(())
    }

    /// The functions themselves, for those who define them all at once.
    pub fn functions<M: Module>(&mut self, module: &mut M) -> Vec<(FuncId, ir::Function)> {
        let program = self.program;
        let build = |function| {
            let id = self.build(module, function);
            (id, self.context.func.clone())
        };
        program.functions().iter().map(build).collect()
    }

    /// Leaves the function's CLIF in the context.
    fn build<M: Module>(&mut self, module: &mut M, function: &Function<'s>) -> FuncId {
        let id = self.ids[function.name];
        module.clear_context(&mut self.context);
        self.context.func.signature = signature(module, function.parameters.len());
        self.context.func.name = ir::UserFuncName::user(0, id.as_u32());
        let target = module.target_config();
        let builder = FunctionBuilder::new(&mut self.context.func, &mut self.builder_context);
        let mut body = Body { module, ids: &self.ids, builder, variables: Vec::new() };
        body.function(function);
        body.builder.finalize(target);
        id
    }
}

fn signature<M: Module>(module: &M, parameters: usize) -> Signature {
    let mut signature = module.make_signature();
    signature.params.resize(parameters, AbiParam::new(types::I64));
    signature.returns.push(AbiParam::new(types::I64));
    signature
}

/// A function while it is built.
struct Body<'b, 's, M> {
    module: &'b mut M,
    ids: &'b HashMap<&'s str, FuncId>,
    builder: FunctionBuilder<'b>,
    /// The variables that can be seen, the innermost last.
    variables: Vec<(&'s str, Variable)>,
}

impl<'s, M: Module> Body<'_, 's, M> {
    fn function(&mut self, function: &Function<'s>) {
        let entry = self.builder.create_block();
        self.builder.append_block_params_for_function_params(entry);
        self.builder.switch_to_block(entry);
        self.builder.seal_block(entry);
        self.at(function.offset);
        for (index, (name, _)) in function.parameters.iter().enumerate() {
            let value = self.builder.block_params(entry)[index];
            self.declare(name, value);
        }
        if self.block(&function.body) {
            let zero = self.builder.ins().iconst(types::I64, 0);
            self.builder.ins().return_(&[zero]);
        }
    }

    fn at(&mut self, offset: u32) {
        self.builder.set_srcloc(SourceLoc::new(offset));
    }

    fn declare(&mut self, name: &'s str, value: Value) {
        let variable = self.builder.declare_var(types::I64);
        self.builder.def_var(variable, value);
        self.variables.push((name, variable));
    }

    fn variable(&self, name: &str) -> Variable {
        let found = self.variables.iter().rev().find(|(known, _)| *known == name);
        found.expect("the program is checked").1
    }

    /// Goes on in a block whose predecessors are all known.
    fn go_on_in(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }

    /// False if what follows the statements cannot be reached.
    fn block(&mut self, statements: &[Statement<'s>]) -> bool {
        let outside = self.variables.len();
        let goes_on = statements.iter().all(|statement| self.statement(statement));
        self.variables.truncate(outside);
        goes_on
    }

    fn statement(&mut self, statement: &Statement<'s>) -> bool {
        match statement {
            Statement::Let(name, value) => {
                let value = self.expression(value);
                self.declare(name, value);
            }
            Statement::Assign(name, _, value) => {
                let value = self.expression(value);
                let variable = self.variable(name);
                self.builder.def_var(variable, value);
            }
            Statement::If(condition, then, otherwise) => {
                return self.if_(condition, then, otherwise);
            }
            Statement::While(condition, body) => self.while_(condition, body),
            Statement::Return(offset, value) => {
                let value = self.expression(value);
                self.at(*offset);
                self.builder.ins().return_(&[value]);
                return false;
            }
            Statement::Expression(value) => {
                self.expression(value);
            }
        }
        true
    }

    fn if_(
        &mut self,
        condition: &Expression<'s>,
        then: &[Statement<'s>],
        otherwise: &[Statement<'s>],
    ) -> bool {
        let condition = self.expression(condition);
        let [then_block, else_block, after] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.ins().brif(condition, then_block, &[], else_block, &[]);
        let mut goes_on = false;
        for (block, statements) in [(then_block, then), (else_block, otherwise)] {
            self.go_on_in(block);
            if self.block(statements) {
                self.builder.ins().jump(after, &[]);
                goes_on = true;
            }
        }
        if goes_on {
            self.go_on_in(after);
        }
        goes_on
    }

    fn while_(&mut self, condition: &Expression<'s>, body: &[Statement<'s>]) {
        let [header, body_block, after] = std::array::from_fn(|_| self.builder.create_block());
        self.builder.ins().jump(header, &[]);
        self.builder.switch_to_block(header);
        let condition = self.expression(condition);
        self.builder.ins().brif(condition, body_block, &[], after, &[]);
        self.go_on_in(body_block);
        if self.block(body) {
            self.builder.ins().jump(header, &[]);
        }
        self.builder.seal_block(header);
        self.go_on_in(after);
    }

    fn expression(&mut self, expression: &Expression<'s>) -> Value {
        let offset = expression.offset;
        match &expression.kind {
            ExpressionKind::Number(number) => {
                self.at(offset);
                self.builder.ins().iconst(types::I64, *number)
            }
            ExpressionKind::Name(name) => {
                let variable = self.variable(name);
                self.builder.use_var(variable)
            }
            ExpressionKind::Unary(unary, operand) => {
                let operand = self.expression(operand);
                self.at(offset);
                match unary {
                    Unary::Negate => self.builder.ins().ineg(operand),
                    Unary::Not => self.is_zero(operand),
                }
            }
            ExpressionKind::Binary(binary, left, right) => {
                let left = self.expression(left);
                let right = self.expression(right);
                self.at(offset);
                self.binary(*binary, left, right)
            }
            ExpressionKind::Lazy(lazy, left, right) => self.lazy(*lazy, left, right, offset),
            ExpressionKind::Call(callee, arguments) => {
                let arguments: Vec<Value> =
                    arguments.iter().map(|argument| self.expression(argument)).collect();
                self.at(offset);
                let callee = self.module.declare_func_in_func(self.ids[callee], self.builder.func);
                let call = self.builder.ins().call(callee, &arguments);
                self.builder.inst_results(call)[0]
            }
        }
    }

    fn lazy(
        &mut self,
        lazy: Lazy,
        left: &Expression<'s>,
        right: &Expression<'s>,
        offset: u32,
    ) -> Value {
        let left = self.expression(left);
        self.at(offset);
        let decided = self.builder.ins().iconst(types::I64, i64::from(lazy == Lazy::Or));
        let [right_block, after] = std::array::from_fn(|_| self.builder.create_block());
        let result = self.builder.append_block_param(after, types::I64);
        match lazy {
            Lazy::And => {
                self.builder.ins().brif(left, right_block, &[], after, &[decided.into()]);
            }
            Lazy::Or => {
                self.builder.ins().brif(left, after, &[decided.into()], right_block, &[]);
            }
        }
        self.go_on_in(right_block);
        let right = self.expression(right);
        self.at(offset);
        let right = self.is_not_zero(right);
        self.builder.ins().jump(after, &[right.into()]);
        self.go_on_in(after);
        result
    }
}
