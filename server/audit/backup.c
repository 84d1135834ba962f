/* backup.c - a backup's way through the loops, its decisions, its call, and the list; backup_make.c copies. */
#include "server/audit/backup.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/lock.h"
#include "base/log.h"
#include "server/audit/backup_make.h"
#include "server/record.h"
#include "server/tenants.h"
#include "store/backup_dir.h"
#include "store/file.h"
#include "vane/v1/control.pb-c.h"

VN_LOCK_CLASS(backups_lock, "backups");

struct vn_backups {
        struct vn_backup_place place;
        struct vn_loop *loop; /* under the lock: NULL once stopped */
        struct vn_lock lock;
        atomic_bool stop; /* the copy looks at it */
        atomic_bool busy; /* one is being made, from its call to its answer */
};

/* A backup on its way: edge loop, backup thread (may it be?), control loop (it begins), backup thread (the copy), control
 * loop (how it ended), edge loop. */
struct job {
        struct vn_task task;
        struct vn_server *server;
        struct vn_call *call; /* in whose arena the job lives */
        char name[VN_BACKUP_NAME_BYTES], actor[VN_MAX_ACTOR_BYTES], tenant[VN_MAX_TENANT_BYTES];
        struct vn_backup_manifest manifest;
        enum vn_rc rc;
        struct vn_err err;
};

static void to_edge(struct job *job);
static void may_it_be(struct vn_task *task);
static void copy(struct vn_task *task);
static void record_end(struct vn_task *task);

/* False: the server is stopping. */
static bool to_thread(struct job *job, void (*step)(struct vn_task *task))
{
        struct vn_backups *backups = job->server->backups;
        VN_LOCKED(&backups->lock);
        if (!backups->loop)
                return false;
        job->task.run = step;
        vn_loop_post(backups->loop, &job->task);
        return true;
}

static void to_control(struct job *job, void (*step)(struct vn_task *task))
{
        job->task.run = step;
        vn_loop_post(job->server->control, &job->task);
}

static enum vn_rc stopping(struct vn_err *err)
{
        return vn_fail(err, VN_UNAVAILABLE, "the server is stopping");
}

static void copy(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        struct vn_backups *backups = job->server->backups;
        job->rc = vn_backup_make(&backups->place, job->name, &backups->stop, &job->manifest, &job->err);
        if (job->rc != VN_OK && atomic_load(&backups->stop))
                job->rc = stopping(&job->err);
        to_control(job, record_end);
}

/* --- decisions about it --- */
static enum vn_rc record(struct job *job, const char *choice, const char *summary, struct vn_err *err)
{
        char subject[VN_BACKUP_NAME_BYTES + 8];
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_op_no_memory(err);
        snprintf(subject, sizeof subject, "backup/%s", job->name);
        /* Of the kinds that there are: what a person may do with all that the installation knows. */
        struct vn_change change = {.kind = VN_RECORD_PEOPLE,
                                   .tenant = job->tenant,
                                   .actor = job->actor,
                                   .subject = subject,
                                   .choice = choice,
                                   .summary = summary};
        VN_TRY(vn_record_change(job->server, batch, &change, NULL, err));
        return vn_store_commit(job->server->store, batch, err);
}

static void record_begin(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        job->rc = record(job, "backup begun", NULL, &job->err);
        if (job->rc == VN_OK && !to_thread(job, copy))
                job->rc = stopping(&job->err);
        if (job->rc != VN_OK)
                to_edge(job);
}

static void record_end(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        const struct vn_backup_manifest *m = &job->manifest;
        struct vn_err err;
        char summary[256];
        if (job->rc == VN_OK)
                snprintf(summary, sizeof summary, "%llu files of %llu bytes, log of %llu entries",
                         (unsigned long long)m->files, (unsigned long long)m->bytes, (unsigned long long)m->size);
        else
                snprintf(summary, sizeof summary, "%s", job->err.msg);
        /* The backup is there, or is not, whether or not this can be recorded; that it was asked for is. */
        if (record(job, job->rc == VN_OK ? "backup made" : "backup failed", summary, &err) != VN_OK)
                VN_LOG(BACKUP, "name=%s recorded=no reason=\"%s\"", job->name, err.msg);
        if (job->rc == VN_OK)
                VN_LOG(BACKUP, "name=%s %s", job->name, summary);
        else
                VN_LOG(BACKUP, "name=%s failed: %s", job->name, summary);
        to_edge(job);
}

static void may_it_be(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        job->rc = vn_backup_check_room(&job->server->backups->place, job->name, &job->err);
        if (job->rc == VN_OK)
                to_control(job, record_begin);
        else
                to_edge(job);
}

/* --- the call --- */
static bool fill_reply(struct vn_arena *arena, const char *name, const struct vn_backup_manifest *m,
                       Vane__V1__Backup *reply)
{
        reply->name = vn_arena_strndup(arena, name, strlen(name));
        reply->time_us = m->time_us;
        reply->bytes = m->bytes;
        reply->files = m->files;
        reply->records = m->records;
        reply->log_size = m->size;
        reply->root.len = VN_HASH_BYTES;
        reply->root.data = vn_arena_alloc(arena, VN_HASH_BYTES);
        if (!reply->name || !reply->root.data)
                return false;
        memcpy(reply->root.data, m->root.b, VN_HASH_BYTES);
        return true;
}

