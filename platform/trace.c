/* trace.c - see trace.h. */
#include "platform/trace.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/detmath.h"
#include "base/hash.h"
#include "base/mem.h"
#include "platform/csv.h"

/* Functions that a demonstration can use: called often enough to learn from, and with durations that a platform
 * measures well. */
#define MIN_COUNT 100
#define MIN_MEAN_MS 15
#define MAX_MEAN_MS 6000
#define FIRST_MINUTE_COLUMN 4

void vn_trace_options_default(struct vn_trace_options *ret)
{
        *ret = (struct vn_trace_options){
                .functions = 40, .from_minute = 0, .minutes = 120, .target_calls = 14000, .seed = 1};
}

struct builder {
        struct vn_csv csv;
        const struct vn_trace_options *options;
        struct vn_trace *trace;
        uint32_t *counts; /* function-major, options->minutes each */
        size_t capacity;
};

struct duration_columns {
        int hash, average, p25, p50, p99;
};

static enum vn_rc read_durations(struct builder *b, struct vn_str text, struct vn_err *err)
{
        struct vn_csv *csv = &b->csv;
        vn_csv_init(csv, text);
        if (!vn_csv_next(csv))
                return vn_fail(err, VN_INVALID_ARGUMENT, "durations: no header");
        struct duration_columns at = {vn_csv_column(csv, "HashFunction"), vn_csv_column(csv, "Average"),
                                      vn_csv_column(csv, "percentile_Average_25"),
                                      vn_csv_column(csv, "percentile_Average_50"),
                                      vn_csv_column(csv, "percentile_Average_99")};
        if (at.hash < 0 || at.average < 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "durations: no column HashFunction or Average");
        while (vn_csv_next(csv)) {
                struct vn_str hash = vn_csv_field(csv, at.hash);
                if (b->trace->function_count == b->capacity)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "durations: more than %zu functions", b->capacity);
                struct vn_trace_function *f = &b->trace->functions[b->trace->function_count];
                memset(f, 0, sizeof *f);
                if (!hash.len || !vn_str_copy(f->hash, sizeof f->hash, hash))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "durations: line %zu: bad HashFunction", csv->line);
                enum vn_rc rc = vn_csv_number(csv, at.average, "Average", 0, &f->mean_ms, err);
                if (rc == VN_OK)
                        rc = vn_csv_number(csv, at.p25, "percentile_Average_25", 0, &f->p25_ms, err);
                if (rc == VN_OK)
                        rc = vn_csv_number(csv, at.p50, "percentile_Average_50", 0, &f->p50_ms, err);
                if (rc == VN_OK)
                        rc = vn_csv_number(csv, at.p99, "percentile_Average_99", 0, &f->p99_ms, err);
                if (rc != VN_OK)
                        return vn_err_prefix(err, rc, "durations");
                b->trace->function_count++;
        }
        return VN_OK;
}

static struct vn_trace_function *find(const struct builder *b, struct vn_str hash)
{
        for (size_t i = 0; i < b->trace->function_count; i++) {
                if (vn_str_eq(hash, vn_str(b->trace->functions[i].hash)))
                        return &b->trace->functions[i];
        }
        return NULL;
}

static enum vn_rc read_memory(struct builder *b, struct vn_str text, struct vn_err *err)
{
        struct vn_csv *csv = &b->csv;
        vn_csv_init(csv, text);
        if (!vn_csv_next(csv))
                return VN_OK;
        int hash = vn_csv_column(csv, "HashFunction"), mb = vn_csv_column(csv, "AverageAllocatedMb");
        while (vn_csv_next(csv)) {
                struct vn_trace_function *f = find(b, vn_csv_field(csv, hash));
                if (!f)
                        continue;
                enum vn_rc rc = vn_csv_number(csv, mb, "AverageAllocatedMb", 0, &f->memory_mb, err);
                if (rc != VN_OK)
                        return vn_err_prefix(err, rc, "memory");
        }
        return VN_OK;
}

/* Sums the window's minutes of the record that stands now into counts; false if one is not a count. */
static bool read_counts(const struct builder *b, uint32_t *counts, uint64_t *ret_sum)
{
        *ret_sum = 0;
        for (uint32_t m = 0; m < b->options->minutes; m++) {
                struct vn_str field = vn_csv_field(&b->csv, FIRST_MINUTE_COLUMN + (int)(b->options->from_minute + m));
                uint64_t n = 0;
                if (field.len && (vn_str_to_u64(field, &n) != VN_OK || n > 1000000))
                        return false;
                counts[m] = (uint32_t)n;
                *ret_sum += n;
        }
        return true;
}

