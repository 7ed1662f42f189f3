//! Which changes of a function change its key, and which do not: one thing of a
//! function is changed at a time.
#![cfg(feature = "codegen")]

#[path = "clif/sample.rs"]
mod sample;

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::{self, DebugTag, ExternalName, SourceLoc, UserFuncName};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use generate::clif::scramble::scramble;
use oracle::clif::{check, split};
use rand::SeedableRng;
use rand::rngs::StdRng;
use sample::{SAMPLE, changed, isa, parse};

#[track_caller]
fn check_other_key(from: &str, to: &str) {
    let isa = isa(&[]);
    let (one, other) = (parse(SAMPLE), changed(from, to));
    assert_ne!(split(&*isa, &one).key, split(&*isa, &other).key, "{from} -> {to}");
}

#[track_caller]
fn check_same_key(one: &ir::Function, other: &ir::Function) {
    let isa = isa(&[]);
    assert_eq!(split(&*isa, one).key, split(&*isa, other).key, "\n{one}\n{other}");
}

#[test]
fn the_sample_goes_all_the_way() {
    for flags in [&[][..], &[("machine_code_cfg_info", "true"), ("opt_level", "none")]] {
        let compared = check(&*isa(flags), &parse(SAMPLE));
        assert!(compared.entry_bytes > compared.stencil_bytes);
        assert!(compared.original_bytes > 0 && compared.identical);
    }
}

/// The same bytes on every machine; the code is another target's.
#[test]
fn the_sample_goes_all_the_way_for_another_target() {
    use cranelift_codegen::{isa::lookup_by_name, settings};
    let flags = settings::Flags::new(settings::builder());
    let aarch64 = lookup_by_name("aarch64-unknown-linux-gnu").unwrap().finish(flags).unwrap();
    for function in [parse(SAMPLE), try_call()] {
        check(&*aarch64, &function);
        let (here, there) = (split(&*isa(&[]), &function), split(&*aarch64, &function));
        assert_eq!(here.bytes, there.bytes);
        assert_ne!(here.key, there.key);
    }
}

#[test]
fn whatever_reaches_code_generation_is_in_the_key() {
    for (from, to) in [
        ("v4 = iadd v1, v3", "v4 = isub v1, v3"),
        ("v4 = iadd v1, v3", "v4 = iadd v3, v1"),
        ("iconst.i32 77", "iconst.i32 78"),
        ("icmp slt", "icmp sle"),
        ("fcmp lt", "fcmp le"),
        ("0x1.8p1", "0x1.8p2"),
        ("region1 add v12", "region1 xor v12"),
        ("trapz v14, user3", "trapz v14, user2"),
        ("v16, user4", "v16, user5"),
        ("stack_addr.i64 ss0+4", "stack_addr.i64 ss0"),
        ("extractlane v20, 3", "extractlane v20, 4"),
        ("20 21 22 23]", "20 21 22 24]"),
        ("ddeeff", "ddeefe"),
        ("v6 = load.i64 little region1 v2+8", "v6 = load.i64 little region1 v2+9"),
        ("load.i64 little", "load.i64 aligned little"),
        ("load.i32 notrap aligned region0", "load.i32 notrap aligned readonly region0"),
        ("load.i32 notrap aligned region0", "load.i32 notrap aligned can_move region0"),
        ("load.i32 notrap aligned region0", "load.i32 aligned region0"),
        ("load.i32 notrap aligned region0", "load.i32 user1 aligned region0"),
        ("load.i32 notrap aligned region0", "load.i32 notrap aligned region1"),
        ("load.i32 notrap aligned region0", "load.i32 notrap aligned"),
        ("store.i64 notrap v6", "store.i64 notrap v2"),
        ("[block3(v16), block4, block3(v16)]", "[block4, block3(v16), block3(v16)]"),
        ("brif v10, block1(v9), block5(v8)", "brif v10, block1(v8), block5(v9)"),
        ("block4 cold:", "block4:"),
        ("(i64 vmctx, i32, i64 sext) -> i32 system_v", "(i64 vmctx, i32, i64) -> i32 system_v"),
        ("(i64 vmctx, i32, i64 sext) -> i32 system_v", "(i64 vmctx, i32, i64 sext) -> i32 tail"),
        ("sig1 = (i32 uext, i64) -> i64 tail", "sig1 = (i32 uext, i64) -> i64 system_v"),
        ("sig0 = (i64 vmctx, i32)", "sig0 = (i64, i32)"),
        ("fn0 = colocated u0:1", "fn0 = u0:1"),
        ("gv2 = load.i64 notrap aligned gv1+16", "gv2 = iadd_imm.i64 gv1, 16"),
        ("aligned readonly gv0", "aligned gv0"),
        ("gv0+8", "gv0+16"),
        ("stack_limit = gv2", "stack_limit = gv1"),
        ("    stack_limit = gv2\n", ""),
        ("symbol colocated u1:4+12", "symbol colocated u1:4+16"),
        ("symbol colocated u1:4", "symbol u1:4"),
        ("explicit_slot 16, align = 8", "explicit_slot 24, align = 8"),
        ("explicit_slot 16, align = 8", "explicit_slot 16, align = 16"),
        ("key = 5", "key = 6"),
        ("i64 @ ss0+8", "i64 @ ss0+0"),
        ("i64 @ ss0+8", "i32 @ ss0+8"),
        ("<11, ss1>", "<12, ss1>"),
        ("<11, ss1>", "<11, ss0>"),
        ("<11, ss1>", ""),
        // Which callees are the same one.
        ("call fn1(v0, v8)", "call fn0(v0, v8)"),
        // Which instructions share a location, and which have none.
        ("@0101                               v5", "@0102                               v5"),
        ("@0142                               return", "return"),
    ] {
        check_other_key(from, to);
    }
}

