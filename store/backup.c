/* Backup, restore and verification of a whole state directory.
 * A backup is taken while the store runs. Order: log (what is signed), tables, segments, so that whatever a later copy
 * holds more of only adds unsigned records; opening the copy makes their leaves again. Rings are left out: a restored
 * store tells of the answers that stood only there with a gap record, as after a power cut. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/history.h"
#include "store/store_parts.h"

static enum vn_rc must_be_fresh(const char *dir, struct vn_err *err)
{
        DIR *d = opendir(dir);
        if (!d)
                return errno == ENOENT ? VN_OK
                                       : vn_fail(err, vn_rc_from_errno(errno), "%s: %s", dir, strerror(errno));
        bool empty = true;
        for (struct dirent *entry; (entry = readdir(d));)
                empty = empty && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."));
        closedir(d);
        return empty ? VN_OK : vn_fail(err, VN_ALREADY_EXISTS, "%s: is not empty", dir);
}

/* Copies a folder of files and folders of files; what vanishes meanwhile (a deleted blob) is left out. */
static enum vn_rc copy_tree(const char *from, const char *to, unsigned depth, const atomic_bool *stop,
                            struct vn_err *err)
{
        DIR *dir = opendir(from);
        enum vn_rc rc = VN_OK;
        if (!dir)
                return errno == ENOENT || errno == ENOTDIR
                               ? VN_OK
                               : vn_fail(err, vn_rc_from_errno(errno), "%s: %s", from, strerror(errno));
        rc = vn_dir_make(to, err);
        for (struct dirent *entry; rc == VN_OK && (entry = readdir(dir));) {
                char a[VN_PATH_BYTES], b[VN_PATH_BYTES];
                if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "lock.mdb") || !strcmp(entry->d_name, "LOCK"))
                        continue;
                rc = vn_path_join(a, from, entry->d_name, err);
                if (rc == VN_OK)
                        rc = vn_path_join(b, to, entry->d_name, err);
                if (rc == VN_OK && stop && atomic_load(stop))
                        rc = vn_fail(err, VN_CANCELLED, "broken off: the server is stopping");
                if (rc != VN_OK)
                        break;
                if (entry->d_type == DT_DIR)
                        rc = depth ? copy_tree(a, b, depth - 1, stop, err)
                                   : vn_fail(err, VN_INVALID_ARGUMENT, "%s: unexpected folder", a);
                else
                        rc = vn_file_copy(a, b, UINT64_MAX, err);
                if (rc == VN_NOT_FOUND)
                        rc = VN_OK;
        }
        closedir(dir);
        return rc == VN_OK ? vn_dir_sync(to, err) : rc;
}

static enum vn_rc backup_into(struct vn_store *store, const char *dir, const atomic_bool *stop, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        VN_TRY(vn_dir_make(dir, err));
        VN_TRY(vn_path_join(path, dir, "log", err));
        VN_TRY(vn_dir_make(path, err));
        VN_TRY(vn_logfile_backup(store->log, path, err));
        VN_TRY(store->engine->ops->backup(store->engine, dir, stop, err));
        VN_TRY(vn_path_join(path, dir, "blobs", err));
        VN_TRY(copy_tree(store->blob_dir, path, 1, stop, err));
        return vn_dir_sync(dir, err);
}

static enum vn_rc beside_name(const char *dir, char ret[VN_PATH_BYTES], struct vn_err *err)
{
        int n = snprintf(ret, VN_PATH_BYTES, "%s.new", dir);
        return n > 0 && n < VN_PATH_BYTES ? VN_OK : vn_fail(err, VN_INVALID_ARGUMENT, "path is too long");
}

static enum vn_rc move_into_place(const char *from, const char *to, struct vn_err *err)
{
        char parent[VN_PATH_BYTES];
        VN_TRY(vn_path_join(parent, from, "..", err));
        if (VN_FAULT("store.backup.rename") || rename(from, to) != 0) /* an empty folder there is replaced */
                return vn_fail(err, vn_rc_from_errno(errno ? errno : EIO), "%s: cannot rename to %s", from, to);
        VN_TRY(vn_path_join(parent, to, "..", err));
        return vn_dir_sync(parent, err);
}

