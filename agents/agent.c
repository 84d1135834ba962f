/* One loop. Each turn: what the server said, then what is due by the clock, then a short wait. A cloud or server that
 * does not answer stops nothing else: the step is tried again on its next turn. */
#include "agents/agent.h"

#include <stdio.h>
#include <time.h>

#include "agents/gather.h"
#include "agents/grant.h"
#include "agents/identity.h"
#include "agents/learn.h"
#include "agents/link.h"
#include "agents/outbox.h"
#include "agents/progress.h"
#include "agents/pulse.h"
#include "agents/trouble.h"
#include "agents/sink.h"
#include "agents/watch.h"
#include "base/hash.h"
#include "base/log.h"
#include "clouds/permissions.h"

#define MAX_FUNCTIONS 10000
#define MAX_WAITING_WINDOWS 20000
#define SAMPLE_RATE 0.1
#define SHARED_POLL_US (20 * VN_US_PER_MS)
#define REAL_POLL_US (500 * VN_US_PER_MS)
#define LIST_EVERY_US (5 * VN_US_PER_MIN)
#define PRICES_EVERY_US VN_US_PER_HOUR
#define ABILITIES_EVERY_US VN_US_PER_HOUR
#define READ_OVERLAP_US (60 * VN_US_PER_S)
#define READ_MOST_US                                                                                                 \
        (8 * VN_US_PER_MIN) /* at once: with the lag of a log, fewer minutes than a function has open windows */
#define RENEW_RETRY_MAX_S 10
#define JOIN_RETRY_US (2 * VN_US_PER_S)
#define HEARTBEAT_US (5 * VN_US_PER_S) /* of real time: silence longer than 15 s counts as offline */
#define RETRY_US VN_US_PER_S           /* of real time, before a server or cloud that failed is asked again */

struct agent {
        const struct vn_agent_options *options;
        const volatile sig_atomic_t *stop;
        const struct vn_clock *clock;
        struct vn_buf ca_pem;
        struct vn_agent_identity identity;
        struct vn_progress progress;
        struct vn_grpc_channel *channel;
        struct vn_watch *watch;
        struct vn_pulse *pulse;
        struct vn_gather *gather;
        struct vn_windower *windower;
        struct vn_learn *learn;
        struct vn_outbox outbox;
        struct vn_sinks *sinks; /* NULL: none */
        char level[16];
        struct vn_leave_rules rules; /* what may leave the account */
        bool rules_known;            /* before the server told them, nothing does */
        struct vn_agent_round round; /* offered, not done yet; round 0: none */
        bool round_tried;            /* without rows; waits for more windows */
        int64_t read_until_us;       /* logs */
        uint64_t refused;            /* calls that the windower did not take */
        uint64_t cloud_failures;
        struct vn_troubles troubles;
        int64_t next_list_us, next_prices_us;
        struct vn_window metered;            /* the window under way; too large for a stack */
        struct vn_cloud_abilities abilities; /* what the cloud allows */
        bool abilities_known;
        int64_t next_abilities_us;
        int64_t next_renew_s;
        bool inventory_waits;
        int64_t cloud_retry_us, server_retry_us, last_report_us; /* real monotonic time */
        char trouble[VN_ERR_MSG_BYTES];                          /* said last: the same again is not said again */
};

static void say(struct agent *a, const char *what, const struct vn_err *err)
{
        if (!strcmp(a->trouble, err->msg))
                return;
        snprintf(a->trouble, sizeof a->trouble, "%s", err->msg);
        VN_LOG(AGENT_TROUBLE, "%s: %s", what, err->msg);
}

static void say_later(struct agent *a, int64_t *retry_us, const char *what, const struct vn_err *err)
{
        *retry_us = vn_mono_us(vn_clock_real()) + RETRY_US;
        say(a, what, err);
}

/* The same trouble with the same work is logged once, however often it comes between other troubles. */
static void note_cloud(struct agent *a, enum vn_work work, const struct vn_err *err)
{
        a->cloud_failures++;
        if (vn_trouble_set(&a->troubles, work, err, vn_now_us(a->clock)))
                VN_LOG(AGENT_TROUBLE, "%s: %s", vn_work_name(work), err->msg);
}

