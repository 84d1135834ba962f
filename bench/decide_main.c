/* decide_main.c - the `decide` bench: a decision over views that together exceed the L2 cache many times, asked in random
 * order. Usage: bench-decide [SECONDS a case, default 2]. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "decide/testing.h"

#define VIEWS_BYTES (96u << 20) /* of hot rows and states together */
#define MAX_SAMPLES 400000
#define QUESTIONS 4096

static double now_us(clockid_t clock)
{
        struct timespec t;
        clock_gettime(clock, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static void line(unsigned endpoints, const char *metric, double value, const char *unit)
{
        printf("{\"bench\":\"decide\",\"case\":\"%u\",\"metric\":\"%s\",\"value\":%.4g,\"unit\":\"%s\",\"peer\":null,"
               "\"peer_value\":null,\"ratio\":null}\n",
               endpoints, metric, value, unit);
        fflush(stdout);
}

static struct vn_view **make_views(unsigned endpoints, size_t count)
{
        struct vn_view **views = vn_alloc_array(count, sizeof *views);
        for (size_t i = 0; views && i < count; i++) {
                views[i] = testing_view(endpoints, i);
                if (!views[i])
                        return NULL;
                views[i]->policy.exploration = .02;
                views[i]->policy.latency_slo_ms = 5000;
                if (vn_view_seal(views[i], NULL) != VN_OK)
                        return NULL;
        }
        return views;
}

static int run(unsigned endpoints, double seconds)
{
        size_t per_view = (VN_HOT_ROWS * 4 + VN_VIEW_COLD_KNOTS * 2 + 4 + sizeof(struct vn_endpoint)) * endpoints;
        size_t count = VIEWS_BYTES / per_view, samples = 0, decided = 0;
        struct vn_view **views = make_views(endpoints, count);
        struct vn_live *lives = vn_alloc_array(count, sizeof *lives);
        double *sample = vn_alloc_array(MAX_SAMPLES, sizeof *sample);
        struct vn_question *questions = vn_alloc_array(QUESTIONS, sizeof *questions);
        struct vn_decision d;
        struct vn_rng rng;
        uint64_t sum = 0;
        if (!views || !lives || !sample || !questions)
                return 1;
        vn_rng_seed(&rng, 1);
        for (size_t i = 0; i < QUESTIONS; i++)
                questions[i] = testing_question(&rng);

        double cpu = now_us(CLOCK_PROCESS_CPUTIME_ID), until = now_us(CLOCK_MONOTONIC) + seconds * 1e6;
        while (now_us(CLOCK_MONOTONIC) < until)
                for (unsigned i = 0; i < 256; i++, decided++) {
                        size_t at = vn_rng_below(&rng, count);
                        vn_decide(views[at], &questions[decided % QUESTIONS], &lives[at], &d);
                        sum += d.choice;
                }
        double mean = (now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)decided;
        until = now_us(CLOCK_MONOTONIC) + seconds * 1e6;
        while (samples < MAX_SAMPLES && now_us(CLOCK_MONOTONIC) < until) { /* each on its own clock, for the tail */
                size_t at = vn_rng_below(&rng, count);
                double start = now_us(CLOCK_MONOTONIC);
                vn_decide(views[at], &questions[samples % QUESTIONS], &lives[at], &d);
                sample[samples++] = now_us(CLOCK_MONOTONIC) - start;
                sum += d.choice;
        }
        qsort(sample, samples, sizeof *sample, by_value);
        line(endpoints, "mean_us", mean, "us");
        line(endpoints, "p99_us", sample[samples * 99 / 100], "us");
        line(endpoints, "per_core_per_s", 1e6 / mean, "1/s");
        for (size_t i = 0; i < count; i++)
                vn_view_free(views[i]);
        vn_free(views);
        vn_free(lives);
        vn_free(sample);
        vn_free(questions);
        return sum == 0; /* the choices are used */
}

int main(int argc, char **argv)
{
        double seconds = 2;
        if (argc > 1 && (vn_str_to_double(vn_str(argv[1]), &seconds) != VN_OK || seconds <= 0)) {
                fprintf(stderr, "usage: bench-decide [SECONDS]\n");
                return 2;
        }
        return run(3, seconds) || run(10, seconds) || run(100, seconds);
}
