#include "cli/connect.h"

#include <stdlib.h>

#define MAX_TOKEN_BYTES 1024
#define MAX_CA_BYTES ((size_t)1 << 20)
#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

static const char *setting(const char *flag, const char *variable, const char *fallback)
{
        const char *value = flag ? flag : getenv(variable);
        return value && *value ? value : fallback;
}

enum vn_rc cli_server(const char *url, char ret_target[256], bool *ret_tls, struct vn_err *err)
{
        struct vn_str rest = vn_str(url);

        *ret_tls = vn_str_starts(rest, VN_STR("https://"));
        if (!*ret_tls && !vn_str_starts(rest, VN_STR("http://")))
                return vn_fail(err, VN_INVALID_ARGUMENT, "server: want https://HOST:PORT, got \"%.80s\"", url);
        rest.ptr += *ret_tls ? 8 : 7;
        rest.len -= *ret_tls ? 8 : 7;
        if (vn_str_ends(rest, VN_STR("/")))
                rest.len--;
        if (!rest.len || memchr(rest.ptr, '/', rest.len) || memchr(rest.ptr, '@', rest.len))
                return vn_fail(err, VN_INVALID_ARGUMENT, "server: want https://HOST:PORT, got \"%.80s\"", url);
        if (snprintf(ret_target, 256, "%.*s%s", VN_FMT(rest),
                     memchr(rest.ptr, ':', rest.len) ? ""
                     : *ret_tls                      ? ":443"
                                                     : ":80") >= 256)
                return vn_fail(err, VN_INVALID_ARGUMENT, "server: the name is too long");
        return VN_OK;
}

enum vn_rc cli_connect(const struct cli_input *input, struct vn_grpc_channel **ret, struct vn_err *err)
{
        const char *token_file = setting(input->token_file, "VANE_TOKEN_FILE", NULL);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(MAX_TOKEN_BYTES);
        VN_AUTO(vn_buf)
        ca = VN_BUF_INIT(MAX_CA_BYTES);
        struct vn_grpc_options options = {.target = NULL};
        char target[256];
        bool tls;
        enum vn_rc rc;

        VN_TRY(cli_server(setting(input->server, "VANE_SERVER", "http://127.0.0.1:8420"), target, &tls, err));
        options.target = target;
        if (tls) {
                VN_TRY(vn_file_read(setting(input->ca_file, "VANE_CA_FILE", SYSTEM_CA), &ca, err));
                options.ca_pem = vn_buf_view(&ca);
        }
        if (token_file) {
                VN_TRY(vn_file_read(token_file, &token, err));
                options.token = vn_buf_view(&token);
                while (options.token.len && strchr("\r\n \t", options.token.ptr[options.token.len - 1]))
                        options.token.len--;
        }
        rc = vn_grpc_channel_new(&options, ret, err);
        if (token.ptr)
                explicit_bzero(token.ptr, token.len);
        return rc;
}
