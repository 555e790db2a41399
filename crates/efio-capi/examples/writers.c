/*
 * Four threads write forty files in the directory DIR, ten each: file N has BYTES bytes; byte I is
 * the lowest byte of N + I / 7.
 *
 *     cc writers.c -lefio -pthread -o writers && ./writers DIR BYTES
 */
#include <ef_io.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, FILES = 10 };

struct job {
    const char *dir;
    size_t bytes;
    int first;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void fill(unsigned char *block, size_t len, int number, size_t offset)
{
    for (size_t i = 0; i < len; i++) {
        block[i] = (unsigned char)((size_t)number + (offset + i) / 7);
    }
}

static void *write_files(void *arg)
{
    const struct job *job = (const struct job *)arg;
    unsigned char block[10007]; /* a prime: no block is aligned */
    int fds[FILES];
    for (int i = 0; i < FILES; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d", job->dir, job->first + i);
        fds[i] = ef_open(path, O_RDWR | O_CREAT | O_APPEND, 0644);
        if (fds[i] == -1) {
            die(path);
        }
    }
    for (size_t offset = 0; offset < job->bytes; offset += sizeof block) {
        size_t rest = job->bytes - offset;
        size_t len = rest < sizeof block ? rest : sizeof block;
        for (int i = 0; i < FILES; i++) {
            fill(block, len, job->first + i, offset);
            if (ef_write(fds[i], block, len) != (ssize_t)len) {
                die("ef_write");
            }
        }
    }
    for (int i = 0; i < FILES; i++) {
        if (ef_close_immediate(fds[i]) == -1) {
            die("ef_close_immediate");
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    if (argc != 3) {
        fprintf(stderr, "usage: %s DIR BYTES\n", argv[0]);
        return 2;
    }
    ef_init();
    for (int i = 0; i < THREADS; i++) {
        jobs[i].dir = argv[1];
        jobs[i].bytes = strtoul(argv[2], NULL, 10);
        jobs[i].first = i * FILES;
        if (pthread_create(&threads[i], NULL, write_files, &jobs[i]) != 0) {
            die("pthread_create");
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    if (ef_shutdown(10000, NULL) != 0) {
        die("ef_shutdown");
    }
    return 0;
}
