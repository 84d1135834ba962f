#include "store/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

#define PAGE_BYTES 4096
#define MAX_PARTS ((VN_RING_MAX_RECORD_BYTES + VN_RING_PAYLOAD_BYTES - 1) / VN_RING_PAYLOAD_BYTES)
#define MAX_SLOTS (1u << 24)
#define MAX_GAPS 32
#define BOOT_ID_BYTES 40
#define SEQ_JUMP_BITS 32

static const char magic[8] = "VNRING2";

struct ring_file { /* the first page */
        char magic[8];
        uint32_t slots;
        uint32_t number;
        char boot_id[BOOT_ID_BYTES];
        uint64_t clean;
        _Atomic uint64_t head; /* position of the next put: written after its slots */
        uint64_t head_seq;
        _Atomic uint64_t lost;
        int64_t lost_first_us;
        int64_t lost_last_us;
        uint8_t lost_view[32];
};
struct slot {
        uint64_t position;
        uint64_t seq;
        uint32_t sum;
        uint16_t record_len;
        uint16_t count; /* of sequences, seq the first */
        uint8_t part;
        uint8_t parts;
        uint8_t unused[6];
        uint8_t payload[VN_RING_PAYLOAD_BYTES];
};
_Static_assert(sizeof(struct slot) == VN_RING_SLOT_BYTES, "a slot is 1 KiB");
_Static_assert(sizeof(struct ring_file) <= PAGE_BYTES, "the head fits its page");

struct vn_ring {
        struct ring_file *file;
        struct slot *slots;
        uint64_t mask;
        uint32_t number;
        size_t map_bytes;
        /* producer's */
        uint64_t position;
        uint64_t next_seq;
        uint64_t seen_tail;
        _Atomic uint64_t lost_told;         /* lost answers that a gap record in the store tells of */
        _Alignas(64) _Atomic uint64_t tail; /* consumer's: first slot that may not be overwritten */
        /* consumer's: where it reads, and where it was at the last release */
        struct vn_ring_mark cursor;
        struct vn_ring_mark released;
        bool skipped;           /* bad slots since the last good record */
        uint64_t jump_position; /* a power cut's gap lies here, if jump_seq is not 0 */
        uint64_t jump_seq;
        struct vn_gap gaps[MAX_GAPS];
        size_t gap_count;
        size_t gap_taken;
};

/* Four lanes of multiply and rotate over 8-byte words: each step is a bijection of the lane, so any single flipped bit
 * changes the sum. Not for security; a tampered record is what the Merkle log is for. */
static uint32_t slot_sum(const struct slot *slot, size_t n)
{
        const uint64_t k = UINT64_C(0x9e3779b97f4a7c15);
        uint64_t lane[4] = {slot->position * k, (slot->seq + 1) * k,
                            ((uint64_t)slot->count << 32 | (uint64_t)slot->record_len << 16 |
                             (uint64_t)slot->part << 8 | slot->parts) +
                                    k,
                            n};
        size_t at = 0;
        uint64_t word;
        for (; at + 32 <= n; at += 32) {
                for (size_t i = 0; i < 4; i++) {
                        memcpy(&word, slot->payload + at + 8 * i, 8);
                        lane[i] = (lane[i] ^ word) * k;
                        lane[i] ^= lane[i] >> 29;
                }
        }
        for (size_t i = 0; at < n; at += 8, i++) {
                word = 0;
                memcpy(&word, slot->payload + at, n - at < 8 ? n - at : 8);
                lane[i] = (lane[i] ^ word) * k;
                lane[i] ^= lane[i] >> 29;
        }
        uint64_t sum = lane[0];
        for (size_t i = 1; i < 4; i++) {
                sum = (sum ^ (sum >> 31)) * k;
                sum ^= lane[i];
        }
        sum = (sum ^ (sum >> 32)) * k;
        return (uint32_t)(sum >> 32);
}

static size_t part_len(size_t record_len, size_t part)
{
        size_t left = record_len - part * VN_RING_PAYLOAD_BYTES;
        return left < VN_RING_PAYLOAD_BYTES ? left : VN_RING_PAYLOAD_BYTES;
}

static void read_boot_id(char ret[BOOT_ID_BYTES])
{
        memset(ret, 0, BOOT_ID_BYTES);
        int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return; /* every start then looks like the same boot: a stale head still tells of a power cut */
        ssize_t n = read(fd, ret, BOOT_ID_BYTES - 1);
        if (n < 0)
                memset(ret, 0, BOOT_ID_BYTES);
        close(fd);
}