static void cloud_failed(struct agent *a, enum vn_work work, const struct vn_err *err)
{
        a->cloud_retry_us = vn_mono_us(vn_clock_real()) + RETRY_US;
        note_cloud(a, work, err);
}

static int64_t real_s(void)
{
        return vn_now_us(vn_clock_real()) / VN_US_PER_S;
}

/* --- joining and staying --- */

static bool expired(const struct agent *a)
{
        return a->identity.cert_pem.len && real_s() >= a->identity.not_after_s;
}

static enum vn_rc say_expired(const struct agent *a, struct vn_err *err)
{
        char until[VN_TIME_TEXT_BYTES];
        vn_time_format(a->identity.not_after_s * VN_US_PER_S, until);
        return vn_fail(err, VN_UNAUTHENTICATED,
                       "the certificate of account %s expired at %s: make a new join token and start the agent with "
                       "--join-token-file",
                       a->identity.account_id, until);
}

static enum vn_rc join(struct agent *a, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        token_text = VN_BUF_INIT(4096);
        struct vn_join_token token;
        if (a->identity.cert_pem.len && !expired(a))
                return VN_OK;
        if (!a->options->join_token_file)
                return a->identity.cert_pem.len
                               ? say_expired(a, err)
                               : vn_fail(err, VN_FAILED_PRECONDITION, "not joined yet: --join-token-file is needed");
        vn_buf_reset(&a->identity.cert_pem); /* an expired one would be refused before the token is looked at */
        VN_TRY(vn_agent_token_read(a->options->join_token_file, vn_buf_view(&a->ca_pem), &token_text, &token, err));
        VN_TRY(vn_link_open(a->options->server, vn_buf_view(&a->ca_pem), &a->identity, &a->channel, err));
        enum vn_rc rc;
        struct timespec pause = {JOIN_RETRY_US / VN_US_PER_S, 0};
        while ((rc = vn_link_enrol(a->channel, &a->identity, &token, vn_buf_view(&token_text), real_s(), err)) ==
                       VN_UNAVAILABLE ||
               rc == VN_DEADLINE_EXCEEDED) {
                say(a, "joining", err);
                if (*a->stop || nanosleep(&pause, NULL))
                        break;
        }
        a->channel = vn_grpc_channel_free(a->channel);
        if (rc == VN_OK)
                VN_LOG(AGENT_JOINED, "account=%s", a->identity.account_id);
        return rc;
}

static enum vn_rc connect_channel(struct agent *a, struct vn_err *err)
{
        struct vn_grpc_channel *channel = NULL;
        VN_TRY(vn_link_open(a->options->server, vn_buf_view(&a->ca_pem), &a->identity, &channel, err));
        if (a->watch)
                vn_watch_stop(a->watch);
        vn_pulse_stop(a->pulse);
        vn_grpc_channel_free(a->channel);
        a->channel = channel;
        VN_TRY(vn_pulse_start(a->pulse, channel, err));
        return a->watch ? vn_watch_resume(a->watch, channel, err) : vn_watch_start(channel, &a->watch, err);
}

/* A renewed certificate means a new channel. */
static void renew(struct agent *a)
{
        struct vn_err err = {0};
        int64_t now_s = real_s();
        if (!vn_agent_identity_renew_due(&a->identity, now_s) || now_s < a->next_renew_s)
                return;
        int64_t pause_s = (a->identity.not_after_s - a->identity.issued_s) / 30;
        a->next_renew_s = now_s + (pause_s < RENEW_RETRY_MAX_S ? pause_s : RENEW_RETRY_MAX_S);
        enum vn_rc rc = vn_link_renew(a->channel, &a->identity, now_s, &err);
        if (rc == VN_OK)
                rc = connect_channel(a, &err);
        if (rc != VN_OK)
                say(a, "renewing the certificate", &err);
}

/* --- what the server says --- */

static void fetch_model(struct agent *a, uint64_t version)
{
        struct vn_err err = {0};
        struct vn_model *model = NULL;
        const struct vn_model *have = vn_learn_model(a->learn);
        if (have && have->version == version)
                return;
        if (vn_link_model(a->channel, version, &model, &err) != VN_OK) {
                say_later(a, &a->server_retry_us, "fetching the model", &err);
                return;
        }
        vn_watch_set_model_version(a->watch, model->version);
        vn_learn_set_model(a->learn, model);
}

