/* The driver over virtual time with a fake server, fake clouds and a fake real clock: order, causality, retries, bounds. */
#include "client/drive.h"

#include "tests/test.h"

#define MAX_JOBS 512

struct fake {
        int64_t real_us, virtual_us;
        int64_t cost_us; /* real time that each look at the fleet takes */
        struct vn_fleet_job *inside[MAX_JOBS];
        size_t count;
        size_t hold; /* looks for which jobs stay inside */
        size_t looks;
        int64_t elapsed_us;
        enum vn_fleet_status status[3]; /* by attempt */
        size_t routes, submitted, reports, reported_late;
        int64_t last_ask_us;
        bool no_route, server_gone;
        size_t excluded_seen;
        uint64_t ends[MAX_JOBS]; /* by decision number: when its call ends, in virtual time */
        bool violated;           /* virtual time passed the end of a call that was not answered */
};

static enum vn_rc fake_route(void *state, const struct vn_route_ask *asks, size_t count, struct vn_route_answer *ret,
                             struct vn_err *err)
{
        struct fake *f = state;

        if (f->server_gone)
                return vn_fail(err, VN_UNAVAILABLE, "gone");
        for (size_t i = 0; i < count; i++) {
                CHECK(asks[i].time_us >= f->last_ask_us && asks[i].time_us <= f->virtual_us);
                f->last_ask_us = asks[i].time_us;
                f->excluded_seen += asks[i].excluded_count;
                memset(&ret[i], 0, sizeof(ret[i]));
                ret[i].rc = f->no_route ? VN_NOT_FOUND : VN_OK;
                snprintf(ret[i].decision_id, sizeof(ret[i].decision_id), "%zu", f->routes++);
                snprintf(ret[i].account, sizeof(ret[i].account), "a");
                snprintf(ret[i].function, sizeof(ret[i].function), "%s", asks[i].workload);
        }
        return VN_OK;
}

static enum vn_rc fake_report(void *state, const struct vn_report *report, struct vn_err *err)
{
        struct fake *f = state;
        uint64_t number;

        (void)err;
        CHECK_OK(vn_str_to_u64(vn_str(report->decision_id), &number));
        CHECK(number < MAX_JOBS);
        /* Reported when virtual time is at the end of the call, not before and not after. */
        f->reported_late += (uint64_t)f->virtual_us != f->ends[number];
        f->reports++;
        return VN_OK;
}

static uint32_t fake_find(void *state, const char *name)
{
        (void)state;
        return strcmp(name, "a") ? UINT32_MAX : 0;
}

static void fake_submit(void *state, struct vn_fleet_job *job)
{
        struct fake *f = state;

        CHECK(f->count < MAX_JOBS);
        f->ends[f->submitted++] =
                (uint64_t)(job->at_us + f->elapsed_us); /* decisions are numbered in the same order */
        f->inside[f->count++] = job;
}

static struct vn_fleet_job *fake_take(void *state, int64_t wait_us)
{
        struct fake *f = state;
        struct vn_fleet_job *list = NULL;

        f->real_us += f->cost_us + wait_us;
        for (size_t i = 0; i < f->count; i++)
                f->violated = f->violated || f->virtual_us > f->inside[i]->at_us + f->elapsed_us;
        if (f->looks++ % (f->hold + 1))
                return NULL;
        while (f->count > 0) {
                struct vn_fleet_job *job = f->inside[--f->count];

                job->elapsed_us = f->elapsed_us;
                job->response_bytes = 5;
                job->status = f->status[f->excluded_seen < 3 ? f->excluded_seen : 2];
                job->next = list;
                list = job;
        }
        return list;
}

static void fake_clock(void *state, int64_t virtual_us)
{
        struct fake *f = state;

        CHECK(virtual_us >= f->virtual_us);
        f->virtual_us = virtual_us;
}

static int64_t fake_real(void *state)
{
        return ((struct fake *)state)->real_us;
}

static struct vn_drive_ports ports_of(struct fake *f)
{
        return (struct vn_drive_ports){fake_route, fake_report, fake_find, fake_submit,
                                       fake_take,  fake_clock,  fake_real, f};
}

static struct vn_trace_function functions[2] = {{.name = "fn-00"}, {.name = "fn-01"}};

static enum vn_rc drive(struct fake *f, struct vn_trace_call *calls, size_t count, double seconds,
                        struct vn_drive_summary *ret)
{
        struct vn_trace trace = {functions, 2, calls, count,
                                 count ? calls[count - 1].at_us + VN_US_PER_S : VN_US_PER_S};
        const struct vn_drive_options options = {.seconds = seconds, .lookahead_us = 20000, .tail_us = VN_US_PER_S};
        const struct vn_drive_ports ports = ports_of(f);

