//! Bodies -> code, by Cranelift: into fragments, and into a `JITModule` to
//! compare with.

use crate::graph::{Body, Call, Callee, Graph, How, host};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{
    self, AbiParam, ExtFuncData, FuncRef, InstBuilder, Signature, UserExternalName,
    UserExternalNameRef, types::I64,
};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{FinalizedRelocTarget, ir::condcodes::IntCC};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module};
use std::collections::BTreeMap;
use stencil::ExternalName;
use stencil::image::{CodeImage, Fragment, FragmentRelocation, FragmentTarget, ImageError};

pub const HOST: ExternalName = ExternalName { namespace: 1, index: 0 };

/// The name of a function of the graph.
pub fn name_of(function: u32) -> ExternalName {
    ExternalName { namespace: 0, index: function }
}

/// # Safety
///
/// `code` is compiled from a [`Body`], and stays mapped.
pub unsafe fn run(code: *const u8, fuel: u64, number: u64) -> u64 {
    type Compiled = extern "C" fn(u64, u64) -> u64;
    // SAFETY: of the caller; `build` makes functions of this type.
    let function = unsafe { std::mem::transmute::<*const u8, Compiled>(code) };
    function(fuel, number)
}

/// This machine's.
pub fn isa(pic: bool) -> OwnedTargetIsa {
    isa_of(cranelift_native::builder().unwrap(), pic)
}

pub fn isa_of(builder: isa::Builder, pic: bool) -> OwnedTargetIsa {
    let mut flags = settings::builder();
    flags.set("is_pic", if pic { "true" } else { "false" }).unwrap();
    flags.set("opt_level", "none").unwrap();
    builder.finish(settings::Flags::new(flags)).unwrap()
}

fn signature(isa: &OwnedTargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.extend([AbiParam::new(I64); 2]);
    signature.returns.push(AbiParam::new(I64));
    signature
}

/// Cranelift's IR of a body; `callee` declares whom it calls.
fn build(
    body: &Body,
    signature: Signature,
    callee: &mut dyn FnMut(&mut ir::Function, &Call) -> FuncRef,
) -> ir::Function {
    let mut function =
        ir::Function::with_name_signature(ir::UserFuncName::default(), signature.clone());
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut function, &mut context);
    let [entry, calls, end] = [(); 3].map(|()| builder.create_block());
    builder.append_block_params_for_function_params(entry);
    builder.append_block_param(end, I64);
    builder.switch_to_block(entry);
    let (fuel, mut number) = (builder.block_params(entry)[0], builder.block_params(entry)[1]);
    for round in 0..body.rounds {
        let scale = builder.ins().iconst(I64, body.scale.cast_signed());
        let add = builder.ins().iconst(I64, (body.add ^ round).cast_signed());
        number = builder.ins().imul(number, scale);
        number = builder.ins().iadd(number, add);
    }
    let empty = builder.ins().icmp_imm_u(IntCC::Equal, fuel, 0);
    builder.ins().brif(empty, end, &[number.into()], calls, &[]);
    builder.switch_to_block(calls);
    let one = builder.ins().iconst(I64, 1);
    let less = builder.ins().isub(fuel, one);
    for call in &body.calls {
        let callee = callee(builder.func, call);
        let called = if call.how == How::ByAddress {
            let signature = builder.import_signature(signature.clone());
            let address = builder.ins().func_addr(I64, callee);
            builder.ins().call_indirect(signature, address, &[less, number])
        } else {
            builder.ins().call(callee, &[less, number])
        };
        let got = builder.inst_results(called)[0];
        let by = builder.ins().iconst(I64, i64::from(call.rotate));
        number = builder.ins().rotl(number, by);
        number = builder.ins().bxor(number, got);
    }
    builder.ins().jump(end, &[number.into()]);
    builder.switch_to_block(end);
    let result = builder.block_params(end)[0];
    builder.ins().return_(&[result]);
    builder.seal_all_blocks();
    builder.finalize(isa(false).frontend_config());
    function
}

/// What an image takes in.
pub struct Compiled {
    code: Vec<u8>,
    alignment: u32,
    relocations: Vec<FragmentRelocation>,
}

