;; A start function that changes memory, a table and a global.
(module $start
  (type $f (func (result i32)))
  (memory $m 1)
  (table $t 2 funcref)
  (global $started (mut i32) (i32.const 0))
  (data (i32.const 0) "\05")
  (elem declare func $answer)
  (start $initialise)

  (func $answer (type $f) (i32.const 42))
  (func $initialise
    (local $i i32)
    (global.set $started (i32.add (global.get $started) (i32.const 1)))
    (table.set $t (i32.const 1) (ref.func $answer))
    (loop $l
      (i32.store8 offset=1 (local.get $i)
        (i32.mul (i32.load8_u (local.get $i)) (i32.const 3)))
      (br_if $l (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10)))))

  (func (export "run_started") (result i32) (global.get $started))
  (func (export "run_memory") (result i64) (i64.load (i32.const 1)))
  (func (export "run_table") (result i32) (call_indirect $t (type $f) (i32.const 1))))
