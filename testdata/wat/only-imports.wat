;; No function of its own: only imports, a global, an export of an import.
(module
  (import "env" "f" (func $f (param i32) (result i32)))
  (import "env" "memory" (memory 1))
  (import "env" "table" (table 1 funcref))
  (import "env" "g" (global $g i32))
  (global $copy i32 (global.get $g))
  (export "f" (func $f))
  (export "copy" (global $copy))
  (data (i32.const 0) "hello")
  (elem (i32.const 0) func $f))