impl Compiled {
    pub fn fragment(&self) -> Fragment<'_> {
        let relocations = self.relocations.clone();
        Fragment { code: &self.code, alignment: self.alignment, relocations }
    }
}

pub fn compile(body: &Body) -> Compiled {
    compile_for(&isa(body.pic), body)
}

pub fn compile_for(isa: &OwnedTargetIsa, body: &Body) -> Compiled {
    let signature = signature(isa);
    let function = build(body, signature, &mut |function, call| {
        let name = match call.to {
            Callee::Function(to) => name_of(to),
            Callee::Host => HOST,
        };
        let ExternalName { namespace, index } = name;
        let name = function.declare_imported_user_function(UserExternalName { namespace, index });
        // Taking the address of what is far by distance is refused, which
        // `image_veneers.rs` shows.
        let far = call.how == How::Far || (call.to == Callee::Host && call.how == How::ByAddress);
        let signature = function.signature.clone();
        let signature = function.import_signature(signature);
        function.import_function(ExtFuncData {
            name: ir::ExternalName::user(name),
            signature,
            colocated: !far,
            patchable: false,
        })
    });
    let mut context = Context::for_function(function);
    context.compile(&**isa, &mut ControlPlane::default()).unwrap();
    let compiled = context.compiled_code().unwrap();
    let named = |name: UserExternalNameRef| {
        let UserExternalName { namespace, index } = context.func.params.user_named_funcs()[name];
        ExternalName { namespace, index }
    };
    let relocations = compiled.buffer.relocs().iter().map(|relocation| FragmentRelocation {
        offset: relocation.offset,
        kind: relocation.kind,
        addend: relocation.addend,
        target: match &relocation.target {
            FinalizedRelocTarget::ExternalName(ir::ExternalName::User(name)) => {
                FragmentTarget::Function(named(*name))
            }
            FinalizedRelocTarget::ExternalName(other) => panic!("{other:?} is not called"),
            FinalizedRelocTarget::Func(offset) => FragmentTarget::Own(*offset),
        },
    });
    Compiled {
        relocations: relocations.collect(),
        code: compiled.code_buffer().to_vec(),
        alignment: compiled.buffer.alignment,
    }
}

/// An image in which the host's function has its address.
pub fn image() -> Result<CodeImage, ImageError> {
    let mut image = CodeImage::for_host()?;
    image.define(HOST, host as *const () as u64)?;
    Ok(image)
}

/// The same graph, compiled by Cranelift's own JIT.
pub struct Direct {
    module: Option<JITModule>,
    functions: BTreeMap<u32, FuncId>,
}

impl Direct {
    pub fn new(graph: &Graph) -> Self {
        let isa = isa(false);
        let signature = signature(&isa);
        let mut builder = JITBuilder::with_isa(isa, cranelift_module::default_libcall_names());
        builder.symbol("host", host as *const u8);
        let mut module = JITModule::new(builder);
        let host = module.declare_function("host", Linkage::Import, &signature).unwrap();
        let mut declare = |index: &u32| {
            let name = format!("f{index}");
            (*index, module.declare_function(&name, Linkage::Local, &signature).unwrap())
        };
        let functions: BTreeMap<_, _> = graph.keys().map(&mut declare).collect();
        for (index, body) in graph {
            let function = build(body, signature.clone(), &mut |function, call| {
                let callee = match call.to {
                    Callee::Function(to) => functions[&to],
                    Callee::Host => host,
                };
                module.declare_func_in_func(callee, function)
            });
            module.define_function(functions[index], &mut Context::for_function(function)).unwrap();
        }
        module.finalize_definitions().unwrap();
        Self { module: Some(module), functions }
    }

    pub fn run(&self, function: u32, fuel: u64, number: u64) -> u64 {
        let code = self.module.as_ref().unwrap().get_finalized_function(self.functions[&function]);
        // SAFETY: compiled by `new`; the module lives as long as `self`.
        unsafe { run(code, fuel, number) }
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: its code is run by `run` only, which needs `self`.
            unsafe { module.free_memory() };
        }
    }
}
