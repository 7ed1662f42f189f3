//! x86-64: code -> sites, in three steps: [`graph`] decodes what can be reached,
//! [`flow`] follows the pointers until nothing changes, [`find`] collects. [`plug`] and [`check`]
//! are of sites that are reads of placeholders, [`words`] and [`differences`] of offsets.

mod check;
mod differences;
mod flow;
mod graph;
mod instruction;
mod plug;
mod words;

use super::{Code, Difference, Expected, Finder, Read, Site, Unexplained, Word};
use std::ops::Range;
use stencil::compiled::StencilField;

/// The architecture.
pub(super) struct X86_64;

impl Finder for X86_64 {
    fn find(&self, code: &Code<'_>) -> Result<Vec<Site>, Unexplained> {
        find(code)
    }

    fn plug(&self, code: &mut Vec<u8>, reads: &[Read]) -> Result<Vec<StencilField>, Unexplained> {
        plug::plug(code, reads)
    }

    fn words(&self, code: &Code<'_>, values: &Range<u32>) -> Result<Vec<Word>, Unexplained> {
        words::words(code, values)
    }

    fn differences(&self, one: &Code<'_>, other: &[u8]) -> Result<Vec<Difference>, Unexplained> {
        differences::differences(one, other)
    }

    fn check(
        &self,
        template: &Code<'_>,
        final_code: &[u8],
        expected: &[Expected],
    ) -> Result<(), Unexplained> {
        check::check(template, final_code, expected)
    }
}

fn find(code: &Code<'_>) -> Result<Vec<Site>, Unexplained> {
    let graph = graph::Graph::decode(code)?;
    let mut sites = flow::follow(&graph, code)?;
    sites.sort_unstable();
    sites.dedup();
    Ok(sites)
}

#[cfg(test)]
mod tests {
    use super::super::{Base, Code, Landing, Site, Unexplained};

    /// Where the `VMContext` of these tests points to the array of type ids.
    const TYPE_IDS_AT: u32 = 0x28;

