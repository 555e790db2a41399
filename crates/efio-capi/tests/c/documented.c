/*
 * The behaviour that the original's header documents, and the known failures of the original: reads
 * of more than 1 MiB, a thousand files at once, errors of writes, stale descriptors. It works in
 * the directory DIR.
 */
#include "check.h"
#include <ef_io.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Milliseconds after which a wait fails, on a busy machine as well. */
#define TIMEOUT_MS 100000

static const char *dir;

static char *path_of(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int opened(int fd)
{
    int status;
    while ((status = ef_open_status(fd)) == -1 && errno == EAGAIN) {
        usleep(50);
    }
    return status;
}

static int closed(int fd)
{
    int status;
    while ((status = ef_close_status(fd)) == -1 && errno == EAGAIN) {
        usleep(50);
    }
    return status;
}

static ssize_t read_now(int fd, void *buf, size_t len)
{
    ssize_t count;
    while ((count = ef_read(fd, buf, len)) == -1 && errno == EAGAIN) {
        usleep(50);
    }
    return count;
}

static void before_init(void)
{
    char byte;
    FAILS(ef_open(path_of("unused"), O_RDONLY), EBADF);
    FAILS(ef_open_status(0), EBADF);
    FAILS(ef_read(0, &byte, 1), EBADF);
    FAILS(ef_close(0), EBADF);
    FAILS(ef_event_fd(), EBADF);
    FAILS(ef_shutdown(0, NULL), EBADF);
    FAILS(ef_set_option(0, 1), EINVAL);
    FAILS(ef_set_option(EF_OPTION_BACKEND, 77), EINVAL);
    FAILS(ef_set_option(EF_OPTION_DURABLE_CLOSE, 2), EINVAL);
    CHECK(ef_set_option(EF_OPTION_WORKERS, 0) == 0);
    FAILS(ef_init(), EINVAL);
    CHECK(ef_set_option(EF_OPTION_WORKERS, 4) == 0);
}

/* The whole file with as few reads as it takes; each may be larger than 1 MiB. */
static void large_reads(void)
{
    enum { SIZE = 9000001 };
    unsigned char *bytes = (unsigned char *)malloc(SIZE);
    unsigned char *read = (unsigned char *)malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (unsigned char)(i ^ (i >> 8) ^ (i >> 16));
    }
    char *path = path_of("large");
    int fd = ef_open(path, O_RDWR | O_CREAT, 0600);
    CHECK(opened(fd) == fd);
    CHECK(ef_write(fd, bytes, SIZE) == SIZE);
    size_t largest = 0;
    /* The amount that is read ahead in a time depends on the load of disk and processors. */
    for (unsigned pause = 20000; largest <= 1 << 20 && pause < 10000000; pause *= 2) {
        size_t count = 0;
        CHECK(ef_seek(fd, 0) == 0);
        for (;;) {
            ssize_t n = read_now(fd, read + count, count < SIZE ? SIZE - count : 1);
            CHECK(n >= 0);
            if (n <= 0) {
                break;
            }
            count += (size_t)n;
            largest = (size_t)n > largest ? (size_t)n : largest;
            usleep(pause); /* time to read ahead */
        }
        CHECK(count == SIZE);
    }
    CHECK(largest > 1 << 20);
    CHECK(memcmp(bytes, read, SIZE) == 0);
    CHECK(ef_sync(fd) == 0);
    struct ef_progress marks;
    do {
        usleep(1000);
        CHECK(ef_get_progress(fd, &marks) == 0);
    } while (marks.durable < SIZE && failures == 0);
    CHECK(marks.accepted == SIZE && marks.written == SIZE && marks.durable == SIZE);
    CHECK(ef_error(fd, NULL) == 0);
    CHECK(ef_close_immediate(fd) == 0);
    free(bytes);
    free(read);
}

