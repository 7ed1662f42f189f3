//! The example's language, without a cache: its programs give what they should
//! in this process and, linked, in one of their own; what is wrong is said in
//! one sentence with its place.

#[path = "../examples/language/language.rs"]
#[expect(dead_code, reason = "what is there for the cache")]
mod language;
#[path = "language/linked.rs"]
mod linked;

use cranelift_object::ObjectModule;
use language::check::{CheckedProgram, check};
use language::jit::Outcome;
use language::lower::Lowering;
use language::parser::parse;
use language::source::SourceError;
use language::{jit, object};

const FLAGS: &[(&str, &str)] = &[("opt_level", "speed"), ("enable_verifier", "true")];

fn checked(source: &str) -> Result<CheckedProgram<'_>, SourceError> {
    check(source, parse(source)?)
}

fn run_jit(program: &CheckedProgram<'_>) -> Outcome {
    let mut module = jit::module(FLAGS).unwrap();
    let mut lowering = Lowering::new(&mut module, program).unwrap();
    lowering.define(&mut module).unwrap();
    jit::run(module, lowering.main()).unwrap()
}

fn run_object(program: &CheckedProgram<'_>) -> Outcome {
    let mut module = ObjectModule::new(object::builder(FLAGS).unwrap());
    Lowering::new(&mut module, program).unwrap().define(&mut module).unwrap();
    linked::outcome(&object::finish(module).unwrap())
}

#[track_caller]
fn check_program(name: &str, printed: &[i64], result: i64) {
    let (_, source) = linked::programs().into_iter().find(|(known, _)| known == name).unwrap();
    let program = checked(&source).unwrap();
    let expected = Outcome { printed: printed.to_vec(), result };
    assert_eq!(run_jit(&program), expected, "{name}, in this process");
    assert_eq!(run_object(&program), expected, "{name}, linked");
}

/// Runs `main` of a source in this process.
#[track_caller]
fn check_main(body: &str, result: i64) {
    let source = format!("fn main() {{ {body} }}");
    let outcome = run_jit(&checked(&source).unwrap());
    assert_eq!(outcome, Outcome { printed: Vec::new(), result }, "{body}");
}

#[track_caller]
fn check_wrong(source: &str, said: &str) {
    let error = checked(source).expect_err(source);
    assert_eq!(error.to_string(), said, "{source}");
}

#[test]
fn fibonacci_by_recursion_is_fibonacci_by_a_loop() {
    let mut numbers = vec![0, 1];
    while numbers.len() < 20 {
        numbers.push(numbers[numbers.len() - 1] + numbers[numbers.len() - 2]);
    }
    check_program("fibonacci", &numbers, 0);
}

#[test]
fn primes_below_100() {
    let is_prime = |n: &i64| (2..*n).all(|divisor| n % divisor != 0);
    let primes: Vec<i64> = (2..100).filter(is_prime).collect();
    check_program("primes", &primes, 25);
}

#[test]
fn collatz_longest_below_10000() {
    check_program("collatz", &[6171], 261);
}

#[test]
fn functions_call_each_other_and_sides_are_computed_in_order() {
    let pairs = [100, 100, 201, 202, 302, 303, 404, 504, 505, 606, 606, 707];
    let sides = [0, 0, 2, 0, 0, 3, 1, 0, 1, 7, 9, -2];
    check_program("mutual", &[&[1, 0][..], &pairs, &sides].concat(), 25);
}

#[test]
fn twenty_functions_lean_on_each_other() {
    let numbers = [21, 42, 3486784401, 49, 2432902008176640000, 137846528820, 35, 1000, 96, 21];
    check_program("numbers", &[&numbers[..], &[3, 23, 59, 95]].concat(), 95);
}

#[test]
fn a_program_with_other_names_and_places_does_the_same() {
    for (name, source) in linked::programs() {
        let moved = linked::moved(&source);
        let outcomes = [&source, &moved].map(|source| run_jit(&checked(source).unwrap()));
        assert_eq!(outcomes[0], outcomes[1], "{name}");
    }
}