/* --- opening --- */
static enum vn_rc ring_make(int fd, const char *path, uint32_t number, uint32_t slots, struct vn_err *err)
{
        struct ring_file head = {.slots = slots, .number = number, .clean = 1};
        off_t bytes = PAGE_BYTES + (off_t)slots * VN_RING_SLOT_BYTES;
        memcpy(head.magic, magic, sizeof magic);
        int failed = posix_fallocate(fd, 0, bytes);
        if (failed)
                return vn_fail(err, vn_rc_from_errno(failed), "%s: cannot allocate %lld bytes: %s", path,
                               (long long)bytes, strerror(failed));
        if (pwrite(fd, &head, sizeof head, 0) != (ssize_t)sizeof head || fsync(fd) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        return VN_OK;
}

static enum vn_rc ring_check(const struct ring_file *head, const char *path, uint32_t number, uint32_t slots,
                             struct vn_err *err)
{
        if (memcmp(head->magic, magic, sizeof magic))
                return vn_fail(err, VN_DATA_LOSS, "%s: not a journal ring of this version", path);
        if (head->number != number || head->slots != slots)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "%s: is ring %u with %u slots, want ring %u with %u: drain it with the old "
                               "configuration first",
                               path, head->number, head->slots, number, slots);
        return VN_OK;
}

