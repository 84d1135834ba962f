/* Backup and restore of a stopped server's state directory: the store is verified against its own signed log on the
 * way, keys and certificates go along, and nothing appears under the new name before all of it is there. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "decide/record.h"
#include "store/file.h"
#include "store/history.h"
#include "store/note.h"

#define PATH_BYTES 1024
#define MAX_FILE_BYTES ((size_t)16 << 20)
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

/* What is not the store: keys, certificates, settings; not what tells of a running process or a first login. */
static bool is_wanted(const char *name)
{
        return name[0] != '.' && strcmp(name, "store") && strcmp(name, "ready.json") &&
               strcmp(name, "first-login.json");
}

static enum vn_rc copy_file(const char *from, const char *to, mode_t mode, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        content = VN_BUF_INIT(MAX_FILE_BYTES);
        enum vn_rc rc;

        VN_TRY(vn_file_read(from, &content, err));
        rc = vn_file_write_atomic(to, vn_buf_view(&content), mode & 0777, err);
        if (content.ptr)
                explicit_bzero(content.ptr, content.len); /* private keys are among them */
        return rc;
}

static enum vn_rc copy_files(const char *from, const char *to, bool folders, struct vn_err *err)
{
        DIR *dir = opendir(from);
        enum vn_rc rc = VN_OK;

        if (!dir)
                return fail_errno(from, err);
        for (struct dirent *entry; rc == VN_OK && (entry = readdir(dir));) {
                char a[PATH_BYTES], b[PATH_BYTES];
                struct stat info;
                if (!is_wanted(entry->d_name))
                        continue;
                rc = join(a, from, entry->d_name, err);
                if (rc == VN_OK)
                        rc = join(b, to, entry->d_name, err);
                if (rc != VN_OK)
                        break;
                if (lstat(a, &info))
                        rc = fail_errno(a, err);
                else if (S_ISREG(info.st_mode))
                        rc = copy_file(a, b, info.st_mode, err);
                else if (S_ISDIR(info.st_mode) && folders)
                        rc = mkdir(b, 0700) ? fail_errno(b, err) : copy_files(a, b, false, err);
        }
        closedir(dir);
        return rc;
}

static enum vn_rc open_key(const char *state, struct vn_note_key **ret, struct vn_err *err)
{
        char path[PATH_BYTES];

        VN_TRY(join(path, state, "log.key", err));
        if (access(path, R_OK)) /* else one would be made */
                return fail_errno(path, err);
        return vn_note_key_load_or_make(path, LOG_KEY_NAME, ret, err);
}

static enum vn_rc copy_into(const char *from, const char *to, bool check_first, struct vn_verify_report *report,
                            struct vn_err *err)
{
        VN_AUTO(vn_note_key)
        key = NULL;
        char from_store[PATH_BYTES], to_store[PATH_BYTES];

        VN_TRY(open_key(from, &key, err));
        VN_TRY(join(from_store, from, "store", err));
        VN_TRY(join(to_store, to, "store", err));
        /* Takes the store's lock: a server that still runs on it is found out. */
        if (check_first)
                VN_TRY(vn_store_verify(from_store, key, &ops, report, err));
        VN_TRY(vn_store_restore(from_store, to_store, key, &ops, report, err));
        return copy_files(from, to, true, err);
}

static enum cli_exit copy_state(const struct cli_input *in, bool check_first)
{
        const char *from = in->words[0], *to = in->words[1];
        char beside[PATH_BYTES];
        struct vn_verify_report report;
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
                rc = copy_into(from, beside, check_first, &report, &err);
        if (rc == VN_OK && rename(beside, to))
                rc = fail_errno(to, &err);
        if (rc != VN_OK) {
                if (made)
                        VN_IGNORE(vn_dir_remove(beside, NULL)); /* the first error is the one to tell */
                fprintf(in->err, "vanectl: %s\n", err.msg);
                return CLI_FAILED;
        }
        fprintf(in->out, "%s: %llu records in %llu segments, log of %llu entries verified, %llu expired\n", to,
                (unsigned long long)report.records, (unsigned long long)report.segments,
                (unsigned long long)report.log_size, (unsigned long long)report.missing);
        return CLI_DONE;
}

enum cli_exit cli_backup(const struct cli_input *in)
{
        return copy_state(in, true);
}

enum cli_exit cli_restore(const struct cli_input *in)
{
        return copy_state(in, false); /* a backup may lie on a medium that cannot be written; the copy is verified */
}
