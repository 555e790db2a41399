/*
 * efio for C: files for event loops.
 *
 * A read that memory can satisfy returns at once; any other returns -1 and EAGAIN, and a callback
 * or an event follows when it can be repeated. A write is a memcpy: the library writes the bytes in
 * the background and keeps errors. docs/C-API.md has the differences from the original ef_io.h.
 *
 * Every function may be called from any thread. Those that return int or ssize_t give -1 and set
 * errno when they fail, unless they say otherwise.
 *
 * Made from crates/efio-capi/src by cbindgen; EFIO_BLESS=1 cargo test -p efio-capi --test header
 * updates it.
 *
 * A null pointer gives EINVAL. Any other must be what the function takes: memory of that size, an
 * object that was created and not destroyed, a lock that the caller holds.
 */
#ifndef EFIO_H_INCLUDED
#define EFIO_H_INCLUDED

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * The maximum of bytes of an ef_read_at or ef_write_at.
 */
#define EF_AT_MAX 2097152

/**
 * The operation codes of the callback, as in the original.
 */
typedef enum ef_operation {
    /**
     * The open has ended: ef_open_status says how.
     */
    EF_OPERATION_OPEN = 0,
    /**
     * A read that gave EAGAIN can be repeated.
     */
    EF_OPERATION_READ = 1,
    /**
     * The close has ended: ef_close_status says how.
     */
    EF_OPERATION_CLOSE = 2,
} ef_operation;

/**
 * The kinds of events of ef_next_event. The first three are the operation codes.
 */
typedef enum ef_kind {
    /**
     * The kernel opened the file.
     */
    EF_KIND_OPENED = 0,
    /**
     * A read that gave EAGAIN can be repeated.
     */
    EF_KIND_READABLE = 1,
    /**
     * The file is closed; `error` is its first error, or 0.
     */
    EF_KIND_CLOSED = 2,
    /**
     * There is room again after a write that gave 0.
     */
    EF_KIND_WRITABLE = 3,
    /**
     * A sync has ended: the bytes before the mark `value` are durable.
     */
    EF_KIND_SYNCED = 4,
    /**
     * The open, a write or a sync failed with `error`; bytes from offset `value` on may be lost.
     */
    EF_KIND_FAILED = 5,
    /**
     * An ef_read_at or ef_write_at with `token` has ended: `value` bytes were moved, or `error`.
     */
    EF_KIND_COMPLETED = 6,
    /**
     * An ef_truncate has ended: the file has `value` bytes.
     */
    EF_KIND_TRUNCATED = 7,
} ef_kind;

/**
 * The options of ef_set_option. ef_init fails for a value out of range.
 */
typedef enum ef_option {
    /**
     * One of ef_backend; EF_BACKEND_AUTO unless set.
     */
    EF_OPTION_BACKEND = 1,
    /**
     * One of ef_mode, for files whose flags do not say O_DIRECT; EF_MODE_AUTO unless set.
     */
    EF_OPTION_MODE = 2,
    /**
     * Bytes of page memory for all files together; 64 MiB unless set, at least 4 MiB.
     */
    EF_OPTION_MEMORY_BUDGET = 3,
    /**
     * Milliseconds that accepted bytes may stay in memory; 1000 unless set.
     */
    EF_OPTION_FLUSH_INTERVAL_MS = 4,
    /**
     * The number of files that may be open at once; 65536 unless set.
     */
    EF_OPTION_MAX_FILES = 5,
    /**
     * Bytes that one file may have accepted and not written; a quarter of the budget unless set.
     */
    EF_OPTION_WRITE_BEHIND = 6,
    /**
     * Bytes that one file may read ahead; an eighth of the budget unless set.
     */
    EF_OPTION_READ_AHEAD = 7,
    /**
     * Worker threads of the pool backend; 4 unless set.
     */
    EF_OPTION_WORKERS = 8,
    /**
     * 1: a close makes the file durable first. 0: the kernel has every byte. 1 unless set.
     */
    EF_OPTION_DURABLE_CLOSE = 9,
} ef_option;

/**
 * What makes the system calls.
 */
