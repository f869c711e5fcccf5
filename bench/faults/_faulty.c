/* A C library whose files can fail: preloaded, it counts what a process does to files below some
 * folders, and lets the n-th of these operations go wrong. Armed by faulty_arm, from Python by
 * ctypes; without that everything is passed through.
 *
 * cc -shared -fPIC -O1 -o faulty.so _faulty.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 0, FULL = 1, BROKEN = 2, KILLED = 3 };
enum { READING = 1, WRITING = 2 };

static char *roots[8];
static int n_roots, kind, minds;
static long at, count;
static int armed, told = -1;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* roots: folders, one a line; at: which operation; kind: as above; minds: READING | WRITING. */
void faulty_arm(const char *folders, long which, int how, int classes, const char *log)
{
    char *text = strdup(folders), *rest = NULL;
    for (char *one = strtok_r(text, "\n", &rest); one && n_roots < 8; one = strtok_r(NULL, "\n", &rest))
        roots[n_roots++] = one;
    at = which, kind = how, minds = classes, count = 0;
    if (log && *log)
        told = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    armed = 1;
}

static int below(const char *path)
{
    for (int i = 0; i < n_roots; i++)
        if (!strncmp(path, roots[i], strlen(roots[i])))
            return 1;
    return 0;
}

static const char *of_handle(int handle, char *place, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, place, size - 1);
    place[length < 0 ? 0 : length] = 0;
    return place;
}

static const char *joined(int folder, const char *path, char *place, size_t size)
{
    if (*path == '/')
        return path;
    char within[4096] = "";
    if (folder == AT_FDCWD) {
        if (!getcwd(within, sizeof within)) *within = 0;
    } else
        of_handle(folder, within, sizeof within);
    snprintf(place, size, "%s/%s", within, path);
    return place;
}

/* What is to become of this operation: 0, or an errno; -1: half of it, then what the kind says. */
static int verdict(int class, const char *what, const char *path)
{
    if (!armed || !(class & minds) || !below(path))
        return 0;
    long number = __sync_add_and_fetch(&count, 1);
    if (told >= 0)
        dprintf(told, "%ld %s %s\n", number, what, path);
    if (kind == COUNT || number < at || (number > at && kind != FULL))
        return 0;
    if (number == at)
        dprintf(2, "(the fault)\n");
    int halves = !strcmp(what, "write") && number == at;
    if (kind == KILLED) {
        if (halves)
            return -1;
        kill(getpid(), SIGKILL);
        pause();
    }
    if (kind == FULL) {
        if (!strcmp(what, "rename") || !strcmp(what, "remove"))
            return 0;
        return halves ? -1 : ENOSPC;
    }
    return EIO;
}

#define FAILS(found) if ((found) > 0) { errno = (found); return -1; }

static ssize_t cut(ssize_t written)
{
    if (kind == KILLED) {
        kill(getpid(), SIGKILL);
        pause();
    }
    if (written <= 0) {
        errno = ENOSPC;
        return -1;
    }
    return written;
}

static int opened(int folder, const char *path, int flags)
{
    char place[8192];
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    return verdict(writes ? WRITING : READING, writes ? "create" : "open",
                   joined(folder, path, place, sizeof place));
}

/* The permissions that come after flags that may create a file. */
#define MODE \
    va_list more; \
    va_start(more, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(name); \
        MODE \
        int found = opened(AT_FDCWD, path, flags); \
        FAILS(found) \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) \
    { \
        REAL(name); \
        MODE \
        int found = opened(folder, path, flags); \
        FAILS(found) \
        return real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int handle, const void *data, size_t size)
{
    REAL(write);
    char place[4096];
    int found = armed ? verdict(WRITING, "write", of_handle(handle, place, sizeof place)) : 0;
    FAILS(found)
    return found < 0 ? cut(real(handle, data, size / 2)) : real(handle, data, size);
}

#define PWRITE(name, offset_type) \
    ssize_t name(int handle, const void *data, size_t size, offset_type offset) \
    { \
        REAL(name); \
        char place[4096]; \
        int found = armed ? verdict(WRITING, "write", of_handle(handle, place, sizeof place)) : 0; \
        FAILS(found) \
        return found < 0 ? cut(real(handle, data, size / 2, offset)) : real(handle, data, size, offset); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int handle, const struct iovec *parts, int n)
{
    REAL(writev);
    char place[4096];
    int found = armed ? verdict(WRITING, "write", of_handle(handle, place, sizeof place)) : 0;
    FAILS(found)
    return found < 0 ? cut(real(handle, parts, n / 2)) : real(handle, parts, n);
}

/* NumPy writes arrays by the C library's streams. */
size_t fwrite(const void *data, size_t size, size_t n, FILE *stream)
{
    REAL(fwrite);
    char place[4096];
    int found = armed ? verdict(WRITING, "write", of_handle(fileno(stream), place, sizeof place)) : 0;
    if (!found)
        return real(data, size, n, stream);
    size_t written = found < 0 ? real(data, size, n / 2, stream) : 0;
    if (found < 0)
        fflush(stream);
    if (kind == KILLED) {
        kill(getpid(), SIGKILL);
        pause();
    }
    errno = kind == FULL ? ENOSPC : EIO;
    return written;
}

#define READ(name, offset_type) \
    ssize_t name(int handle, void *data, size_t size, offset_type offset) \
    { \
        REAL(name); \
        char place[4096]; \
        int found = armed ? verdict(READING, "read", of_handle(handle, place, sizeof place)) : 0; \
        FAILS(found) \
        return real(handle, data, size, offset); \
    }
READ(pread, off_t)
READ(pread64, off64_t)

ssize_t read(int handle, void *data, size_t size)
{
    REAL(read);
    char place[4096];
    int found = armed ? verdict(READING, "read", of_handle(handle, place, sizeof place)) : 0;
    FAILS(found)
    return real(handle, data, size);
}

#define OF_HANDLE(name, what, parameters, given) \
    int name parameters \
    { \
        REAL(name); \
        char place[4096]; \
        int found = armed ? verdict(WRITING, what, of_handle(handle, place, sizeof place)) : 0; \
        if (found < 0) found = ENOSPC; \
        FAILS(found) \
        return real given; \
    }
OF_HANDLE(fsync, "sync", (int handle), (handle))
OF_HANDLE(fdatasync, "sync", (int handle), (handle))
OF_HANDLE(ftruncate, "truncate", (int handle, off_t size), (handle, size))
OF_HANDLE(ftruncate64, "truncate", (int handle, off64_t size), (handle, size))

int rename(const char *from, const char *to)
{
    REAL(rename);
    char place[8192];
    int found = armed ? verdict(WRITING, "rename", joined(AT_FDCWD, to, place, sizeof place)) : 0;
    FAILS(found)
    return real(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    char place[8192];
    int found = armed ? verdict(WRITING, "mkdir", joined(AT_FDCWD, path, place, sizeof place)) : 0;
    FAILS(found)
    return real(path, mode);
}

int unlink(const char *path)
{
    REAL(unlink);
    char place[8192];
    int found = armed ? verdict(WRITING, "remove", joined(AT_FDCWD, path, place, sizeof place)) : 0;
    FAILS(found)
    return real(path);
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    char place[8192];
    int found = armed ? verdict(WRITING, "remove", joined(folder, path, place, sizeof place)) : 0;
    FAILS(found)
    return real(folder, path, flags);
}
