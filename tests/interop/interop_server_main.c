/* interop_server_main.c - vane-interop-server [--loops N] [--tls-dir DIR] [--header-timeout-ms N]: the test service on
 * an edge. Prints one JSON line with its ports and then serves until SIGTERM; with --tls-dir it makes a CA and writes
 * ca.pem there. SIGUSR1 prints the counters. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/tls.h"
#include "net/edge.h"
#include "tests/interop/interop_service.h"

extern const unsigned char interop_descriptor_set[];
extern const unsigned long interop_descriptor_set_bytes;

struct options {
        unsigned loops;
        uint32_t header_timeout_ms;
        const char *tls_dir;
};

static void hello(void *context, const struct vn_http_request *request)
{
        const struct vn_http_header headers[] = {{"ETag", "\"1\""}};
        (void)context;
        vn_http_reply(request->call, 200, "text/plain", VN_STR("hello\n"), headers, 1);
}

static enum vn_rc make_tls(const char *dir, struct vn_tls_server **ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        ca_key = VN_BUF_INIT(8192), ca = VN_BUF_INIT(8192), key = VN_BUF_INIT(8192);
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(8192), cert = VN_BUF_INIT(8192);
        char path[4096];
        const char *names[] = {"localhost", "127.0.0.1"};
        int64_t now_s = time(NULL);
        struct vn_pki_leaf leaf = {names, 2, NULL, true, now_s - 60, now_s + 86400};
        VN_TRY(vn_pki_make_key(&ca_key, err));
        VN_TRY(vn_pki_make_ca(vn_buf_view(&ca_key), "interop", now_s - 60, now_s + 86400, &ca, err));
        VN_TRY(vn_pki_make_key(&key, err));
        VN_TRY(vn_pki_make_csr(vn_buf_view(&key), &csr, err));
        VN_TRY(vn_pki_sign_csr(vn_buf_view(&ca), vn_buf_view(&ca_key), vn_buf_view(&csr), &leaf, &cert, err));
        snprintf(path, sizeof path, "%s/ca.pem", dir);
        VN_TRY(vn_file_write_atomic(path, vn_buf_view(&ca), 0644, err));
        struct vn_str client_ca = vn_buf_view(&ca);
        return vn_tls_server_new(vn_buf_view(&cert), vn_buf_view(&key), &client_ca, ret, err);
}

static enum vn_rc set_up(const struct options *options, struct vn_edge **ret, struct vn_err *err)
{
        struct vn_edge_limits limits;
        struct vn_tls_server *tls = NULL;
        uint16_t port, tls_port = 0;
        vn_edge_limits_default(&limits);
        limits.header_timeout_ms = options->header_timeout_ms;
        VN_TRY(vn_edge_new(&limits, options->loops, ret, err));
        VN_TRY(vn_edge_add_methods(*ret, interop_rows, interop_row_count, NULL, err));
        VN_TRY(vn_edge_add_http(*ret, "/hello", VN_ACCESS_PUBLIC, hello, NULL, err));
        VN_TRY(vn_edge_add_http(*ret, "/", VN_ACCESS_PUBLIC, hello, NULL, err));
        VN_TRY(vn_edge_set_descriptors(*ret, vn_str_n(interop_descriptor_set, interop_descriptor_set_bytes), err));
        VN_TRY(vn_edge_listen(*ret, "127.0.0.1", 0, NULL, &port, err));
        if (options->tls_dir) {
                VN_TRY(make_tls(options->tls_dir, &tls, err));
                enum vn_rc rc = vn_edge_listen(*ret, "127.0.0.1", 0, tls, &tls_port, err);
                vn_tls_server_free(tls);
                VN_TRY(rc);
        }
        VN_TRY(vn_edge_start(*ret, err));
        printf("{\"pid\":%d,\"plain\":%u,\"tls\":%u}\n", (int)getpid(), port, tls_port);
        fflush(stdout);
        return VN_OK;
}

static void print_stats(const struct vn_edge *edge)
{
        struct vn_edge_stats stats;
        const char *comma = "{";
        vn_edge_stats(edge, &stats);
#define VN_EDGE_STAT(name, help)                                                                                     \
        printf("%s\"%s\":%llu", comma, #name, (unsigned long long)stats.name);                                       \
        comma = ",";
#include "net/edge_stats.def"
#undef VN_EDGE_STAT
        printf("}\n");
        fflush(stdout);
}

int main(int argc, char **argv)
{
        struct options options = {.loops = 1, .header_timeout_ms = 10000};
        struct vn_edge *edge = NULL;
        struct vn_err err = {0};
        sigset_t signals;
        int signal_number = 0;
        for (int i = 1; i + 1 < argc; i += 2) {
                uint64_t number = 0;
                VN_IGNORE(vn_str_to_u64(vn_str(argv[i + 1]), &number)); /* --tls-dir is no number */
                if (!strcmp(argv[i], "--loops"))
                        options.loops = (unsigned)number;
                else if (!strcmp(argv[i], "--tls-dir"))
                        options.tls_dir = argv[i + 1];
                else if (!strcmp(argv[i], "--header-timeout-ms"))
                        options.header_timeout_ms = (uint32_t)number;
        }
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
        signal(SIGPIPE, SIG_IGN);
        if (set_up(&options, &edge, &err) != VN_OK) {
                fprintf(stderr, "vane-interop-server: %s\n", err.msg);
                return 1;
        }
        while (!sigwait(&signals, &signal_number) && signal_number == SIGUSR1)
                print_stats(edge);
        vn_edge_drain(edge, 2000);
        print_stats(edge);
        vn_edge_free(edge);
        return 0;
}
