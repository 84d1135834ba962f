/* explain_main.c - the `explain` bench: exact attribution of a margin over ten groups, and how far the values' sum is
 * from the margin. Usage: bench-explain [DECISIONS, default 100000]. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "decide/attribution.h"
#include "decide/testing.h"

static double now_us(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static void line(const char *metric, double value, const char *unit)
{
        printf("{\"bench\":\"explain\",\"case\":\"10-groups\",\"metric\":\"%s\",\"value\":%.4g,\"unit\":\"%s\","
               "\"peer\":null,\"peer_value\":null,\"ratio\":null}\n",
               metric, value, unit);
}

int main(int argc, char **argv)
{
        enum { VIEWS = 256 };
        uint64_t n = 100000;
        if (argc > 1 && (vn_str_to_u64(vn_str(argv[1]), &n) != VN_OK || n < 1 || n > 100000000)) {
                fprintf(stderr, "usage: bench-explain [DECISIONS]\n");
                return 2;
        }
        struct vn_view *views[VIEWS];
        static const struct vn_live live;
        double *sample = vn_alloc_array(n, sizeof *sample), worst = 0;
        struct vn_rng rng;
        if (!sample)
                return 1;
        vn_rng_seed(&rng, 1);
        for (unsigned i = 0; i < VIEWS; i++)
                if (!(views[i] = testing_view(10, i)) || vn_view_seal(views[i], NULL) != VN_OK)
                        return 1;
        for (size_t i = 0; i < n; i++) {
                struct vn_question q = testing_question(&rng);
                struct vn_decision d;
                struct vn_attribution a;
                vn_decide(views[vn_rng_below(&rng, VIEWS)], &q, &live, &d);
                double start = now_us();
                vn_attribute(&d.features, &d.runner_up_features, &d.weights, &a);
                sample[i] = now_us() - start;
                double error = a.sum > d.margin ? a.sum - d.margin : d.margin - a.sum;
                worst = error > worst ? error : worst;
        }
        qsort(sample, n, sizeof *sample, by_value);
        line("p50_us", sample[n / 2], "us");
        line("p99_us", sample[n * 99 / 100], "us");
        line("sum_error", worst, "usd_per_million");
        for (unsigned i = 0; i < VIEWS; i++)
                vn_view_free(views[i]);
        vn_free(sample);
        return 0;
}
