;; Typed continuations (a proposal, off by default): new, resume, suspend.
;; Exports are not called run_*: a Wasmtime built without the cargo feature
;; "stack-switching" compiles this but aborts in cont.new (PyPI 48.0.0 does).
(module $stack_switching
  (type $f (func (result i32)))
  (type $k (cont $f))
  (type $back (func (param i32) (result i32)))
  (type $kback (cont $back))
  (tag $ask (param i32) (result i32))
  (elem declare func $body)

  (func $body (type $f)
    (i32.add (suspend $ask (i32.const 5)) (suspend $ask (i32.const 6))))

  ;; answers every question with ten times its value
  (func (export "generate") (result i32)
    (local $c (ref null $kback)) (local $v i32)
    (block $first (result i32 (ref $kback))
      (return (resume $k (on $ask $first) (cont.new $k (ref.func $body)))))
    (local.set $c) (local.set $v)
    (loop $again (result i32)
      (block $asked (result i32 (ref $kback))
        (return (resume $kback (on $ask $asked)
          (i32.mul (local.get $v) (i32.const 10)) (local.get $c))))
      (local.set $c) (local.set $v)
      (br $again)))
  (func (export "null") (result i32) (ref.is_null (ref.null $k))))
