/* Dense matrices of doubles, small vectors of floats. */
#include "algos.h"
#include "numeric.h"

#include <math.h>
#include <string.h>

NI Mat mat_new(Arena *a, uint32_t rows, uint32_t cols) {
    return (Mat){rows, cols, arena_zalloc(a, (size_t)rows * cols, sizeof(double))};
}

NI double mat_at(Mat m, uint32_t r, uint32_t c) {
    return m.v[r * m.cols + c];
}

NI void mat_put(Mat m, uint32_t r, uint32_t c, double v) {
    m.v[r * m.cols + c] = v;
}

NI Mat mat_identity(Arena *a, uint32_t n) {
    Mat m = mat_new(a, n, n);
    for (uint32_t i = 0; i < n; i++) mat_put(m, i, i, 1.0);
    return m;
}

static NI Mat mat_copy(Arena *a, Mat m) {
    Mat c = mat_new(a, m.rows, m.cols);
    memcpy(c.v, m.v, sizeof(double) * m.rows * m.cols);
    return c;
}

static NI double row_dot(const double *x, const double *y, uint32_t n, uint32_t stride) {
    double s = 0;
    for (uint32_t i = 0; i < n; i++) s += x[i] * y[(size_t)i * stride];
    return s;
}

NI Mat mat_mul(Arena *a, Mat x, Mat y) {
    Mat m = mat_new(a, x.rows, y.cols);
    for (uint32_t r = 0; r < x.rows; r++)
        for (uint32_t c = 0; c < y.cols; c++)
            mat_put(m, r, c, row_dot(x.v + (size_t)r * x.cols, y.v + c, x.cols, y.cols));
    return m;
}

NI Mat mat_transpose(Arena *a, Mat x) {
    Mat m = mat_new(a, x.cols, x.rows);
    for (uint32_t r = 0; r < x.rows; r++)
        for (uint32_t c = 0; c < x.cols; c++) mat_put(m, c, r, mat_at(x, r, c));
    return m;
}

NI void mat_axpy(Mat y, double k, Mat x) {
    for (uint32_t i = 0; i < y.rows * y.cols; i++) y.v[i] += k * x.v[i];
}

NI double mat_norm(Mat m) {
    return sqrt(row_dot(m.v, m.v, m.rows * m.cols, 1));
}

static NI void swap_rows(Mat m, uint32_t r, uint32_t s) {
    for (uint32_t c = 0; c < m.cols; c++) {
        double t = mat_at(m, r, c);
        mat_put(m, r, c, mat_at(m, s, c));
        mat_put(m, s, c, t);
    }
}

static NI uint32_t pivot_row(Mat m, uint32_t col) {
    uint32_t best = col;
    for (uint32_t r = col + 1; r < m.rows; r++)
        if (fabs(mat_at(m, r, col)) > fabs(mat_at(m, best, col))) best = r;
    return best;
}

/* LU in place with partial pivoting. */
NI bool mat_lu(Mat m, uint32_t *perm, int *sign) {
    *sign = 1;
    for (uint32_t i = 0; i < m.rows; i++) perm[i] = i;
    for (uint32_t k = 0; k < m.rows; k++) {
        uint32_t p = pivot_row(m, k);
        if (fabs(mat_at(m, p, k)) < 1e-12) return false;
        if (p != k) {
            swap_rows(m, p, k);
            uint32_t t = perm[p];
            perm[p] = perm[k];
            perm[k] = t;
            *sign = -*sign;
        }
        for (uint32_t r = k + 1; r < m.rows; r++) {
            double f = mat_at(m, r, k) / mat_at(m, k, k);
            mat_put(m, r, k, f);
            for (uint32_t c = k + 1; c < m.cols; c++) mat_put(m, r, c, mat_at(m, r, c) - f * mat_at(m, k, c));
        }
    }
    return true;
}

NI double mat_det(Arena *a, Mat m) {
    ArenaMark mark = arena_mark(a);
    int sign;
    uint32_t *perm = arena_alloc(a, m.rows * sizeof *perm);
    Mat lu = mat_copy(a, m);
    double det = 0;
    if (mat_lu(lu, perm, &sign)) {
        det = sign;
        for (uint32_t i = 0; i < m.rows; i++) det *= mat_at(lu, i, i);
    }
    arena_rewind(a, mark);
    return det;
}

