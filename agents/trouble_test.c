#include "agents/trouble.h"

#include "tests/test.h"

TEST(trouble_keeps_its_beginning_and_the_newest_reason_until_a_success)
{
        struct vn_troubles troubles = {0};
        struct vn_err err;
        VN_IGNORE(vn_fail(&err, VN_UNAVAILABLE, "the connection broke"));
        CHECK(vn_trouble_set(&troubles, VN_WORK_LOGS, &err, 100));
        VN_IGNORE(vn_fail(&err, VN_UNAVAILABLE, "%0300d", 7));
        CHECK(vn_trouble_set(&troubles, VN_WORK_LOGS, &err, 200));
        CHECK(!vn_trouble_set(&troubles, VN_WORK_LOGS, &err, 300));
        CHECK_INT(100, troubles.of[VN_WORK_LOGS].since_us);
        CHECK_INT(VN_TROUBLE_TEXT_BYTES - 1, strlen(troubles.of[VN_WORK_LOGS].text));
        CHECK(!troubles.of[VN_WORK_LIST].since_us);
        VN_IGNORE(
                vn_fail(&err, VN_PERMISSION_DENIED, "aws answered 403 AccessDenied: arn:aws:iam::1:user/x may not"));
        CHECK(vn_trouble_set(&troubles, VN_WORK_LOGS, &err, 400));
        CHECK_TEXT("aws answered 403 AccessDenied", troubles.of[VN_WORK_LOGS].text);
        vn_trouble_clear(&troubles, VN_WORK_LOGS);
        CHECK(!troubles.of[VN_WORK_LOGS].since_us && !troubles.of[VN_WORK_LOGS].text[0]);
}
