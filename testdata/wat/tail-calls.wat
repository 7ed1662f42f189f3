;; return_call, return_call_indirect, return_call_ref, with more and with
;; fewer stack arguments than the caller has.
(module $tail_calls
  (type $step (func (param i64 i64) (result i64)))
  (type $many (func (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)))
  (type $none (func (result i64)))
  (table $t 4 funcref)
  (elem (table $t) (i32.const 0) func $sum $product $tens)
  (elem declare func $sum $loop_ref)

  (func $sum (type $step) (i64.add (local.get 0) (local.get 1)))
  (func $product (type $step) (i64.mul (local.get 0) (local.get 1)))

  ;; self tail call, deep enough to need one
  (func $count (param $n i64) (param $acc i64) (result i64)
    (if (i64.eqz (local.get $n)) (then (return (local.get $acc))))
    (return_call $count
      (i64.sub (local.get $n) (i64.const 1))
      (i64.add (local.get $acc) (local.get $n))))

  ;; mutual tail calls
  (func $is_even (param $n i64) (result i64)
    (if (i64.eqz (local.get $n)) (then (return (i64.const 1))))
    (return_call $is_odd (i64.sub (local.get $n) (i64.const 1))))
  (func $is_odd (param $n i64) (result i64)
    (if (i64.eqz (local.get $n)) (then (return (i64.const 0))))
    (return_call $is_even (i64.sub (local.get $n) (i64.const 1))))

  ;; more arguments than the caller: the frame must grow
  (func $tens (type $many)
    (i64.sub
      (i64.add (local.get 0) (i64.mul (local.get 9) (i64.const 100)))
      (local.get 5)))
  (func $grow (type $none)
    (return_call $tens
      (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
      (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9) (i64.const 10)))
  ;; fewer: it shrinks
  (func $shrink (type $many) (return_call $sum (local.get 0) (local.get 9)))

  (func $loop_ref (param $n i64) (param $f (ref null $step)) (result i64)
    (return_call_ref $step (local.get $n) (i64.const 30) (local.get $f)))
  (func $choose (param $i i32) (result i64)
    (return_call_indirect $t (type $step) (i64.const 6) (i64.const 7) (local.get $i)))

  (func (export "run_count") (result i64) (return_call $count (i64.const 200000) (i64.const 0)))
  (func (export "run_even") (result i64) (call $is_even (i64.const 100001)))
  (func (export "run_grow") (result i64) (call $grow))
  (func (export "run_shrink") (result i64)
    (call $shrink
      (i64.const 11) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
      (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 31)))
  (func (export "run_indirect") (result i64)
    (i64.add (call $choose (i32.const 0)) (call $choose (i32.const 1))))
  (func (export "run_ref") (result i64) (return_call $loop_ref (i64.const 12) (ref.func $sum)))
  (func (export "trap_signature") (result i64) (call $choose (i32.const 2)))
  (func (export "trap_null") (result i64) (call $choose (i32.const 3))))
