/* F68: a process forks while its threads are inside the library. Every call in the child ends.
 * Calls about files give ESHUTDOWN, and so do those of a queue, a stream or a lock that would wait
 * for a thread that the child does not have.
 *
 * RUN: DIR
 * RUN: EFIO_BACKEND=pool DIR
 */
#include "case.h"

#define CHILDREN 20

static const char *dir;
static volatile int stop;
static struct ef_stream *stream;
static ev_queue_type queue;
static ev_rwlock_type lock;
static int kept;
static char memory[4096];

static void callback(int fd, int operation, void *data)
{
    (void)fd, (void)operation, (void)data;
}

static void *use_files(void *name)
{
    static char bytes[70000];
    struct ef_event event;
    while (!stop) {
        int fd = ef_open(path_of(dir, name), O_RDWR | O_CREAT, 0644);
        ef_write(fd, bytes, sizeof bytes);
        ef_sync(fd);
        ef_read_at(fd, bytes, 4096, 0, 1);
        while (ef_next_event(&event) == 1) {
        }
        ef_close(fd);
    }
    return NULL;
}

static void *use_primitives(void *unused)
{
    char bytes[5];
    while (!stop) {
        ef_stream_append(stream, "hello", 5);
        ef_stream_read(stream, bytes, 5);
        ev_queue_enqueue(queue, bytes);
        ev_queue_dequeue(queue);
        ev_rwlock_wrlock(lock);
        ev_rwlock_wrunlock(lock);
    }
    return unused;
}

static void *subscribe(void *unused)
{
    while (!stop) {
        ef_set_cb_func(callback, NULL);
        usleep(100);
    }
    return unused;
}

/* Each call about a file is refused. */
static void files_are_refused(void)
{
    struct ef_event event;
    struct ef_progress progress;
    uint64_t number;
    FAILS(ef_write(kept, memory, 10), ESHUTDOWN);
    FAILS(ef_write_all(kept, memory, 10), ESHUTDOWN);
    FAILS(ef_read(kept, memory, 10), ESHUTDOWN);
    FAILS(ef_file_ready_for_read(kept), ESHUTDOWN);
    FAILS(ef_read_at(kept, memory, 10, 0, 1), ESHUTDOWN);
    FAILS(ef_write_at(kept, memory, 10, 0, 1), ESHUTDOWN);
    FAILS(ef_truncate(kept, 0), ESHUTDOWN);
    FAILS(ef_seek(kept, 0), ESHUTDOWN);
    FAILS(ef_sync(kept), ESHUTDOWN);
    FAILS(ef_sync_mark(kept, &number), ESHUTDOWN);
    FAILS(ef_poll(kept), ESHUTDOWN);
    FAILS(ef_get_progress(kept, &progress), ESHUTDOWN);
    FAILS(ef_error(kept, &number), ESHUTDOWN);
    FAILS(ef_name_state(kept, NULL), ESHUTDOWN);
    FAILS(ef_open("/dev/null", O_RDONLY), ESHUTDOWN);
    FAILS(ef_open_user_data("/dev/null", O_RDONLY, 0, 7), ESHUTDOWN);
    FAILS(ef_open_status(kept), ESHUTDOWN);
    FAILS(ef_close(kept), ESHUTDOWN);
    FAILS(ef_close_immediate(kept), ESHUTDOWN);
    FAILS(ef_close_status(kept), ESHUTDOWN);
    FAILS(ef_next_event(&event), ESHUTDOWN);
    FAILS(ef_event_fd(), ESHUTDOWN);
    FAILS(ef_set_cb_func(callback, NULL), ESHUTDOWN);
    FAILS(ef_set_option(EF_OPTION_WORKERS, 4), ESHUTDOWN);
    FAILS(ef_init(), ESHUTDOWN);
    FAILS(ef_shutdown(100, NULL), ESHUTDOWN);
    errno = 0;
    ef_unset_cb_func();
    CHECK(errno == ESHUTDOWN);
}

/* Each of the other calls ends, done or refused. */
static void primitives_end(void)
{
    errno = 0;
    CHECK(ef_stream_append(stream, "x", 1) == 1 || errno == ESHUTDOWN);
    CHECK(ef_stream_read(stream, memory, 1) <= 1 || errno == ESHUTDOWN);
    FAILS(ev_queue_enqueue(queue, memory), ESHUTDOWN);
    errno = 0;
    CHECK(ev_queue_dequeue(queue) == NULL && errno == ESHUTDOWN);
    CHECK(ev_rwlock_rdlock(lock) == 0 ? ev_rwlock_rdunlock(lock) == 0 : errno == ESHUTDOWN);
    CHECK(ev_rwlock_wrlock(lock) == 0 ? ev_rwlock_wrunlock(lock) == 0 : errno == ESHUTDOWN);
    /* The child may use what it makes itself. */
    ev_queue_type own = create_ev_queue();
    CHECK(ev_queue_enqueue(own, memory) == 0 && ev_queue_dequeue(own) == memory);
    wf_destroy_ev_queue(own);
    ef_stream_destroy(stream);
    wf_destroy_ev_queue(queue);
}

int main(int argc, char **argv)
{
    (void)argc;
    dir = argv[1];
    CHECK(ef_init() == 0);
    stream = ef_stream_create();
    queue = create_ev_queue();
    lock = ev_rwlock_init();
    kept = ef_open(path_of(dir, "kept"), O_RDWR | O_CREAT, 0644);
    CHECK(opened(kept) == 0);
    pthread_t threads[4];
    pthread_create(threads, NULL, use_files, "one");
    pthread_create(threads + 1, NULL, use_files, "two");
    pthread_create(threads + 2, NULL, use_primitives, NULL);
    pthread_create(threads + 3, NULL, subscribe, NULL);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGALRM, SIG_DFL);
            alarm(10);
            failures = 0;
            files_are_refused();
            primitives_end();
            _exit(result());
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        usleep(1000);
    }
    stop = 1;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    /* The threads opened files again that were not closed yet: one may have failed and count. */
    CHECK(ef_shutdown(20000, NULL) >= 0);
    /* A child of a process without an engine starts one of its own. */
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        failures = 0;
        CHECK(ef_init() == 0);
        int fd = ef_open(path_of(dir, "own"), O_WRONLY | O_CREAT, 0644);
        CHECK(opened(fd) == 0 && ef_write_all(fd, "own", 3) == 3 && ef_close_immediate(fd) == 0);
        CHECK(ef_shutdown(10000, NULL) == 0);
        _exit(result());
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return result();
}
