/* F70: a program becomes a daemon after ef_init, and closes every descriptor that it does not know.
 * The library neither writes nor reads nor closes a file that gets one of the numbers. Files that
 * were open fail with EBADF, and others can be opened.
 *
 * RUN: DIR soon
 * RUN: EFIO_BACKEND=pool DIR soon
 * RUN: DIR later
 * RUN: EFIO_BACKEND=pool DIR later
 */
#include "case.h"

#define FILES 1000

static int mine[FILES];
static const char *dir;

static void open_mine(void)
{
    for (int i = 0; i < FILES; i++) {
        char name[20];
        snprintf(name, sizeof name, "mine%d", i);
        mine[i] = open(path_of(dir, name), O_RDWR | O_CREAT | O_TRUNC, 0644);
        if (mine[i] >= 0) {
            CHECK(write(mine[i], "0123456789", 10) == 10 && lseek(mine[i], 0, SEEK_SET) == 0);
        }
    }
}

static void mine_are_untouched(void)
{
    for (int i = 0; i < FILES; i++) {
        struct stat st;
        if (mine[i] >= 0) {
            CHECK(fstat(mine[i], &st) == 0 && st.st_size == 10);
            CHECK(lseek(mine[i], 0, SEEK_CUR) == 0);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    dir = argv[1];
    CHECK(ef_init() == 0);
    int fd = ef_open(path_of(dir, "before"), O_WRONLY | O_CREAT, 0644);
    CHECK(opened(fd) == 0);
    CHECK(ef_write_all(fd, "before\n", 7) == 7);
    if (!strcmp(argv[2], "later")) {
        usleep(300000);
    }
    for (int i = 3; i < 2000; i++) {
        close(i);
    }
    open_mine();
    /* The file that was open has failed. */
    ef_write_all(fd, "after\n", 6);
    FAILS(ef_close_immediate(fd), EBADF);
    int other = ef_open(path_of(dir, "other"), O_WRONLY | O_CREAT, 0644);
    CHECK(opened(other) == 0);
    CHECK(ef_write_all(other, "other", 5) == 5);
    CHECK(ef_close_immediate(other) == 0);
    mine_are_untouched();
    CHECK(ef_shutdown(20000, NULL) == 0);
    mine_are_untouched();
    return result();
}
