#include "agents/options.h"

#include <string.h>

const char vn_agent_usage[] =
        "usage: vane-agent --server HOST:PORT --ca-file FILE --state DIR --cloud-config FILE\n"
        "                  [--join-token-file FILE]\n"
        "  --server HOST:PORT      where vaned listens (TLS); https://HOST:PORT is the same\n"
        "  --ca-file FILE          PEM of the CA that vouches for vaned\n"
        "  --join-token-file FILE  the single-use token of `vanectl account add`; needed once\n"
        "  --state DIR             keeps key, certificate and progress; made if missing\n"
        "  --cloud-config FILE     JSON object: cloud, region, credentials; see docs/accounts.md\n"
        "  --shuffle-labels        control experiment: train on permuted labels; nothing must be learnt\n"
        "  --help, --version\n";

enum vn_rc vn_agent_options_parse(int argc, char **argv, struct vn_agent_options *ret, struct vn_err *err)
{
        struct vn_agent_options o = {0};
        const struct {
                const char *name;
                const char **text;
                bool *flag;
        } rows[] = {
                {"--server", &o.server, NULL},
                {"--ca-file", &o.ca_file, NULL},
                {"--join-token-file", &o.join_token_file, NULL},
                {"--state", &o.state_dir, NULL},
                {"--cloud-config", &o.cloud_config, NULL},
                {"--shuffle-labels", NULL, &o.shuffle_labels},
                {"--help", NULL, &o.help},
                {"--version", NULL, &o.version},
        };
        for (int i = 1; i < argc; i++) {
                size_t row = 0;
                while (row < sizeof rows / sizeof rows[0] && strcmp(argv[i], rows[row].name))
                        row++;
                if (row == sizeof rows / sizeof rows[0])
                        return vn_fail(err, VN_INVALID_ARGUMENT, "unknown option %.64s", argv[i]);
                if (rows[row].flag) {
                        *rows[row].flag = true;
                        continue;
                }
                if (*rows[row].text || i + 1 == argc)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%s: %s", rows[row].name,
                                       *rows[row].text ? "given twice" : "needs a value");
                *rows[row].text = argv[++i];
        }
        if (!o.help && !o.version && (!o.server || !o.ca_file || !o.state_dir || !o.cloud_config))
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "--server, --ca-file, --state and --cloud-config are needed");
        /* The address is often at hand as the URL of the API: the same listener. */
        if (o.server && !strncmp(o.server, "https://", 8))
                o.server += 8;
        *ret = o;
        return VN_OK;
}