typedef enum ef_backend {
    /**
     * The best one that this kernel has.
     */
    EF_BACKEND_AUTO = 0,
    /**
     * Worker threads.
     */
    EF_BACKEND_POOL = 1,
    /**
     * io_uring.
     */
    EF_BACKEND_URING = 2,
} ef_backend;

/**
 * How bytes go between memory and disk.
 */
typedef enum ef_mode {
    /**
     * The engine chooses per file.
     */
    EF_MODE_AUTO = 0,
    /**
     * Past the page cache.
     */
    EF_MODE_DIRECT = 1,
    /**
     * Through the page cache without staying there.
     */
    EF_MODE_UNCACHED = 2,
    /**
     * Through the page cache.
     */
    EF_MODE_CACHED = 3,
} ef_mode;

/**
 * Whether the name of a file survives a power cut, as its durable bytes do; see ef_name_state.
 */
typedef enum ef_name {
    /**
     * The open made no file, or is pending: the name is as durable as before.
     */
    EF_NAME_NOT_NEW = 0,
    /**
     * The file is new, and no sync has covered its name.
     */
    EF_NAME_PENDING = 1,
    /**
     * The name survives.
     */
    EF_NAME_DURABLE = 2,
    /**
     * The sync of the directory failed. EACCES: the directory may not be read. ESTALE: it does not
     * have the name any more. Other errors are those of fsync(2) of the directory.
     */
    EF_NAME_UNKNOWN = 3,
} ef_name;

/**
 * A queue of pointers for any number of threads at both ends, first in first out.
 */
typedef struct ev_queue_s ev_queue_s;

/**
 * Many readers or one writer; a waiting writer holds new readers back.
 */
typedef struct ev_rwlock_s ev_rwlock_s;

/**
 * A lock whose waiters spin, then yield.
 */
typedef struct spin_lock spin_lock;

/**
 * A stream of byte chunks: one thread adds chunks while another takes bytes, and neither waits for
 * the other. Each end has a lock, so that several threads may use one end.
 */
typedef struct ef_stream ef_stream;

/**
 * The progress of the bytes of a file. Counts, not offsets: accepted >= written >= durable.
 */
typedef struct ef_progress {
    /**
     * Copied out of the caller's memory.
     */
    uint64_t accepted;
    /**
     * In the kernel: they survive the process.
     */
    uint64_t written;
    /**
     * On the disk: they survive the machine.
     */
    uint64_t durable;
} ef_progress;

/**
 * The type of the callback: the descriptor, one of ef_operation, and the pointer of
 * ef_set_cb_func.
 */
typedef void (*ef_notification_f_type)(int fd, int oper, void *cb_data);

/**
 * An event of a file.
 */
typedef struct ef_event {
    /**
     * The descriptor.
     */
    int fd;
    /**
     * One of ef_kind.
     */
    int kind;
    /**
     * An errno, or 0.
     */
    int error;
    /**
     * See ef_kind.
     */
    uint64_t value;
    /**
     * See ef_kind.
     */
    uint64_t token;
    /**
     * The number that ef_open_user_data was given for the file, or 0.
     */
    uint64_t user_data;
} ef_event;

/**
 * A handle of the queue.
 */
typedef struct ev_queue_s *ev_queue_type;

/**
 * A handle of the lock.
 */
typedef struct spin_lock *spin_lock_p_type;

/**
 * A queue lock: first come, first served. It lives in the caller's memory, where mcs_init makes
 * it, and does not move while a thread has a ticket.
 */
typedef struct ev_mcs_lock_type {
    /**
     * Private.
     */
    void *tail;
} ev_mcs_lock_type;

/**
 * A handle of the lock.
 */
typedef struct ev_rwlock_s *ev_rwlock_type;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Starts the library: one engine for the process, with a thread of its own. Does nothing while it
 * is running. Returns 0, or -1: EINVAL for an option out of range, ENOTSUP for a backend that is
 * not available, the errors of the kernel for memory and threads, ESHUTDOWN in a forked child of a
 * process in which it is running. Before ef_init every call about a file gives -1 and EBADF, after
 * ef_shutdown ESHUTDOWN.
 */
int ef_init(void);

/**
 * Sets an option, one of ef_option, for the next ef_init. Returns 0, or -1: EBUSY while the
 * library is running, EINVAL for an unknown option and for a value that it cannot have.
 */
