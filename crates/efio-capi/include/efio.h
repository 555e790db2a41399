/*
 * efio for C: files for event loops.
 *
 * A read that memory can satisfy returns at once, else -1 and EAGAIN, and a callback or an event
 * says when to come again. A write is a memcpy; the bytes go to disk behind the caller's back, and
 * errors are kept. docs/C-API.md has the differences from the original ef_io.h.
 *
 * Every function may be called from any thread. Those that return int or ssize_t give -1 and set
 * errno when they fail, unless they say otherwise.
 *
 * Made from crates/efio-capi/src by cbindgen; EFIO_BLESS=1 cargo test -p efio-capi --test header
 * makes it anew.
 *
 * A null pointer gives EINVAL. Any other must be what the function takes: memory of that size, an
 * object that was created and not destroyed, a lock that the caller has.
 */
#ifndef EFIO_H_INCLUDED
#define EFIO_H_INCLUDED

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * The most bytes of one ef_read_at or ef_write_at.
 */
#define EF_AT_MAX 2097152

/**
 * The operation codes of the callback. Those of the original.
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
 * What happened: the kinds of ef_next_event. The first three are the operation codes.
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
 * What ef_set_option sets. Values out of range are reported by ef_init.
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
     * How many files may be open at once; 65536 unless set.
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
 * Who makes the system calls.
 */
