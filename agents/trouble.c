#include "agents/trouble.h"

#include <stdio.h>
#include <string.h>

const char *vn_work_name(enum vn_work work)
{
        static const char *const names[] = {[VN_WORK_LIST] = "listing functions",
                                            [VN_WORK_LOGS] = "reading the cloud's logs",
                                            [VN_WORK_LINES] = "reading raw log lines",
                                            [VN_WORK_PRICES] = "reading prices",
                                            [VN_WORK_ABILITIES] = "asking what the cloud allows"};
        return names[work];
}

/* What the cloud said itself ("... answered 403 CODE: its words") stays with the agent. */
static void without_quote(const char *msg, char ret[VN_TROUBLE_TEXT_BYTES])
{
        const char *answered = strstr(msg, " answered ");
        const char *words = answered ? strchr(answered, ':') : NULL;
        snprintf(ret, VN_TROUBLE_TEXT_BYTES, "%.*s", words ? (int)(words - msg) : (int)strlen(msg), msg);
}

bool vn_trouble_set(struct vn_troubles *troubles, enum vn_work work, const struct vn_err *err, int64_t now_us)
{
        struct vn_trouble *t = &troubles->of[work];
        if (!t->since_us)
                t->since_us = now_us;
        char told[VN_TROUBLE_TEXT_BYTES];
        without_quote(err->msg, told);
        bool same = !strcmp(t->text, told);
        memcpy(t->text, told, sizeof t->text);
        return !same;
}

void vn_trouble_clear(struct vn_troubles *troubles, enum vn_work work)
{
        troubles->of[work] = (struct vn_trouble){0};
}