#[test]
fn the_programs_of_the_example_are_all_tested() {
    let names: Vec<String> = linked::programs().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["collatz", "fibonacci", "mutual", "numbers", "primes"]);
}

#[test]
fn signs_bind_as_usual() {
    check_main("return 2 + 3 * 4 - 10 / 5;", 12);
    check_main("return (2 + 3) * 4;", 20);
    check_main("return 10 - 4 - 3;", 3);
    check_main("return -2 * -3;", 6);
    check_main("return 1 < 2 == 2 < 3;", 1);
    check_main("return 0 && 0 || 7;", 1);
    check_main("return !0 + !5;", 1);
    check_main("return -7 / 2 * 100 + -7 % 2;", -301);
    check_main("return 9223372036854775807 + 1;", i64::MIN);
}

#[test]
fn a_function_that_ends_without_return_returns_0() {
    check_main("let x = 5; x = x + 1;", 0);
    check_main("if 1 { return 4; }", 4);
    check_main("if 0 { return 4; }", 0);
    check_main("if 1 { return 1; } else { return 2; } return 3;", 1);
    check_main("while 1 { return 6; }", 6);
}

#[test]
fn a_variable_is_seen_to_the_end_of_its_block() {
    check_main("let x = 1; if 1 { let x = 2; x = 3; } return x;", 1);
    check_main("let x = 1; let x = x + 1; return x;", 2);
    check_wrong(
        "fn main() { if 1 { let x = 2; } return x; }",
        "1:40: there is no variable `x`; `let x = ..;` makes one",
    );
}

#[test]
fn what_was_expected_is_said_with_its_place() {
    check_wrong(
        "fn main() {\n    let x = 1\n    return x;\n}",
        "3:5: expected `;` at the end of the statement, found `return`",
    );
    check_wrong("fn (", "1:4: expected the function's name, found `(`");
    check_wrong("let x = 1;", "1:1: expected `fn` at the start of a function, found `let`");
    check_wrong("fn f(a b) {}", "1:8: expected `,` or `)` after the parameter, found `b`");
    check_wrong("fn main() { return 1 + ; }", "1:24: expected an expression, found `;`");
    check_wrong(
        "fn main() { return f(1; }",
        "1:23: expected `,` or `)` after the argument, found `;`",
    );
    check_wrong(
        "\n\nfn main() { if 1 {\n",
        "4:1: expected `}` for the `{` of line 3, found the end of the file",
    );
    check_wrong("fn main() { return (1; }", "1:22: expected `)` after the expression, found `;`");
    check_wrong(
        "fn main() { 1 = 2; }",
        "1:15: expected `;` at the end of the statement, found `=`",
    );
    check_wrong("// ümlaut\nfn main() { retürn 1; }", "2:16: `ü` starts no token");
    check_wrong(
        "fn main() { return 9223372036854775808; }",
        "1:20: a number is at most 9223372036854775807",
    );
}

#[test]
fn names_that_do_not_fit_are_said_with_their_place() {
    check_wrong("fn f() {}", "1:10: expected a function `main`, found none");
    check_wrong("fn main(x) {}", "1:4: `main` has no parameters");
    check_wrong("fn main() { f(); }", "1:13: there is no function `f`");
    check_wrong("fn main() { print(1, 2); }", "1:13: expected 1 arguments of `print`, found 2");
    check_wrong("fn f() {} fn f() {} fn main() {}", "1:14: there is a function `f` already");
    check_wrong("fn print(x) {} fn main() {}", "1:4: there is a function `print` already");
    check_wrong("fn f(a, a) {} fn main() {}", "1:9: there is a parameter `a` already");
}

#[test]
fn deep_nesting_is_refused_before_the_stack_is_full() {
    let nested =
        |levels| format!("fn main() {{ return {}1{}; }}", "(".repeat(levels), ")".repeat(levels));
    let error = checked(&nested(100_000)).unwrap_err();
    assert_eq!(error.sentence, "nested deeper than 200 levels");
    assert_eq!(run_jit(&checked(&nested(100)).unwrap()).result, 1);
}
