#include "decide/run.h"

#include "base/mem.h"
#include "decide/run_change.h"

/* Header, erased bits, six lengths, and salts or commitments at their longest. */
#define OVERHEAD_BYTES (VN_RECORD_HEADER_BYTES + 1 + 3 * VN_RECORD_GROUPS + 32 * VN_RECORD_GROUPS)
#define GROUP_BYTES (VN_RUN_MAX_BYTES - OVERHEAD_BYTES)

struct column { /* one group of all decisions */
        size_t len, whole_len[2];
        uint8_t whole[2][VN_RECORD_MAX_BYTES]; /* of the decision added last, and of the one being added */
        uint8_t bytes[GROUP_BYTES];
};
struct vn_run {
        uint32_t count;
        unsigned last;   /* which of a column's two is the decision added last */
        int64_t time_us; /* and its time */
        struct vn_record first;
        struct column column[VN_RECORD_GROUPS];
};

struct vn_run *vn_run_new(void)
{
        return vn_alloc(sizeof(struct vn_run));
}

struct vn_run *vn_run_free(struct vn_run *run)
{
        vn_free(run);
        return NULL;
}

void vn_run_begin(struct vn_run *run)
{
        run->count = 0;
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                run->column[g].len = run->column[g].whole_len[run->last] = 0;
}

uint32_t vn_run_count(const struct vn_run *run)
{
        return run->count;
}

/* --- building --- */

static uint64_t zigzag(int64_t v)
{
        return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static int64_t unzigzag(uint64_t v)
{
        return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Differences wrap, so that any two times have one. */
static int64_t time_difference(int64_t a, int64_t b)
{
        return (int64_t)((uint64_t)a - (uint64_t)b);
}

static bool follows(const struct vn_run *run, const struct vn_record *r)
{
        const struct vn_record *first = &run->first;
        return r->kind == VN_RECORD_ROUTE && first->kind == VN_RECORD_ROUTE && r->id.origin == first->id.origin &&
               r->id.loop == first->id.loop && r->id.sequence == first->id.sequence + run->count &&
               r->decide_version == first->decide_version && r->erased == first->erased &&
               !run->column[VN_GROUP_OUTCOME].whole_len[run->last];
}

/* Writes a group whole and, behind its column, as a change. Returns the change's bytes; SIZE_MAX: more than `room`. */
static size_t add_group(struct vn_run *run, unsigned g, const struct vn_record *record, size_t room)
{
        struct column *column = &run->column[g];
        const unsigned last = run->last, next = !last;
        struct vn_out whole = {.p = column->whole[next], .cap = VN_RECORD_MAX_BYTES};
        struct vn_out change = {.p = column->bytes + column->len, .cap = room};
        vn_record_group_write(&whole, g, record);
        column->whole_len[next] = whole.len;
        if (g == VN_GROUP_QUESTION && run->count && !(record->erased >> g & 1))
                vn_put_var(&change, zigzag(time_difference(record->time_us, run->time_us)));
        vn_change_put(&change, vn_str_n(column->whole[last], column->whole_len[last]), vn_str_n(whole.p, whole.len));
        return whole.bad || change.bad ? SIZE_MAX : change.len;
}

enum vn_rc vn_run_add(struct vn_run *run, const struct vn_record *record, struct vn_err *err)
{
        size_t grown[VN_RECORD_GROUPS], room = GROUP_BYTES;
        if (run->count && !follows(run, record))
                return vn_fail(err, VN_INVALID_ARGUMENT, "not a route that follows on from the run");
        if (run->count == VN_RUN_MAX)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "the run is full");
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                room -= run->column[g].len;
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                grown[g] = add_group(run, g, record, room);
                if (grown[g] == SIZE_MAX)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "the run is full");
                room -= grown[g];
        }
        if (run->count && run->column[VN_GROUP_OUTCOME].whole_len[!run->last])
                return vn_fail(err, VN_INVALID_ARGUMENT, "a route with an outcome is a record of its own");
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                run->column[g].len += grown[g];
        if (!run->count)
                run->first = *record;
        run->last = !run->last;
        run->count++;
        run->time_us = record->time_us;
        return VN_OK;
}