/* Keeps, in the invocations' order, the functions that fit; drops the rest of what the durations named. */
static enum vn_rc read_invocations(struct builder *b, struct vn_str text, struct vn_trace_function *chosen,
                                   struct vn_err *err)
{
        struct vn_csv *csv = &b->csv;
        size_t count = 0;
        vn_csv_init(csv, text);
        if (!vn_csv_next(csv))
                return vn_fail(err, VN_INVALID_ARGUMENT, "invocations: no header");
        int hash = vn_csv_column(csv, "HashFunction"), trigger = vn_csv_column(csv, "Trigger");
        if (hash < 0 || csv->count < FIRST_MINUTE_COLUMN + (size_t)b->options->from_minute + b->options->minutes)
                return vn_fail(err, VN_INVALID_ARGUMENT, "invocations: %zu columns do not hold the window",
                               csv->count);
        while (count < b->options->functions && vn_csv_next(csv)) {
                struct vn_trace_function *f = find(b, vn_csv_field(csv, hash));
                uint64_t sum;
                if (!read_counts(b, b->counts + count * b->options->minutes, &sum))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "invocations: line %zu: not a count", csv->line);
                if (!f || sum < MIN_COUNT || f->mean_ms < MIN_MEAN_MS || f->mean_ms > MAX_MEAN_MS)
                        continue;
                chosen[count] = *f;
                f = &chosen[count];
                f->counted = sum;
                snprintf(f->name, sizeof f->name, "fn-%02zu", count);
                struct vn_str name = vn_csv_field(csv, trigger);
                if (!vn_str_copy(f->trigger, sizeof f->trigger, name))
                        f->trigger[0] = 0;
                struct vn_rng rng;
                vn_rng_seed(&rng, vn_hash64(f->hash, strlen(f->hash), 7));
                double bytes = 2500 * vn_exp(1.1 * vn_rng_normal(&rng));
                f->payload_bytes = bytes < 128 ? 128 : bytes > 100000 ? 100000 : bytes;
                count++;
        }
        if (!count)
                return vn_fail(err, VN_NOT_FOUND, "invocations: no function has %d calls in the window", MIN_COUNT);
        b->trace->function_count = count;
        return VN_OK;
}

/* The common cap that brings the sum of min(count, cap) nearest above the target (bisection over whole numbers). */
static uint64_t find_cap(const struct vn_trace *trace, uint64_t target)
{
        uint64_t low = 1, high = 1;
        for (size_t i = 0; i < trace->function_count; i++)
                high = trace->functions[i].counted > high ? trace->functions[i].counted : high;
        while (low < high && target) {
                uint64_t middle = (low + high) / 2, sum = 0;
                for (size_t i = 0; i < trace->function_count; i++)
                        sum += trace->functions[i].counted < middle ? trace->functions[i].counted : middle;
                if (sum < target)
                        low = middle + 1;
                else
                        high = middle;
        }
        return high;
}

static int compare_calls(const void *a, const void *b)
{
        const struct vn_trace_call *x = a, *y = b;
        if (x->at_us != y->at_us)
                return x->at_us < y->at_us ? -1 : 1;
        if (x->function != y->function)
                return x->function < y->function ? -1 : 1;
        return x->payload_bytes < y->payload_bytes ? -1 : x->payload_bytes > y->payload_bytes;
}

static void make_calls(struct builder *b, uint64_t cap)
{
        struct vn_trace *trace = b->trace;
        for (uint32_t f = 0; f < trace->function_count; f++) {
                struct vn_trace_function *function = &trace->functions[f];
                double keep = function->counted > cap ? (double)cap / (double)function->counted : 1;
                struct vn_rng rng;
                vn_rng_seed(&rng, vn_hash64(function->hash, strlen(function->hash), b->options->seed));
                for (uint32_t m = 0; m < b->options->minutes; m++) {
                        for (uint32_t n = b->counts[f * b->options->minutes + m]; n; n--) {
                                if (vn_rng_unit(&rng) >= keep || trace->call_count == VN_MAX_TRACE_CALLS)
                                        continue;
                                double bytes = function->payload_bytes * vn_exp(0.5 * vn_rng_normal(&rng));
                                trace->calls[trace->call_count++] = (struct vn_trace_call){
                                        .at_us = m * VN_US_PER_MIN + (int64_t)vn_rng_below(&rng, VN_US_PER_MIN),
                                        .function = f,
                                        .payload_bytes = bytes > 250000 ? 250000 : (uint32_t)bytes};
                                function->calls++;
                        }
                }
        }
        qsort(trace->calls, trace->call_count, sizeof *trace->calls, compare_calls);
        trace->span_us = b->options->minutes * VN_US_PER_MIN;
}

