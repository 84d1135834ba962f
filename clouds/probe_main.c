/* vane-clouds-probe FILE: every operation of cloud.h and observe.h against every account of a simulator's ready file, over
 * TLS. vane-clouds-probe FILE ACCOUNT LEVEL: one account, whose credentials may do what the policy of that level allows: the
 * operations of the level work, those of a higher one are refused with the cloud's own code. A test program
 * (tests/scenarios/clouds_sim.sh, account_policy.py), not installed. Prints one line an account; exit 1 at the first
 * surprise. */
#include <signal.h>

#include "clouds/account.h"
#include "clouds/azure/azure.h"
#include "clouds/call.h"
#include "clouds/permissions.h"
#include "clouds/probe.h"

#define CALLS 5

struct seen {
        size_t count, cold, billed;
};

static enum vn_rc count_one(void *arg, const struct vn_cloud_invocation *invocation)
{
        struct seen *seen = arg;

        EXPECT(invocation->duration_us > 0 && invocation->duration_us < VN_US_PER_HOUR, "duration %lld",
               (long long)invocation->duration_us);
        EXPECT(invocation->id_hash && invocation->function[0], "a record without id or function");
        seen->count++;
        seen->cold += invocation->cold;
        seen->billed += invocation->billed_us > 0;
        return VN_OK;
}

static void check_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function)
{
        for (int i = 0; i < CALLS; i++) {
                struct vn_cloud_result result;
                struct vn_str elapsed;

                EXPECT_RC(VN_OK, vn_cloud_invoke(cloud, function, VN_STR("11111111"), &result, &err));
                elapsed = vn_cloud_response_header(&result.response, "x-vane-sim-elapsed-us");
                EXPECT(elapsed.ptr && result.response.body.len > 0, "an answer without elapsed time or body");
                EXPECT(!result.function_error && !result.throttled, "status %d", result.http_status);
                EXPECT(vn_cloud_kind(cloud) != VN_CLOUD_AWS || (result.duration_us > 0 && result.billed_us > 0),
                       "Lambda's log tail says nothing");
                vn_cloud_result_done(&result);
        }
}

/* Another size than the present one, and a stale guard afterwards. */
static void check_change(struct vn_cloud *cloud, const struct vn_cloud_function *listed)
{
        struct vn_cloud_function before, after, restored;
        uint32_t wanted;

        EXPECT_RC(VN_OK, vn_cloud_read(cloud, listed, &before, &err));
        EXPECT(before.guard[0], "no guard");
        if (!before.memory_tunable) {
                EXPECT_RC(VN_FAILED_PRECONDITION,
                          vn_cloud_change(cloud, &before, VN_SETTING_MEMORY_MB, 512, VN_US_PER_MIN, &after, &err));
                return;
        }
        wanted = before.memory_mb == 512 ? 2048 : 512;
        EXPECT_RC(VN_OK, vn_cloud_change(cloud, &before, VN_SETTING_MEMORY_MB, wanted, VN_US_PER_MIN, &after, &err));
        EXPECT(after.memory_mb == wanted && strcmp(after.guard, before.guard) != 0, "%u MB, guard %s",
               after.memory_mb, after.guard);
        EXPECT_RC(VN_ABORTED, vn_cloud_change(cloud, &before, VN_SETTING_MEMORY_MB, wanted == 512 ? 2048 : 512,
                                              VN_US_PER_MIN, &restored, &err));
        EXPECT_RC(VN_OK, vn_cloud_read(cloud, listed, &restored, &err));
        EXPECT(restored.memory_mb == wanted, "a stale guard changed the function");
}

