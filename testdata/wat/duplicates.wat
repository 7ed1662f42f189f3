;; The same body several times: equal callees, different callees, equal
;; but for a constant, equal but for which operands are the same entity.
(module $duplicates
  (func $inc (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $dec (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)))
  (func $inc_again (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $inc_two (param i32) (result i32) (i32.add (local.get 0) (i32.const 2)))
  (func $inc64 (param i64) (result i64) (i64.add (local.get 0) (i64.const 1)))
  (global $g (mut i32) (i32.const 0))
  (global $h (mut i32) (i32.const 0))
  (global $k1 i32 (i32.const 5))
  (global $k2 i32 (i32.const 5))
  (global $k3 i32 (i32.const 6))

  ;; one stencil, parameters: the callees
  (func $then_ii (param i32) (result i32) (i32.mul (call $inc (call $dec (local.get 0))) (i32.const 3)))
  (func $then_id (param i32) (result i32) (i32.mul (call $dec (call $inc (local.get 0))) (i32.const 3)))
  (func $then_ai (param i32) (result i32) (i32.mul (call $inc_two (call $inc_again (local.get 0))) (i32.const 3)))
  ;; another: both calls go to one function
  (func $same_ii (param i32) (result i32) (i32.mul (call $inc (call $inc (local.get 0))) (i32.const 3)))
  (func $same_dd (param i32) (result i32) (i32.mul (call $dec (call $dec (local.get 0))) (i32.const 3)))
  ;; self-call against a call of another function
  (func $self (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 7))
      (else (call $self (i32.sub (local.get 0) (i32.const 1))))))
  (func $not_self (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 7))
      (else (call $self (i32.sub (local.get 0) (i32.const 1))))))
  ;; the same bytes but for the index: constants of equal value, of another
  (func $const1 (result i32) (i32.add (global.get $k1) (i32.const 1)))
  (func $const2 (result i32) (i32.add (global.get $k2) (i32.const 1)))
  (func $const3 (result i32) (i32.add (global.get $k3) (i32.const 1)))
  ;; two globals at different offsets; one against two
  (func $count_g (global.set $g (i32.add (global.get $g) (i32.const 1))))
  (func $count_h (global.set $h (i32.add (global.get $h) (i32.const 1))))
  (func $count_gh (global.set $g (i32.add (global.get $h) (i32.const 1))))
  ;; exact duplicates in a row
  (func $d1 (param i64) (result i64) (call $inc64 (local.get 0)))
  (func $d2 (param i64) (result i64) (call $inc64 (local.get 0)))
  (func $d3 (param i64) (result i64) (call $inc64 (local.get 0)))

  (func (export "run_then") (result i32)
    (i32.add (call $then_ii (i32.const 10)) (i32.add (call $then_id (i32.const 100)) (call $then_ai (i32.const 1000)))))
  (func (export "run_same") (result i32)
    (i32.sub (call $same_ii (i32.const 10)) (call $same_dd (i32.const 10))))
  (func (export "run_self") (result i32)
    (i32.add (call $self (i32.const 5)) (call $not_self (i32.const 5))))
  (func (export "run_constants") (result i32)
    (i32.add (call $const1) (i32.add (i32.mul (call $const2) (i32.const 10)) (i32.mul (call $const3) (i32.const 100)))))
  (func (export "run_counts") (result i32)
    (global.set $g (i32.const 0)) (global.set $h (i32.const 0))
    (call $count_g) (call $count_h) (call $count_h) (call $count_h) (call $count_gh)
    (i32.add (i32.mul (global.get $g) (i32.const 10)) (global.get $h)))
  (func (export "run_exact") (result i64) (call $d3 (call $d2 (call $d1 (i64.const 0))))))
