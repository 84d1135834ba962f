/* vane-drive: the sandbox's clock and load.
 *   vane-drive --clock FILE --start-us N --idle --speed X     lets the sandbox's time run until it is told to stop
 *   vane-drive --clock FILE --trace DIR --server URL --ca-file FILE --token-file FILE --sim FILE --seconds N
 *              [--seed N] [--lookahead-ms N]                  drives a trace and prints one JSON object */
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/fault.h"
#include "client/drive.h"

#define MAX_TRACE_FILE_BYTES (64u << 20)

struct arguments {
        const char *clock, *trace, *server, *ca_file, *token_file, *sim;
        double seconds, speed, lookahead_ms;
        int64_t start_us;
        uint64_t seed;
        bool idle;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signal_number)
{
        (void)signal_number;
        stopped = 1;
}

static int usage(const char *problem)
{
        fprintf(stderr,
                "vane-drive: %s\n"
                "usage: vane-drive --clock FILE --start-us N --idle [--speed X]\n"
                "       vane-drive --clock FILE --trace DIR --server URL --ca-file FILE --token-file FILE --sim "
                "FILE\n"
                "                  --seconds N [--seed N] [--lookahead-ms N]\n",
                problem);
        return 2;
}

static bool number(const char *text, double *ret)
{
        return vn_str_to_double(vn_str(text), ret) == VN_OK && *ret >= 0;
}

static bool parse(int argc, char **argv, struct arguments *a)
{
        static const struct option options[] = {
                {"clock", 1, NULL, 'c'},   {"trace", 1, NULL, 't'},      {"server", 1, NULL, 's'},
                {"ca-file", 1, NULL, 'a'}, {"token-file", 1, NULL, 'k'}, {"sim", 1, NULL, 'm'},
                {"seconds", 1, NULL, 'n'}, {"speed", 1, NULL, 'p'},      {"start-us", 1, NULL, 'u'},
                {"seed", 1, NULL, 'e'},    {"idle", 0, NULL, 'i'},       {"lookahead-ms", 1, NULL, 'l'},
                {NULL, 0, NULL, 0}};
        int o;

        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                bool ok = true;

                switch (o) {
                case 'c': a->clock = optarg; break;
                case 't': a->trace = optarg; break;
                case 's': a->server = optarg; break;
                case 'a': a->ca_file = optarg; break;
                case 'k': a->token_file = optarg; break;
                case 'm': a->sim = optarg; break;
                case 'i': a->idle = true; break;
                case 'n': ok = number(optarg, &a->seconds); break;
                case 'p': ok = number(optarg, &a->speed); break;
                case 'l': ok = number(optarg, &a->lookahead_ms); break;
                case 'u': ok = vn_str_to_i64(vn_str(optarg), &a->start_us) == VN_OK; break;
                case 'e': ok = vn_str_to_u64(vn_str(optarg), &a->seed) == VN_OK; break;
                default: ok = false;
                }
                if (!ok)
                        return false;
        }
        return optind == argc;
}

static void nap(int64_t us)
{
        struct timespec t = {.tv_sec = us / VN_US_PER_S, .tv_nsec = us % VN_US_PER_S * 1000};

        nanosleep(&t, NULL);
}

static enum vn_rc run_idle(const struct arguments *a, struct vn_err *err)
{
        const struct vn_clock *real = vn_clock_real();
        struct vn_clock_shared *shared;
        int64_t from_us = vn_mono_us(real);

        VN_TRY(vn_clock_shared_create(a->clock, a->start_us, &shared, err));
        while (!stopped) {
                nap(5 * VN_US_PER_MS);
                vn_clock_shared_set(shared, a->start_us + (int64_t)((double)(vn_mono_us(real) - from_us) * a->speed));
        }
        vn_clock_shared_free(shared);
        return VN_OK;
}

static enum vn_rc read_trace(const char *dir, struct vn_trace **ret, struct vn_err *err)
{
        static const char *const names[3] = {"invocations.csv", "durations.csv", "memory.csv"};
        struct vn_buf text[3];
        struct vn_trace_options options;
        enum vn_rc rc = VN_OK;
        char path[1024];

        for (int i = 0; i < 3; i++) {
                text[i] = VN_BUF_INIT(MAX_TRACE_FILE_BYTES);
                snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
                if (rc == VN_OK)
                        rc = vn_file_read(path, &text[i], err);
        }
        vn_trace_options_default(&options);
        if (rc == VN_OK)
                rc = vn_trace_build(vn_buf_view(&text[0]), vn_buf_view(&text[1]), vn_buf_view(&text[2]), &options,
                                    ret, err);
        for (int i = 0; i < 3; i++)
                vn_buf_done(&text[i]);
        return rc;
}

/* --- the real ports --- */

struct world {
        struct vn_router *router;
        struct vn_fleet *fleet;
        struct vn_clock_shared *clock;
};