static void check_observed(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                           int64_t to_us)
{
        struct vn_cloud_minute minutes[120];
        struct seen seen = {0};
        double calls = 0;
        size_t count;

        EXPECT_RC(VN_OK, vn_cloud_logs(cloud, function, from_us, to_us, count_one, &seen, &err));
        EXPECT(seen.count == CALLS && seen.cold >= 1, "%zu log records, %zu cold", seen.count, seen.cold);
        EXPECT(vn_cloud_kind(cloud) != VN_CLOUD_AWS || seen.billed == CALLS, "%zu billed", seen.billed);
        if (vn_cloud_kind(cloud) != VN_CLOUD_AWS) {
                seen = (struct seen){0};
                EXPECT_RC(VN_OK, vn_cloud_logs(cloud, NULL, from_us, to_us, count_one, &seen, &err));
                EXPECT(seen.count == CALLS, "%zu log records of the account", seen.count);
        }
        EXPECT_RC(VN_OK, vn_cloud_metrics(cloud, function, from_us, to_us, minutes, 120, &count, &err));
        for (size_t i = 0; i < count; i++)
                calls += minutes[i].calls;
        EXPECT(calls == CALLS, "%.0f calls in %zu minutes", calls, count);
}

static size_t check_prices(struct vn_cloud *cloud)
{
        struct vn_cloud_price_list prices;
        size_t requests = 0, count;

        EXPECT_RC(VN_OK, vn_cloud_prices(cloud, &prices, &err));
        for (size_t i = 0; i < prices.count; i++)
                requests += prices.prices[i].meter == VN_METER_REQUEST && prices.prices[i].pico_usd > 0 &&
                            prices.prices[i].pico_usd < 10000000;
        EXPECT(requests >= 1 && prices.count >= 2, "%zu prices, %zu of requests", prices.count, requests);
        count = prices.count;
        vn_cloud_price_list_done(&prices);
        return count;
}

/* --- what Azure and GCP let be changed beside memory; AWS has a probe of its own --- */

static void check_health(struct vn_cloud *cloud)
{
        struct vn_cloud_health health;

        EXPECT_RC(VN_OK, vn_cloud_health(cloud, &health, &err));
        EXPECT(health.identity[0] && health.round_trip_us >= 0, "%s", health.identity);
        EXPECT(health.clock_offset_us > -2 * VN_US_PER_S && health.clock_offset_us < 2 * VN_US_PER_S, "%lld us",
               (long long)health.clock_offset_us);
}

/* There, refused with the guard that is old by then, and back. */
static void change_and_undo(struct vn_cloud *cloud, const struct vn_cloud_function *listed,
                            enum vn_cloud_setting setting, uint32_t value)
{
        struct vn_cloud_function before, after, undone;
        uint32_t first;

        EXPECT_RC(VN_OK, vn_cloud_read(cloud, listed, &before, &err));
        first = vn_setting_value(&before, setting);
        EXPECT_RC(VN_OK, vn_cloud_change(cloud, &before, setting, value, VN_US_PER_MIN, &after, &err));
        EXPECT(vn_setting_value(&after, setting) == value && value != first, "%s", vn_cloud_setting_name(setting));
        EXPECT_RC(VN_ABORTED, vn_cloud_change(cloud, &before, setting, first, VN_US_PER_MIN, &undone, &err));
        EXPECT_RC(VN_OK, vn_cloud_change(cloud, &after, setting, first, VN_US_PER_MIN, &undone, &err));
        EXPECT(vn_setting_value(&undone, setting) == first && undone.memory_mb == before.memory_mb, "%s not undone",
               vn_cloud_setting_name(setting));
}

static void split_and_undo(struct vn_cloud *cloud, const struct vn_cloud_function *f)
{
        struct vn_cloud_split read, wanted, after, undone;

        EXPECT_RC(VN_OK, vn_cloud_read_split(cloud, f, VN_STR(""), &read, &err));
        EXPECT(read.count > 1 && read.shares[0].per_mille == 1000, "%zu versions", read.count);
        wanted = read;
        wanted.shares[0].per_mille = 900;
        wanted.shares[1].per_mille = 100;
        EXPECT_RC(VN_OK, vn_cloud_set_split(cloud, f, &wanted, VN_US_PER_MIN, &after, &err));
        EXPECT_RC(VN_ABORTED, vn_cloud_set_split(cloud, f, &read, VN_US_PER_MIN, &undone, &err));
        memcpy(read.guard, after.guard, sizeof(read.guard));
        EXPECT_RC(VN_OK, vn_cloud_set_split(cloud, f, &read, VN_US_PER_MIN, &undone, &err));
        EXPECT(undone.shares[0].per_mille == 1000, "%s has %u", undone.shares[0].version, undone.shares[0].per_mille);
}

