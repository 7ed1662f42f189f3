/* Fixed-point money with four decimals. */
#include "algos.h"
#include "book.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    char code[4];
    uint8_t decimals;
    const char *name;
} currencies[] = {
    {"EUR", 2, "euro"}, {"USD", 2, "dollar"}, {"JPY", 0, "yen"}, {"KWD", 3, "dinar"},
#if LEDGER_RELEASE >= 2
    {"CHF", 2, "franc"},
#endif
};

NI int currency_find(Str code) {
    for (size_t i = 0; i < COUNT_OF(currencies); i++)
        if (str_eq(code, str_of(currencies[i].code))) return (int)i;
    return -1;
}

NI const char *currency_code(uint16_t currency) {
    return currency < COUNT_OF(currencies) ? currencies[currency].code : "???";
}

static NI int64_t pow10_of(uint32_t n) {
    int64_t v = 1;
    while (n--) v *= 10;
    return v;
}

/* The size of the currency's smallest coin. */
static NI int64_t coin_of(uint16_t currency) {
    return MONEY_SCALE / pow10_of(currencies[currency].decimals);
}

static NI void same_currency(Money a, Money b) {
    if (a.currency != b.currency) abort();
}

NI Money money_of(int64_t whole, int64_t cents, uint16_t currency) {
    return (Money){whole * MONEY_SCALE + cents * (MONEY_SCALE / 100), currency};
}

NI Money money_neg(Money a) {
    return (Money){-a.units, a.currency};
}

NI Money money_add(Money a, Money b) {
    same_currency(a, b);
    return (Money){a.units + b.units, a.currency};
}

NI Money money_sub(Money a, Money b) {
    return money_add(a, money_neg(b));
}

NI int money_cmp(Money a, Money b) {
    same_currency(a, b);
    return (a.units > b.units) - (a.units < b.units);
}

NI bool money_is_zero(Money a) {
    return a.units == 0;
}

/* num / den, den > 0, by the given rule; "up" is away from zero. */
static NI int64_t div_round(__int128_t num, int64_t den, Rounding how) {
    bool neg = num < 0;
    __uint128_t n = neg ? -(__uint128_t)num : (__uint128_t)num, d = (__uint128_t)den;
    uint64_t q = (uint64_t)(n / d);
    __uint128_t twice = (n - (__uint128_t)q * d) * 2;
    switch (how) {
    case ROUND_DOWN: break;
    case ROUND_UP: q += twice != 0; break;
    case ROUND_HALF_UP: q += twice >= d; break;
    case ROUND_HALF_EVEN: q += twice > d || (twice == d && (q & 1)); break;
    }
    return neg ? -(int64_t)q : (int64_t)q;
}

NI Money money_mul(Money a, int64_t num, int64_t den, Rounding how) {
    if (den < 0) {
        num = -num;
        den = -den;
    }
    return (Money){div_round((__int128_t)a.units * num, den, how), a.currency};
}

NI Money money_round(Money a, Rounding how) {
    int64_t coin = coin_of(a.currency);
    return (Money){div_round(a.units, coin, how) * coin, a.currency};
}

NI double money_to_f64(Money a) {
    return (double)a.units / MONEY_SCALE;
}

NI Money money_convert(Money a, uint16_t to, double rate) {
    return money_round((Money){llround((double)a.units * rate), to}, ROUND_HALF_EVEN);
}

#if LEDGER_RELEASE >= 2
/* Release 2: where a split's spare coins go (largest weight first). */
static NI uint32_t heaviest(const uint32_t *weights, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (weights[i] > weights[best]) best = i;
    return best;
}
#endif

/* Splits by weight; the parts add up to the total exactly. */
NI void money_split(Money total, const uint32_t *weights, uint32_t n, Money *parts) {
    int64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += weights[i];
    Money left = total;
    for (uint32_t i = 0; i < n; i++) {
        parts[i] = money_round(money_mul(total, weights[i], sum, ROUND_DOWN), ROUND_DOWN);
        left = money_sub(left, parts[i]);
    }
#if LEDGER_RELEASE >= 2
    uint32_t at = heaviest(weights, n);
    parts[at] = money_add(parts[at], left);
#else
    parts[0] = money_add(parts[0], left);
#endif
}

