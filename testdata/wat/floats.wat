;; Rounding, min/max with NaN and zeros, copysign, conversions that trap and
;; saturating ones that do not, promotion, reinterpretation, libcalls.
(module $floats
  (func $bits (param f64) (result i64) (i64.reinterpret_f64 (local.get 0)))
  (func $opaque (param f64) (result f64) (local.get 0))
  (func $opaque32 (param f32) (result f32) (local.get 0))

  (func (export "run_round_f64") (result i64)
    (call $bits (f64.add
      (f64.add (f64.ceil (call $opaque (f64.const 2.25))) (f64.floor (call $opaque (f64.const -2.25))))
      (f64.add (f64.trunc (call $opaque (f64.const -7.9))) (f64.nearest (call $opaque (f64.const 2.5)))))))
  (func (export "run_round_f32") (result i32)
    (i32.reinterpret_f32 (f32.add
      (f32.add (f32.ceil (call $opaque32 (f32.const 2.25))) (f32.floor (call $opaque32 (f32.const -2.25))))
      (f32.add (f32.trunc (call $opaque32 (f32.const -7.9))) (f32.nearest (call $opaque32 (f32.const 3.5)))))))
  (func (export "run_sqrt_copysign") (result i64)
    (call $bits (f64.copysign (f64.sqrt (call $opaque (f64.const 2))) (f64.const -0.0))))
  (func (export "run_min_zero") (result i64)
    (call $bits (f64.min (call $opaque (f64.const 0.0)) (f64.const -0.0))))
  (func (export "run_max_zero") (result i32)
    (i32.reinterpret_f32 (f32.max (call $opaque32 (f32.const -0.0)) (f32.const 0.0))))
  ;; NaN payloads differ between hosts: only ask whether it is one
  (func (export "run_nan") (result i32)
    (local $n f64)
    (local.set $n (f64.min (call $opaque (f64.const nan)) (f64.const 1)))
    (f64.ne (local.get $n) (local.get $n)))
  (func (export "run_saturate_i32") (result i32)
    (i32.add
      (i32.add (i32.trunc_sat_f64_s (call $opaque (f64.const 1e300)))
        (i32.trunc_sat_f64_u (call $opaque (f64.const -1))))
      (i32.add (i32.trunc_sat_f32_s (call $opaque32 (f32.const nan)))
        (i32.trunc_sat_f32_u (call $opaque32 (f32.const 3.9))))))
  (func (export "run_saturate_i64") (result i64)
    (i64.add
      (i64.add (i64.trunc_sat_f64_s (call $opaque (f64.const -inf)))
        (i64.trunc_sat_f64_u (call $opaque (f64.const 1e19))))
      (i64.add (i64.trunc_sat_f32_s (call $opaque32 (f32.const -5.5)))
        (i64.trunc_sat_f32_u (call $opaque32 (f32.const inf))))))
  (func (export "run_convert") (result i64)
    (call $bits (f64.add
      (f64.add (f64.convert_i64_u (i64.const -1)) (f64.convert_i32_s (i32.const -3)))
      (f64.add (f64.convert_i32_u (i32.const -3)) (f64.promote_f32 (f32.convert_i64_u (i64.const 0x7fffff4000000001)))))))
  (func (export "run_demote") (result i32)
    (i32.reinterpret_f32 (f32.demote_f64 (call $opaque (f64.const 0.1)))))
  (func (export "run_compare") (result i32)
    (i32.add (f64.lt (call $opaque (f64.const 1)) (f64.const nan))
      (i32.add (f64.ge (call $opaque (f64.const 1)) (f64.const 1))
        (i32.add (f32.eq (call $opaque32 (f32.const -0)) (f32.const 0))
          (f64.ne (call $opaque (f64.const nan)) (f64.const nan))))))
  (func (export "run_sum") (result i64)
    (local $i i32) (local $s f64)
    (loop $l
      (local.set $s (f64.add (local.get $s)
        (f64.div (f64.const 1) (f64.convert_i32_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))))))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 100))))
    (call $bits (local.get $s)))
  (func (export "trap_nan") (result i32) (i32.trunc_f64_s (call $opaque (f64.const nan))))
  (func (export "trap_overflow") (result i64) (i64.trunc_f32_u (call $opaque32 (f32.const 2e19)))))