static bool agent_paused(void *state, const char *function)
{
        struct agent *a = state;
        return vn_watch_paused(a->watch, function);
}

/* vn_apply's functions take one state; the pause is the watch's, the rest the gather's. */
static enum vn_rc agent_read(void *state, const char *function, const char *region, struct vn_apply_state *ret,
                             struct vn_err *err)
{
        return vn_gather_read(((struct agent *)state)->gather, function, region, ret, err);
}

/* An agent that may only observe, or only tune, says so and goes on with what it may. */
static void take_abilities(struct agent *a, const struct vn_cloud_abilities *now)
{
        bool same =
                a->abilities_known && a->abilities.level == now->level && !strcmp(a->abilities.refused, now->refused);
        a->abilities = *now;
        a->abilities_known = true;
        if (!same)
                VN_LOG(AGENT_ABILITY, "capability: %s%s%s", vn_permission_level_name(now->level),
                       now->refused[0] ? ", refused: " : "", now->refused);
}

static enum vn_rc agent_set(void *state, const char *function, const char *region, uint32_t memory_mb,
                            struct vn_apply_state *ret, struct vn_err *err)
{
        struct agent *a = state;
        enum vn_rc rc = vn_gather_set(a->gather, function, region, memory_mb, ret, err);
        if (rc == VN_PERMISSION_DENIED) { /* the cloud changed its mind since it was asked */
                struct vn_cloud_abilities now = {.level = VN_MAY_OBSERVE};
                if (!vn_str_copy(now.refused, sizeof now.refused, vn_str(vn_gather_change_permission(a->gather))))
                        now.refused[0] = 0;
                take_abilities(a, &now);
        }
        return rc;
}

static void run_command(struct agent *a, const struct vn_agent_command *command)
{
        struct vn_err err = {0};
        struct vn_command_result result;
        const struct vn_command_result *before = vn_progress_find(&a->progress, command->id);
        if (before) {
                result = *before;
        } else {
                struct vn_apply_cloud cloud = {a, agent_read, agent_set, agent_paused};
                vn_apply(&cloud, command, a->level, vn_now_us(a->clock), &result);
                vn_progress_remember(&a->progress, &result);
                if (vn_progress_save(&a->progress, &err) != VN_OK)
                        say(a, "keeping progress", &err);
                VN_LOG(COMMAND, "id=%s %s", result.id, result.done ? "done" : result.error);
                a->next_list_us = 0; /* the server shall see the configuration as it is now */
        }
        /* A result that does not arrive is asked for again: the server repeats the command when the stream opens. */
        if (vn_link_command(a->channel, &result, &err) != VN_OK)
                say(a, "reporting a command", &err);
}

static void give_grant(struct agent *a, const struct vn_agent_grant *request)
{
        struct vn_err err = {0};
        enum vn_rc rc = vn_grant_give(a->gather, a->channel, request, a->level, &err);
        if (rc == VN_OK)
                VN_LOG(AGENT_GRANT, "id=%s gateway=%s functions=%zu", request->id, request->gateway,
                       request->function_count);
        else
                say(a, "an invoke grant", &err);
}

static void take_events(struct agent *a, int64_t wait_us)
{
        struct vn_agent_event event;
        while (!*a->stop && vn_watch_next(a->watch, wait_us, &event)) {
                wait_us = 0;
                switch (event.kind) {
                case VN_AGENT_COMMAND: run_command(a, &event.command); break;
                case VN_AGENT_GRANT: give_grant(a, &event.grant); break;
                case VN_AGENT_ROUND:
                        a->round = event.round;
                        a->round_tried = false;
                        break;
                case VN_AGENT_MODEL: fetch_model(a, event.model.version); break;
                case VN_AGENT_RULES:
                        a->rules = event.rules;
                        a->rules_known = true;
                        vn_gather_set_class(a->gather, a->rules.data_class);
                        break;
                case VN_AGENT_LEVEL:
                        if (strcmp(a->level, event.level))
                                a->next_abilities_us = 0; /* most likely the cloud's policy was changed too */
                        memcpy(a->level, event.level, sizeof a->level);
                        break;
                }
        }
}