int ef_set_option(int option, uint64_t value);

/**
 * Ends the library: closes every file, waits until all accepted bytes are written or `timeout_ms`
 * milliseconds are over, and waits for the callback. All descriptors are closed then.
 *
 * Returns 0 when nothing was left, else the number of unfinished files: those that were not closed
 * in time, and those, open or closed, that failed while no function has returned their error.
 * `*unwritten`, unless it is null, becomes the number of their bytes that were not written. -1:
 * EBADF when the library is not running, EDEADLK in a callback, ESHUTDOWN in a forked child.
 */
int ef_shutdown(unsigned int timeout_ms, uint64_t *unwritten);

/**
 * Opens a file. Returns a descriptor at once; the kernel opens the file in the background, and
 * ef_open_status has the result. Writes are accepted meanwhile. `mode` is used when `oflag` has
 * O_CREAT. -1: EINVAL for a null or empty path and for flags that cannot be obeyed, EMFILE when
 * all descriptors are in use, ENAMETOOLONG.
 *
 * ef_open is this call with variable arguments.
 */
int ef_open_mode(const char *path, int oflag, unsigned int mode);

/**
 * Like ef_open_mode. Every event of the file has `user_data`, which ef_next_event returns: the
 * number or pointer by which the program finds what it keeps for the file.
 */
int ef_open_user_data(const char *path, int oflag, unsigned int mode, uint64_t user_data);

/**
 * Returns `fd` when the file is open, or -1: EAGAIN while the open is pending, EBADF when closed,
 * else the error of the open, which is never EAGAIN; the descriptor is closed then.
 */
int ef_open_status(int fd);

/**
 * Closes the file: the descriptor is no longer valid, accepted bytes are written in the
 * background, and ef_close_status has the result. Returns 0, or -1 with the file's error if it has
 * failed before; it is closed all the same. EBADF: it was closed before.
 */
int ef_close(int fd);

/**
 * Closes the file, waits until that is done and the callback was called. Returns 0 when every
 * byte is durable (with EF_OPTION_DURABLE_CLOSE 0: when the kernel has it), or -1 with the first
 * error of the file; it is closed all the same. EBADF: it was closed before.
 */
int ef_close_immediate(int fd);

/**
 * Returns the result of a close: 0, or -1: EAGAIN while it is pending, EINVAL when the file is
 * open, EBADF for any other number, else the first error of the file. The results of the last
 * closes are kept, as many as files may be open at once.
 */
int ef_close_status(int fd);

/**
 * Reads up to `nbyte` bytes from the position on into `buf`, and moves the position. Returns the
 * number of bytes; 0 at the current end of file: when the file grows, a later read gives the new
 * bytes. A read sees what was written through the same descriptor. -1: EAGAIN when nothing is in
 * memory: the callback or an event follows when the read can be repeated; EBADF when closed or not
 * open for reading; EINVAL for a null `buf` and for no bytes; the error of the open or of the
 * disk.
 */
ssize_t ef_read(int fd, void *buf, size_t nbyte);

/**
 * Returns what ef_read would return now: 1 for bytes, 0 at the end of file, -1 with an error.
 * EAGAIN: the bytes were requested; the callback or an event follows when they are in memory.
 */
ssize_t ef_file_ready_for_read(int fd);

/**
 * Writes up to `nbyte` bytes at the position, which moves: copies them into memory, from where the
 * library writes them in the background. Returns the number of bytes; 0, with EAGAIN in errno,
 * when the memory budget or the file's share of it is used up: an event follows when there is
 * room. -1: EBADF when closed or not open for writing; EINVAL for a null `buf` and for no bytes;
 * the file's failure, if there was one.
 */
ssize_t ef_write(int fd, const void *buf, size_t nbyte);

/**
 * Like ef_write, but accepts all of the bytes: it waits for the disk when there is no room.
 * Returns less than `nbyte` only when the file fails or is closed meanwhile. ef_io.h calls this
 * ef_write, for programs that do not check the number of bytes.
 */
ssize_t ef_write_all(int fd, const void *buf, size_t nbyte);