static void thousand_files(void)
{
    enum { FILES = 1000 };
    static int fds[FILES];
    for (int i = 0; i < FILES; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%d", i);
        fds[i] = ef_open(path_of(name), O_RDWR | O_CREAT, 0600);
        CHECK(fds[i] >= 0);
    }
    for (int i = 0; i < FILES; i++) {
        CHECK(opened(fds[i]) == fds[i]);
        CHECK(ef_write(fds[i], &i, sizeof i) == sizeof i);
    }
    for (int i = 0; i < FILES; i++) {
        int value = -1;
        CHECK(ef_seek(fds[i], 0) == 0);
        CHECK(read_now(fds[i], &value, sizeof value) == sizeof value);
        CHECK(value == i);
        CHECK(ef_close(fds[i]) == 0);
    }
    for (int i = 0; i < FILES; i++) {
        CHECK(closed(fds[i]) == 0);
    }
}

/* A file that may not grow beyond 64 KiB: the calls and the close return the error. */
static void write_errors(void)
{
    static char block[64 << 10];
    int fd = ef_open(path_of("limited"), O_WRONLY | O_CREAT, 0600);
    CHECK(opened(fd) == fd);
    struct rlimit old, limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &old) == 0);
    limit = old;
    limit.rlim_cur = sizeof block;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(ef_write(fd, block, sizeof block) == sizeof block);
    CHECK(ef_write(fd, block, 10) == 10);
    uint64_t lost_from = 0;
    int error = 0;
    ef_sync(fd);
    while ((error = ef_error(fd, &lost_from)) == 0) {
        usleep(1000);
    }
    CHECK(error == EFBIG);
    CHECK(lost_from == sizeof block);
    FAILS(ef_write(fd, block, 1), EFBIG);
    FAILS(ef_sync(fd), EFBIG);
    FAILS(ef_close(fd), EFBIG);
    CHECK(closed(fd) == -1 && errno == EFBIG);

    fd = ef_open(path_of("limited-too"), O_WRONLY | O_CREAT, 0600);
    CHECK(opened(fd) == fd);
    CHECK(ef_write(fd, block, sizeof block) == sizeof block);
    CHECK(ef_write(fd, block, sizeof block) == sizeof block);
    FAILS(ef_close_immediate(fd), EFBIG);
    FAILS(ef_close_status(fd), EFBIG);
    CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
}

static void stale_and_invalid_descriptors(void)
{
    char byte = 'x';
    uint64_t number;
    struct ef_progress marks;
    int fd = ef_open(path_of("stale"), O_RDWR | O_CREAT, 0600);
    CHECK(opened(fd) == fd);
    FAILS(ef_close_status(fd), EINVAL);
    CHECK(ef_close_immediate(fd) == 0);
    CHECK(ef_close_status(fd) == 0);
    /* A new file does not get the number that was closed last. */
    int other = ef_open(path_of("other"), O_RDWR | O_CREAT, 0600);
    CHECK(other >= 0 && other != fd);
    const int wild[] = {fd, -1, -1000, 60000, 0x7fffffff, (int)0x80000000};
    for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
        FAILS(ef_read(wild[i], &byte, 1), EBADF);
        FAILS(ef_write(wild[i], &byte, 1), EBADF);
        FAILS(ef_file_ready_for_read(wild[i]), EBADF);
        FAILS(ef_poll(wild[i]), EBADF);
        FAILS(ef_sync(wild[i]), EBADF);
        FAILS(ef_sync_mark(wild[i], &number), EBADF);
        FAILS(ef_get_progress(wild[i], &marks), EBADF);
        FAILS(ef_error(wild[i], &number), EBADF);
        FAILS(ef_name_state(wild[i], NULL), EBADF);
        FAILS(ef_seek(wild[i], 0), EBADF);
        FAILS(ef_open_status(wild[i]), EBADF);
        FAILS(ef_close(wild[i]), EBADF);
        FAILS(ef_close_immediate(wild[i]), EBADF);
    }
    FAILS(ef_read(other, NULL, 1), EINVAL);
    FAILS(ef_read(other, &byte, 0), EINVAL);
    FAILS(ef_read(other, &byte, (size_t)-1), EINVAL);
    FAILS(ef_write(other, NULL, 1), EINVAL);
    FAILS(ef_write(other, &byte, 0), EINVAL);
    FAILS(ef_get_progress(other, NULL), EINVAL);
    FAILS(ef_next_event(NULL), EINVAL);
    FAILS(ef_seek(other, (uint64_t)-1), EINVAL);
    CHECK(ef_close_immediate(other) == 0);
}

