/*
 * Copies SRC to DST; the main thread sleeps until the callback is called.
 *
 *     cc copy_callback.c -lefio -pthread -o copy_callback && ./copy_callback SRC DST
 */
#include <ef_io.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* The calls of the callback, for the main thread. Operation codes: 0 open, 1 read, 2 close. */
struct calls {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fds[3];
    int count[3];
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void on_completed(int fd, int oper, void *cb_data)
{
    struct calls *calls = (struct calls *)cb_data;
    pthread_mutex_lock(&calls->lock);
    calls->fds[oper] = fd;
    calls->count[oper]++;
    pthread_cond_signal(&calls->changed);
    pthread_mutex_unlock(&calls->lock);
}

/* Sleeps until the callback was called `count` times more for `oper`. */
static void wait_for(struct calls *calls, int oper, int count)
{
    pthread_mutex_lock(&calls->lock);
    while (calls->count[oper] < count) {
        pthread_cond_wait(&calls->changed, &calls->lock);
    }
    calls->count[oper] -= count;
    pthread_mutex_unlock(&calls->lock);
}

int main(int argc, char **argv)
{
    static char block[64 << 10];
    struct calls calls = {
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, {0, 0, 0}, {0, 0, 0}};
    if (argc != 3) {
        fprintf(stderr, "usage: %s SRC DST\n", argv[0]);
        return 2;
    }
    ef_init();
    ef_set_cb_func(on_completed, &calls);
    int src = ef_open(argv[1], O_RDONLY);
    int dst = ef_open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (src == -1 || dst == -1) {
        die("ef_open");
    }
    wait_for(&calls, 0, 2);
    if (ef_open_status(src) == -1) {
        die(argv[1]);
    }
    if (ef_open_status(dst) == -1) {
        die(argv[2]);
    }

    ssize_t count;
    while ((count = ef_read(src, block, sizeof block)) != 0) {
        if (count == -1 && errno == EAGAIN) {
            wait_for(&calls, 1, 1);
        } else if (count == -1) {
            die(argv[1]);
        } else if (ef_write(dst, block, (size_t)count) != count) {
            die(argv[2]);
        }
    }

    ef_close(src);
    ef_close(dst);
    wait_for(&calls, 2, 2);
    if (ef_close_status(dst) == -1) {
        die(argv[2]);
    }
    ef_unset_cb_func(); /* the callback does not use `calls` any more */
    if (ef_shutdown(10000, NULL) != 0) {
        die("ef_shutdown");
    }
    return 0;
}
