/* Number theory on big naturals and their self-check. */
#include "algos.h"
#include "numeric.h"

static NI Big reduce(Arena *a, Big x, Big mod) {
    Big q, r;
    big_divmod(a, x, mod, &q, &r);
    return r;
}

NI Big big_powmod(Arena *a, Big base, Big exp, Big mod) {
    Big r = big_from_u64(a, 1);
    base = reduce(a, base, mod);
    for (uint32_t i = big_bits(exp); i-- > 0;) {
        r = reduce(a, big_mul(a, r, r), mod);
        if (exp.limb[i / 32] >> i % 32 & 1) r = reduce(a, big_mul(a, r, base), mod);
    }
    return r;
}

NI Big big_gcd(Arena *a, Big x, Big y) {
    while (!big_is_zero(y)) {
        Big r = reduce(a, x, y);
        x = y;
        y = r;
    }
    return x;
}

NI Big big_factorial(Arena *a, uint32_t n) {
    Big r = big_new(a, n + 2);
    r.limb[0] = 1;
    r.n = 1;
    for (uint32_t i = 2; i <= n; i++) big_mul_small(&r, i, 0);
    return r;
}

/* Fast doubling: F(2k) = F(k) (2 F(k+1) - F(k)), F(2k+1) = F(k)^2 + F(k+1)^2. */
NI Big big_fibonacci(Arena *a, uint32_t n) {
    Big f = big_from_u64(a, 0), g = big_from_u64(a, 1);
    for (int bit = 31; bit >= 0; bit--) {
        Big even = big_mul(a, f, big_sub(a, big_shl(a, g, 1), f));
        Big odd = big_add(a, big_mul(a, f, f), big_mul(a, g, g));
        bool up = n >> bit & 1;
        g = up ? big_add(a, even, odd) : odd;
        f = up ? odd : even;
    }
    return f;
}

static NI Big literal(Arena *a, const char *digits) {
    Big b;
    if (!big_parse(a, str_of(digits), &b)) b = big_from_u64(a, 0);
    return b;
}

static NI void expect_big(Checker *c, Arena *a, const char *what, Big got, const char *want) {
    Sb sb;
    sb_init(&sb);
    big_format(a, &sb, got);
    check_str(c, what, sb_view(&sb), want);
    sb_free(&sb);
}

static NI bool probably_prime(Arena *a, Big n) {
    Big one = big_from_u64(a, 1), less = big_sub(a, n, one);
    for (uint32_t base = 2; base < 8; base++)
        if (big_cmp(big_powmod(a, big_from_u64(a, base), less, n), one) != 0) return false;
    return true;
}

static NI void test_division(Checker *c, Arena *a) {
    Rng r;
    rng_seed(&r, 3);
    for (int i = 0; i < 20; i++) {
        Big x = big_from_u64(a, rng_next(&r)), y = big_from_u64(a, rng_next(&r) >> rng_below(&r, 40)), q, rem;
        x = big_mul(a, x, big_mul(a, x, big_from_u64(a, rng_next(&r))));
        big_divmod(a, x, y, &q, &rem);
        Big back = big_add(a, big_mul(a, q, y), rem);
        check_true(c, "divmod", big_cmp(back, x) == 0 && big_cmp(rem, y) < 0);
    }
}

void selftest_bignum(Checker *c, Arena *arena) {
    ArenaMark mark = arena_mark(arena);
    expect_big(c, arena, "30!", big_factorial(arena, 30), "265252859812191058636308480000000");
    expect_big(c, arena, "F(200)", big_fibonacci(arena, 200), "280571172992510140037611932413038677189525");
    expect_big(c, arena, "zero", big_fibonacci(arena, 0), "0");
    Big m = literal(arena, "170141183460469231731687303715884105727");
    check_i64(c, "bits", big_bits(m), 127);
    check_true(c, "2^127-1 is prime", probably_prime(arena, m));
    check_true(c, "2^127+1 is not", !probably_prime(arena, big_add(arena, m, big_from_u64(arena, 2))));
    Big g = big_gcd(arena, big_factorial(arena, 20), literal(arena, "1000000000000000000000000"));
    expect_big(c, arena, "gcd", g, "163840000");
    expect_big(c, arena, "shift", big_shr(arena, big_shl(arena, m, 77), 176), "268435455");
    check_true(c, "letters", big_is_zero(literal(arena, "12x")));
    test_division(c, arena);
    arena_rewind(arena, mark);
}