/* Many files after each other: no number of one names another, and each close has its result. */
static void stale_numbers(void)
{
    enum { FILES = 300 };
    int fds[FILES];
    for (int i = 0; i < FILES; i++) {
        fds[i] = ef_open(path_of(i % 3 ? "stale" : "missing"), O_RDWR);
        if (i % 2) {
            CHECK(closed(fds[i]) == -1 && errno == EINVAL);
            opened(fds[i]); /* closes it after a failed open */
        }
        ef_close(fds[i]);
        if (i % 5) {
            closed(fds[i]);
        }
    }
    int last = ef_open(path_of("stale"), O_RDWR);
    CHECK(opened(last) == last);
    for (int i = 0; i < FILES; i++) {
        CHECK(fds[i] >= 0 && fds[i] != last);
        FAILS(ef_write(fds[i], "stale", 5), EBADF);
        FAILS(ef_close(fds[i]), EBADF);
        CHECK(i % 3 ? closed(fds[i]) == 0 : closed(fds[i]) == -1 && errno == ENOENT);
    }
    CHECK(ef_close_immediate(last) == 0);
}

static void opens_that_fail(void)
{
    char byte = 'x';
    FAILS(ef_open(NULL, O_RDONLY), EINVAL);
    FAILS(ef_open("", O_RDONLY), EINVAL);
    FAILS(ef_open(path_of("x"), O_APPEND), EINVAL);
    FAILS(ef_open(path_of("x"), O_ACCMODE), EINVAL);
    int fd = ef_open(path_of("missing"), O_RDONLY);
    CHECK(fd >= 0);
    CHECK(opened(fd) == -1 && errno == ENOENT);
    FAILS(ef_open_status(fd), EBADF); /* the failed open has closed it */
    FAILS(ef_read(fd, &byte, 1), EBADF);
    fd = ef_open(dir, O_RDONLY);
    CHECK(opened(fd) == -1 && errno == EISDIR);
    /* A close after a failed open returns the error once more. */
    fd = ef_open(path_of("missing"), O_RDONLY);
    usleep(20000);
    FAILS(ef_close_immediate(fd), ENOENT);
    /* Access is checked. */
    fd = ef_open(path_of("other"), O_RDONLY);
    CHECK(opened(fd) == fd);
    FAILS(ef_write(fd, &byte, 1), EBADF);
    CHECK(ef_close_immediate(fd) == 0);
    fd = ef_open(path_of("other"), O_WRONLY);
    CHECK(opened(fd) == fd);
    FAILS(ef_read(fd, &byte, 1), EBADF);
    CHECK(ef_poll(fd) == 1);
    CHECK(ef_close_immediate(fd) == 0);
}

static void readiness(void)
{
    char buf[16];
    ssize_t ready;
    int fd = ef_open(path_of("ready"), O_RDWR | O_CREAT, 0600);
    CHECK(opened(fd) == fd);
    CHECK(ef_write(fd, "0123456789", 10) == 10);
    CHECK(ef_seek(fd, 4) == 0);
    while ((ready = ef_file_ready_for_read(fd)) == -1 && errno == EAGAIN) {
        usleep(50);
    }
    CHECK(ready == 1);
    CHECK(ef_poll(fd) == 3);
    CHECK(ef_read(fd, buf, sizeof buf) == 6);
    CHECK(memcmp(buf, "456789", 6) == 0);
    while ((ready = ef_file_ready_for_read(fd)) == -1 && errno == EAGAIN) {
        usleep(50);
    }
    CHECK(ready == 0);
    CHECK(ef_read(fd, buf, sizeof buf) == 0);
    CHECK(ef_close_immediate(fd) == 0);
}

struct calls {
    pthread_mutex_t lock;
    int count[3]; /* by operation code */
    int inner;    /* result of a close that the callback waited for */
    int shutdown;
};

static void on_completed(int fd, int oper, void *data)
{
    struct calls *calls = (struct calls *)data;
    pthread_mutex_lock(&calls->lock);
    int is_first_open = ++calls->count[oper] == 1 && oper == 0;
    pthread_mutex_unlock(&calls->lock);
    if (is_first_open) {
        /* A callback may call everything but ef_shutdown, calls that wait included. */
        int other = ef_open(path_of("ready"), O_RDONLY);
        while (ef_open_status(other) == -1 && errno == EAGAIN) {
            usleep(50);
        }
        ef_unset_cb_func();
        ef_set_cb_func(on_completed, data);
        calls->shutdown = ef_shutdown(0, NULL) == -1 && errno == EDEADLK;
        calls->inner = ef_close_immediate(other);
        (void)fd;
    }
}

