/* Calls of the C library on files below one directory -> the Nth one fails, is cut short, or stops
 * the process; and a clock that is wrong. Loaded into a program by LD_PRELOAD.
 *
 *   FAULTS_DIR     the directory
 *   FAULTS_CALLS   letters: o open, r read, w write, s sync, t truncate, n rename unlink mkdir
 *   FAULTS_NTH     which of these calls, from 1
 *   FAULTS_FOREVER set: and all that follow
 *   FAULTS_WHAT    a number: that errno; "short": half of the bytes; "stop": SIGSTOP, then go on
 *   FAULTS_LOG     a file that gets one byte for each fault: the proof that it happened
 *   CLOCK_FIRST    seconds that the real-time clock is off
 *   CLOCK_THEN, CLOCK_AFTER   and those it is off after so many times that it was read
 *
 * A file that Rust's rustix opens is not seen: it makes system calls of its own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum outcome { GO_ON, FAIL, CUT };

static const char *dir, *calls, *what, *log_path;
static size_t dir_len;
static long nth;
static int forever;
static atomic_long seen;

static time_t clock_first, clock_then;
static long clock_after;
static atomic_long clock_reads;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

__attribute__((constructor)) static void start(void) {
    calls = getenv("FAULTS_CALLS");
    what = getenv("FAULTS_WHAT");
    log_path = getenv("FAULTS_LOG");
    nth = number("FAULTS_NTH", 0);
    forever = getenv("FAULTS_FOREVER") != NULL;
    clock_first = number("CLOCK_FIRST", 0);
    clock_then = number("CLOCK_THEN", 0);
    clock_after = number("CLOCK_AFTER", LONG_MAX);
    dir = getenv("FAULTS_DIR");
    dir_len = dir ? strlen(dir) : 0;
}

static int below(const char *path) {
    return dir && calls && what && !strncmp(path, dir, dir_len) &&
           (path[dir_len] == '/' || path[dir_len] == 0 || path[dir_len] == ' ');
}

static int fd_below(int fd) {
    char link[32], path[PATH_MAX];
    if (!dir)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int kept = errno;
    ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = kept;
    if (len <= 0)
        return 0;
    path[len] = 0;
    return below(path);
}

/* Counts a call below the directory. */
static enum outcome fault(char call, int is_below) {
    if (!is_below || !strchr(calls, call))
        return GO_ON;
    long now = atomic_fetch_add(&seen, 1) + 1;
    if (now != nth && !(forever && now > nth))
        return GO_ON;
    int log = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_write, log, &call, 1);
    syscall(SYS_close, log);
    if (!strcmp(what, "stop")) {
        syscall(SYS_kill, getpid(), SIGSTOP);
        return GO_ON;
    }
    if (!strcmp(what, "short"))
        return CUT;
    errno = atoi(what);
    return FAIL;
}

#define NEXT(name) \
    static __typeof__(name) *next; \
    if (!next) \
        next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        NEXT(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        return fault('o', below(path)) == FAIL ? -1 : next(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int at, const char *path, int flags, ...) { \
        NEXT(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = va_arg(rest, mode_t); \
        va_end(rest); \
        int is_below = below(path) || (path[0] != '/' && at >= 0 && fd_below(at)); \
        return fault('o', is_below) == FAIL ? -1 : next(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

#define MOVE(name, call, type, ...) \
    ssize_t name(int fd, type bytes, size_t len __VA_OPT__(, ) __VA_ARGS__ __VA_OPT__(at)) { \
        NEXT(name); \
        enum outcome outcome = fault(call, fd_below(fd)); \
        if (outcome == CUT && len > 1) \
            len /= 2; \
        return outcome == FAIL ? -1 : next(fd, bytes, len __VA_OPT__(, at)); \
    }
MOVE(read, 'r', void *)
MOVE(pread, 'r', void *, off_t)
MOVE(pread64, 'r', void *, off64_t)
MOVE(write, 'w', const void *)
MOVE(pwrite, 'w', const void *, off_t)
MOVE(pwrite64, 'w', const void *, off64_t)

#define SYNC(name) \
    int name(int fd) { \
        NEXT(name); \
        return fault('s', fd_below(fd)) == FAIL ? -1 : next(fd); \
    }
SYNC(fsync)
SYNC(fdatasync)

int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) {
    NEXT(sync_file_range);
    return fault('s', fd_below(fd)) == FAIL ? -1 : next(fd, at, len, flags);
}

#define TRUNCATE(name, type) \
    int name(int fd, type len) { \
        NEXT(name); \
        return fault('t', fd_below(fd)) == FAIL ? -1 : next(fd, len); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    NEXT(rename);
    return fault('n', below(from)) == FAIL ? -1 : next(from, to);
}

int unlink(const char *path) {
    NEXT(unlink);
    return fault('n', below(path)) == FAIL ? -1 : next(path);
}

int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir);
    return fault('n', below(path)) == FAIL ? -1 : next(path, mode);
}

static time_t wrong_by(void) {
    return atomic_fetch_add(&clock_reads, 1) < clock_after ? clock_first : clock_then;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    NEXT(clock_gettime);
    int result = next(id, now);
    if (result == 0 && id == CLOCK_REALTIME)
        now->tv_sec += wrong_by();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    NEXT(gettimeofday);
    int result = next(now, zone);
    if (result == 0)
        now->tv_sec += wrong_by();
    return result;
}

time_t time(time_t *to) {
    NEXT(time);
    time_t now = next(NULL) + wrong_by();
    if (to)
        *to = now;
    return now;
}
