/* vane-gateway-probe: a gateway that does nothing but try. It asks for a grant of one function, calls it with the grant again
 * and again, and prints a JSON object a try: when (monotonic microseconds, before the grant was looked up), with which grant, and
 * what came of it. With each new grant it also tries what the grant must not allow. A test program, not installed.
 *   vane-gateway-probe SERVER CA-FILE TOKEN-FILE ACCOUNT FUNCTION OTHER CLOUD-ENDPOINT CLOUD-CA-FILE SECRET-FILE
 * SECRET-FILE gets what the grants hold, for searching everything else for it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "clouds/call.h"
#include "net/grant_holder.h"

enum argument { SERVER = 1, CA, TOKEN, ACCOUNT, FUNCTION, OTHER, ENDPOINT, CLOUD_CA, SECRETS, ARGUMENT_COUNT };

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
        (void)number;
        stop = 1;
}

struct probe {
        char **argv;
        const struct vn_clock *clock;
        struct vn_cloud_http *http;
};

static enum vn_rc open_aws(struct probe *p, const struct vn_grant_use *use, struct vn_cloud **ret, struct vn_err *err)
{
        const struct vn_cloud_config config = {.kind = VN_CLOUD_AWS,
                                               .region = vn_str(use->region),
                                               .access_key_id = vn_str(use->access_key_id),
                                               .secret_access_key = vn_str(use->secret_access_key),
                                               .session_token = vn_str(use->session_token),
                                               .endpoint = vn_str(p->argv[ENDPOINT])};
        return vn_cloud_open(&config, p->clock, vn_cloud_http_transport(p->http), ret, err);
}

/* The status of one call; 0: none came. */
static int call_aws(struct probe *p, const struct vn_grant_use *use, const char *function, struct vn_err *err)
{
        struct vn_cloud *cloud;
        struct vn_cloud_function which = {.timeout_s = 5};
        struct vn_cloud_result result;
        int status = 0;

        vn_text_copy(which.name, sizeof(which.name), vn_str(function));
        if (open_aws(p, use, &cloud, err) != VN_OK)
                return 0;
        enum vn_rc rc = vn_cloud_invoke(cloud, &which, VN_STR("1"), &result, err);
        if (rc == VN_OK) {
                status = result.http_status;
                vn_cloud_result_done(&result);
        } else if (rc == VN_PERMISSION_DENIED) {
                status = 403;
        }
        vn_cloud_free(cloud);
        return status;
}

/* Grants of the other clouds are a header for an address; another function's differs in its name only. */
static int call_url(struct probe *p, const struct vn_grant_use *use, const char *function, struct vn_err *err)
{
        char url[512], target[512];
        struct vn_cloud_request request = {.method = "POST", .body = VN_STR("1"), .timeout_us = 5 * VN_US_PER_S};
        struct vn_cloud_response response;
        struct vn_str host, path, query;
        const char *from = use->url, *name = p->argv[FUNCTION], *at;
        size_t n = 0;

        while ((at = strstr(from, name)) && n < 300) {
                n += (size_t)snprintf(url + n, sizeof(url) - n, "%.*s%s", (int)(at - from), from, function);
                from = at + strlen(name);
        }
        snprintf(url + n, sizeof(url) - n, "%s", from);
        if (vn_link_split(vn_str(url), &host, &path, &query, err) != VN_OK)
                return 0;
        snprintf(target, sizeof(target), "%s%.*s", p->argv[ENDPOINT], VN_FMT(path.len ? path : VN_STR("/")));
        request.url = target;
        vn_request_header(&request, VN_STR("Host"), host);
        vn_request_header(&request, vn_str(use->header), vn_str(use->value));
        vn_cloud_response_init(&response);
        const struct vn_cloud_transport *transport = vn_cloud_http_transport(p->http);
        int status = transport->send(transport->state, &request, &response, err) == VN_OK ? response.status : 0;
        vn_cloud_response_done(&response);
        return status;
}

static int call(struct probe *p, const struct vn_grant_use *use, const char *function, struct vn_err *err)
{
        return strcmp(use->cloud, "aws") ? call_url(p, use, function, err) : call_aws(p, use, function, err);
}

