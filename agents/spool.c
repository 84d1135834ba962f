/* Three places tell what was dropped, so that each record is told once: `told` is in the reader's hands, `pending` waits for
 * the next batch, and `doubt` holds records that were dropped while the reader was sending them: they count only if it fails. */
#include "agents/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agents/spool_parts.h"
#include "base/fault.h"
#include "base/hash.h"

#define MIN_SEGMENT_BYTES (32u << 10)
#define MAX_SEGMENT_BYTES (4u << 20)
#define MAX_SEGMENTS 4096
VN_LOCK_CLASS(spool_class, "spool");

/* --- records --- */

static void put_u32(uint8_t *to, uint32_t v)
{
        for (int i = 0; i < 4; i++)
                to[i] = (uint8_t)(v >> 8 * i);
}

static void put_u64(uint8_t *to, uint64_t v)
{
        put_u32(to, (uint32_t)v);
        put_u32(to + 4, (uint32_t)(v >> 32));
}

static uint64_t get(const char *from, int bytes)
{
        uint64_t v = 0;
        for (int i = 0; i < bytes; i++)
                v |= (uint64_t)(uint8_t)from[i] << 8 * i;
        return v;
}

static void encode(const struct vn_spool_record *record, struct vn_buf *ret)
{
        uint8_t head[VN_SPOOL_HEAD_BYTES] = {0};
        put_u64(head + 8, record->sequence);
        put_u64(head + 16, (uint64_t)record->time_us);
        put_u32(head + 24, (uint32_t)record->payload.len);
        put_u32(head + 28, record->kind);
        vn_buf_reset(ret);
        vn_buf_add(ret, head, sizeof head);
        vn_buf_str(ret, record->payload);
        if (!ret->failed)
                put_u64((uint8_t *)ret->ptr, vn_hash64(ret->ptr + 8, ret->len - 8, 0));
}

enum vn_rc vn_spool_record_read(struct vn_str bytes, struct vn_spool_record *ret, size_t *ret_used)
{
        if (bytes.len < VN_SPOOL_HEAD_BYTES)
                return VN_OUT_OF_RANGE;
        size_t len = (size_t)get(bytes.ptr + 24, 4);
        if (len > VN_SPOOL_MAX_RECORD_BYTES)
                return VN_DATA_LOSS;
        if (bytes.len - VN_SPOOL_HEAD_BYTES < len)
                return VN_OUT_OF_RANGE;
        if (get(bytes.ptr, 8) != vn_hash64(bytes.ptr + 8, VN_SPOOL_HEAD_BYTES - 8 + len, 0))
                return VN_DATA_LOSS;
        *ret = (struct vn_spool_record){.sequence = get(bytes.ptr + 8, 8),
                                        .time_us = (int64_t)get(bytes.ptr + 16, 8),
                                        .kind = (uint32_t)get(bytes.ptr + 28, 4),
                                        .payload = vn_str_n(bytes.ptr + VN_SPOOL_HEAD_BYTES, len)};
        *ret_used = VN_SPOOL_HEAD_BYTES + len;
        return VN_OK;
}

/* --- segments --- */

static void segment_path(const struct vn_spool *s, uint64_t first, char ret[VN_SPOOL_PATH_BYTES])
{
        snprintf(ret, VN_SPOOL_PATH_BYTES, "%s/%016llx.seg", s->dir, (unsigned long long)first);
}

static struct segment *newest(struct vn_spool *s)
{
        return s->count ? &s->segments[s->count - 1] : NULL;
}

static uint64_t end_of(const struct segment *segment)
{
        return segment->first + segment->records;
}

static enum vn_rc add_segment(struct vn_spool *s, uint64_t first, struct vn_err *err)
{
        if (s->count == MAX_SEGMENTS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "spool: more than %d segments", MAX_SEGMENTS);
        if (s->count == s->cap) {
                size_t cap = s->cap ? 2 * s->cap : 16;
                struct segment *more = vn_realloc(s->segments, cap * sizeof *more);
                if (!more)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "spool: out of memory");
                s->segments = more;
                s->cap = cap;
        }
        VN_ASSERT(s->segments);
        s->segments[s->count++] = (struct segment){.first = first};
        return VN_OK;
}