/**
 * Returns which calls would not block: the sum of 1 for a write and 2 for a read, be it with
 * bytes, the end of file or an error; 0 for neither. Of a file that is open for reading only,
 * bytes are requested. -1: EBADF when closed; the error of the open.
 */
int ef_poll(int fd);

/**
 * Makes every byte accepted so far durable, in the background. Returns 0 at once; an event follows
 * when it is done, and ef_get_progress shows it. -1: the file's failure, if there was one; EBADF
 * when closed.
 */
int ef_sync(int fd);

/**
 * Like ef_sync. `*mark`, unless it is null, becomes the mark that `durable` of ef_progress and
 * `value` of the event will reach.
 */
int ef_sync_mark(int fd, uint64_t *mark);

/**
 * Returns 0 and the progress of the file's bytes, or -1: EBADF when closed, EINVAL for null.
 */
int ef_get_progress(int fd, struct ef_progress *progress);

/**
 * Returns the errno of the failure after which the file accepts no more bytes, 0 when there was
 * none. `*lost_from`, unless it is null, becomes the lowest offset whose byte may be lost,
 * UINT64_MAX when none may. A failure stays for as long as the file is open. -1: EBADF when
 * closed.
 */
int ef_error(int fd, uint64_t *lost_from);

/**
 * Returns whether the name of the file survives a power cut, one of ef_name. `*error`, unless it
 * is null, becomes the errno for EF_NAME_UNKNOWN, else 0. -1: EBADF when closed.
 *
 * The first sync of a file that its open made syncs the directory as well. A directory that cannot
 * be synced does not harm the file.
 */
int ef_name_state(int fd, int *error);

/**
 * Moves the position of the next read or write to `position` bytes from the start. An append goes
 * to the end of the file all the same, and the position is the end of the file after it. Returns
 * 0, or -1: EINVAL beyond the range of offsets, EBADF when closed.
 */
int ef_seek(int fd, uint64_t position);

/**
 * Reads up to `nbyte` bytes, EF_AT_MAX at most, from `offset` on. Returns 0 at once; an event
 * EF_KIND_COMPLETED with `token` has the number of bytes, fewer only at the end of file. The call
 * of ef_next_event that returns that event copies the bytes to `buf`, which must stay valid until
 * then, or until ef_shutdown. The position does not move. The read sees what was written through
 * the descriptor before. -1: EBADF when closed or not open for reading, EINVAL for a null `buf`,
 * for no or too many bytes, and beyond the range of offsets, EAGAIN when the memory budget is used
 * up, ENOMEM.
 */
int ef_read_at(int fd, void *buf, size_t nbyte, uint64_t offset, uint64_t token);

/**
 * Writes `nbyte` bytes, EF_AT_MAX at most, at `offset`. Copies them and returns 0 at once; an
 * event EF_KIND_COMPLETED with `token` has the result. The position does not move. ef_sync covers
 * the write, and its failure is the file's. -1: as ef_read_at, EBADF when not open for writing,
 * EINVAL in append mode, the file's failure.
 */
int ef_write_at(int fd, const void *buf, size_t nbyte, uint64_t offset, uint64_t token);

/**
 * Sets the length of the file, in the order of the writes. Returns 0 at once; an event
 * EF_KIND_TRUNCATED or EF_KIND_FAILED follows. -1: EBADF when closed or not open for writing,
 * EINVAL beyond the range of offsets, the file's failure.
 */
int ef_truncate(int fd, uint64_t len);

/**
 * Sets the callback: the library calls `cb_func` with `cb_data` when an open or a close has ended,
 * and when a read that gave EAGAIN can be repeated. Null: as ef_unset_cb_func. On return the
 * function that was set before is not running and will not be called again, unless it is the
 * caller itself. Returns 0, or -1 with the error of the kernel for a thread; ESHUTDOWN in a forked
 * child.
 *
 * The callback runs on a thread of its own, one call after the other, and may call everything but
 * ef_shutdown. It has the signal mask of the thread that started its thread, and a stack as large
 * as pthread_create makes it. It has to return: an exception, longjmp, pthread_exit or
 * cancellation would unwind frames that are not C. A child that it forks ends by exec or _exit,
 * and when the callback returns there.
 */