/* --- rounds --- */

static void take_part(struct agent *a)
{
        struct vn_err err = {0};
        struct vn_learn_update update = {0};
        if (!a->round.round || a->round_tried || !vn_may_leave(&a->rules, VN_LEAVING_UPDATE))
                return;
        if (vn_now_us(a->clock) > a->round.deadline_us) {
                a->round.round = 0;
                return;
        }
        fetch_model(a, a->round.base_version);
        const struct vn_model *model = vn_learn_model(a->learn);
        if (!model || model->version != a->round.base_version)
                return;
        struct vn_train_config config = {
                .seed = a->round.seed ^ vn_hash64(a->identity.account_id, strlen(a->identity.account_id), 0),
                .epochs = a->round.epochs,
                .batch = a->round.batch,
                .learning_rate = a->round.learning_rate,
                .weight_decay = a->round.proximal,
        };
        enum vn_rc rc = vn_learn_train(a->learn, &config, a->options->shuffle_labels, &update, &err);
        if (rc == VN_FAILED_PRECONDITION) {
                a->round_tried = true; /* nothing to learn from yet: again with the next windows */
                return;
        }
        if (rc == VN_OK)
                rc = vn_link_update(a->channel, &a->rules, &a->round, &update, &err);
        vn_free(update.delta);
        if (rc != VN_OK)
                say_later(a, &a->server_retry_us, "taking part in a round", &err);
        if (rc != VN_UNAVAILABLE && rc != VN_DEADLINE_EXCEEDED && rc != VN_RESOURCE_EXHAUSTED)
                a->round.round = 0;
}

/* --- telemetry --- */

static enum vn_rc add_call(void *arg, const struct vn_invocation *call)
{
        struct agent *a = arg;
        if (call->start_us < a->progress.collected_until_us)
                return VN_OK;                                /* in a window that the server has */
        VN_IGNORE(vn_windower_add(a->windower, call, NULL)); /* what it refuses it counts */
        return VN_OK;
}

static enum vn_rc take_window(void *ctx, const struct vn_window *full, const struct vn_window *sampled,
                              struct vn_err *err)
{
        struct agent *a = ctx;
        a->metered = *full;
        vn_gather_meter(a->gather, &a->metered);
        VN_TRY(vn_outbox_put(&a->outbox, &a->metered, err));
        a->round_tried = false;
        VN_TRY(vn_learn_window(a->learn, full, sampled, err));
        vn_sinks_window(a->sinks, &a->metered); /* last: a window that fails before is closed anew */
        return VN_OK;
}

static enum vn_rc take_line(void *arg, const struct vn_line *line, struct vn_err *err)
{
        const struct agent *a = arg;
        (void)err;
        vn_sinks_line(a->sinks, &(struct vn_sink_line){.time_us = line->time_us,
                                                       .function = line->function,
                                                       .region = line->region,
                                                       .kind = vn_line_kind_name(line->kind),
                                                       .weight = line->weight,
                                                       .text = line->text});
        return VN_OK;
}

/* After a time away the log is read in parts, each closed before the next: nothing that was logged meanwhile is lost. */
static void collect(struct agent *a, int64_t now_us)
{
        struct vn_err err = {0};
        struct vn_window_stats stats;
        int64_t lag_us = vn_gather_lag_us(a->gather);
        if (now_us - a->read_until_us > READ_MOST_US)
                now_us = a->read_until_us + READ_MOST_US;
        int64_t from_us = a->read_until_us - READ_OVERLAP_US - lag_us;
        from_us = from_us > a->progress.collected_until_us ? from_us : a->progress.collected_until_us;
        if (vn_gather_calls(a->gather, from_us, now_us, add_call, a, &err) != VN_OK) {
                cloud_failed(a, VN_WORK_LOGS, &err);
                return; /* what was read is remembered; the rest comes next time */
        }
        vn_trouble_clear(&a->troubles, VN_WORK_LOGS);
        if (vn_gather_lines(a->gather, from_us, now_us, &err) != VN_OK)
                cloud_failed(a, VN_WORK_LINES, &err); /* the windows do not wait for them */
        else
                vn_trouble_clear(&a->troubles, VN_WORK_LINES);
        a->read_until_us = now_us;
        if (vn_windower_close(a->windower, now_us, take_window, a, &err) != VN_OK)
                say(a, "closing windows", &err);
        vn_windower_stats(a->windower, &stats);
        if (stats.refused > a->refused) {
                VN_IGNORE(vn_fail(&err, VN_RESOURCE_EXHAUSTED, "%llu calls did not fit, and are not counted",
                                  (unsigned long long)stats.refused));
                say(a, "windows", &err);
        }
        a->refused = stats.refused;
}

