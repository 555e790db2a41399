/* F82: loops that take all events after each wake-up miss none, with every way to wait for
 * ef_event_fd. With edges they did and hung.
 *
 * RUN: DIR pool
 * RUN: DIR ring
 *
 * Each run takes EFIO_EVENTS events, or 20 000, most of them by EPOLLET.
 */
#include "case.h"
#include <sys/epoll.h>

#define FILES 2
#define READS 2
#define TIMEOUT_MS 20000

static char bytes[READS][512];
static const char *path;
static unsigned long events;

static void open_one(void)
{
    CHECK(ef_open(path, O_RDONLY) >= 0);
}

static int at_end(int fd)
{
    char buffer[8192];
    ssize_t count;
    while ((count = ef_read(fd, buffer, sizeof buffer)) > 0) {
    }
    return count == 0;
}

static void take(int at)
{
    ef_event event;
    while (ef_next_event(&event) == 1) {
        events++;
        if (event.kind == EF_KIND_COMPLETED) {
            CHECK(event.error == 0 && event.value == sizeof bytes[0]);
            CHECK(ef_read_at(at, bytes[event.token], sizeof bytes[0], 0, event.token) == 0);
        } else if (event.fd != at
                   && (event.kind == EF_KIND_OPENED || event.kind == EF_KIND_READABLE)
                   && at_end(event.fd)) {
            CHECK(ef_close(event.fd) == 0);
            open_one();
        }
    }
}

/* Waits for `wanted` events, by poll(2) when `set` is -1. */
static void loop(const char *name, int set, int flags, int queue, int at, unsigned long wanted)
{
    struct epoll_event interest = {.events = EPOLLIN | flags};
    if (set >= 0) {
        CHECK(epoll_ctl(set, EPOLL_CTL_ADD, queue, &interest) == 0);
    }
    for (unsigned long end = events + wanted; events < end && failures == 0;) {
        struct epoll_event event;
        struct pollfd pollfd = {.fd = queue, .events = POLLIN};
        int count = set >= 0 ? epoll_wait(set, &event, 1, TIMEOUT_MS)
                             : poll(&pollfd, 1, TIMEOUT_MS);
        unsigned long before = events;
        take(at);
        if (count != 1) {
            fprintf(stderr, "%s: no wake-up after %lu events, and %lu were available\n", name,
                    before, events - before);
            failures++;
        }
        if (set >= 0 && (flags & EPOLLONESHOT)) {
            CHECK(epoll_ctl(set, EPOLL_CTL_MOD, queue, &interest) == 0);
        }
    }
    if (set >= 0) {
        close(set);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    const char *setting = getenv("EFIO_EVENTS");
    unsigned long wanted = (setting ? strtoul(setting, NULL, 10) : 20000) / 10;
    int ring = strcmp(argv[2], "ring") == 0;
    CHECK(ef_set_option(EF_OPTION_BACKEND, ring ? EF_BACKEND_URING : EF_BACKEND_POOL) == 0);
    if (ef_init() != 0 && ring && errno == ENOTSUP) {
        SKIP("io_uring: %s", strerror(errno));
    }
    path = path_of(argv[1], "file");
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 4096; i++) {
        fputc(7, file);
    }
    fclose(file);
    int queue = ef_event_fd(), at = ef_open(path, O_RDONLY);
    CHECK(queue >= 0 && at >= 0);
    for (int i = 0; i < READS; i++) {
        CHECK(ef_read_at(at, bytes[i], sizeof bytes[i], 0, i) == 0);
    }
    for (int i = 0; i < FILES; i++) {
        open_one();
    }
    loop("EPOLLET", epoll_create1(0), EPOLLET, queue, at, 6 * wanted);
    loop("EPOLLONESHOT", epoll_create1(0), EPOLLONESHOT, queue, at, wanted);
    loop("both", epoll_create1(0), EPOLLET | EPOLLONESHOT, queue, at, wanted);
    loop("epoll", epoll_create1(0), 0, queue, at, wanted);
    loop("poll", -1, 0, queue, at, wanted);
    CHECK(ef_shutdown(30000, NULL) == 0);
    printf("%lu events\n", events);
    return result();
}