static enum vn_rc ring_map(int fd, const char *path, uint32_t number, uint32_t slots, struct vn_ring **ret,
                           struct vn_err *err)
{
        struct stat st;
        size_t bytes = PAGE_BYTES + (size_t)slots * VN_RING_SLOT_BYTES;
        if (fstat(fd, &st) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        if (st.st_size == 0)
                VN_TRY(ring_make(fd, path, number, slots, err));
        else if ((uint64_t)st.st_size != bytes && st.st_size < PAGE_BYTES)
                return vn_fail(err, VN_DATA_LOSS, "%s: cut off", path);
        struct ring_file head;
        if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
                return vn_fail(err, VN_DATA_LOSS, "%s: cannot be read", path);
        VN_TRY(ring_check(&head, path, number, slots, err));
        if (st.st_size != 0 && (uint64_t)st.st_size != bytes)
                return vn_fail(err, VN_DATA_LOSS, "%s: cut off", path);
        void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        if (map == MAP_FAILED)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: cannot map: %s", path, strerror(errno));
        struct vn_ring *ring = vn_alloc(sizeof *ring);
        if (!ring) {
                munmap(map, bytes);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: out of memory", path);
        }
        ring->file = map;
        ring->slots = (struct slot *)(void *)((char *)map + PAGE_BYTES);
        ring->mask = slots - 1;
        ring->number = number;
        ring->map_bytes = bytes;
        *ret = ring;
        return VN_OK;
}

enum vn_rc vn_ring_open(const char *path, uint32_t number, uint32_t slots, struct vn_ring **ret, struct vn_err *err)
{
        if (slots < 2 * MAX_PARTS || slots > MAX_SLOTS || (slots & (slots - 1)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "ring slots: %u is not a power of two in 64..%u", slots,
                               MAX_SLOTS);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        enum vn_rc rc = ring_map(fd, path, number, slots, ret, err);
        if (rc == VN_RESOURCE_EXHAUSTED)
                VN_IGNORE(ftruncate(fd, 0)); /* half an allocation must not pass for a ring at the next start */
        close(fd);
        return rc;
}

struct vn_ring *vn_ring_free(struct vn_ring *ring)
{
        if (!ring)
                return NULL;
        munmap(ring->file, ring->map_bytes);
        vn_free(ring);
        return NULL;
}

/* --- producer --- */
static uint64_t parts_of(size_t n)
{
        return n <= VN_RING_PAYLOAD_BYTES ? 1 : (n + VN_RING_PAYLOAD_BYTES - 1) / VN_RING_PAYLOAD_BYTES;
}

bool vn_ring_has_room(struct vn_ring *ring, size_t n)
{
        uint64_t end = ring->position + parts_of(n);
        if (end - ring->seen_tail > ring->mask + 1)
                ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        return end - ring->seen_tail <= ring->mask + 1;
}

enum vn_rc vn_ring_put_run(struct vn_ring *ring, const void *bytes, size_t n, uint16_t count)
{
        VN_ASSERT(n >= 1 && n <= VN_RING_MAX_RECORD_BYTES && count >= 1);
        uint64_t parts = parts_of(n);
        if (!vn_ring_has_room(ring, n))
                return VN_RESOURCE_EXHAUSTED;
        for (uint64_t i = 0; i < parts; i++) {
                struct slot *slot = &ring->slots[(ring->position + i) & ring->mask];
                size_t len = part_len(n, i);
                memcpy(slot->payload, (const uint8_t *)bytes + i * VN_RING_PAYLOAD_BYTES, len);
                slot->position = ring->position + i;
                slot->seq = ring->next_seq;
                slot->record_len = (uint16_t)n;
                slot->count = count;
                slot->part = (uint8_t)i;
                slot->parts = (uint8_t)parts;
                slot->sum = slot_sum(slot, len);
        }
        ring->position += parts;
        ring->next_seq += count;
        ring->file->head_seq = ring->next_seq;
        atomic_store_explicit(&ring->file->head, ring->position, memory_order_release);
        return VN_OK;
}

uint64_t vn_ring_next_seq(const struct vn_ring *ring)
{
        return ring->next_seq;
}

void vn_ring_lost(struct vn_ring *ring, uint64_t count, int64_t now_us, const uint8_t view[32])
{
        uint64_t lost = atomic_load_explicit(&ring->file->lost, memory_order_relaxed);
        if (lost == atomic_load_explicit(&ring->lost_told, memory_order_acquire))
                ring->file->lost_first_us = now_us;
        ring->file->lost_last_us = now_us;
        memcpy(ring->file->lost_view, view, sizeof ring->file->lost_view);
        atomic_store_explicit(&ring->file->lost, lost + count, memory_order_release);
}

/* --- consumer --- */
static bool slot_holds(const struct vn_ring *ring, uint64_t position)
{
        const struct slot *slot = &ring->slots[position & ring->mask];
        if (slot->position != position || !slot->record_len || slot->record_len > VN_RING_MAX_RECORD_BYTES ||
            !slot->count || slot->parts != (slot->record_len + VN_RING_PAYLOAD_BYTES - 1) / VN_RING_PAYLOAD_BYTES ||
            slot->part >= slot->parts)
                return false;
        return slot->sum == slot_sum(slot, part_len(slot->record_len, slot->part));
}

static bool record_holds(const struct vn_ring *ring, uint64_t position, uint64_t head)
{
        if (!slot_holds(ring, position))
                return false;
        const struct slot *first = &ring->slots[position & ring->mask];
        if (first->part != 0 || position + first->parts > head)
                return false;
        for (uint64_t i = 1; i < first->parts; i++) {
                const struct slot *slot = &ring->slots[(position + i) & ring->mask];
                if (!slot_holds(ring, position + i) || slot->seq != first->seq || slot->part != i ||
                    slot->record_len != first->record_len || slot->count != first->count)
                        return false;
        }
        return true;
}

/* After a power cut the head's page may be older than the slots: look at every slot that could hold something new. */
static uint64_t last_durable_position(const struct vn_ring *ring, uint64_t from)
{
        uint64_t end = from;
        for (uint64_t i = 0; i <= ring->mask; i++)
                if (slot_holds(ring, from + i))
                        end = from + i + 1;
        return end;
}

static uint64_t last_durable_seq(const struct vn_ring *ring, const struct vn_ring_mark *mark, uint64_t head)
{
        uint64_t next = mark->next_seq;
        for (uint64_t p = mark->position; p < head; p++)
                if (slot_holds(ring, p) && ring->slots[p & ring->mask].seq >= next)
                        next = ring->slots[p & ring->mask].seq + ring->slots[p & ring->mask].count;
        return next;
}

enum vn_rc vn_ring_recover(struct vn_ring *ring, const struct vn_ring_mark *mark, struct vn_err *err)
{
        struct ring_file *file = ring->file;
        char boot_id[BOOT_ID_BYTES];
        read_boot_id(boot_id);
        uint64_t head = atomic_load(&file->head), next_seq = file->head_seq;
        bool other_boot = memcmp(boot_id, file->boot_id, sizeof boot_id) != 0;
        bool cut = head < mark->position || next_seq < mark->next_seq || (other_boot && !file->clean);
        if (cut || head > mark->position + ring->mask + 1) {
                head = last_durable_position(ring, mark->position);
                next_seq = last_durable_seq(ring, mark, head);
                next_seq = ((next_seq >> SEQ_JUMP_BITS) + 1) << SEQ_JUMP_BITS;
                ring->jump_position = head;
                ring->jump_seq = next_seq;
        }
        if (atomic_load(&file->lost) < mark->lost)
                atomic_store(&file->lost, mark->lost);
        ring->position = head;
        ring->next_seq = next_seq;
        ring->seen_tail = mark->position;
        ring->cursor = ring->released = *mark;
        atomic_store(&ring->tail, mark->position);
        atomic_store(&ring->lost_told, mark->lost);
        file->clean = 0;
        memcpy(file->boot_id, boot_id, sizeof boot_id);
        file->head_seq = next_seq;
        atomic_store(&file->head, head);
        if (msync(file, PAGE_BYTES, MS_SYNC) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "ring %u: %s", ring->number, strerror(errno));
        return VN_OK;
}

static void gap_found(struct vn_ring *ring, enum vn_gap_kind kind, uint64_t first, uint64_t last, bool known)
{
        if (ring->gap_count == MAX_GAPS) { /* widen the last one: nothing missing may go unsaid */
                struct vn_gap *gap = &ring->gaps[MAX_GAPS - 1];
                gap->last_seq = last;
                gap->count = 0;
                return;
        }
        ring->gaps[ring->gap_count++] = (struct vn_gap){.kind = kind,
                                                        .ring = ring->number,
                                                        .count = known ? last - first + 1 : 0,
                                                        .first_seq = first,
                                                        .last_seq = last};
}

static void pass_jump(struct vn_ring *ring)
{
        if (!ring->jump_seq || ring->cursor.position < ring->jump_position)
                return;
        if (ring->jump_seq > ring->cursor.next_seq)
                gap_found(ring, VN_GAP_POWER_CUT, ring->cursor.next_seq, ring->jump_seq - 1, false);
        ring->cursor.next_seq = ring->jump_seq;
        ring->skipped = false;
}

enum vn_rc vn_ring_peek(struct vn_ring *ring, uint8_t *scratch, struct vn_str *ret, uint64_t *ret_seq)
{
        uint64_t head = atomic_load_explicit(&ring->file->head, memory_order_acquire);
        if (ring->cursor.next_seq < ring->jump_seq)
                pass_jump(ring);
        for (; ring->cursor.position < head; ring->cursor.position++) {
                if (ring->cursor.next_seq < ring->jump_seq)
                        pass_jump(ring);
                if (!record_holds(ring, ring->cursor.position, head)) {
                        ring->skipped = true;
                        continue;
                }
                const struct slot *slot = &ring->slots[ring->cursor.position & ring->mask];
                if (slot->seq < ring->cursor.next_seq) { /* consumed before: never twice */
                        ring->skipped = true;
                        continue;
                }
                if (slot->seq > ring->cursor.next_seq)
                        gap_found(ring, ring->skipped && !ring->jump_seq ? VN_GAP_CORRUPT : VN_GAP_POWER_CUT,
                                  ring->cursor.next_seq, slot->seq - 1, true);
                ring->skipped = false;
                *ret = vn_str_n(slot->payload, slot->record_len);
                *ret_seq = slot->seq;
                if (slot->parts > 1) {
                        for (uint64_t i = 0; i < slot->parts; i++)
                                memcpy(scratch + i * VN_RING_PAYLOAD_BYTES,
                                       ring->slots[(ring->cursor.position + i) & ring->mask].payload,
                                       part_len(slot->record_len, i));
                        *ret = vn_str_n(scratch, slot->record_len);
                }
                ring->cursor.position += slot->parts;
                ring->cursor.next_seq = slot->seq + slot->count;
                return VN_OK;
        }
        if (ring->cursor.next_seq < ring->jump_seq)
                pass_jump(ring);
        return VN_NOT_FOUND;
}

struct vn_ring_mark vn_ring_read_mark(const struct vn_ring *ring)
{
        return ring->cursor;
}

void vn_ring_rewind(struct vn_ring *ring)
{
        ring->cursor = ring->released;
        ring->skipped = false;
        ring->gap_count = ring->gap_taken = 0; /* the same walk finds them again */
}

void vn_ring_release(struct vn_ring *ring)
{
        ring->released = ring->cursor;
        memmove(ring->gaps, ring->gaps + ring->gap_taken, (ring->gap_count - ring->gap_taken) * sizeof *ring->gaps);
        ring->gap_count -= ring->gap_taken;
        ring->gap_taken = 0;
        atomic_store_explicit(&ring->lost_told, ring->cursor.lost, memory_order_release);
        atomic_store_explicit(&ring->tail, ring->cursor.position, memory_order_release);
}

bool vn_ring_take_gap(struct vn_ring *ring, struct vn_gap *ret)
{
        if (ring->gap_taken < ring->gap_count) {
                *ret = ring->gaps[ring->gap_taken++];
                return true;
        }
        uint64_t lost = atomic_load_explicit(&ring->file->lost, memory_order_acquire);
        if (lost == ring->cursor.lost)
                return false;
        *ret = (struct vn_gap){.kind = VN_GAP_LOST,
                               .ring = ring->number,
                               .count = lost - ring->cursor.lost,
                               .first_us = ring->file->lost_first_us,
                               .last_us = ring->file->lost_last_us};
        memcpy(ret->view, ring->file->lost_view, sizeof ret->view);
        ring->cursor.lost = lost;
        return true;
}

void vn_ring_close_clean(struct vn_ring *ring)
{
        if (ring->released.position != atomic_load(&ring->file->head))
                return;
        ring->file->clean = 1;
        VN_IGNORE(msync(ring->file, PAGE_BYTES, MS_SYNC)); /* failing only makes the next start suspicious */
}

uint64_t vn_ring_waiting(const struct vn_ring *ring)
{
        return atomic_load(&ring->file->head) - atomic_load(&ring->tail);
}
