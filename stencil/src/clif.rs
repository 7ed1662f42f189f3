//! Functions of Cranelift's IR (feature `codegen`).

pub mod policy;
pub mod scan;
