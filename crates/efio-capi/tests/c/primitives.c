/* Queue, locks and chunk stream: the results of each call, then several threads at once. */
#include "check.h"
#include <efio.h>
#include <pthread.h>
#include <sched.h>

enum { THREADS = 3, ROUNDS = 2000 };

static void queue(void)
{
    int values[3] = {1, 2, 3};
    void *data = values;
    ev_queue_type queue = create_ev_queue();
    CHECK(ev_queue_peek(queue) == 0);
    CHECK(ev_queue_dequeue(queue) == NULL);
    CHECK(ev_queue_try_dequeue(queue, &data) == 0 && data == NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(ev_queue_enqueue(queue, &values[i]) == 0);
    }
    CHECK(ev_queue_enqueue(queue, NULL) == 0); /* null is an item like any other */
    CHECK(ev_queue_peek(queue) == 1 && ev_queue_len(queue) == 4);
    CHECK(ev_queue_dequeue(queue) == &values[0]);
    CHECK(ev_queue_try_dequeue(queue, &data) == 1 && data == &values[1]);
    CHECK(ev_queue_dequeue(queue) == &values[2]);
    CHECK(ev_queue_try_dequeue(queue, &data) == 1 && data == NULL);
    CHECK(ev_queue_enqueue(queue, &values[0]) == 0);
    wf_destroy_ev_queue(queue); /* does not free the item */

    queue = create_ev_queue();
    for (int i = 0; i < 300; i++) {
        CHECK(ev_queue_enqueue(queue, malloc(10)) == 0);
    }
    destroy_ev_queue(queue); /* frees the items */

    FAILS(ev_queue_enqueue(NULL, NULL), EINVAL);
    FAILS(ev_queue_peek(NULL), EINVAL);
    FAILS(ev_queue_try_dequeue(NULL, &data), EINVAL);
    CHECK(ev_queue_dequeue(NULL) == NULL);
    destroy_ev_queue(NULL);
    wf_destroy_ev_queue(NULL);
}

/* Plain memory, which only the locks protect. */
struct shared {
    spin_lock_p_type spin;
    ev_mcs_lock_type mcs;
    ev_rwlock_type rw;
    long under_spin, under_mcs;
    long pair[2];
};

static void *use_locks(void *arg)
{
    struct shared *shared = (struct shared *)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 2 == 0) {
            ev_spin_lock(shared->spin);
        } else {
            while (ev_spin_try_lock(shared->spin) == 0) {
                sched_yield();
            }
        }
        shared->under_spin++;
        ev_spin_unlock(shared->spin);

        void *ticket = mcs_get_access(&shared->mcs);
        shared->under_mcs++;
        CHECK(mcs_relinquish(&shared->mcs, ticket) == 0);

        if (i % 4 == 0) {
            CHECK(ev_rwlock_wrlock(shared->rw) == 0);
            shared->pair[0]++;
            shared->pair[1]++;
            CHECK(ev_rwlock_wrunlock(shared->rw) == 0);
        } else {
            CHECK(ev_rwlock_rdlock(shared->rw) == 0);
            CHECK(shared->pair[0] == shared->pair[1]);
            CHECK(ev_rwlock_rdunlock(shared->rw) == 0);
        }
    }
    return NULL;
}

static void locks(void)
{
    struct shared shared;
    pthread_t threads[THREADS];
    shared.spin = create_spin_lock();
    shared.rw = ev_rwlock_init();
    mcs_init(&shared.mcs);
    shared.under_spin = shared.under_mcs = shared.pair[0] = shared.pair[1] = 0;
    CHECK(ev_spin_try_lock(shared.spin) == 1);
    CHECK(ev_spin_try_lock(shared.spin) == 0);
    ev_spin_unlock(shared.spin);
    CHECK(ev_rwlock_rdlock(shared.rw) == 0);
    CHECK(ev_rwlock_rdlock(shared.rw) == 0); /* many readers */
    CHECK(ev_rwlock_rdunlock(shared.rw) == 0);
    CHECK(ev_rwlock_rdunlock(shared.rw) == 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, use_locks, &shared) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(shared.under_spin == THREADS * ROUNDS);
    CHECK(shared.under_mcs == THREADS * ROUNDS);
    CHECK(shared.pair[0] == THREADS * ROUNDS / 4);
    destroy_spin_lock(shared.spin);
    ev_rwlock_destroy(shared.rw);

    FAILS(ev_spin_try_lock(NULL), EINVAL);
    FAILS(ev_rwlock_rdlock(NULL), EINVAL);
    FAILS(ev_rwlock_wrunlock(NULL), EINVAL);
    FAILS(mcs_relinquish(&shared.mcs, NULL), EINVAL);
    CHECK(mcs_get_access(NULL) == NULL);
    ev_spin_lock(NULL);
    ev_spin_unlock(NULL);
    mcs_init(NULL);
    destroy_spin_lock(NULL);
    ev_rwlock_destroy(NULL);
}