static int count_of(struct calls *calls, int oper)
{
    pthread_mutex_lock(&calls->lock);
    int count = calls->count[oper];
    pthread_mutex_unlock(&calls->lock);
    return count;
}

static int slow_begun, slow_done;

static void on_slow(int fd, int oper, void *data)
{
    (void)fd, (void)oper, (void)data;
    __atomic_store_n(&slow_begun, 1, __ATOMIC_SEQ_CST);
    usleep(100000);
    __atomic_store_n(&slow_done, 1, __ATOMIC_SEQ_CST);
}

/* After ef_unset_cb_func the data of the function can be freed. */
static void unset_waits(void)
{
    ef_set_cb_func(on_slow, NULL);
    int fd = ef_open(path_of("ready"), O_RDONLY);
    while (!__atomic_load_n(&slow_begun, __ATOMIC_SEQ_CST)) {
        usleep(100);
    }
    ef_unset_cb_func();
    CHECK(__atomic_load_n(&slow_done, __ATOMIC_SEQ_CST));
    CHECK(ef_close_immediate(fd) == 0);
}

static void callbacks(void)
{
    struct calls calls = {PTHREAD_MUTEX_INITIALIZER, {0, 0, 0}, -1, 0};
    char byte;
    int fd = ef_open(path_of("ready"), O_RDONLY);
    CHECK(opened(fd) == fd);
    read_now(fd, &byte, 1); /* the event of the open came before that of its bytes */
    CHECK(ef_set_cb_func(on_completed, &calls) == 0);
    CHECK(ef_close_immediate(fd) == 0);
    pthread_mutex_lock(&calls.lock);
    CHECK(calls.count[2] == 1); /* before ef_close_immediate returned, as in the original */
    pthread_mutex_unlock(&calls.lock);
    ef_set_cb_func(NULL, NULL);
    CHECK(calls.count[0] == 0);

    ef_set_cb_func(on_completed, &calls);
    fd = ef_open(path_of("missing"), O_RDONLY);
    CHECK(opened(fd) == -1 && errno == ENOENT); /* code 0, and no code 2 for its close */
    /* Code 2 comes for the file that the callback opened, and not for the one that failed. */
    for (int i = 0; i < TIMEOUT_MS && count_of(&calls, 2) < 2; i++) {
        usleep(1000);
    }
    usleep(20000);
    ef_unset_cb_func();
    CHECK(calls.count[0] >= 1 && calls.count[2] == 2);
    CHECK(calls.inner == 0 && calls.shutdown);
    int before = calls.count[0] + calls.count[1] + calls.count[2];
    fd = ef_open(path_of("ready"), O_RDONLY);
    CHECK(opened(fd) == fd);
    read_now(fd, &byte, 1);
    CHECK(ef_close_immediate(fd) == 0);
    CHECK(calls.count[0] + calls.count[1] + calls.count[2] == before);
}

/* The event queue. */
static void events(void)
{
    struct ef_event event;
    uint64_t mark = 0;
    int seen[6] = {0, 0, 0, 0, 0, 0};
    CHECK(ef_event_fd() >= 0);
    int fd = ef_open(path_of("events"), O_RDWR | O_CREAT, 0600);
    CHECK(ef_write(fd, "abc", 3) == 3);
    CHECK(ef_sync_mark(fd, &mark) == 0);
    CHECK(mark == 3);
    for (int i = 0; i < TIMEOUT_MS && !seen[EF_KIND_CLOSED]; i++) {
        while (ef_next_event(&event) == 1) {
            CHECK(event.fd == fd && event.kind < 6);
            seen[event.kind]++;
            if (event.kind == EF_KIND_SYNCED && seen[EF_KIND_SYNCED] == 1) {
                CHECK(event.value == 3 && event.error == 0);
                CHECK(ef_close(fd) == 0);
            }
        }
        usleep(1000);
    }
    CHECK(seen[EF_KIND_OPENED] == 1 && seen[EF_KIND_SYNCED] >= 1 && seen[EF_KIND_CLOSED] == 1);
    CHECK(seen[EF_KIND_FAILED] == 0);
}

