//! Choices -> a component whose core modules are wired in one of many ways, and the same modules
//! wired in another way.
//!
//! What a core module's import is bound to can reach its code: a function known
//! at compile time is called directly, an intrinsic is compiled in.

use arbitrary::{Arbitrary, Unstructured};
use std::fmt::Write as _;

/// What an import of type `(i32) -> i32` is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
enum Target {
    /// A function of a core module.
    First,
    /// Another function of the same instance.
    Second,
    /// The first function of another instance of the same module.
    FirstElsewhere,
    /// A function of another core module.
    Other,
    /// A host function, lowered.
    Host,
    /// A lifted function of a component inside, lowered again: an adapter.
    Adapter,
    /// An intrinsic that makes a handle.
    ResourceNew,
    /// An intrinsic that reads a handle.
    ResourceRep,
}

impl Target {
    fn text(self) -> &'static str {
        match self {
            Self::First => r#"(func $a "f")"#,
            Self::Second => r#"(func $a "g")"#,
            Self::FirstElsewhere => r#"(func $a2 "f")"#,
            Self::Other => r#"(func $o "f")"#,
            Self::Host => "(func $host)",
            Self::Adapter => "(func $adapter)",
            Self::ResourceNew => "(func $new)",
            Self::ResourceRep => "(func $rep)",
        }
    }
}

/// What the functions compute.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Operator {
    Add,
    Multiply,
    Xor,
    ShiftLeft,
}

impl Operator {
    fn text(self) -> &'static str {
        match self {
            Self::Add => "i32.add",
            Self::Multiply => "i32.mul",
            Self::Xor => "i32.xor",
            Self::ShiftLeft => "i32.shl",
        }
    }
}

/// How the importing module is instantiated: what each of its two imports is bound to.
type Wiring = [Target; 2];

/// A component, before it is written.
#[derive(Clone, Debug)]
pub struct Component {
    operators: [Operator; 3],
    /// One for each instance of the importing module.
    wirings: Vec<Wiring>,
}

fn wirings(choices: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Wiring>> {
    let count = choices.int_in_range(1..=2)?;
    (0..count).map(|_| Wiring::arbitrary(choices)).collect()
}

impl Component {
    /// A component of some choices.
    ///
    /// # Errors
    ///
    /// They ran out.
    pub fn new(choices: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        Ok(Self { operators: Arbitrary::arbitrary(choices)?, wirings: wirings(choices)? })
    }

    /// The same core modules, to the byte, wired in another way.
    ///
    /// # Errors
    ///
    /// The choices ran out.
    pub fn rewired(&self, choices: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        Ok(Self { operators: self.operators, wirings: wirings(choices)? })
    }

    /// Its binary form.
    ///
    /// # Panics
    ///
    /// Never: every choice has a text.
    pub fn wasm(&self) -> Vec<u8> {
        wat::parse_str(self.text()).unwrap_or_else(|error| panic!("{error}\n{}", self.text()))
    }

    fn text(&self) -> String {
        let [one, two, three] = self.operators.map(Operator::text);
        let mut text = format!(
            r#"(component
  (import "host" (func $host' (param "n" u32) (result u32)))
  (core func $host (canon lower (func $host')))
  (type $resource (resource (rep i32)))
  (core func $new (canon resource.new $resource))
  (core func $rep (canon resource.rep $resource))
  (component $inner
    (core module $m (func (export "f") (param i32) (result i32)
      ({one} (local.get 0) (i32.const 5))))
    (core instance $i (instantiate $m))
    (func (export "f") (param "n" u32) (result u32) (canon lift (core func $i "f"))))
  (instance $inner (instantiate $inner))
  (core func $adapter (canon lower (func $inner "f")))
  (core module $a
    (global $calls (mut i32) (i32.const 0))
    (func (export "f") (param i32) (result i32)
      (global.set $calls ({one} (global.get $calls) (i32.const 3)))
      ({two} (local.get 0) (global.get $calls)))
    (func (export "g") (param i32) (result i32) ({three} (local.get 0) (i32.const 7))))
  (core module $o
    (memory 1)
    (func (export "f") (param i32) (result i32) ({two} (i32.load (i32.const 8)) (local.get 0))))
  (core module $main
    (import "to" "x" (func $x (param i32) (result i32)))
    (import "to" "y" (func $y (param i32) (result i32)))
    (func (export "run") (param i32) (result i32)
      ({three} (call $x (local.get 0)) (call $y ({two} (local.get 0) (i32.const 9)))))
    (func (export "alone") (param i32) (result i32) ({one} (local.get 0) (i32.const 11))))
  (core instance $a (instantiate $a))
  (core instance $a2 (instantiate $a))
  (core instance $o (instantiate $o))
"#
        );
        for (nth, [x, y]) in self.wirings.iter().enumerate() {
            let (x, y) = (x.text(), y.text());
            writeln!(
                text,
                r#"  (core instance $to{nth} (export "x" {x}) (export "y" {y}))
  (core instance $main{nth} (instantiate $main (with "to" (instance $to{nth}))))
  (func (export "run{nth}") (param "n" u32) (result u32)
    (canon lift (core func $main{nth} "run")))"#
            )
            .expect("a string takes all");
        }
        text + ")\n"
    }
}
