/* reflection.h - grpc.reflection.v1 (and v1alpha) on an edge, so that grpcurl lists and calls everything.
 * Threads: filled before the start, then only read. Ownership: the edge's; descriptor sets are copied. */
#ifndef VANE_NET_REFLECTION_H
#define VANE_NET_REFLECTION_H

#include "base/err.h"
#include "base/str.h"

struct vn_edge;
struct vn_reflection;

/* Adds its method rows to the edge (NULL in tests: nowhere), and the descriptors of itself and of the health service. */
enum vn_rc vn_reflection_new(struct vn_edge *edge, struct vn_reflection **ret, struct vn_err *err) VN_MUST_USE;
/* A serialized FileDescriptorSet; files that are known already (by name) are skipped. */
enum vn_rc vn_reflection_add(struct vn_reflection *reflection, struct vn_str set, struct vn_err *err) VN_MUST_USE;
struct vn_reflection *vn_reflection_free(struct vn_reflection *reflection);

/* For tests: the serialized file that defines a name (a file's own name, or a symbol); empty if none does. */
struct vn_str vn_reflection_file(const struct vn_reflection *reflection, struct vn_str name, bool is_symbol);

#endif
