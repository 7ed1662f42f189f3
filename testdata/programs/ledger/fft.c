/* Complex numbers, radix-2 FFT, convolution. */
#include "algos.h"
#include "numeric.h"

#include <math.h>

#define PI 3.14159265358979323846

NI Cpx cpx_add(Cpx a, Cpx b) {
    return (Cpx){a.re + b.re, a.im + b.im};
}

NI Cpx cpx_sub(Cpx a, Cpx b) {
    return (Cpx){a.re - b.re, a.im - b.im};
}

NI Cpx cpx_mul(Cpx a, Cpx b) {
    return (Cpx){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

NI Cpx cpx_polar(double r, double angle) {
    return (Cpx){r * cos(angle), r * sin(angle)};
}

NI double cpx_abs(Cpx a) {
    return hypot(a.re, a.im);
}

static NI uint32_t reverse_bits(uint32_t v, int bits) {
    uint32_t r = 0;
    while (bits--) {
        r = r << 1 | (v & 1);
        v >>= 1;
    }
    return r;
}

static NI void shuffle(Cpx *v, uint32_t n) {
    int bits = __builtin_ctz(n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = reverse_bits(i, bits);
        if (j <= i) continue;
        Cpx t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}

static NI void butterfly(Cpx *lo, Cpx *hi, Cpx w) {
    Cpx t = cpx_mul(*hi, w);
    *hi = cpx_sub(*lo, t);
    *lo = cpx_add(*lo, t);
}

static NI void scale_all(Cpx *v, uint32_t n, double k) {
    for (uint32_t i = 0; i < n; i++) {
        v[i].re *= k;
        v[i].im *= k;
    }
}

NI void fft(Cpx *v, uint32_t n, bool inverse) {
    shuffle(v, n);
    for (uint32_t half = 1; half < n; half *= 2) {
        double step = (inverse ? PI : -PI) / half;
        for (uint32_t k = 0; k < half; k++) {
            Cpx w = cpx_polar(1, step * k);
            for (uint32_t i = k; i < n; i += 2 * half) butterfly(v + i, v + i + half, w);
        }
    }
    if (inverse) scale_all(v, n, 1.0 / n);
}

NI void dft_slow(const Cpx *in, Cpx *out, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        Cpx s = {0, 0};
        for (uint32_t i = 0; i < n; i++)
            s = cpx_add(s, cpx_mul(in[i], cpx_polar(1, -2 * PI * (double)((uint64_t)i * k % n) / n)));
        out[k] = s;
    }
}

static NI uint32_t pow2_at_least(uint32_t n) {
    return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

NI void convolve(Arena *a, const double *x, uint32_t nx, const double *y, uint32_t ny, double *out) {
    uint32_t n = pow2_at_least(nx + ny - 1);
    Cpx *p = arena_zalloc(a, n, sizeof *p), *q = arena_zalloc(a, n, sizeof *q);
    for (uint32_t i = 0; i < nx; i++) p[i].re = x[i];
    for (uint32_t i = 0; i < ny; i++) q[i].re = y[i];
    fft(p, n, false);
    fft(q, n, false);
    for (uint32_t i = 0; i < n; i++) p[i] = cpx_mul(p[i], q[i]);
    fft(p, n, true);
    for (uint32_t i = 0; i < nx + ny - 1; i++) out[i] = p[i].re;
}

static NI double max_distance(const Cpx *a, const Cpx *b, uint32_t n) {
    double worst = 0;
    for (uint32_t i = 0; i < n; i++) {
        double d = cpx_abs(cpx_sub(a[i], b[i]));
        if (d > worst) worst = d;
    }
    return worst;
}

static NI uint32_t loudest(const Cpx *v, uint32_t n) {
    uint32_t best = 1;
    for (uint32_t i = 1; i < n / 2; i++)
        if (cpx_abs(v[i]) > cpx_abs(v[best])) best = i;
    return best;
}

void selftest_fft(Checker *c, Arena *arena) {
    enum { N = 128 };
    Cpx *v = arena_alloc(arena, N * sizeof *v), *w = arena_alloc(arena, N * sizeof *w);
    Cpx *slow = arena_alloc(arena, N * sizeof *slow);
    Rng r;
    rng_seed(&r, 5);
    for (uint32_t i = 0; i < N; i++) {
        v[i] = (Cpx){rng_unit(&r) + 3 * sin(2 * PI * 17 * i / N), rng_unit(&r)};
        w[i] = v[i];
    }
    dft_slow(v, slow, N);
    fft(w, N, false);
    check_f64(c, "against the slow transform", max_distance(w, slow, N), 0, 1e-9);
    check_i64(c, "tone", loudest(w, N), 17);
    fft(w, N, true);
    check_f64(c, "there and back", max_distance(w, v, N), 0, 1e-12);
    static const double x[] = {1, 2, 3}, y[] = {4, 0, -1, 2};
    static const double want[] = {4, 8, 11, 0, 1, 6};
    double out[6];
    convolve(arena, x, 3, y, 4, out);
    for (int i = 0; i < 6; i++) check_f64(c, "convolution", out[i], want[i], 1e-9);
}
