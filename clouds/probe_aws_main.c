/* vane-aws-probe FILE STEP...: operations of cloud.h on one AWS account, one function, in the order that is asked for. FILE is
 * an account's description (account.h) and, for whoever stands in for AWS, "function", "log_records" and "metric_calls".
 * A test program, not installed: against vane-sim in tests/scenarios/clouds_sim.sh, against moto in tests/sdk/aws_moto.py.
 * Prints a line a step; exit 1 at the first surprise. */
#include <signal.h>

#include "clouds/account.h"
#include "clouds/aws/aws.h"
#include "clouds/probe.h"

struct probe {
        json_t *description;
        const struct vn_clock *clock;
        struct vn_cloud *cloud;
        struct vn_cloud_function listed;
};

static void health(struct probe *p)
{
        struct vn_cloud_health health;

        EXPECT_RC(VN_OK, vn_cloud_health(p->cloud, &health, &err));
        EXPECT(!strncmp(health.identity, "arn:aws:", 8), "identity %s", health.identity);
        EXPECT(health.clock_offset_us > -3 * VN_US_PER_S && health.clock_offset_us < 3 * VN_US_PER_S,
               "clocks %lld us apart", (long long)health.clock_offset_us);
}

static void list(struct probe *p)
{
        const char *wanted = json_string_value(json_object_get(p->description, "function"));
        struct vn_cloud_list list;

        EXPECT_RC(VN_OK, vn_cloud_list(p->cloud, &list, &err));
        EXPECT(list.complete && list.count > 0, "%zu functions", list.count);
        for (size_t i = 0; i < list.count; i++)
                if (wanted && !strcmp(list.functions[i].name, wanted))
                        p->listed = list.functions[i];
        EXPECT(p->listed.name[0], "%s is not listed", wanted ? wanted : "(no function)");
        vn_cloud_list_done(&list);
}

static void refused_without_revision(struct probe *p)
{
        struct vn_cloud_function got;

        EXPECT_RC(VN_DATA_LOSS, vn_cloud_read(p->cloud, &p->listed, &got, &err));
        EXPECT(strstr(err.msg, "revision"), "%s", err.msg);
}

/* There, a stale guard refused, and back again: each with the setting as it must be. */
static void there_and_back(struct probe *p, enum vn_cloud_setting setting, uint32_t value,
                           uint32_t (*of)(const struct vn_cloud_function *f))
{
        struct vn_cloud_function before, after, again, undone;

        EXPECT_RC(VN_OK, vn_cloud_read(p->cloud, &p->listed, &before, &err));
        EXPECT_RC(VN_OK, vn_cloud_change(p->cloud, &before, setting, value, VN_US_PER_MIN, &after, &err));
        EXPECT(of(&after) == value && !after.busy, "%u after the change to %u", of(&after), value);
        EXPECT_RC(VN_ABORTED, vn_cloud_change(p->cloud, &before, setting, value + 1, VN_US_PER_MIN, &again, &err));
        EXPECT_RC(VN_OK, vn_cloud_read(p->cloud, &p->listed, &again, &err));
        EXPECT(of(&again) == value && !strcmp(again.guard, after.guard), "%u, guard %s and %s", of(&again),
               again.guard, after.guard);
        EXPECT_RC(VN_OK, vn_cloud_change(p->cloud, &again, setting, of(&before), VN_US_PER_MIN, &undone, &err));
        EXPECT(of(&undone) == of(&before), "%u after the way back", of(&undone));
}

static uint32_t memory_of(const struct vn_cloud_function *f)
{
        return f->memory_mb;
}
static uint32_t reserved_of(const struct vn_cloud_function *f)
{
        return f->max_instances;
}
static uint32_t warm_of(const struct vn_cloud_function *f)
{
        return f->warm_instances;
}

static void memory(struct probe *p)
{
        there_and_back(p, VN_SETTING_MEMORY_MB, 640, memory_of);
}

static void reserved(struct probe *p)
{
        there_and_back(p, VN_SETTING_MAX_INSTANCES, 7, reserved_of);
}

