/* F73, F74: the thread of the callback. Handlers of faults run, a child process inherits no signal
 * mask of the library, the stack is what pthread_create gives, and a child of fork ends when the
 * callback returns there. */
#include "case.h"
#include <spawn.h>
#include <sys/resource.h>

extern char **environ;
static volatile sig_atomic_t handled;
static volatile int done;

static void handler(int signal)
{
    (void)signal;
    handled++;
}

static int is_ended_by_sigterm(pid_t child)
{
    int status;
    kill(child, SIGTERM);
    for (int i = 0; i < 500; i++) {
        if (waitpid(child, &status, WNOHANG) == child) {
            return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
        }
        usleep(10000);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return 0;
}

/* Uses `bytes` bytes of the stack. */
static int deep(size_t bytes)
{
    volatile char frame[65536];
    frame[0] = frame[sizeof frame - 1] = 1;
    return bytes <= sizeof frame ? frame[0] : deep(bytes - sizeof frame) + frame[0];
}

static size_t most_of_the_stack(void)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
    size_t size = limit.rlim_cur == RLIM_INFINITY ? 2 << 20 : limit.rlim_cur;
    return (size > 64 << 20 ? 64 << 20 : size) / 4 * 3;
}

static void callback(int fd, int operation, void *data)
{
    (void)fd, (void)data;
    if (operation != EF_OPERATION_OPEN || done) {
        return;
    }
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP, SIGABRT};
    for (int i = 0; i < 7; i++) {
        raise(faults[i]);
        CHECK(handled == i + 1);
    }
    CHECK(deep(most_of_the_stack()) > 0);

    pid_t child = fork();
    if (child == 0) {
        execlp("sleep", "sleep", "30", NULL);
        _exit(1);
    }
    CHECK(is_ended_by_sigterm(child));
    char *args[] = {"sleep", "30", NULL};
    CHECK(posix_spawnp(&child, "sleep", NULL, NULL, args, environ) == 0);
    CHECK(is_ended_by_sigterm(child));

    child = fork();
    if (child == 0) {
        alarm(10);
        return;
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    done = 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP, SIGABRT};
    for (int i = 0; i < 7; i++) {
        signal(faults[i], handler);
    }
    CHECK(ef_init() == 0);
    CHECK(ef_set_cb_func(callback, NULL) == 0);
    int fd = ef_open(path_of(argv[1], "file"), O_WRONLY | O_CREAT, 0644);
    double end = now() + 40;
    while (!done && now() < end) {
        usleep(1000);
    }
    CHECK(done);
    CHECK(ef_close_immediate(fd) == 0);
    CHECK(ef_shutdown(20000, NULL) == 0);
    return result();
}
