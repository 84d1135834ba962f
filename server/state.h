/* state.h - the server's own records in the keyed tables: protobuf messages of state.proto.
 * Threads: the control loop, and start-up. Ownership: callers free what they load with the message's own function. */
#ifndef VANE_SERVER_STATE_H
#define VANE_SERVER_STATE_H

#include <protobuf-c/protobuf-c.h>

#include "store/store.h"

/* Packs the message into the batch. What does not fit shows when the batch is committed. */
void vn_state_put(struct vn_batch *batch, enum vn_table table, const struct vn_key *key,
                  const ProtobufCMessage *message);
/* Every value of a table under a prefix, unpacked; a value that does not unpack ends the scan with DATA_LOSS. The
 * visitor owns the message. */
typedef enum vn_rc (*vn_state_visit)(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err);
enum vn_rc vn_state_load(struct vn_store *store, enum vn_table table, const ProtobufCMessageDescriptor *descriptor,
                         vn_state_visit visit, void *arg, struct vn_err *err) VN_MUST_USE;
/* Only what lies below a prefix. */
enum vn_rc vn_state_load_below(struct vn_store *store, enum vn_table table, const struct vn_key *prefix,
                               const ProtobufCMessageDescriptor *descriptor, vn_state_visit visit, void *arg,
                               struct vn_err *err) VN_MUST_USE;
/* What a visitor answers: entry NULL is no room for it, which must not look like damage; not good is damage. */
static inline enum vn_rc vn_state_taken(const void *entry, bool good, const char *what, struct vn_err *err)
{
        if (!entry)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: no memory or no room for one more", what);
        return good ? VN_OK : vn_fail(err, VN_DATA_LOSS, "%s is not readable", what);
}
/* For protobuf-c's `char *` fields: never NULL, borrowed. */
static inline char *vn_state_text(const char *text)
{
        union {
                const char *in;
                char *out;
        } cast = {.in = text}; /* protobuf-c packs from char * but does not write to it */
        return cast.out;
}

#endif