/* An erased group's column holds nothing but that nothing changed: it is left out altogether. */
enum vn_rc vn_run_finish(const struct vn_run *run, uint8_t *ret, size_t cap, size_t *ret_len, struct vn_err *err)
{
        uint8_t header[VN_RECORD_HEADER_BYTES];
        struct vn_frame frame;
        struct vn_out out = {.p = ret, .cap = cap};
        VN_ASSERT(run->count > 0);
        vn_record_header_write(&run->first, run->count, header);
        vn_record_frame_init(&frame, &run->first, header);
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                const struct column *column = &run->column[g];
                frame.group[g] = run->count == 1 ? vn_str_n(column->whole[run->last], column->whole_len[run->last])
                                                 : vn_str_n(column->bytes, column->len);
                if (run->count > 1 && (g == VN_GROUP_OUTCOME || (frame.erased >> g & 1)))
                        frame.group[g] = vn_str_n(NULL, 0);
        }
        vn_frame_write(&out, &frame);
        if (out.bad)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "the run does not fit into %zu bytes", cap);
        *ret_len = out.len;
        return VN_OK;
}

/* --- reading --- */

static bool column_is_read(const struct vn_run_reader *reader, unsigned g)
{
        return g != VN_GROUP_OUTCOME && !(reader->frame.erased >> g & 1);
}

enum vn_rc vn_run_open(struct vn_run_reader *r, struct vn_str bytes, struct vn_err *err)
{
        struct vn_record head;
        VN_TRY(vn_frame_read(bytes, &r->frame, err));
        if (!vn_record_header_read(r->frame.header, &head, &r->count) ||
            (r->count > 1 && (head.kind != VN_RECORD_ROUTE || r->frame.group[VN_GROUP_OUTCOME].len)))
                return vn_fail(err, VN_DATA_LOSS, "the record's header is damaged");
        r->bytes = bytes;
        r->at = 0;
        r->id = head.id;
        r->time_us = head.time_us;
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                r->in[g] = (struct vn_in){.p = (const uint8_t *)r->frame.group[g].ptr, .len = r->frame.group[g].len};
                r->last_len[g] = 0;
        }
        return VN_OK;
}

/* One group of the next decision; whether its change is the one that a builder makes is found out by making it again. */
static bool next_group(struct vn_run_reader *r, unsigned g)
{
        struct vn_in *in = &r->in[g];
        uint8_t before[VN_RECORD_MAX_BYTES], change[VN_RECORD_MAX_BYTES + 8];
        size_t before_len = r->last_len[g];
        if (g == VN_GROUP_QUESTION && r->at)
                r->time_us = (int64_t)((uint64_t)r->time_us + (uint64_t)unzigzag(vn_take_var(in, UINT64_MAX)));
        size_t from = in->at;
        memcpy(before, r->last[g], before_len);
        if (!vn_change_take(in, r->last[g], &r->last_len[g], VN_RECORD_MAX_BYTES))
                return false;
        struct vn_out out = {.p = change, .cap = sizeof change};
        vn_change_put(&out, vn_str_n(before, before_len), vn_str_n(r->last[g], r->last_len[g]));
        return !out.bad && out.len == in->at - from && !memcmp(change, in->p + from, out.len);
}

static bool group_is_canonical(const struct vn_run_reader *r, unsigned g, const struct vn_record *record)
{
        uint8_t again[VN_RECORD_MAX_BYTES];
        struct vn_out out = {.p = again, .cap = sizeof again};
        vn_record_group_write(&out, g, record);
        return !out.bad && out.len == r->last_len[g] && !memcmp(again, r->last[g], out.len);
}

