#include "client/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_WAIT_US INT64_C(500)
#define BACKOFF_US (50 * VN_US_PER_MS) /* virtual, before a call is routed anew */
#define PACE 0.92                      /* of the given time: the rest is slack for catching up */
#define CATCH_UP 3                     /* times the pace */
#define STEP_US (50 * VN_US_PER_MS)

/* One call of the trace on its way; attempts follow each other in the same record. */
struct call {
        struct vn_fleet_job job; /* first: the fleet hands it back */
        uint32_t index;          /* in the trace */
        uint32_t attempt;
        int64_t first_us; /* arrival of the first attempt */
        int64_t due_us;   /* of its next event: end of the attempt, or the next arrival */
        bool running;     /* the event is an end */
        bool answered;    /* the fleet has told the outcome */
        char decision_id[VN_ROUTER_ID_BYTES];
        char excluded[VN_ROUTER_MAX_EXCLUDED][80];
        size_t excluded_count;
        struct call *later; /* next in order of dispatch */
};

struct drive {
        const struct vn_trace *trace;
        const struct vn_drive_options *options;
        const struct vn_drive_ports *ports;
        struct vn_drive_summary *sum;
        int64_t start_us, now_us, real_start_us;
        double speed;
        int64_t looked_us;  /* real time at the last look at the horizon */
        size_t next;        /* of the trace */
        struct call **heap; /* by due_us */
        size_t heap_count, heap_cap;
        struct call *oldest, **newest; /* dispatched and perhaps unanswered, by time of arrival */
        size_t active;                 /* calls alive */
        int64_t *elapsed_us;           /* by finished call */
        bool over;                     /* time is up: no new calls */
};

/* --- the heap of events --- */

static bool before(const struct call *a, const struct call *b)
{
        return a->due_us != b->due_us ? a->due_us < b->due_us : a->index < b->index;
}

static void drop(struct drive *d, struct call *call)
{
        d->active--;
        vn_free(call);
}

/* Takes the call over, also when it fails. */
static enum vn_rc push(struct drive *d, struct call *call, struct vn_err *err)
{
        size_t i = d->heap_count;

        if (i == d->heap_cap) {
                size_t cap = d->heap_cap ? d->heap_cap * 2 : 64;
                struct call **bigger = vn_realloc(d->heap, cap * sizeof(struct call *));

                if (!bigger) {
                        drop(d, call);
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for events");
                }
                d->heap = bigger;
                d->heap_cap = cap;
        }
        d->heap_count++;
        for (; i > 0 && before(call, d->heap[(i - 1) / 2]); i = (i - 1) / 2)
                d->heap[i] = d->heap[(i - 1) / 2];
        d->heap[i] = call;
        return VN_OK;
}

static struct call *pop(struct drive *d)
{
        struct call *top = d->heap[0], *last = d->heap[--d->heap_count];
        size_t i = 0;

        for (;;) {
                size_t child = 2 * i + 1;

                if (child >= d->heap_count)
                        break;
                if (child + 1 < d->heap_count && before(d->heap[child + 1], d->heap[child]))
                        child++;
                if (!before(d->heap[child], last))
                        break;
                d->heap[i] = d->heap[child];
                i = child;
        }
        if (d->heap_count > 0)
                d->heap[i] = last;
        return top;
}

/* --- time --- */

static void move_to(struct drive *d, int64_t virtual_us)
{
        if (virtual_us <= d->now_us)
                return;
        d->now_us = virtual_us;
        d->ports->set_clock(d->ports->state, virtual_us);
}

/* As far as virtual time may go now: by the pace, and by the oldest call of which nothing is known yet. After a stall it
 * catches up by going faster, not by a leap: for everybody else an hour would have passed within a moment. */
static int64_t horizon(struct drive *d)
{
        int64_t real_us = d->ports->real_us(d->ports->state), step_us = real_us - d->looked_us;
        double real = (double)(real_us - d->real_start_us);
        int64_t by_pace = d->start_us + (int64_t)(real * d->speed), limit;

        d->looked_us = real_us;
        limit = d->now_us + (int64_t)((double)(step_us < STEP_US ? step_us : STEP_US) * d->speed * CATCH_UP);
        by_pace = by_pace < limit ? by_pace : limit;
        while (d->oldest && d->oldest->answered) {
                struct call *gone = d->oldest;

                d->oldest = gone->later;
                gone->later = NULL;
                if (!d->oldest)
                        d->newest = &d->oldest;
        }
        if (!d->oldest)
                return by_pace;
        limit = d->oldest->job.at_us + d->options->lookahead_us;
        return by_pace < limit ? by_pace : limit;
}

