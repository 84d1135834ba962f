/* vane-docs - writes docs/configuration.md, docs/metrics.md and docs/log-events.md out of the tables that the programs
 * are made of; with --check it writes nothing and fails if a file says something else.
 * usage: vane-docs [--check] DOCS_DIR */
#include <stddef.h>
#include <stdio.h>

#include "base/log.h"
#include "base/metrics.h"
#include "server/settings.h"

static void configuration(struct vn_buf *out)
{
        vn_buf_text(out,
                    "# vaned's configuration\n\nMade from `server/config.def`: change it there.\n\n"
                    "One YAML file, `vaned --config FILE`. Unknown keys are errors. SIGHUP reads it anew, all or\n"
                    "nothing; keys that change by a restart only must then be as they were.\n\n");
        vn_config_document(vn_settings_rows, vn_settings_row_count, out);
}

static void metrics(struct vn_buf *out)
{
        vn_buf_text(out, "# What /metrics says\n\nMade from `server/metrics.def`, `server/account_metrics.def`, "
                         "`net/edge_stats.def` and `base/metrics.def`: change it there.\n\n"
                         "| metric | type | meaning |\n| --- | --- | --- |\n");
#define VN_ROW(name, type, value, help) vn_buf_printf(out, "| `%s` | %s | %s |\n", name, type, help);
#include "server/metrics.def"
#undef VN_ROW
#define VN_EDGE_STAT(name, help) vn_buf_printf(out, "| `vane_edge_%s_total` | counter | Edge: %s. |\n", #name, help);
#include "net/edge_stats.def"
#undef VN_EDGE_STAT
        vn_buf_text(out, "\nOf each account (labels tenant, account, class; at most 1,000 accounts):\n\n"
                         "| metric | type | meaning |\n| --- | --- | --- |\n");
#define VN_ROW(name, type, value, help) vn_buf_printf(out, "| `%s` | %s | %s |\n", name, type, help);
#include "server/account_metrics.def"
#undef VN_ROW
        vn_buf_text(out, "\nOf every program:\n\n");
        vn_metrics_document(out);
}

static void log_events(struct vn_buf *out)
{
        vn_buf_text(out,
                    "# Log events\n\nMade from `base/log_events.def`: change it there. One line an event on standard "
                    "error:\ntime, level, event, `key=value`. The same event more than 20 times in 10 s is counted, "
                    "not written.\n\n");
        vn_log_document(out);
}

static const struct {
        const char *file;
        void (*write)(struct vn_buf *out);
} pages[] = {{"configuration.md", configuration}, {"metrics.md", metrics}, {"log-events.md", log_events}};

static enum vn_rc do_page(const char *dir, const char *file, const struct vn_buf *want, bool check,
                          struct vn_err *err)
{
        char path[1024];
        VN_AUTO(vn_buf)
        have = VN_BUF_INIT(1 << 20);

        if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
                return vn_fail(err, VN_INVALID_ARGUMENT, "the path is too long");
        if (!check)
                return vn_file_write_atomic(path, vn_buf_view(want), 0644, err);
        VN_TRY(vn_file_read(path, &have, err));
        if (!vn_str_eq(vn_buf_view(want), vn_buf_view(&have)))
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s is out of date: run vane-docs %s", path, dir);
        return VN_OK;
}

int main(int argc, char **argv)
{
        bool check = argc == 3 && !strcmp(argv[1], "--check");
        int bad = 0;

        if (argc != 2 + check) {
                fputs("usage: vane-docs [--check] DOCS_DIR\n", stderr);
                return 2;
        }
        for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
                VN_AUTO(vn_buf)
                text = VN_BUF_INIT(1 << 20);
                struct vn_err err;
                pages[i].write(&text);
                if (vn_buf_check(&text, &err) != VN_OK ||
                    do_page(argv[argc - 1], pages[i].file, &text, check, &err) != VN_OK) {
                        fprintf(stderr, "vane-docs: %s\n", err.msg);
                        bad = 1;
                }
        }
        return bad;
}
