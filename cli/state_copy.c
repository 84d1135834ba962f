/* Backup of a stopped server's state directory, and restore of any backup: the store is verified against its own signed
 * log on the way, keys and certificates go along, and nothing appears under the new name before all of it is there. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "decide/record.h"
#include "store/backup_dir.h"
#include "store/file.h"
#include "store/history.h"
#include "store/note.h"

#define PATH_BYTES 1024
#define LOG_KEY_NAME "vane.local/log"

static enum vn_rc no_keys(void *arg, struct vn_str record, struct vn_record_keys *ret)
{
        (void)arg, (void)record, (void)ret; /* a copy adds no records */
        return VN_FAILED_PRECONDITION;
}

static enum vn_rc record_leaf(void *arg, struct vn_str bytes, struct vn_leaf *ret)
{
        (void)arg;
        ret->len = VN_RECORD_LEAF_BYTES;
        return vn_record_leaf(bytes, ret->bytes, NULL);
}

static enum vn_rc no_gap(void *arg, const struct vn_gap *gap, struct vn_buf *ret)
{
        (void)arg, (void)gap, (void)ret;
        return VN_FAILED_PRECONDITION;
}

static bool tombstone(void *arg, struct vn_str bytes, uint64_t *ret_first, uint64_t *ret_last)
{
        (void)arg;
        struct vn_record *record = vn_alloc(sizeof *record);
        bool is = record && vn_record_decode(bytes, record, NULL) == VN_OK && record->kind == VN_RECORD_TOMBSTONE;
        if (is) {
                *ret_first = record->first_seq;
                *ret_last = record->last_seq;
        }
        vn_free(record);
        return is;
}

static const struct vn_record_ops ops = {.keys = no_keys, .leaf = record_leaf, .gap = no_gap, .tombstone = tombstone};

static enum vn_rc join(char ret[PATH_BYTES], const char *dir, const char *name, struct vn_err *err)
{
        if (snprintf(ret, PATH_BYTES, "%s/%s", dir, name) >= PATH_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%.100s: the path is too long", dir);
        return VN_OK;
}

static enum vn_rc fail_errno(const char *path, struct vn_err *err)
{
        return vn_fail(err, vn_rc_from_errno(errno), "%.150s: %s", path, strerror(errno));
}

static enum vn_rc open_key(const char *state, struct vn_note_key **ret, struct vn_err *err)
{
        char path[PATH_BYTES];

        VN_TRY(join(path, state, "log.key", err));
        if (access(path, R_OK)) /* else one would be made */
                return fail_errno(path, err);
        return vn_note_key_load_or_make(path, LOG_KEY_NAME, ret, err);
}

/* What was copied, for the last line of output. */
struct copied {
        struct vn_verify_report report;
        uint64_t bytes;
};
typedef enum vn_rc (*copy_fn)(const char *from, const char *to, struct copied *ret, struct vn_err *err);

static enum vn_rc back_up(const char *from, const char *to, struct copied *ret, struct vn_err *err)
{
        VN_AUTO(vn_note_key)
        key = NULL;
        char from_store[PATH_BYTES], to_store[PATH_BYTES];
        struct vn_backup_manifest manifest;

        VN_TRY(open_key(from, &key, err));
        VN_TRY(join(from_store, from, "store", err));
        VN_TRY(join(to_store, to, "store", err));
        /* Takes the store's lock: a server that still runs on it is found out. */
        VN_TRY(vn_store_verify(from_store, key, &ops, &ret->report, err));
        VN_TRY(vn_store_restore(from_store, to_store, key, &ops, &ret->report, err));
        VN_TRY(vn_backup_copy_beside(from, to, err));
        VN_TRY(vn_backup_seal(to, key, &ret->report, vn_now_us(vn_clock_real()), NULL, &manifest, err));
        ret->bytes = manifest.bytes;
        return VN_OK;
}

/* The copy is verified, not the original, which may lie on a medium that cannot be written. */
static enum vn_rc restore(const char *from, const char *to, struct copied *ret, struct vn_err *err)
{
        VN_AUTO(vn_note_key)
        key = NULL;
        char to_store[PATH_BYTES], text[VN_NOTE_KEY_TEXT_BYTES];
        struct vn_backup_manifest manifest;

        VN_TRY(vn_backup_unpack(from, to, &manifest, err));
        VN_TRY(open_key(to, &key, err));
        vn_note_key_text(key, text);
        if (strcmp(text, manifest.key))
                return vn_fail(err, VN_DATA_LOSS, "log.key: is not the key that the backup is signed with");
        VN_TRY(join(to_store, to, "store", err));
        VN_TRY(vn_store_verify(to_store, key, &ops, &ret->report, err));
        if (ret->report.log_size != manifest.size || !vn_hash_eq(&ret->report.checkpoint.root, &manifest.root))
                return vn_fail(err, VN_DATA_LOSS, "store/log: is of another time than the backup");
        ret->bytes = manifest.bytes;
        return VN_OK;
}

static enum cli_exit copy_state(const struct cli_input *in, copy_fn copy)
{
        const char *from = in->words[0], *to = in->words[1];
        char beside[PATH_BYTES];
        struct copied copied;
        struct vn_err err = {.rc = VN_OK};
        size_t length = strlen(to);
        enum vn_rc rc = VN_OK;
        bool made = false;

        while (length > 1 && to[length - 1] == '/')
                length--;
        if (snprintf(beside, sizeof(beside), "%.*s.partial", (int)length, to) >= (int)sizeof(beside))
                rc = vn_fail(&err, VN_INVALID_ARGUMENT, "the path is too long");
        else if (!access(to, F_OK))
                rc = vn_fail(&err, VN_ALREADY_EXISTS, "%.150s: is there already", to);
        else if (!mkdir(beside, 0700))
                made = true;
        else
                rc = errno == EEXIST ? vn_fail(&err, VN_ALREADY_EXISTS,
                                               "%.150s: left by a copy that was broken off; remove it", beside)
                                     : fail_errno(beside, &err);
        if (rc == VN_OK)
                rc = copy(from, beside, &copied, &err);
        if (rc == VN_OK && rename(beside, to))
                rc = fail_errno(to, &err);
        if (rc != VN_OK) {
                if (made)
                        VN_IGNORE(vn_dir_remove(beside, NULL)); /* the first error is the one to tell */
                fprintf(in->err, "vanectl: %s\n", err.msg);
                return CLI_FAILED;
        }
        fprintf(in->out,
                "%s: %llu bytes, %llu records in %llu segments, log of %llu entries verified, %llu expired\n", to,
                (unsigned long long)copied.bytes, (unsigned long long)copied.report.records,
                (unsigned long long)copied.report.segments, (unsigned long long)copied.report.log_size,
                (unsigned long long)copied.report.missing);
        return CLI_DONE;
}

enum cli_exit cli_backup(const struct cli_input *in)
{
        return copy_state(in, back_up);
}

enum cli_exit cli_restore(const struct cli_input *in)
{
        return copy_state(in, restore);
}
