#include "agents/outbox.h"

void vn_outbox_init(struct vn_outbox *outbox, size_t max)
{
        *outbox = (struct vn_outbox){.max = max};
}

void vn_outbox_done(struct vn_outbox *outbox)
{
        vn_free(outbox->windows);
        outbox->windows = NULL;
}

/* The ring doubles by being laid out anew. */
static bool grow(struct vn_outbox *o)
{
        size_t cap = o->cap ? 2 * o->cap : 64;
        cap = cap < o->max ? cap : o->max;
        struct vn_window *windows = vn_alloc_array(cap, sizeof *windows);
        if (!windows)
                return false;
        for (size_t i = 0; i < o->count; i++)
                windows[i] = o->windows[(o->first + i) % o->cap];
        vn_free(o->windows);
        o->windows = windows;
        o->cap = cap;
        o->first = 0;
        return true;
}

enum vn_rc vn_outbox_put(struct vn_outbox *o, const struct vn_window *window, struct vn_err *err)
{
        if (o->count == o->cap && o->cap < o->max && !grow(o))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windows that wait: out of memory");
        if (o->count == o->max) {
                vn_outbox_sent(o, 1);
                o->dropped++;
        }
        o->windows[(o->first + o->count++) % o->cap] = *window;
        return VN_OK;
}

size_t vn_outbox_peek(const struct vn_outbox *o, size_t max, const struct vn_window **ret)
{
        size_t together = o->cap - o->first < o->count ? o->cap - o->first : o->count;
        *ret = o->windows + o->first;
        return together < max ? together : max;
}

void vn_outbox_sent(struct vn_outbox *o, size_t count)
{
        VN_ASSERT(count <= o->count);
        if (!count)
                return;
        o->first = (o->first + count) % o->cap;
        o->count -= count;
}

int64_t vn_outbox_oldest_us(const struct vn_outbox *o)
{
        return o->count ? o->windows[o->first].start_us : INT64_MAX;
}
