//! Functions of Cranelift's IR (feature `codegen`).

pub mod scan;