static int64_t trace_due(const struct drive *d)
{
        return d->over || d->next >= d->trace->call_count ? INT64_MAX : d->start_us + d->trace->calls[d->next].at_us;
}

/* --- one call's events --- */

static void finish(struct drive *d, struct call *call, bool ok)
{
        if (!ok) {
                d->sum->failed++;
                if (!d->sum->first_problem[0])
                        snprintf(d->sum->first_problem, sizeof(d->sum->first_problem), "%.190s", call->job.problem);
        }
        d->elapsed_us[d->sum->invocations++] = call->due_us - call->first_us;
        drop(d, call);
}

static void exclude(struct call *call, const char *account)
{
        if (call->excluded_count == VN_ROUTER_MAX_EXCLUDED)
                return;
        snprintf(call->excluded[call->excluded_count++], sizeof(call->excluded[0]), "%s", account);
}

static enum vn_rc report(struct drive *d, const struct call *call, struct vn_err *err)
{
        static const enum vn_report_status status[VN_FLEET_STATUSES] = {[VN_FLEET_OK] = VN_REPORT_OK,
                                                                        [VN_FLEET_ERROR] = VN_REPORT_ERROR,
                                                                        [VN_FLEET_THROTTLED] = VN_REPORT_THROTTLED,
                                                                        [VN_FLEET_TIMEOUT] = VN_REPORT_TIMEOUT,
                                                                        [VN_FLEET_UNREACHED] = VN_REPORT_ERROR};
        struct vn_report r = {.status = status[call->job.status],
                              .latency_us = (uint64_t)call->job.elapsed_us,
                              .response_bytes = call->job.response_bytes};

        memcpy(r.decision_id, call->decision_id, sizeof(r.decision_id));
        return d->ports->report(d->ports->state, &r, err);
}

/* The end of an attempt: report it, then done, or once more somewhere else if the platform refused it. The call is taken
 * over in any case. */
static enum vn_rc end_attempt(struct drive *d, struct call *call, struct vn_err *err)
{
        bool refused = call->job.status == VN_FLEET_THROTTLED || call->job.status == VN_FLEET_UNREACHED;

        d->sum->by_status[call->job.status]++;
        enum vn_rc rc = report(d, call, err);
        if (rc != VN_OK) {
                drop(d, call);
                return rc;
        }
        if (!refused || call->attempt + 1 >= VN_DRIVE_MAX_ATTEMPTS) {
                finish(d, call, call->job.status == VN_FLEET_OK);
                return VN_OK;
        }
        d->sum->retried++;
        call->attempt++;
        call->running = false;
        call->due_us += BACKOFF_US;
        return push(d, call, err);
}

static enum vn_rc arrive(struct drive *d, struct call **ret, struct vn_err *err)
{
        const struct vn_trace_call *next = &d->trace->calls[d->next];
        struct call *call = vn_alloc(sizeof(*call));

        if (!call)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a call");
        call->index = (uint32_t)d->next++;
        call->first_us = call->due_us = d->start_us + next->at_us;
        call->job.payload_bytes =
                next->payload_bytes < VN_FLEET_MAX_PAYLOAD_BYTES ? next->payload_bytes : VN_FLEET_MAX_PAYLOAD_BYTES;
        d->active++;
        *ret = call;
        return VN_OK;
}

static void fill_ask(const struct drive *d, const struct call *call, struct vn_route_ask *ret)
{
        *ret = (struct vn_route_ask){.workload = d->trace->functions[d->trace->calls[call->index].function].name,
                                     .payload_bytes = call->job.payload_bytes,
                                     .time_us = call->due_us,
                                     .excluded_count = call->excluded_count};
        snprintf(ret->request_id, sizeof(ret->request_id), "drive-%llx-%llx-%u-%u",
                 (unsigned long long)d->options->seed, (unsigned long long)d->start_us, call->index, call->attempt);
        for (size_t i = 0; i < call->excluded_count; i++)
                ret->excluded[i] = call->excluded[i];
}