/* Reading, changing and listing with an AWS grant; elsewhere a grant is no credential of the cloud's API at all. */
static void try_more(struct probe *p, const struct vn_grant_use *use, struct vn_err *err)
{
        struct vn_cloud_function which = {.guard = "1"}, after;
        struct vn_cloud_list list;
        struct vn_cloud *cloud;

        if (strcmp(use->cloud, "aws") || open_aws(p, use, &cloud, err) != VN_OK)
                return;
        vn_text_copy(which.name, sizeof(which.name), vn_str(p->argv[FUNCTION]));
        which.memory_tunable = true;
        which.memory_max_mb = 10240;
        printf("{\"tried\":\"read\",\"rc\":\"%s\"}\n", vn_rc_name(vn_cloud_read(cloud, &which, &after, err)));
        printf("{\"tried\":\"change\",\"rc\":\"%s\"}\n",
               vn_rc_name(vn_cloud_change(cloud, &which, VN_SETTING_MEMORY_MB, 512, VN_US_PER_S, &after, err)));
        printf("{\"tried\":\"list\",\"rc\":\"%s\"}\n", vn_rc_name(vn_cloud_list(cloud, &list, err)));
        vn_cloud_free(cloud);
}

static void new_grant(struct probe *p, const struct vn_grant_use *use, struct vn_err *err)
{
        FILE *secrets = fopen(p->argv[SECRETS], "ae");

        if (secrets) {
                fprintf(secrets, "%s\n", use->value[0] ? use->value : use->secret_access_key);
                if (use->session_token[0])
                        fprintf(secrets, "%s\n", use->session_token);
                fclose(secrets);
        }
        printf("{\"tried\":\"other\",\"status\":%d}\n", call(p, use, p->argv[OTHER], err));
        try_more(p, use, err);
}

static void one_try(struct probe *p, struct vn_grant_holder *holder, char last[17])
{
        struct vn_grant_use use;
        struct vn_err err = {0};
        int64_t at_us = vn_mono_us(vn_clock_real());
        int status = 0;

        if (vn_grant_holder_use(holder, p->argv[ACCOUNT], p->argv[FUNCTION], &use, &err) == VN_OK)
                status = call(p, &use, p->argv[FUNCTION], &err);
        VN_AUTO(vn_json)
        line = json_pack("{s:I, s:s, s:i, s:s}", "at_us", (json_int_t)at_us, "grant", use.id, "status", status, "why",
                         status ? "" : err.msg);
        json_dumpf(line, stdout, JSON_COMPACT);
        putchar('\n');
        if (use.id[0] && strcmp(use.id, last)) {
                memcpy(last, use.id, sizeof(use.id));
                new_grant(p, &use, &err);
        }
        vn_grant_use_done(&use);
}

static enum vn_rc run(struct probe *p, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        ca = VN_BUF_INIT(65536);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(4096);
        VN_AUTO(vn_grpc_channel)
        channel = NULL;
        struct vn_grant_wanted wanted = {p->argv[ACCOUNT], &p->argv[FUNCTION], 1};
        struct vn_grant_holder *holder = NULL;
        const struct timespec pause = {0, 10000000};
        char last[17] = "";

        VN_TRY(vn_clock_from_environment(&p->clock, err));
        VN_TRY(vn_file_read(p->argv[CA], &ca, err));
        VN_TRY(vn_file_read(p->argv[TOKEN], &token, err));
        struct vn_grpc_options options = {
                .target = p->argv[SERVER], .ca_pem = vn_buf_view(&ca), .token = vn_str_trim(vn_buf_view(&token))};
        while (options.token.len && options.token.ptr[options.token.len - 1] == '\n')
                options.token.len--;
        VN_TRY(vn_cloud_http_new(p->argv[CLOUD_CA], &p->http, err));
        VN_TRY(vn_grpc_channel_new(&options, &channel, err));
        VN_TRY(vn_grant_holder_new(&(struct vn_grant_holder_options){channel, p->clock, &wanted, 1}, &holder, err));
        while (!stop) {
                one_try(p, holder, last);
                fflush(stdout);
                nanosleep(&pause, NULL);
        }
        vn_grant_holder_free(holder);
        return VN_OK;
}

int main(int argc, char **argv)
{
        struct probe probe = {.argv = argv};
        struct vn_err err = {0};

        signal(SIGPIPE, SIG_IGN);
        signal(SIGTERM, on_signal);
        signal(SIGINT, on_signal);
        if (argc != ARGUMENT_COUNT) {
                fprintf(stderr, "usage: vane-gateway-probe SERVER CA-FILE TOKEN-FILE ACCOUNT FUNCTION OTHER "
                                "CLOUD-ENDPOINT CLOUD-CA-FILE SECRET-FILE\n");
                return 2;
        }
        enum vn_rc rc = run(&probe, &err);
        vn_cloud_http_free(probe.http);
        if (rc != VN_OK)
                fprintf(stderr, "vane-gateway-probe: %s\n", err.msg);
        return rc != VN_OK;
}
