/* options.h - what vane-agent is told on its command line.
 * Threads: start-up only. Ownership: texts are those of argv. */
#ifndef VANE_AGENTS_OPTIONS_H
#define VANE_AGENTS_OPTIONS_H

#include "base/err.h"

struct vn_agent_options {
        const char *server;          /* host:port */
        const char *ca_file;         /* the CA that vouches for the server; its fingerprint is in the join token */
        const char *join_token_file; /* needed once; NULL when the state directory has an identity */
        const char *state_dir;
        const char *cloud_config; /* JSON of the cloud account and its credentials */
        bool shuffle_labels;      /* control experiment: trains on permuted labels */
        bool help, version;
};
enum vn_rc vn_agent_options_parse(int argc, char **argv, struct vn_agent_options *ret,
                                  struct vn_err *err) VN_MUST_USE;
extern const char vn_agent_usage[];

#endif
