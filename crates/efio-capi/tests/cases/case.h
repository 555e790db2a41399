/* Shared by the cases. A case includes it first, and ends with `return result();`. */
#ifndef CASE_H_INCLUDED
#define CASE_H_INCLUDED

#define _GNU_SOURCE
#include <efio.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failures;

/* Prints what does not hold, and goes on. */
#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s does not hold; errno: %s\n", __FILE__, __LINE__, #what,     \
                    strerror(errno));                                                              \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

/* Checks that `call` fails with `error`. */
#define FAILS(call, error)                                                                         \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK((call) == -1 && errno == (error));                                                   \
    } while (0)

/* Ends the program as skipped: a privilege or a tool is missing. */
#define SKIP(...)                                                                                  \
    do {                                                                                           \
        printf("SKIPPED: ");                                                                       \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
        exit(77);                                                                                  \
    } while (0)

static inline int result(void)
{
    return failures != 0;
}

/* The path of `name` in the directory `dir`; eight results are valid at a time. */
static inline char *path_of(const char *dir, const char *name)
{
    static __thread char paths[8][4096];
    static __thread unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Waits for an open: its errno, 0 when the file is open, ETIME after ten seconds. */
static inline int opened(int fd)
{
    double end = now() + 10;
    while (ef_open_status(fd) < 0) {
        if (errno != EAGAIN) {
            return errno;
        }
        if (now() > end) {
            return ETIME;
        }
        usleep(200);
    }
    return 0;
}

/* Waits for a close: its errno, 0 when all is well, ETIME after ten seconds. */
static inline int closed(int fd)
{
    double end = now() + 10;
    while (ef_close_status(fd) < 0) {
        if (errno != EAGAIN) {
            return errno;
        }
        if (now() > end) {
            return ETIME;
        }
        usleep(200);
    }
    return 0;
}

/* Reads to the end of file, `step` bytes at a time, `cap` at most. Returns the number of bytes, or
 * -errno. */
static inline ssize_t slurp(int fd, char *buf, size_t cap, size_t step)
{
    size_t have = 0;
    double end = now() + 10;
    while (have < cap) {
        ssize_t count = ef_read(fd, buf + have, cap - have < step ? cap - have : step);
        if (count == 0) {
            break;
        }
        if (count > 0) {
            have += count;
        } else if (errno != EAGAIN) {
            return -errno;
        } else if (now() > end) {
            return -ETIME;
        } else {
            usleep(100);
        }
    }
    return have;
}

static inline void write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd >= 0) {
        (void)!write(fd, text, strlen(text));
        close(fd);
    }
}

/* Mounts a tmpfs of `bytes` bytes at `dir`, for this process only. To be called before the first
 * thread. */
static inline void small_disk(const char *dir, size_t bytes)
{
    char text[64];
    int uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWNS)) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) {
            SKIP("a mount of its own: %s", strerror(errno));
        }
        write_to("/proc/self/setgroups", "deny");
        snprintf(text, sizeof text, "0 %d 1", uid);
        write_to("/proc/self/uid_map", text);
        snprintf(text, sizeof text, "0 %d 1", gid);
        write_to("/proc/self/gid_map", text);
    }
    snprintf(text, sizeof text, "size=%zu", bytes);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("efio", dir, "tmpfs", 0, text)) {
        SKIP("a small tmpfs: %s", strerror(errno));
    }
}

#endif
