/* sim/wire.h - one request and its answer, as the simulator's handlers see them, whatever carried them.
 * Purpose: handlers are plain functions from request to response, so that tests call them without a server.
 * Threads: one at a time (the simulator runs on one edge loop). Ownership: a request borrows; a response owns its
 *   texts (vn_sim_response_done). Limits: bodies as the edge takes them, answers VN_MAX_SIM_BODY_BYTES. */
#ifndef VANE_SIM_WIRE_H
#define VANE_SIM_WIRE_H

#include <jansson.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define VN_MAX_SIM_BODY_BYTES (16u << 20)
#define VN_MAX_SIM_HEADERS 16

struct vn_sim_request {
        struct vn_str verb;
        struct vn_str path;  /* decoded once */
        struct vn_str query; /* as sent */
        struct vn_str body;
        struct vn_str (*header)(const void *context, const char *name); /* lower-case name; empty if absent */
        const void *header_context;
};
struct vn_str vn_sim_header(const struct vn_sim_request *request, const char *name);

struct vn_sim_response {
        int status;
        char content_type[64];
        struct vn_buf body;
        struct {
                const char *name; /* a literal */
                char *value;
        } headers[VN_MAX_SIM_HEADERS];
        size_t header_count;
        const char
                *real_url; /* where the function really runs: ask there, then call the handler again (sim/call.h) */
};
void vn_sim_response_init(struct vn_sim_response *response);
void vn_sim_response_done(struct vn_sim_response *response);
/* Copies the value; a header that does not fit or for which there is no memory is left out. */
void vn_sim_set_header(struct vn_sim_response *response, const char *name, const char *value);
/* Takes the JSON; NULL (out of memory) answers 500. */
void vn_sim_json(struct vn_sim_response *response, int status, json_t *body);
void vn_sim_text(struct vn_sim_response *response, int status, const char *content_type, const char *text);

/* The decoded value of a query or form parameter; false if absent. Empty values count as present. */
bool vn_sim_param(struct vn_str query, const char *name, struct vn_buf *ret);
/* The same as a number; `absent` if not there, INVALID_ARGUMENT if it is no number in the range. */
enum vn_rc vn_sim_param_u64(struct vn_str query, const char *name, uint64_t absent, uint64_t max,
                            uint64_t *ret) VN_MUST_USE;
/* The request's body as a JSON object; an empty body is an empty object. */
enum vn_rc vn_sim_body(const struct vn_sim_request *request, json_t **ret, struct vn_err *err) VN_MUST_USE;
/* Cuts the path into at most `max` parts at '/', without the leading one; returns how many there are (more than max
 * when they do not fit). */
size_t vn_sim_path_parts(struct vn_str path, struct vn_str *ret, size_t max);
/* Absolute address of this server as the caller named it: "https://host:port". */
void vn_sim_own_address(const struct vn_sim_request *request, struct vn_buf *ret);
/* A number of 16 random-looking but repeatable hex digits a group: a UUID of a hash. */
void vn_sim_uuid(uint64_t hash, char ret[40]);
/* "2026-11-24T13:34:12.000+0000" and the like are made by hand where a cloud wants it; this one is RFC 3339. */
json_t *vn_sim_time(int64_t time_us);

#endif
