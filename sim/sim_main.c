/* sim_main.c - vane-sim: three clouds on one machine.
 *   vane-sim --state DIR [--seed N] [--port-base P] [--functions N]
 *            [--script FILE] [--speed F] [--keep yes] [--real NAME=URL]...
 * Data root: $VANE_DATA, else tests/data of the tree that it was built from. Clock: $VANE_CLOCK, else the machine's.
 * It stops on SIGINT and SIGTERM. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "sim/data.h"
#include "sim/keep.h"
#include "sim/script.h"
#include "sim/serve.h"

#define MAX_REAL 64
#define MAX_SCRIPT_BYTES (1u << 20)

struct options {
        const char *state;
        uint64_t seed, port_base, functions;
        double speed; /* of the simulator's clock against the machine's; 0: as it is */
        const char *script;
        bool keep;
        const char *real[MAX_REAL]; /* NAME=URL */
        size_t real_count;
};

static enum vn_rc parse(int argc, char **argv, struct options *ret, struct vn_err *err)
{
        *ret = (struct options){.seed = 1};
        for (int i = 1; i < argc; i += 2) {
                struct vn_str value = i + 1 < argc ? vn_str(argv[i + 1]) : VN_STR("");
                bool good = value.len > 0;
                if (!strcmp(argv[i], "--state"))
                        ret->state = argv[i + 1];
                else if (!strcmp(argv[i], "--seed"))
                        good = good && vn_str_to_u64(value, &ret->seed) == VN_OK && ret->seed <= INT64_MAX;
                else if (!strcmp(argv[i], "--port-base"))
                        good = good && vn_str_to_u64(value, &ret->port_base) == VN_OK && ret->port_base <= 65531;
                else if (!strcmp(argv[i], "--script"))
                        ret->script = argv[i + 1];
                else if (!strcmp(argv[i], "--keep"))
                        good = ret->keep = good && (vn_str_eq(value, VN_STR("yes")));
                else if (!strcmp(argv[i], "--speed"))
                        good = good && vn_str_to_double(value, &ret->speed) == VN_OK && ret->speed > 0 &&
                               ret->speed <= 10000;
                else if (!strcmp(argv[i], "--real") && good && ret->real_count < MAX_REAL)
                        ret->real[ret->real_count++] = argv[i + 1];
                else if (!strcmp(argv[i], "--functions"))
                        good = good && vn_str_to_u64(value, &ret->functions) == VN_OK &&
                               ret->functions <= (uint64_t)VN_MAX_TRACE_FUNCTIONS * VN_SIM_ACCOUNTS;
                else
                        return vn_fail(err, VN_INVALID_ARGUMENT, "unknown option %s", argv[i]);
                if (!good)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%s needs a fitting value", argv[i]);
        }
        if (!ret->state)
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "usage: vane-sim --state DIR [--seed N] [--port-base P] [--functions N] "
                               "[--script FILE] [--speed F] [--keep yes] [--real NAME=URL]...");
        if (mkdir(ret->state, 0700) && errno != EEXIST)
                return vn_fail(err, vn_rc_from_errno(errno), "%s cannot be made", ret->state);
        return VN_OK;
}

/* The machine's clock, faster, from the start on. */
struct fast_clock {
        struct vn_clock clock;
        double speed;
        int64_t from_us, mono_from_us;
};

static int64_t fast_now(const struct vn_clock *clock)
{
        const struct fast_clock *f = clock->state;
        return f->from_us + (int64_t)((double)(vn_mono_us(vn_clock_real()) - f->mono_from_us) * f->speed);
}

static void fast_init(struct fast_clock *f, double speed)
{
        *f = (struct fast_clock){.clock = {fast_now, fast_now, f},
                                 .speed = speed,
                                 .from_us = vn_now_us(vn_clock_real()),
                                 .mono_from_us = vn_mono_us(vn_clock_real())};
}

static enum vn_rc prepare(const struct options *options, struct vn_sim *sim, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_SCRIPT_BYTES);
        for (size_t i = 0; i < options->real_count; i++) {
                struct vn_str url = vn_str(options->real[i]), name = vn_str_cut(&url, '=');
                VN_TRY(vn_sim_set_real(sim, name, url.ptr ? url : VN_STR(""), err));
        }
        if (!options->script)
                return VN_OK;
        VN_TRY(vn_file_read(options->script, &text, err));
        return vn_sim_script(sim, vn_buf_view(&text), vn_now_us(sim->clock), err);
}

static enum vn_rc run(const struct options *options, const sigset_t *signals, struct vn_err *err)
{
        const struct vn_clock *clock;
        struct fast_clock fast;
        const char *root = getenv("VANE_DATA");
        struct vn_sim_data data;
        VN_AUTO(vn_sim)
        sim = NULL;
        struct vn_sim_server *server = NULL;
        int signal_number;

        VN_TRY(vn_clock_from_environment(&clock, err));
        if (options->speed > 0 && vn_clock_is_shared(clock))
                return vn_fail(err, VN_INVALID_ARGUMENT, "--speed is for the machine's clock; VANE_CLOCK is set");
        if (options->speed > 0) {
                fast_init(&fast, options->speed);
                clock = &fast.clock;
        }
        VN_TRY(vn_sim_data_read(root, VANE_DATA_ROOT, &data, err));
        const struct vn_sim_options world = {.seed = options->seed, .functions = (uint32_t)options->functions};
        enum vn_rc rc = vn_sim_new(&data.texts, clock, &world, &sim, err);
        vn_sim_data_done(&data);
        VN_TRY(rc);
        if (options->keep)
                VN_TRY(vn_sim_keep_open(sim, options->state, err));
        VN_TRY(prepare(options, sim, err));
        VN_TRY(vn_sim_server_start(sim, options->state, (uint16_t)options->port_base, &server, err));
        sigwait(signals, &signal_number);
        vn_sim_server_free(server);
        return VN_OK;
}

int main(int argc, char **argv)
{
        struct options options;
        struct vn_err err;
        sigset_t signals;
        vn_fault_init();
        /* Blocked before any thread starts, so that every thread leaves them to sigwait. */
        sigemptyset(&signals);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
        signal(SIGPIPE, SIG_IGN);
        enum vn_rc rc = parse(argc, argv, &options, &err);
        if (rc == VN_OK)
                rc = run(&options, &signals, &err);
        if (rc != VN_OK)
                fprintf(stderr, "vane-sim: %s\n", err.msg);
        return rc == VN_OK ? 0 : rc == VN_INVALID_ARGUMENT ? 2 : 1;
}
