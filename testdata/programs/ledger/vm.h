/* Expression language: compiler to bytecode and a small stack machine. */
#ifndef LEDGER_VM_H
#define LEDGER_VM_H

#include "base.h"

typedef enum { T_INT, T_REAL } CellTag;

typedef struct {
    union {
        int64_t i;
        double f;
    } u;
    CellTag tag;
} Cell;

typedef enum {
    OP_HALT, OP_CONST, OP_LOAD, OP_STORE, OP_POP, OP_JUMP, OP_JUMP_ZERO, OP_CALL,
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_NEG, OP_NOT,
    OP_LT, OP_LE, OP_GT, OP_GE, OP_EQ, OP_NE,
    OP_BAND, OP_BOR, OP_BXOR, OP_SHL, OP_SHR,
#if LEDGER_RELEASE >= 2
    OP_IDIV,
#endif
    OP_COUNT
} Op;

#define MAX_CODE 512
#define MAX_CONSTS 64
#define MAX_VARS 24
#define MAX_STACK 64

typedef struct {
    uint16_t op, arg;
} Insn;

typedef struct {
    Insn code[MAX_CODE];
    Cell consts[MAX_CONSTS];
    Str vars[MAX_VARS];
    uint32_t n_code, n_consts, n_vars;
    const char *error;
    uint32_t error_at;
} Program;

typedef struct {
    const Program *prog;
    Cell stack[MAX_STACK];
    Cell vars[MAX_VARS];
    uint32_t sp, pc;
    uint64_t steps, fuel;
    const char *trap;
} Vm;

Cell cell_int(int64_t v);
Cell cell_real(double v);
double cell_as_real(Cell c);
int64_t cell_as_int(Cell c);
bool cell_truth(Cell c);

bool program_compile(Program *p, Str source);
int program_var(Program *p, Str name);
void vm_init(Vm *vm, const Program *p, uint64_t fuel);
bool vm_set(Vm *vm, const char *name, Cell value);
bool vm_run(Vm *vm, Cell *result);

/* Built-in functions, by index. */
int builtin_find(Str name);
uint32_t builtin_arity(int index);
Cell builtin_call(int index, const Cell *args);

#endif
