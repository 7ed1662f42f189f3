// How many rounds -> the results of the numeric parts, one line each.
#include "numeric.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_DEFAULT 12

double number(void) {
    static uint32_t state = 7;
    state = state * 1664525u + 1013904223u;
    return (state >> 8) / 16777216.0;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS_DEFAULT;
    if (rounds <= 0) return 2;
    printf("matrix  %.12e\n", matrix(rounds));
    printf("fourier %.12e\n", fourier(rounds * 3));
    printf("bodies  %.12e\n", bodies(rounds * 60));
    printf("heat    %.12e\n", heat(rounds * 60));
    return 0;
}