static void *copy_of(const char *text)
{
    void *copy = malloc(strlen(text));
    memcpy(copy, text, strlen(text));
    return copy;
}

static void stream(void)
{
    char buf[64];
    size_t moved = 0;
    struct ef_stream *stream = ef_stream_create();
    struct ef_stream *other = ef_stream_create();
    CHECK(ef_stream_get_buffer(stream) == NULL && ef_stream_get_buffer_len(stream) == 0);
    CHECK(ef_stream_read(stream, buf, sizeof buf) == 0);
    FAILS(ef_stream_copy(stream, 0, buf, 1), EINVAL);
    CHECK(ef_stream_push(stream, copy_of("handed "), 7) == 7);
    CHECK(ef_stream_append(stream, "copied ", 7) == 7);
    CHECK(ef_stream_push(stream, copy_of("over"), 4) == 4);
    CHECK(memcmp(ef_stream_get_buffer(stream), "handed ", 7) == 0);
    CHECK(ef_stream_get_buffer_len(stream) == 7);
    CHECK(ef_stream_copy(stream, 5, buf, sizeof buf) == 13);
    CHECK(memcmp(buf, "d copied over", 13) == 0);
    FAILS(ef_stream_copy(stream, 18, buf, 1), EINVAL);
    CHECK(ef_stream_read(stream, buf, 3) == 3 && memcmp(buf, "han", 3) == 0);
    CHECK(ef_stream_erase(stream, 5) == 5);
    CHECK(ef_stream_append(other, ">", 1) == 1);
    CHECK(ef_stream_transfer(other, stream, &moved) == 0 && moved == 10);
    CHECK(ef_stream_erase(stream, 1) == 0);
    CHECK(ef_stream_read(other, buf, sizeof buf) == 11 && memcmp(buf, ">opied over", 11) == 0);
    CHECK(ef_stream_push(other, copy_of("left behind"), 11) == 11);
    FAILS(ef_stream_transfer(other, other, NULL), EINVAL);
    FAILS(ef_stream_transfer(other, NULL, NULL), EINVAL);
    errno = 0;
    CHECK(ef_stream_push(other, NULL, 1) == 0 && errno == EINVAL);
    errno = 0;
    CHECK(ef_stream_append(NULL, "x", 1) == 0 && errno == EINVAL);
    ef_stream_destroy(stream);
    ef_stream_destroy(other);
    ef_stream_destroy(NULL);
}

enum { BYTES = 2000000 };

static void *send_bytes(void *arg)
{
    struct ef_stream *stream = (struct ef_stream *)arg;
    unsigned char block[997];
    for (size_t at = 0; at < BYTES;) {
        size_t len = at % 3 == 0 ? 13 : sizeof block;
        len = len < BYTES - at ? len : BYTES - at;
        for (size_t i = 0; i < len; i++) {
            block[i] = (unsigned char)((at + i) / 11);
        }
        if (at % 2 == 0) {
            void *copy = malloc(len);
            memcpy(copy, block, len);
            CHECK(ef_stream_push(stream, copy, len) == len);
        } else {
            CHECK(ef_stream_append(stream, block, len) == len);
        }
        at += len;
    }
    return NULL;
}

/* One thread adds bytes and this one takes them, by reads and through the buffer in turn. */
static void stream_between_threads(void)
{
    pthread_t sender;
    unsigned char buf[4096];
    struct ef_stream *stream = ef_stream_create();
    CHECK(pthread_create(&sender, NULL, send_bytes, stream) == 0);
    size_t wrong = 0;
    for (size_t at = 0, round = 0; at < BYTES; round++) {
        const unsigned char *bytes = buf;
        size_t len;
        if (round % 2 == 0) {
            len = ef_stream_read(stream, buf, sizeof buf);
        } else {
            bytes = (const unsigned char *)ef_stream_get_buffer(stream);
            len = bytes == NULL ? 0 : ef_stream_get_buffer_len(stream);
        }
        for (size_t i = 0; i < len; i++) {
            wrong += bytes[i] != (unsigned char)((at + i) / 11);
        }
        if (round % 2 == 1) {
            CHECK(ef_stream_erase(stream, len) == len);
        }
        if (len == 0) {
            sched_yield();
        }
        at += len;
    }
    CHECK(wrong == 0);
    pthread_join(sender, NULL);
    CHECK(ef_stream_read(stream, buf, sizeof buf) == 0);
    ef_stream_destroy(stream);
}

int main(void)
{
    queue();
    locks();
    stream();
    stream_between_threads();
    return failures == 0 ? 0 : 1;
}
