// A plate with a hot edge -> how warm it is after some steps.
#include "numeric.h"

#define WIDTH 512
#define HEIGHT 256

static float plates[2][HEIGHT][WIDTH];

double heat(int steps) {
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            plates[0][y][x] = plates[1][y][x] = y == 0 ? 100 : (float)number();
    for (int step = 0; step < steps; step++) {
        float(*from)[WIDTH] = plates[step % 2], (*to)[WIDTH] = plates[1 - step % 2];
        for (int y = 1; y < HEIGHT - 1; y++)
            for (int x = 1; x < WIDTH - 1; x++)
                to[y][x] = from[y][x] + 0.2f * (from[y - 1][x] + from[y + 1][x] + from[y][x - 1] +
                                                from[y][x + 1] - 4 * from[y][x]);
    }
    double sum = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) sum += plates[steps % 2][y][x];
    return sum;
}