static enum vn_rc next_of_run(struct vn_run_reader *r, struct vn_record *ret, struct vn_err *err)
{
        uint32_t count;
        memset(ret, 0, sizeof *ret);
        VN_ASSERT(vn_record_header_read(r->frame.header, ret, &count));
        vn_record_frame_copy(&r->frame, ret);
        ret->id.sequence = r->id.sequence + r->at;
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                if (column_is_read(r, g) &&
                    (!next_group(r, g) || !vn_record_group_read(vn_str_n(r->last[g], r->last_len[g]), g, ret) ||
                     !group_is_canonical(r, g, ret)))
                        return vn_fail(err, VN_DATA_LOSS, "group %u of the run's decision %u is damaged", g, r->at);
        ret->time_us = r->time_us;
        r->at++;
        for (unsigned g = 0; g < VN_RECORD_GROUPS && r->at == r->count; g++)
                if (r->in[g].at != r->in[g].len)
                        return vn_fail(err, VN_DATA_LOSS, "group %u of the run is too long", g);
        return VN_OK;
}

enum vn_rc vn_run_next(struct vn_run_reader *r, struct vn_record *ret, struct vn_err *err)
{
        if (r->at == r->count)
                return vn_fail(err, VN_NOT_FOUND, "no more decisions in this record");
        if (r->count > 1)
                return next_of_run(r, ret, err);
        r->at++;
        return vn_record_decode(r->bytes, ret, err);
}

enum vn_rc vn_run_find(struct vn_str bytes, const struct vn_decision_id *id, struct vn_record *ret,
                       struct vn_err *err)
{
        struct vn_run_reader reader;
        struct vn_record one;
        bool found = false;
        VN_TRY(vn_run_open(&reader, bytes, err));
        while (reader.at < reader.count) {
                VN_TRY(vn_run_next(&reader, &one, err));
                if (one.id.origin != id->origin || one.id.loop != id->loop || one.id.sequence != id->sequence)
                        continue;
                *ret = one;
                found = true;
        }
        return found ? VN_OK : vn_fail(err, VN_NOT_FOUND, "the decision is not in this record");
}

/* The workload's name stands first in the question. */
static bool scan_one(struct vn_run_reader *r, void (*workload)(void *arg, struct vn_str name), void *arg)
{
        uint8_t before[VN_RECORD_MAX_BYTES];
        size_t before_len = r->last_len[VN_GROUP_QUESTION];
        memcpy(before, r->last[VN_GROUP_QUESTION], before_len);
        if (!next_group(r, VN_GROUP_QUESTION))
                return false;
        struct vn_in in = {.p = r->last[VN_GROUP_QUESTION], .len = r->last_len[VN_GROUP_QUESTION]};
        size_t n = (size_t)vn_take_var(&in, VN_RECORD_MAX_BYTES);
        struct vn_str name = vn_str_n(vn_take(&in, n), n);
        if (in.bad)
                return false;
        if (!r->at || before_len < in.at || memcmp(before, in.p, in.at))
                workload(arg, name);
        return true;
}

enum vn_rc vn_run_scan(struct vn_str bytes, void (*workload)(void *arg, struct vn_str name), void *arg,
                       struct vn_run_span *ret, struct vn_err *err)
{
        struct vn_run_reader r;
        struct vn_record_index index;
        VN_TRY(vn_run_open(&r, bytes, err));
        *ret = (struct vn_run_span){r.time_us, r.time_us};
        if (r.count == 1 || !column_is_read(&r, VN_GROUP_QUESTION)) {
                VN_TRY(vn_record_peek(bytes, &index, err));
                workload(arg, r.count == 1 ? index.workload : vn_str_n(NULL, 0));
                return VN_OK;
        }
        for (; r.at < r.count; r.at++) {
                if (!scan_one(&r, workload, arg))
                        return vn_fail(err, VN_DATA_LOSS, "the run's questions are damaged");
                ret->first_us = r.time_us < ret->first_us ? r.time_us : ret->first_us;
                ret->last_us = r.time_us > ret->last_us ? r.time_us : ret->last_us;
        }
        return VN_OK;
}