/* The account keeps a hundred; Lambda says so itself. */
static void too_much(struct probe *p)
{
        struct vn_cloud_function before, after;

        EXPECT_RC(VN_OK, vn_cloud_read(p->cloud, &p->listed, &before, &err));
        EXPECT_RC(VN_INVALID_ARGUMENT,
                  vn_cloud_change(p->cloud, &before, VN_SETTING_MAX_INSTANCES, 950, VN_US_PER_MIN, &after, &err));
        EXPECT(strstr(err.msg, "InvalidParameterValueException"), "%s", err.msg);
        EXPECT_RC(VN_FAILED_PRECONDITION,
                  vn_cloud_change(p->cloud, &before, VN_SETTING_CONCURRENCY, 2, VN_US_PER_MIN, &after, &err));
}

static void warm(struct probe *p)
{
        there_and_back(p, VN_SETTING_WARM_INSTANCES, 3, warm_of);
}

static void no_alias(struct probe *p)
{
        struct vn_cloud_function before, after;
        struct vn_cloud_split split;

        EXPECT_RC(VN_OK, vn_cloud_read(p->cloud, &p->listed, &before, &err));
        EXPECT_RC(VN_FAILED_PRECONDITION,
                  vn_cloud_change(p->cloud, &before, VN_SETTING_WARM_INSTANCES, 3, VN_US_PER_MIN, &after, &err));
        EXPECT_RC(VN_FAILED_PRECONDITION, vn_cloud_read_split(p->cloud, &p->listed, VN_STR(""), &split, &err));
}

static void post(struct probe *p, const char *what, const char *body)
{
        const struct vn_aws_lambda_call call = {.method = "POST",
                                                .version = VN_LAMBDA_2015,
                                                .function = p->listed.name,
                                                .what = what,
                                                .body = vn_str(body)};
        VN_AUTO(vn_json)
        answer = NULL;

        EXPECT_RC(VN_OK, vn_aws_lambda(p->cloud, &call, &answer, &err));
}

/* What Vane finds and does not make: two versions, and an alias of the first. */
static void publish(struct probe *p)
{
        struct vn_cloud_function before, after;

        EXPECT_RC(VN_OK, vn_cloud_read(p->cloud, &p->listed, &before, &err));
        post(p, "versions", "{}");
        EXPECT_RC(VN_OK, vn_cloud_read(p->cloud, &p->listed, &before, &err));
        EXPECT_RC(VN_OK, vn_cloud_change(p->cloud, &before, VN_SETTING_MEMORY_MB, before.memory_mb + 64,
                                         VN_US_PER_MIN, &after, &err));
        post(p, "versions", "{}");
        post(p, "aliases", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}");
}

static void split(struct probe *p)
{
        struct vn_cloud_split before, wanted, after, again, undone;

        EXPECT_RC(VN_OK, vn_cloud_read_split(p->cloud, &p->listed, VN_STR(""), &before, &err));
        EXPECT(before.count == 1 && !strcmp(before.alias, "live"), "%zu shares of %s", before.count, before.alias);
        wanted = before;
        wanted.count = 2;
        wanted.shares[0].per_mille = 900;
        wanted.shares[1] = (struct vn_cloud_share){"2", 100};
        EXPECT_RC(VN_OK, vn_cloud_set_split(p->cloud, &p->listed, &wanted, VN_US_PER_MIN, &after, &err));
        EXPECT(after.count == 2 && after.shares[1].per_mille == 100, "%zu shares", after.count);
        EXPECT_RC(VN_ABORTED, vn_cloud_set_split(p->cloud, &p->listed, &wanted, VN_US_PER_MIN, &again, &err));
        EXPECT_RC(VN_OK, vn_cloud_read_split(p->cloud, &p->listed, VN_STR("live"), &again, &err));
        EXPECT(again.shares[1].per_mille == 100, "a stale guard moved the alias");
        memcpy(before.guard, again.guard, sizeof(before.guard));
        EXPECT_RC(VN_OK, vn_cloud_set_split(p->cloud, &p->listed, &before, VN_US_PER_MIN, &undone, &err));
        EXPECT(undone.count == 1 && undone.shares[0].per_mille == 1000, "%zu shares after the way back",
               undone.count);
}

