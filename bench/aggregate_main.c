/* aggregate_main.c - vn_aggregate's side of the `aggregate` bench: milliseconds of each pass, one a line.
 * Usage: bench-aggregate PARAMETERS UPDATES PASSES REPEATS. For each pass: waits for a line on stdin, aggregates REPEATS
 * times, prints the mean time and a checksum. The driver, aggregate.py, alternates the passes with its peer's. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "federation/aggregate.h"

static double now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static enum vn_rc one_pass(const struct vn_update *updates, size_t count, size_t n, unsigned repeats, float *ret)
{
        struct vn_err err;
        double start = now_ms();
        for (unsigned i = 0; i < repeats; i++)
                if (vn_aggregate(vn_strategy_find("fedavg"), updates, count, n, 0, ret, &err) != VN_OK) {
                        fprintf(stderr, "%s\n", err.msg);
                        return err.rc;
                }
        printf("%.6f %016llx\n", (now_ms() - start) / repeats,
               (unsigned long long)vn_hash64(ret, n * sizeof(float), 0));
        fflush(stdout);
        return VN_OK;
}

static int run(size_t n, size_t count, unsigned passes, unsigned repeats)
{
        struct vn_update *updates = vn_alloc_array(count, sizeof *updates);
        char(*names)[32] = vn_alloc_array(count, sizeof *names);
        float *ret = vn_alloc_array(n, sizeof(float));
        if (!updates || !names || !ret)
                return 1;
        struct vn_rng rng;
        vn_rng_seed(&rng, 1);
        for (size_t k = 0; k < count; k++) {
                float *values = vn_alloc_array(n, sizeof(float)); /* each its own memory, as updates are */
                if (!values)
                        return 1;
                for (size_t i = 0; i < n; i++)
                        values[i] = (float)(vn_rng_unit(&rng) - 0.5);
                snprintf(names[k], sizeof names[k], "account-%05zu", k);
                updates[k] = (struct vn_update){names[k], (double)(100 + k % 7), values};
        }
        char line[16];
        while (passes-- && fgets(line, sizeof line, stdin))
                if (one_pass(updates, count, n, repeats, ret) != VN_OK)
                        return 1;
        for (size_t k = 0; k < count; k++) {
                union {
                        const float *in;
                        float *out;
                } cast = {.in = updates[k].values};
                vn_free(cast.out);
        }
        vn_free(updates);
        vn_free(names);
        vn_free(ret);
        return 0;
}

int main(int argc, char **argv)
{
        long value[4] = {0};
        for (int i = 0; i < 4 && argc == 5; i++)
                value[i] = strtol(argv[i + 1], NULL, 10);
        if (value[0] < 1 || value[0] > 100000000 || value[1] < 1 || value[1] > 10000 || value[2] < 1 ||
            value[3] < 1) {
                fprintf(stderr, "usage: %s PARAMETERS UPDATES PASSES REPEATS\n", argv[0]);
                return 2;
        }
        return run((size_t)value[0], (size_t)value[1], (unsigned)value[2], (unsigned)value[3]);
}
