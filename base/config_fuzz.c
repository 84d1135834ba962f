/* Any text as a configuration file: refused with a place in it, or a struct within every bound; and a refused one has
 * touched nothing. */
#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct config {
        char name[16];
        uint16_t port;
        uint64_t budget_bytes;
        double share;
        bool on;
};
#define ROW(field, key, type, fallback, low, high)                                                                   \
        VN_CONFIG_ROW(struct config, field, key, type, fallback, low, high, "", RELOAD, "")
static const struct vn_config_row rows[] = {
        ROW(name, "name", TEXT, NULL, 1, 15) ROW(port, "net.port", UINT, "80", 1, 60000)
                ROW(budget_bytes, "net.budget", UINT, "5", 0, 1e15) ROW(share, "share", NUMBER, "0.5", 0, 1)
                        ROW(on, "on", BOOL, "true", 0, 0)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct config config, before;
        struct vn_err err = {.rc = VN_OK};
        memset(&config, 0x5a, sizeof config);
        before = config;
        memset(&before, 0x5a, sizeof before);
        if (vn_config_parse(rows, sizeof rows / sizeof *rows, vn_str_n(data, size), "f", &config, sizeof config,
                            &err) != VN_OK) {
                VN_ASSERT(err.msg[0] && !memcmp(&config, &before, sizeof config));
                return 0;
        }
        VN_ASSERT(memchr(config.name, 0, sizeof config.name) && config.name[0]);
        VN_ASSERT(config.port >= 1 && config.port <= 60000 && config.budget_bytes <= UINT64_C(1000000000000000));
        VN_ASSERT(config.share >= 0 && config.share <= 1);
        return 0;
}
