#include "server/audit/backup_make.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "server/audit/backup.h"
#include "server/record.h"
#include "store/backup_dir.h"
#include "store/file.h"

#define MAKING ".making"
#define SETTINGS "vaned.yaml"
#define MAX_SETTINGS_BYTES ((size_t)1 << 20)
#define KEEP_FREE_BYTES (UINT64_C(64) << 20) /* the store changes nothing any more with less */
#define BESIDE_BYTES (UINT64_C(1) << 20)     /* keys, list, settings */

/* --- the folder --- */

/* How many there are, half-made ones by hand included, and what those with a manifest take. */
static enum vn_rc count_backups(const char *dir, size_t *ret_count, uint64_t *ret_bytes, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        struct vn_backup_manifest manifest;
        DIR *d = opendir(dir);
        *ret_count = 0;
        *ret_bytes = 0;
        if (!d)
                return errno == ENOENT ? VN_OK
                                       : vn_fail(err, vn_rc_from_errno(errno), "%s: %s", dir, strerror(errno));
        for (struct dirent *entry; (entry = readdir(d));) {
                if (entry->d_name[0] == '.')
                        continue;
                ++*ret_count;
                if (vn_path_join(path, dir, entry->d_name, NULL) == VN_OK &&
                    vn_backup_read(path, &manifest, NULL) == VN_OK)
                        *ret_bytes += manifest.bytes;
        }
        closedir(d);
        return VN_OK;
}

static enum vn_rc is_room(const struct vn_backup_place *place, uint64_t other_bytes, struct vn_err *err)
{
        struct vn_store_stats stats;
        vn_store_stats(place->server->store, &stats);
        uint64_t need = stats.used_bytes + BESIDE_BYTES;
        if (stats.used_bytes + other_bytes + need > stats.budget_bytes)
                return vn_fail(
                        err, VN_RESOURCE_EXHAUSTED,
                        "a backup needs about %llu MB, the store and other backups have %llu of the disk budget's "
                        "%llu: move backups away",
                        (unsigned long long)need >> 20, (unsigned long long)(stats.used_bytes + other_bytes) >> 20,
                        (unsigned long long)stats.budget_bytes >> 20);
        if (stats.free_bytes < need + KEEP_FREE_BYTES)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED,
                               "a backup needs about %llu MB, the disk has %llu MB free and %llu of them stay free",
                               (unsigned long long)need >> 20, (unsigned long long)stats.free_bytes >> 20,
                               (unsigned long long)KEEP_FREE_BYTES >> 20);
        return VN_OK;
}

enum vn_rc vn_backup_check_room(const struct vn_backup_place *place, const char *name, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        size_t count;
        uint64_t bytes;
        VN_TRY(vn_path_join(path, place->dir, name, err));
        if (access(path, F_OK) == 0)
                return vn_fail(err, VN_ALREADY_EXISTS, "name: there is a backup \"%s\"", name);
        VN_TRY(count_backups(place->dir, &count, &bytes, err));
        if (count >= VN_MAX_BACKUPS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED,
                               "there are %zu backups, as many as are kept: move some away", count);
        return is_room(place, bytes, err);
}

/* --- the copy --- */
static enum vn_rc copy_settings(const struct vn_backup_place *place, const char *dir, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_SETTINGS_BYTES);
        if (!place->settings_file)
                return VN_OK;
        VN_TRY(vn_file_read(place->settings_file, &text, err));
        VN_TRY(vn_path_join(path, dir, SETTINGS, err));
        return vn_file_write_atomic(path, vn_buf_view(&text), 0600, err);
}

/* The copy is verified against its own log before anybody is told that there is one. */
static enum vn_rc copy_into(const struct vn_backup_place *place, const char *dir, const atomic_bool *stop,
                            struct vn_backup_manifest *ret, struct vn_err *err)
{
        struct vn_server *server = place->server;
        char store[VN_PATH_BYTES];
        struct vn_verify_report report;
        struct vn_record_ops ops;
        VN_TRY(vn_dir_make(dir, err));
        VN_TRY(vn_path_join(store, dir, "store", err));
        VN_TRY(vn_store_backup(server->store, store, stop, err));
        VN_TRY(vn_backup_copy_beside(place->state_dir, dir, err));
        VN_TRY(copy_settings(place, dir, err));
        vn_record_ops(server, &ops);
        VN_TRY(vn_store_verify(store, server->log_key, &ops, &report, err));
        return vn_backup_seal(dir, server->log_key, &report, vn_now_us(server->wall), stop, ret, err);
}

enum vn_rc vn_backup_make(const struct vn_backup_place *place, const char *name, const atomic_bool *stop,
                          struct vn_backup_manifest *ret, struct vn_err *err)
{
        char making[VN_PATH_BYTES], path[VN_PATH_BYTES];
        VN_TRY(vn_dir_make(place->dir, err));
        VN_TRY(vn_path_join(making, place->dir, MAKING, err));
        VN_TRY(vn_path_join(path, place->dir, name, err));
        VN_TRY(vn_dir_remove(making, err));
        enum vn_rc rc = copy_into(place, making, stop, ret, err);
        if (rc == VN_OK && (VN_FAULT("backup.rename") || rename(making, path) != 0))
                rc = vn_fail(err, vn_rc_from_errno(errno ? errno : EIO), "%s: cannot be renamed", making);
        if (rc == VN_OK)
                return vn_dir_sync(place->dir, err);
        VN_IGNORE(vn_dir_remove(making, NULL)); /* the first error is the one to tell; the next start tries again */
        return rc;
}

enum vn_rc vn_backup_place_init(struct vn_server *server, struct vn_backup_place *ret, struct vn_err *err)
{
        char making[VN_PATH_BYTES];
        *ret = (struct vn_backup_place){.server = server, .settings_file = server->settings_file};
        snprintf(ret->state_dir, sizeof ret->state_dir, "%s", server->config.state_dir);
        snprintf(ret->dir, sizeof ret->dir, "%s/backups", server->config.state_dir);
        VN_TRY(vn_path_join(making, ret->dir, MAKING, err));
        return vn_dir_remove(making, err);
}
