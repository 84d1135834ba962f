/* The inner loop is bound by memory: four updates are taken per pass over the sums, each still added in its place in
 * the order, so that the bits are those of the plain loop. A division at the end, not scaled weights: the weights are
 * whole numbers and their sum is exact. */
#include "federation/aggregate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "federation/gate.h"

#define MAX_THREADS 8
#define WORTH_A_THREAD (1u << 19) /* values; below it starting a thread costs more than it saves */

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2")))
#endif
#ifdef __clang__
#define FAST
#else
#define FAST __attribute__((optimize("O3")))
#endif

#define SUM_BODY                                                                                                     \
        for (; k + 4 <= count; k += 4) {                                                                             \
                const float *a = updates[k].values + first, *b = updates[k + 1].values + first;                      \
                const float *c = updates[k + 2].values + first, *d = updates[k + 3].values + first;                  \
                double wa = updates[k].weight, wb = updates[k + 1].weight;                                           \
                double wc = updates[k + 2].weight, wd = updates[k + 3].weight;                                       \
                for (size_t i = 0; i < floats; i++)                                                                  \
                        sums[i] = (((sums[i] + wa * (double)a[i]) + wb * (double)b[i]) + wc * (double)c[i]) +        \
                                  wd * (double)d[i];                                                                 \
        }                                                                                                            \
        for (; k < count; k++) {                                                                                     \
                const float *a = updates[k].values + first;                                                          \
                double wa = updates[k].weight;                                                                       \
                for (size_t i = 0; i < floats; i++)                                                                  \
                        sums[i] += wa * (double)a[i];                                                                \
        }                                                                                                            \
        for (size_t i = 0; i < floats; i++)                                                                          \
                ret[i] = (float)(sums[i] / weight_sum);

FAST static void sum_plain(const struct vn_update *updates, size_t count, double weight_sum, size_t first,
                           size_t floats, double *restrict sums, float *restrict ret)
{
        size_t k = 0;
        memset(sums, 0, floats * sizeof(double));
        SUM_BODY
}

#ifdef WIDE
FAST WIDE static void sum_wide(const struct vn_update *updates, size_t count, double weight_sum, size_t first,
                               size_t floats, double *restrict sums, float *restrict ret)
{
        size_t k = 0;
        memset(sums, 0, floats * sizeof(double));
        SUM_BODY
}
#endif

static void fedavg_chunk(const struct vn_update *updates, size_t count, double weight_sum, size_t first,
                         size_t floats, double *sums, float *ret)
{
#ifdef WIDE
        if (__builtin_cpu_supports("avx2")) {
                sum_wide(updates, count, weight_sum, first, floats, sums, ret);
                return;
        }
#endif
        sum_plain(updates, count, weight_sum, first, floats, sums, ret);
}

static const struct vn_strategy strategies[] = {
        {"fedavg", fedavg_chunk},
};

const struct vn_strategy *vn_strategy_find(const char *name)
{
        for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++)
                if (!strcmp(strategies[i].name, name))
                        return &strategies[i];
        return NULL;
}

struct work {
        const struct vn_strategy *strategy;
        const struct vn_update *updates;
        size_t count, parameters;
        double weight_sum;
        float *ret;
        size_t next_chunk; /* atomic: who takes which chunk does not matter */
        bool infinite;     /* atomic */
};

static void *work_run(void *arg)
{
        struct work *work = arg;
        double sums[VN_BLOCK_FLOATS], squares = 0;
        for (;;) {
                size_t chunk = __atomic_fetch_add(&work->next_chunk, 1, __ATOMIC_RELAXED);
                size_t first = chunk * VN_CHUNK_FLOATS;
                if (first >= work->parameters)
                        return NULL;
                size_t left = work->parameters - first, n = left < VN_CHUNK_FLOATS ? left : VN_CHUNK_FLOATS;
                for (size_t at = 0; at < n; at += VN_BLOCK_FLOATS) {
                        size_t block = n - at < VN_BLOCK_FLOATS ? n - at : VN_BLOCK_FLOATS;
                        float *ret = work->ret + first + at;
                        work->strategy->chunk(work->updates, work->count, work->weight_sum, first + at, block, sums,
                                              ret);
                        if (!vn_floats_finite(ret, block, &squares))
                                __atomic_store_n(&work->infinite, true, __ATOMIC_RELAXED);
                }
        }
}

static int by_account(const void *a, const void *b)
{
        return strcmp(((const struct vn_update *)a)->account, ((const struct vn_update *)b)->account);
}

static enum vn_rc order(struct vn_update *sorted, size_t count, double *ret_sum, struct vn_err *err)
{
        double sum = 0;
        qsort(sorted, count, sizeof *sorted, by_account);
        for (size_t i = 0; i < count; i++) {
                if (!(sorted[i].weight > 0 && sorted[i].weight <= 1e15))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "aggregation: weight of %.64s is out of range",
                                       sorted[i].account);
                if (i && !strcmp(sorted[i].account, sorted[i - 1].account))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "aggregation: %.64s is there twice",
                                       sorted[i].account);
                sum += sorted[i].weight;
        }
        *ret_sum = sum;
        return VN_OK;
}

static void run_threads(struct work *work, unsigned threads)
{
        pthread_t started[MAX_THREADS];
        unsigned n = 0;
        while (n + 1 < threads && pthread_create(&started[n], NULL, work_run, work) == 0)
                n++;
        work_run(work); /* if no thread could be had, this one does it all */
        for (unsigned i = 0; i < n; i++)
                pthread_join(started[i], NULL);
}

enum vn_rc vn_aggregate(const struct vn_strategy *strategy, const struct vn_update *updates, size_t count,
                        size_t parameters, unsigned threads, float *ret, struct vn_err *err)
{
        if (!count || count > VN_MAX_UPDATES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "aggregation: %zu updates", count);
        struct vn_update *sorted = vn_alloc_array(count, sizeof *sorted);
        if (!sorted)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "aggregation: out of memory");
        memcpy(sorted, updates, count * sizeof *sorted);
        struct work work = {
                .strategy = strategy, .updates = sorted, .count = count, .parameters = parameters, .ret = ret};
        enum vn_rc rc = order(sorted, count, &work.weight_sum, err);
        if (rc == VN_OK) {
                if (!threads) {
                        long cores = sysconf(_SC_NPROCESSORS_ONLN);
                        threads = cores > 1 && count * parameters > WORTH_A_THREAD ? (unsigned)cores : 1;
                }
                run_threads(&work, threads < MAX_THREADS ? threads : MAX_THREADS);
                if (work.infinite)
                        rc = vn_fail(err, VN_OUT_OF_RANGE, "aggregation: a result is not finite");
        }
        vn_free(sorted);
        return rc;
}
