/* Runs every self-check, prints one line per suite, then the sample book. */
#include "algos.h"
#include "book.h"

#include <stdio.h>

void sample_book(Book *b, Arena *arena);

typedef struct {
    const char *name;
    SelfTest run;
} Suite;

static const Suite suites[] = {
    {"strings", selftest_strings}, {"map", selftest_map},         {"avl", selftest_avl},
    {"json", selftest_json},       {"vm", selftest_vm},           {"pattern", selftest_pattern},
    {"digest", selftest_digest},   {"lz", selftest_lz},           {"matrix", selftest_matrix},
    {"fft", selftest_fft},         {"bignum", selftest_bignum},   {"sort", selftest_sort},
    {"calendar", selftest_calendar}, {"money", selftest_money},   {"text", selftest_text},
    {"book", selftest_book},
};

static NI Checker run_suite(const Suite *s) {
    Arena arena;
    Checker c;
    arena_init(&arena);
    check_begin(&c, s->name);
    s->run(&c, &arena);
    arena_free(&arena);
    return c;
}

static NI void print_suite(const Checker *c) {
    printf("%-10s %3u passed %u failed  %016llx\n", c->suite, c->passed, c->failed, (unsigned long long)c->digest);
}

static NI void print_book(void) {
    Arena arena;
    Book b;
    Sb sb;
    arena_init(&arena);
    sb_init(&sb);
    sample_book(&b, &arena);
    book_report(&b, &sb);
    Digest d = sha256_of(sb_view(&sb));
    sb_puts(&sb, "sha256 ");
    digest_hex(&sb, d);
    sb_putc(&sb, '\n');
    fputs(sb_cstr(&sb), stdout);
    sb_free(&sb);
    arena_free(&arena);
}

int main(void) {
    uint32_t passed = 0, failed = 0;
    printf("ledger release %d\n", LEDGER_RELEASE);
    for (size_t i = 0; i < COUNT_OF(suites); i++) {
        Checker c = run_suite(&suites[i]);
        print_suite(&c);
        passed += c.passed;
        failed += c.failed;
    }
    print_book();
    printf("%u checks passed, %u failed (%.1f%%)\n", passed, failed, 100.0 * passed / (passed + failed));
    return failed ? 1 : 0;
}