static void dispatch(struct drive *d, struct call *call, const struct vn_route_answer *answer)
{
        uint32_t account =
                answer->rc == VN_OK ? d->ports->find_account(d->ports->state, answer->account) : UINT32_MAX;

        call->job.at_us = call->due_us;
        call->running = true;
        if (account == UINT32_MAX) {
                snprintf(call->job.problem, sizeof(call->job.problem), "no route: %s %.100s", vn_rc_name(answer->rc),
                         answer->rc == VN_OK ? answer->account : answer->problem);
                d->sum->unrouted++;
                finish(d, call, false);
                return;
        }
        d->sum->routed[account]++;
        memcpy(call->decision_id, answer->decision_id, sizeof(call->decision_id));
        memcpy(call->job.function, answer->function, sizeof(call->job.function));
        call->job.account = account;
        call->job.problem[0] = '\0';
        call->answered = false;
        exclude(call, answer->account);
        *d->newest = call;
        d->newest = &call->later;
        d->ports->submit(d->ports->state, &call->job);
}

/* All arrivals up to `until` that no end comes before, routed in one batch. */
static enum vn_rc route_batch(struct drive *d, int64_t until_us, struct vn_err *err)
{
        struct vn_route_ask asks[VN_ROUTER_MAX_BATCH];
        struct vn_route_answer answers[VN_ROUTER_MAX_BATCH];
        struct call *calls[VN_ROUTER_MAX_BATCH];
        size_t count = 0;
        enum vn_rc rc;

        rc = VN_OK;
        while (rc == VN_OK && count < VN_ROUTER_MAX_BATCH) {
                int64_t heap_us = d->heap_count > 0 ? d->heap[0]->due_us : INT64_MAX, trace_us = trace_due(d);
                bool from_heap = d->heap_count > 0 && heap_us <= trace_us;

                if ((from_heap ? heap_us : trace_us) > until_us || (from_heap && d->heap[0]->running))
                        break;
                if (from_heap)
                        calls[count] = pop(d);
                else
                        rc = arrive(d, &calls[count], err);
                if (rc != VN_OK)
                        break;
                move_to(d, calls[count]->due_us);
                if (count == 0 && calls[0]->due_us + d->options->lookahead_us < until_us)
                        until_us = calls[0]->due_us + d->options->lookahead_us;
                fill_ask(d, calls[count], &asks[count]);
                count++;
        }
        if (rc == VN_OK)
                rc = d->ports->route(d->ports->state, asks, count, answers, err);
        for (size_t i = 0; i < count; i++) {
                if (rc == VN_OK)
                        dispatch(d, calls[i], &answers[i]);
                else
                        drop(d, calls[i]);
        }
        return rc;
}

/* Everything due up to the horizon, in order; the horizon shrinks as calls get under way. */
static enum vn_rc advance(struct drive *d, bool *ret_progress, struct vn_err *err)
{
        *ret_progress = false;
        for (;;) {
                int64_t until_us = horizon(d), heap_us = d->heap_count > 0 ? d->heap[0]->due_us : INT64_MAX;
                int64_t due_us = heap_us < trace_due(d) ? heap_us : trace_due(d);

                if (due_us > until_us) {
                        move_to(d, until_us);
                        return VN_OK;
                }
                *ret_progress = true;
                if (heap_us == due_us && d->heap[0]->running) {
                        struct call *call = pop(d);

                        move_to(d, call->due_us);
                        VN_TRY(end_attempt(d, call, err));
                } else {
                        VN_TRY(route_batch(d, until_us, err));
                }
        }
}

static enum vn_rc collect(struct drive *d, int64_t wait_us, struct vn_err *err)
{
        struct vn_fleet_job *job = d->ports->take(d->ports->state, wait_us);
        enum vn_rc rc = VN_OK;

        while (job) {
                struct call *call = (struct call *)job;

                job = job->next;
                call->due_us = call->job.at_us + call->job.elapsed_us;
                call->answered = true;
                if (rc == VN_OK)
                        rc = push(d, call, err);
                else
                        drop(d, call);
        }
        return rc;
}

/* An answered call may still stand in the list of dispatched ones when it is retried or freed: take it out first. */
static void settle_dispatched(struct drive *d)
{
        struct call **at = &d->oldest;

        while (*at) {
                if ((*at)->answered) {
                        struct call *gone = *at;
                        *at = gone->later;
                        gone->later = NULL;
                } else {
                        at = &(*at)->later;
                }
        }
        d->newest = at;
}