int ef_set_cb_func(ef_notification_f_type cb_func, void *cb_data);

/**
 * Removes the callback; see ef_set_cb_func.
 */
void ef_unset_cb_func(void);

/**
 * Returns a descriptor for poll, epoll, libev and the like. It is readable while events are
 * available, until ef_next_event returns 0. It serves EPOLLET and EPOLLONESHOT as well: an event
 * after an ef_next_event that returned 0 makes a new edge, so take events until then after each
 * wake-up. It belongs to the library: do not read or close it. -1: EBADF when the library is not
 * running, ESHUTDOWN in a forked child.
 *
 * The library keeps events, beside the callback, from the first call on of ef_event_fd,
 * ef_next_event, ef_read_at or ef_write_at.
 */
int ef_event_fd(void);

/**
 * Takes the oldest event. Returns 1, or 0 when none is available. Several threads may take events;
 * each event is given out once. -1: EBADF when the library is not running, EINVAL for null,
 * ESHUTDOWN in a forked child.
 */
int ef_next_event(struct ef_event *event);

/**
 * Creates an empty queue.
 */
ev_queue_type create_ev_queue(void);

/**
 * Adds `data` at the end. Returns 0, or -1: ENOMEM, EINVAL for a null queue.
 *
 * In a forked child of a process with several threads, one of which may have been inside a call,
 * the functions of a queue of the parent fail with ESHUTDOWN; destroying it there frees nothing.
 */
int ev_queue_enqueue(ev_queue_type queue, void *data);

/**
 * Takes the item at the front; null when there is none, or when it is null.
 */
void *ev_queue_dequeue(ev_queue_type queue);

/**
 * Takes the item at the front into `*data`. Returns 1, or 0 and null in `*data` when there is
 * none. -1: EINVAL for null.
 */
int ev_queue_try_dequeue(ev_queue_type queue, void **data);

/**
 * Returns whether there was an item at about this time: 1 or 0. -1: EINVAL for null.
 */
int ev_queue_peek(ev_queue_type queue);

/**
 * Returns the number of items at about this time. Null: 0 and EINVAL.
 */
size_t ev_queue_len(ev_queue_type queue);

/**
 * Destroys a queue that no thread uses any more. Frees the items in it with free(3), as the
 * original does. Null is allowed.
 */
void destroy_ev_queue(ev_queue_type queue);

/**
 * Destroys a queue that no thread uses any more, and leaves the items in it alone. Null is
 * allowed.
 */
void wf_destroy_ev_queue(ev_queue_type queue);

/**
 * Creates an open lock.
 */
spin_lock_p_type create_spin_lock(void);

/**
 * Destroys a lock that nobody uses any more. Null is allowed.
 */
void destroy_spin_lock(spin_lock_p_type lock);

/**
 * Acquires the lock if it is open. Returns 1, or 0 when a thread holds it. -1: EINVAL for null.
 */
int ev_spin_try_lock(spin_lock_p_type lock);

/**
 * Waits for the lock and acquires it. Null: EINVAL in errno, and nothing is locked. As with a
 * mutex of pthreads, a lock that another thread holds at a fork is never released in the child.
 */
void ev_spin_lock(spin_lock_p_type lock);

/**
 * Releases the lock, which the caller holds. Null: EINVAL in errno.
 */
void ev_spin_unlock(spin_lock_p_type lock);

/**
 * Initialises `*lock` to an open lock. Null: EINVAL in errno.
 */
void mcs_init(struct ev_mcs_lock_type *lock);

/**
 * Waits for its turn and acquires the lock. Returns the ticket for mcs_relinquish. Null: EINVAL.
 */
void *mcs_get_access(struct ev_mcs_lock_type *lock);

/**
 * Releases the lock for the next thread. `access` is the ticket that this thread got for the lock
 * from mcs_get_access; it is used up. Returns 0, or -1: EINVAL for null.
 */
int mcs_relinquish(struct ev_mcs_lock_type *lock, void *access);

/**
 * Creates an open lock.
 */
ev_rwlock_type ev_rwlock_init(void);

/**
 * Destroys a lock that nobody uses any more. Null is allowed.
 */
void ev_rwlock_destroy(ev_rwlock_type lock);

