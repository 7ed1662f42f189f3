/* Stack machine: one function per instruction, called through a table. */
#include "vm.h"

#include "algos.h"

#include <math.h>
#include <string.h>

NI Cell cell_int(int64_t v) {
    return (Cell){{.i = v}, T_INT};
}

NI Cell cell_real(double v) {
    return (Cell){{.f = v}, T_REAL};
}

NI double cell_as_real(Cell c) {
    return c.tag == T_REAL ? c.u.f : (double)c.u.i;
}

NI int64_t cell_as_int(Cell c) {
    if (c.tag == T_INT) return c.u.i;
    return fabs(c.u.f) < 9e18 ? (int64_t)c.u.f : 0;
}

NI bool cell_truth(Cell c) {
    return c.tag == T_INT ? c.u.i != 0 : c.u.f != 0;
}

static NI bool trap(Vm *vm, const char *why) {
    if (!vm->trap) vm->trap = why;
    return false;
}

static NI bool push(Vm *vm, Cell c) {
    if (vm->sp >= MAX_STACK) return trap(vm, "stack overflow");
    vm->stack[vm->sp++] = c;
    return true;
}

static NI Cell pop(Vm *vm) {
    if (vm->sp == 0) {
        trap(vm, "stack underflow");
        return cell_int(0);
    }
    return vm->stack[--vm->sp];
}

static bool op_halt(Vm *vm, uint32_t arg) { (void)vm; (void)arg; return false; }
static bool op_const(Vm *vm, uint32_t arg) { return push(vm, vm->prog->consts[arg]); }
static bool op_load(Vm *vm, uint32_t arg) { return push(vm, vm->vars[arg]); }

static bool op_store(Vm *vm, uint32_t arg) {
    vm->vars[arg] = pop(vm);
    return push(vm, vm->vars[arg]);
}

/* The value popped last is the program's result, kept just past the stack. */
static bool op_pop(Vm *vm, uint32_t arg) {
    (void)arg;
    vm->stack[0] = pop(vm);
    return !vm->trap;
}

static bool op_jump(Vm *vm, uint32_t arg) {
    vm->pc = arg;
    return true;
}

static bool op_jump_zero(Vm *vm, uint32_t arg) {
    if (!cell_truth(pop(vm))) vm->pc = arg;
    return !vm->trap;
}

static bool op_call(Vm *vm, uint32_t arg) {
    Cell args[3];
    uint32_t n = builtin_arity((int)arg);
    for (uint32_t i = n; i-- > 0;) args[i] = pop(vm);
    return push(vm, builtin_call((int)arg, args));
}

/* Arithmetic stays in integers when both sides are. */
#define ARITH(NAME, OPERATOR)                                                         \
    static bool NAME(Vm *vm, uint32_t arg) {                                          \
        (void)arg;                                                                    \
        Cell b = pop(vm), a = pop(vm);                                                \
        if (a.tag == T_INT && b.tag == T_INT)                                         \
            return push(vm, cell_int((int64_t)((uint64_t)a.u.i OPERATOR(uint64_t) b.u.i))); \
        return push(vm, cell_real(cell_as_real(a) OPERATOR cell_as_real(b)));         \
    }
ARITH(op_add, +)
ARITH(op_sub, -)
ARITH(op_mul, *)

#define RELATION(NAME, OPERATOR)                                                      \
    static bool NAME(Vm *vm, uint32_t arg) {                                          \
        (void)arg;                                                                    \
        Cell b = pop(vm), a = pop(vm);                                                \
        if (a.tag == T_INT && b.tag == T_INT)                                         \
            return push(vm, cell_int(a.u.i OPERATOR b.u.i));                          \
        return push(vm, cell_int(cell_as_real(a) OPERATOR cell_as_real(b)));          \
    }
RELATION(op_lt, <)
RELATION(op_le, <=)
RELATION(op_gt, >)
RELATION(op_ge, >=)
RELATION(op_eq, ==)
RELATION(op_ne, !=)

#define BITWISE(NAME, EXPR)                                                           \
    static bool NAME(Vm *vm, uint32_t arg) {                                          \
        (void)arg;                                                                    \
        uint64_t b = (uint64_t)cell_as_int(pop(vm)), a = (uint64_t)cell_as_int(pop(vm)); \
        return push(vm, cell_int((int64_t)(EXPR)));                                   \
    }
BITWISE(op_band, a & b)
BITWISE(op_bor, a | b)
BITWISE(op_bxor, a ^ b)
BITWISE(op_shl, a << (b & 63))
BITWISE(op_shr, (uint64_t)((int64_t)a >> (b & 63)))

static bool op_div(Vm *vm, uint32_t arg) {
    (void)arg;
    Cell b = pop(vm), a = pop(vm);
    if (!cell_truth(b)) return trap(vm, "division by zero");
    return push(vm, cell_real(cell_as_real(a) / cell_as_real(b)));
}

static bool op_mod(Vm *vm, uint32_t arg) {
    (void)arg;
    int64_t b = cell_as_int(pop(vm)), a = cell_as_int(pop(vm));
    if (b == 0 || b == -1) return b ? push(vm, cell_int(0)) : trap(vm, "division by zero");
    return push(vm, cell_int(a % b));
}

#if LEDGER_RELEASE >= 2
/* Release 2: "//", division rounding towards minus infinity. */
static bool op_idiv(Vm *vm, uint32_t arg) {
    (void)arg;
    int64_t b = cell_as_int(pop(vm)), a = cell_as_int(pop(vm));
    if (b == 0) return trap(vm, "division by zero");
    if (b == -1) return push(vm, cell_int((int64_t)(0 - (uint64_t)a)));
    int64_t q = a / b;
    if (a % b != 0 && (a < 0) != (b < 0)) q--;
    return push(vm, cell_int(q));
}
#endif

static bool op_neg(Vm *vm, uint32_t arg) {
    (void)arg;
    Cell a = pop(vm);
    if (a.tag == T_REAL) return push(vm, cell_real(-a.u.f));
    return push(vm, cell_int((int64_t)(0 - (uint64_t)a.u.i)));
}

static bool op_not(Vm *vm, uint32_t arg) {
    (void)arg;
    return push(vm, cell_int(!cell_truth(pop(vm))));
}

static bool (*const dispatch[OP_COUNT])(Vm *, uint32_t) = {
    op_halt, op_const, op_load, op_store, op_pop, op_jump, op_jump_zero, op_call,
    op_add, op_sub, op_mul, op_div, op_mod, op_neg, op_not,
    op_lt, op_le, op_gt, op_ge, op_eq, op_ne,
    op_band, op_bor, op_bxor, op_shl, op_shr,
#if LEDGER_RELEASE >= 2
    op_idiv,
#endif
};

NI void vm_init(Vm *vm, const Program *p, uint64_t fuel) {
    memset(vm, 0, sizeof *vm);
    vm->prog = p;
    vm->fuel = fuel;
}

NI bool vm_set(Vm *vm, const char *name, Cell value) {
    for (uint32_t i = 0; i < vm->prog->n_vars; i++)
        if (str_eq(vm->prog->vars[i], str_of(name))) {
            vm->vars[i] = value;
            return true;
        }
    return false;
}

NI bool vm_run(Vm *vm, Cell *result) {
    for (;;) {
        if (vm->steps++ >= vm->fuel) {
            trap(vm, "out of fuel");
            break;
        }
        Insn in = vm->prog->code[vm->pc++];
        if (!dispatch[in.op](vm, in.arg)) break;
    }
    *result = vm->stack[0];
    return !vm->trap;
}