/* Waits for an event of `kind`; drops others. */
static struct ef_event next_of(int kind)
{
    struct ef_event event;
    for (int i = 0; i < TIMEOUT_MS; i++) {
        while (ef_next_event(&event) == 1) {
            if (event.kind == kind) {
                return event;
            }
        }
        usleep(1000);
    }
    CHECK(!"an event in time");
    event.fd = -1;
    return event;
}

/* Reads and writes at an offset, whose bytes and results come with events. */
static void positional(void)
{
    enum { LEN = 100000, PARTS = 8 };
    static char written[PARTS][LEN], read[PARTS][LEN];
    struct ef_event event;
    int seen = 0;
    while (ef_next_event(&event) == 1) {
    }
    int fd = ef_open(path_of("positional"), O_RDWR | O_CREAT, 0600);
    CHECK(opened(fd) == fd);
    for (int i = PARTS - 1; i >= 0; i--) {
        memset(written[i], 'a' + i, LEN);
        CHECK(ef_write_at(fd, written[i], LEN, (uint64_t)i * LEN, 1000 + (uint64_t)i) == 0);
        memset(written[i], 0, LEN); /* it was copied */
    }
    for (int i = 0; i < PARTS; i++) {
        event = next_of(EF_KIND_COMPLETED);
        CHECK(event.fd == fd && event.error == 0 && event.value == LEN);
        CHECK(event.token >= 1000 && event.token < 1000 + PARTS);
        seen |= 1 << (event.token - 1000);
    }
    CHECK(seen == (1 << PARTS) - 1);
    for (int i = 0; i < PARTS; i++) {
        CHECK(ef_read_at(fd, read[i], LEN, (uint64_t)i * LEN, (uint64_t)i) == 0);
    }
    for (int i = 0; i < PARTS; i++) {
        event = next_of(EF_KIND_COMPLETED);
        CHECK(event.error == 0 && event.value == LEN && event.token < PARTS);
        memset(written[0], 'a' + (int)event.token, LEN);
        CHECK(memcmp(read[event.token], written[0], LEN) == 0);
    }
    /* Only the end of file makes a read short; the rest of the buffer is unchanged. */
    memset(read[0], '?', LEN);
    CHECK(ef_read_at(fd, read[0], LEN, PARTS * LEN - 3, 7) == 0);
    event = next_of(EF_KIND_COMPLETED);
    CHECK(event.token == 7 && event.value == 3);
    CHECK(memcmp(read[0], "hhh???", 6) == 0);

    CHECK(ef_truncate(fd, 5) == 0);
    event = next_of(EF_KIND_TRUNCATED);
    CHECK(event.fd == fd && event.value == 5);
    CHECK(read_now(fd, read[0], LEN) == 5); /* the position was never moved */
    FAILS(ef_read_at(fd, NULL, 1, 0, 0), EINVAL);
    FAILS(ef_read_at(fd, read[0], 0, 0, 0), EINVAL);
    FAILS(ef_read_at(fd, read[0], EF_AT_MAX + 1, 0, 0), EINVAL);
    FAILS(ef_write_at(fd, read[0], 1, (uint64_t)-1, 0), EINVAL);
    FAILS(ef_truncate(fd, (uint64_t)-1), EINVAL);
    CHECK(ef_close_immediate(fd) == 0);
    FAILS(ef_read_at(fd, read[0], 1, 0, 0), EBADF);
    FAILS(ef_write_at(fd, read[0], 1, 0, 0), EBADF);
    FAILS(ef_truncate(fd, 0), EBADF);

    fd = ef_open(path_of("positional"), O_RDONLY);
    FAILS(ef_write_at(fd, read[0], 1, 0, 0), EBADF);
    CHECK(ef_close_immediate(fd) == 0);
    fd = ef_open(path_of("positional"), O_WRONLY | O_APPEND);
    FAILS(ef_write_at(fd, read[0], 1, 0, 0), EINVAL);
    FAILS(ef_read_at(fd, read[0], 1, 0, 0), EBADF);
    CHECK(ef_close_immediate(fd) == 0);
    while (ef_next_event(&event) == 1) {
        CHECK(event.kind != EF_KIND_COMPLETED); /* nothing was submitted */
    }
}