/* The owner's part, which Vane never does: a site on Consumption moves to Premium and gets a slot. */
static void make_premium(struct vn_cloud *cloud, const char *resource)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_json)
        slot = json_pack("{s:s, s:{}}", "location", "eastus", "properties");
        VN_AUTO(vn_json)
        moved = NULL;
        VN_AUTO(vn_json)
        made = NULL;
        char plan[VN_CLOUD_RESOURCE_BYTES], path[VN_CLOUD_RESOURCE_BYTES + 16];
        const char *sites = strstr(resource, "/sites/");

        vn_cloud_response_init(&response);
        snprintf(plan, sizeof(plan), "%.*s/serverfarms/premium", (int)(sites - resource), resource);
        snprintf(path, sizeof(path), "%s/slots/blue", resource);
        body = json_pack("{s:{s:s}}", "properties", "serverFarmId", plan);
        EXPECT_RC(VN_OK, vn_azure_arm(cloud, "PATCH", vn_str(resource), VN_AZURE_API, body, &response, &moved, &err));
        EXPECT_RC(VN_OK, vn_azure_arm(cloud, "PUT", vn_str(path), VN_AZURE_API, slot, &response, &made, &err));
}

static void check_azure_plans(struct vn_cloud *cloud, const struct vn_cloud_list *list)
{
        const struct vn_cloud_function *flex = NULL, *plain = NULL;
        struct vn_cloud_function read, after;
        struct vn_cloud_split split;

        for (size_t i = 0; i < list->count; i++)
                *(list->functions[i].memory_tunable ? &flex : &plain) = &list->functions[i];
        EXPECT(flex && plain, "the account lacks one of the plans");
        change_and_undo(cloud, flex, VN_SETTING_MAX_INSTANCES, 61);
        change_and_undo(cloud, flex, VN_SETTING_WARM_INSTANCES, 3);
        change_and_undo(cloud, flex, VN_SETTING_CONCURRENCY, 12);
        EXPECT_RC(VN_FAILED_PRECONDITION, vn_cloud_read_split(cloud, flex, VN_STR(""), &split, &err));
        change_and_undo(cloud, plain, VN_SETTING_MAX_INSTANCES, 17);
        EXPECT_RC(VN_OK, vn_cloud_read(cloud, plain, &read, &err));
        EXPECT_RC(VN_FAILED_PRECONDITION,
                  vn_cloud_change(cloud, &read, VN_SETTING_WARM_INSTANCES, 1, VN_US_PER_MIN, &after, &err));
        make_premium(cloud, plain->resource);
        EXPECT_RC(VN_OK, vn_cloud_read(cloud, plain, &read, &err));
        EXPECT(read.memory_mb == 3584 && read.warm_instances == 1, "%u MB, %u warm", read.memory_mb,
               read.warm_instances);
        change_and_undo(cloud, plain, VN_SETTING_WARM_INSTANCES, 4);
        change_and_undo(cloud, plain, VN_SETTING_MAX_INSTANCES, 9);
        split_and_undo(cloud, plain);
}

/* Taking more than one request at once needs a whole CPU, which only the cloud knows of a function. */
static void check_gcp_concurrency(struct vn_cloud *cloud, const struct vn_cloud_list *list)
{
        struct vn_cloud_function before, after;
        size_t refused = 0, i;

        for (i = 0; i < list->count; i++) {
                EXPECT_RC(VN_OK, vn_cloud_read(cloud, &list->functions[i], &before, &err));
                if (vn_cloud_change(cloud, &before, VN_SETTING_CONCURRENCY, 9, VN_US_PER_MIN, &after, &err) == VN_OK)
                        break;
                EXPECT(strstr(err.msg, "cpu < 1"), "%s", err.msg);
                refused++;
        }
        EXPECT(i < list->count && refused > 0 && after.concurrency == 9, "%zu refused", refused);
        change_and_undo(cloud, &list->functions[i], VN_SETTING_CONCURRENCY, 20);
}

