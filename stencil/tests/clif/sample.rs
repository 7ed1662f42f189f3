//! A function that has one of nearly everything, as text, so that a test can
//! change one thing.

use cranelift_codegen::ir;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};

/// The text. Each line is there for one entry of the tests' lists.
pub const SAMPLE: &str = r#"function u0:7(i64 vmctx, i32, i64 sext) -> i32 system_v {
    ss0 = explicit_slot 16, align = 8
    ss1 = explicit_slot 24, key = 5
    ss2 = explicit_slot 8
    region0 = 1 "vmctx"
    region1 = 2 "heap"
    gv0 = vmctx
    gv1 = load.i64 notrap aligned readonly gv0+8
    gv2 = load.i64 notrap aligned gv1+16
    gv3 = symbol colocated u1:4+12
    sig0 = (i64 vmctx, i32) -> i32 system_v
    sig1 = (i32 uext, i64) -> i64 tail
    sig2 = (i64) -> i64 system_v
    fn0 = colocated u0:1 sig0
    fn1 = u0:2 sig0
    fn2 = %SinF64 sig2
    const0 = 0x00112233445566778899aabbccddeeff
    stack_limit = gv2

block0(v0: i64, v1: i32, v2: i64):
@0100                               v3 = iconst.i32 77
@0101                               v4 = iadd v1, v3
@0101                               v5 = load.i32 notrap aligned region0 v0+24
@0102                               v6 = load.i64 little region1 v2+8
@0103                               store.i32 aligned region1 v4, v2+16
@0104                               v7 = stack_addr.i64 ss0+4
@0105                               store.i64 notrap v6, v7
@0106                               v8 = call fn0(v0, v4), stack_map=[i64 @ ss0+8]
<11, ss1> @0107                  v9 = call fn1(v0, v8)
@0108                               v10 = icmp slt v9, v5
@0109                               brif v10, block1(v9), block5(v8)

block1(v11: i32):
@0110                               v12 = symbol_value.i64 gv3
@0110                               store.i64 notrap v12, v12
@0111                               v13 = atomic_rmw.i64 region1 add v12, v2
@0112                               v14 = ireduce.i32 v13
@0113                               trapz v14, user3
@0114                               v15 = bor v14, v11
@0115                               jump block3(v15)

block2(v16: i32):
@0120                               v17 = vconst.i8x16 const0
@0121                               v18 = splat.i8x16 v19
@0122                               v20 = shuffle v17, v18, [0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23]
@0123                               v21 = extractlane v20, 3
@0124                               v22 = uextend.i32 v21
@0125                               v23 = f64const 0x1.8p1
@0126                               v24 = fcvt_from_sint.f64 v16
@0127                               v25 = fcmp lt v23, v24
@0128                               v26 = func_addr.i64 fn1
@0129                               v27 = call_indirect sig1, v26(v22, v2)
@012a                               br_table v16, block3(v22), [block3(v16), block4, block3(v16)]

block4 cold:
@0130                               v28 = uadd_overflow_trap v22, v16, user4
@0130                               jump block3(v28)

block3(v29: i32):
@0140                               v32 = ireduce.i8 v29
@0141                               v30 = select v32, v29, v3
@0142                               return v30

block5(v33: i32):
@0150                               v19 = ireduce.i8 v33
@0151                               jump block2(v33)
}
"#;

pub fn parse(text: &str) -> ir::Function {
    let parsed = cranelift_reader::parse_functions(text);
    parsed.unwrap_or_else(|error| panic!("{error}\n{text}")).remove(0)
}

/// The sample with one thing changed.
#[track_caller]
pub fn changed(from: &str, to: &str) -> ir::Function {
    assert!(SAMPLE.contains(from), "the sample has no {from}");
    parse(&SAMPLE.replace(from, to))
}

pub fn isa(flags: &[(&str, &str)]) -> OwnedTargetIsa {
    let mut builder = settings::builder();
    builder.set("opt_level", "speed").expect("it is a level");
    builder.set("is_pic", "false").expect("it is a flag");
    for (name, value) in flags {
        builder.set(name, value).expect("they are flags");
    }
    let isa = cranelift_native::builder().expect("this machine is supported");
    isa.finish(settings::Flags::new(builder)).expect("the flags fit together")
}