static enum vn_rc build(struct builder *b, struct vn_str invocations, struct vn_str durations, struct vn_str memory,
                        struct vn_err *err)
{
        uint64_t total = 0;
        b->capacity = VN_MAX_TRACE_FUNCTIONS;
        b->trace->functions = vn_alloc_array(b->capacity, sizeof *b->trace->functions);
        struct vn_trace_function *chosen = vn_alloc_array(b->options->functions, sizeof *chosen);
        b->counts = vn_alloc_array((size_t)b->options->functions + 1, b->options->minutes * sizeof *b->counts);
        enum vn_rc rc = VN_OK;
        if (!b->trace->functions || !chosen || !b->counts)
                rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a trace");
        if (rc == VN_OK)
                rc = read_durations(b, durations, err);
        if (rc == VN_OK)
                rc = read_memory(b, memory, err);
        if (rc == VN_OK)
                rc = read_invocations(b, invocations, chosen, err);
        if (rc == VN_OK) {
                vn_free(b->trace->functions);
                b->trace->functions = vn_steal(&chosen);
                for (size_t i = 0; i < b->trace->function_count; i++)
                        total += b->trace->functions[i].counted;
                b->trace->calls = vn_alloc_array(total < VN_MAX_TRACE_CALLS ? total : VN_MAX_TRACE_CALLS,
                                                 sizeof *b->trace->calls);
                if (b->trace->calls)
                        make_calls(b, find_cap(b->trace, b->options->target_calls));
                else
                        rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for %llu calls",
                                     (unsigned long long)total);
        }
        vn_free(chosen);
        return rc;
}

enum vn_rc vn_trace_build(struct vn_str invocations_csv, struct vn_str durations_csv, struct vn_str memory_csv,
                          const struct vn_trace_options *options, struct vn_trace **ret, struct vn_err *err)
{
        if (!options->functions || options->functions > VN_MAX_TRACE_FUNCTIONS || !options->minutes ||
            (uint64_t)options->from_minute + options->minutes > VN_MAX_CSV_FIELDS - FIRST_MINUTE_COLUMN)
                return vn_fail(err, VN_INVALID_ARGUMENT, "trace window or count of functions out of range");
        struct builder *b = vn_alloc(sizeof *b);
        if (!b)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a trace");
        b->options = options;
        b->trace = vn_alloc(sizeof *b->trace);
        enum vn_rc rc = b->trace ? build(b, invocations_csv, durations_csv, memory_csv, err)
                                 : vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a trace");
        vn_free(b->counts);
        if (rc == VN_OK)
                *ret = vn_steal(&b->trace);
        vn_trace_free(b->trace);
        vn_free(b);
        return rc;
}

static void make_like(struct vn_trace_function *f, size_t index, struct vn_rng *rng)
{
        double slower = vn_exp(0.4 * vn_rng_normal(rng)), larger = vn_exp(0.2 * vn_rng_normal(rng));
        snprintf(f->name, sizeof f->name, "fn-%02zu", index);
        for (size_t i = 0; i < 64; i += 16)
                snprintf(f->hash + i, sizeof f->hash - i, "%016llx", (unsigned long long)vn_rng_u64(rng));
        f->mean_ms *= slower;
        f->p25_ms *= slower;
        f->p50_ms *= slower;
        f->p99_ms *= slower;
        f->memory_mb *= larger;
        f->payload_bytes *= vn_exp(0.4 * vn_rng_normal(rng));
        f->counted = f->calls = 0;
}

enum vn_rc vn_trace_extend(struct vn_trace *trace, size_t wanted, uint64_t seed, struct vn_err *err)
{
        struct vn_rng rng;
        size_t first = trace->function_count;
        if (!first || wanted > VN_MAX_TRACE_FUNCTIONS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "at most %d functions, like at least one",
                               VN_MAX_TRACE_FUNCTIONS);
        if (wanted <= first)
                return VN_OK;
        struct vn_trace_function *all = vn_realloc(trace->functions, wanted * sizeof *all);
        if (!all)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for %zu functions", wanted);
        trace->functions = all;
        vn_rng_seed(&rng, vn_hash64("extend", 6, seed));
        while (trace->function_count < wanted) {
                all[trace->function_count] = all[vn_rng_below(&rng, first)];
                make_like(&all[trace->function_count], trace->function_count, &rng);
                trace->function_count++;
        }
        return VN_OK;
}

struct vn_trace *vn_trace_free(struct vn_trace *trace)
{
        if (!trace)
                return NULL;
        vn_free(trace->functions);
        vn_free(trace->calls);
        vn_free(trace);
        return NULL;
}
