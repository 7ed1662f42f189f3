;; The same bodies over exported and private memories, tables and globals:
;; equal in everything but the alias region ("public" or not).
(module $visibility
  (type $f (func (result i32)))
  (memory $private 1 4)
  (memory $public (export "memory") 1 4)
  (table $private_table 3 3 funcref)
  (table $public_table (export "table") 3 3 funcref)
  (global $private_global (mut i32) (i32.const 3))
  (global $public_global (export "global") (mut i32) (i32.const 3))
  (elem (table $private_table) (i32.const 1) func $one)
  (elem (table $public_table) (i32.const 1) func $one)

  (func $one (type $f) (i32.const 1))

  ;; load, store, load again: redundant loads can only be removed inside
  ;; one alias region
  (func (export "run_private_memory") (result i32)
    (i32.store $private (i32.const 8) (i32.const 11))
    (global.set $private_global (i32.const 5))
    (i32.add (i32.load $private (i32.const 8)) (i32.load $private (i32.const 8))))
  (func (export "run_public_memory") (result i32)
    (i32.store $public (i32.const 8) (i32.const 11))
    (global.set $public_global (i32.const 5))
    (i32.add (i32.load $public (i32.const 8)) (i32.load $public (i32.const 8))))
  (func (export "run_both_memories") (result i32)
    (i32.store $private (i32.const 12) (i32.const 1))
    (i32.store $public (i32.const 12) (i32.const 2))
    (i32.sub (i32.load $public (i32.const 12)) (i32.load $private (i32.const 12))))

  (func (export "run_private_table") (result i32)
    (table.set $private_table (i32.const 0) (table.get $private_table (i32.const 1)))
    (call_indirect $private_table (type $f) (i32.const 0)))
  (func (export "run_public_table") (result i32)
    (table.set $public_table (i32.const 0) (table.get $public_table (i32.const 1)))
    (call_indirect $public_table (type $f) (i32.const 0)))

  (func (export "run_private_global") (result i32)
    (global.set $private_global (i32.mul (global.get $private_global) (i32.const 3)))
    (i32.add (global.get $private_global) (global.get $private_global)))
  (func (export "run_public_global") (result i32)
    (global.set $public_global (i32.mul (global.get $public_global) (i32.const 3)))
    (i32.add (global.get $public_global) (global.get $public_global))))
