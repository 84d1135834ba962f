/* probe.h - how the probes (test programs, not installed) say what they did not expect: one line, and exit 1.
 * Threads: one. `probing` is what is looked at just now: an account, a step. */
#ifndef VANE_CLOUDS_PROBE_H
#define VANE_CLOUDS_PROBE_H

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

static const char *probing = "";
static struct vn_err err;

#define EXPECT(condition, ...)                                                                                       \
        do {                                                                                                         \
                if (!(condition)) {                                                                                  \
                        fprintf(stderr, "%s:%d: %s: %s: ", __FILE__, __LINE__, probing, #condition);                 \
                        fprintf(stderr, __VA_ARGS__);                                                                \
                        fprintf(stderr, "\n");                                                                       \
                        exit(1);                                                                                     \
                }                                                                                                    \
        } while (0)
#define EXPECT_RC(want, expression)                                                                                  \
        do {                                                                                                         \
                struct vn_err *shown_ = &err;                                                                        \
                err.msg[0] = '\0';                                                                                   \
                enum vn_rc got_ = (expression);                                                                      \
                EXPECT(got_ == (want), "got %s: %s", vn_rc_name(got_), shown_->msg);                                 \
        } while (0)

#endif
