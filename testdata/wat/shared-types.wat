;; Many type entries of equal content and some of different content; what
;; matters is which uses are the same type, not their index in the section.
(module $shared_types
  (type $unused0 (func (param f32 f32 f32)))
  (type $a (func (param i32) (result i32)))
  (type $b (func (param i32) (result i32)))       ;; equal to $a
  (type $c (func (param i32) (result i64)))       ;; differs in the result
  (type $d (func (param i64) (result i32)))       ;; differs in the parameter
  (type $unused1 (func (result f64)))
  (rec (type $ra (func (param i32) (result i32))) ;; not equal to $a: in a group of two
       (type $rb (func (param (ref null $ra)) (result i32))))
  (type $block (func (param i32 i32) (result i32 i32)))

  (table $t 6 funcref)
  (elem (i32.const 0) func $fa $fb $fc $fd $fra)

  (func $fa (type $a) (i32.add (local.get 0) (i32.const 1)))
  (func $fb (type $b) (i32.add (local.get 0) (i32.const 2)))
  (func $fc (type $c) (i64.extend_i32_u (local.get 0)))
  (func $fd (type $d) (i32.wrap_i64 (local.get 0)))
  (func $fra (type $ra) (i32.const 5))
  (func $frb (type $rb)
    (if (result i32) (ref.is_null (local.get 0))
      (then (i32.const -1))
      (else (call_ref $ra (i32.const 1) (local.get 0)))))

  ;; $a and $b may be exchanged freely
  (func (export "run_equal") (result i32)
    (i32.add
      (call_indirect (type $b) (i32.const 10) (i32.const 0))
      (call_indirect (type $a) (i32.const 20) (i32.const 1))))
  (func (export "run_other") (result i64)
    (i64.add
      (call_indirect (type $c) (i32.const 10) (i32.const 2))
      (i64.extend_i32_u (call_indirect (type $d) (i64.const 20) (i32.const 3)))))
  (func (export "run_grouped") (result i32)
    (i32.add (call_indirect (type $ra) (i32.const 0) (i32.const 4))
      (call $frb (ref.func $fra))))
  (func (export "run_block_type") (result i32)
    (i32.const 3) (i32.const 4)
    (block (type $block) (call $swap))
    (i32.sub))
  (func $swap (type $block) (local.get 1) (local.get 0))
  (func (export "run_null") (result i32) (call $frb (ref.null $ra)))
  (func (export "trap_group_differs") (result i32)
    (call_indirect (type $a) (i32.const 0) (i32.const 4))))
