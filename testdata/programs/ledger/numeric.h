/* Matrices (f64 and f32), FFT, big naturals. */
#ifndef LEDGER_NUMERIC_H
#define LEDGER_NUMERIC_H

#include "base.h"

/* ---- matrices ---- */
typedef struct {
    uint32_t rows, cols;
    double *v;
} Mat;

Mat mat_new(Arena *a, uint32_t rows, uint32_t cols);
Mat mat_identity(Arena *a, uint32_t n);
double mat_at(Mat m, uint32_t r, uint32_t c);
void mat_put(Mat m, uint32_t r, uint32_t c, double v);
Mat mat_mul(Arena *a, Mat x, Mat y);
Mat mat_transpose(Arena *a, Mat x);
void mat_axpy(Mat y, double k, Mat x);
double mat_norm(Mat m);
bool mat_lu(Mat m, uint32_t *perm, int *sign);
double mat_det(Arena *a, Mat m);
bool mat_solve(Arena *a, Mat m, const double *b, double *x);
bool mat_invert(Arena *a, Mat m, Mat *out);
double mat_power_iteration(Arena *a, Mat m, int rounds);

typedef struct {
    float x, y, z;
} Vec3;
Vec3 vec3_add(Vec3 a, Vec3 b);
Vec3 vec3_scale(Vec3 a, float k);
Vec3 vec3_cross(Vec3 a, Vec3 b);
float vec3_dot(Vec3 a, Vec3 b);
float vec3_length(Vec3 a);
Vec3 vec3_unit(Vec3 a);

/* ---- complex numbers and FFT ---- */
typedef struct {
    double re, im;
} Cpx;
Cpx cpx_add(Cpx a, Cpx b);
Cpx cpx_sub(Cpx a, Cpx b);
Cpx cpx_mul(Cpx a, Cpx b);
Cpx cpx_polar(double r, double angle);
double cpx_abs(Cpx a);
void fft(Cpx *v, uint32_t n, bool inverse);
void dft_slow(const Cpx *in, Cpx *out, uint32_t n);
void convolve(Arena *a, const double *x, uint32_t nx, const double *y, uint32_t ny, double *out);

/* ---- big naturals, least significant limb first ---- */
typedef struct {
    uint32_t *limb;
    uint32_t n, cap;
} Big;
Big big_new(Arena *a, uint32_t cap);
Big big_from_u64(Arena *a, uint64_t v);
bool big_parse(Arena *a, Str s, Big *out);
void big_format(Arena *a, Sb *out, Big v);
int big_cmp(Big a, Big b);
bool big_is_zero(Big a);
uint32_t big_bits(Big a);
Big big_add(Arena *a, Big x, Big y);
Big big_sub(Arena *a, Big x, Big y);
Big big_mul(Arena *a, Big x, Big y);
void big_mul_small(Big *x, uint32_t m, uint32_t plus);
uint32_t big_div_small(Big *x, uint32_t d);
Big big_shl(Arena *a, Big x, uint32_t bits);
Big big_shr(Arena *a, Big x, uint32_t bits);
void big_divmod(Arena *a, Big x, Big y, Big *quot, Big *rem);
Big big_powmod(Arena *a, Big base, Big exp, Big mod);
Big big_gcd(Arena *a, Big x, Big y);
Big big_factorial(Arena *a, uint32_t n);
Big big_fibonacci(Arena *a, uint32_t n);

#endif