static enum vn_rc load(struct drive *d, struct vn_err *err)
{
        int64_t end_real_us = d->real_start_us + (int64_t)(d->options->seconds * (double)VN_US_PER_S);
        bool progress = true;

        while (d->active > 0 || trace_due(d) != INT64_MAX) {
                VN_TRY(collect(d, progress ? 0 : IDLE_WAIT_US, err));
                settle_dispatched(d);
                VN_TRY(advance(d, &progress, err));
                if (!d->over && d->ports->real_us(d->ports->state) >= end_real_us) {
                        d->over = true;
                        d->sum->undriven = d->trace->call_count - d->next;
                }
        }
        return VN_OK;
}

/* Lets virtual time go on without calls, so that the last windows close and rounds end. */
static void tail(struct drive *d)
{
        int64_t until_us = d->now_us + d->options->tail_us, from_us = d->now_us;
        int64_t real_us = d->ports->real_us(d->ports->state);

        while (d->now_us < until_us) {
                double passed = (double)(d->ports->real_us(d->ports->state) - real_us) * d->speed;
                int64_t at_us = from_us + (int64_t)passed;

                move_to(d, at_us < until_us ? at_us : until_us);
                VN_ASSERT(!d->ports->take(d->ports->state, IDLE_WAIT_US)); /* only waits: nothing is under way */
        }
}

/* After an error: takes back what the fleet still has; what does not come within ten seconds stays with it. */
static void abandon(struct drive *d)
{
        while (d->heap_count > 0)
                drop(d, pop(d));
        for (int64_t waited_us = 0; d->active > 0 && waited_us < 10 * VN_US_PER_S; waited_us += 10 * VN_US_PER_MS) {
                struct vn_fleet_job *job = d->ports->take(d->ports->state, 10 * VN_US_PER_MS);

                while (job) {
                        struct call *call = (struct call *)job;

                        job = job->next;
                        drop(d, call);
                }
        }
}

static int i64_cmp(const void *a, const void *b)
{
        const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return (x > y) - (x < y);
}

static double quantile_ms(const struct drive *d, size_t percent)
{
        size_t rank = d->sum->invocations * percent / 100;

        return (double)d->elapsed_us[rank] / 1e3;
}

static void sum_up(struct drive *d)
{
        size_t n = d->sum->invocations;
        double total = 0;

        d->sum->virtual_s = (double)(d->now_us - d->start_us) / 1e6;
        d->sum->seconds = (double)(d->ports->real_us(d->ports->state) - d->real_start_us) / 1e6;
        if (n == 0)
                return;
        qsort(d->elapsed_us, n, sizeof(d->elapsed_us[0]), i64_cmp);
        for (size_t i = 0; i < n; i++)
                total += (double)d->elapsed_us[i];
        d->sum->mean_ms = total / (double)n / 1e3;
        d->sum->p50_ms = quantile_ms(d, 50);
        d->sum->p95_ms = quantile_ms(d, 95);
        d->sum->p99_ms = quantile_ms(d, 99);
}

enum vn_rc vn_drive(const struct vn_trace *trace, int64_t start_us, const struct vn_drive_options *options,
                    const struct vn_drive_ports *ports, struct vn_drive_summary *ret, struct vn_err *err)
{
        struct drive d = {.trace = trace,
                          .options = options,
                          .ports = ports,
                          .sum = ret,
                          .start_us = start_us,
                          .now_us = start_us,
                          .real_start_us = ports->real_us(ports->state)};
        enum vn_rc rc;

        if (!(options->seconds > 0) || options->lookahead_us < 0 || options->tail_us < 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "seconds must be positive, lookahead and tail not negative");
        memset(ret, 0, sizeof(*ret));
        d.newest = &d.oldest;
        d.speed = (double)(trace->span_us + options->tail_us) / (options->seconds * PACE * 1e6);
        d.elapsed_us = vn_alloc_array(trace->call_count + 1, sizeof(d.elapsed_us[0]));
        if (!d.elapsed_us)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for %zu calls", trace->call_count);
        rc = load(&d, err);
        if (rc == VN_OK) {
                tail(&d);
                sum_up(&d);
        } else {
                abandon(&d);
        }
        vn_free(d.heap);
        vn_free(d.elapsed_us);
        return rc;
}