/* Reads [offset, offset + n) or less, where the file ends. */
static enum vn_rc read_segment(const struct vn_spool *s, uint64_t first, uint64_t offset, size_t n,
                               struct vn_buf *ret, struct vn_err *err)
{
        char path[VN_SPOOL_PATH_BYTES];
        segment_path(s, first, path);
        if (!vn_buf_reserve(ret, n))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "spool: out of memory");
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%.100s: %s", path, strerror(errno));
        while (n) {
                ssize_t got =
                        VN_FAULT("spool.read") ? (errno = EIO, -1) : pread(fd, ret->ptr + ret->len, n, (off_t)offset);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0) {
                        close(fd); /* it may be read another time: not DATA_LOSS, which gives it up */
                        return vn_fail(err, VN_UNAVAILABLE, "%.100s: %s", path, strerror(errno));
                }
                if (!got)
                        break;
                ret->len += (size_t)got;
                offset += (uint64_t)got;
                n -= (size_t)got;
        }
        close(fd);
        return VN_OK;
}

static void dropped_one(struct vn_spool_dropped *to, int64_t time_us, size_t bytes)
{
        vn_spool_dropped_add(to, &(struct vn_spool_dropped){1, bytes, time_us, time_us});
}

/* What of a segment was not acknowledged is dropped: in doubt if the reader is sending it. */
static void count_dropped(struct vn_spool *s, const struct segment *segment, uint64_t offset)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(MAX_SEGMENT_BYTES + VN_SPOOL_MAX_RECORD_BYTES + VN_SPOOL_HEAD_BYTES + 1);
        struct vn_spool_record r;
        size_t used, at = 0;
        uint64_t next = s->acked > segment->first ? s->acked : segment->first;
        if (read_segment(s, segment->first, offset, (size_t)(segment->bytes - offset), &bytes, NULL) == VN_OK) {
                while (vn_spool_record_read(vn_str_n(bytes.ptr + at, bytes.len - at), &r, &used) == VN_OK) {
                        dropped_one(r.sequence < s->in_flight_until ? &s->doubt : &s->pending, r.time_us,
                                    r.payload.len);
                        next = r.sequence + 1;
                        at += used;
                }
        }
        if (next < end_of(segment)) /* cannot be read any more: at least their number is known */
                vn_spool_dropped_add(&s->pending,
                                     &(struct vn_spool_dropped){end_of(segment) - next, 0, INT64_MAX, INT64_MIN});
}

/* The head moves on to `sequence`; what is missing in between was lost on disk. */
static void pass_gap(struct vn_spool *s, uint64_t sequence)
{
        if (sequence > s->acked)
                vn_spool_dropped_add(&s->pending,
                                     &(struct vn_spool_dropped){sequence - s->acked, 0, INT64_MAX, INT64_MIN});
        s->acked = sequence;
}

static void remove_front(struct vn_spool *s)
{
        char path[VN_SPOOL_PATH_BYTES];
        segment_path(s, s->segments[0].first, path);
        unlink(path); /* if it cannot go it is found below the acknowledged ones at the next start */
        s->total_bytes -= s->segments[0].bytes;
        s->count--;
        memmove(s->segments, s->segments + 1, s->count * sizeof *s->segments);
        if (s->head)
                s->head--;
        else
                s->head_offset = 0;
}

static void retire(struct vn_spool *s)
{
        while (s->count > 1 && s->head > 0)
                remove_front(s);
}

/* Makes room: segments that are done with first, then the oldest records. Never the newest segment. */
static bool drop_front(struct vn_spool *s)
{
        struct vn_err err;
        if (s->count < 2)
                return false;
        bool waits = s->head == 0;
        if (waits) {
                const struct segment front = s->segments[0];
                count_dropped(s, &front, s->head_offset);
                s->acked = s->acked > end_of(&front) ? s->acked : end_of(&front);
        }
        remove_front(s);
        if (waits) {
                pass_gap(s, s->segments[0].first);
                VN_IGNORE(vn_spool_state_save(s, &err)); /* if not, the gap tells their number at the next start */
        }
        return true;
}

/* --- opening --- */

static int compare_segments(const void *a, const void *b)
{
        uint64_t x = ((const struct segment *)a)->first, y = ((const struct segment *)b)->first;
        return x < y ? -1 : x > y;
}

