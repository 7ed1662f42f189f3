;; @metadata.code.branch_hint on br_if and if: the same body with a hint
;; "unlikely", with "likely" and without; only the first two may differ
;; from the third when the feature is on.
(module $branch_hints
  (func $unhinted (param $n i32) (result i32)
    (local $i i32) (local $s i32)
    (block $exit
      (loop $l
        (br_if $exit (i32.ge_u (local.get $i) (local.get $n)))
        (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 7)))
          (then (local.set $s (i32.add (local.get $s) (i32.const 100))))
          (else (local.set $s (i32.add (local.get $s) (i32.const 1)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $l)))
    (local.get $s))

  (func $unlikely (param $n i32) (result i32)
    (local $i i32) (local $s i32)
    (block $exit
      (loop $l
        (i32.ge_u (local.get $i) (local.get $n))
        (@metadata.code.branch_hint "\00") br_if $exit
        (i32.eqz (i32.rem_u (local.get $i) (i32.const 7)))
        (@metadata.code.branch_hint "\00")
        if
          (local.set $s (i32.add (local.get $s) (i32.const 100)))
        else
          (local.set $s (i32.add (local.get $s) (i32.const 1)))
        end
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $l)))
    (local.get $s))

  (func $likely (param $n i32) (result i32)
    (local $i i32) (local $s i32)
    (block $exit
      (loop $l
        (i32.ge_u (local.get $i) (local.get $n))
        (@metadata.code.branch_hint "\01") br_if $exit
        (i32.eqz (i32.rem_u (local.get $i) (i32.const 7)))
        (@metadata.code.branch_hint "\01")
        if
          (local.set $s (i32.add (local.get $s) (i32.const 100)))
        else
          (local.set $s (i32.add (local.get $s) (i32.const 1)))
        end
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $l)))
    (local.get $s))

  (func (export "run_unhinted") (result i32) (call $unhinted (i32.const 50)))
  (func (export "run_unlikely") (result i32) (call $unlikely (i32.const 50)))
  (func (export "run_likely") (result i32) (call $likely (i32.const 50))))
