/* Sorts over untyped elements with a comparator callback. */
#include "algos.h"

#include <stdlib.h>
#include <string.h>

static NI void *item(void *base, size_t size, size_t i) {
    return (char *)base + size * i;
}

static NI void swap_bytes(char *a, char *b, size_t n) {
    while (n--) {
        char t = *a;
        *a++ = *b;
        *b++ = t;
    }
}

static NI void swap_items(void *base, size_t size, size_t i, size_t j) {
    if (i != j) swap_bytes(item(base, size, i), item(base, size, j), size);
}

static NI int compare_items(void *base, size_t size, size_t i, size_t j, Compare cmp) {
    return cmp(item(base, size, i), item(base, size, j));
}

NI void sort_insertion(void *base, size_t n, size_t size, Compare cmp) {
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && compare_items(base, size, j - 1, j, cmp) > 0; j--)
            swap_items(base, size, j - 1, j);
}

NI void sort_shell(void *base, size_t n, size_t size, Compare cmp) {
    size_t gap = 1;
    while (gap < n / 3) gap = gap * 3 + 1;
    for (; gap > 0; gap /= 3)
        for (size_t i = gap; i < n; i++)
            for (size_t j = i; j >= gap && compare_items(base, size, j - gap, j, cmp) > 0; j -= gap)
                swap_items(base, size, j - gap, j);
}

static NI void sift_down(void *base, size_t n, size_t size, size_t i, Compare cmp) {
    for (size_t kid; (kid = 2 * i + 1) < n; i = kid) {
        if (kid + 1 < n && compare_items(base, size, kid, kid + 1, cmp) < 0) kid++;
        if (compare_items(base, size, i, kid, cmp) >= 0) return;
        swap_items(base, size, i, kid);
    }
}

NI void sort_heap(void *base, size_t n, size_t size, Compare cmp) {
    for (size_t i = n / 2; i-- > 0;) sift_down(base, n, size, i, cmp);
    while (n > 1) {
        swap_items(base, size, 0, --n);
        sift_down(base, n, size, 0, cmp);
    }
}

static NI size_t median_index(void *base, size_t n, size_t size, Compare cmp) {
    size_t a = 0, b = n / 2, c = n - 1;
    if (compare_items(base, size, a, b, cmp) > 0) swap_items(base, size, a, b);
    if (compare_items(base, size, b, c, cmp) > 0) swap_items(base, size, b, c);
    if (compare_items(base, size, a, b, cmp) > 0) swap_items(base, size, a, b);
    return b;
}

static NI size_t partition(void *base, size_t n, size_t size, Compare cmp) {
    size_t last = n - 1, store = 0;
    swap_items(base, size, median_index(base, n, size, cmp), last);
    for (size_t i = 0; i < last; i++)
        if (compare_items(base, size, i, last, cmp) < 0) swap_items(base, size, i, store++);
    swap_items(base, size, store, last);
    return store;
}

static NI void quick_some(void *base, size_t n, size_t size, Compare cmp, int depth) {
    while (n > 12) {
        if (depth-- == 0) {
            sort_heap(base, n, size, cmp);
            return;
        }
        size_t p = partition(base, n, size, cmp);
        quick_some(item(base, size, p + 1), n - p - 1, size, cmp, depth);
        n = p;
    }
    sort_insertion(base, n, size, cmp);
}

NI void sort_quick(void *base, size_t n, size_t size, Compare cmp) {
    quick_some(base, n, size, cmp, 2 * (32 - __builtin_clz((uint32_t)n | 1)));
}

static NI void merge_halves(char *dst, const char *a, size_t na, const char *b, size_t nb, size_t size,
                            Compare cmp) {
    while (na && nb) {
        bool left = cmp(a, b) <= 0;
        memcpy(dst, left ? a : b, size);
        if (left) a += size, na--;
        else b += size, nb--;
        dst += size;
    }
    memcpy(dst, na ? a : b, (na + nb) * size);
}