static void check_gcp_revisions(struct vn_cloud *cloud, const struct vn_cloud_list *list)
{
        change_and_undo(cloud, &list->functions[0], VN_SETTING_MAX_INSTANCES, 7);
        change_and_undo(cloud, &list->functions[0], VN_SETTING_WARM_INSTANCES, 2);
        check_gcp_concurrency(cloud, list);
        split_and_undo(cloud, &list->functions[0]);
}

static void check_operations(struct vn_cloud *cloud, const struct vn_cloud_list *list)
{
        struct vn_cloud_result result;

        check_health(cloud);
        EXPECT_RC(VN_FAILED_PRECONDITION,
                  vn_cloud_invoke_async(cloud, &list->functions[0], VN_STR("x"), &result, &err));
        if (vn_cloud_kind(cloud) == VN_CLOUD_AZURE)
                check_azure_plans(cloud, list);
        else
                check_gcp_revisions(cloud, list);
}

static void check_account(json_t *description, const struct vn_clock *clock)
{
        struct vn_cloud_account *account;
        struct vn_cloud_list list;
        struct vn_cloud *cloud;
        int64_t from_us = vn_now_us(clock) / VN_US_PER_MIN * VN_US_PER_MIN;
        size_t prices;

        probing = json_string_value(json_object_get(description, "name"));
        EXPECT_RC(VN_OK, vn_cloud_account_open(description, clock, &account, &err));
        cloud = vn_cloud_account_cloud(account);
        EXPECT_RC(VN_OK, vn_cloud_list(cloud, &list, &err));
        EXPECT(list.count > 1 && list.complete, "%zu functions", list.count);
        for (size_t i = 0; i < list.count; i++)
                EXPECT(list.functions[i].name[0] && list.functions[i].region[0], "a function without name or region");
        check_invoke(cloud, &list.functions[1]);
        check_change(cloud, &list.functions[0]);
        check_observed(cloud, &list.functions[1], from_us, from_us + VN_US_PER_HOUR);
        if (vn_cloud_kind(cloud) != VN_CLOUD_AWS)
                check_operations(cloud, &list);
        prices = check_prices(cloud);
        printf("%s: %zu functions, %zu prices, %llu requests\n", probing, list.count, prices,
               (unsigned long long)vn_cloud_call_count(cloud));
        vn_cloud_list_done(&list);
        vn_cloud_account_free(account);
}

/* Whether it is the description that holds, or names, what is secret: else the environment does. */
static bool has_secret(const json_t *description)
{
        return json_object_get(description, "access_key_id") || json_object_get(description, "profile") ||
               json_object_get(description, "client_secret") || json_object_get(description, "key_json");
}

/* The same account with a secret that is not its own. */
static void check_wrong_secret(json_t *description, const struct vn_clock *clock)
{
        json_t *wrong = json_deep_copy(description);
        struct vn_cloud_account *account;
        struct vn_cloud_list list;

        if (json_object_get(wrong, "profile")) /* one that holds them */
                json_object_set_new(wrong, "profile", json_string("mistaken"));
        else
                json_object_set_new(wrong, "secret_access_key", json_string("wrong"));
        json_object_set_new(wrong, "client_secret", json_string("wrong"));
        if (json_object_get(wrong, "key_json")) { /* a key id that the project does not know */
                VN_AUTO(vn_json)
                key = json_loads(json_string_value(json_object_get(wrong, "key_json")), 0, NULL);
                char *text;

                json_object_set_new(key, "client_email", json_string("nobody@example.iam.gserviceaccount.com"));
                text = json_dumps(key, 0);
                json_object_set_new(wrong, "key_json", json_string(text));
                free(text);
        }
        EXPECT_RC(VN_OK, vn_cloud_account_open(wrong, clock, &account, &err));
        EXPECT_RC(VN_UNAUTHENTICATED, vn_cloud_list(vn_cloud_account_cloud(account), &list, &err));
        EXPECT(!strstr(err.msg, "wrong"), "the secret is in the message: %s", err.msg);
        vn_cloud_account_free(account);
        json_decref(wrong);
}

