#include "server/settings.h"

#include <stddef.h>
#include <stdio.h>

#include "base/log.h"

const struct vn_config_row vn_settings_rows[] = {
#define VN_CONFIG(field, key, type, ...) VN_CONFIG_ROW(struct vn_server_config, field, key, type, __VA_ARGS__)
#include "server/config.def"
#undef VN_CONFIG
};
const size_t vn_settings_row_count = sizeof vn_settings_rows / sizeof vn_settings_rows[0];

enum vn_rc vn_settings_load(const char *path, struct vn_server_config *ret, struct vn_err *err)
{
        return vn_config_read(vn_settings_rows, vn_settings_row_count, path, ret, sizeof *ret, err);
}

struct publish {
        struct vn_task task;
        struct vn_server *server;
        struct vn_server_config config;
};

static void publish_run(struct vn_task *task)
{
        struct publish *p = (struct publish *)task;
        /* What holds from the start stays untouched: other threads read it without asking. */
        for (size_t i = 0; i < vn_settings_row_count; i++) {
                const struct vn_config_row *row = &vn_settings_rows[i];
                if (row->when == VN_CONFIG_RELOAD)
                        memcpy((char *)&p->server->config + row->offset, (const char *)&p->config + row->offset,
                               row->bytes);
        }
        vn_free(p);
}

bool vn_settings_reload(const char *path, struct vn_server_config *last, struct vn_server *server)
{
        struct vn_err err;
        struct publish *p = vn_alloc(sizeof *p);
        if (!p)
                return true;
        p->task.run = publish_run;
        p->server = server;
        if (vn_config_reload(vn_settings_rows, vn_settings_row_count, path, last, sizeof *last, &err) != VN_OK) {
                VN_LOG(CONFIG_REFUSED, "%s", err.msg);
                vn_free(p);
        } else {
                p->config = *last;
                vn_loop_post(server->control, &p->task);
                VN_LOG(CONFIG_RELOADED, "file=%s", path);
        }
        return true;
}
