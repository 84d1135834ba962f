/* backup_make.h - one backup's folder: is there room, copy, verify, seal, rename; for backup.c.
 * Threads: the backup thread; init at start. Ownership: the place borrows the server. */
#ifndef VANE_SERVER_AUDIT_BACKUP_MAKE_H
#define VANE_SERVER_AUDIT_BACKUP_MAKE_H

#include <stdatomic.h>

#include "server/server.h"
#include "store/manifest.h"

struct vn_backup_place {
        struct vn_server *server; /* of which the backup thread uses what never changes: store, key, clocks */
        const char *settings_file;
        char state_dir[512], dir[600];
};
/* Also removes what an interrupted backup left. */
enum vn_rc vn_backup_place_init(struct vn_server *server, struct vn_backup_place *ret,
                                struct vn_err *err) VN_MUST_USE;
/* ALREADY_EXISTS, or RESOURCE_EXHAUSTED: too many, or too big for the disk budget or the disk. */
enum vn_rc vn_backup_check_room(const struct vn_backup_place *place, const char *name,
                                struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_backup_make(const struct vn_backup_place *place, const char *name, const atomic_bool *stop,
                          struct vn_backup_manifest *ret, struct vn_err *err) VN_MUST_USE;

#endif