/* What a cloud says to a request that its policy does not allow. */
static void expect_refused(struct vn_cloud *cloud, enum vn_rc rc)
{
        static const char *const codes[] = {[VN_CLOUD_AWS] = "403 AccessDeniedException",
                                            [VN_CLOUD_AZURE] = "403 AuthorizationFailed",
                                            [VN_CLOUD_GCP] = "403"};

        EXPECT(rc == VN_PERMISSION_DENIED && strstr(err.msg, codes[vn_cloud_kind(cloud)]), "got %s: %s",
               vn_rc_name(rc), err.msg);
}

static void check_reads(struct vn_cloud *cloud, const struct vn_cloud_list *list, const struct vn_clock *clock)
{
        int64_t to_us = vn_now_us(clock), from_us = to_us - VN_US_PER_HOUR;
        struct vn_cloud_minute minutes[120];
        struct vn_cloud_function function;
        struct seen seen = {0};
        size_t count;

        for (size_t i = 0; i < list->count && i < 3; i++)
                EXPECT_RC(VN_OK, vn_cloud_read(cloud, &list->functions[i], &function, &err));
        EXPECT_RC(VN_OK, vn_cloud_logs(cloud, &list->functions[0], from_us, to_us, count_one, &seen, &err));
        EXPECT_RC(VN_OK, vn_cloud_metrics(cloud, &list->functions[0], from_us, to_us, minutes, 120, &count, &err));
        check_prices(cloud);
}

/* Every other operation that the cloud has: what it asks for must be in the level's policy, and, if it changes or calls
 * something, not in a lower one's. An operation that the cloud does not have answers without a request. */
static void check_others(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                         enum vn_permission_level level)
{
        struct vn_cloud_health health;
        struct vn_cloud_split split, after_split;
        struct vn_cloud_function before, after;
        struct vn_cloud_result result;
        enum vn_rc rc = vn_cloud_health(cloud, &health, &err);

        EXPECT(rc == VN_OK || rc == VN_FAILED_PRECONDITION, "health: %s", err.msg);
        rc = vn_cloud_read_split(cloud, function, VN_STR(""), &split, &err);
        EXPECT(rc != VN_PERMISSION_DENIED, "reading the split: %s", err.msg);
        if (rc == VN_OK && level >= VN_MAY_TUNE) {
                rc = vn_cloud_set_split(cloud, function, &split, VN_US_PER_MIN, &after_split, &err);
                EXPECT(rc != VN_PERMISSION_DENIED, "setting the split: %s", err.msg);
        }
        for (unsigned s = VN_SETTING_CONCURRENCY; s <= VN_SETTING_WARM_INSTANCES; s++) {
                EXPECT_RC(VN_OK, vn_cloud_read(cloud, function, &before, &err));
                rc = vn_cloud_change(cloud, &before, (enum vn_cloud_setting)s, 3, VN_US_PER_MIN, &after, &err);
                EXPECT(level == VN_MAY_OBSERVE ? rc != VN_OK : rc != VN_PERMISSION_DENIED, "%s: %s %s",
                       vn_cloud_setting_name((enum vn_cloud_setting)s), vn_rc_name(rc), err.msg);
                if (rc == VN_OK)
                        EXPECT_RC(VN_OK, vn_cloud_change(cloud, &after, (enum vn_cloud_setting)s,
                                                         vn_setting_value(&before, (enum vn_cloud_setting)s),
                                                         VN_US_PER_MIN, &before, &err));
        }
        rc = vn_cloud_invoke_async(cloud, function, VN_STR("1"), &result, &err);
        EXPECT(level < VN_MAY_INVOKE ? rc != VN_OK : rc != VN_PERMISSION_DENIED, "invoking later: %s %s",
               vn_rc_name(rc), err.msg);
        if (rc == VN_OK)
                vn_cloud_result_done(&result);
}