static NI void merge_some(char *v, size_t n, size_t size, Compare cmp, char *tmp) {
    if (n < 2) return;
    size_t half = n / 2;
    merge_some(v, half, size, cmp, tmp);
    merge_some(v + half * size, n - half, size, cmp, tmp);
    memcpy(tmp, v, n * size);
    merge_halves(v, tmp, half, tmp + half * size, n - half, size, cmp);
}

NI void sort_merge(void *base, size_t n, size_t size, Compare cmp) {
    char *tmp = malloc(n * size + 1);
    if (!tmp) abort();
    merge_some(base, n, size, cmp, tmp);
    free(tmp);
}

static NI void radix_pass(const uint32_t *from, uint32_t *to, size_t n, int shift) {
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++) start[(from[i] >> shift & 255) + 1]++;
    for (int i = 0; i < 256; i++) start[i + 1] += start[i];
    for (size_t i = 0; i < n; i++) to[start[from[i] >> shift & 255]++] = from[i];
}

NI void sort_radix_u32(uint32_t *v, size_t n) {
    uint32_t *tmp = malloc(n * sizeof *v + 1);
    if (!tmp) abort();
    for (int shift = 0; shift < 32; shift += 16) {
        radix_pass(v, tmp, n, shift);
        radix_pass(tmp, v, n, shift + 8);
    }
    free(tmp);
}

NI void *sort_search(const void *key, const void *base, size_t n, size_t size, Compare cmp) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        void *at = item((void *)base, size, mid);
        int c = cmp(key, at);
        if (c == 0) return at;
        if (c < 0) hi = mid;
        else lo = mid + 1;
    }
    return NULL;
}

NI bool sort_is_sorted(const void *base, size_t n, size_t size, Compare cmp) {
    for (size_t i = 1; i < n; i++)
        if (compare_items((void *)base, size, i - 1, i, cmp) > 0) return false;
    return true;
}

typedef struct {
    double weight;
    int32_t group, order;
} Parcel;

static int by_weight(const void *a, const void *b) {
    double x = ((const Parcel *)a)->weight, y = ((const Parcel *)b)->weight;
    return (x > y) - (x < y);
}

static int by_group(const void *a, const void *b) {
    return ((const Parcel *)a)->group - ((const Parcel *)b)->group;
}

static int by_group_then_order(const void *a, const void *b) {
    int c = by_group(a, b);
    return c ? c : ((const Parcel *)a)->order - ((const Parcel *)b)->order;
}

static int by_u32(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static NI void fill_parcels(Parcel *p, int n, uint64_t seed) {
    Rng r;
    rng_seed(&r, seed);
    for (int i = 0; i < n; i++) p[i] = (Parcel){rng_unit(&r), (int32_t)rng_below(&r, 7), i};
}

void selftest_sort(Checker *c, Arena *arena) {
    static const SortFn sorts[] = {sort_insertion, sort_shell, sort_heap, sort_quick, sort_merge, qsort};
    static const Compare orders[] = {by_weight, by_group, by_group_then_order};
    enum { N = 300 };
    Parcel *p = arena_alloc(arena, N * sizeof *p);
    for (size_t s = 0; s < COUNT_OF(sorts); s++)
        for (size_t o = 0; o < COUNT_OF(orders); o++) {
            fill_parcels(p, N, s + 1);
            sorts[s](p, N, sizeof *p, orders[o]);
            check_true(c, "sorted", sort_is_sorted(p, N, sizeof *p, orders[o]));
        }
    fill_parcels(p, N, 42);
    sort_merge(p, N, sizeof *p, by_group);
    check_true(c, "stable", sort_is_sorted(p, N, sizeof *p, by_group_then_order));
    uint32_t *v = arena_alloc(arena, 2000 * sizeof *v);
    Rng r;
    rng_seed(&r, 8);
    for (int i = 0; i < 2000; i++) v[i] = (uint32_t)rng_next(&r);
    uint32_t probe = v[777];
    sort_radix_u32(v, 2000);
    check_true(c, "radix", sort_is_sorted(v, 2000, sizeof *v, by_u32));
    uint32_t *hit = sort_search(&probe, v, 2000, sizeof *v, by_u32);
    check_true(c, "search", hit && *hit == probe);
}
