/* vaned - the control plane.
 *
 * This file is the way in. main() is a flat list of x_start() calls; their order is the order of dependence, with a
 * comment where it matters, and stopping is the same list backwards. docs/tour.md walks one call and one training
 * round through the code from here. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "proto/vane_descriptors.h"
#include "server/audit/backup.h"
#include "server/explain/explain.h"
#include "server/grants/grants.h"
#include "server/http_misc.h"
#include "server/people.h"
#include "server/policy_table.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/observing.h"
#include "server/registry/pki.h"
#include "server/registry/registry.h"
#include "server/retention.h"
#include "server/rounds/rounds.h"
#include "server/routing/routing.h"
#include "server/settings.h"
#include "server/telemetry/telemetry.h"
#include "server/tenants.h"
#include "server/ticker.h"
#include "server/tuning/pauses.h"
#include "server/tuning/tuning.h"
#include "server/ui.h"

static enum vn_rc make_state_dir(struct vn_server *server, struct vn_err *err)
{
        if (mkdir(server->config.state_dir, 0700) && errno != EEXIST)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", server->config.state_dir, strerror(errno));
        return VN_OK;
}

static enum vn_rc edge_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_edge *edge = server->edge;
        char host[32];
        vn_edge_set_authenticator(edge, vn_people_authenticate, server);
        VN_TRY(vn_edge_add_methods(edge, vn_api_methods, vn_api_method_count, server, err));
        VN_TRY(vn_edge_set_descriptors(edge, vn_str_n(vane_descriptor_set, vane_descriptor_set_bytes), err));
        VN_TRY(vn_people_add_http(server, err));
        VN_TRY(vn_http_misc_start(server, err));
        VN_TRY(vn_ui_start(server, err));
        /* Plain HTTP is for this machine only, and even here only under these names (DNS rebinding). */
        VN_TRY(vn_edge_listen(edge, "127.0.0.1", server->config.http_port, NULL, &server->http_port, err));
        snprintf(host, sizeof host, "127.0.0.1:%u", server->http_port);
        VN_TRY(vn_edge_allow_host(edge, host, err));
        snprintf(host, sizeof host, "localhost:%u", server->http_port);
        VN_TRY(vn_edge_allow_host(edge, host, err));
        VN_TRY(vn_edge_listen(edge, server->config.https_host, server->config.https_port, server->tls,
                              &server->https_port, err));
        return vn_edge_start(edge, err);
}

static enum vn_rc write_ready(struct vn_server *server, struct vn_err *err)
{
        char path[600];
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(4096);
        snprintf(path, sizeof path, "%s/ready.json", server->config.state_dir);
        vn_buf_printf(&text, "{\"pid\":%d,\"http\":\"http://127.0.0.1:%u\",\"https\":\"https://%s:%u\",\"ca_file\":",
                      (int)getpid(), server->http_port, server->config.https_host, server->https_port);
        vn_buf_json_string(&text, vn_str(vn_pki_ca_file(server->pki)));
        vn_buf_text(&text, "}\n");
        VN_TRY(vn_buf_check(&text, err));
        return vn_file_write_atomic(path, vn_buf_view(&text), 0644, err);
}

static enum vn_rc start(struct vn_server *server, struct vn_err *err)
{
        VN_TRY(make_state_dir(server, err));
        VN_TRY(vn_loop_new("control", &server->control, err));
        VN_TRY(vn_loop_new("reader", &server->reader, err));
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        unsigned loops = server->config.edge_loops ? server->config.edge_loops
                         : cores > 64              ? 64
                         : cores > 0               ? (unsigned)cores
                                                   : 1;
        VN_TRY(vn_edge_new(NULL, loops, &server->edge, err));
        /* The store before everything that remembers; it also refuses a second vaned on the same state. */
        VN_TRY(vn_record_start(server, err));
        /* Whatever else is kept belongs to a tenant. */
        VN_TRY(vn_tenants_start(server, err));
        VN_TRY(vn_pki_start(server, err));
        /* Accounts before people: the auth table holds both. */
        VN_TRY(vn_registry_start(server, err));
        VN_TRY(vn_observing_start(server, err));
        VN_TRY(vn_people_start(server, err));
        VN_TRY(vn_hub_start(server, err));
        VN_TRY(vn_grants_start(server, err));
        VN_TRY(vn_pauses_start(server, err));
        VN_TRY(vn_policy_table_start(server, err));
        VN_TRY(vn_telemetry_start(server, err));
        VN_TRY(vn_rounds_start(server, err));
        VN_TRY(vn_tuning_start(server, err));
        VN_TRY(vn_explain_start(server, err));
        /* Routing reads all of the above to publish its first view. */
        VN_TRY(vn_routing_start(server, err));
        VN_TRY(vn_retention_start(server, err));
        VN_TRY(vn_loop_start(server->reader, err));
        VN_TRY(vn_loop_start(server->control, err));
        VN_TRY(vn_ticker_start(server, err));
        VN_TRY(vn_backups_start(server, err));
        /* Last: from here on there are callers. */
        VN_TRY(edge_start(server, err));
        return write_ready(server, err);
}

