/* sim/sim_test.h - for the simulator's tests: a world over the carried data with a clock moved by hand, and requests made
 * without a server. */
#ifndef VANE_SIM_SIM_TEST_H
#define VANE_SIM_SIM_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include "sim/aws.h"
#include "sim/azure.h"
#include "sim/control.h"
#include "sim/data.h"
#include "sim/gcp.h"
#include "sim/sigv4.h"
#include "sim/token.h"
#include "tests/test.h"

#define TEST_START_US (INT64_C(1800000000) * VN_US_PER_S)

struct test_sim {
        struct vn_clock_fake clock;
        struct vn_sim *sim;
};
static inline void test_sim_init(struct test_sim *t)
{
        struct vn_sim_data data;
        struct vn_err err;
        const char *carried = getenv("VANE_DATA_DEFAULT");
        vn_clock_fake_init(&t->clock, TEST_START_US);
        CHECK_OK(vn_sim_data_read(getenv("VANE_DATA"), carried ? carried : "tests/data", &data, &err));
        enum vn_rc rc = vn_sim_new(&data.texts, &t->clock.clock, &(struct vn_sim_options){.seed = 5}, &t->sim, &err);
        vn_sim_data_done(&data);
        CHECK_OK(rc);
}
static inline void test_sim_done(struct test_sim *t)
{
        vn_sim_free(t->sim);
}

struct test_header {
        const char *name;
        char value[4096];
};
struct test_request {
        struct test_header headers[16];
        size_t header_count;
        struct vn_sim_request wire;
};
static inline struct vn_str test_header(const void *context, const char *name)
{
        const struct test_request *r = context;
        for (size_t i = 0; i < r->header_count; i++) {
                if (!strcmp(r->headers[i].name, name))
                        return vn_str(r->headers[i].value);
        }
        return VN_STR("");
}
static inline void test_request_init(struct test_request *r, const char *verb, const char *path, const char *query,
                                     const char *body)
{
        memset(r, 0, sizeof *r);
        r->wire = (struct vn_sim_request){.verb = vn_str(verb),
                                          .path = vn_str(path),
                                          .query = vn_str(query),
                                          .body = vn_str(body),
                                          .header = test_header,
                                          .header_context = r};
}
static inline void test_request_header(struct test_request *r, const char *name, const char *value)
{
        struct test_header *h = &r->headers[r->header_count++];
        h->name = name;
        snprintf(h->value, sizeof h->value, "%s", value);
}
static inline const char *test_response_header(const struct vn_sim_response *response, const char *name)
{
        for (size_t i = 0; i < response->header_count; i++) {
                if (!strcmp(response->headers[i].name, name))
                        return response->headers[i].value;
        }
        return "";
}
/* The answer's JSON; the test fails if it is none. */
static inline json_t *test_json(const struct vn_sim_response *response)
{
        static const struct vn_json_limits limits = {.max_bytes = 16u << 20, .max_depth = 30, .max_values = 1000000};
        struct vn_err err;
        json_t *json = NULL;
        CHECK_OK(vn_json_parse(vn_buf_view(&response->body), &limits, &json, &err));
        return json;
}
static inline int64_t test_int(json_t *json, const char *key)
{
        return json_integer_value(json_object_get(json, key));
}
static inline const char *test_text(json_t *json, const char *key)
{
        const char *text = json_string_value(json_object_get(json, key));
        return text ? text : "";
}

#endif
