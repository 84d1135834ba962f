/* leave.h - what may leave a cloud account, and to where: one table, asked by the agent before it sends and by vaned on
 * receipt.
 * Purpose: an account has a data class, and may be bound to a region group (residency); vaned stands in one. What leaves
 *   the account is one of the kinds below. Of raw log lines nothing ever leaves, in any class.
 * Threads: pure. */
#ifndef VANE_FEDERATION_LEAVE_H
#define VANE_FEDERATION_LEAVE_H

#include "base/str.h"

enum vn_data_class { VN_DATA_PUBLIC, VN_DATA_INTERNAL, VN_DATA_RESTRICTED, VN_DATA_CLASSES };
const char *vn_data_class_name(enum vn_data_class data_class);
bool vn_data_class_parse(struct vn_str name, enum vn_data_class *ret); /* empty: internal */

enum vn_leaving {
        VN_LEAVING_INVENTORY, /* functions' names, regions and settings */
        VN_LEAVING_WINDOW,    /* counts, sums and the duration sketch of a minute */
        VN_LEAVING_SIZES,     /* a window's sums of request and response bytes */
        VN_LEAVING_UPDATE,    /* of the model */
        VN_LEAVING_RAW_LINE,
        VN_LEAVING_KINDS
};

const char *vn_leaving_name(enum vn_leaving what); /* "inventory", "windows", ... */

#define VN_MAX_RESIDENCY 32
struct vn_leave_rules {
        enum vn_data_class data_class;
        char residency[VN_MAX_RESIDENCY];        /* of the account; empty: not bound */
        char server_residency[VN_MAX_RESIDENCY]; /* empty: vaned does not say where it stands */
};
bool vn_may_leave(const struct vn_leave_rules *rules, enum vn_leaving what);
/* PERMISSION_DENIED that says which rule forbids it. */
enum vn_rc vn_leave_check(const struct vn_leave_rules *rules, enum vn_leaving what, struct vn_err *err) VN_MUST_USE;

#endif
