;; i64.add128, i64.sub128, i64.mul_wide_s, i64.mul_wide_u (a proposal).
(module $wide_arithmetic
  (func $fold (param $low i64) (param $high i64) (result i64)
    (i64.xor (local.get $low) (i64.rotl (local.get $high) (i64.const 32))))

  (func (export "run_add128") (result i64)
    (call $fold (i64.add128
      (i64.const -1) (i64.const 5) (i64.const 1) (i64.const 7))))
  (func (export "run_sub128") (result i64)
    (call $fold (i64.sub128
      (i64.const 0) (i64.const 5) (i64.const 1) (i64.const 2))))
  (func (export "run_mul_wide_s") (result i64)
    (call $fold (i64.mul_wide_s (i64.const -3) (i64.const 0x4000000000000000))))
  (func (export "run_mul_wide_u") (result i64)
    (call $fold (i64.mul_wide_u (i64.const -3) (i64.const 0x4000000000000000))))
  (func (export "run_high_only") (result i64)
    (local $high i64)
    (i64.mul_wide_u (i64.const 0x123456789abcdef0) (i64.const 0xfedcba9876543210))
    (local.set $high) (drop)
    (local.get $high)))