static void check_level(json_t *description, enum vn_permission_level level, const struct vn_clock *clock)
{
        struct vn_cloud_account *account;
        struct vn_cloud_abilities abilities;
        struct vn_cloud_function before, after;
        struct vn_cloud_result result;
        struct vn_cloud_list list;
        struct vn_cloud *cloud;
        size_t at = 0;
        enum vn_rc rc;

        probing = json_string_value(json_object_get(description, "name"));
        EXPECT_RC(VN_OK, vn_cloud_account_open(description, clock, &account, &err));
        cloud = vn_cloud_account_cloud(account);
        EXPECT_RC(VN_OK, vn_cloud_list(cloud, &list, &err));
        check_reads(cloud, &list, clock);
        EXPECT_RC(VN_OK, vn_cloud_abilities(cloud, &list.functions[0], &abilities, &err));
        EXPECT(abilities.level == level && !abilities.refused[0] == (level == VN_MAY_INVOKE), "it may %s, not %s",
               vn_permission_level_name(abilities.level), abilities.refused);
        while (at + 1 < list.count && !list.functions[at].memory_tunable)
                at++;
        EXPECT_RC(VN_OK, vn_cloud_read(cloud, &list.functions[at], &before, &err));
        rc = vn_cloud_change(cloud, &before, VN_SETTING_MEMORY_MB, before.memory_mb == 512 ? 2048 : 512,
                             VN_US_PER_MIN, &after, &err);
        if (level == VN_MAY_OBSERVE)
                expect_refused(cloud, rc);
        else
                EXPECT(rc == VN_OK, "changing: %s", err.msg);
        EXPECT_RC(VN_OK, vn_cloud_read(cloud, &list.functions[at], &after, &err));
        EXPECT((after.memory_mb == before.memory_mb) == (level == VN_MAY_OBSERVE), "%u MB, before %u",
               after.memory_mb, before.memory_mb);
        rc = vn_cloud_invoke(cloud, &list.functions[at], VN_STR("1"), &result, &err);
        if (level < VN_MAY_INVOKE)
                expect_refused(cloud, rc);
        else
                EXPECT(rc == VN_OK && result.http_status == 200, "invoking: %s", err.msg);
        if (rc == VN_OK)
                vn_cloud_result_done(&result);
        check_others(cloud, &list.functions[at], level);
        printf("%s: %s\n", probing, vn_permission_level_name(level));
        vn_cloud_list_done(&list);
        vn_cloud_account_free(account);
}

int main(int argc, char **argv)
{
        static const char *const names[] = {"aws", "azure", "gcp"};
        VN_AUTO(vn_json)
        sim = argc == 2 || argc == 4 ? json_load_file(argv[1], 0, NULL) : NULL;
        const struct vn_clock *clock = NULL;
        enum vn_permission_level level = VN_MAY_OBSERVE;

        signal(SIGPIPE, SIG_IGN);
        if (!sim || vn_clock_from_environment(&clock, &err) != VN_OK ||
            (argc == 4 && !vn_permission_level_parse(vn_str(argv[3]), &level))) {
                fprintf(stderr, "usage: vane-clouds-probe READY-FILE [ACCOUNT LEVEL]\n");
                return 2;
        }
        for (int i = 0; i < 3; i++) {
                json_t *cloud = json_object_get(sim, names[i]), *account;
                size_t at;

                json_array_foreach(json_object_get(cloud, "accounts"), at, account)
                {
                        json_object_set(account, "ca_file", json_object_get(cloud, "ca_file"));
                        json_object_set_new(account, "cloud", json_string(names[i]));
                        if (argc == 2) {
                                check_account(account, clock);
                                if (has_secret(account))
                                        check_wrong_secret(account, clock);
                        } else if (vn_str_eq(vn_json_str(account, "name"), vn_str(argv[2]))) {
                                check_level(account, level, clock);
                        }
                }
        }
        return 0;
}
