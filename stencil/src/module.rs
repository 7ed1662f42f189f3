//! The cache in front of any `cranelift_module::Module` (feature `module`).
