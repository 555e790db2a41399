/* F84: ef_shutdown counts the bytes that a full disk did not take, of files that were left open,
 * closed, or closed long ago without a call of ef_close_status. What ef_close_status returned is
 * not counted again. */
#include "case.h"
#include <fcntl.h>

#define SIZE (1 << 20)

static const char *dir;

static long accept(int fd)
{
    static char bytes[SIZE];
    long n = 0, k;
    while (n < SIZE && (k = ef_write(fd, bytes + n, SIZE - n)) >= 0) {
        n += k;
        if (k == 0) {
            poll(0, 0, 1);
        }
    }
    return n;
}

static void scenario(const char *how)
{
    uint64_t left = 99;
    struct stat st;
    char *path = path_of(dir, "file");
    remove(path);
    CHECK(ef_set_option(EF_OPTION_FLUSH_INTERVAL_MS, 600000) == 0);
    CHECK(ef_init() == 0);
    int fd = ef_open(path, O_WRONLY | O_CREAT, 0666);
    CHECK(opened(fd) == 0);
    long n = accept(fd);
    if (strcmp(how, "left open")) {
        CHECK(ef_close(fd) == 0);
    }
    if (!strcmp(how, "asked")) {
        while (ef_close_status(fd) < 0 && errno == EAGAIN) {
            poll(0, 0, 1);
        }
        FAILS(ef_close_status(fd), ENOSPC);
    } else if (!strcmp(how, "closed long ago")) {
        /* The open of the next file waits for the close. */
        int next = ef_open(path, O_RDONLY);
        CHECK(opened(next) == 0);
        ef_close_immediate(next);
    }
    int result = ef_shutdown(30000, &left);
    CHECK(stat(path, &st) == 0);
    if (!strcmp(how, "asked")) {
        CHECK(result == 0 && left == 0);
    } else {
        CHECK(result == 1 && left == (uint64_t)(n - st.st_size) && left > 0);
    }
    if (failures) {
        fprintf(stderr, "%s: result %d, %lu left of %ld, %ld there\n", how, result,
                (unsigned long)left, n, (long)st.st_size);
    }
}

int main(int count, char **arguments)
{
    dir = arguments[count - 1];
    if (mount("efio", dir, "tmpfs", 0, "size=512k")) {
        SKIP("mount of a tmpfs: %s", strerror(errno));
    }
    scenario("left open");
    scenario("closed");
    scenario("closed long ago");
    scenario("asked");
    umount2(dir, MNT_DETACH);
    return result();
}
