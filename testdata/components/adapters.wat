;; Strings and lists between two subcomponents: fused adapters, among them
;; transcoders (utf8 -> utf16, utf8 -> latin1+utf16), a copy of
;; list<record>, many parameters (passed through memory), a variant.
;; run() = 40 (strings) + 70 * 100 + 15 * 10000 + 23 * 1000000 = 23157040
(component $adapters
  (component $callee
    (core module $m
      (memory (export "memory") 1)
      (global $next (mut i32) (i32.const 1024))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (local $p i32)
        (local.set $p (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        ;; growing in place only happens to the last block: copy
        (if (local.get 0) (then
          (memory.copy (local.get $p) (local.get 0)
            (select (local.get 1) (local.get 3) (i32.lt_u (local.get 1) (local.get 3))))))
        (global.set $next (i32.add (local.get $p) (local.get 3)))
        (local.get $p))
      ;; code units, whatever the encoding
      (func (export "units") (param i32 i32) (result i32) (local.get 1))
      ;; sum of b * index over list<record { a: u8, b: u32 }>
      (func (export "weigh") (param $p i32) (param $n i32) (result i32)
        (local $i i32) (local $s i32)
        (block $done (loop $l
          (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
          (local.set $s (i32.add (local.get $s) (i32.mul (i32.load offset=4 (local.get $p))
            (i32.add (local.get $i) (i32.load8_u (local.get $p))))))
          (local.set $p (i32.add (local.get $p) (i32.const 8)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $l)))
        (local.get $s))
      (func (export "total") (param $p i32) (result i32) ;; 17 u32s through memory
        (i32.add (i32.load (local.get $p)) (i32.load offset=64 (local.get $p))))
      (func (export "shape") (param $case i32) (param $f f64) (result i32)
        (i32.add (i32.mul (local.get $case) (i32.const 10)) (i32.trunc_sat_f64_s (local.get $f)))))
    (core instance $i (instantiate $m))
    (type $item' (record (field "a" u8) (field "b" u32)))
    (export $item "item" (type $item'))
    (type $shape' (variant (case "nothing") (case "circle" f64) (case "square" f64)))
    (export $shape "shape" (type $shape'))
    (func (export "units8") (param "s" string) (result u32)
      (canon lift (core func $i "units") (memory $i "memory") (realloc (func $i "realloc"))))
    (func (export "units16") (param "s" string) (result u32)
      (canon lift (core func $i "units") string-encoding=utf16
        (memory $i "memory") (realloc (func $i "realloc"))))
    (func (export "units-compact") (param "s" string) (result u32)
      (canon lift (core func $i "units") string-encoding=latin1+utf16
        (memory $i "memory") (realloc (func $i "realloc"))))
    (func (export "weigh") (param "items" (list $item)) (result u32)
      (canon lift (core func $i "weigh") (memory $i "memory") (realloc (func $i "realloc"))))
    (func (export "total")
      (param "p0" u32) (param "p1" u32) (param "p2" u32) (param "p3" u32) (param "p4" u32)
      (param "p5" u32) (param "p6" u32) (param "p7" u32) (param "p8" u32) (param "p9" u32)
      (param "p10" u32) (param "p11" u32) (param "p12" u32) (param "p13" u32) (param "p14" u32)
      (param "p15" u32) (param "p16" u32) (result u32)
      (canon lift (core func $i "total") (memory $i "memory") (realloc (func $i "realloc"))))
    (func (export "measure") (param "s" $shape) (result u32)
      (canon lift (core func $i "shape"))))

  (component $caller
    (import "callee" (instance $callee
      (type $item' (record (field "a" u8) (field "b" u32)))
      (export "item" (type $item (eq $item')))
      (type $shape' (variant (case "nothing") (case "circle" f64) (case "square" f64)))
      (export "shape" (type $shape (eq $shape')))
      (export "units8" (func (param "s" string) (result u32)))
      (export "units16" (func (param "s" string) (result u32)))
      (export "units-compact" (func (param "s" string) (result u32)))
      (export "weigh" (func (param "items" (list $item)) (result u32)))
      (export "total" (func
          (param "p0" u32) (param "p1" u32) (param "p2" u32) (param "p3" u32) (param "p4" u32)
          (param "p5" u32) (param "p6" u32) (param "p7" u32) (param "p8" u32) (param "p9" u32)
          (param "p10" u32) (param "p11" u32) (param "p12" u32) (param "p13" u32)
          (param "p14" u32) (param "p15" u32) (param "p16" u32)
        (result u32)))
      (export "measure" (func (param "s" $shape) (result u32)))))
    (core module $libc
      (memory (export "memory") 1)
      (data (i32.const 16) "na\c3\afve \e2\82\ac \f0\9f\a6\80")       ;; 15 bytes, 9 characters, 10 utf-16 units
      (data (i32.const 128) "\01\00\00\00\0a\00\00\00\02\00\00\00\14\00\00\00")
      (data (i32.const 200) "\07")
      (data (i32.const 264) "\08"))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (core func $units8 (canon lower (func $callee "units8") (memory $memory)))
    (core func $units16 (canon lower (func $callee "units16") (memory $memory)))
    (core func $compact (canon lower (func $callee "units-compact") (memory $memory)))
    (core func $weigh (canon lower (func $callee "weigh") (memory $memory)))
    (core func $total (canon lower (func $callee "total") (memory $memory)))
    (core func $measure (canon lower (func $callee "measure")))
    (core module $m
      (import "c" "units8" (func $units8 (param i32 i32) (result i32)))
      (import "c" "units16" (func $units16 (param i32 i32) (result i32)))
      (import "c" "compact" (func $compact (param i32 i32) (result i32)))
      (import "c" "weigh" (func $weigh (param i32 i32) (result i32)))
      (import "c" "total" (func $total (param i32) (result i32)))
      (import "c" "measure" (func $measure (param i32 f64) (result i32)))
      ;; latin1+utf16: a length with the top bit set counts utf-16 units
      (func $strings (result i32)
        (i32.add (call $units8 (i32.const 16) (i32.const 15))                        ;; 15
          (i32.add (call $units16 (i32.const 16) (i32.const 15))                     ;; 10
            (i32.add
              (i32.and (call $compact (i32.const 16) (i32.const 15)) (i32.const 0xff)) ;; 10
              (call $compact (i32.const 16) (i32.const 6))))))                       ;; 5
      (func (export "run") (result i32)
        (i32.add (call $strings)                                                     ;; 40
          (i32.add (i32.mul (call $weigh (i32.const 128) (i32.const 2)) (i32.const 100)) ;; 70
            (i32.add (i32.mul (call $total (i32.const 200)) (i32.const 10000))       ;; 15
              (i32.mul (call $measure (i32.const 2) (f64.const 3.5)) (i32.const 1000000))))))) ;; 23
    (core instance $i (instantiate $m (with "c" (instance
      (export "units8" (func $units8)) (export "units16" (func $units16))
      (export "compact" (func $compact)) (export "weigh" (func $weigh))
      (export "total" (func $total)) (export "measure" (func $measure))))))
    (func (export "run") (result u32) (canon lift (core func $i "run"))))

  (instance $callee (instantiate $callee))
  (instance $caller (instantiate $caller (with "callee" (instance $callee))))
  (export "run" (func $caller "run")))
