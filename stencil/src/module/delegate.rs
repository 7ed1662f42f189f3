//! `Module` for a cached module: `define_function` goes through the cache, all
//! else to the inner module.

use super::{BypassReason, CachedModule};
use cranelift_codegen::isa::{TargetFrontendConfig, TargetIsa};
use cranelift_codegen::{Context, ir};
use cranelift_control::ControlPlane;
use cranelift_module::{
    DataDescription, DataId, FuncId, FuncOrDataId, Linkage, Module, ModuleDeclarations,
    ModuleReloc, ModuleResult,
};

/// Whether control planes perturb code: Cranelift's feature `chaos` makes them so,
/// and gives them something to hold.
const PERTURBS: bool = size_of::<ControlPlane>() > 0;

impl<M: Module> Module for CachedModule<M> {
    /// Goes through the cache. The context is left without compiled code, unless
    /// the inner module compiled the function: see [`CachedModule::define`].
    fn define_function(&mut self, id: FuncId, context: &mut Context) -> ModuleResult<()> {
        match self.try_cache(id, context)? {
            Ok(_) => Ok(()),
            Err(reason) => self.bypass(id, context, &mut ControlPlane::default(), reason),
        }
    }

    /// As `define_function`, unless control planes perturb code.
    fn define_function_with_control_plane(
        &mut self,
        id: FuncId,
        context: &mut Context,
        control_plane: &mut ControlPlane,
    ) -> ModuleResult<()> {
        if PERTURBS {
            return self.bypass(id, context, control_plane, BypassReason::ControlPlane);
        }
        self.define_function(id, context)
    }

    fn define_function_bytes(
        &mut self,
        id: FuncId,
        alignment: u64,
        bytes: &[u8],
        relocs: &[ModuleReloc],
    ) -> ModuleResult<()> {
        self.inner.define_function_bytes(id, alignment, bytes, relocs)?;
        self.defined.insert(id);
        Ok(())
    }

    fn isa(&self) -> &dyn TargetIsa {
        self.inner.isa()
    }

    fn declarations(&self) -> &ModuleDeclarations {
        self.inner.declarations()
    }

    fn get_name(&self, name: &str) -> Option<FuncOrDataId> {
        self.inner.get_name(name)
    }

    fn target_config(&self) -> TargetFrontendConfig {
        self.inner.target_config()
    }

    fn make_context(&self) -> Context {
        self.inner.make_context()
    }

    fn clear_context(&self, context: &mut Context) {
        self.inner.clear_context(context);
    }

    fn make_signature(&self) -> ir::Signature {
        self.inner.make_signature()
    }

    fn clear_signature(&self, signature: &mut ir::Signature) {
        self.inner.clear_signature(signature);
    }

    fn declare_function(
        &mut self,
        name: &str,
        linkage: Linkage,
        signature: &ir::Signature,
    ) -> ModuleResult<FuncId> {
        self.inner.declare_function(name, linkage, signature)
    }

    fn declare_anonymous_function(&mut self, signature: &ir::Signature) -> ModuleResult<FuncId> {
        self.inner.declare_anonymous_function(signature)
    }

    fn declare_data(
        &mut self,
        name: &str,
        linkage: Linkage,
        writable: bool,
        tls: bool,
    ) -> ModuleResult<DataId> {
        self.inner.declare_data(name, linkage, writable, tls)
    }

    fn declare_anonymous_data(&mut self, writable: bool, tls: bool) -> ModuleResult<DataId> {
        self.inner.declare_anonymous_data(writable, tls)
    }

    fn declare_func_in_func(&mut self, id: FuncId, function: &mut ir::Function) -> ir::FuncRef {
        self.inner.declare_func_in_func(id, function)
    }

    fn declare_data_in_func(&self, id: DataId, function: &mut ir::Function) -> ir::GlobalValue {
        self.inner.declare_data_in_func(id, function)
    }

    fn declare_func_in_data(&self, id: FuncId, data: &mut DataDescription) -> ir::FuncRef {
        self.inner.declare_func_in_data(id, data)
    }

    fn declare_data_in_data(&self, id: DataId, data: &mut DataDescription) -> ir::GlobalValue {
        self.inner.declare_data_in_data(id, data)
    }

    fn define_data(&mut self, id: DataId, data: &DataDescription) -> ModuleResult<()> {
        self.inner.define_data(id, data)
    }
}
