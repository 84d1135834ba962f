#include "federation/leave.h"

enum where { NEVER, RESIDENCY, ANYWHERE };
static const enum where table[VN_LEAVING_KINDS][VN_DATA_CLASSES] = {
        /*                        public     internal   restricted */
        [VN_LEAVING_INVENTORY] = {ANYWHERE, RESIDENCY, RESIDENCY},
        [VN_LEAVING_WINDOW] = {ANYWHERE, RESIDENCY, RESIDENCY},
        [VN_LEAVING_SIZES] = {ANYWHERE, RESIDENCY, NEVER},
        [VN_LEAVING_UPDATE] = {ANYWHERE, RESIDENCY, NEVER},
        [VN_LEAVING_RAW_LINE] = {NEVER, NEVER, NEVER},
};
static const char *const class_names[] = {"public", "internal", "restricted"};
static const char *const kind_names[] = {"inventory", "windows", "payload sizes", "model updates", "raw log lines"};

const char *vn_data_class_name(enum vn_data_class data_class)
{
        return class_names[data_class];
}

const char *vn_leaving_name(enum vn_leaving what)
{
        return kind_names[what];
}

bool vn_data_class_parse(struct vn_str name, enum vn_data_class *ret)
{
        *ret = VN_DATA_INTERNAL;
        if (!name.len)
                return true;
        for (unsigned i = 0; i < VN_DATA_CLASSES; i++)
                if (vn_str_eq(name, vn_str(class_names[i]))) {
                        *ret = (enum vn_data_class)i;
                        return true;
                }
        return false;
}

bool vn_may_leave(const struct vn_leave_rules *rules, enum vn_leaving what)
{
        switch (table[what][rules->data_class]) {
        case NEVER: return false;
        case RESIDENCY: return !rules->residency[0] || !strcmp(rules->residency, rules->server_residency);
        case ANYWHERE: break;
        }
        return true;
}

enum vn_rc vn_leave_check(const struct vn_leave_rules *rules, enum vn_leaving what, struct vn_err *err)
{
        if (vn_may_leave(rules, what))
                return VN_OK;
        if (table[what][rules->data_class] == NEVER)
                return vn_fail(err, VN_PERMISSION_DENIED, "%s may not leave an account of class %s", kind_names[what],
                               vn_data_class_name(rules->data_class));
        return vn_fail(err, VN_PERMISSION_DENIED,
                       "%s may not leave \"%s\", where the account's data resides, for \"%s\"", kind_names[what],
                       rules->residency, rules->server_residency);
}