typedef enum ef_backend {
    /**
     * The best one that works here.
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
 * How the bytes travel.
 */
typedef enum ef_mode {
    /**
     * The engine chooses.
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
 * A stream of byte chunks: one thread puts them in while another takes bytes out, and neither
 * waits for the other. Each end has a lock, so that several threads at one end do no harm.
 */
typedef struct ef_stream ef_stream;

/**
 * How far the bytes of a file have come. Counts, not offsets: accepted >= written >= durable.
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
 * News of a file.
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
} ef_event;

/**
 * What the functions take.
 */
typedef struct ev_queue_s *ev_queue_type;

/**
 * What the functions take.
 */
typedef struct spin_lock *spin_lock_p_type;

/**
 * A queue lock: first come, first served. It lies in the caller's memory, where mcs_init makes it,
 * and stays there while somebody has a ticket.
 */
typedef struct ev_mcs_lock_type {
    /**
     * Not for the caller.
     */
    void *tail;
} ev_mcs_lock_type;

/**
 * What the functions take.
 */
typedef struct ev_rwlock_s *ev_rwlock_type;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Starts the library: one engine for the process, with a thread of its own. Does nothing when it
 * is running. Returns 0, or -1: EINVAL for an option out of range, ENOTSUP for a backend that is
 * not to be had, what the kernel says to memory and threads, ESHUTDOWN in a forked child of a
 * process that has it running. Without it every call about a file gives -1 and EBADF,
 * after ef_shutdown ESHUTDOWN.
 */
int ef_init(void);

/**
 * Sets an option, one of ef_option, for the next ef_init. Returns 0, or -1: EBUSY while the
 * library is running, EINVAL for an unknown option and for a value that is none.
 */
int ef_set_option(int option, uint64_t value);

/**
 * Ends the library: closes every file, waits until all accepted bytes are written or `timeout_ms`
 * milliseconds are over, and for the callback. Returns 0 when nothing was left, else the number
 * of files of which something was: those that were not closed in time, and those that failed
 * without a function having said so, be they closed or not. `*unwritten`, unless it is null,
 * becomes the number of their bytes that were not written. All descriptors are closed. -1: EBADF when the library is not running, EDEADLK in
 * a callback, ESHUTDOWN in a forked child.
 */
int ef_shutdown(unsigned int timeout_ms,
                uint64_t *unwritten);

/**
 * What ef_open calls; for languages without variadic functions. `mode` counts when `oflag` has
 * O_CREAT.
 *
 * Opens a file. Returns a descriptor at once; the kernel opens the file in the background, and
 * ef_open_status says how it went. Writes are accepted meanwhile. -1: EINVAL for a null or empty
 * path and for flags that cannot be obeyed, EMFILE when all descriptors are in use, ENAMETOOLONG.
 */
int ef_open_mode(const char *path, int oflag, unsigned int mode);

/**
 * Whether the file is open: returns `fd`; or -1: EAGAIN while the kernel is about it, else the
 * error of the open, which is never EAGAIN, and then the descriptor is closed. EBADF when it is
 * closed.
 */
int ef_open_status(int fd);

/**
 * Closes the file: the descriptor is no longer valid, what was written goes to disk in the
 * background, and ef_close_status says how it went. Returns 0, or -1 with the file's error if it
 * has failed before; it is closed all the same. EBADF: it was closed before.
 */
int ef_close(int fd);

/**
 * Closes the file and waits until that is done and the callback was told. Returns 0 when every
 * byte is durable (with EF_OPTION_DURABLE_CLOSE 0: when the kernel has it), or -1 with the first
 * error of the file; it is closed all the same. EBADF: it was closed before.
 */
int ef_close_immediate(int fd);

/**
 * Whether a close has ended: returns 0; or -1: EAGAIN while it goes on, EINVAL when the file is
 * open, EBADF for a number that was never given out, else the first error of the file. The
 * answer stays until the number is given to another file.
 */
int ef_close_status(int fd);

/**
 * Reads up to `nbyte` bytes from the position on into `buf`, and moves the position. Returns how
 * many; 0 at the end of file, which is where it is now: a file that grows reads on. Bytes that
 * were written through the same descriptor are seen. -1: EAGAIN when nothing is in memory, and
 * the callback or event says when to come again; EBADF when closed or not open for reading;
 * EINVAL for a null `buf` and for no bytes; the error of the open or of the disk.
 */
ssize_t ef_read(int fd, void *buf, size_t nbyte);

/**
 * What ef_read would give at once: 1 for bytes, 0 at the end of file, -1 with an error. EAGAIN:
 * the bytes were asked for, and the callback or event says when they are there.
 */
ssize_t ef_file_ready_for_read(int fd);

/**
 * Copies up to `nbyte` bytes into memory, from where they go to the file at the position, which
 * moves. Returns how many; 0, with EAGAIN in errno, when the memory budget or the file's share of
 * it is used up, and an event says when there is room. -1: EBADF when closed or not open for
 * writing; EINVAL for a null `buf` and for no bytes; after a failure its error, whatever is written.
 */
ssize_t ef_write(int fd,
                 const void *buf,
                 size_t nbyte);

/**
 * Like ef_write, but accepts all of the bytes: it waits for the disk when there is no room.
 * Returns less than `nbyte` only when the file fails or is closed meanwhile. ef_io.h calls this
 * ef_write, for programs that do not look how much was accepted.
 */
ssize_t ef_write_all(int fd, const void *buf, size_t nbyte);

/**
 * What could be done at once: the sum of 1 for a write and 2 for a read, where an end of file or
 * an error is an answer as well; 0 for neither. Of a file that is open for reading only, bytes
 * are asked for. -1: EBADF when closed; the error of the open.
 */
int ef_poll(int fd);

/**
 * Asks that every byte accepted so far becomes durable. Returns 0 at once; an event and
 * ef_progress say when it is done. -1: the file's failure, if there was one; EBADF when closed.
 */
int ef_sync(int fd);

/**
 * Like ef_sync. `*mark`, unless it is null, becomes the mark that `durable` of ef_progress and
 * `value` of the event will reach.
 */
int ef_sync_mark(int fd, uint64_t *mark);

/**
 * How far the bytes of the file have come. Returns 0, or -1: EBADF when closed, EINVAL for null.
 */
int ef_get_progress(int fd, struct ef_progress *progress);

/**
 * What made the file unusable for writing: returns 0 when nothing did, else the errno, and
 * `*lost_from`, unless it is null, becomes the lowest offset whose byte may be lost, UINT64_MAX
 * when none may. It never goes away while the file is open. -1: EBADF when closed.
 */
int ef_error(int fd, uint64_t *lost_from);

/**
 * Moves the position of the next read or write to `position` bytes from the start; appends go to
 * the end all the same, and behind one the position is the end of the file. Returns 0, or -1:
 * EINVAL beyond the range of offsets, EBADF when closed.
 */
int ef_seek(int fd, uint64_t position);

/**
 * Reads up to `nbyte` bytes, EF_AT_MAX at most, from `offset` on. Returns 0 at once; an event
 * EF_KIND_COMPLETED with `token` says how many there were, fewer only at the end of file. The
 * bytes are copied to `buf` when ef_next_event gives that event: until then, or until ef_shutdown,
 * `buf` must be there. The position does not move; what was written through the descriptor before
 * is seen. -1: EBADF when closed or not open for reading, EINVAL for a null `buf`, for no or too
 * many bytes, and beyond the range of offsets, EAGAIN when the memory budget is used up, ENOMEM.
 */
int ef_read_at(int fd, void *buf, size_t nbyte, uint64_t offset, uint64_t token);

/**
 * Writes `nbyte` bytes, EF_AT_MAX at most, at `offset`. They are copied before it returns 0; an
 * event EF_KIND_COMPLETED with `token` says how it went. The position does not move; ef_sync
 * covers it, and its failure is the file's. -1: as ef_read_at, EBADF when not open for writing,
 * EINVAL in append mode, the file's failure.
 */
int ef_write_at(int fd, const void *buf, size_t nbyte, uint64_t offset, uint64_t token);

/**
 * Sets the length of the file, in its turn among what was written. Returns 0 at once; an event
 * EF_KIND_TRUNCATED or EF_KIND_FAILED follows. -1: EBADF when closed or not open for writing,
 * EINVAL beyond the range of offsets, the file's failure.
 */
int ef_truncate(int fd, uint64_t len);

/**
 * Has `cb_func` called, with `cb_data`, when an open, a read that gave EAGAIN, or a close has
 * ended. It runs on a thread of the library that does nothing else, one call after the other, and
 * may call everything but ef_shutdown. Null: as ef_unset_cb_func. When this returns the function
 * that was set before is not running any more and will not be called again, unless it is the
 * caller itself. Returns 0, or -1 with what the kernel says to a thread; ESHUTDOWN in a forked
 * child.
 *
 * The function has to return: no exception, longjmp, pthread_exit or cancellation leaves it, they
 * would pass through frames that are not C. It has the signal mask of the thread that started its
 * thread, and a stack as large as pthread_create makes it. A child that it forks ends by exec or
 * _exit: when the function returns there, the child ends.
 */
int ef_set_cb_func(ef_notification_f_type cb_func, void *cb_data);

/**
 * Has no function called any more; see ef_set_cb_func.
 */
void ef_unset_cb_func(void);

/**
 * A descriptor for poll, epoll, libev and the like: it can be read while events are available,
 * until ef_next_event returns 0. With EPOLLET or EPOLLONESHOT too: a new edge follows whenever an
 * event follows a call that returned 0, so take events until then after each wake-up. It belongs
 * to the library: do not read or close it. Events are kept from the first call of this, of
 * ef_next_event or of ef_read_at or ef_write_at on, beside the callback. -1: EBADF when the
 * library is not running, ESHUTDOWN in a forked child.
 */
int ef_event_fd(void);

/**
 * Takes the oldest event. Returns 1, or 0 when none waits. Several threads may take events, each
 * is given out once. -1: EBADF when the library is not running, EINVAL for null, ESHUTDOWN in a
 * forked child.
 */
int ef_next_event(struct ef_event *event);

/**
 * A new queue.
 */
ev_queue_type create_ev_queue(void);

/**
 * Puts `data` at the end. Returns 0, or -1: ENOMEM, EINVAL for a null queue.
 *
 * In a forked child of a process with several threads, one of which may have been in the middle of a
 * call, a queue of the parent fails with ESHUTDOWN; destroying it there frees nothing.
 */
int ev_queue_enqueue(ev_queue_type queue,
                     void *data);

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
 * Whether an item was there at about this time: 1 or 0. -1: EINVAL for null.
 */
int ev_queue_peek(ev_queue_type queue);

/**
 * How many items there were at about this time. Null: 0 and EINVAL.
 */
size_t ev_queue_len(ev_queue_type queue);

/**
 * Destroys a queue that nobody uses any more. Items that are in it are given to free(3), as the
 * original does. Null is allowed.
 */
void destroy_ev_queue(ev_queue_type queue);

/**
 * Destroys a queue that nobody uses any more, and leaves the items that are in it alone. Null is
 * allowed.
 */
void wf_destroy_ev_queue(ev_queue_type queue);

/**
 * A new lock, open.
 */
spin_lock_p_type create_spin_lock(void);

/**
 * Destroys a lock that nobody uses any more. Null is allowed.
 */
void destroy_spin_lock(spin_lock_p_type lock);

/**
 * Takes the lock if it is open. Returns 1, or 0 when somebody has it. -1: EINVAL for null.
 */
int ev_spin_try_lock(spin_lock_p_type lock);

/**
 * Waits for the lock and takes it. Null: EINVAL in errno, and nothing is locked. As with a mutex of
 * pthreads, a lock that another thread has at a fork is taken in the child for good.
 */
void ev_spin_lock(spin_lock_p_type lock);

/**
 * Opens the lock, which the caller has. Null: EINVAL in errno.
 */
void ev_spin_unlock(spin_lock_p_type lock);

/**
 * Makes an open lock in `*lock`. Null: EINVAL in errno.
 */
void mcs_init(struct ev_mcs_lock_type *lock);

/**
 * Waits for its turn and takes the lock. Returns the ticket for mcs_relinquish. Null: EINVAL.
 */
void *mcs_get_access(struct ev_mcs_lock_type *lock);

/**
 * Opens the lock for the next one. `access` is the ticket that this thread got for the lock from
 * mcs_get_access; it is used up. Returns 0, or -1: EINVAL for null.
 */
int mcs_relinquish(struct ev_mcs_lock_type *lock, void *access);

/**
 * A new lock, open.
 */
ev_rwlock_type ev_rwlock_init(void);

/**
 * Destroys a lock that nobody uses any more. Null is allowed.
 */
void ev_rwlock_destroy(ev_rwlock_type lock);

/**
 * Waits until the caller may read. Returns 0, or -1: EINVAL for null; ESHUTDOWN in a forked child
 * for a lock that was taken at the fork, until whoever has it opens it.
 */
int ev_rwlock_rdlock(ev_rwlock_type lock);

/**
 * The caller has read. Returns 0, or -1: EINVAL for null.
 */
int ev_rwlock_rdunlock(ev_rwlock_type lock);

/**
 * Waits until the caller may write. Returns 0, or -1: EINVAL for null; ESHUTDOWN as for
 * ev_rwlock_rdlock.
 */
int ev_rwlock_wrlock(ev_rwlock_type lock);

/**
 * The caller has written. Returns 0, or -1: EINVAL for null.
 */
int ev_rwlock_wrunlock(ev_rwlock_type lock);

/**
 * A new stream, empty.
 */
struct ef_stream *ef_stream_create(void);

/**
 * Destroys a stream and what is in it. Null is allowed. ESHUTDOWN in errno: in a forked child whose
 * parent was in the middle of a call, the memory stays.
 *
 * Every function of a stream fails with ESHUTDOWN in a forked child when another thread of the parent
 * was at the same end of it at the fork.
 */
void ef_stream_destroy(struct ef_stream *stream);

/**
 * Puts `nbyte` bytes at the end without copying them: `buf`, which comes from malloc(3), belongs
 * to the stream, which gives it to free(3). Returns `nbyte`, or 0: EINVAL for null and for no
 * bytes; `buf` is still the caller's then.
 */
size_t ef_stream_push(struct ef_stream *stream, void *buf, size_t nbyte);

/**
 * Copies `nbyte` bytes to the end. Returns how many: fewer when memory lacks, with ENOMEM. 0:
 * EINVAL for null and for no bytes.
 */
size_t ef_stream_append(struct ef_stream *stream, const void *buf, size_t nbyte);

/**
 * Copies up to `nbyte` bytes out, from `start_pos` bytes behind the front on, and leaves them in
 * the stream. Returns how many; -1: EINVAL for null, for no bytes, and when the stream has none
 * at `start_pos`.
 */
ssize_t ef_stream_copy(struct ef_stream *stream, size_t start_pos, void *buf, size_t nbyte);

/**
 * Takes up to `nbyte` bytes out. Returns how many; 0 when there are none now. 0 and EINVAL for
 * null and for no bytes.
 */
size_t ef_stream_read(struct ef_stream *stream, void *buf, size_t nbyte);

/**
 * Takes up to `nbyte` bytes out and forgets them. Returns how many. Null: 0 and EINVAL.
 */
size_t ef_stream_erase(struct ef_stream *stream, size_t nbyte);

/**
 * The bytes at the front, without a copy; null when there are none now. They stay where they are
 * until they are taken out. ef_stream_get_buffer_len says how many there are: ask for the buffer
 * first, since bytes may be added to it in between.
 */
const void *ef_stream_get_buffer(struct ef_stream *stream);

/**
 * How many bytes ef_stream_get_buffer points to. Null: 0 and EINVAL.
 */
size_t ef_stream_get_buffer_len(struct ef_stream *stream);

/**
 * Moves all that is in `from` to the end of `to`; chunks are not copied. `*count`, unless it is
 * null, becomes the number of bytes. Returns 0, or -1: EINVAL for null and for one and the same.
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
 * open(2). It is not in the library, whose language cannot define it.
 */
static inline int ef_open(const char *path, int oflag, ...)
{
    unsigned int mode = 0;
    if (oflag & O_CREAT) {
        va_list rest;
        va_start(rest, oflag);
        mode = va_arg(rest, unsigned int);
        va_end(rest);
    }
    return ef_open_mode(path, oflag, mode);
}

#ifdef __cplusplus
}
#endif

#endif /* EFIO_H_INCLUDED */