static enum vn_rc list_segments(struct vn_spool *s, struct vn_err *err)
{
        DIR *dir = opendir(s->dir);
        enum vn_rc rc = VN_OK;
        if (!dir)
                return vn_fail(err, vn_rc_from_errno(errno), "%.100s: %s", s->dir, strerror(errno));
        for (struct dirent *entry; rc == VN_OK && (entry = readdir(dir));) {
                uint8_t first[8];
                uint64_t sequence = 0;
                struct vn_str name = vn_str(entry->d_name);
                if (name.len != 20 || !vn_str_ends(name, VN_STR(".seg")) ||
                    vn_unhex(vn_str_n(name.ptr, 16), first, sizeof first) != VN_OK)
                        continue;
                for (int i = 0; i < 8; i++)
                        sequence = sequence << 8 | first[i];
                rc = add_segment(s, sequence, err);
        }
        closedir(dir);
        if (rc == VN_OK && s->count)
                qsort(s->segments, s->count, sizeof *s->segments, compare_segments);
        return rc;
}

/* How many records of it are whole, how long they are, and where the first that waits begins. */
static enum vn_rc scan_segment(struct vn_spool *s, struct segment *segment, uint64_t *ret_offset, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(MAX_SEGMENT_BYTES + VN_SPOOL_MAX_RECORD_BYTES + VN_SPOOL_HEAD_BYTES + 1);
        struct vn_spool_record r;
        size_t used, at = 0;
        char path[VN_SPOOL_PATH_BYTES];
        *ret_offset = 0;
        VN_TRY(read_segment(s, segment->first, 0, bytes.max_bytes - 1, &bytes, err));
        while (vn_spool_record_read(vn_str_n(bytes.ptr + at, bytes.len - at), &r, &used) == VN_OK &&
               r.sequence == end_of(segment)) {
                at += used;
                segment->records++;
                if (r.sequence < s->acked)
                        *ret_offset = at;
        }
        segment->bytes = at;
        segment_path(s, segment->first, path);
        if (at < bytes.len && truncate(path, (off_t)at))
                return vn_fail(err, vn_rc_from_errno(errno), "%.100s: %s", path, strerror(errno));
        return VN_OK;
}

static enum vn_rc recover(struct vn_spool *s, struct vn_err *err)
{
        VN_TRY(list_segments(s, err));
        for (size_t i = 0; i < s->count; i++) {
                uint64_t offset;
                VN_TRY(scan_segment(s, &s->segments[i], &offset, err));
                s->total_bytes += s->segments[i].bytes;
                if (end_of(&s->segments[i]) <= s->acked && i + 1 < s->count) {
                        s->head = i + 1;
                        s->head_offset = 0;
                } else if (i == s->head) {
                        s->head_offset = offset;
                }
        }
        s->next = s->acked;
        if (s->count) {
                if (s->fresh)
                        s->acked = s->segments[0].first;
                if (s->segments[s->head].first > s->acked)
                        pass_gap(s, s->segments[s->head].first);
                s->next = end_of(newest(s)) > s->acked ? end_of(newest(s)) : s->acked;
        }
        retire(s);
        return VN_OK;
}

enum vn_rc vn_spool_open(const char *dir, uint64_t max_bytes, struct vn_spool **ret, struct vn_err *err)
{
        if (max_bytes < VN_SPOOL_MIN_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "spool: at least %u bytes", VN_SPOOL_MIN_BYTES);
        struct vn_spool *s = vn_alloc(sizeof *s);
        if (!s)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "spool: out of memory");
        vn_lock_init(&s->lock, &spool_class);
        s->fd = -1;
        s->max_bytes = max_bytes;
        s->segment_bytes = max_bytes / 8;
        s->segment_bytes = s->segment_bytes < MIN_SEGMENT_BYTES ? MIN_SEGMENT_BYTES : s->segment_bytes;
        s->segment_bytes = s->segment_bytes > MAX_SEGMENT_BYTES ? MAX_SEGMENT_BYTES : s->segment_bytes;
        s->scratch = VN_BUF_INIT(VN_SPOOL_HEAD_BYTES + VN_SPOOL_MAX_RECORD_BYTES + 1);
        enum vn_rc rc = VN_OK;
        if (!vn_str_copy(s->dir, sizeof s->dir, vn_str(dir)))
                rc = vn_fail(err, VN_INVALID_ARGUMENT, "spool: the path is too long");
        else if (mkdir(dir, 0700) && errno != EEXIST)
                rc = vn_fail(err, vn_rc_from_errno(errno), "%.100s: %s", dir, strerror(errno));
        if (rc == VN_OK)
                rc = vn_spool_state_load(s, err);
        if (rc == VN_OK)
                rc = recover(s, err);
        if (rc == VN_OK)
                rc = vn_spool_state_save(s, err);
        if (rc != VN_OK) {
                vn_spool_free(s);
                return rc;
        }
        *ret = s;
        return VN_OK;
}

