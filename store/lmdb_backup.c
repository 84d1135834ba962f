/* The copies are of different moments: tables first, segments after. While one runs, every change goes through a redo
 * entry and none is trimmed, so that opening the copy replays what the tables lack. Segments neither roll nor go. */
#include <inttypes.h>
#include <stdio.h>

#include "base/fault.h"
#include "store/lmdb_engine.h"

static enum vn_rc copy_all(struct vn_lmdb *e, const char *to_dir, const atomic_bool *stop, struct vn_err *err)
{
        char path[VN_PATH_BYTES], segments[VN_PATH_BYTES], name[32];
        VN_TRY(vn_path_join(path, to_dir, "keyed", err));
        VN_TRY(vn_env_copy(&e->keyed.env, path, err));
        VN_TRY(vn_path_join(segments, to_dir, "segments", err));
        VN_TRY(vn_dir_make(segments, err));
        pthread_mutex_lock(&e->mutex);
        size_t count = e->segment_count;
        pthread_mutex_unlock(&e->mutex);
        for (size_t i = 0; i < count; i++) { /* none is added or dropped meanwhile */
                pthread_mutex_lock(&e->mutex);
                uint64_t number = e->segments[i]->state.number;
                pthread_mutex_unlock(&e->mutex);
                if (stop && atomic_load(stop))
                        return vn_fail(err, VN_CANCELLED, "broken off: the server is stopping");
                snprintf(name, sizeof name, "%016" PRIx64, number);
                if (VN_FAULT("store.backup.space"))
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: no space: injected", segments);
                VN_TRY(vn_path_join(path, segments, name, err));
                VN_TRY(vn_env_copy(&e->segments[i]->env, path, err));
        }
        return VN_OK;
}

enum vn_rc vn_lmdb_backup(struct vn_engine *engine, const char *to_dir, const atomic_bool *stop, struct vn_err *err)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        pthread_mutex_lock(&e->commit_mutex);
        atomic_fetch_add(&e->backups, 1);
        pthread_mutex_unlock(&e->commit_mutex);
        enum vn_rc rc = copy_all(e, to_dir, stop, err);
        atomic_fetch_sub(&e->backups, 1);
        return rc;
}
