/* F60: the loop of the README, on a file that another process holds a lease on. The loop ends once
 * the lease is released, and the file has the bytes that were accepted. A pending open gives EAGAIN,
 * and a failed one never does.
 *
 * RUN: DIR
 * RUN: POOL=1 DIR
 */
#include "case.h"

static pid_t holder(const char *path, int type, int *held, int *release)
{
    int up[2], down[2];
    if (pipe(up) || pipe(down)) {
        exit(1);
    }
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        signal(SIGIO, SIG_IGN);
        int fd = open(path, type == F_RDLCK ? O_RDONLY : O_RDWR);
        byte = fcntl(fd, F_SETLEASE, type) == 0;
        (void)!write(up[1], &byte, 1);
        (void)!read(down[0], &byte, 1);
        fcntl(fd, F_SETLEASE, F_UNLCK);
        pause();
        _exit(0);
    }
    *held = up[0];
    *release = down[1];
    return pid;
}

int main(int argc, char **argv)
{
    (void)argc;
    const char *path = path_of(argv[1], "leased");
    int raw = open(path, O_CREAT | O_RDWR, 0644), held, release;
    close(raw);
    pid_t pid = holder(path, F_WRLCK, &held, &release);
    char byte = 0;
    (void)!read(held, &byte, 1);
    if (!byte) {
        kill(pid, SIGKILL);
        SKIP("F_SETLEASE");
    }
    ef_set_option(EF_OPTION_BACKEND, getenv("POOL") ? EF_BACKEND_POOL : EF_BACKEND_AUTO);
    CHECK(ef_init() == 0);
    int fd = ef_open(path, O_WRONLY | O_CREAT, 0644);
    CHECK(ef_write(fd, "hello\n", 6) == 6);
    FAILS(ef_open_status(fd), EAGAIN);
    ef_close(fd);
    struct pollfd wait = {ef_event_fd(), POLLIN, 0};
    double begin = now();
    int status, asked = 0;
    while ((status = ef_close_status(fd)) == -1 && errno == EAGAIN) {
        struct ef_event event;
        if (asked++ == 0) {
            (void)!write(release, "x", 1);
        }
        poll(&wait, 1, 1000);
        while (ef_next_event(&event) == 1) {
            CHECK(event.error != EAGAIN);
        }
        if (now() - begin > 30) {
            break;
        }
    }
    CHECK(status == 0);
    struct stat st;
    CHECK(stat(path, &st) == 0 && st.st_size == 6);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK(ef_shutdown(5000, NULL) == 0);
    return result();
}
