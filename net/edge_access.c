/* edge_access.c - the small questions that a handler asks of its call (service.h). */
#include "net/edge_internal.h"

bool vn_call_over(const struct vn_call *call)
{
        return call->over;
}

struct vn_loop *vn_call_loop(struct vn_call *call)
{
        return call->loop->loop;
}

struct vn_arena *vn_call_arena(struct vn_call *call)
{
        return &call->arena;
}

const struct vn_identity *vn_call_identity(const struct vn_call *call)
{
        return &call->identity;
}

const struct vn_method *vn_call_method(const struct vn_call *call)
{
        return call->entry ? call->entry->row : NULL;
}

void *vn_call_user(const struct vn_call *call)
{
        return call->user;
}

void vn_call_set_user(struct vn_call *call, void *user)
{
        call->user = user;
}

void *vn_call_context(const struct vn_call *call)
{
        return call->entry ? call->entry->context : call->raw ? call->raw->context : NULL;
}

int64_t vn_call_deadline_us(const struct vn_call *call)
{
        return call->deadline_us;
}

struct vn_str vn_call_header(const struct vn_call *call, const char *name)
{
        size_t n = strlen(name);
        for (unsigned i = 0; i < call->header_count; i++)
                if (call->headers[i].name.len == n && !memcmp(call->headers[i].name.ptr, name, n))
                        return call->headers[i].value;
        /* HTTP/2 carries the host as a pseudo-header (RFC 9113, 8.3.1): to a handler it is the same thing. */
        return n == 4 && !memcmp(name, "host", 4) ? call->authority : VN_STR("");
}

struct vn_str vn_call_verb(const struct vn_call *call)
{
        return call->verb;
}

const char *vn_call_peer_uri(const struct vn_call *call)
{
        return call->conn && call->conn->has_peer ? call->conn->peer_uri : NULL;
}

const uint8_t *vn_call_peer_fingerprint(const struct vn_call *call)
{
        return call->conn && call->conn->has_peer ? call->conn->peer_fingerprint : NULL;
}

void vn_call_pause_reading(struct vn_call *call, bool pause)
{
        bool was = call->read_paused;
        call->read_paused = pause;
        if (was && !pause && call->conn && !call->over && call->kind == CALL_GRPC)
                edge_grpc_read_resume(call);
}

nghttp2_nv edge_nv(const char *name, struct vn_str value)
{
        /* nghttp2 copies what is not flagged; the casts only satisfy its non-const fields. */
        return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.ptr, strlen(name), value.len,
                            NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

nghttp2_nv edge_nv_fixed(const char *name, const char *value)
{
        return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}
