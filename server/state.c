#include "server/state.h"

#define SCAN_STEP 500

void vn_state_put(struct vn_batch *batch, enum vn_table table, const struct vn_key *key,
                  const ProtobufCMessage *message)
{
        size_t n = protobuf_c_message_get_packed_size(message);
        uint8_t *bytes = vn_alloc(n ? n : 1);
        struct vn_key failed = {.failed = true};
        if (!bytes) {
                vn_batch_put(batch, table, &failed, vn_str_n("", 0)); /* the batch reports it */
                return;
        }
        protobuf_c_message_pack(message, bytes);
        vn_batch_put(batch, table, key, vn_str_n(bytes, n));
        vn_free(bytes);
}

struct load {
        const ProtobufCMessageDescriptor *descriptor;
        vn_state_visit visit;
        void *arg;
        struct vn_err *err;
        enum vn_rc rc;
        struct vn_key last;
        size_t count;
};

static bool load_one(void *arg, struct vn_str key, struct vn_str value)
{
        struct load *load = arg;
        union {
                const char *in;
                const uint8_t *out;
        } bytes = {.in = value.ptr};
        ProtobufCMessage *message = protobuf_c_message_unpack(load->descriptor, NULL, value.len, bytes.out);
        load->count++;
        load->last.len = (uint16_t)key.len;
        memcpy(load->last.bytes, key.ptr, key.len);
        load->rc = message ? load->visit(load->arg, key, message, load->err)
                           : vn_fail(load->err, VN_DATA_LOSS, "%s: a stored value does not unpack",
                                     load->descriptor->name);
        return load->rc == VN_OK;
}

enum vn_rc vn_state_load(struct vn_store *store, enum vn_table table, const ProtobufCMessageDescriptor *descriptor,
                         vn_state_visit visit, void *arg, struct vn_err *err)
{
        struct vn_key all = {0};
        return vn_state_load_below(store, table, &all, descriptor, visit, arg, err);
}

enum vn_rc vn_state_load_below(struct vn_store *store, enum vn_table table, const struct vn_key *prefix,
                               const ProtobufCMessageDescriptor *descriptor, vn_state_visit visit, void *arg,
                               struct vn_err *err)
{
        struct load load = {.descriptor = descriptor, .visit = visit, .arg = arg, .err = err};
        for (;;) {
                load.count = 0;
                struct vn_key after = load.last;
                VN_TRY(vn_store_scan(store, table, prefix, after.len ? &after : NULL, SCAN_STEP, load_one, &load,
                                     err));
                if (load.rc != VN_OK || load.count < SCAN_STEP)
                        return load.rc;
        }
}