enum vn_rc vn_store_backup(struct vn_store *store, const char *to_dir, const atomic_bool *stop, struct vn_err *err)
{
        char beside[VN_PATH_BYTES];
        VN_TRY(must_be_fresh(to_dir, err));
        VN_TRY(beside_name(to_dir, beside, err));
        VN_TRY(vn_dir_remove(beside, err));
        /* A full disk hinders no backup to another one: what is committed is copied. */
        enum vn_rc rc = vn_store_flush(store, err);
        if (rc != VN_OK && rc != VN_RESOURCE_EXHAUSTED)
                return rc;
        rc = backup_into(store, beside, stop, err);
        if (rc == VN_OK)
                rc = move_into_place(beside, to_dir, err);
        if (rc != VN_OK)
                VN_IGNORE(vn_dir_remove(beside, NULL));
        return rc;
}

/* --- verification --- */
#define MAX_SPANS 1000000

struct spans {
        struct vn_span *at; /* first_seq, last_seq */
        size_t count;
};
struct verify {
        const struct vn_record_ops *ops;
        struct vn_logfile *log;
        struct vn_verify_report *report;
        uint64_t next;           /* number that the next record must have */
        struct spans holes;      /* numbers without a record */
        struct spans tombstones; /* what signed records say was dropped */
        enum vn_rc rc;
        struct vn_err *err;
};

static enum vn_rc add_span(struct spans *spans, uint64_t first, uint64_t last, struct vn_err *err)
{
        struct vn_span *grown =
                spans->count < MAX_SPANS ? vn_realloc(spans->at, (spans->count + 1) * sizeof *grown) : NULL;
        if (!grown)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory, or too many tombstones");
        spans->at = grown;
        spans->at[spans->count++] = (struct vn_span){.first_seq = first, .last_seq = last};
        return VN_OK;
}

static enum vn_rc note_hole(struct verify *v, uint64_t next_found)
{
        if (next_found <= v->next)
                return VN_OK;
        v->report->missing += next_found - v->next;
        return add_span(&v->holes, v->next, next_found - 1, v->err);
}

/* A tombstone speaks of what came before it. */
static enum vn_rc note_tombstone(struct verify *v, uint64_t seq, struct vn_str record)
{
        uint64_t first, last;
        if (!v->ops->tombstone || !v->ops->tombstone(v->ops->arg, record, &first, &last) || first > last ||
            last >= seq)
                return VN_OK;
        return add_span(&v->tombstones, first, last, v->err);
}

static bool is_told(const struct spans *tombstones, const struct vn_span *hole)
{
        uint64_t at = hole->first_seq;
        for (bool further = true; further && at <= hole->last_seq;) {
                further = false;
                for (size_t i = 0; i < tombstones->count; i++)
                        if (tombstones->at[i].first_seq <= at && at <= tombstones->at[i].last_seq) {
                                at = tombstones->at[i].last_seq + 1;
                                further = true;
                        }
        }
        return at > hole->last_seq;
}

static enum vn_rc check_holes(const struct verify *v, struct vn_err *err)
{
        for (size_t i = 0; i < v->holes.count; i++)
                if (!is_told(&v->tombstones, &v->holes.at[i]))
                        return vn_fail(err, VN_DATA_LOSS,
                                       "records %llu to %llu are missing, and no tombstone in the log tells why",
                                       (unsigned long long)v->holes.at[i].first_seq,
                                       (unsigned long long)v->holes.at[i].last_seq);
        return VN_OK;
}

static bool verify_record(void *arg, uint64_t seq, struct vn_str record)
{
        struct verify *v = arg;
        struct vn_leaf want, have;
        v->report->records++;
        if (seq >= v->report->checkpoint.size)
                return true;
        v->rc = note_hole(v, seq);
        v->next = seq + 1;
        if (v->rc == VN_OK)
                v->rc = note_tombstone(v, seq, record);
        if (v->rc == VN_OK)
                v->rc = vn_writer_leaf(v->ops, record, &want);
        if (v->rc == VN_OK)
                v->rc = vn_logfile_leaf(v->log, seq, &have, v->err);
        if (v->rc == VN_OK && (want.len != have.len || memcmp(want.bytes, have.bytes, want.len)))
                v->rc = vn_fail(v->err, VN_DATA_LOSS, "record %llu is not the one that the log commits to",
                                (unsigned long long)seq);
        return v->rc == VN_OK;
}