/* Tasks go to and fro between loops: those that were under way when the threads ended are carried out here, while all
 * that they touch still stands. */
static void run_left(struct vn_server *server)
{
        bool any = true;
        while (any) {
                any = server->control && vn_loop_run_left(server->control);
                any |= server->reader && vn_loop_run_left(server->reader);
                for (unsigned i = 0; server->edge && i < vn_edge_loop_count(server->edge); i++)
                        any |= vn_loop_run_left(vn_edge_loop(server->edge, i));
        }
}

static void end_loop(struct vn_loop *loop)
{
        if (loop) {
                vn_loop_stop(loop);
                vn_loop_join(loop);
        }
}

static void stop(struct vn_server *server, bool was_ready)
{
        char path[600];
        snprintf(path, sizeof path, "%s/ready.json", server->config.state_dir);
        if (was_ready) /* refused for another vaned on this state: the file is that one's */
                unlink(path);
        /* Before the drain, which waits for a backup's call too. */
        vn_backups_stop(server);
        if (server->edge)
                vn_edge_drain(server->edge, 2000);
        end_loop(server->control);
        end_loop(server->reader);
        for (unsigned i = 0; server->edge && i < vn_edge_loop_count(server->edge); i++)
                end_loop(vn_edge_loop(server->edge, i));
        /* What waits for a commit hears of it on its loop. */
        if (server->store)
                VN_IGNORE(vn_store_flush(server->store, NULL));
        run_left(server);
        server->edge =
                vn_edge_free(server->edge); /* the last calls end, and their handlers undo what they had begun */
        run_left(server);
        vn_backups_free(server);
        vn_ticker_stop(server); /* its timer belongs to the loop: after the loop stands still */
        vn_retention_stop(server);
        vn_routing_stop(server);
        vn_explain_stop(server);
        vn_tuning_stop(server);
        vn_rounds_stop(server);
        vn_telemetry_stop(server);
        vn_policy_table_stop(server);
        vn_pauses_stop(server);
        vn_grants_stop(server);
        vn_hub_stop(server);
        vn_ui_stop(server);
        vn_people_stop(server);
        vn_observing_stop(server);
        vn_registry_stop(server);
        vn_pki_stop(server);
        vn_tenants_stop(server);
        vn_record_stop(server);
        server->reader = vn_loop_free(server->reader);
        server->control = vn_loop_free(server->control);
}

static int usage(FILE *to, int code)
{
        fprintf(to, "usage: vaned --config FILE\n"
                    "       vaned --version\n"
                    "docs/configuration.md explains every key of the file.\n");
        return code;
}

int main(int argc, char **argv)
{
        if (argc == 2 && !strcmp(argv[1], "--version")) {
                printf("vaned %s\n", VANE_VERSION);
                return 0;
        }
        if (argc != 3 || strcmp(argv[1], "--config"))
                return usage(argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr, argc == 2 ? 0 : 2);
        vn_fault_init();
        vn_log_init("vaned", VN_LOG_INFO, VN_LOG_TEXT);
        /* Signals are taken by sigwait below and by no thread that starts later. */
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGHUP);
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
        signal(SIGPIPE, SIG_IGN);

        static struct vn_server server;
        struct vn_err err = {0};
        enum vn_rc rc = vn_settings_load(argv[2], &server.config, &err);
        if (rc == VN_OK)
                rc = vn_clock_from_environment(&server.clock, &err);
        struct vn_server_config last = server.config;
        server.wall = vn_clock_real();
        if (rc == VN_OK) {
                server.settings_file = argv[2];
                server.started_us = vn_now_us(server.clock);
                rc = start(&server, &err);
        }
        if (rc == VN_OK) {
                vn_people_show_links(&server);
                VN_LOG(START, "http=http://127.0.0.1:%u https=https://%s:%u version=%s", server.http_port,
                       server.config.https_host, server.https_port, VANE_VERSION);
                int signal_number = 0;
                do
                        sigwait(&signals, &signal_number);
                while (signal_number == SIGHUP && vn_settings_reload(argv[2], &last, &server));
        } else {
                VN_LOG(FATAL, "%s", err.msg);
        }
        stop(&server, rc == VN_OK);
        return rc == VN_OK ? 0 : 1;
}
