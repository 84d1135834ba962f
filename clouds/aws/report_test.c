/* REPORT lines: recorded ones, every truncation, and garbled numbers. */
#include "clouds/aws/aws.h"
#include "tests/test.h"

#define COLD                                                                                                         \
        "REPORT RequestId: 8f5d\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: "   \
        "36 MB\t"                                                                                                    \
        "Init Duration: 110.10 ms\t\n"
#define WARM                                                                                                         \
        "REPORT RequestId: 8f5e\tDuration: 2.90 ms\tBilled Duration: 3 ms\tMemory Size: 128 MB\tMax Memory Used: "   \
        "36 MB\t\n"

TEST(report_lines_recorded_on_aws)
{
        struct vn_cloud_invocation cold = {0}, warm = {0};

        CHECK_OK(vn_aws_report_parse(VN_STR(COLD), &cold));
        CHECK_INT(3010, cold.duration_us);
        CHECK_INT(4000, cold.billed_us);
        CHECK_INT(110100, cold.init_us);
        CHECK_INT(128, cold.memory_mb);
        CHECK_INT(36, cold.max_memory_mb);
        CHECK(cold.cold && cold.status == VN_INVOCATION_OK);
        CHECK_OK(vn_aws_report_parse(VN_STR(WARM "XRAY TraceId: 1\tSegmentId: 2\tSampled: true\n"), &warm));
        CHECK(!warm.cold && warm.init_us == 0 && warm.id_hash != cold.id_hash);
}

TEST(report_lines_with_a_status)
{
        struct vn_cloud_invocation got = {0};

        CHECK_OK(vn_aws_report_parse(VN_STR("REPORT RequestId: a\tDuration: 3000.00 ms\tBilled Duration: 3000 "
                                            "ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tStatus: timeout"),
                                     &got));
        CHECK(got.status == VN_INVOCATION_TIMEOUT);
        CHECK_OK(vn_aws_report_parse(VN_STR("REPORT RequestId: a\tDuration: 3.00 ms\tBilled Duration: 3 ms\tMemory "
                                            "Size: 128 MB\tStatus: error\tError Type: Runtime.ExitError"),
                                     &got));
        CHECK(got.status == VN_INVOCATION_ERROR);
        CHECK_OK(vn_aws_report_parse(
                VN_STR("REPORT RequestId: a\tDuration: 3.00 ms\tBilled Duration: 3 ms\tMemory Size: 128 MB\tRestore "
                       "Duration: 500.00 ms\tBilled Restore Duration: 1 ms"),
                &got));
        CHECK(got.cold && got.init_us == 500000);
}

TEST(report_as_json)
{
        struct vn_cloud_invocation got = {0};

        CHECK_OK(vn_aws_report_parse(VN_STR("{\"time\":\"2026\",\"type\":\"platform.report\",\"record\":{"
                                            "\"requestId\":\"r\",\"status\":\"success\",\"metrics\":"
                                            "{\"durationMs\":12.5,\"billedDurationMs\":13,\"memorySizeMB\":256,"
                                            "\"maxMemoryUsedMB\":70,\"initDurationMs\":99}}}"),
                                     &got));
        CHECK_INT(12500, got.duration_us);
        CHECK_INT(256, got.memory_mb);
        CHECK(got.cold && got.status == VN_INVOCATION_OK);
        CHECK_RC(VN_NOT_FOUND, vn_aws_report_parse(VN_STR("{\"type\":\"platform.start\"}"), &got));
        CHECK_RC(VN_DATA_LOSS, vn_aws_report_parse(VN_STR("{\"type\":\"platform.report\",\"record\":{}}"), &got));
        CHECK_RC(VN_DATA_LOSS, vn_aws_report_parse(VN_STR("{\"type\":"), &got));
}

TEST(report_truncated_anywhere_leaves_the_record_alone)
{
        for (size_t n = 0; n < strlen(COLD); n++) {
                struct vn_cloud_invocation got = {.duration_us = -7};
                enum vn_rc rc = vn_aws_report_parse(vn_str_n(COLD, n), &got);

                CHECK(rc == VN_OK || rc == VN_NOT_FOUND || rc == VN_DATA_LOSS);
                CHECK(rc == VN_OK || got.duration_us == -7);
                CHECK(rc != VN_OK || (got.memory_mb > 0 && got.id_hash));
        }
}

TEST(report_garbled_numbers_are_refused)
{
        static const char *const lines[] = {
                "REPORT RequestId: a\tDuration: -1 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB",
                "REPORT RequestId: a\tDuration: 1e400 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB",
                "REPORT RequestId: a\tDuration: nan ms\tBilled Duration: 4 ms\tMemory Size: 128 MB",
                "REPORT RequestId: a\tDuration: 3 s\tBilled Duration: 4 ms\tMemory Size: 128 MB",
                "REPORT RequestId: a\tDuration: 3 ms\tBilled Duration: 99999999999 ms\tMemory Size: 128 MB",
                "REPORT RequestId: a\tDuration: 3 ms\tBilled Duration: 4 ms\tMemory Size: big MB",
                "REPORT Duration: 3 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB",
                "REPORT RequestId: a\tDuration: 3 ms\tMemory Size: 128 MB",
                "REPORT ",
        };
        struct vn_cloud_invocation got = {0};

        for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
                CHECK_RC(VN_DATA_LOSS, vn_aws_report_parse(vn_str(lines[i]), &got));
        CHECK_RC(VN_NOT_FOUND, vn_aws_report_parse(VN_STR("START RequestId: a"), &got));
        CHECK_RC(VN_NOT_FOUND, vn_aws_report_parse(VN_STR(""), &got));
}
