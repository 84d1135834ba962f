#include "agents/trouble.h"

#include <stdio.h>
#include <string.h>

const char *vn_work_name(enum vn_work work)
{
        static const char *const names[] = {[VN_WORK_LIST] = "listing functions",
                                            [VN_WORK_LOGS] = "reading the cloud's logs",
                                            [VN_WORK_PRICES] = "reading prices"};
        return names[work];
}

bool vn_trouble_set(struct vn_troubles *troubles, enum vn_work work, const struct vn_err *err, int64_t now_us)
{
        struct vn_trouble *t = &troubles->of[work];
        if (!t->since_us)
                t->since_us = now_us;
        bool same = !strncmp(t->text, err->msg, sizeof t->text - 1);
        snprintf(t->text, sizeof t->text, "%s", err->msg);
        return !same;
}

void vn_trouble_clear(struct vn_troubles *troubles, enum vn_work work)
{
        troubles->of[work] = (struct vn_trouble){0};
}
