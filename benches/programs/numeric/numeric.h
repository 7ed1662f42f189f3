// What the parts of the numeric program do: each takes how often, and gives a number that
// depends on all of its work.
#ifndef NUMERIC_H
#define NUMERIC_H

// Solves systems of linear equations; the sum of what is left over.
double matrix(int rounds);

// Convolves signals by way of their Fourier transforms; the energy that comes out.
double fourier(int rounds);

// Lets bodies attract one another; their energy at the end.
double bodies(int steps);

// Lets heat spread over a plate; its sum at the end.
double heat(int steps);

// The same numbers in each run, 0 to 1.
double number(void);

#endif
