// Two signals -> their convolution, by way of fast Fourier transforms.
#include "numeric.h"
#include <math.h>

#define BITS 14
#define N (1 << BITS)

typedef struct {
    double re, im;
} Complex;

static Complex signal[N], filter[N], roots[N / 2];

static void swap(Complex *one, Complex *other) {
    Complex kept = *one;
    *one = *other;
    *other = kept;
}

static unsigned reversed(unsigned index) {
    unsigned result = 0;
    for (int bit = 0; bit < BITS; bit++) result |= (index >> bit & 1) << (BITS - 1 - bit);
    return result;
}

// In place; `inverse` without the division by N.
static void transform(Complex *values, int inverse) {
    for (unsigned i = 0; i < N; i++)
        if (i < reversed(i)) swap(&values[i], &values[reversed(i)]);
    for (int half = 1; half < N; half *= 2) {
        int stride = N / 2 / half;
        for (int start = 0; start < N; start += 2 * half) {
            for (int k = 0; k < half; k++) {
                Complex root = roots[k * stride];
                if (inverse) root.im = -root.im;
                Complex *low = &values[start + k], *high = low + half;
                double re = high->re * root.re - high->im * root.im;
                double im = high->re * root.im + high->im * root.re;
                high->re = low->re - re, high->im = low->im - im;
                low->re += re, low->im += im;
            }
        }
    }
}

double fourier(int rounds) {
    double energy = 0;
    for (int k = 0; k < N / 2; k++) {
        double angle = -2 * 3.14159265358979323846 * k / N;
        roots[k].re = cos(angle), roots[k].im = sin(angle);
    }
    while (rounds-- > 0) {
        for (int i = 0; i < N; i++) {
            signal[i].re = number() - 0.5, signal[i].im = 0;
            filter[i].re = exp(-i / 64.0), filter[i].im = 0;
        }
        transform(signal, 0);
        transform(filter, 0);
        for (int i = 0; i < N; i++) {
            Complex s = signal[i], f = filter[i];
            signal[i].re = s.re * f.re - s.im * f.im, signal[i].im = s.re * f.im + s.im * f.re;
        }
        transform(signal, 1);
        for (int i = 0; i < N; i++) energy += signal[i].re * signal[i].re / N / N;
    }
    return energy;
}
