/* platform/carried_test.h - reads a data file for the tests: below $VANE_DATA, or from the carried data where that root lacks
 * it (it may hold the file compressed, or not at all). */
#ifndef VANE_PLATFORM_CARRIED_TEST_H
#define VANE_PLATFORM_CARRIED_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/test.h"

static inline void test_read_data(const char *name, struct vn_buf *ret)
{
        struct vn_err err;
        char path[1024];
        const char *carried = getenv("VANE_DATA_DEFAULT");
        *ret = VN_BUF_INIT(1 << 22);
        enum vn_rc rc = vn_file_read(test_data(name), ret, &err);
        if (rc == VN_NOT_FOUND) {
                snprintf(path, sizeof path, "%s/%s", carried ? carried : "tests/data", name);
                rc = vn_file_read(path, ret, &err);
        }
        CHECK_OK(rc);
}

#endif
