/* wire_test.h - a transport for tests that answers from a script and keeps what it was asked. */
#ifndef VANE_CLOUDS_WIRE_TEST_H
#define VANE_CLOUDS_WIRE_TEST_H

#include "clouds/call.h"
#include "tests/test.h"

struct wire_step {
        const char *expect;  /* "METHOD url-part": both must match; NULL: anything */
        int status;          /* 0: the connection breaks */
        const char *headers; /* "name: value\n" lines, NULL for none */
        const char *body;
};
#define WIRE_MAX_ASKED 40
struct wire {
        struct vn_cloud_transport transport;
        const struct wire_step *steps;
        size_t count, at;
        int64_t slept_us;
        char asked[WIRE_MAX_ASKED][4096]; /* method, URL, headers and body as text */
};
void wire_init(struct wire *wire, const struct wire_step *steps, size_t count);
#define WIRE_INIT(wire, steps) wire_init(wire, steps, sizeof(steps) / sizeof((steps)[0]))
/* Handles on a fake clock at 2026-11-24T12:00:00Z. */
extern struct vn_clock_fake wire_clock;
extern bool wire_may_fail; /* opening may give NULL: allocations fail */
struct vn_cloud *wire_aws(struct wire *wire);
struct vn_cloud *wire_aws_without_keys(struct wire *wire, const char *profile); /* NULL: none named */
struct vn_cloud *wire_azure(struct wire *wire);
struct vn_cloud *wire_gcp(struct wire *wire);
const char *wire_gcp_key(void); /* a fresh RSA key file, made once */
void wire_check_done(const struct wire *wire);

#endif