static NI void lu_substitute(Mat lu, const uint32_t *perm, const double *b, double *x) {
    for (uint32_t i = 0; i < lu.rows; i++)
        x[i] = b[perm[i]] - row_dot(lu.v + (size_t)i * lu.cols, x, i, 1);
    for (uint32_t i = lu.rows; i-- > 0;) {
        double s = row_dot(lu.v + (size_t)i * lu.cols + i + 1, x + i + 1, lu.rows - i - 1, 1);
        x[i] = (x[i] - s) / mat_at(lu, i, i);
    }
}

NI bool mat_solve(Arena *a, Mat m, const double *b, double *x) {
    int sign;
    uint32_t *perm = arena_alloc(a, m.rows * sizeof *perm);
    Mat lu = mat_copy(a, m);
    if (!mat_lu(lu, perm, &sign)) return false;
    lu_substitute(lu, perm, b, x);
    return true;
}

NI bool mat_invert(Arena *a, Mat m, Mat *out) {
    Mat e = mat_identity(a, m.rows), inv = mat_new(a, m.rows, m.rows);
    for (uint32_t i = 0; i < m.rows; i++)
        if (!mat_solve(a, m, e.v + (size_t)i * m.rows, inv.v + (size_t)i * m.rows)) return false;
    *out = mat_transpose(a, inv);
    return true;
}

/* Largest eigenvalue of a symmetric matrix. */
NI double mat_power_iteration(Arena *a, Mat m, int rounds) {
    Mat v = mat_new(a, m.rows, 1);
    for (uint32_t i = 0; i < m.rows; i++) v.v[i] = 1.0 + i;
    double norm = 0;
    while (rounds-- > 0) {
        v = mat_mul(a, m, v);
        norm = mat_norm(v);
        mat_axpy(v, 1.0 / norm - 1.0, v);
    }
    return norm;
}

NI Vec3 vec3_add(Vec3 a, Vec3 b) {
    return (Vec3){a.x + b.x, a.y + b.y, a.z + b.z};
}

NI Vec3 vec3_scale(Vec3 a, float k) {
    return (Vec3){a.x * k, a.y * k, a.z * k};
}

NI Vec3 vec3_cross(Vec3 a, Vec3 b) {
    return (Vec3){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

NI float vec3_dot(Vec3 a, Vec3 b) {
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

NI float vec3_length(Vec3 a) {
    return sqrtf(vec3_dot(a, a));
}

NI Vec3 vec3_unit(Vec3 a) {
    float n = vec3_length(a);
    return n > 0 ? vec3_scale(a, 1.0f / n) : a;
}

static NI void test_vectors(Checker *c) {
    Vec3 x = {1, 2, 2}, y = {-2, 0.5f, 1}, z = vec3_cross(x, y);
    check_f32(c, "length", vec3_length(x), 3.0f);
    check_f32(c, "orthogonal x", vec3_dot(x, z), 0.0f);
    check_f32(c, "orthogonal y", vec3_dot(y, z), 0.0f);
    check_f32(c, "unit", vec3_length(vec3_unit(vec3_add(x, vec3_scale(y, 0.25f)))), 1.0f);
}

void selftest_matrix(Checker *c, Arena *arena) {
    enum { N = 12 };
    Rng r;
    rng_seed(&r, 99);
    Mat m = mat_new(arena, N, N), inv;
    for (uint32_t i = 0; i < N * N; i++) m.v[i] = rng_unit(&r) - 0.5;
    for (uint32_t i = 0; i < N; i++) mat_put(m, i, i, mat_at(m, i, i) + 3.0);
    check_true(c, "inverts", mat_invert(arena, m, &inv));
    Mat left = mat_mul(arena, m, inv);
    mat_axpy(left, -1.0, mat_identity(arena, N));
    check_f64(c, "inverse", mat_norm(left), 0, 1e-9);
    check_f64(c, "determinants", mat_det(arena, m) * mat_det(arena, inv), 1, 1e-9);
    Mat sym = mat_new(arena, 2, 2);
    memcpy(sym.v, (double[]){2, 1, 1, 2}, 4 * sizeof(double));
    check_f64(c, "eigenvalue", mat_power_iteration(arena, sym, 60), 3, 1e-9);
    check_f64(c, "small determinant", mat_det(arena, sym), 3, 1e-12);
    memcpy(sym.v, (double[]){2, 4, 1, 2}, 4 * sizeof(double));
    check_f64(c, "singular", mat_det(arena, sym), 0, 0);
    test_vectors(c);
}
