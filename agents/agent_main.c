/* vane-agent - runs beside one cloud account. See agents/README.md; agent.c is the loop. */
#include <stdio.h>
#include <unistd.h>

#include "agents/agent.h"
#include "base/fault.h"
#include "base/log.h"

#define STOP_PATIENCE_S 5

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
        (void)number;
        stopping = 1;
        alarm(STOP_PATIENCE_S);
}

/* A call to a server or cloud that has gone may wait longer than whoever stops us. What lies on disk is whole at every
 * instant, so there is nothing to wait for. */
static void on_alarm(int number)
{
        (void)number;
        _exit(0);
}

int main(int argc, char **argv)
{
        struct vn_agent_options options;
        struct vn_err err = {0};
        vn_fault_init();
        vn_log_init("vane-agent", VN_LOG_INFO, VN_LOG_TEXT);
        if (vn_agent_options_parse(argc, argv, &options, &err) != VN_OK) {
                fprintf(stderr, "vane-agent: %s\n%s", err.msg, vn_agent_usage);
                return 2;
        }
        if (options.help || options.version) {
                fputs(options.help ? vn_agent_usage : "vane-agent " VANE_VERSION "\n", stdout);
                return 0;
        }
        struct sigaction action = {.sa_handler = on_signal};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        struct sigaction enough = {.sa_handler = on_alarm};
        sigaction(SIGALRM, &enough, NULL);
        signal(SIGPIPE, SIG_IGN);
        if (vn_agent_run(&options, &stopping, &err) != VN_OK) {
                VN_LOG(FATAL, "%s", err.msg);
                return 1;
        }
        return 0;
}