    /// Code from its hexadecimal digits.
    pub(super) fn bytes(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("it is hex");
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    fn find_with(text: &str, landings: &[Landing]) -> Result<Vec<Site>, Unexplained> {
        let bytes = bytes(text);
        super::find(&Code { bytes: &bytes, relocated: &[], landings, type_ids_at: TYPE_IDS_AT })
    }

    /// Sites as (offset, width, base, displacement).
    #[track_caller]
    fn check(text: &str, expected: &[(u32, u8, Base, u32)]) {
        let found = find_with(text, &[]).expect("it is understood");
        let found: Vec<_> =
            found.iter().map(|site| (site.at, site.width, site.base, site.displacement)).collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check_refused(text: &str, what: &str) {
        let error = find_with(text, &[]).expect_err("it is not understood");
        assert_eq!(error.what, what, "{error}");
    }

    const VMCTX: Base = Base::VmContext;

    #[test]
    fn displacements_of_either_width_are_sites() {
        // mov rax, [rdi+0x50]; mov rcx, [rdi+0x150]; ret
        check("488b4750 488b8f50010000 c3", &[(3, 1, VMCTX, 0x50), (7, 4, VMCTX, 0x150)]);
        // add eax, [rdi+0x50]; mov [rdi+0x50], eax; call [rdi+0x150]; ret
        check(
            "034750 894750 ff9750010000 c3",
            &[(2, 1, VMCTX, 0x50), (5, 1, VMCTX, 0x50), (8, 4, VMCTX, 0x150)],
        );
        // mov rax, [rsi+0x50]; ret: the caller's
        check("488b4650 c3", &[]);
    }

    #[test]
    fn a_pointer_is_followed_through_registers_and_the_stack() {
        // push rbp; mov rbp, rsp; sub rsp, 0x10; mov [rsp+8], rdi; mov rbx, rdi
        let spill = "55 4889e5 4883ec10 48897c2408 4889fb";
        // call; mov rcx, [rsp+8]; mov rax, [rcx+0x50]; mov rdx, [rbx+0x60]; leave; ret
        let reload = "e800000000 488b4c2408 488b4150 488b5360 4889ec 5d c3";
        check(&format!("{spill} {reload}"), &[(29, 1, VMCTX, 0x50), (33, 1, VMCTX, 0x60)]);
        // The callee's arguments were popped, and are taken back: sub rsp, 0x10
        let popped = reload.replace("488b4c2408", "4883ec10 488b4c2408");
        check(&format!("{spill} {popped}"), &[(33, 1, VMCTX, 0x50), (37, 1, VMCTX, 0x60)]);
        // mov dword [rsp+0xc], 1 over a half of what was spilled
        let over = format!("{spill} c744240c01000000 488b4c2408 488b4150 4889ec 5d c3");
        check(&over, &[]);
    }

    #[test]
    fn calls_change_registers() {
        // call; mov rax, [rdi+0x50]; ret
        check("e800000000 488b4750 c3", &[]);
    }

    #[test]
    fn type_ids_are_an_array_of_their_own() {
        // mov rax, [rdi+0x28]; mov ecx, [rax]; mov ecx, [rax+0x18]; mov ecx, [rax+0x118]; ret
        let ids = Base::TypeIds;
        check(
            "488b4728 8b08 8b4818 8b8818010000 c3",
            &[(3, 1, VMCTX, 0x28), (4, 0, ids, 0), (8, 1, ids, 0x18), (11, 4, ids, 0x118)],
        );
        // mov rax, [rdi+0x30]; mov ecx, [rax+0x18]; ret
        check("488b4730 8b4818 c3", &[(3, 1, VMCTX, 0x30)]);
    }

    /// The compiler makes zero of whatever a register holds and its copy.
    #[test]
    fn zero_is_made_of_a_value_and_its_copy() {
        // test eax, eax; je; mov rax, rdi: a pointer on one path
        let unclear = "85c0 7403 4889f8";
        // mov rcx, rax; xor ecx, eax; ret
        check(&format!("{unclear} 4889c1 33c8 c3"), &[]);
        // mov rcx, rax; mov rdx, rax; mov [rsp-8], rax; mov rbx, rdx; xor ebx, ecx; ret
        check(&format!("{unclear} 4889c1 4889c2 48894424f8 4889d3 33d9 c3"), &[]);
        // mov rcx, rax; mov eax, 1; xor ecx, eax; ret: it was one
        let changed = format!("{unclear} 4889c1 b801000000 33c8 c3");
        check_refused(&changed, "a pointer in a computation");
        // test eax, eax; je; mov rax, rdi; mov rcx, rdi; xor ecx, eax; ret: on one path
        check_refused("85c0 7406 4889f8 4889f9 33c8 c3", "a pointer in a computation");
    }

    #[test]
    fn a_pointer_that_is_used_otherwise_is_refused() {
        for (text, what) in [
            // lea rax, [rdi+0x50]
            ("488d4750 c3", "a pointer in a computed address"),
            // add rdi, rsi
            ("4801f7 c3", "a pointer in a computation"),
            // mov eax, edi
            ("8bc7 c3", "a pointer in a computation"),
            // mov rax, [rsi+rdi]
            ("488b043e c3", "a pointer as an index"),
            // mov rax, [rdi+rsi]
            ("488b0437 c3", "a pointer in a computed address"),
            // xor rdi, rsi
            ("4833fe c3", "a pointer in a computation"),
            // push rdi
            ("57 5f c3", "a pointer in a computation"),
            // mul qword [rax], with the pointer in rax
            ("4889f8 48f720 c3", "a pointer in a computation"),
            // mov [rsp-8], rdi; add rax, [rsp-8]
            ("48897c24f8 48034424f8 c3", "a spilled pointer in a computation"),
            // mov [rsp-8], rdi; mov rax, [rsp-4]
            ("48897c24f8 488b4424fc c3", "a part of a pointer"),
            // mov rax, [rdi-8]
            ("488b47f8 c3", "an access below a pointer"),
        ] {
            check_refused(text, what);
        }
        // cmp rdi, rsi; mov [rsi], rdi; xor rdi, rdi: nothing comes of it
        check("483bfe 48893e 4833ff c3", &[]);
    }

    #[test]
    fn what_two_paths_disagree_on_is_refused_where_it_is_used() {
        // test esi, esi; je +3; mov rdi, rsi
        let join = "85f6 7403 4889f7";
        // ret
        check(&format!("{join} c3"), &[]);
        // mov rax, [rdi+0x50]; ret
        check_refused(&format!("{join} 488b4750 c3"), "an address that may be a pointer");
        // Around a loop: mov rax, [rdi+0x50]; test eax, eax; jne back; ret
        check("488b4750 85c0 75f8 c3", &[(3, 1, VMCTX, 0x50)]);
        // The same, and mov rdi, rax before the jump
        check_refused("488b4750 4889c7 85c0 75f5 c3", "an address that may be a pointer");
    }

    #[test]
    fn an_exceptions_handler_has_the_stack_and_no_register() {
        // mov [rsp-8], rdi; mov rbx, rdi; call; ret
        // handler: mov rcx, [rsp-8]; mov rax, [rcx+0x50]; mov rax, [rbx+0x60]; ret
        let code = "48897c24f8 4889fb e800000000 c3 488b4c24f8 488b4150 488b4360 c3";
        let landings = [Landing { return_offset: 13, handlers: vec![14] }];
        let found = find_with(code, &landings).unwrap();
        let instruction = 19;
        assert_eq!(
            found,
            [Site { at: 22, width: 1, base: VMCTX, displacement: 0x50, instruction }]
        );
        let error = find_with(code, &[]).unwrap_err();
        assert_eq!((error.at, error.what), (14, "bytes that nothing leads to"));
    }

    /// mov ecx, 1; cmp eax, ecx; cmovb ecx, eax; lea rdx, [table]; movsxd rax, [rdx+rcx*4];
    /// add rdx, rax; jmp rdx
    const SWITCH: &str = "b901000000 3bc1 0f42c8 488d1509000000 4863048a 4803d0 ffe2";

    #[test]
    fn the_targets_of_a_jump_table_are_reached() {
        let [first, second] = ["08000000", "0d000000"];
        // mov rax, [rdi+0x50]; ret; mov rax, [rdi+0x60]; ret
        let cases = "488b4750 c3 488b4760 c3";
        let expected = [(37, 1, VMCTX, 0x50), (42, 1, VMCTX, 0x60)];
        check(&format!("{SWITCH} {first} {second} {cases}"), &expected);
        // A jump that Cranelift has made unreachable, and that could be an entry of the table.
        let code = format!("{SWITCH} 0d000000 12000000 e905000000 {cases}");
        check(&code, &[(42, 1, VMCTX, 0x50), (47, 1, VMCTX, 0x60)]);
        // One entry less than there should be.
        check_refused(&format!("{SWITCH} {first} {cases}"), "bytes that nothing leads to");
    }

    #[test]
    fn constants_are_no_code() {
        // movsd xmm0, [constant]; ret; and padding; 0x488b4750c3.. would be a site
        let code = "f20f100507000000 c3 00000000000000 488b4750c3488b47";
        check(code, &[]);
        check_refused(&code.replace("0507", "4707"), "bytes that nothing leads to");
        // jmp into the constant
        let into = "f20f100504000000 eb05 00000000 488b4750c3488b47";
        assert!(find_with(into, &[]).is_err());
    }

    #[test]
    fn what_is_no_code_is_refused() {
        check_refused("06", "bytes that are no instruction");
        check_refused("90", "control runs out of the code");
        check_refused("e900010000", "a jump out of the code");
        check_refused("64488b07 c3", "a segment");
    }
}