#[test]
fn the_order_of_blocks_is_in_the_key() {
    let isa = isa(&[]);
    let one = parse(SAMPLE);
    let mut other = parse(SAMPLE);
    let last = other.layout.last_block().unwrap();
    let second = other.layout.next_block(other.layout.entry_block().unwrap()).unwrap();
    other.layout.remove_block(last);
    other.layout.insert_block(last, second);
    assert_ne!(split(&*isa, &one).key, split(&*isa, &other).key);
}

#[test]
fn an_instruction_without_a_use_is_not_left_out() {
    check_other_key("v4 = iadd v1, v3", "v34 = imul v1, v3\n    v4 = iadd v1, v3");
}

#[test]
fn what_is_declared_and_not_used_is_not_in_the_key() {
    let unused = "fn2 = %SinF64 sig2\n    const1 = 0x00\n    fn3 = u0:9 sig1\n    \
                  ss7 = explicit_slot 64\n    region2 = 3 \"none\"\n    gv9 = vmctx";
    check_same_key(&parse(SAMPLE), &changed("fn2 = %SinF64 sig2", unused));
    check_same_key(&parse(SAMPLE), &changed("    ss2 = explicit_slot 8\n", ""));
}

#[test]
fn a_stack_slot_with_a_key_is_kept_though_nothing_uses_it() {
    let isa = isa(&[]);
    let other = changed("ss2 = explicit_slot 8", "ss2 = explicit_slot 8, key = 9");
    assert_ne!(split(&*isa, &parse(SAMPLE)).key, split(&*isa, &other).key);
    check(&*isa, &other);
}

#[test]
fn names_are_not_in_the_key() {
    let isa = isa(&[]);
    let one = parse(SAMPLE);
    check_same_key(&one, &changed("fn0 = colocated u0:1", "fn0 = colocated u3:1234"));
    check_same_key(&one, &changed("function u0:7", "function u9:99"));
    check_same_key(&one, &changed("\"heap\"", "\"pile\""));
    let mut renamed = parse(SAMPLE);
    renamed.name = UserFuncName::testcase("other");
    check_same_key(&one, &renamed);
    let parameters = split(&*isa, &changed("u0:1 sig0", "u3:1234 sig0")).parameters;
    let callees: Vec<_> =
        parameters.callees.iter().map(|callee| (callee.namespace, callee.index)).collect();
    assert_eq!(callees, [(3, 1234), (0, 2), (1, 4)]);
}

#[test]
fn where_the_source_lies_is_not_in_the_key() {
    let moved = |by: &dyn Fn(u32) -> u32| {
        let one = parse(SAMPLE);
        let mut other = parse(SAMPLE);
        other.params = ir::function::FunctionParameters::new();
        for (_, name) in one.params.user_named_funcs() {
            other.declare_imported_user_function(name.clone());
        }
        for block in one.layout.blocks() {
            for inst in one.layout.block_insts(block) {
                other.set_srcloc(inst, SourceLoc::new(by(one.srcloc(inst).bits())));
            }
        }
        other
    };
    let one = parse(SAMPLE);
    let lower = moved(&|at| at - 0x100);
    let apart = moved(&|at| at * 3);
    let backwards = moved(&|at| 0x1000 - 2 * at);
    for other in [&lower, &apart, &backwards] {
        check_same_key(&one, other);
        check(&*isa(&[]), other);
    }
}