struct vn_spool *vn_spool_free(struct vn_spool *spool)
{
        if (!spool)
                return NULL;
        if (spool->fd >= 0)
                close(spool->fd);
        vn_buf_done(&spool->scratch);
        vn_free(spool->segments);
        vn_lock_done(&spool->lock);
        vn_free(spool);
        return NULL;
}

const char *vn_spool_id(const struct vn_spool *spool)
{
        return spool->id;
}

/* --- writing --- */

static enum vn_rc sync_fd(int fd)
{
        return VN_FAULT("spool.sync") || fdatasync(fd) ? VN_DATA_LOSS : VN_OK;
}

/* A segment that is left is made durable at once: vn_spool_sync knows only the newest. */
static enum vn_rc new_segment(struct vn_spool *s, struct vn_err *err)
{
        char path[VN_SPOOL_PATH_BYTES];
        struct segment *last = newest(s);
        if (s->fd >= 0 && last && last->records && sync_fd(s->fd) != VN_OK)
                return vn_fail(err, VN_DATA_LOSS, "spool: a segment cannot be made durable");
        if (!last || last->first != s->next)
                VN_TRY(add_segment(s, s->next, err));
        segment_path(s, s->next, path);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0) {
                if (!newest(s)->records && newest(s)->first == s->next)
                        s->count--;
                return vn_fail(err, vn_rc_from_errno(errno), "%.100s: %s", path, strerror(errno));
        }
        if (s->fd >= 0)
                close(s->fd);
        s->fd = fd;
        s->dir_dirty = true;
        if (s->count > 1 && s->head == s->count - 2 && end_of(&s->segments[s->head]) <= s->acked) {
                s->head++; /* all before is done with */
                s->head_offset = 0;
        }
        return VN_OK;
}

static enum vn_rc reopen(struct vn_spool *s, struct vn_err *err)
{
        char path[VN_SPOOL_PATH_BYTES];
        segment_path(s, newest(s)->first, path);
        s->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        return s->fd >= 0 ? VN_OK : vn_fail(err, vn_rc_from_errno(errno), "%.100s: %s", path, strerror(errno));
}

static enum vn_rc append(struct vn_spool *s, struct vn_str bytes, struct vn_err *err)
{
        struct segment *last = newest(s);
        if (!last || end_of(last) != s->next || last->sealed ||
            (last->records && last->bytes + bytes.len > s->segment_bytes))
                VN_TRY(new_segment(s, err));
        else if (s->fd < 0)
                VN_TRY(reopen(s, err));
        last = newest(s);
        size_t done = 0;
        while (done < bytes.len) {
                ssize_t n = VN_FAULT("spool.write") ? (errno = ENOSPC, -1)
                                                    : write(s->fd, bytes.ptr + done, bytes.len - done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        enum vn_rc rc = vn_rc_from_errno(errno);
                        VN_IGNORE(ftruncate(s->fd, (off_t)last->bytes)); /* else the next start cuts it off */
                        return vn_fail(err, rc, "spool: the disk does not take a record: %s", strerror(errno));
                }
                done += (size_t)n;
        }
        last->bytes += bytes.len;
        last->records++;
        s->total_bytes += bytes.len;
        s->next++;
        s->dirty = true;
        return VN_OK;
}

enum vn_rc vn_spool_put(struct vn_spool *spool, uint32_t kind, int64_t time_us, struct vn_str payload,
                        struct vn_err *err)
{
        VN_LOCKED(&spool->lock);
        const struct vn_spool_record record = {spool->next, time_us, kind, payload};
        enum vn_rc rc = VN_OK;
        if (payload.len > VN_SPOOL_MAX_RECORD_BYTES)
                rc = vn_fail(err, VN_OUT_OF_RANGE, "spool: a record of %zu bytes is too long", payload.len);
        if (rc == VN_OK) {
                encode(&record, &spool->scratch);
                rc = vn_buf_check(&spool->scratch, err);
                spool->scratch.failed = false;
        }
        if (rc == VN_OK) {
                struct vn_str bytes = vn_buf_view(&spool->scratch);
                while (spool->total_bytes + bytes.len > spool->max_bytes && drop_front(spool))
                        ;
                rc = append(spool, bytes, err);
                if (rc == VN_RESOURCE_EXHAUSTED && drop_front(spool)) /* a full disk: what is newest is worth more */
                        rc = append(spool, bytes, err);
        }
        if (rc != VN_OK)
                dropped_one(&spool->pending, time_us, payload.len);
        return rc;
}

