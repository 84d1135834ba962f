/* platform/trace.h - the demonstration's load: calls of real functions, thinned from the Azure Functions trace.
 * Purpose: turns the trace's per-minute counts into single calls with exact times and payload sizes.
 * Pure: takes CSV text, does no I/O. The same text, options and seed give the same calls on every machine.
 * Threads: any. Ownership: vn_trace_free releases all.
 * Method: functions keep the file's order. The heaviest are thinned to a common cap (found so that the total comes to
 *   target_calls), each call kept by a seeded draw; within its minute a call falls at a seeded uniform time; payload
 *   sizes are log-normal around a size of the function's own.
 * Data: Shahrad et al., Serverless in the Wild, USENIX ATC 2020 (CC-BY 4.0); see tests/data/azure-functions. */
#ifndef VANE_PLATFORM_TRACE_H
#define VANE_PLATFORM_TRACE_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define VN_MAX_TRACE_FUNCTIONS 4096
#define VN_MAX_TRACE_CALLS 5000000

struct vn_trace_options {
        uint32_t functions;    /* at most this many, the file's first ones (40) */
        uint32_t from_minute;  /* index of the first minute column used (0) */
        uint32_t minutes;      /* 120 */
        uint32_t target_calls; /* about 14,000; 0: no thinning */
        uint64_t seed;
};
void vn_trace_options_default(struct vn_trace_options *ret);

struct vn_trace_function {
        char name[24];                          /* "fn-00": what accounts call it too */
        char hash[68];                          /* HashFunction of the trace */
        char trigger[16];                       /* "http", "timer", "queue", ... */
        double mean_ms, p25_ms, p50_ms, p99_ms; /* as measured; 0 when not known */
        double memory_mb;                       /* of its application; 0 when not known */
        double payload_bytes;                   /* median; chosen by the seed-free hash of the function */
        uint64_t counted;                       /* calls in the window before thinning */
        uint64_t calls;                         /* kept */
};
struct vn_trace_call {
        int64_t at_us; /* since the window's start; ascending */
        uint32_t function;
        uint32_t payload_bytes;
};
struct vn_trace {
        struct vn_trace_function *functions;
        size_t function_count;
        struct vn_trace_call *calls;
        size_t call_count;
        int64_t span_us;
};
enum vn_rc vn_trace_build(struct vn_str invocations_csv, struct vn_str durations_csv, struct vn_str memory_csv,
                          const struct vn_trace_options *options, struct vn_trace **ret,
                          struct vn_err *err) VN_MUST_USE;
/* Adds functions until there are `wanted`, each like one of those that are there (drawn by the seed) with durations and memory
 * moved a little and an identity of its own. They make no calls. */
enum vn_rc vn_trace_extend(struct vn_trace *trace, size_t wanted, uint64_t seed, struct vn_err *err) VN_MUST_USE;
struct vn_trace *vn_trace_free(struct vn_trace *trace);
VN_DEFINE_AUTO(vn_trace);

#endif
