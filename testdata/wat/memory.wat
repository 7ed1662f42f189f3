;; One ordinary memory: every width of access, static offsets up to the
;; guard's size and beyond, size, grow, traps.
(module $memory
  (memory $m 2 10)
  (data (i32.const 16) "\01\80\ff\7f\00\00\00\80\ff\ff\ff\ff\ff\ff\ff\7f")

  (func (export "run_narrow") (result i32)
    (i32.add
      (i32.add (i32.load8_s (i32.const 17)) (i32.load8_u offset=1 (i32.const 18)))
      (i32.add (i32.load16_s (i32.const 16)) (i32.load16_u offset=2 (i32.const 16)))))
  (func (export "run_narrow64") (result i64)
    (i64.add
      (i64.add (i64.load8_s offset=18 (i32.const 0)) (i64.load16_s offset=16 (i32.const 0)))
      (i64.add (i64.load32_s offset=20 (i32.const 0)) (i64.load32_u offset=20 align=1 (i32.const 0)))))
  (func (export "run_whole") (result i64) (i64.load (i32.const 24)))
  (func (export "run_floats") (result i64)
    (f32.store (i32.const 64) (f32.const 3.25))
    (f64.store offset=8 (i32.const 64) (f64.promote_f32 (f32.load (i32.const 64))))
    (i64.reinterpret_f64 (f64.load (i32.const 72))))
  (func (export "run_stores") (result i64)
    (i32.store8 (i32.const 100) (i32.const 0x1ff))
    (i32.store16 (i32.const 101) (i32.const 0x12345))
    (i64.store8 (i32.const 103) (i64.const 0x77))
    (i64.store16 (i32.const 104) (i64.const 0x8899))
    (i64.store32 (i32.const 106) (i64.const 0xaabbccddee))
    (i64.load offset=1 align=1 (i32.const 99)))
  (func (export "run_size_and_grow") (result i32)
    (local $old i32)
    (local.set $old (memory.grow (i32.const 1)))
    (i32.add (i32.mul (local.get $old) (i32.const 100))
      (i32.add (memory.size) (memory.grow (i32.const 100)))))
  ;; same address several times: checks can be merged
  (func $fields (param $p i32) (result i32)
    (i32.add (i32.load (local.get $p))
      (i32.add (i32.load offset=4 (local.get $p)) (i32.load offset=65000 (local.get $p)))))
  (func (export "run_fields") (result i32) (call $fields (i32.const 16)))
  ;; addresses known when compiling, below and above the minimum size
  (func (export "run_last_byte") (result i32) (i32.load8_u (i32.const 131071)))
  (func (export "trap_just_after_ten_pages") (result i32) (i32.load8_u (i32.const 655360)))
  (func (export "trap_large_offset") (result i32) (i32.load offset=0xfffffffc (i32.const 4)))
  (func $far (param $p i32) (result i32) (i32.load offset=0xc0000000 (local.get $p)))
  (func (export "trap_offset_beyond_guard") (result i32) (call $far (i32.const 0)))
  (func (export "run_checksum") (result i32)
    (local $i i32) (local $h i32)
    (loop $l
      (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31))
        (i32.load8_u (local.get $i))))
      (br_if $l (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
    (local.get $h)))
