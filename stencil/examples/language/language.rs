//! A small language: source text -> tokens -> tree -> checked tree -> CLIF -> a
//! module of Cranelift, which runs in this process or becomes an object file.
//!
//! ```text
//! // All values are 64-bit integers.
//! fn fib(n) {
//!     if n < 2 { return n; }
//!     return fib(n - 1) + fib(n - 2);
//! }
//! fn main() {
//!     let i = 0;
//!     while i < 10 { print(fib(i)); i = i + 1; }
//! }
//! ```
//!
//! Sums, differences and products wrap; a division by zero traps. A function
//! that ends without `return` returns 0, and so does `print`.

pub mod ast;
pub mod check;
pub mod jit;
pub mod lexer;
pub mod lower;
pub mod object;
pub mod parser;
pub mod source;
pub mod store;