#[test]
fn declarations_that_say_the_same_are_one() {
    let one = parse(SAMPLE);
    let twice = changed(
        "fn2 = %SinF64 sig2",
        "fn2 = %SinF64 sig2\n    sig3 = (i64 vmctx, i32) -> i32 system_v\n    fn3 = u0:2 sig3",
    );
    check_same_key(&one, &twice);
    let mut called = twice;
    let second = ir::FuncRef::from_u32(3);
    for block in one.layout.blocks() {
        for inst in one.layout.block_insts(block) {
            if let ir::InstructionData::Call { func_ref, .. } = &mut called.dfg.insts[inst]
                && func_ref.as_u32() == 1
            {
                *func_ref = second;
            }
        }
    }
    assert!(one.dfg.insts != called.dfg.insts);
    check_same_key(&one, &called);
}

#[test]
fn a_function_built_in_any_order_in_a_context_of_any_past_has_the_same_key() {
    let isa = isa(&[]);
    let mut rng = StdRng::seed_from_u64(1);
    let mut context = cranelift_codegen::Context::new();
    let text = SAMPLE.replace("call fn0(v0, v4), stack_map=[i64 @ ss0+8]", "call fn0(v0, v4)");
    for original in [parse(SAMPLE), parse(&text), try_call()] {
        let expected = split(&*isa, &original);
        for _ in 0..200 {
            context.clear();
            scramble(&original, &mut context.func, &mut rng);
            assert!(split(&*isa, &context.func).bytes == expected.bytes, "{}", context.func);
            check(&*isa, &context.func);
        }
    }
}

/// What a front end builds, with as many handlers as `handlers`.
fn build_try_call(
    context: &mut cranelift_codegen::Context,
    builder_context: &mut FunctionBuilderContext,
    handlers: u32,
) {
    let function = &mut context.func;
    function.signature = ir::Signature::new(CallConv::Tail);
    function.signature.params.push(ir::AbiParam::new(ir::types::I64));
    let mut builder = FunctionBuilder::new(function, builder_context);
    let signature = builder.import_signature(builder.func.signature.clone());
    let name = ir::UserExternalName::new(0, handlers);
    let name = ExternalName::user(builder.func.declare_imported_user_function(name));
    let (colocated, patchable) = (true, false);
    let callee = ir::ExtFuncData { name, signature, colocated, patchable };
    let callee = builder.import_function(callee);
    let (entry, end) = (builder.create_block(), builder.create_block());
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let argument = builder.block_params(entry)[0];
    let end_call = builder.func.dfg.block_call(end, &[]);
    let mut items = Vec::new();
    let mut caught = Vec::new();
    for tag in 0..handlers {
        let block = builder.create_block();
        let payload = builder.append_block_param(block, ir::types::I64);
        let call = builder.func.dfg.block_call(block, &[ir::BlockArg::TryCallExn(0)]);
        items.push(ir::ExceptionTableItem::Tag(ir::ExceptionTag::from_u32(tag), call));
        caught.push((block, payload));
    }
    let table = ir::ExceptionTableData::new(signature, end_call, items);
    let table = builder.func.dfg.exception_tables.push(table);
    builder.ins().try_call(callee, &[argument], table);
    for (block, payload) in caught {
        builder.switch_to_block(block);
        builder.ins().call(callee, &[payload]);
        builder.ins().jump(end, &[]);
    }
    builder.switch_to_block(end);
    builder.ins().return_(&[]);
    builder.seal_all_blocks();
    builder.finalize(isa(&[]).frontend_config());
}

/// Clearing a context leaves its exception tables behind.
#[test]
fn exception_tables_of_earlier_functions_do_not_change_the_key() {
    let isa = isa(&[]);
    let mut builder_context = FunctionBuilderContext::new();
    let mut reused = cranelift_codegen::Context::new();
    for handlers in [3, 1, 4, 0, 2] {
        let mut fresh = cranelift_codegen::Context::new();
        build_try_call(&mut fresh, &mut FunctionBuilderContext::new(), handlers);
        reused.clear();
        build_try_call(&mut reused, &mut builder_context, handlers);
        let (fresh_tables, reused_tables) =
            (fresh.func.dfg.exception_tables.len(), reused.func.dfg.exception_tables.len());
        assert!(fresh_tables < reused_tables || handlers == 3, "the context is left as it was");
        check_same_key(&fresh.func, &reused.func);
        check(&*isa, &reused.func);
    }
}

