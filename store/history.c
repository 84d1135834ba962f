#include "store/history.h"

#include <string.h>

#include "store/store_parts.h"

enum vn_rc vn_store_records(struct vn_store *store, const struct vn_record_filter *filter, vn_record_fn fn, void *arg,
                            uint64_t *ret_next, struct vn_err *err)
{
        return store->engine->ops->records(store->engine, filter, fn, arg, ret_next, err);
}

enum vn_rc vn_store_record(struct vn_store *store, uint64_t seq, struct vn_buf *ret, struct vn_err *err)
{
        return store->engine->ops->record(store->engine, seq, ret, err);
}

enum vn_rc vn_store_find(struct vn_store *store, uint64_t origin, uint64_t id, int64_t near_us, uint64_t *ret_seq,
                         struct vn_buf *ret, struct vn_err *err)
{
        return store->engine->ops->find(store->engine, origin, id, near_us, ret_seq, ret, err);
}

static enum vn_rc drop_span(struct vn_store *store, const struct vn_span *span,
                            enum vn_rc (*tombstone)(void *arg, const struct vn_span *span, struct vn_buf *ret),
                            void *arg, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        record = VN_BUF_INIT(VN_STORE_RECORD_MAX_BYTES);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(tombstone(arg, span, &record));
        vn_batch_record(batch, vn_buf_view(&record));
        vn_batch_use_reserve(batch);
        VN_TRY(vn_store_commit(store, batch, err));
        /* The leaves of what goes must be durable in the log, and the tombstone's too. A full disk does not hinder:
         * flush says so, but publishes what is committed. */
        enum vn_rc rc = vn_store_flush(store, err);
        if (rc != VN_OK && vn_store_checkpoint(store).size <= vn_batch_first_seq(batch))
                return rc;
        return store->engine->ops->drop(store->engine, span, err);
}

enum vn_rc vn_store_retain(struct vn_store *store, int64_t before_us,
                           enum vn_rc (*tombstone)(void *arg, const struct vn_span *span, struct vn_buf *ret),
                           void *arg, struct vn_err *err)
{
        struct vn_span span;
        for (;;) {
                enum vn_rc rc = store->engine->ops->oldest(store->engine, before_us, &span, err);
                if (rc == VN_NOT_FOUND)
                        return VN_OK;
                VN_TRY(rc);
                VN_TRY(drop_span(store, &span, tombstone, arg, err));
        }
}

/* --- the log --- */
struct vn_checkpoint vn_store_checkpoint(struct vn_store *store)
{
        return vn_logfile_checkpoint(store->log);
}

enum vn_rc vn_store_checkpoint_note(struct vn_store *store, struct vn_buf *ret)
{
        return vn_logfile_note(store->log, ret);
}

enum vn_rc vn_store_tile(struct vn_store *store, const struct vn_tile_name *tile, struct vn_buf *ret,
                         struct vn_err *err)
{
        return vn_logfile_tile(store->log, tile, ret, err);
}

enum vn_rc vn_store_leaf(struct vn_store *store, uint64_t seq, struct vn_leaf *ret, struct vn_err *err)
{
        return vn_logfile_leaf(store->log, seq, ret, err);
}

/* A proof towards a size that no checkpoint signed would prove nothing. */
static enum vn_rc is_published(struct vn_store *store, uint64_t size, struct vn_err *err)
{
        if (size > vn_logfile_checkpoint(store->log).size)
                return vn_fail(err, VN_NOT_FOUND, "the log has no checkpoint of that size yet");
        return VN_OK;
}

enum vn_rc vn_store_prove_inclusion(struct vn_store *store, uint64_t seq, uint64_t size, struct vn_proof *ret,
                                    struct vn_err *err)
{
        VN_TRY(is_published(store, size, err));
        struct vn_tlog_reader reader = vn_logfile_reader(store->log);
        return vn_tlog_prove_inclusion(&reader, seq, size, ret, err);
}

enum vn_rc vn_store_prove_consistency(struct vn_store *store, uint64_t size1, uint64_t size2, struct vn_proof *ret,
                                      struct vn_err *err)
{
        VN_TRY(is_published(store, size2, err));
        struct vn_tlog_reader reader = vn_logfile_reader(store->log);
        return vn_tlog_prove_consistency(&reader, size1, size2, ret, err);
}
