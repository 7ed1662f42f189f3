/* Built-in functions of the expression language (several signatures, each
 * called through a pointer of its own type) and the language's self-check. */
#include "algos.h"
#include "vm.h"

#include <math.h>
#include <stdlib.h>

typedef enum { F_R_R, F_R_RR, F_I_II, F_I_I, F_R_RRR, F_S_S } Shape;

typedef struct {
    const char *name;
    Shape shape;
    union {
        double (*r_r)(double);
        double (*r_rr)(double, double);
        int64_t (*i_ii)(int64_t, int64_t);
        int64_t (*i_i)(int64_t);
        double (*r_rrr)(double, double, double);
        float (*s_s)(float);
    } fn;
} Builtin;

static double fn_square(double x) { return x * x; }
static double fn_min(double a, double b) { return a < b ? a : b; }
static double fn_max(double a, double b) { return a > b ? a : b; }
static double fn_clamp(double x, double lo, double hi) { return fn_max(lo, fn_min(x, hi)); }
static double fn_lerp(double a, double b, double t) { return a + (b - a) * t; }
static float fn_single(float x) { return x * 1.0f; }

static float fn_rsqrt(float x) {
    if (x <= 0) return 0;
    float y = 1.0f / x;
    for (int i = 0; i < 24; i++) {
        float next = y * (1.5f - 0.5f * x * y * y);
        if (!(next > 0)) next = y * 0.5f;
        y = next;
    }
    return y;
}

static int64_t fn_gcd(int64_t a, int64_t b) {
    while (b) {
        int64_t t = b == -1 ? 0 : a % b;
        a = b;
        b = t;
    }
    return a < 0 ? -a : a;
}

static int64_t fn_ipow(int64_t base, int64_t n) {
    uint64_t r = 1, b = (uint64_t)base;
    for (; n > 0; n >>= 1, b *= b)
        if (n & 1) r *= b;
    return (int64_t)r;
}

static int64_t fn_bits(int64_t v) { return __builtin_popcountll((uint64_t)v); }
static int64_t fn_clz(int64_t v) { return v ? __builtin_clzll((uint64_t)v) : 64; }

static int64_t fn_isqrt(int64_t v) {
    uint64_t n = v < 0 ? 0 : (uint64_t)v, r = 0, bit = 1ull << 62;
    while (bit > n) bit >>= 2;
    for (; bit; bit >>= 2) {
        if (n >= r + bit) {
            n -= r + bit;
            r = (r >> 1) + bit;
        } else {
            r >>= 1;
        }
    }
    return (int64_t)r;
}

static const Builtin builtins[] = {
    {"sqrt", F_R_R, {.r_r = sqrt}},         {"floor", F_R_R, {.r_r = floor}},
    {"exp", F_R_R, {.r_r = exp}},           {"log", F_R_R, {.r_r = log}},
    {"sin", F_R_R, {.r_r = sin}},           {"square", F_R_R, {.r_r = fn_square}},
    {"min", F_R_RR, {.r_rr = fn_min}},      {"max", F_R_RR, {.r_rr = fn_max}},
    {"pow", F_R_RR, {.r_rr = pow}},         {"atan2", F_R_RR, {.r_rr = atan2}},
    {"gcd", F_I_II, {.i_ii = fn_gcd}},      {"ipow", F_I_II, {.i_ii = fn_ipow}},
    {"bits", F_I_I, {.i_i = fn_bits}},      {"clz", F_I_I, {.i_i = fn_clz}},
    {"isqrt", F_I_I, {.i_i = fn_isqrt}},    {"clamp", F_R_RRR, {.r_rrr = fn_clamp}},
    {"lerp", F_R_RRR, {.r_rrr = fn_lerp}},  {"single", F_S_S, {.s_s = fn_single}},
    {"rsqrt", F_S_S, {.s_s = fn_rsqrt}},
};

NI int builtin_find(Str name) {
    for (size_t i = 0; i < COUNT_OF(builtins); i++)
        if (str_eq(name, str_of(builtins[i].name))) return (int)i;
    return -1;
}

NI uint32_t builtin_arity(int index) {
    switch (builtins[index].shape) {
    case F_R_RR:
    case F_I_II: return 2;
    case F_R_RRR: return 3;
    default: return 1;
    }
}