/* Each event has the number that the program gave the file. */
static void user_data(void)
{
    struct ef_event event;
    static char read[3];
    uint64_t number = UINT64_MAX - 1;
    while (ef_next_event(&event) == 1) {
    }
    FAILS(ef_open_user_data(NULL, O_RDONLY, 0, number), EINVAL);
    int fd = ef_open_user_data(path_of("user-data"), O_RDWR | O_CREAT, 0600, number);
    int other = ef_open(path_of("no-user-data"), O_RDWR | O_CREAT, 0600);
    CHECK(ef_write(fd, "abc", 3) == 3 && ef_write(other, "abc", 3) == 3);
    CHECK(ef_read_at(fd, read, 3, 0, 5) == 0);
    CHECK(ef_sync(fd) == 0);
    CHECK(ef_truncate(fd, 2) == 0);
    int kinds = 0, wrong = 0, is_closed = 0;
    for (int i = 0; i < TIMEOUT_MS && is_closed < 2; i++) {
        while (ef_next_event(&event) == 1) {
            wrong += event.user_data != (event.fd == fd ? number : 0);
            kinds |= event.fd == fd ? 1 << event.kind : 0;
            is_closed += event.kind == EF_KIND_CLOSED;
            if (event.kind == EF_KIND_TRUNCATED) {
                CHECK(ef_close(fd) == 0 && ef_close(other) == 0);
            }
        }
        usleep(1000);
    }
    int all = 1 << EF_KIND_OPENED | 1 << EF_KIND_COMPLETED | 1 << EF_KIND_SYNCED
              | 1 << EF_KIND_TRUNCATED | 1 << EF_KIND_CLOSED;
    CHECK((kinds & all) == all && wrong == 0);
    /* The event of a failed open has it as well. */
    fd = ef_open_user_data(path_of("missing"), O_RDONLY, 0, 9);
    event = next_of(EF_KIND_FAILED);
    CHECK(event.fd == fd && event.error == ENOENT && event.user_data == 9);
    FAILS(ef_close_immediate(fd), ENOENT);
}

/* Whether the name of a file is durable. */
static void names(void)
{
    int error = -1;
    char *path = path_of("name");
    remove(path);
    int fd = ef_open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(opened(fd) == fd);
    CHECK(ef_name_state(fd, &error) == EF_NAME_PENDING && error == 0);
    CHECK(ef_write(fd, "x", 1) == 1);
    CHECK(ef_sync(fd) == 0);
    for (int i = 0; i < TIMEOUT_MS && ef_name_state(fd, NULL) == EF_NAME_PENDING; i++) {
        usleep(1000);
    }
    /* Not durable on a file system that cannot sync a directory. */
    int state = ef_name_state(fd, &error);
    CHECK(state == EF_NAME_DURABLE ? error == 0 : state == EF_NAME_UNKNOWN && error > 0);
    CHECK(ef_close_immediate(fd) == 0);
    FAILS(ef_name_state(fd, &error), EBADF);

    fd = ef_open(path, O_RDONLY);
    CHECK(opened(fd) == fd);
    CHECK(ef_name_state(fd, &error) == EF_NAME_NOT_NEW && error == 0);
    CHECK(ef_close_immediate(fd) == 0);
}

/* In a child every call fails, and the parent goes on. */
static void forked_child(void)
{
    int fd = ef_open(path_of("parent"), O_RDWR | O_CREAT, 0600);
    CHECK(opened(fd) == fd);
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct ef_event event;
        char byte = 'x';
        failures = 0;
        FAILS(ef_write(fd, &byte, 1), ESHUTDOWN);
        FAILS(ef_read(fd, &byte, 1), ESHUTDOWN);
        FAILS(ef_open(path_of("child"), O_RDONLY), ESHUTDOWN);
        FAILS(ef_next_event(&event), ESHUTDOWN);
        FAILS(ef_close_immediate(fd), ESHUTDOWN);
        FAILS(ef_init(), ESHUTDOWN);
        FAILS(ef_shutdown(0, NULL), ESHUTDOWN);
        ssize_t sent = write(ends[1], &failures, sizeof failures);
        /* At an exit a leak checker would look for memory that the parent's threads own. */
        kill(getpid(), sent == sizeof failures ? SIGKILL : SIGABRT);
    }
    int status, of_child = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK(read(ends[0], &of_child, sizeof of_child) == sizeof of_child && of_child == 0);
    close(ends[0]);
    close(ends[1]);
    CHECK(ef_write(fd, "x", 1) == 1);
    CHECK(ef_close_immediate(fd) == 0);
}

