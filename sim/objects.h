/* sim/objects.h - S3, Blob Storage and Cloud Storage: put, get, head and list of objects, in memory.
 * Purpose: one store behind three wire formats. Each account has one bucket: "vane-logs-NAME" on AWS and GCP; on Azure the
 *   container "vane-logs" of the storage account "vaneNAME" (NAME without its hyphen).
 * Threads: one at a time. Ownership: the world's; lost with it. Bounds: VN_SIM_MAX_OBJECTS and VN_SIM_MAX_OBJECT_BYTES of
 *   all accounts together; beyond them a put answers 503. */
#ifndef VANE_SIM_OBJECTS_H
#define VANE_SIM_OBJECTS_H

#include "sim/world.h"

#define VN_SIM_MAX_OBJECTS 20000
#define VN_SIM_MAX_OBJECT_BYTES (32u << 20)

/* S3 with the account whose key has signed. */
void vn_sim_s3(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
               struct vn_sim_response *response);
/* True if the request is for a storage account, by its host or, as Azurite has it, by the first part of its path. */
bool vn_sim_blob(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);
/* The JSON API, below /storage/v1/ and /upload/storage/v1/. */
bool vn_sim_gcs_path(struct vn_str path);
void vn_sim_gcs(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                struct vn_sim_response *response);

/* --- the store, between these files --- */
struct vn_sim_object {
        uint32_t account;
        char *key;
        char *bytes;
        size_t len;
        char content_type[64];
        char etag[33];
        int64_t modified_us;
        uint64_t generation; /* rises with every put in the world */
};
struct vn_sim_objects *vn_sim_objects_free(struct vn_sim_objects *objects);
void vn_sim_bucket_name(const struct vn_sim *sim, uint32_t account, char ret[64]);
/* NULL if there is no room. An object of the same key is replaced. */
const struct vn_sim_object *vn_sim_object_put(struct vn_sim *sim, uint32_t account, struct vn_str key,
                                              struct vn_str body, struct vn_str content_type);
const struct vn_sim_object *vn_sim_object_get(const struct vn_sim *sim, uint32_t account, struct vn_str key);
/* The first object whose key begins so and comes after `after` (empty: the first of all); NULL: none. In order of keys. */
const struct vn_sim_object *vn_sim_object_next(const struct vn_sim *sim, uint32_t account, struct vn_str prefix,
                                               struct vn_str after);
/* "Tue, 24 Nov 2026 12:00:00 GMT" */
void vn_sim_http_date(int64_t time_us, char ret[40]);
void vn_sim_xml_text(struct vn_buf *ret, struct vn_str text);

#endif