NI Cell builtin_call(int index, const Cell *a) {
    const Builtin *b = &builtins[index];
    switch (b->shape) {
    case F_R_R: return cell_real(b->fn.r_r(cell_as_real(a[0])));
    case F_R_RR: return cell_real(b->fn.r_rr(cell_as_real(a[0]), cell_as_real(a[1])));
    case F_I_II: return cell_int(b->fn.i_ii(cell_as_int(a[0]), cell_as_int(a[1])));
    case F_I_I: return cell_int(b->fn.i_i(cell_as_int(a[0])));
    case F_S_S: return cell_real((double)b->fn.s_s((float)cell_as_real(a[0])));
    default:
        return cell_real(b->fn.r_rrr(cell_as_real(a[0]), cell_as_real(a[1]), cell_as_real(a[2])));
    }
}

typedef struct {
    Program prog;
    Vm vm;
} Session;

static NI Cell eval(Session *s, const char *source, const char **error) {
    Cell out = cell_int(0);
    *error = NULL;
    if (!program_compile(&s->prog, str_of(source))) {
        *error = s->prog.error;
        return out;
    }
    vm_init(&s->vm, &s->prog, 200000);
    vm_set(&s->vm, "year", cell_int(2024));
    vm_set(&s->vm, "rate", cell_real(0.25));
    if (!vm_run(&s->vm, &out)) *error = s->vm.trap;
    return out;
}

static NI void expect_int(Checker *c, Session *s, const char *source, int64_t want) {
    const char *error;
    Cell got = eval(s, source, &error);
    check_true(c, error ? error : "is an integer", !error && got.tag == T_INT);
    check_i64(c, source, cell_as_int(got), want);
}

static NI void expect_real(Checker *c, Session *s, const char *source, double want) {
    const char *error;
    Cell got = eval(s, source, &error);
    check_f64(c, source, error ? -1e300 : cell_as_real(got), want, 1e-6);
}

static NI void expect_error(Checker *c, Session *s, const char *source, const char *want) {
    const char *error;
    eval(s, source, &error);
    check_str(c, source, str_of(error ? error : "no error"), want);
}

void selftest_vm(Checker *c, Arena *arena) {
    Session *s = arena_alloc(arena, sizeof *s);
    expect_int(c, s, "1 + 2 * 3 - 4 % 3", 6);
    expect_int(c, s, "(1 << 40 | 255) ^ 15 & 9", (1ll << 40 | 255) ^ (15 & 9));
    expect_int(c, s, "year % 4 == 0 ? 366 : 365", 366);
    expect_int(c, s, "n = 27; k = 0; while (n != 1) { n = n % 2 ? 3 * n + 1 : n >> 1; k = k + 1; } k", 111);
    expect_int(c, s, "a = 0; b = 1; i = 0; while (i < 60) { t = a + b; a = b; b = t; i = i + 1; } a",
               1548008755920ll);
    expect_int(c, s, "gcd(462, 1071) + ipow(3, 20) + bits(255) + clz(1) + isqrt(1000000)", 3486784401ll + 1092);
    expect_int(c, s, "!0 + !(3 >= 4) + (2 <= 2) + -(1 > 2) + (3 != 4)", 4);
    expect_real(c, s, "rate * 8 / 4", 0.5);
    expect_real(c, s, "sqrt(2) * sqrt(2) + floor(2.7) + square(1.5)", 6.25);
    expect_real(c, s, "exp(log(10)) + sin(0) + pow(2, 10) + atan2(0, 1)", 1034);
    expect_real(c, s, "clamp(7, 0, 5) + lerp(10, 20, 0.25) + min(1, 2) + max(1, 2)", 20.5);
    expect_real(c, s, "single(0.5) + rsqrt(4)", 1.0);
    expect_real(c, s, "-2.5 - -0.5", -2.0);
    expect_error(c, s, "1 / 0", "division by zero");
    expect_error(c, s, "while (1) x = x + 1;", "out of fuel");
    expect_error(c, s, "1 + ", "expected an operand");
    expect_error(c, s, "nosuch(1)", "unknown function");
    expect_error(c, s, "min(1)", "wrong number of arguments");
    expect_error(c, s, "(1", "expected )");
#if LEDGER_RELEASE >= 2
    expect_int(c, s, "-7 // 2 * 10 + 9 // 4", -38);
#endif
}
