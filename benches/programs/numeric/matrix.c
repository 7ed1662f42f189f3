// Random matrices -> products, and the solutions of linear equations.
#include "numeric.h"
#include <math.h>

#define N 192

static double a[N][N], b[N][N], product[N][N], lower[N][N];
static double right[N], x[N];
static int row_of[N];

static void multiply(void) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) product[i][j] = 0;
        for (int k = 0; k < N; k++) {
            double factor = a[i][k];
            for (int j = 0; j < N; j++) product[i][j] += factor * b[k][j];
        }
    }
}

// Gauss's elimination of `product` with the largest pivot of each column, into `lower`.
static void eliminate(void) {
    for (int i = 0; i < N; i++) {
        row_of[i] = i;
        for (int j = 0; j < N; j++) lower[i][j] = product[i][j];
    }
    for (int k = 0; k < N; k++) {
        int pivot = k;
        for (int i = k + 1; i < N; i++)
            if (fabs(lower[row_of[i]][k]) > fabs(lower[row_of[pivot]][k])) pivot = i;
        int row = row_of[pivot];
        row_of[pivot] = row_of[k];
        row_of[k] = row;
        for (int i = k + 1; i < N; i++) {
            double *line = lower[row_of[i]];
            double factor = line[k] /= lower[row][k];
            for (int j = k + 1; j < N; j++) line[j] -= factor * lower[row][j];
        }
    }
}

static void solve(void) {
    for (int i = 0; i < N; i++) {
        double sum = right[row_of[i]];
        for (int j = 0; j < i; j++) sum -= lower[row_of[i]][j] * x[j];
        x[i] = sum;
    }
    for (int i = N - 1; i >= 0; i--) {
        double sum = x[i];
        for (int j = i + 1; j < N; j++) sum -= lower[row_of[i]][j] * x[j];
        x[i] = sum / lower[row_of[i]][i];
    }
}

double matrix(int rounds) {
    double left_over = 0;
    while (rounds-- > 0) {
        for (int i = 0; i < N; i++) {
            right[i] = number();
            for (int j = 0; j < N; j++) a[i][j] = number() - 0.5, b[i][j] = number() + (i == j);
        }
        multiply();
        eliminate();
        solve();
        for (int i = 0; i < N; i++) {
            double sum = -right[i];
            for (int j = 0; j < N; j++) sum += product[i][j] * x[j];
            left_over += fabs(sum) + fabs(x[i]) * 1e-6;
        }
    }
    return left_over;
}
