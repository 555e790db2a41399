/*
 * Copies SRC to DST in a libev loop, which waits for the library's descriptor as for a socket.
 *
 *     cc copy_libev.c -lefio -lev -o copy_libev && ./copy_libev SRC DST
 */
#include <efio.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct copy {
    const char *names[2];
    int src;
    int dst;
    int closed;        /* how many of the two */
    size_t from, upto; /* bytes of `block` that were read and not written */
    char block[256 << 10];
};

static void die(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(1);
}

/* Copies until a call would block. Its event calls this again. */
static void copy_more(struct copy *copy)
{
    for (;;) {
        while (copy->from < copy->upto) {
            ssize_t count = ef_write(copy->dst, copy->block + copy->from, copy->upto - copy->from);
            if (count == -1) {
                die(copy->names[1], errno);
            }
            if (count == 0) {
                return; /* the memory budget is used up */
            }
            copy->from += (size_t)count;
        }
        ssize_t count = ef_read(copy->src, copy->block, sizeof copy->block);
        if (count == -1 && errno == EAGAIN) {
            return;
        }
        if (count == -1) {
            die(copy->names[0], errno);
        }
        if (count == 0) {
            ef_close(copy->src);
            ef_close(copy->dst);
            return;
        }
        copy->from = 0;
        copy->upto = (size_t)count;
    }
}

static void on_events(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct copy *copy = (struct copy *)watcher->data;
    struct ef_event event;
    (void)revents;
    while (ef_next_event(&event) == 1) {
        switch (event.kind) {
        case EF_KIND_READABLE:
        case EF_KIND_WRITABLE:
            copy_more(copy);
            break;
        case EF_KIND_FAILED:
            die(copy->names[event.user_data], event.error);
            break;
        case EF_KIND_CLOSED:
            if (event.error != 0) {
                die(copy->names[event.user_data], event.error);
            }
            if (++copy->closed == 2) {
                ev_break(loop, EVBREAK_ALL);
            }
            break;
        default: /* opened: the first read is in flight */
            break;
        }
    }
}

int main(int argc, char **argv)
{
    static struct copy copy;
    static ev_io watcher;
    if (argc != 3) {
        fprintf(stderr, "usage: %s SRC DST\n", argv[0]);
        return 2;
    }
    if (ef_init() == -1) {
        die("ef_init", errno);
    }
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    memset(&watcher, 0, sizeof watcher);
    watcher.data = &copy;
    ev_init(&watcher, on_events);
    ev_io_set(&watcher, ef_event_fd(), EV_READ);
    ev_io_start(loop, &watcher);

    copy.names[0] = argv[1];
    copy.names[1] = argv[2];
    /* Each event has the index of its file as user data. */
    copy.src = ef_open_user_data(argv[1], O_RDONLY, 0, 0);
    copy.dst = ef_open_user_data(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644, 1);
    if (copy.src == -1 || copy.dst == -1) {
        die("ef_open", errno);
    }
    copy_more(&copy); /* reads and writes need not wait for the open */
    ev_run(loop, 0);

    ev_io_stop(loop, &watcher);
    ev_loop_destroy(loop);
    if (ef_shutdown(10000, NULL) != 0) {
        die("ef_shutdown", errno);
    }
    return 0;
}