static void send_windows(struct agent *a)
{
        struct vn_err err = {0};
        struct vn_window_stats stats;
        vn_windower_stats(a->windower, &stats);
        struct vn_link_counts counts = {.dropped_fields = vn_gather_dropped(a->gather),
                                        .sampled_calls = stats.sampled,
                                        .cloud_api_calls = vn_gather_api_calls(a->gather),
                                        .cloud_failures = a->cloud_failures,
                                        .troubles = &a->troubles,
                                        .ability = a->abilities_known ? vn_permission_level_name(a->abilities.level)
                                                                      : NULL,
                                        .refused = a->abilities.refused};
        vn_gather_usage(a->gather, &counts.usage);
        int64_t mono_us = vn_mono_us(vn_clock_real());
        bool beat = mono_us - a->last_report_us >= HEARTBEAT_US; /* then an empty report does as well */
        while (a->outbox.count || beat) {
                const struct vn_window *windows;
                beat = false;
                a->last_report_us = mono_us;
                size_t n = vn_outbox_peek(&a->outbox, VN_LINK_MAX_WINDOWS, &windows);
                enum vn_rc rc = vn_link_windows(a->channel, &a->rules, windows, n, &counts, &err);
                if (rc != VN_OK)
                        say_later(a, &a->server_retry_us, "sending windows", &err);
                /* Refused as malformed, or as what may not leave the account: sending again cannot help. */
                if (rc != VN_OK && rc != VN_INVALID_ARGUMENT && rc != VN_PERMISSION_DENIED)
                        return;
                vn_outbox_sent(&a->outbox, n);
        }
        int64_t until_us = a->read_until_us - vn_gather_lag_us(a->gather);
        until_us -= until_us % VN_WINDOW_US;
        if (until_us <= a->progress.collected_until_us)
                return;
        a->progress.collected_until_us = until_us;
        if (vn_progress_save(&a->progress, &err) != VN_OK)
                say(a, "keeping progress", &err);
}

static void list_functions(struct agent *a, int64_t now_us)
{
        struct vn_err err = {0};
        if (now_us < a->next_list_us)
                return;
        if (vn_gather_list(a->gather, &err) == VN_OK) {
                a->next_list_us = now_us + LIST_EVERY_US;
                a->inventory_waits = true;
                vn_trouble_clear(&a->troubles, VN_WORK_LIST);
        } else {
                cloud_failed(a, VN_WORK_LIST, &err);
        }
}

static void ask_abilities(struct agent *a, int64_t now_us)
{
        struct vn_err err = {0};
        struct vn_cloud_abilities abilities;
        if (now_us < a->next_abilities_us)
                return;
        enum vn_rc rc = vn_gather_abilities(a->gather, &abilities, &err);
        a->next_abilities_us = now_us + (rc == VN_OK ? ABILITIES_EVERY_US : VN_US_PER_MIN);
        if (rc == VN_OK) {
                take_abilities(a, &abilities);
                vn_trouble_clear(&a->troubles, VN_WORK_ABILITIES);
        } else if (rc != VN_FAILED_PRECONDITION) {
                note_cloud(a, VN_WORK_ABILITIES, &err);
        }
}

static void send_inventory(struct agent *a, int64_t now_us)
{
        struct vn_err err = {0};
        if (a->inventory_waits &&
            vn_gather_report_inventory(a->gather, a->channel, &a->rules, now_us, &err) != VN_OK) {
                say_later(a, &a->server_retry_us, "sending the inventory", &err);
                return;
        }
        a->inventory_waits = false;
        if (now_us < a->next_prices_us)
                return;
        a->next_prices_us = now_us + PRICES_EVERY_US;
        if (vn_gather_report_prices(a->gather, a->channel, now_us, &err) != VN_OK) {
                a->next_prices_us = now_us + VN_US_PER_MIN;
                note_cloud(a, VN_WORK_PRICES, &err);
                return;
        }
        vn_trouble_clear(&a->troubles, VN_WORK_PRICES);
}