/**
 * Waits for the lock and acquires it for reading. Returns 0, or -1: EINVAL for null; ESHUTDOWN in
 * a forked child for a lock that was held at the fork, until its holder releases it.
 */
int ev_rwlock_rdlock(ev_rwlock_type lock);

/**
 * Releases the lock, which the caller holds for reading. Returns 0, or -1: EINVAL for null.
 */
int ev_rwlock_rdunlock(ev_rwlock_type lock);

/**
 * Waits for the lock and acquires it for writing. Returns 0, or -1: EINVAL for null; ESHUTDOWN as
 * for ev_rwlock_rdlock.
 */
int ev_rwlock_wrlock(ev_rwlock_type lock);

/**
 * Releases the lock, which the caller holds for writing. Returns 0, or -1: EINVAL for null.
 */
int ev_rwlock_wrunlock(ev_rwlock_type lock);

/**
 * Creates an empty stream.
 */
struct ef_stream *ef_stream_create(void);

/**
 * Destroys a stream and the bytes in it. Null is allowed. ESHUTDOWN in errno: in a forked child, a
 * thread of the parent was inside a call; the memory is not freed.
 *
 * Every function of a stream fails with ESHUTDOWN in a forked child when another thread of the
 * parent used the same end of it at the fork.
 */
void ef_stream_destroy(struct ef_stream *stream);

/**
 * Adds `nbyte` bytes at the end without copying them: `buf`, which comes from malloc(3), belongs
 * to the stream from then on, which frees it with free(3). Returns `nbyte`, or 0: EINVAL for null
 * and for no bytes; `buf` is still the caller's then.
 */
size_t ef_stream_push(struct ef_stream *stream, void *buf, size_t nbyte);

/**
 * Copies `nbyte` bytes to the end. Returns the number of bytes: fewer, with ENOMEM in errno, for
 * lack of memory. 0: EINVAL for null and for no bytes.
 */
size_t ef_stream_append(struct ef_stream *stream, const void *buf, size_t nbyte);

/**
 * Copies up to `nbyte` bytes, from `start_pos` bytes after the front on, and leaves them in the
 * stream. Returns the number of bytes; -1: EINVAL for null, for no bytes, and when the stream has
 * none at `start_pos`.
 */
ssize_t ef_stream_copy(struct ef_stream *stream, size_t start_pos, void *buf, size_t nbyte);

/**
 * Takes up to `nbyte` bytes. Returns the number of bytes; 0 when the stream is empty. 0 and EINVAL
 * for null and for no bytes.
 */
size_t ef_stream_read(struct ef_stream *stream, void *buf, size_t nbyte);

/**
 * Discards up to `nbyte` bytes. Returns the number of bytes. Null: 0 and EINVAL.
 */
size_t ef_stream_erase(struct ef_stream *stream, size_t nbyte);

/**
 * Returns the bytes at the front, without a copy; null when the stream is empty. They stay valid
 * until they are taken. ef_stream_get_buffer_len has their number: call it after this function,
 * since bytes may be added in between.
 */
const void *ef_stream_get_buffer(struct ef_stream *stream);

/**
 * Returns the number of bytes that ef_stream_get_buffer points to. Null: 0 and EINVAL.
 */
size_t ef_stream_get_buffer_len(struct ef_stream *stream);

/**
 * Moves all bytes of `from` to the end of `to`, without a copy. `*count`, unless it is null,
 * becomes the number of bytes. Returns 0, or -1: EINVAL for null and when both are the same
 * stream.
 */
int ef_stream_transfer(struct ef_stream *to, struct ef_stream *from, size_t *count);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Opens a file; see ef_open_mode. With O_CREAT in `oflag` the third argument is the mode, as in
 * open(2). It is defined here, since Rust cannot define a variadic function.
 */
static inline int ef_open(const char *path, int oflag, ...)
{
    unsigned int mode = 0;
    if (oflag & O_CREAT) {
        va_list arguments;
        va_start(arguments, oflag);
        mode = va_arg(arguments, unsigned int);
        va_end(arguments);
    }
    return ef_open_mode(path, oflag, mode);
}

#ifdef __cplusplus
}
#endif

#endif /* EFIO_H_INCLUDED */
