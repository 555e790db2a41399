/* F69: every function of the library, called by a thread that was cancelled before: the call does
 * what it should, and the thread ends at its next cancellation point.
 *
 * RUN: DIR
 * RUN: EFIO_BACKEND=pool DIR
 */
#include "case.h"

static const char *dir;
static int fd;
static char memory[4096];
static struct ef_stream *stream, *other;
static ev_queue_type queue;
static ev_rwlock_type rw;
static spin_lock_p_type spin;
static ev_mcs_lock_type mcs;
static struct ef_event event;
static struct ef_progress progress;
static uint64_t number;
static void *item;

static void callback(int fd, int operation, void *data)
{
    (void)fd, (void)operation, (void)data;
}

#define EACH(CALL)                                                                                 \
    CALL(ef_init()) CALL(ef_set_option(EF_OPTION_WORKERS, 2))                                      \
    CALL(fd = ef_open(path_of(dir, "file"), O_RDWR | O_CREAT, 0644))                               \
    CALL(ef_open_mode(path_of(dir, "mode"), O_WRONLY | O_CREAT, 0644))                             \
    CALL(ef_open_user_data(path_of(dir, "user-data"), O_WRONLY | O_CREAT, 0644, 7))                \
    CALL(ef_open_status(fd)) CALL(ef_write(fd, memory, 10)) CALL(ef_write_all(fd, memory, 4096))   \
    CALL(ef_sync(fd)) CALL(ef_sync_mark(fd, &number)) CALL(ef_seek(fd, 0))                         \
    CALL(ef_read(fd, memory, 10)) CALL(ef_file_ready_for_read(fd)) CALL(ef_poll(fd))               \
    CALL(ef_get_progress(fd, &progress)) CALL(ef_error(fd, &number)) CALL(ef_name_state(fd, NULL)) \
    CALL(ef_write_at(fd, memory, 10, 0, 1)) CALL(ef_read_at(fd, memory, 10, 0, 2))                 \
    CALL(ef_truncate(fd, 5)) CALL(ef_event_fd()) CALL(ef_next_event(&event))                       \
    CALL(ef_set_cb_func(callback, NULL)) CALL(ef_unset_cb_func()) CALL(ef_close_status(fd))        \
    CALL(ef_close_immediate(fd)) CALL(ef_close(fd)) CALL(queue = create_ev_queue())                \
    CALL(ev_queue_enqueue(queue, memory)) CALL(ev_queue_peek(queue)) CALL(ev_queue_len(queue))     \
    CALL(ev_queue_dequeue(queue)) CALL(ev_queue_try_dequeue(queue, &item))                         \
    CALL(wf_destroy_ev_queue(queue)) CALL(queue = create_ev_queue())                               \
    CALL(destroy_ev_queue(queue)) CALL(spin = create_spin_lock()) CALL(ev_spin_try_lock(spin))     \
    CALL(ev_spin_unlock(spin)) CALL(ev_spin_lock(spin)) CALL(ev_spin_unlock(spin))                 \
    CALL(destroy_spin_lock(spin)) CALL(mcs_init(&mcs)) CALL(item = mcs_get_access(&mcs))           \
    CALL(mcs_relinquish(&mcs, item)) CALL(rw = ev_rwlock_init()) CALL(ev_rwlock_rdlock(rw))        \
    CALL(ev_rwlock_rdunlock(rw)) CALL(ev_rwlock_wrlock(rw)) CALL(ev_rwlock_wrunlock(rw))           \
    CALL(ev_rwlock_destroy(rw)) CALL(stream = ef_stream_create()) CALL(other = ef_stream_create()) \
    CALL(ef_stream_push(stream, malloc(10), 10)) CALL(ef_stream_append(stream, memory, 10))        \
    CALL(ef_stream_copy(stream, 0, memory, 1)) CALL(ef_stream_read(stream, memory, 1))             \
    CALL(ef_stream_erase(stream, 1)) CALL(ef_stream_get_buffer(stream))                            \
    CALL(ef_stream_get_buffer_len(stream)) CALL(ef_stream_transfer(other, stream, NULL))           \
    CALL(ef_stream_destroy(stream)) CALL(ef_stream_destroy(other)) CALL(ef_shutdown(20000, NULL))

static volatile int came_back;
static int index_of_call;

static void *run(void *unused)
{
    int k = 0;
    pthread_cancel(pthread_self());
#define CALL(...)                                                                                  \
    if (k++ == index_of_call) {                                                                    \
        __VA_ARGS__;                                                                               \
        came_back = 1;                                                                             \
    }
    EACH(CALL)
#undef CALL
    pthread_testcancel();
    return unused;
}

int main(int argc, char **argv)
{
#define CALL(...) #__VA_ARGS__,
    static const char *const texts[] = {EACH(CALL)};
#undef CALL
    (void)argc;
    dir = argv[1];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        pthread_t thread;
        void *exit_value = NULL;
        index_of_call = i;
        came_back = 0;
        CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
        pthread_join(thread, &exit_value);
        CHECK(exit_value == PTHREAD_CANCELED);
        if (!came_back) {
            fprintf(stderr, "%s did not come back\n", texts[i]);
            failures++;
        }
        if (strstr(texts[i], "fd = ")) {
            CHECK(opened(fd) == 0);
        }
    }
    return result();
}
