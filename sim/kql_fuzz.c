/* Any text as a log query: it ends, answers the same twice, and an answer is one table. */
#include "sim/kql.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct vn_kql_column columns[] = {
                {"T", VN_KQL_TIME}, {"Name", VN_KQL_TEXT}, {"Ms", VN_KQL_REAL}, {"N", VN_KQL_LONG}};
        struct vn_kql_value rows[12] = {0};
        for (int i = 0; i < 3; i++) {
                rows[4 * i].integer = INT64_C(1700000000000000) + i;
                rows[4 * i + 1].text = VN_STR("fn-00");
                rows[4 * i + 2].number = 1.5 * i;
        }
        const struct vn_kql_table table = {columns, 4, rows, 3};
        struct vn_err err;
        json_t *a = NULL, *b = NULL;
        enum vn_rc rc = vn_kql_run(vn_str_n(data, size), "Log", &table, INT64_C(1700000000000009), &a, &err);
        VN_ASSERT(rc == vn_kql_run(vn_str_n(data, size), "Log", &table, INT64_C(1700000000000009), &b, &err));
        VN_ASSERT((rc == VN_OK) == (a != NULL) && json_equal(a, b) == (rc == VN_OK));
        VN_ASSERT(rc != VN_OK || json_array_size(json_object_get(a, "tables")) == 1);
        json_decref(a);
        json_decref(b);
        return 0;
}
