/* F69: pthread_cancel of a thread that is inside a call. The process does not abort, the thread
 * ends, and the library goes on.
 *
 * RUN: DIR write
 * RUN: DIR write_all
 * RUN: DIR sync
 * RUN: DIR open
 * RUN: DIR read
 * RUN: DIR events
 * RUN: DIR queue
 * RUN: EFIO_BACKEND=pool DIR write_all
 * RUN: EFIO_BACKEND=pool DIR open
 */
#include "case.h"

#define THREADS 10

static const char *dir, *what;

static void step(int fd)
{
    char bytes[4096] = {1};
    if (!strcmp(what, "write")) {
        ef_write(fd, bytes, sizeof bytes);
    } else if (!strcmp(what, "write_all")) {
        ef_write_all(fd, bytes, sizeof bytes);
    } else if (!strcmp(what, "sync")) {
        uint64_t mark;
        ef_write(fd, bytes, 1);
        ef_sync_mark(fd, &mark);
    } else if (!strcmp(what, "open")) {
        ef_close_immediate(ef_open(path_of(dir, "file"), O_RDONLY));
    } else if (!strcmp(what, "read")) {
        ef_seek(fd, 0);
        ef_read(fd, bytes, 10);
    } else if (!strcmp(what, "events")) {
        struct ef_event event;
        ef_next_event(&event);
        ef_sync(fd);
    } else {
        ev_queue_type queue = create_ev_queue();
        for (int k = 0; k < 300; k++) {
            ev_queue_enqueue(queue, bytes);
        }
        wf_destroy_ev_queue(queue);
        pthread_testcancel();
    }
}

static void *work(void *name)
{
    int fd = ef_open(path_of(dir, name), O_RDWR | O_CREAT, 0644);
    for (unsigned i = 0;; i++) {
        step(fd);
        if (i % 64 == 0) {
            ef_seek(fd, 0);
            pthread_testcancel();
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    (void)argc;
    dir = argv[1];
    what = argv[2];
    CHECK(ef_init() == 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        void *exit_value = NULL;
        char name[20];
        snprintf(name, sizeof name, "file-%d", i);
        CHECK(pthread_create(&thread, NULL, work, name) == 0);
        usleep(5000 + i * 1700);
        pthread_cancel(thread);
        pthread_join(thread, &exit_value);
        CHECK(exit_value == PTHREAD_CANCELED);
    }
    int fd = ef_open(path_of(dir, "file"), O_WRONLY | O_CREAT, 0644);
    CHECK(opened(fd) == 0);
    CHECK(ef_write_all(fd, "after", 5) == 5);
    CHECK(ef_close_immediate(fd) == 0);
    CHECK(ef_shutdown(20000, NULL) == 0);
    return result();
}