static void invoke(struct probe *p)
{
        struct vn_cloud_result result;

        EXPECT_RC(VN_OK, vn_cloud_invoke(p->cloud, &p->listed, VN_STR("{\"a\":1}"), &result, &err));
        EXPECT(result.http_status == 200 && !result.function_error && result.response.body.len > 0, "status %d",
               result.http_status);
        vn_cloud_result_done(&result);
}

static void invoke_async(struct probe *p)
{
        struct vn_cloud_result result;

        EXPECT_RC(VN_OK, vn_cloud_invoke_async(p->cloud, &p->listed, VN_STR("{\"a\":1}"), &result, &err));
        EXPECT(result.http_status == 202, "status %d", result.http_status);
        vn_cloud_result_done(&result);
}

static enum vn_rc count_one(void *arg, const struct vn_cloud_invocation *invocation)
{
        size_t *count = arg;

        EXPECT(invocation->duration_us > 0 && invocation->billed_us > 0, "a record without durations");
        ++*count;
        return VN_OK;
}

static void logs(struct probe *p)
{
        int64_t now_us = vn_now_us(p->clock);
        size_t want = (size_t)json_integer_value(json_object_get(p->description, "log_records")), count = 0;

        EXPECT_RC(VN_OK, vn_cloud_logs(p->cloud, &p->listed, now_us - VN_US_PER_HOUR, now_us + VN_US_PER_MIN,
                                       count_one, &count, &err));
        EXPECT(count == want, "%zu records of %zu", count, want);
}

static void metrics(struct probe *p)
{
        struct vn_cloud_minute minutes[120];
        int64_t now_us = vn_now_us(p->clock);
        double calls = 0, want = json_number_value(json_object_get(p->description, "metric_calls"));
        size_t count;

        EXPECT_RC(VN_OK, vn_cloud_metrics(p->cloud, &p->listed, now_us - VN_US_PER_HOUR, now_us + VN_US_PER_MIN,
                                          minutes, 120, &count, &err));
        for (size_t i = 0; i < count; i++)
                calls += minutes[i].calls;
        EXPECT(calls == want, "%.0f calls of %.0f", calls, want);
}

static const struct {
        const char *name;
        void (*run)(struct probe *p);
} steps[] = {{"health", health},     {"list", list},         {"refused-without-revision", refused_without_revision},
             {"memory", memory},     {"reserved", reserved}, {"too-much", too_much},
             {"no-alias", no_alias}, {"publish", publish},   {"warm", warm},
             {"split", split},       {"invoke", invoke},     {"async", invoke_async},
             {"logs", logs},         {"metrics", metrics}};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

static void run(struct probe *p, const char *name)
{
        size_t i = 0;

        while (i < STEP_COUNT && strcmp(steps[i].name, name) != 0)
                i++;
        probing = name;
        EXPECT(i < STEP_COUNT, "no such step");
        steps[i].run(p);
        printf("ok   vane %s\n", name);
        fflush(stdout);
}

int main(int argc, char **argv)
{
        VN_AUTO(vn_json)
        description = argc > 2 ? json_load_file(argv[1], 0, NULL) : NULL;
        struct probe probe = {.description = description};
        struct vn_cloud_account *account;

        signal(SIGPIPE, SIG_IGN);
        if (!description || vn_clock_from_environment(&probe.clock, &err) != VN_OK) {
                fprintf(stderr, "usage: vane-aws-probe ACCOUNT-FILE STEP...\n");
                return 2;
        }
        EXPECT_RC(VN_OK, vn_cloud_account_open(description, probe.clock, &account, &err));
        probe.cloud = vn_cloud_account_cloud(account);
        for (int i = 2; i < argc; i++)
                run(&probe, argv[i]);
        vn_cloud_account_free(account);
        return 0;
}
