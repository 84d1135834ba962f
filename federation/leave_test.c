#include "federation/leave.h"

#include "tests/test.h"

/* The table once more, as docs/telemetry.md has it: n never, r within the residency, a anywhere. */
TEST(leave_is_what_the_table_says)
{
        static const char *const want[VN_LEAVING_KINDS] = {"arr", "arr", "arn", "arn", "nnn"};
        for (unsigned k = 0; k < VN_LEAVING_KINDS; k++)
                for (unsigned c = 0; c < VN_DATA_CLASSES; c++) {
                        struct vn_leave_rules free_one = {.data_class = (enum vn_data_class)c},
                                              home = {(enum vn_data_class)c, "eu", "eu"},
                                              away = {(enum vn_data_class)c, "eu", "us"},
                                              unknown = {(enum vn_data_class)c, "eu", ""};
                        enum vn_leaving what = (enum vn_leaving)k;
                        CHECK(vn_may_leave(&free_one, what) == (want[k][c] != 'n'));
                        CHECK(vn_may_leave(&home, what) == (want[k][c] != 'n'));
                        CHECK(vn_may_leave(&away, what) == (want[k][c] == 'a'));
                        CHECK(vn_may_leave(&unknown, what) == (want[k][c] == 'a'));
                }
}

TEST(leave_says_which_rule)
{
        struct vn_err err;
        struct vn_leave_rules rules = {VN_DATA_RESTRICTED, "eu", "us"};
        CHECK_RC(VN_PERMISSION_DENIED, vn_leave_check(&rules, VN_LEAVING_SIZES, &err));
        CHECK(strstr(err.msg, "payload sizes") && strstr(err.msg, "restricted"));
        CHECK_RC(VN_PERMISSION_DENIED, vn_leave_check(&rules, VN_LEAVING_WINDOW, &err));
        CHECK(strstr(err.msg, "\"eu\"") && strstr(err.msg, "\"us\""));
        CHECK_OK(vn_leave_check(&(struct vn_leave_rules){0}, VN_LEAVING_WINDOW, &err));
}

TEST(leave_classes_by_name)
{
        enum vn_data_class c;
        CHECK(vn_data_class_parse(VN_STR(""), &c) && c == VN_DATA_INTERNAL);
        CHECK(vn_data_class_parse(VN_STR("restricted"), &c) && c == VN_DATA_RESTRICTED);
        CHECK(!vn_data_class_parse(VN_STR("secret"), &c));
        CHECK_TEXT("public", vn_data_class_name(VN_DATA_PUBLIC));
}