        f->virtual_us = 1000000;
        f->cost_us = f->cost_us ? f->cost_us : 100;
        return vn_drive(&trace, 1000000, &options, &ports, ret, NULL);
}

static void make_calls(struct vn_trace_call *calls, size_t count, int64_t gap_us)
{
        for (size_t i = 0; i < count; i++)
                calls[i] = (struct vn_trace_call){
                        .at_us = (int64_t)i * gap_us, .function = (uint32_t)i % 2, .payload_bytes = 100};
}

TEST(drive_sends_all_calls_in_order_and_never_outruns_one)
{
        struct vn_trace_call calls[200];
        struct vn_drive_summary sum;
        struct fake f = {.elapsed_us = 50000, .hold = 3};

        make_calls(calls, 200, 30000); /* they overlap */
        CHECK_OK(drive(&f, calls, 200, 2, &sum));
        CHECK_INT(200, sum.invocations);
        CHECK_INT(0, sum.failed);
        CHECK_INT(200, f.reports);
        CHECK_INT(200, sum.routed[0]);
        CHECK(!f.violated);
        CHECK_INT(0, f.reported_late);
        CHECK_NEAR(50, sum.p50_ms, 0);
        CHECK_NEAR(50, sum.p99_ms, 0);
        CHECK(sum.virtual_s > 199 * 0.03 + 1);
}

TEST(drive_keeps_the_pace_but_not_at_any_price)
{
        struct vn_trace_call calls[100];
        struct vn_drive_summary sum;
        struct fake fast = {.elapsed_us = 50000}, slow = {.elapsed_us = 50000, .cost_us = 100000};

        make_calls(calls, 100, VN_US_PER_S);
        CHECK_OK(drive(&fast, calls, 100, 10, &sum));
        CHECK_INT(0, sum.undriven);
        CHECK(sum.seconds > 8 && sum.seconds <= 10);
        CHECK_OK(drive(&slow, calls, 100, 2, &sum));
        CHECK(sum.undriven > 0);
        CHECK_INT(100, sum.undriven + sum.invocations);
}

TEST(drive_routes_a_refused_call_anew_without_that_account)
{
        struct vn_trace_call calls[1];
        struct vn_drive_summary sum;
        struct fake f = {.elapsed_us = 40000, .status = {VN_FLEET_THROTTLED, VN_FLEET_OK, VN_FLEET_OK}};

        make_calls(calls, 1, 0);
        CHECK_OK(drive(&f, calls, 1, 1, &sum));
        CHECK_INT(1, sum.invocations);
        CHECK_INT(0, sum.failed);
        CHECK_INT(1, sum.retried);
        CHECK_INT(2, f.reports);
        CHECK_INT(1, f.excluded_seen);
        CHECK_NEAR(40 + 50 + 40, sum.p50_ms, 0); /* both attempts and the pause between them */
}

TEST(drive_gives_up_after_three_attempts_and_not_at_all_on_a_functions_own_error)
{
        struct vn_trace_call calls[1];
        struct vn_drive_summary sum;
        struct fake refused = {.elapsed_us = 40000,
                               .status = {VN_FLEET_THROTTLED, VN_FLEET_UNREACHED, VN_FLEET_THROTTLED}};
        struct fake error = {.elapsed_us = 40000, .status = {VN_FLEET_ERROR}};

        make_calls(calls, 1, 0);
        CHECK_OK(drive(&refused, calls, 1, 1, &sum));
        CHECK_INT(1, sum.failed);
        CHECK_INT(VN_DRIVE_MAX_ATTEMPTS, refused.reports);
        CHECK_OK(drive(&error, calls, 1, 1, &sum));
        CHECK_INT(1, sum.failed);
        CHECK_INT(1, error.reports);
}

TEST(drive_counts_what_has_no_route_and_ends_when_the_server_is_gone)
{
        struct vn_trace_call calls[3];
        struct vn_drive_summary sum;
        struct fake none = {.no_route = true}, gone = {.server_gone = true};

        make_calls(calls, 3, 1000);
        CHECK_OK(drive(&none, calls, 3, 1, &sum));
        CHECK_INT(3, sum.unrouted);
        CHECK_INT(3, sum.failed);
        CHECK(strstr(sum.first_problem, "NOT_FOUND"));
        CHECK_OK(drive(&none, calls, 0, 1, &sum));
        CHECK_INT(0, sum.invocations);
        make_calls(calls, 1, 0);
        CHECK_RC(VN_UNAVAILABLE, drive(&gone, calls, 1, 1, &sum));
}

static enum vn_rc drive_ten(void)
{
        static struct fake f;
        struct vn_trace_call calls[10];
        struct vn_drive_summary sum;
        f = (struct fake){.elapsed_us = 50000};
        make_calls(calls, 10, 10000);
        return drive(&f, calls, 10, 2, &sum);
}

TEST(drive_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(drive_ten);
}