static enum vn_rc port_route(void *state, const struct vn_route_ask *asks, size_t count, struct vn_route_answer *ret,
                             struct vn_err *err)
{
        return vn_router_route(((struct world *)state)->router, asks, count, ret, err);
}
static enum vn_rc port_report(void *state, const struct vn_report *report, struct vn_err *err)
{
        return vn_router_report(((struct world *)state)->router, report, err);
}
static uint32_t port_find(void *state, const char *name)
{
        return vn_fleet_find(((struct world *)state)->fleet, name);
}
static void port_submit(void *state, struct vn_fleet_job *job)
{
        vn_fleet_submit(((struct world *)state)->fleet, job);
}
static struct vn_fleet_job *port_take(void *state, int64_t wait_us)
{
        return vn_fleet_take(((struct world *)state)->fleet, wait_us);
}
static void port_clock(void *state, int64_t virtual_us)
{
        vn_clock_shared_set(((struct world *)state)->clock, virtual_us);
}
static int64_t port_real(void *state)
{
        (void)state;
        return vn_mono_us(vn_clock_real());
}

static void print_summary(const struct vn_fleet *fleet, const struct vn_drive_summary *s)
{
        json_t *by_cloud = json_object(), *by_account = json_object(), *out;

        for (uint32_t i = 0; i < vn_fleet_accounts(fleet); i++) {
                const char *cloud = vn_fleet_account_cloud(fleet, i);
                json_int_t before = json_integer_value(json_object_get(by_cloud, cloud));

                json_object_set_new(by_cloud, cloud, json_integer(before + (json_int_t)s->routed[i]));
                json_object_set_new(by_account, vn_fleet_account_name(fleet, i),
                                    json_integer((json_int_t)s->routed[i]));
        }
        out = json_pack(
                "{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:s, "
                "s:s}",
                "invocations", (json_int_t)s->invocations, "failed", (json_int_t)s->failed, "undriven",
                (json_int_t)s->undriven, "retried", (json_int_t)s->retried, "unrouted", (json_int_t)s->unrouted,
                "routed", by_cloud, "routed_accounts", by_account, "mean_ms", s->mean_ms, "p50_ms", s->p50_ms,
                "p95_ms", s->p95_ms, "p99_ms", s->p99_ms, "virtual_s", s->virtual_s, "seconds", s->seconds,
                "calls_per_s", s->seconds > 0 ? (double)s->invocations / s->seconds : 0.0, "throttled",
                (json_int_t)s->by_status[VN_FLEET_THROTTLED], "reports_accepted", (json_int_t)s->reports.accepted,
                "reports_refused", (json_int_t)s->reports.refused, "reports_lost", (json_int_t)s->reports.lost,
                "first_problem", s->first_problem, "report_problem", s->reports.last_reason);
        if (out)
                json_dumpf(out, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(out);
}

static enum vn_rc drive_world(const struct arguments *a, struct world *w, struct vn_err *err)
{
        const struct vn_drive_options options = {.seconds = a->seconds,
                                                 .seed = a->seed,
                                                 .tail_us = 2 * VN_US_PER_MIN,
                                                 .lookahead_us = (int64_t)(a->lookahead_ms * 1e3)};
        const struct vn_drive_ports ports = {port_route, port_report, port_find, port_submit,
                                             port_take,  port_clock,  port_real, w};
        VN_AUTO(vn_trace)
        trace = NULL;
        struct vn_drive_summary summary;

        VN_TRY(read_trace(a->trace, &trace, err));
        VN_TRY(vn_clock_shared_open(a->clock, &w->clock, err));
        VN_TRY(vn_fleet_open(a->sim, vn_clock_shared_clock(w->clock), &w->fleet, err));
        VN_TRY(vn_fleet_start(w->fleet, err));
        VN_TRY(vn_router_open(a->server, a->ca_file, a->token_file, &w->router, err));
        VN_TRY(vn_drive(trace, vn_now_us(vn_clock_shared_clock(w->clock)), &options, &ports, &summary, err));
        vn_router_flush(w->router, 5 * VN_US_PER_S, &summary.reports);
        print_summary(w->fleet, &summary);
        return VN_OK;
}

int main(int argc, char **argv)
{
        struct arguments a = {.seconds = 60, .speed = 60, .lookahead_ms = 20};
        struct world world = {0};
        struct vn_err err = {0};
        enum vn_rc rc;

        vn_fault_init();
        signal(SIGPIPE, SIG_IGN);
        if (!parse(argc, argv, &a))
                return usage("an option is unknown or its value is not a number");
        if (!a.clock)
                return usage("--clock is needed");
        if (!a.idle && (!a.trace || !a.server || !a.ca_file || !a.token_file || !a.sim))
                return usage("--trace, --server, --ca-file, --token-file and --sim are needed");
        if (a.idle) {
                signal(SIGTERM, on_signal);
                signal(SIGINT, on_signal);
                rc = run_idle(&a, &err);
        } else {
                rc = drive_world(&a, &world, &err);
        }
        vn_router_free(world.router);
        vn_fleet_free(world.fleet);
        vn_clock_shared_free(world.clock);
        if (rc != VN_OK)
                fprintf(stderr, "vane-drive: %s: %s\n", vn_rc_name(rc), err.msg);
        return rc == VN_OK ? 0 : 1;
}