NI Money money_interest(Money principal, float yearly, uint32_t days) {
    int64_t ppm = lroundf(yearly * 1000000.0f);
    return money_round(money_mul(principal, ppm * days, 365ll * 1000000, ROUND_HALF_EVEN), ROUND_HALF_UP);
}

/* "-12.34 EUR" */
NI bool money_parse(Str s, Money *out) {
    Str number, frac, code = str_trim(s);
    if (!str_next_token(&code, ' ', &number) || !code.ptr) return false;
    int currency = currency_find(str_trim(code));
    if (currency < 0) return false;
    bool neg = str_starts(number, str_of("-"));
    if (neg) number = str_slice(number, 1, number.len);
    Str whole;
    int64_t w = 0, f = 0;
    str_next_token(&number, '.', &whole);
    if (!str_parse_i64(whole, &w) || w < 0) return false;
    if (number.ptr) {
        frac = number;
        if (frac.len > 4 || !str_parse_i64(frac, &f) || f < 0) return false;
        f *= pow10_of(4 - (uint32_t)frac.len);
    }
    int64_t units = w * MONEY_SCALE + f;
    *out = (Money){neg ? -units : units, (uint16_t)currency};
    return true;
}

static NI void put_grouped(Sb *out, uint64_t v) {
    if (v >= 1000) {
        put_grouped(out, v / 1000);
        sb_putc(out, ',');
        sb_putc(out, (char)('0' + v / 100 % 10));
        sb_putc(out, (char)('0' + v / 10 % 10));
        sb_putc(out, (char)('0' + v % 10));
    } else {
        sb_u64(out, v);
    }
}

NI void money_format(Sb *out, Money a) {
    a = money_round(a, ROUND_HALF_EVEN);
    uint64_t u = a.units < 0 ? 0 - (uint64_t)a.units : (uint64_t)a.units;
    uint32_t decimals = currencies[a.currency].decimals;
    if (a.units < 0) sb_putc(out, '-');
    put_grouped(out, u / MONEY_SCALE);
    if (decimals) {
        sb_putc(out, '.');
        uint64_t f = u % MONEY_SCALE;
        for (uint32_t i = 0, d = MONEY_SCALE / 10; i < decimals; i++, d /= 10) sb_putc(out, (char)('0' + f / d % 10));
    }
    sb_putc(out, ' ');
    sb_puts(out, currency_code(a.currency));
}

static NI void expect_money(Checker *c, Money got, const char *want) {
    Sb sb;
    sb_init(&sb);
    money_format(&sb, got);
    check_str(c, want, sb_view(&sb), want);
    sb_free(&sb);
}

void selftest_money(Checker *c, Arena *arena) {
    (void)arena;
    Money m, parts[3];
    check_true(c, "parse", money_parse(str_of(" -1234567.895 EUR "), &m) && m.units == -12345678950ll);
    expect_money(c, m, "-1,234,567.90 EUR");
    expect_money(c, money_round(m, ROUND_DOWN), "-1,234,567.89 EUR");
    expect_money(c, money_round(m, ROUND_UP), "-1,234,567.90 EUR");
    expect_money(c, money_convert(money_of(100, 5, 1), 2, 151.37), "15,145 JPY");
    expect_money(c, money_mul(money_of(9000000000000, 0, 3), 9, -8, ROUND_HALF_UP), "-10,125,000,000,000.000 KWD");
    check_true(c, "no currency", !money_parse(str_of("12.00"), &m) && !money_parse(str_of("1 XXX"), &m));
    check_true(c, "too many decimals", !money_parse(str_of("1.00001 EUR"), &m));
    static const uint32_t weights[] = {1, 5, 1};
    Money total = money_of(100, 0, 0);
    money_split(total, weights, 3, parts);
    check_i64(c, "split", money_cmp(total, money_add(parts[0], money_add(parts[1], parts[2]))), 0);
    expect_money(c, parts[0], LEDGER_RELEASE >= 2 ? "14.28 EUR" : "14.30 EUR");
    expect_money(c, money_interest(money_of(10000, 0, 0), 0.035f, 73), "70.00 EUR");
    expect_money(c, money_sub(money_of(1, 1, 0), money_of(1, 2, 0)), "-0.01 EUR");
    check_true(c, "zero", money_is_zero(money_sub(total, total)));
    check_f64(c, "as double", money_to_f64(money_of(-3, -25, 1)), -3.25, 1e-12);
}