enum vn_rc vn_spool_sync(struct vn_spool *spool, struct vn_err *err)
{
        int fd = -1, dir = -1;
        enum vn_rc rc = VN_OK;
        {
                VN_LOCKED(&spool->lock);
                if (spool->dirty && spool->fd >= 0 && (fd = dup(spool->fd)) < 0)
                        return vn_fail(err, vn_rc_from_errno(errno), "spool: %s", strerror(errno));
                if (spool->dir_dirty && (dir = open(spool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
                        rc = vn_fail(err, vn_rc_from_errno(errno), "spool: %s", strerror(errno));
                spool->dirty = spool->dir_dirty = false;
        }
        if (rc == VN_OK && ((fd >= 0 && sync_fd(fd) != VN_OK) || (dir >= 0 && fsync(dir))))
                rc = vn_fail(err, VN_DATA_LOSS, "spool: the disk does not confirm");
        if (fd >= 0)
                close(fd);
        if (dir >= 0)
                close(dir);
        if (rc != VN_OK) {
                VN_LOCKED(&spool->lock);
                spool->dirty = spool->dir_dirty = true;
        }
        return rc;
}

/* --- reading --- */

void vn_spool_batch_init(struct vn_spool_batch *batch)
{
        memset(batch, 0, sizeof *batch);
        batch->bytes = VN_BUF_INIT((size_t)64 << 20);
}

void vn_spool_batch_done(struct vn_spool_batch *batch)
{
        vn_free(batch->records);
        vn_buf_done(&batch->bytes);
        memset(batch, 0, sizeof *batch);
}

static enum vn_rc batch_add(struct vn_spool_batch *batch, const struct vn_spool_record *record, struct vn_err *err)
{
        if (batch->count == batch->cap) {
                size_t cap = batch->cap ? 2 * batch->cap : 64;
                struct vn_spool_record *more = vn_realloc(batch->records, cap * sizeof *more);
                if (!more)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "spool: out of memory");
                batch->records = more;
                batch->cap = cap;
        }
        batch->records[batch->count++] = *record;
        return VN_OK;
}

/* Records of one segment from `offset` on; false when the batch is full. Room for its bytes is there: nothing moves. */
static enum vn_rc read_into(struct vn_spool *s, const struct segment *segment, uint64_t offset, size_t max_records,
                            size_t max_bytes, struct vn_spool_batch *ret, size_t *payload_bytes, bool *ret_full,
                            struct vn_err *err)
{
        size_t at = ret->bytes.len, room = ret->bytes.cap - ret->bytes.len - 1;
        size_t n = segment->bytes - offset < room ? (size_t)(segment->bytes - offset) : room;
        struct vn_spool_record r;
        size_t used;
        VN_TRY(read_segment(s, segment->first, offset, n, &ret->bytes, err));
        while (vn_spool_record_read(vn_str_n(ret->bytes.ptr + at, ret->bytes.len - at), &r, &used) == VN_OK) {
                *ret_full = ret->count == max_records || (ret->count && *payload_bytes + r.payload.len > max_bytes) ||
                            r.sequence >= s->durable;
                if (*ret_full)
                        return VN_OK;
                VN_TRY(batch_add(ret, &r, err));
                *payload_bytes += r.payload.len;
                at += used;
        }
        *ret_full = at < ret->bytes.len || n < segment->bytes - offset;
        /* There is room for a whole record, so one that is not whole is garbled. */
        return *ret_full && !ret->count ? VN_DATA_LOSS : VN_OK;
}

/* The disk has lost what the segment still held: it counts as dropped, and what comes later goes on. */
static void give_up(struct vn_spool *s)
{
        struct segment *segment = &s->segments[s->head];
        segment->sealed = true;
        pass_gap(s, end_of(segment));
        s->head_offset = segment->bytes;
        if (s->head + 1 == s->count)
                return;
        s->head++;
        s->head_offset = 0;
        pass_gap(s, s->segments[s->head].first);
}

static enum vn_rc peek(struct vn_spool *s, size_t max_records, size_t max_bytes, struct vn_spool_batch *ret,
                       struct vn_err *err)
{
        size_t payload_bytes = 0;
        uint64_t room = max_bytes + (uint64_t)max_records * VN_SPOOL_HEAD_BYTES + 2 * VN_SPOOL_MAX_RECORD_BYTES;
        bool full = false;
        room = room < s->total_bytes ? room : s->total_bytes;
        if (!vn_buf_reserve(&ret->bytes, (size_t)room + 1))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "spool: out of memory");
        for (size_t i = s->head; i < s->count && !full; i++) {
                enum vn_rc rc = read_into(s, &s->segments[i], i == s->head ? s->head_offset : 0, max_records,
                                          max_bytes, ret, &payload_bytes, &full, err);
                if (rc == VN_DATA_LOSS || rc == VN_NOT_FOUND) {
                        if (i == s->head)
                                give_up(s);
                        return VN_OK; /* what is whole goes first */
                }
                VN_TRY(rc);
        }
        return VN_OK;
}

enum vn_rc vn_spool_peek(struct vn_spool *spool, size_t max_records, size_t max_bytes, struct vn_spool_batch *ret,
                         struct vn_err *err)
{
        uint64_t durable;
        ret->count = 0;
        vn_buf_reset(&ret->bytes);
        {
                VN_LOCKED(&spool->lock);
                durable = spool->next;
        }
        VN_TRY(vn_spool_sync(spool, err));
        VN_LOCKED(&spool->lock);
        spool->durable = durable;
        spool->in_flight_until = 0;
        vn_spool_dropped_add(&spool->told, &spool->pending);
        vn_spool_dropped_add(&spool->told, &spool->doubt);
        spool->counted_records += spool->pending.records + spool->doubt.records;
        spool->counted_bytes += spool->pending.bytes + spool->doubt.bytes;
        vn_spool_dropped_reset(&spool->pending);
        vn_spool_dropped_reset(&spool->doubt);
        ret->dropped = spool->told;
        VN_TRY(peek(spool, max_records, max_bytes, ret, err));
        ret->first_sequence = ret->count ? ret->records[0].sequence : spool->acked;
        if (ret->count)
                spool->in_flight_until = ret->records[ret->count - 1].sequence + 1;
        return VN_OK;
}

enum vn_rc vn_spool_ack(struct vn_spool *spool, const struct vn_spool_batch *batch, struct vn_err *err)
{
        VN_LOCKED(&spool->lock);
        vn_spool_dropped_reset(&spool->told);
        vn_spool_dropped_reset(&spool->doubt);
        spool->in_flight_until = 0;
        for (size_t i = 0; i < batch->count; i++) {
                const struct vn_spool_record *r = &batch->records[i];
                if (r->sequence < spool->acked)
                        continue; /* dropped while it was on its way */
                while (end_of(&spool->segments[spool->head]) <= r->sequence) {
                        spool->head++;
                        spool->head_offset = 0;
                        pass_gap(spool, spool->segments[spool->head].first);
                }
                spool->head_offset += VN_SPOOL_HEAD_BYTES + r->payload.len;
                spool->acked = r->sequence + 1;
        }
        while (spool->head + 1 < spool->count && end_of(&spool->segments[spool->head]) <= spool->acked) {
                spool->head++;
                spool->head_offset = 0;
                pass_gap(spool, spool->segments[spool->head].first);
        }
        VN_TRY(vn_spool_state_save(spool, err));
        retire(spool);
        return VN_OK;
}

void vn_spool_stats(const struct vn_spool *spool, struct vn_spool_stats *ret)
{
        struct vn_spool *s = (struct vn_spool *)(uintptr_t)spool; /* only its lock changes */
        VN_LOCKED(&s->lock);
        *ret = (struct vn_spool_stats){.waiting_bytes = s->total_bytes,
                                       .dropped_records = s->counted_records + s->pending.records,
                                       .dropped_bytes = s->counted_bytes + s->pending.bytes,
                                       .untold_records = s->told.records + s->pending.records + s->doubt.records};
        for (size_t i = s->head; i < s->count; i++)
                ret->waiting_records +=
                        end_of(&s->segments[i]) -
                        (i == s->head && s->acked > s->segments[i].first ? s->acked : s->segments[i].first);
}
