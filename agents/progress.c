#include "agents/progress.h"

#include "base/json.h"

#define FILE_MAX (1u << 20)
static const struct vn_json_limits limits = {FILE_MAX, 4, 4096};

static enum vn_rc take_command(const json_t *item, struct vn_command_result *ret, struct vn_err *err)
{
        struct vn_str id, guard, error;
        int64_t memory_mb, done;
        VN_TRY(vn_json_text(item, "id", &id, err));
        VN_TRY(vn_json_text(item, "guard", &guard, err));
        VN_TRY(vn_json_text(item, "error", &error, err));
        VN_TRY(vn_json_i64(item, "memory_mb", &memory_mb, err));
        VN_TRY(vn_json_i64(item, "done", &done, err));
        ret->done = done == 1;
        ret->memory_mb = (uint32_t)memory_mb;
        if (!vn_str_copy(ret->id, sizeof ret->id, id) || !vn_str_copy(ret->guard, sizeof ret->guard, guard) ||
            !vn_str_copy(ret->error, sizeof ret->error, error) || memory_mb < 0 || memory_mb > UINT32_MAX)
                return vn_fail(err, VN_DATA_LOSS, "commands: a value is out of range");
        return VN_OK;
}

static enum vn_rc parse(struct vn_str text, struct vn_progress *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;
        json_t *commands;
        VN_TRY(vn_json_parse(text, &limits, &root, err));
        VN_TRY(vn_json_i64(root, "collected_until_us", &ret->collected_until_us, err));
        VN_TRY(vn_json_array(root, "commands", &commands, err));
        for (size_t i = 0; i < json_array_size(commands); i++) {
                struct vn_command_result result = {0};
                VN_TRY(take_command(json_array_get(commands, i), &result, err));
                vn_progress_remember(ret, &result);
        }
        return VN_OK;
}

enum vn_rc vn_progress_open(const char *state_dir, struct vn_progress *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(FILE_MAX);
        memset(ret, 0, sizeof *ret);
        int n = snprintf(ret->path, sizeof ret->path, "%s/progress.json", state_dir);
        if (n < 0 || (size_t)n >= sizeof ret->path)
                return vn_fail(err, VN_INVALID_ARGUMENT, "--state: the path is too long");
        enum vn_rc rc = vn_file_read(ret->path, &text, err);
        if (rc == VN_NOT_FOUND)
                return VN_OK;
        if (rc == VN_OK)
                rc = parse(vn_buf_view(&text), ret, err);
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "%.150s", ret->path);
}

enum vn_rc vn_progress_save(const struct vn_progress *progress, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(FILE_MAX);
        size_t kept = progress->command_count < VN_MAX_REMEMBERED ? progress->command_count : VN_MAX_REMEMBERED;
        vn_buf_printf(&text, "{\"collected_until_us\":%lld,\"commands\":[", (long long)progress->collected_until_us);
        for (size_t i = 0; i < kept; i++) {
                const struct vn_command_result *c =
                        &progress->commands[(progress->command_count - kept + i) % VN_MAX_REMEMBERED];
                vn_buf_text(&text, i ? ",{\"id\":" : "{\"id\":");
                vn_buf_json_string(&text, vn_str(c->id));
                vn_buf_printf(&text, ",\"done\":%d,\"memory_mb\":%u,\"guard\":", c->done, c->memory_mb);
                vn_buf_json_string(&text, vn_str(c->guard));
                vn_buf_text(&text, ",\"error\":");
                vn_buf_json_string(&text, vn_str(c->error));
                vn_buf_char(&text, '}');
        }
        vn_buf_text(&text, "]}\n");
        VN_TRY(vn_buf_check(&text, err));
        return vn_file_write_atomic(progress->path, vn_buf_view(&text), 0600, err);
}

const struct vn_command_result *vn_progress_find(const struct vn_progress *progress, const char *id)
{
        size_t kept = progress->command_count < VN_MAX_REMEMBERED ? progress->command_count : VN_MAX_REMEMBERED;
        for (size_t i = 0; i < kept; i++)
                if (!strcmp(progress->commands[i].id, id))
                        return &progress->commands[i];
        return NULL;
}

void vn_progress_remember(struct vn_progress *progress, const struct vn_command_result *result)
{
        progress->commands[progress->command_count++ % VN_MAX_REMEMBERED] = *result;
}