/* --- the whole --- */

static enum vn_rc start(struct agent *a, struct vn_err *err)
{
        VN_TRY(vn_clock_from_environment(&a->clock, err));
        VN_TRY(vn_file_read(a->options->ca_file, &a->ca_pem, err));
        VN_TRY(vn_agent_identity_open(a->options->state_dir, &a->identity, err));
        VN_TRY(vn_progress_open(a->options->state_dir, &a->progress, err));
        VN_TRY(vn_pulse_new(&a->pulse, err));
        VN_TRY(vn_gather_open(a->options->cloud_config, a->clock, &a->gather, err));
        VN_TRY(join(a, err));
        memcpy(a->level, a->identity.level, sizeof a->level);
        struct vn_window_config config = {
                .max_functions = MAX_FUNCTIONS,
                .sample_rate = SAMPLE_RATE,
                .seed = vn_hash64(a->identity.account_id, strlen(a->identity.account_id), 1),
                .grace_us = vn_gather_lag_us(a->gather),
        };
        VN_TRY(vn_windower_new(&config, &a->windower, err));
        VN_TRY(vn_learn_new(vn_gather_platform(a->gather), MAX_FUNCTIONS, &a->learn, err));
        vn_outbox_init(&a->outbox, MAX_WAITING_WINDOWS);
        const struct vn_sinks_options sinks = {a->options->cloud_config, a->options->state_dir,
                                               a->identity.account_id, a->clock};
        VN_TRY(vn_sinks_open(&sinks, &a->sinks, err));
        if (vn_sinks_take_lines(a->sinks))
                vn_gather_lines_to(a->gather, take_line, a);
        if (!a->progress
                     .collected_until_us) { /* what was before is not this agent's; what comes now is, killed or not */
                a->progress.collected_until_us = vn_now_us(a->clock) - vn_now_us(a->clock) % VN_WINDOW_US;
                VN_TRY(vn_progress_save(&a->progress, err));
        }
        a->read_until_us = a->progress.collected_until_us;
        return connect_channel(a, err);
}

static void finish(struct agent *a)
{
        a->watch = vn_watch_free(a->watch);
        a->pulse = vn_pulse_free(a->pulse);
        vn_grpc_channel_free(a->channel);
        vn_outbox_done(&a->outbox);
        vn_sinks_free(a->sinks);
        vn_learn_free(a->learn);
        vn_windower_free(a->windower);
        vn_gather_free(a->gather);
        vn_agent_identity_done(&a->identity);
        vn_buf_done(&a->ca_pem);
}

static void turn(struct agent *a)
{
        int64_t now_us = vn_now_us(a->clock), mono_us = vn_mono_us(vn_clock_real());
        vn_pulse_turn(a->pulse);
        renew(a);
        if (mono_us >= a->cloud_retry_us) {
                list_functions(a, now_us);
                ask_abilities(a, now_us);
                if (now_us - a->read_until_us >= VN_WINDOW_US)
                        collect(a, now_us);
        }
        if (mono_us >= a->server_retry_us && a->rules_known) {
                send_inventory(a, now_us);
                send_windows(a);
                take_part(a);
        }
}

enum vn_rc vn_agent_run(const struct vn_agent_options *options, const volatile sig_atomic_t *stop, struct vn_err *err)
{
        struct agent *a = vn_alloc(sizeof *a);
        if (!a)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        a->options = options;
        a->stop = stop;
        a->ca_pem = VN_BUF_INIT(65536);
        enum vn_rc rc = start(a, err);
        int64_t wait_us = rc == VN_OK && vn_clock_is_shared(a->clock) ? SHARED_POLL_US : REAL_POLL_US;
        while (rc == VN_OK && !*stop) {
                if (expired(a)) { /* nothing that it says is heard any more */
                        rc = say_expired(a, err);
                        break;
                }
                turn(a);
                take_events(a, wait_us);
        }
        finish(a);
        vn_free(a);
        return rc;
}
