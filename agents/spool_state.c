/* The spool's state file: small, and written whole each time a batch is acknowledged or something is dropped. */
#include <stdio.h>

#include "agents/spool_parts.h"
#include "base/hash.h"
#include "base/json.h"

#define STATE_MAX_BYTES 4096

void vn_spool_dropped_reset(struct vn_spool_dropped *dropped)
{
        *dropped = (struct vn_spool_dropped){.from_us = INT64_MAX, .to_us = INT64_MIN};
}

void vn_spool_dropped_add(struct vn_spool_dropped *to, const struct vn_spool_dropped *more)
{
        to->records += more->records;
        to->bytes += more->bytes;
        to->from_us = more->from_us < to->from_us ? more->from_us : to->from_us;
        to->to_us = more->to_us > to->to_us ? more->to_us : to->to_us;
}

static enum vn_rc parse(struct vn_str text, struct vn_spool *s)
{
        static const struct vn_json_limits limits = {STATE_MAX_BYTES, 3, 16};
        VN_AUTO(vn_json)
        root = NULL;
        json_t *dropped;
        struct vn_str id;
        int64_t acked, records, bytes;
        VN_TRY(vn_json_parse(text, &limits, &root, NULL));
        VN_TRY(vn_json_text(root, "id", &id, NULL));
        VN_TRY(vn_json_i64(root, "acknowledged", &acked, NULL));
        VN_TRY(vn_json_object(root, "dropped", &dropped, NULL));
        VN_TRY(vn_json_i64(dropped, "records", &records, NULL));
        VN_TRY(vn_json_i64(dropped, "bytes", &bytes, NULL));
        VN_TRY(vn_json_i64(dropped, "from_us", &s->pending.from_us, NULL));
        VN_TRY(vn_json_i64(dropped, "to_us", &s->pending.to_us, NULL));
        if (acked < 1 || records < 0 || bytes < 0 || !vn_str_is_name(id, VN_SPOOL_ID_BYTES - 1) ||
            !vn_str_copy(s->id, sizeof s->id, id))
                return VN_DATA_LOSS;
        s->acked = (uint64_t)acked;
        s->pending.records = (uint64_t)records;
        s->pending.bytes = (uint64_t)bytes;
        return VN_OK;
}

enum vn_rc vn_spool_state_load(struct vn_spool *s, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(STATE_MAX_BYTES);
        char path[VN_SPOOL_PATH_BYTES];
        uint8_t id[(VN_SPOOL_ID_BYTES - 1) / 2];
        vn_spool_dropped_reset(&s->told);
        vn_spool_dropped_reset(&s->pending);
        vn_spool_dropped_reset(&s->doubt);
        snprintf(path, sizeof path, "%s/spool.json", s->dir);
        enum vn_rc rc = vn_file_read(path, &text, err);
        if (rc == VN_OK)
                rc = parse(vn_buf_view(&text), s);
        if (rc == VN_OK || rc == VN_PERMISSION_DENIED || rc == VN_RESOURCE_EXHAUSTED)
                return rc;
        vn_spool_dropped_reset(&s->pending);
        s->acked = 1;
        vn_random_bytes(id, sizeof id);
        vn_hex(id, sizeof id, s->id);
        s->fresh = true;
        return VN_OK;
}

enum vn_rc vn_spool_state_save(struct vn_spool *s, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(STATE_MAX_BYTES);
        char path[VN_SPOOL_PATH_BYTES];
        struct vn_spool_dropped all = s->told;
        vn_spool_dropped_add(&all, &s->pending);
        vn_spool_dropped_add(&all, &s->doubt);
        snprintf(path, sizeof path, "%s/spool.json", s->dir);
        vn_buf_printf(&text,
                      "{\"id\":\"%s\",\"acknowledged\":%llu,\"dropped\":{\"records\":%llu,\"bytes\":%llu,"
                      "\"from_us\":%lld,\"to_us\":%lld}}\n",
                      s->id, (unsigned long long)s->acked, (unsigned long long)all.records,
                      (unsigned long long)all.bytes, (long long)all.from_us, (long long)all.to_us);
        VN_TRY(vn_buf_check(&text, err));
        return vn_file_write_atomic(path, vn_buf_view(&text), 0600, err);
}
