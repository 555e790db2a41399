/*
 * Copies SRC to DST as programs of the original do: repeats a call until it does not block.
 *
 *     cc copy_poll.c -lefio -o copy_poll && ./copy_poll SRC DST
 */
#include <ef_io.h>
#include <stdio.h>
#include <stdlib.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Waits for an open; sleeps in between. */
static void wait_open(int fd, const char *path)
{
    while (ef_open_status(fd) == -1) {
        if (errno != EAGAIN) {
            die(path);
        }
        usleep(50);
    }
}

int main(int argc, char **argv)
{
    static char block[3 << 20]; /* more than the 1 MiB that the original could read at once */
    if (argc != 3) {
        fprintf(stderr, "usage: %s SRC DST\n", argv[0]);
        return 2;
    }
    ef_init();
    int src = ef_open(argv[1], O_RDONLY);
    int dst = ef_open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (src == -1 || dst == -1) {
        die("ef_open");
    }
    wait_open(src, argv[1]);
    wait_open(dst, argv[2]);

    for (;;) {
        while (ef_poll(src) == 0) {
            usleep(50);
        }
        ssize_t count = ef_read(src, block, sizeof block);
        if (count == -1 && errno == EAGAIN) {
            continue;
        }
        if (count == -1) {
            die(argv[1]);
        }
        if (count == 0) {
            break;
        }
        if (ef_write(dst, block, (size_t)count) != count) {
            die(argv[2]);
        }
    }
    if (ef_close_immediate(dst) == -1) {
        die(argv[2]); /* a byte may be lost: the close returns the error */
    }
    ef_close(src);
    while (ef_close_status(src) == -1 && errno == EAGAIN) {
        usleep(50);
    }
    if (ef_shutdown(10000, NULL) != 0) {
        die("ef_shutdown");
    }
    return 0;
}
