/* A backup's folder: what is listed comes back as it was; any byte of any file that changed is found, and named. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/backup_dir.h"
#include "store/file.h"
#include "store/testing.h"
#include "tests/test.h"

static struct vn_note_key *key;
static char state[300], backup[300];

static void put(const char *dir, const char *name, const char *text, unsigned mode)
{
        char path[VN_PATH_BYTES];
        CHECK_OK(vn_path_join(path, dir, name, NULL));
        CHECK_OK(vn_file_write_atomic(path, vn_str(text), mode, NULL));
}

static void folder(const char *dir, const char *name)
{
        char path[VN_PATH_BYTES];
        CHECK_OK(vn_path_join(path, dir, name, NULL));
        CHECK(mkdir(path, 0700) == 0);
}

/* A state directory with more beside the store than belongs into a backup, and a sealed backup of it. */
static struct vn_backup_manifest make(void)
{
        struct vn_backup_manifest manifest;
        struct vn_verify_report report = {.log_size = 5, .records = 6};
        if (!key)
                CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
        snprintf(state, sizeof state, "%s/state", test_dir());
        snprintf(backup, sizeof backup, "%s/backup", test_dir());
        folder(test_dir(), "state");
        folder(test_dir(), "backup");
        put(state, "log.key", "secret", 0644); /* as a careless copy left it */
        put(state, "ready.json", "{}", 0644);
        put(state, ".hidden", "x", 0644);
        folder(state, "pki");
        put(state, "pki/ca.key", "secret too", 0600);
        put(state, "pki/ca.pem", "public", 0644);
        folder(state, "store");
        folder(state, "backups");
        put(state, "backups/old", "x", 0600);
        CHECK_OK(vn_backup_copy_beside(state, backup, NULL));
        folder(backup, "store");
        folder(backup, "store/log");
        put(backup, "store/log/leaf", "leaves", 0600);
        put(backup, "store/LOCK", "1", 0600);
        CHECK_OK(vn_backup_seal(backup, key, &report, 77, NULL, &manifest, NULL));
        return manifest;
}

static enum vn_rc unpack(const char *name, struct vn_err *err)
{
        struct vn_backup_manifest manifest;
        char to[400];
        snprintf(to, sizeof to, "%s/%s", test_dir(), name);
        CHECK_OK(vn_dir_remove(to, NULL));
        CHECK(mkdir(to, 0700) == 0);
        return vn_backup_unpack(backup, to, &manifest, err);
}

TEST(backup_dir_comes_back_as_it_was)
{
        struct vn_backup_manifest manifest = make(), read;
        struct vn_err err;
        struct stat info;
        char path[400];
        CHECK_INT(4, manifest.files);
        CHECK_INT(6 + 10 + 6 + 6, manifest.bytes);
        CHECK_OK(vn_backup_read(backup, &read, NULL));
        CHECK(read.size == 5 && read.records == 6 && read.time_us == 77 && read.bytes == manifest.bytes);
        CHECK_OK(unpack("back", &err));
        snprintf(path, sizeof path, "%s/back/log.key", test_dir());
        CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
        snprintf(path, sizeof path, "%s/back/pki/ca.pem", test_dir());
        CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0644);
        static const char *const absent[] = {"ready.json", ".hidden", "backups", "store/LOCK", "FILES", "BACKUP"};
        for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
                snprintf(path, sizeof path, "%s/back/%s", test_dir(), absent[i]);
                CHECK(access(path, F_OK) != 0);
        }
        /* What was put in later is no part of it. */
        put(backup, "store/log/hash.0", "foreign", 0600);
        CHECK_OK(unpack("back", &err));
        snprintf(path, sizeof path, "%s/back/store/log/hash.0", test_dir());
        CHECK(access(path, F_OK) != 0);
}

TEST(backup_dir_names_the_file_that_changed)
{
        static const char *const files[] = {"log.key",        "pki/ca.key", "pki/ca.pem",
                                            "store/log/leaf", "FILES",      "BACKUP"};
        struct vn_err err;
        make();
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                char path[VN_PATH_BYTES];
                VN_AUTO(vn_buf)
                was = VN_BUF_INIT(65536);
                CHECK_OK(vn_path_join(path, backup, files[i], NULL));
                CHECK_OK(vn_file_read(path, &was, NULL));
                for (size_t at = 0; at < was.len; at++) { /* every byte */
                        was.ptr[at] ^= 1;
                        CHECK_OK(vn_file_write_atomic(path, vn_buf_view(&was), 0600, NULL));
                        was.ptr[at] ^= 1;
                        err.msg[0] = 0;
                        if (unpack("back", &err) == VN_OK || !strstr(err.msg, files[i]))
                                test_fail(__FILE__, __LINE__, "byte %zu of %s: \"%s\"", at, files[i], err.msg);
                }
                CHECK_OK(vn_file_write_atomic(path, vn_str_n(was.ptr, was.len - 1), 0600, NULL));
                CHECK(unpack("back", &err) != VN_OK && strstr(err.msg, files[i]));
                CHECK(unlink(path) == 0);
                CHECK(unpack("back", &err) != VN_OK && strstr(err.msg, files[i]));
                CHECK_OK(vn_file_write_atomic(path, vn_buf_view(&was), 0600, NULL));
        }
        CHECK_OK(unpack("back", &err));
}

/* A list that is signed with another key is still a list from outside. */
TEST(backup_dir_writes_nothing_outside)
{
        static const char *const names[] = {"../outside",  "/outside", "store/../../outside", "store//x", ".x",
                                            "a/b/c/d/e/f", ""};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                struct vn_backup_manifest manifest = {.files = 1};
                struct vn_err err;
                char hex[2 * VN_SHA256_BYTES + 1];
                VN_AUTO(vn_buf)
                list = VN_BUF_INIT(4096);
                VN_AUTO(vn_buf)
                note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
                if (!i)
                        make();
                vn_sha256("", 0, manifest.sha256);
                vn_hex(manifest.sha256, VN_SHA256_BYTES, hex);
                vn_buf_printf(&list, "%s 0600 0 %s\n", hex, names[i]);
                vn_sha256(list.ptr, list.len, manifest.sha256);
                vn_note_key_text(key, manifest.key);
                CHECK_OK(vn_backup_manifest_sign(key, &manifest, &note, NULL));
                put(backup, "FILES", list.ptr, 0600);
                put(backup, "BACKUP", note.ptr, 0600);
                CHECK_RC(VN_INVALID_ARGUMENT, unpack("back", &err));
                CHECK(strstr(err.msg, "malformed"));
        }
}
