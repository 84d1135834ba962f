/* What agents tell of their calls, in lines and in metrics; and what no agent says, refused. */
#include "server/registry/observing.h"

#include "tests/test.h"
#include "vane/v1/agent.pb-c.h"

static char list[] = "list", metrics[] = "metrics", bad[] = "Li\"st", none[] = "", broken[] = "\xff",
            east[] = "eastus2", west[] = "westus";

struct told {
        Vane__V1__CloudCalls calls[2], *rows[2];
        Vane__V1__CloudUsage usage;
        Vane__V1__WindowReport report;
};

static void tell(struct told *t)
{
        vane__v1__cloud_calls__init(t->rows[0] = &t->calls[0]);
        vane__v1__cloud_calls__init(t->rows[1] = &t->calls[1]);
        vane__v1__cloud_usage__init(&t->usage);
        vane__v1__window_report__init(&t->report);
        t->calls[0].class_ = list;
        t->calls[0].calls = 1204;
        t->calls[1].class_ = metrics;
        t->calls[1].calls = 30;
        t->calls[1].usd = 0.0123;
        t->usage.since_us = INT64_C(1800000000000000);
        t->usage.calls_per_hour = 2000;
        t->usage.left = 1940;
        t->usage.calls = t->rows;
        t->usage.n_calls = 2;
        t->report.cloud_usage = &t->usage;
}

TEST(calls_are_told_in_a_line_and_in_metrics)
{
        struct vn_server server = {0};
        const struct vn_account_entry account = {.id = 7, .tenant = "default", .name = "aws-prod"};
        char calls[VN_OBSERVING_TEXT_BYTES], listed[VN_OBSERVING_TEXT_BYTES];
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(65536);
        struct told t;

        CHECK_OK(vn_observing_start(&server, NULL));
        vn_observing_describe(&server, 7, calls, listed);
        CHECK_TEXT("", calls);
        tell(&t);
        CHECK_OK(vn_observing_calls(&server, &account, &t.report, NULL));
        vn_observing_describe(&server, 7, calls, listed);
        CHECK_TEXT("1,234 calls, 0.0123 USD since 2027-01-15T08:00:00.000Z; budget 2,000/h, 3 % used", calls);
        vn_observing_metrics(&server, &text);
        CHECK(strstr(text.ptr, "\nvane_agent_cloud_api_calls_total{tenant=\"default\",account=\"aws-prod\","
                               "class=\"list\"} 1204\n"));
        CHECK(strstr(text.ptr, "class=\"metrics\"} 0.0123\n"));
        t.report.cloud_usage = NULL; /* an older agent: nothing changes */
        CHECK_OK(vn_observing_calls(&server, &account, &t.report, NULL));
        vn_observing_describe(&server, 7, calls, listed);
        CHECK(strstr(calls, "1,234 calls"));
        vn_observing_stop(&server);
}

TEST(what_no_agent_says_is_refused)
{
        struct vn_server server = {0};
        const struct vn_account_entry account = {.id = 7, .tenant = "default", .name = "aws-prod"};
        struct told t;

        CHECK_OK(vn_observing_start(&server, NULL));
        for (int i = 0; i < 6; i++) {
                tell(&t);
                switch (i) {
                case 0: t.calls[0].class_ = bad; break;
                case 1: t.calls[0].class_ = none; break;
                case 2: t.calls[1].usd = -1; break;
                case 3: t.usage.left = 2001; break;
                case 4: t.usage.calls_per_hour = 0; break;
                case 5: t.usage.n_calls = 13; break;
                }
                CHECK_RC(VN_INVALID_ARGUMENT, vn_observing_calls(&server, &account, &t.report, NULL));
        }
        vn_observing_stop(&server);
}

TEST(a_listing_that_is_not_whole_is_said_with_who_is_missing)
{
        struct vn_server server = {0};
        const struct vn_account_entry account = {.id = 9, .tenant = "default", .name = "azure"};
        char calls[VN_OBSERVING_TEXT_BYTES], listed[VN_OBSERVING_TEXT_BYTES];
        char *places[] = {east, west, east, west, east, west, east, west};
        Vane__V1__InventoryReport report = VANE__V1__INVENTORY_REPORT__INIT;

        CHECK_OK(vn_observing_start(&server, NULL));
        report.unreachable = places;
        report.n_unreachable = 2;
        CHECK_OK(vn_observing_listed(&server, &account, &report, NULL));
        vn_observing_describe(&server, 9, calls, listed);
        CHECK_TEXT("incomplete: no answer from eastus2, westus", listed);
        report.n_unreachable = 8;
        CHECK_OK(vn_observing_listed(&server, &account, &report, NULL));
        vn_observing_describe(&server, 9, calls, listed);
        CHECK(strstr(listed, "westus and 2 more"));
        report.n_unreachable = 0;
        CHECK_OK(vn_observing_listed(&server, &account, &report, NULL));
        vn_observing_describe(&server, 9, calls, listed);
        CHECK_TEXT("incomplete: there is more than one listing may have", listed);
        report.complete = true;
        CHECK_OK(vn_observing_listed(&server, &account, &report, NULL));
        vn_observing_describe(&server, 9, calls, listed);
        CHECK_TEXT("complete", listed);
        places[0] = broken;
        report.n_unreachable = 1;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_observing_listed(&server, &account, &report, NULL));
        vn_observing_stop(&server);
}
