/* trouble.h - what does not work between the agent and its cloud just now, since when and why.
 * Purpose: told to the server with every report, so that `vanectl account show` says it. An entry goes with the first success.
 * Threads: the agent's main thread. Ownership: plain values. Bounds: one entry a kind of work. */
#ifndef VANE_AGENTS_TROUBLE_H
#define VANE_AGENTS_TROUBLE_H

#include "base/err.h"

enum vn_work { VN_WORK_LIST, VN_WORK_LOGS, VN_WORK_LINES, VN_WORK_PRICES, VN_WORK_ABILITIES, VN_WORK_COUNT };
const char *vn_work_name(enum vn_work work); /* "listing functions", ... */

#define VN_TROUBLE_TEXT_BYTES 200
struct vn_trouble {
        int64_t since_us; /* 0: none */
        char text[VN_TROUBLE_TEXT_BYTES];
};
struct vn_troubles {
        struct vn_trouble of[VN_WORK_COUNT];
};
/* Keeps the time of the first of several failures in a row, and the newest text. True if the text is a new one. */
bool vn_trouble_set(struct vn_troubles *troubles, enum vn_work work, const struct vn_err *err, int64_t now_us);
void vn_trouble_clear(struct vn_troubles *troubles, enum vn_work work);

#endif
