#include "store/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/file.h"

#define LEVELS 8
#define SLOT_BYTES (2 + VN_LEAF_MAX_BYTES)
#define MAX_PENDING_BYTES (64u << 20)

struct vn_logfile {
        char dir[VN_PATH_BYTES];
        const struct vn_note_key *key;
        int leaf_fd;
        int hash_fd[LEVELS];
        /* writer's: the hashes of the last, partial tile of each level, and what no file holds yet */
        uint64_t size;
        size_t row_count[LEVELS];
        struct vn_hash row[LEVELS][VN_TILE_WIDTH];
        struct vn_buf leaf_pending;
        struct vn_buf hash_pending[LEVELS];
        _Atomic uint64_t syncs;
        /* published: any thread, under the mutex */
        pthread_mutex_t mutex;
        struct vn_checkpoint checkpoint;
        struct vn_buf note;
};

/* Hashes that level L holds for a tree of this size. */
static uint64_t level_count(uint64_t size, unsigned level)
{
        return size >> (8 * level);
}

static enum vn_rc file_path(const struct vn_logfile *log, const char *name, char ret[VN_PATH_BYTES],
                            struct vn_err *err)
{
        return vn_path_join(ret, log->dir, name, err);
}

static enum vn_rc open_one(const struct vn_logfile *log, const char *name, uint64_t bytes, bool read_only, int *ret,
                           struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        struct stat st;
        VN_TRY(file_path(log, name, path, err));
        *ret = open(path, (read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0600);
        if (*ret < 0 && read_only && errno == ENOENT && bytes == 0)
                return VN_OK;
        if (*ret < 0 || fstat(*ret, &st) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        if ((uint64_t)st.st_size < bytes)
                return vn_fail(err, VN_DATA_LOSS, "%s: shorter than the checkpoint says", path);
        if (!read_only && (uint64_t)st.st_size > bytes && ftruncate(*ret, (off_t)bytes) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        return VN_OK;
}

static enum vn_rc read_checkpoint(struct vn_logfile *log, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        VN_TRY(file_path(log, "checkpoint", path, err));
        if (access(path, F_OK) != 0 && errno == ENOENT) {
                VN_ASSERT(vn_str_copy(log->checkpoint.origin, sizeof log->checkpoint.origin,
                                      vn_str(vn_note_key_name(log->key))));
                log->checkpoint.root = vn_tlog_empty_root();
                return VN_OK;
        }
        VN_TRY(vn_file_read(path, &log->note, err));
        enum vn_rc rc = vn_checkpoint_open(log->key, vn_buf_view(&log->note), &log->checkpoint, err);
        return rc == VN_OK ? rc : vn_err_prefix(err, rc, "%s", path);
}

static enum vn_rc open_files(struct vn_logfile *log, bool read_only, struct vn_err *err)
{
        char name[16];
        uint64_t size = log->checkpoint.size;
        VN_TRY(open_one(log, "leaf", size * SLOT_BYTES, read_only, &log->leaf_fd, err));
        for (unsigned level = 0; level < LEVELS; level++) {
                snprintf(name, sizeof name, "hash.%u", level);
                VN_TRY(open_one(log, name, level_count(size, level) * VN_HASH_BYTES, read_only, &log->hash_fd[level],
                                err));
        }
        return read_only ? VN_OK : vn_dir_sync(log->dir, err);
}

/* The root from the partial rows alone: a row and what lies right of it, seen as one more, smaller element, is the
 * shape that RFC 6962 gives the tree. */
static struct vn_hash current_root(const struct vn_logfile *log)
{
        struct vn_hash row[VN_TILE_WIDTH], rest;
        bool some = false;
        for (unsigned level = 0; level < LEVELS; level++) {
                size_t n = log->row_count[level];
                if (!n)
                        continue;
                memcpy(row, log->row[level], n * sizeof *row);
                if (some)
                        row[n++] = rest;
                rest = vn_tlog_tile_root(row, n);
                some = true;
        }
        return some ? rest : vn_tlog_empty_root();
}

static enum vn_rc load_rows(struct vn_logfile *log, struct vn_err *err)
{
        log->size = log->checkpoint.size;
        for (unsigned level = 0; level < LEVELS; level++) {
                uint64_t count = level_count(log->size, level), first = count & ~UINT64_C(255);
                log->row_count[level] = (size_t)(count - first);
                if (log->row_count[level])
                        VN_TRY(vn_file_pread(log->hash_fd[level], log->row[level],
                                             log->row_count[level] * VN_HASH_BYTES, first * VN_HASH_BYTES, err));
        }
        struct vn_hash root = current_root(log);
        if (!vn_hash_eq(&root, &log->checkpoint.root))
                return vn_fail(err, VN_DATA_LOSS, "%s: the hashes do not give the checkpoint's root", log->dir);
        return VN_OK;
}

enum vn_rc vn_logfile_open(const char *dir, const struct vn_note_key *key, bool read_only, struct vn_logfile **ret,
                           struct vn_err *err)
{
        VN_AUTO(vn_logfile)
        log = vn_alloc(sizeof *log);
        if (!log)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        pthread_mutex_init(&log->mutex, NULL);
        log->key = key;
        log->leaf_fd = -1;
        log->leaf_pending = VN_BUF_INIT(MAX_PENDING_BYTES);
        log->note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        for (unsigned level = 0; level < LEVELS; level++) {
                log->hash_fd[level] = -1;
                log->hash_pending[level] = VN_BUF_INIT(MAX_PENDING_BYTES);
        }
        if (!vn_str_copy(log->dir, sizeof log->dir, vn_str(dir)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "path is too long");
        if (!read_only)
                VN_TRY(vn_dir_make(dir, err));
        VN_TRY(read_checkpoint(log, err));
        VN_TRY(open_files(log, read_only, err));
        VN_TRY(load_rows(log, err));
        *ret = vn_steal(&log);
        return VN_OK;
}

struct vn_logfile *vn_logfile_free(struct vn_logfile *log)
{
        if (!log)
                return NULL;
        if (log->leaf_fd >= 0)
                close(log->leaf_fd);
        for (unsigned level = 0; level < LEVELS; level++) {
                if (log->hash_fd[level] >= 0)
                        close(log->hash_fd[level]);
                vn_buf_done(&log->hash_pending[level]);
        }
        vn_buf_done(&log->leaf_pending);
        vn_buf_done(&log->note);
        pthread_mutex_destroy(&log->mutex);
        vn_free(log);
        return NULL;
}

uint64_t vn_logfile_size(const struct vn_logfile *log)
{
        return log->size;
}

uint64_t vn_logfile_bytes(const struct vn_logfile *log)
{
        return log->size * (SLOT_BYTES + VN_HASH_BYTES + 1);
}

uint64_t vn_logfile_syncs(const struct vn_logfile *log)
{
        return atomic_load(&log->syncs);
}

/* --- writing --- */
static bool push_hash(struct vn_logfile *log, unsigned level, struct vn_hash hash)
{
        for (; level < LEVELS; level++) {
                if (!vn_buf_add(&log->hash_pending[level], hash.b, VN_HASH_BYTES))
                        return false;
                log->row[level][log->row_count[level]++] = hash;
                if (log->row_count[level] < VN_TILE_WIDTH)
                        return true;
                hash = vn_tlog_tile_root(log->row[level], VN_TILE_WIDTH);
                log->row_count[level] = 0;
        }
        return true;
}

enum vn_rc vn_logfile_append(struct vn_logfile *log, const struct vn_leaf *leaf)
{
        uint8_t slot[SLOT_BYTES] = {(uint8_t)(leaf->len >> 8), (uint8_t)leaf->len};
        VN_ASSERT(leaf->len <= VN_LEAF_MAX_BYTES);
        memcpy(slot + 2, leaf->bytes, leaf->len);
        /* Room is made first, so that a leaf is in all buffers or in none. */
        for (unsigned level = 0; level < LEVELS; level++)
                if (!vn_buf_reserve(&log->hash_pending[level], VN_HASH_BYTES))
                        return VN_RESOURCE_EXHAUSTED;
        if (!vn_buf_add(&log->leaf_pending, slot, sizeof slot))
                return VN_RESOURCE_EXHAUSTED;
        VN_ASSERT(push_hash(log, 0, vn_tlog_leaf_hash(vn_str_n(leaf->bytes, leaf->len))));
        log->size++;
        return VN_OK;
}

static enum vn_rc write_pending(struct vn_logfile *log, int fd, const struct vn_buf *pending, uint64_t end,
                                struct vn_err *err)
{
        if (!pending->len)
                return VN_OK;
        VN_TRY(vn_file_pwrite(fd, pending->ptr, pending->len, end - pending->len, err));
        if (VN_FAULT("log.sync"))
                return vn_fail(err, VN_DATA_LOSS, "%s: injected sync failure", log->dir);
        atomic_fetch_add(&log->syncs, 1);
        if (fdatasync(fd) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", log->dir, strerror(errno));
        return VN_OK;
}

enum vn_rc vn_logfile_publish(struct vn_logfile *log, struct vn_err *err)
{
        if (log->size == log->checkpoint.size && log->note.len)
                return VN_OK;
        VN_TRY(write_pending(log, log->leaf_fd, &log->leaf_pending, log->size * SLOT_BYTES, err));
        for (unsigned level = 0; level < LEVELS; level++)
                VN_TRY(write_pending(log, log->hash_fd[level], &log->hash_pending[level],
                                     level_count(log->size, level) * VN_HASH_BYTES, err));
        struct vn_checkpoint next = log->checkpoint;
        next.size = log->size;
        next.root = current_root(log);
        char path[VN_PATH_BYTES];
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_TRY(vn_checkpoint_format(&next, &text));
        VN_TRY(vn_note_sign(log->key, vn_buf_view(&text), &note, err));
        VN_TRY(file_path(log, "checkpoint", path, err));
        if (VN_FAULT("log.checkpoint.before"))
                return vn_fail(err, VN_UNAVAILABLE, "injected failure before the checkpoint");
        VN_TRY(vn_file_write_atomic(path, vn_buf_view(&note), 0644, err));
        atomic_fetch_add(&log->syncs, 2);
        VN_IGNORE(VN_FAULT("log.checkpoint.after")); /* a place to be killed at */
        vn_buf_reset(&log->leaf_pending);
        for (unsigned level = 0; level < LEVELS; level++)
                vn_buf_reset(&log->hash_pending[level]);
        pthread_mutex_lock(&log->mutex);
        struct vn_buf old = log->note;
        log->note = note;
        note = old;
        log->checkpoint = next;
        pthread_mutex_unlock(&log->mutex);
        return VN_OK;
}

/* --- reading --- */
struct vn_checkpoint vn_logfile_checkpoint(struct vn_logfile *log)
{
        pthread_mutex_lock(&log->mutex);
        struct vn_checkpoint checkpoint = log->checkpoint;
        pthread_mutex_unlock(&log->mutex);
        return checkpoint;
}

enum vn_rc vn_logfile_note(struct vn_logfile *log, struct vn_buf *ret)
{
        pthread_mutex_lock(&log->mutex);
        vn_buf_str(ret, vn_buf_view(&log->note));
        pthread_mutex_unlock(&log->mutex);
        return vn_buf_check(ret, NULL);
}

static enum vn_rc read_hashes(void *arg, unsigned level, uint64_t first, size_t count, struct vn_hash *ret,
                              struct vn_err *err)
{
        struct vn_logfile *log = arg;
        uint64_t have = level < LEVELS ? level_count(vn_logfile_checkpoint(log).size, level) : 0;
        if (count > have || first > have - count)
                return vn_fail(err, VN_NOT_FOUND, "the log has no such hash yet");
        return vn_file_pread(log->hash_fd[level], ret, count * VN_HASH_BYTES, first * VN_HASH_BYTES, err);
}

struct vn_tlog_reader vn_logfile_reader(struct vn_logfile *log)
{
        return (struct vn_tlog_reader){read_hashes, log};
}

static enum vn_rc slot_leaf(const uint8_t *slot, struct vn_str *ret, struct vn_err *err)
{
        size_t len = (size_t)slot[0] << 8 | slot[1];
        if (len > VN_LEAF_MAX_BYTES)
                return vn_fail(err, VN_DATA_LOSS, "a leaf in the log is damaged");
        *ret = vn_str_n(slot + 2, len);
        return VN_OK;
}

enum vn_rc vn_logfile_leaf(struct vn_logfile *log, uint64_t seq, struct vn_leaf *ret, struct vn_err *err)
{
        uint8_t slot[SLOT_BYTES];
        struct vn_str leaf = {NULL, 0};
        if (seq >= vn_logfile_checkpoint(log).size)
                return vn_fail(err, VN_NOT_FOUND, "the log has no leaf %llu yet", (unsigned long long)seq);
        VN_TRY(vn_file_pread(log->leaf_fd, slot, sizeof slot, seq * SLOT_BYTES, err));
        VN_TRY(slot_leaf(slot, &leaf, err));
        ret->len = leaf.len;
        memcpy(ret->bytes, leaf.ptr, leaf.len);
        return VN_OK;
}

static enum vn_rc entry_bundle(struct vn_logfile *log, const struct vn_tile_name *tile, struct vn_buf *ret,
                               struct vn_err *err)
{
        uint8_t slots[VN_TILE_WIDTH * SLOT_BYTES];
        struct vn_str leaf = {NULL, 0};
        VN_TRY(vn_file_pread(log->leaf_fd, slots, tile->width * (size_t)SLOT_BYTES,
                             tile->index * VN_TILE_WIDTH * SLOT_BYTES, err));
        for (unsigned i = 0; i < tile->width; i++) {
                const uint8_t *slot = slots + (size_t)i * SLOT_BYTES;
                VN_TRY(slot_leaf(slot, &leaf, err));
                vn_buf_add(ret, slot, 2 + leaf.len);
        }
        return vn_buf_check(ret, err);
}

enum vn_rc vn_logfile_tile(struct vn_logfile *log, const struct vn_tile_name *tile, struct vn_buf *ret,
                           struct vn_err *err)
{
        unsigned level = tile->level == VN_TILE_ENTRIES ? 0 : tile->level;
        uint64_t have = level < LEVELS ? level_count(vn_logfile_checkpoint(log).size, level) : 0;
        if (!tile->width || tile->width > VN_TILE_WIDTH || tile->index > have / VN_TILE_WIDTH ||
            tile->index * VN_TILE_WIDTH + tile->width > have)
                return vn_fail(err, VN_NOT_FOUND, "the log has no such tile yet");
        if (tile->level == VN_TILE_ENTRIES)
                return entry_bundle(log, tile, ret, err);
        struct vn_hash hashes[VN_TILE_WIDTH];
        VN_TRY(read_hashes(log, level, tile->index * VN_TILE_WIDTH, tile->width, hashes, err));
        vn_buf_add(ret, hashes, tile->width * sizeof *hashes);
        return vn_buf_check(ret, err);
}

/* --- backup and verification --- */
enum vn_rc vn_logfile_backup(struct vn_logfile *log, const char *to_dir, struct vn_err *err)
{
        char from[VN_PATH_BYTES], to[VN_PATH_BYTES], name[16];
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        struct vn_checkpoint checkpoint = vn_logfile_checkpoint(log);
        if (!checkpoint.size)
                return VN_OK;
        VN_TRY(vn_logfile_note(log, &note));
        VN_TRY(vn_checkpoint_open(log->key, vn_buf_view(&note), &checkpoint, err));
        VN_TRY(file_path(log, "leaf", from, err));
        VN_TRY(vn_path_join(to, to_dir, "leaf", err));
        VN_TRY(vn_file_copy(from, to, checkpoint.size * SLOT_BYTES, err));
        for (unsigned level = 0; level < LEVELS; level++) {
                snprintf(name, sizeof name, "hash.%u", level);
                VN_TRY(file_path(log, name, from, err));
                VN_TRY(vn_path_join(to, to_dir, name, err));
                VN_TRY(vn_file_copy(from, to, level_count(checkpoint.size, level) * VN_HASH_BYTES, err));
        }
        VN_TRY(vn_path_join(to, to_dir, "checkpoint", err));
        return vn_file_write_atomic(to, vn_buf_view(&note), 0644, err);
}

static enum vn_rc verify_hash(struct vn_logfile *log, unsigned level, uint64_t index, const struct vn_hash *want,
                              struct vn_err *err)
{
        struct vn_hash have;
        VN_TRY(read_hashes(log, level, index, 1, &have, err));
        if (!vn_hash_eq(&have, want))
                return vn_fail(err, VN_DATA_LOSS, "%s/hash.%u: hash %llu is not that of the leaves below it",
                               log->dir, level, (unsigned long long)index);
        return VN_OK;
}

enum vn_rc vn_logfile_verify(struct vn_logfile *log, struct vn_err *err)
{
        uint64_t size = vn_logfile_checkpoint(log).size;
        struct vn_hash row[VN_TILE_WIDTH], root;
        struct vn_leaf leaf = {.len = 0};
        for (uint64_t i = 0; i < size; i++) {
                VN_TRY(vn_logfile_leaf(log, i, &leaf, err));
                row[i % VN_TILE_WIDTH] = vn_tlog_leaf_hash(vn_str_n(leaf.bytes, leaf.len));
                VN_TRY(verify_hash(log, 0, i, &row[i % VN_TILE_WIDTH], err));
        }
        for (unsigned level = 1; level < LEVELS; level++) {
                for (uint64_t i = 0; i < level_count(size, level); i++) {
                        VN_TRY(read_hashes(log, level - 1, i * VN_TILE_WIDTH, VN_TILE_WIDTH, row, err));
                        root = vn_tlog_tile_root(row, VN_TILE_WIDTH);
                        VN_TRY(verify_hash(log, level, i, &root, err));
                }
        }
        struct vn_tlog_reader reader = vn_logfile_reader(log);
        VN_TRY(vn_tlog_root(&reader, size, &root, err));
        if (!vn_hash_eq(&root, &log->checkpoint.root))
                return vn_fail(err, VN_DATA_LOSS, "%s: the leaves do not give the checkpoint's root", log->dir);
        return VN_OK;
}
