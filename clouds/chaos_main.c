/* vane-clouds-chaos ACCOUNT-FILE CHANGES: changes the memory of the account's first tunable function again and again, through
 * whatever stands between. A test program (tests/scenarios/chaos.py), not installed. Prints a JSON line for each change asked
 * for: from_us, to_us (real time), memory_mb, rc, reason. Reads until one succeeds, for at most two minutes. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clouds/account.h"
#include "clouds/call.h"

static int64_t real_us(void)
{
        return vn_now_us(vn_clock_real());
}

static struct vn_err last;

static bool find_tunable(struct vn_cloud *cloud, struct vn_cloud_function *ret)
{
        struct vn_cloud_list list;

        if (vn_cloud_list(cloud, &list, &last) != VN_OK)
                return false;
        for (size_t i = 0; i < list.count && !ret->name[0]; i++)
                if (list.functions[i].memory_tunable)
                        *ret = list.functions[i];
        vn_cloud_list_done(&list);
        return ret->name[0] != '\0';
}

static bool until(bool (*try_once)(struct vn_cloud *cloud, struct vn_cloud_function *f), struct vn_cloud *cloud,
                  struct vn_cloud_function *f)
{
        int64_t end_us = real_us() + 2 * VN_US_PER_MIN;

        while (!try_once(cloud, f)) {
                if (real_us() > end_us) {
                        fprintf(stderr, "vane-clouds-chaos: %s\n", last.msg);
                        return false;
                }
                nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        }
        return true;
}

static bool read_once(struct vn_cloud *cloud, struct vn_cloud_function *f)
{
        struct vn_cloud_function got;

        if (vn_cloud_read(cloud, f, &got, &last) != VN_OK || got.busy)
                return false;
        *f = got;
        return true;
}

static uint32_t other_size(const struct vn_cloud_function *f, int n)
{
        static const uint32_t sizes[] = {512, 2048, 4096};
        uint32_t wanted = sizes[n % 3];

        return wanted == f->memory_mb ? sizes[(n + 1) % 3] : wanted;
}

int main(int argc, char **argv)
{
        struct vn_cloud_account *account;
        struct vn_cloud_function f = {.name = ""};
        const struct vn_clock *clock;
        struct vn_err err;
        struct vn_cloud *cloud;

        signal(SIGPIPE, SIG_IGN);
        if (argc != 3 || vn_clock_from_environment(&clock, &err) != VN_OK ||
            vn_cloud_account_open_file(argv[1], clock, &account, &err) != VN_OK) {
                fprintf(stderr, "usage: vane-clouds-chaos ACCOUNT-FILE CHANGES: %s\n", argc == 3 ? err.msg : "");
                return 2;
        }
        cloud = vn_cloud_account_cloud(account);
        if (!until(find_tunable, cloud, &f))
                return 1;
        for (int n = 0; n < strtol(argv[2], NULL, 10); n++) {
                struct vn_cloud_function after;
                int64_t from_us;
                uint32_t wanted;
                enum vn_rc rc;

                if (!until(read_once, cloud, &f))
                        return 1;
                wanted = other_size(&f, n);
                from_us = real_us();
                err.msg[0] = '\0';
                rc = vn_cloud_change(cloud, &f, VN_SETTING_MEMORY_MB, wanted, 20 * VN_US_PER_S, &after, &err);
                json_t *line = json_pack("{s:I, s:I, s:i, s:s, s:s, s:s}", "from_us", (json_int_t)from_us, "to_us",
                                         (json_int_t)real_us(), "memory_mb", (int)wanted, "rc", vn_rc_name(rc),
                                         "reason", rc == VN_OK ? "" : err.msg, "function", f.name);
                VN_ASSERT(line && json_dumpf(line, stdout, JSON_COMPACT) == 0 && putchar('\n') &&
                          fflush(stdout) == 0);
                json_decref(line);
        }
        vn_cloud_account_free(account);
        return 0;
}
