;; Direct and indirect calls, call_ref, recursion, and several signatures
;; of the same and of different content (KEY-INPUTS C, D: callee, table).
(module $calls
  (type $unary (func (param i32) (result i32)))
  (type $binary (func (param i32 i32) (result i32)))
  (type $binary_again (func (param i32 i32) (result i32))) ;; same content
  (type $wide (func (param i64 f64 i32) (result i64)))
  (type $nullary (func (result i32)))

  (table $ops 6 6 funcref)
  (elem (table $ops) (i32.const 0) func $add $sub $mul $double)
  (elem declare func $double $square)
  (table $typed (ref null $unary) (elem (item ref.func $double) (item ref.func $square)))

  (func $add (type $binary) (i32.add (local.get 0) (local.get 1)))
  (func $sub (type $binary_again) (i32.sub (local.get 0) (local.get 1)))
  (func $mul (type $binary) (i32.mul (local.get 0) (local.get 1)))
  (func $double (type $unary) (i32.shl (local.get 0) (i32.const 1)))
  (func $square (type $unary) (call $mul (local.get 0) (local.get 0)))
  (func $wide (type $wide) (param $a i64) (param $b f64) (param $c i32) (result i64)
    (i64.add (local.get $a)
      (i64.add (i64.trunc_sat_f64_s (local.get $b)) (i64.extend_i32_s (local.get $c)))))

  ;; recursion: the callee is the function itself
  (func $fib (export "fib") (type $unary)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add
        (call $fib (i32.sub (local.get 0) (i32.const 1)))
        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))

  ;; mutual recursion: callee after and before the caller
  (func $even (type $unary)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 1))
      (else (call $odd (i32.sub (local.get 0) (i32.const 1))))))
  (func $odd (type $unary)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (call $even (i32.sub (local.get 0) (i32.const 1))))))

  ;; two callees of the same type; the same callee twice
  (func (export "run_direct") (result i32)
    (i32.add
      (call $add (call $double (i32.const 5)) (call $square (i32.const 4)))
      (call $add (call $double (i32.const 1)) (i32.const 7))))
  (func (export "run_wide") (result i64)
    (call $wide (i64.const 0x1_0000_0000) (f64.const -2.75) (i32.const 9)))
  (func (export "run_fib") (result i32) (call $fib (i32.const 15)))
  (func (export "run_even") (result i32) (call $even (i32.const 10)))

  ;; checked signature: type index is in the code
  (func (export "run_indirect") (result i32)
    (local $i i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum)
        (call_indirect $ops (type $binary) (i32.const 12) (i32.const 5) (local.get $i))))
      (br_if $again (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1)))
        (i32.const 3))))
    (local.get $sum))
  (func (export "run_indirect_constant") (result i32)
    (call_indirect $ops (type $unary) (i32.const 21) (i32.const 3)))
  ;; the table's element type equals the call's type: no check
  (func (export "run_indirect_typed") (result i32)
    (call_indirect $typed (type $unary) (i32.const 11) (i32.const 1)))
  (func (export "run_call_ref") (result i32)
    (call_ref $unary (i32.const 6) (ref.func $square)))
  (func (export "run_call_ref_from_table") (result i32)
    (call_ref $unary (i32.const 6) (table.get $typed (i32.const 0))))

  ;; traps: wrong signature, null entry, out of bounds
  (func (export "trap_signature") (result i32)
    (call_indirect $ops (type $nullary) (i32.const 0)))
  (func (export "trap_null") (result i32)
    (call_indirect $ops (type $unary) (i32.const 1) (i32.const 5)))
  (func (export "trap_bounds") (result i32)
    (call_indirect $ops (type $unary) (i32.const 1) (i32.const 6)))
  (func (export "trap_call_null_ref") (result i32)
    (call_ref $unary (i32.const 1) (ref.null $unary))))
