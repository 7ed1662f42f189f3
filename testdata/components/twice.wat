;; Which imports of a core module are known when compiling:
;;  $apply  instantiated twice with different imports: none of them
;;  $single instantiated once: `f` is $leaf's `plus`, called directly
;;  $same   instantiated twice with equal imports: known as well
;;  $main   instantiated once: "a" and "b" are one function ($apply's) of two
;;          instances: the same callee, but different vmctx
;; run() = (3 + 7) * 10000 + (3 * 7) * 100 + (6 + 6 + 31) + (2 + 2) * 2 = 102151
(component $twice
  (core module $leaf
    (global $calls (export "calls") (mut i32) (i32.const 0))
    (func (export "plus") (param i32 i32) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.add (local.get 0) (local.get 1)))
    (func (export "times") (param i32 i32) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.mul (local.get 0) (local.get 1))))

  ;; instantiated twice
  (core module $apply
    (import "op" "f" (func $f (param i32 i32) (result i32)))
    (import "op" "scale" (global $scale i32))
    (func (export "apply") (param i32 i32) (result i32)
      (i32.mul (call $f (local.get 0) (local.get 1)) (global.get $scale)))
    ;; needs none of the imports
    (func (export "twelve") (result i32) (i32.const 12)))

  ;; the same two bodies as in $apply, but instantiated once
  (core module $single
    (import "op" "f" (func $f (param i32 i32) (result i32)))
    (import "op" "scale" (global $scale i32))
    (func (export "apply") (param i32 i32) (result i32)
      (i32.mul (call $f (local.get 0) (local.get 1)) (global.get $scale)))
    (func (export "square-plus") (param i32) (result i32)
      (call $f (call $f (local.get 0) (local.get 0)) (i32.const 31))))

  (core module $same
    (import "op" "f" (func $f (param i32 i32) (result i32)))
    (func (export "twofold") (param i32) (result i32)
      (call $f (local.get 0) (local.get 0))))

  (core module $constants
    (global (export "hundred") i32 (i32.const 100))
    (global (export "ten thousand") i32 (i32.const 10000)))

  (core module $main
    (import "a" "apply" (func $a (param i32 i32) (result i32)))
    (import "b" "apply" (func $b (param i32 i32) (result i32)))
    (import "c" "square-plus" (func $c (param i32) (result i32)))
    (import "d" "twofold" (func $d (param i32) (result i32)))
    (import "e" "twofold" (func $e (param i32) (result i32)))
    (func (export "run") (result i32)
      (i32.add
        (i32.add (call $a (i32.const 3) (i32.const 7)) (call $b (i32.const 3) (i32.const 7)))
        (i32.add (call $c (i32.const 6))
          (i32.add (call $d (i32.const 2)) (call $e (i32.const 2)))))))

  (core instance $leaf (instantiate $leaf))
  (core instance $constants (instantiate $constants))
  (alias core export $leaf "plus" (core func $plus))
  (alias core export $leaf "times" (core func $times))
  (alias core export $constants "hundred" (core global $hundred))
  (alias core export $constants "ten thousand" (core global $ten_thousand))
  (core instance $op_a (export "f" (func $plus)) (export "scale" (global $ten_thousand)))
  (core instance $op_b (export "f" (func $times)) (export "scale" (global $hundred)))
  (core instance $a (instantiate $apply (with "op" (instance $op_a))))
  (core instance $b (instantiate $apply (with "op" (instance $op_b))))
  (core instance $c (instantiate $single (with "op" (instance $op_a))))
  (core instance $d (instantiate $same (with "op" (instance $op_a))))
  (core instance $e (instantiate $same (with "op" (instance $op_a))))
  (core instance $main (instantiate $main
    (with "a" (instance $a)) (with "b" (instance $b)) (with "c" (instance $c))
    (with "d" (instance $d)) (with "e" (instance $e))))
  (func (export "run") (result u32) (canon lift (core func $main "run"))))
