/*
 * A queue between four threads: two enqueue COUNT numbers each, two dequeue them. Each number has
 * to be dequeued once, and those of one producer in their order.
 *
 *     cc queue.c -lefio -pthread -o queue && ./queue COUNT
 */
#include <efio.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAIRS = 2 };

struct shared {
    ev_queue_type queue;
    uintptr_t count;
};

struct producer {
    const struct shared *shared;
    uintptr_t number;
};

struct consumer {
    const struct shared *shared;
    uintptr_t taken;
    uintptr_t sum;
    int in_order;
};

/* Item I of producer P; never null, so that ev_queue_dequeue would do as well. */
static void *item(uintptr_t p, uintptr_t i)
{
    return (void *)(i * PAIRS + p + 1);
}

static void *produce(void *arg)
{
    const struct producer *me = (const struct producer *)arg;
    for (uintptr_t i = 0; i < me->shared->count; i++) {
        while (ev_queue_enqueue(me->shared->queue, item(me->number, i)) == -1) {
            perror("ev_queue_enqueue");
            exit(1);
        }
    }
    ev_queue_enqueue(me->shared->queue, NULL); /* ends one consumer */
    return NULL;
}

static void *consume(void *arg)
{
    struct consumer *me = (struct consumer *)arg;
    uintptr_t last[PAIRS] = {0, 0};
    me->in_order = 1;
    for (;;) {
        void *data;
        if (ev_queue_try_dequeue(me->shared->queue, &data) == 0) {
            sched_yield();
            continue;
        }
        if (data == NULL) {
            return NULL;
        }
        uintptr_t value = (uintptr_t)data;
        uintptr_t producer = (value - 1) % PAIRS;
        me->in_order &= value > last[producer];
        last[producer] = value;
        me->taken++;
        me->sum += value;
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[2 * PAIRS];
    struct producer producers[PAIRS];
    struct consumer consumers[PAIRS];
    struct shared shared;
    if (argc != 2) {
        fprintf(stderr, "usage: %s COUNT\n", argv[0]);
        return 2;
    }
    shared.queue = create_ev_queue();
    shared.count = strtoul(argv[1], NULL, 10);
    for (int i = 0; i < PAIRS; i++) {
        producers[i].shared = &shared;
        producers[i].number = (uintptr_t)i;
        consumers[i].shared = &shared;
        consumers[i].taken = consumers[i].sum = 0;
        pthread_create(&threads[2 * i], NULL, produce, &producers[i]);
        pthread_create(&threads[2 * i + 1], NULL, consume, &consumers[i]);
    }
    for (int i = 0; i < 2 * PAIRS; i++) {
        pthread_join(threads[i], NULL);
    }

    uintptr_t total = PAIRS * shared.count;
    uintptr_t taken = 0, sum = 0;
    int in_order = 1;
    for (int i = 0; i < PAIRS; i++) {
        taken += consumers[i].taken;
        sum += consumers[i].sum;
        in_order &= consumers[i].in_order;
    }
    int is_empty = ev_queue_peek(shared.queue) == 0;
    wf_destroy_ev_queue(shared.queue);
    printf("%" PRIuPTR " numbers, sum %" PRIuPTR "\n", taken, sum);
    return taken == total && sum == total * (total + 1) / 2 && in_order && is_empty ? 0 : 1;
}
