/* F85: a program of the original library that saves a file twice, then reads it.
 *
 * RUN: DIR
 * RUN: EFIO_BACKEND=pool DIR
 */
#include "case.h"
#include <fcntl.h>

static void save(const char *path, int byte, int size, int waits)
{
    char bytes[20000];
    memset(bytes, byte, size);
    int fd = ef_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (waits) {
        CHECK(opened(fd) == 0);
    }
    CHECK(ef_write(fd, bytes, size) == size);
    CHECK(ef_close(fd) == 0);
}

int main(int count, char **arguments)
{
    const char *dir = arguments[count - 1];
    uint64_t left;
    CHECK(ef_init() == 0);
    for (int round = 0; round < 100 && !failures; round++) {
        char name[20], bytes[30000];
        snprintf(name, sizeof name, "file-%d", round / 2);
        const char *path = path_of(dir, name);
        save(path, 'A', 20000, round % 2);
        save(path, 'B', 5000, round % 2);
        int fd = ef_open(path, O_RDONLY);
        CHECK(opened(fd) == 0);
        long size = 0, n;
        while ((n = ef_read(fd, bytes + size, sizeof bytes - size)) != 0) {
            if (n > 0) {
                size += n;
            } else if (errno == EAGAIN) {
                poll(0, 0, 1);
            } else {
                CHECK(!"a read");
                break;
            }
        }
        CHECK(size == 5000 && bytes[0] == 'B' && bytes[4999] == 'B');
        CHECK(ef_close(fd) == 0);
    }
    CHECK(ef_shutdown(10000, &left) == 0);
    for (int round = 0; round < 50; round++) {
        char name[20], bytes[30000];
        snprintf(name, sizeof name, "file-%d", round);
        FILE *file = fopen(path_of(dir, name), "r");
        CHECK(file && fread(bytes, 1, sizeof bytes, file) == 5000 && bytes[0] == 'B');
        if (file) {
            fclose(file);
        }
    }
    return result();
}