static void answer(struct vn_task *task)
{
        struct job *job = (struct job *)task;
        struct vn_call *call = job->call;
        struct vn_arena *arena = vn_call_arena(call);
        atomic_store(&job->server->backups->busy, false);
        if (!vn_call_over(call)) {
                Vane__V1__Backup *reply = VN_NEW_MESSAGE(arena, Vane__V1__Backup, vane__v1__backup__init);
                if (job->rc == VN_OK && (!reply || !fill_reply(arena, job->name, &job->manifest, reply)))
                        job->rc = vn_op_no_memory(&job->err);
                if (job->rc == VN_OK)
                        vn_call_reply(call, &reply->base);
                else
                        vn_call_finish(call, job->rc, &job->err);
        }
        vn_call_unref(call); /* the job lives in the call's arena: not touched after this */
}

static void to_edge(struct job *job)
{
        job->task.run = answer;
        vn_loop_post(vn_call_loop(job->call), &job->task);
}

static enum vn_rc fill_job(struct job *job, const Vane__V1__CreateBackupRequest *request, struct vn_err *err)
{
        const struct vn_identity *identity = vn_call_identity(job->call);
        VN_TRY(vn_tenant_is_installation(identity, err));
        if (request->name[0] && !vn_str_is_name(vn_str(request->name), VN_BACKUP_NAME_BYTES - 1))
                return vn_fail(err, VN_INVALID_ARGUMENT, "name: 1 to 63 letters, digits, '-', '_', '.'");
        time_t now = (time_t)(vn_now_us(job->server->wall) / VN_US_PER_S);
        struct tm tm;
        if (request->name[0])
                snprintf(job->name, sizeof job->name, "%s", request->name);
        else
                strftime(job->name, sizeof job->name, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
        snprintf(job->actor, sizeof job->actor, "%s", identity->actor);
        snprintf(job->tenant, sizeof job->tenant, "%s", identity->tenant);
        return VN_OK;
}

void vn_backup_start(struct vn_call *call, const ProtobufCMessage *message)
{
        struct vn_server *server = vn_call_context(call);
        struct job *job = vn_arena_alloc(vn_call_arena(call), sizeof *job);
        struct vn_err err;
        enum vn_rc rc = job ? VN_OK : vn_op_no_memory(&err);
        if (rc == VN_OK) {
                memset(job, 0, sizeof *job);
                job->server = server;
                job->call = call;
                rc = fill_job(job, (const Vane__V1__CreateBackupRequest *)message, &err);
        }
        if (rc == VN_OK && atomic_exchange(&server->backups->busy, true))
                rc = vn_fail(&err, VN_FAILED_PRECONDITION,
                             "another backup is being made: try again when it is there");
        if (rc == VN_OK) {
                vn_call_ref(call);
                if (to_thread(job, may_it_be))
                        return;
                vn_call_unref(call);
                atomic_store(&server->backups->busy, false);
                rc = stopping(&err);
        }
        vn_call_finish(call, rc, &err);
}

/* --- the list --- */
static int by_name(const void *a, const void *b)
{
        Vane__V1__Backup *const *x = a, *const *y = b;
        return strcmp((*x)->name, (*y)->name);
}

static enum vn_rc list_one(struct vn_op *op, const char *name, Vane__V1__ListBackupsResponse *reply,
                           struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        struct vn_backup_manifest manifest;
        VN_TRY(vn_path_join(path, op->server->backups->place.dir, name, err));
        if (vn_backup_read(path, &manifest, NULL) != VN_OK)
                return VN_OK; /* somebody's own folder, or one that is being moved away */
        Vane__V1__Backup *one = VN_NEW_MESSAGE(op->arena, Vane__V1__Backup, vane__v1__backup__init);
        if (!one || !fill_reply(op->arena, name, &manifest, one))
                return vn_op_no_memory(err);
        reply->backups[reply->n_backups++] = one;
        return VN_OK;
}

enum vn_rc op_list_backups(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        (void)message;
        VN_TRY(vn_tenant_is_installation(op->identity, err));
        Vane__V1__ListBackupsResponse *reply =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListBackupsResponse, vane__v1__list_backups_response__init);
        if (reply)
                reply->backups = vn_arena_alloc(op->arena, VN_MAX_BACKUPS * sizeof *reply->backups);
        if (!reply || !reply->backups)
                return vn_op_no_memory(err);
        DIR *dir = opendir(op->server->backups->place.dir);
        enum vn_rc rc = VN_OK;
        for (struct dirent *entry; rc == VN_OK && dir && reply->n_backups < VN_MAX_BACKUPS && (entry = readdir(dir));)
                if (entry->d_name[0] != '.')
                        rc = list_one(op, entry->d_name, reply, err);
        if (dir)
                closedir(dir);
        if (reply->n_backups)
                qsort(reply->backups, reply->n_backups, sizeof *reply->backups, by_name);
        *ret_reply = &reply->base;
        return rc;
}

/* --- start and stop --- */
enum vn_rc vn_backups_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_backups *backups = server->backups = vn_alloc(sizeof *backups);
        if (!backups)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_lock_init(&backups->lock, &backups_lock);
        VN_TRY(vn_backup_place_init(server, &backups->place, err));
        VN_TRY(vn_loop_new("backup", &backups->loop, err));
        return vn_loop_start(backups->loop, err);
}

void vn_backups_stop(struct vn_server *server)
{
        struct vn_backups *backups = server->backups;
        if (!backups)
                return;
        atomic_store(&backups->stop, true);
        vn_lock_take(&backups->lock);
        struct vn_loop *loop = backups->loop;
        backups->loop = NULL;
        vn_lock_give(&backups->lock);
        if (!loop)
                return;
        vn_loop_stop(loop);
        vn_loop_join(loop);
        vn_loop_free(loop); /* runs what was posted before */
}

void vn_backups_free(struct vn_server *server)
{
        if (!server->backups)
                return;
        vn_backups_stop(server);
        vn_lock_done(&server->backups->lock);
        vn_free(server->backups);
        server->backups = NULL;
}