static enum vn_rc verify_records(struct verify *v, struct vn_engine *engine, struct vn_err *err)
{
        struct vn_record_filter filter = {.limit = SIZE_MAX};
        struct vn_engine_state state = {.next_seq = 0};
        VN_TRY(engine->ops->state(engine, &state, err));
        if (state.next_seq < v->report->checkpoint.size)
                return vn_fail(err, VN_DATA_LOSS, "the log has %llu leaves, but only %llu records were committed",
                               (unsigned long long)v->report->checkpoint.size, (unsigned long long)state.next_seq);
        while (filter.from_seq < state.next_seq) {
                uint64_t next;
                VN_TRY(engine->ops->records(engine, &filter, verify_record, v, &next, err));
                VN_TRY(v->rc);
                if (next <= filter.from_seq)
                        break;
                filter.from_seq = next;
        }
        VN_TRY(note_hole(v, v->report->checkpoint.size));
        return check_holes(v, err);
}

static enum vn_rc verify_locked(const char *dir, const struct vn_note_key *key, const struct vn_record_ops *ops,
                                struct vn_verify_report *ret, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        VN_AUTO(vn_logfile)
        log = NULL;
        struct vn_engine_usage usage = {.used_bytes = 0};
        struct vn_store_config config = {.dir = dir, .log_key = key, .record = *ops};
        struct vn_engine *engine;
        memset(ret, 0, sizeof *ret);
        vn_store_config_defaults(&config);
        VN_TRY(vn_path_join(path, dir, "log", err));
        VN_TRY(vn_logfile_open(path, key, true, &log, err));
        ret->checkpoint = vn_logfile_checkpoint(log);
        ret->log_size = ret->checkpoint.size;
        VN_TRY(vn_logfile_verify(log, err));
        VN_TRY(vn_path_join(path, dir, "keyed/data.mdb", err));
        if (access(path, F_OK) != 0)
                return vn_fail(err, VN_NOT_FOUND, "%s: not there: this is no state directory", path);
        VN_TRY(vn_engine_lmdb_open(&config, &engine, err));
        struct verify v = {.ops = ops, .log = log, .report = ret, .err = err};
        enum vn_rc rc = verify_records(&v, engine, err);
        vn_free(v.holes.at);
        vn_free(v.tombstones.at);
        engine->ops->usage(engine, &usage);
        ret->segments = usage.segments;
        engine->ops->close(engine);
        return rc;
}

enum vn_rc vn_store_verify(const char *dir, const struct vn_note_key *key, const struct vn_record_ops *ops,
                           struct vn_verify_report *ret, struct vn_err *err)
{
        int lock;
        if (access(dir, F_OK) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", dir, strerror(errno));
        VN_TRY(vn_store_lock(dir, &lock, err));
        enum vn_rc rc = verify_locked(dir, key, ops, ret, err);
        close(lock);
        return rc;
}

enum vn_rc vn_store_restore(const char *from_dir, const char *to_dir, const struct vn_note_key *key,
                            const struct vn_record_ops *ops, struct vn_verify_report *ret, struct vn_err *err)
{
        char beside[VN_PATH_BYTES];
        if (access(from_dir, F_OK) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", from_dir, strerror(errno));
        VN_TRY(must_be_fresh(to_dir, err));
        VN_TRY(beside_name(to_dir, beside, err));
        VN_TRY(vn_dir_remove(beside, err));
        /* The copy is verified, not the original: a backup on a read-only medium works, and stays untouched. */
        enum vn_rc rc = copy_tree(from_dir, beside, 2, NULL, err);
        if (rc == VN_OK)
                rc = vn_store_verify(beside, key, ops, ret, err);
        if (rc == VN_OK)
                rc = move_into_place(beside, to_dir, err);
        if (rc != VN_OK)
                VN_IGNORE(vn_dir_remove(beside, NULL));
        return rc;
}
