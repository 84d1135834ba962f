#include "server/ui.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/hash.h"
#include "net/openapi.h"
#include "server/api.h"
#include "store/history.h"

#define MAX_FILES 64
#define MAX_FILE_BYTES (4u << 20)
#define CONTENT_SECURITY_POLICY                                                                                      \
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "        \
        "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct ui_file {
        char name[128];
        char etag[24];
        struct vn_buf bytes;
};

struct vn_ui {
        struct ui_file files[MAX_FILES];
        size_t count;
        struct vn_buf openapi;
};

static const char *content_type(const char *name)
{
        static const struct {
                const char *suffix, *type;
        } types[] = {{".html", "text/html; charset=utf-8"},
                     {".js", "text/javascript; charset=utf-8"},
                     {".css", "text/css; charset=utf-8"},
                     {".svg", "image/svg+xml"},
                     {".png", "image/png"},
                     {".ico", "image/x-icon"},
                     {".woff2", "font/woff2"},
                     {".map", "application/json"}};
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
                if (vn_str_ends(vn_str(name), vn_str(types[i].suffix)))
                        return types[i].type;
        return "application/octet-stream";
}

static void reply_file(struct vn_call *call, const struct ui_file *file)
{
        struct vn_http_header headers[] = {{"content-security-policy", CONTENT_SECURITY_POLICY},
                                           {"x-content-type-options", "nosniff"},
                                           {"referrer-policy", "no-referrer"},
                                           {"cross-origin-opener-policy", "same-origin"},
                                           {"cache-control", "no-cache"},
                                           {"etag", file->etag}};
        if (vn_str_eq(vn_call_header(call, "if-none-match"), vn_str(file->etag)))
                vn_http_reply(call, 304, content_type(file->name), VN_STR(""), headers, 6);
        else
                vn_http_reply(call, 200, content_type(file->name), vn_buf_view(&file->bytes), headers, 6);
}

static const struct ui_file *find_file(const struct vn_ui *ui, struct vn_str name)
{
        for (size_t i = 0; i < ui->count; i++)
                if (vn_str_eq(vn_str(ui->files[i].name), name))
                        return &ui->files[i];
        return NULL;
}

static void not_found(struct vn_call *call)
{
        vn_http_reply(call, 404, "application/json",
                      VN_STR("{\"code\":5,\"message\":\"no such page\",\"details\":[]}"), NULL, 0);
}

void vn_ui_page(struct vn_server *server, struct vn_call *call)
{
        const struct ui_file *page = find_file(server->ui, VN_STR("index.html"));
        if (page)
                reply_file(call, page);
        else
                vn_http_reply(call, 200, "text/plain; charset=utf-8",
                              VN_STR("vaned runs, but its pages are not installed (ui_dir).\n"), NULL, 0);
}

/* Files by name; every other path is a page of the application, which routes by itself. */
static void handle_ui(void *context, const struct vn_http_request *request)
{
        struct vn_server *server = context;
        if (!vn_str_eq(request->verb, VN_STR("GET")) && !vn_str_eq(request->verb, VN_STR("HEAD"))) {
                vn_http_reply(request->call, 405, "application/json",
                              VN_STR("{\"code\":12,\"message\":\"GET only\",\"details\":[]}"),
                              &(struct vn_http_header){"allow", "GET, HEAD"}, 1);
                return;
        }
        struct vn_str name = vn_str_n(request->path.ptr + 1, request->path.len - 1);
        const struct ui_file *file = find_file(server->ui, name);
        if (file)
                reply_file(request->call, file);
        else if (vn_str_starts(name, VN_STR("v1/")) || (name.len && memchr(name.ptr, '.', name.len)))
                not_found(request->call);
        else
                vn_ui_page(server, request->call);
}

static void handle_health(void *context, const struct vn_http_request *request)
{
        struct vn_server *server = context;
        struct vn_store_stats stats;
        vn_store_stats(server->store, &stats);
        bool ready = vn_str_eq(request->path, VN_STR("/healthz")) || !stats.read_only;
        vn_http_reply(request->call, ready ? 200 : 503, "text/plain; charset=utf-8",
                      ready ? VN_STR("ok\n") : vn_str(stats.why), NULL, 0);
}

static void handle_openapi(void *context, const struct vn_http_request *request)
{
        struct vn_server *server = context;
        vn_http_reply(request->call, 200, "application/json", vn_buf_view(&server->ui->openapi), NULL, 0);
}

static enum vn_rc load_files(struct vn_server *server, struct vn_err *err)
{
        struct vn_ui *ui = server->ui;
        DIR *dir = server->config.ui_dir[0] ? opendir(server->config.ui_dir) : NULL;
        enum vn_rc rc = VN_OK;
        if (!dir)
                return VN_OK; /* the page then says what is missing */
        for (struct dirent *entry; rc == VN_OK && (entry = readdir(dir));) {
                char path[900];
                if (entry->d_name[0] == '.' || entry->d_type == DT_DIR || ui->count == MAX_FILES)
                        continue;
                struct ui_file *file = &ui->files[ui->count];
                if (!vn_str_copy(file->name, sizeof file->name, vn_str(entry->d_name)))
                        continue;
                file->bytes = VN_BUF_INIT(MAX_FILE_BYTES);
                snprintf(path, sizeof path, "%s/%s", server->config.ui_dir, entry->d_name);
                rc = vn_file_read(path, &file->bytes, err);
                uint8_t digest[32];
                vn_sha256(vn_buf_view(&file->bytes).ptr, file->bytes.len, digest);
                char hex[17];
                vn_hex(digest, 8, hex);
                snprintf(file->etag, sizeof file->etag, "\"%s\"", hex);
                ui->count++;
        }
        closedir(dir);
        return rc;
}

enum vn_rc vn_ui_start(struct vn_server *server, struct vn_err *err)
{
        server->ui = vn_alloc(sizeof *server->ui);
        if (!server->ui)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        server->ui->openapi = VN_BUF_INIT(8u << 20);
        VN_TRY(load_files(server, err));
        VN_TRY(vn_openapi_print(vn_api_methods, vn_api_method_count, "Vane", VANE_VERSION, &server->ui->openapi,
                                err));
        VN_TRY(vn_edge_add_http(server->edge, "/", VN_ACCESS_PUBLIC, handle_ui, server, err));
        VN_TRY(vn_edge_add_http(server->edge, "/healthz", VN_ACCESS_PUBLIC, handle_health, server, err));
        VN_TRY(vn_edge_add_http(server->edge, "/readyz", VN_ACCESS_PUBLIC, handle_health, server, err));
        return vn_edge_add_http(server->edge, "/openapi.json", VN_ACCESS_PUBLIC, handle_openapi, server, err);
}

void vn_ui_stop(struct vn_server *server)
{
        if (!server->ui)
                return;
        for (size_t i = 0; i < server->ui->count; i++)
                vn_buf_done(&server->ui->files[i].bytes);
        vn_buf_done(&server->ui->openapi);
        vn_free(server->ui);
        server->ui = NULL;
}
