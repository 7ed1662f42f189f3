//! A function of Cranelift's IR -> what is in it and what it will cost to compile.
