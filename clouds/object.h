/* object.h - one object into the account's own store: S3, Blob Storage, Cloud Storage.
 * Purpose: what an agent keeps of its account's raw data stays there, written with the account's own credentials.
 * Threads, ownership: as the handle's. Errors: those of cloud.h; NOT_FOUND for a bucket or container that is not there.
 * Writing the same name again replaces the object, so a repeat after a lost answer changes nothing. It is sent once: the
 *   caller waits and repeats. */
#ifndef VANE_CLOUDS_OBJECT_H
#define VANE_CLOUDS_OBJECT_H

#include "clouds/cloud.h"

#define VN_CLOUD_MAX_OBJECT_BYTES (5u << 20)
#define VN_CLOUD_MAX_KEY_BYTES 900

struct vn_cloud_object {
        struct vn_str bucket;  /* container, on azure */
        struct vn_str account; /* azure: the storage account; else empty */
        struct vn_str key;     /* "a/b/c"; any bytes but NUL */
        struct vn_str body;
        const char *content_type;
};
/* *ret_wait_us: how long the service asks to be left alone; 0 if it does not say. */
enum vn_rc vn_cloud_put_object(struct vn_cloud *cloud, const struct vn_cloud_object *object, int64_t *ret_wait_us,
                               struct vn_err *err) VN_MUST_USE;

#endif