fn try_call() -> ir::Function {
    parse(
        "function u0:0(i64, i32) -> i32 tail {
            sig0 = (i32) -> i32 tail
            fn0 = u0:1 sig0
        block0(v0: i64, v1: i32):
            try_call fn0(v1), sig0, block1(ret0), [ context v0, tag3: block2(exn0), \
             default: block3(exn0, exn1, v0) ]
        block1(v2: i32):
            try_call_indirect v0(v2), sig0, block4(ret0, v2), [ default: block2(exn0) ]
        block2(v3: i64):
            v4 = ireduce.i32 v3
            return v4
        block3(v5: i64, v6: i64, v7: i64):
            v8 = iadd v5, v6
            v9 = iadd v8, v7
            jump block2(v9)
        block4(v10: i32, v11: i32):
            v12 = iadd v10, v11
            return v12
        }",
    )
}

#[test]
fn exception_tables_are_in_the_key_and_in_the_entry() {
    let isa = isa(&[]);
    check(&*isa, &try_call());
    let text = try_call().to_string();
    for (from, to) in [("tag3", "tag4"), ("context v0, ", ""), ("default: block2", "tag9: block2")]
    {
        assert!(text.contains(from), "{text}");
        let other = parse(&text.replace(from, to));
        assert_ne!(split(&*isa, &try_call()).key, split(&*isa, &other).key, "{from} -> {to}");
        check(&*isa, &other);
    }
}

#[test]
fn labels_of_values_are_in_the_key_and_in_the_entry() {
    let isa = isa(&[]);
    let labelled = |label: u32, value: u32| {
        let mut function = parse(SAMPLE);
        function.collect_debug_info();
        let starts = vec![ir::ValueLabelStart {
            from: ir::RelSourceLoc::new(3),
            label: ir::ValueLabel::from_u32(label),
        }];
        let labels = function.dfg.values_labels.as_mut().unwrap();
        let value = ir::Value::from_u32(value);
        labels.insert(value, ir::ValueLabelAssignments::Starts(starts));
        function
    };
    let one = labelled(1, 9);
    check(&*isa, &one);
    let bytes = split(&*isa, &one).bytes;
    for other in [parse(SAMPLE), labelled(2, 9), labelled(1, 8)] {
        assert!(split(&*isa, &other).bytes != bytes);
        check(&*isa, &other);
    }
}

#[test]
fn flags_and_targets_are_in_the_fingerprint() {
    let one = isa(&[]);
    let mut seen = vec![stencil::clif::fingerprint(&*one)];
    for flag in [
        ("opt_level", "none"),
        ("enable_probestack", "true"),
        ("enable_heap_access_spectre_mitigation", "false"),
        ("unwind_info", "false"),
        ("preserve_frame_pointers", "true"),
        ("regalloc_algorithm", "single_pass"),
    ] {
        let fingerprint = stencil::clif::fingerprint(&*isa(&[flag]));
        assert!(!seen.contains(&fingerprint), "{flag:?}");
        seen.push(fingerprint);
    }
    assert_eq!(stencil::clif::fingerprint(&*isa(&[])), seen[0]);
}

#[test]
fn what_has_no_stencil_is_told_apart() {
    use stencil::clif::Uncacheable;
    let refused = |function: &ir::Function| {
        stencil::clif::Splitter::new().split(function).map(|_| ()).unwrap_err()
    };
    let mut function = parse(SAMPLE);
    function.dfg.ext_funcs[ir::FuncRef::from_u32(0)].name = ExternalName::testcase("f");
    assert_eq!(refused(&function), Uncacheable::TestcaseName);

    let mut function = parse(SAMPLE);
    let first = function.layout.first_inst(function.layout.entry_block().unwrap()).unwrap();
    function.layout.remove_inst(first);
    assert_eq!(refused(&function), Uncacheable::Undefined);

    let mut function = parse(SAMPLE);
    let value = ir::GlobalValue::from_u32(2);
    function.global_values[value] =
        ir::GlobalValueData::IAddImm { base: value, offset: 0.into(), global_type: ir::types::I64 };
    assert_eq!(refused(&function), Uncacheable::GlobalValueDepth);

    let mut function = parse(SAMPLE);
    function.debug_tags.set(first, [DebugTag::StackSlot(ir::StackSlot::from_u32(99))]);
    assert_eq!(refused(&function), Uncacheable::Undefined);
}