enum { MUCH = 32 << 20 };

static void *write_much(void *fd)
{
    char *bytes = (char *)calloc(1, MUCH);
    ssize_t count = 0, all = 0;
    while ((count = ef_write(*(int *)fd, bytes, MUCH)) == MUCH) {
        all += count;
    }
    CHECK(count >= 0 || errno == EBADF);
    free(bytes);
    return (void *)(all + (count > 0 ? count : 0));
}

/* A write waits for room, until all is accepted or the file is closed by another thread. */
static void writes_that_wait(void)
{
    pthread_t thread;
    void *count;
    struct stat st;
    char *path = path_of("much");
    int fd = ef_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(pthread_create(&thread, NULL, write_much, &fd) == 0);
    struct ef_progress progress = {0, 0, 0};
    for (int i = 0; i < TIMEOUT_MS && progress.accepted < MUCH + MUCH / 2; i++) {
        CHECK(ef_get_progress(fd, &progress) == 0);
        usleep(1000);
    }
    CHECK(ef_close_immediate(fd) == 0);
    CHECK(pthread_join(thread, &count) == 0);
    CHECK((size_t)count > MUCH && stat(path, &st) == 0 && (size_t)st.st_size == (size_t)count);
    remove(path);
}

static void shutdown_and_again(void)
{
    uint64_t unwritten = 1;
    int left = ef_open(path_of("left-open"), O_WRONLY | O_CREAT, 0600);
    CHECK(opened(left) == left);
    CHECK(ef_write(left, "kept", 4) == 4);
    FAILS(ef_set_option(EF_OPTION_WORKERS, 2), EBUSY);
    CHECK(ef_init() == 0); /* it is running: nothing happens */
    CHECK(ef_shutdown(10000, &unwritten) == 0);
    CHECK(unwritten == 0);
    FAILS(ef_write(left, "lost", 4), ESHUTDOWN);
    FAILS(ef_shutdown(0, NULL), EBADF);
    FILE *file = fopen(path_of("left-open"), "r");
    char text[8] = "";
    CHECK(file != NULL && fread(text, 1, sizeof text, file) == 4);
    CHECK(memcmp(text, "kept", 4) == 0);
    fclose(file);

    /* Two files at once. */
    CHECK(ef_set_option(EF_OPTION_MAX_FILES, 2) == 0);
    CHECK(ef_set_option(EF_OPTION_MEMORY_BUDGET, 4 << 20) == 0);
    CHECK(ef_init() == 0);
    FAILS(ef_write(left, "lost", 4), EBADF);
    int one = ef_open(path_of("one"), O_RDWR | O_CREAT, 0600);
    int two = ef_open(path_of("two"), O_RDWR | O_CREAT, 0600);
    CHECK(one >= 0 && two >= 0 && one != two);
    /* No number of the first engine names one of these, of its first thousand or the last. */
    for (int number = 0; number < 1000; number++) {
        FAILS(ef_close(number), EBADF);
    }
    FAILS(ef_close(left), EBADF);
    FAILS(ef_close_status(left), EBADF);
    FAILS(ef_open(path_of("three"), O_RDWR | O_CREAT, 0600), EMFILE);
    CHECK(ef_close_immediate(one) == 0);
    CHECK(ef_close_immediate(two) == 0);
    writes_that_wait();
    CHECK(ef_shutdown(10000, NULL) == 0);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    dir = argv[1];
    before_init();
    CHECK(ef_init() == 0);
    large_reads();
    thousand_files();
    write_errors();
    stale_and_invalid_descriptors();
    stale_numbers();
    opens_that_fail();
    readiness();
    callbacks();
    unset_waits();
    events();
    positional();
    user_data();
    names();
    forked_child();
    shutdown_and_again();
    return failures == 0 ? 0 : 1;
}
