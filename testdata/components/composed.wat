;; Two components composed by a third: $provider exports `add` and
;; `shout` (string -> string), $consumer imports both and exports `run`.
;; run() = add(20, 22) + length("hello!" shouted) * 1000 + first byte * 100000
(component $composed
  (component $provider
    (core module $m
      (memory (export "memory") 1)
      (global $next (mut i32) (i32.const 1024))
      ;; bump allocator; only the new size and alignment matter
      (func $realloc (export "realloc") (param i32 i32 i32 i32) (result i32)
        (local $p i32)
        (local.set $p (i32.and
          (i32.add (global.get $next) (i32.sub (local.get 2) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get 2))))
        (global.set $next (i32.add (local.get $p) (local.get 3)))
        (local.get $p))
      (func (export "add") (param i32 i32) (result i32)
        (i32.add (local.get 0) (local.get 1)))
      ;; upper-cases a-z in place and appends '!'; returns a pointer to (ptr, len)
      (func (export "shout") (param $p i32) (param $n i32) (result i32)
        (local $i i32) (local $c i32) (local $out i32) (local $ret i32)
        (local.set $out (call $realloc (i32.const 0) (i32.const 0) (i32.const 1)
          (i32.add (local.get $n) (i32.const 1))))
        (block $done
          (loop $l
            (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
            (local.set $c (i32.load8_u (i32.add (local.get $p) (local.get $i))))
            (if (i32.lt_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26))
              (then (local.set $c (i32.sub (local.get $c) (i32.const 32)))))
            (i32.store8 (i32.add (local.get $out) (local.get $i)) (local.get $c))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $l)))
        (i32.store8 (i32.add (local.get $out) (local.get $n)) (i32.const 33))
        (local.set $ret (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 8)))
        (i32.store (local.get $ret) (local.get $out))
        (i32.store offset=4 (local.get $ret) (i32.add (local.get $n) (i32.const 1)))
        (local.get $ret))
      (func (export "free all") (param i32) (global.set $next (i32.const 1024))))
    (core instance $i (instantiate $m))
    (func (export "add") (param "a" u32) (param "b" u32) (result u32)
      (canon lift (core func $i "add")))
    (func (export "shout") (param "text" string) (result string)
      (canon lift (core func $i "shout") (memory $i "memory")
        (realloc (func $i "realloc")) (post-return (func $i "free all")))))

  (component $consumer
    (import "add" (func $add (param "a" u32) (param "b" u32) (result u32)))
    (import "shout" (func $shout (param "text" string) (result string)))
    ;; memory and realloc must exist before the lowered import does
    (core module $libc
      (memory (export "memory") 1)
      (data (i32.const 16) "hello")
      (global $next (mut i32) (i32.const 512))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (local $p i32)
        (local.set $p (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        (global.set $next (i32.add (local.get $p) (local.get 3)))
        (local.get $p)))
    (core module $main
      (import "libc" "memory" (memory 1))
      (import "host" "add" (func $add (param i32 i32) (result i32)))
      (import "host" "shout" (func $shout (param i32 i32 i32)))
      (func (export "run") (result i32)
        (call $shout (i32.const 16) (i32.const 5) (i32.const 64))
        (i32.add
          (call $add (i32.const 20) (i32.const 22))
          (i32.add
            (i32.mul (i32.load (i32.const 68)) (i32.const 1000))
            (i32.mul (i32.load8_u (i32.load (i32.const 64))) (i32.const 100000))))))
    (core instance $libc (instantiate $libc))
    (core func $add' (canon lower (func $add)))
    (core func $shout' (canon lower (func $shout)
      (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core instance $main (instantiate $main
      (with "libc" (instance $libc))
      (with "host" (instance (export "add" (func $add')) (export "shout" (func $shout'))))))
    (func (export "run") (result u32) (canon lift (core func $main "run"))))

  (instance $p (instantiate $provider))
  (instance $c (instantiate $consumer
    (with "add" (func $p "add"))
    (with "shout" (func $p "shout"))))
  (export "run" (func $c "run")))
