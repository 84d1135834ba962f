/* data.c - see data.h. */
#include "sim/data.h"

#include <stdio.h>
#include <zlib.h>

#define MAX_FILE_BYTES (64u << 20)

static enum vn_rc read_gz(const char *path, struct vn_buf *ret, struct vn_err *err)
{
        gzFile file = gzopen(path, "rb");
        char chunk[16384];
        int n;
        if (!file)
                return vn_fail(err, VN_NOT_FOUND, "%s: cannot be opened", path);
        while ((n = gzread(file, chunk, sizeof chunk)) > 0 && vn_buf_add(ret, chunk, (size_t)n)) {
        }
        gzclose(file);
        if (n < 0)
                return vn_fail(err, VN_DATA_LOSS, "%s: broken compression", path);
        return vn_buf_check(ret, err);
}

static enum vn_rc read_either(const char *root, const char *name, struct vn_buf *ret, struct vn_err *err)
{
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", root, name);
        enum vn_rc rc = vn_file_read(path, ret, err);
        if (rc != VN_NOT_FOUND)
                return rc;
        snprintf(path, sizeof path, "%s/%s.gz", root, name);
        return read_gz(path, ret, err);
}

enum vn_rc vn_sim_data_read(const char *root, const char *carried, struct vn_sim_data *ret, struct vn_err *err)
{
        static const char *const names[6] = {"azure-functions/azure2019-500/invocations.csv",
                                             "azure-functions/azure2019-500/durations.csv",
                                             "azure-functions/azure2019-500/memory.csv",
                                             "prices/functions.csv",
                                             "prices/aws_lambda_volume_tiers.csv",
                                             "prices/egress_internet.csv"};
        memset(ret, 0, sizeof *ret);
        for (int i = 0; i < 6; i++) {
                ret->text[i] = VN_BUF_INIT(MAX_FILE_BYTES);
                enum vn_rc rc = read_either(root && root[0] ? root : carried, names[i], &ret->text[i], err);
                if (rc == VN_NOT_FOUND)
                        rc = read_either(carried, names[i], &ret->text[i], err);
                if (rc != VN_OK) {
                        vn_sim_data_done(ret);
                        return rc;
                }
        }
        ret->texts = (struct vn_sim_texts){vn_buf_view(&ret->text[0]), vn_buf_view(&ret->text[1]),
                                           vn_buf_view(&ret->text[2]), vn_buf_view(&ret->text[3]),
                                           vn_buf_view(&ret->text[4]), vn_buf_view(&ret->text[5])};
        return VN_OK;
}

void vn_sim_data_done(struct vn_sim_data *data)
{
        for (int i = 0; i < 6; i++)
                vn_buf_done(&data->text[i]);
}
