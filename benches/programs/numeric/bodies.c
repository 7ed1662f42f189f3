// Bodies in space -> their energy after some steps under gravity.
#include "numeric.h"
#include <math.h>

#define N 300
#define STEP 1e-4
// Keeps two bodies that meet from flying apart.
#define SOFTENING 1e-3

static struct {
    double at[3], speed[3], mass;
} body[N];

static double squared_distance(int i, int j, double *between) {
    double sum = SOFTENING;
    for (int axis = 0; axis < 3; axis++) {
        between[axis] = body[j].at[axis] - body[i].at[axis];
        sum += between[axis] * between[axis];
    }
    return sum;
}

static void step(void) {
    double between[3];
    for (int i = 0; i < N; i++) {
        for (int j = i + 1; j < N; j++) {
            double squared = squared_distance(i, j, between);
            double pull = STEP / (squared * sqrt(squared));
            for (int axis = 0; axis < 3; axis++) {
                body[i].speed[axis] += between[axis] * body[j].mass * pull;
                body[j].speed[axis] -= between[axis] * body[i].mass * pull;
            }
        }
    }
    for (int i = 0; i < N; i++)
        for (int axis = 0; axis < 3; axis++) body[i].at[axis] += body[i].speed[axis] * STEP;
}

double bodies(int steps) {
    double between[3], energy = 0;
    for (int i = 0; i < N; i++) {
        body[i].mass = number() + 0.1;
        for (int axis = 0; axis < 3; axis++) {
            body[i].at[axis] = number();
            body[i].speed[axis] = number() - 0.5;
        }
    }
    while (steps-- > 0) step();
    for (int i = 0; i < N; i++) {
        for (int axis = 0; axis < 3; axis++)
            energy += body[i].mass * body[i].speed[axis] * body[i].speed[axis] / 2;
        for (int j = i + 1; j < N; j++)
            energy -= body[i].mass * body[j].mass / sqrt(squared_distance(i, j, between));
    }
    return energy;
}
