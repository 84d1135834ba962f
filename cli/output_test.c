#include <stdlib.h>

#include "cli/command.h"
#include "tests/test.h"
#include "vane/v1/control.pb-c.h"

static void check_print(const ProtobufCMessage *m, const char *columns, enum cli_format format, const char *want)
{
        char *text = NULL;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        struct vn_err err;

        CHECK_OK(cli_print(m, columns, format, out, &err));
        fclose(out);
        if (strcmp(want, text)) {
                printf("%s", text);
                free(text);
                test_fail(__FILE__, __LINE__, "want:\n%s", want);
        }
        free(text);
}

static char hostile[] = "a\x1b[31mb", accent[] = "\xc3\xa9t\xc3\xa9", cloud[] = "aws";

static void fill(Vane__V1__ListPausesResponse *r, Vane__V1__Pause *pauses, Vane__V1__Pause **list)
{
        vane__v1__list_pauses_response__init(r);
        for (int i = 0; i < 2; i++) {
                vane__v1__pause__init(&pauses[i]);
                list[i] = &pauses[i];
        }
        pauses[0].scope = cloud;
        pauses[0].reason = accent;
        pauses[0].time_us = INT64_C(1795527252000000);
        pauses[1].scope = accent;
        pauses[1].reason = hostile;
        pauses[1].paused = 1;
        r->n_pauses = 2;
        r->pauses = list;
}

TEST(output_tables_align_and_disarm)
{
        Vane__V1__ListPausesResponse r;
        Vane__V1__Pause pauses[2], *list[2];

        fill(&r, pauses, list);
        check_print(&r.base, "pauses: scope reason paused time_us", CLI_TABLE,
                    "SCOPE  REASON   PAUSED  TIME\n"
                    "aws    \xc3\xa9t\xc3\xa9      false   2026-11-24T13:34:12.000Z\n"
                    "\xc3\xa9t\xc3\xa9    a [31mb  true    -\n");
}

TEST(output_of_one_message)
{
        Vane__V1__DiffPolicyResponse diff = VANE__V1__DIFF_POLICY_RESPONSE__INIT;
        Vane__V1__PolicyChange change = VANE__V1__POLICY_CHANGE__INIT, *changes[] = {&change};
        Vane__V1__CloudStatus status = VANE__V1__CLOUD_STATUS__INIT;

        check_print(&diff.base, "", CLI_YAML, "changes: []\n");
        diff.n_changes = 1;
        diff.changes = changes;
        change.field = cloud;
        check_print(&diff.base, "", CLI_YAML, "changes:\n  - field: \"aws\"\n    before: \"\"\n    after: \"\"\n");
        check_print(&diff.base, "", CLI_JSONL,
                    "{\"changes\":[{\"field\":\"aws\",\"before\":\"\",\"after\":\"\"}]}\n");
        check_print(&diff.base, "", CLI_TABLE, "changes:\n  FIELD  BEFORE  AFTER\n  aws    -       -\n");
        status.cloud = cloud;
        status.cost_usd = 0.1;
        status.routed = 7;
        check_print(&status.base, "", CLI_TABLE,
                    "cloud: aws\naccounts: 0\nonline: 0\nfunctions: 0\nrouted: 7\ncost-usd: 0.1\np95-ms: 0\n");
        check_print(&status.base, "cloud routed", CLI_TABLE, "aws    7\n");
}

static const enum cli_format *format_at_hand;

static enum vn_rc print_list(void)
{
        Vane__V1__ListPausesResponse r;
        Vane__V1__Pause pauses[2], *list[2];
        FILE *out = fopen("/dev/null", "we");
        CHECK(out);
        fill(&r, pauses, list);
        enum vn_rc rc = cli_print(&r.base, "pauses: scope reason paused time_us", *format_at_hand, out, NULL);
        fclose(out);
        return rc;
}

TEST(output_survives_failing_allocations)
{
        static const enum cli_format formats[] = {CLI_TABLE, CLI_JSON, CLI_YAML, CLI_JSONL};
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
                format_at_hand = &formats[i];
                TEST_ALLOC_LOOP(print_list);
        }
}
