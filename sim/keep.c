/* keep.c - see keep.h. */
#include "sim/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/tls.h"

#define YEAR_S (INT64_C(366) * 86400)
#define MAX_IDENTITY_BYTES (1u << 20)
#define MAX_PAYLOAD_BYTES 512

enum entry_kind { ENTRY_RECORD = 1, ENTRY_FUNCTION, ENTRY_SESSION };
struct entry_head {
        uint32_t kind, bytes;
        uint64_t hash; /* of the payload, with the kind as seed */
};
struct record_entry {
        uint32_t deployment, status, cold, padding;
        struct vn_sim_record record;
        struct vn_platform_cost cost;
        uint64_t next_id;
};
struct function_entry {
        uint32_t deployment, revision, looks, wanted_mb, before_mb, before_revision;
        int64_t changed_us, settles_us;
        uint64_t operation, next_id;
};
struct session_entry {
        uint64_t slot;
        struct vn_sim_session session;
};
struct vn_sim_keep {
        int fd;
        bool failed;
};

/* --- identity --- */

static json_t *account_json(const struct vn_sim_account *a)
{
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:s?}", "name", a->name, "id", a->id, "key_id",
                         a->key_id, "secret", a->secret, "tenant", a->tenant, "workspace", a->workspace, "app_id",
                         a->app_id, "private", a->private_pem, "public", a->public_pem);
}

static enum vn_rc write_identity(struct vn_sim *sim, const char *path, struct vn_err *err)
{
        char key[2 * VN_SIM_KEY_BYTES + 1];
        json_t *accounts = json_array();
        vn_hex(sim->token_key, sizeof sim->token_key, key);
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++)
                json_array_append_new(accounts, account_json(&sim->accounts[i]));
        VN_AUTO(vn_json)
        root = json_pack("{s:i, s:I, s:I, s:s, s:s, s:s, s:s, s:o}", "version", 1, "seed", (json_int_t)sim->seed,
                         "functions", (json_int_t)sim->trace->function_count, "token_key", key, "control_token",
                         sim->control_token, "ca", sim->ca_pem, "ca_key", sim->ca_key_pem, "accounts", accounts);
        char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the identity");
        enum vn_rc rc = vn_file_write_atomic(path, vn_str(text), 0600, err);
        free(text);
        return rc;
}

static bool take(const json_t *from, const char *key, char *to, size_t to_bytes)
{
        const char *text = json_string_value(json_object_get(from, key));
        return text && vn_str_copy(to, to_bytes, vn_str(text));
}

static bool take_pem(const json_t *from, const char *key, char **to)
{
        const char *text = json_string_value(json_object_get(from, key));
        vn_free(*to);
        *to = text ? vn_strdup(text) : NULL;
        return text ? *to != NULL : true;
}

static bool take_account(const json_t *from, struct vn_sim_account *a)
{
        char name[32];
        return take(from, "name", name, sizeof name) && !strcmp(name, a->name) &&
               take(from, "id", a->id, sizeof a->id) && take(from, "key_id", a->key_id, sizeof a->key_id) &&
               take(from, "secret", a->secret, sizeof a->secret) &&
               take(from, "tenant", a->tenant, sizeof a->tenant) &&
               take(from, "workspace", a->workspace, sizeof a->workspace) &&
               take(from, "app_id", a->app_id, sizeof a->app_id) && take_pem(from, "private", &a->private_pem) &&
               take_pem(from, "public", &a->public_pem);
}

static enum vn_rc read_identity(struct vn_sim *sim, struct vn_str text, struct vn_err *err)
{
        static const struct vn_json_limits limits = {
                .max_bytes = MAX_IDENTITY_BYTES, .max_depth = 6, .max_values = 10000};
        VN_AUTO(vn_json)
        root = NULL;
        char key[2 * VN_SIM_KEY_BYTES + 1];
        VN_TRY(vn_json_parse(text, &limits, &root, err));
        if ((uint64_t)json_integer_value(json_object_get(root, "seed")) != sim->seed ||
            (size_t)json_integer_value(json_object_get(root, "functions")) != sim->trace->function_count)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "the state that is kept there has another seed or count of functions");
        bool good = json_integer_value(json_object_get(root, "version")) == 1 &&
                    take(root, "token_key", key, sizeof key) &&
                    vn_unhex(vn_str(key), sim->token_key, sizeof sim->token_key) == VN_OK &&
                    take(root, "control_token", sim->control_token, sizeof sim->control_token) &&
                    take_pem(root, "ca", &sim->ca_pem) && take_pem(root, "ca_key", &sim->ca_key_pem) && sim->ca_pem &&
                    sim->ca_key_pem;
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++)
                good = good && take_account(json_array_get(json_object_get(root, "accounts"), i), &sim->accounts[i]);
        return good ? VN_OK : vn_fail(err, VN_DATA_LOSS, "identity.json is not one of this version");
}

static enum vn_rc make_authority(struct vn_sim *sim, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        key = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        ca = VN_BUF_INIT(16384);
        int64_t now_s = vn_now_us(vn_clock_real()) / VN_US_PER_S;
        VN_TRY(vn_pki_make_key(&key, err));
        VN_TRY(vn_pki_make_ca(vn_buf_view(&key), "vane-sim test authority", now_s - YEAR_S / 12, now_s + YEAR_S, &ca,
                              err));
        sim->ca_pem = vn_buf_take(&ca);
        sim->ca_key_pem = vn_buf_take(&key);
        return sim->ca_pem && sim->ca_key_pem ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory");
}

/* --- journal --- */

static void append(struct vn_sim *sim, enum entry_kind kind, const void *payload, size_t bytes, bool sync)
{
        struct {
                struct entry_head head;
                char payload[MAX_PAYLOAD_BYTES];
        } entry;
        struct vn_sim_keep *keep = sim->keep;
        if (!keep || keep->failed)
                return;
        entry.head = (struct entry_head){kind, (uint32_t)bytes, vn_hash64(payload, bytes, kind)};
        memcpy(entry.payload, payload, bytes);
        ssize_t whole = (ssize_t)(sizeof entry.head + bytes);
        if (write(keep->fd, &entry, (size_t)whole) == whole && (!sync || fdatasync(keep->fd) == 0))
                return;
        keep->failed = true;
        fprintf(stderr, "vane-sim: the journal cannot be written: %s\n", strerror(errno));
}

bool vn_sim_keep_good(const struct vn_sim *sim)
{
        return !sim->keep || !sim->keep->failed;
}

void vn_sim_keep_record(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_record *record,
                        const struct vn_platform_outcome *outcome)
{
        struct record_entry e;
        if (!sim->keep)
                return;
        memset(&e, 0, sizeof e);
        e.deployment = deployment;
        e.status = (uint32_t)outcome->status;
        e.cold = outcome->cold;
        e.record = *record;
        e.cost = outcome->cost;
        e.next_id = sim->next_id;
        append(sim, ENTRY_RECORD, &e, sizeof e, false);
}

void vn_sim_keep_function(struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_function *f = &sim->functions[deployment];
        const struct function_entry e = {.deployment = deployment,
                                         .revision = f->revision,
                                         .looks = f->looks,
                                         .wanted_mb = f->wanted_mb,
                                         .before_mb = f->before_mb,
                                         .before_revision = f->before_revision,
                                         .changed_us = f->changed_us,
                                         .settles_us = f->settles_us,
                                         .operation = f->operation,
                                         .next_id = sim->next_id};
        append(sim, ENTRY_FUNCTION, &e, sizeof e, true);
}

void vn_sim_keep_session(struct vn_sim *sim, const struct vn_sim_session *session)
{
        struct session_entry e;
        memset(&e, 0, sizeof e);
        e.slot = (uint64_t)(session - sim->sessions);
        e.session = *session;
        append(sim, ENTRY_SESSION, &e, sizeof e, true);
}

static bool replay_record(struct vn_sim *sim, const struct record_entry *e, uint64_t *latest_instance)
{
        const struct vn_platform_outcome outcome = {
                .status = (enum vn_platform_status)e->status, .cold = e->cold, .cost = e->cost};
        if (e->deployment >= sim->demo->config.deployment_count || e->status > VN_RUN_UNAVAILABLE ||
            !vn_sim_restore_record(sim, e->deployment, &e->record, &outcome))
                return false;
        if (e->record.instance > *latest_instance)
                *latest_instance = e->record.instance;
        sim->next_id = e->next_id + 1; /* it was stored before it rose */
        return true;
}

static bool replay_function(struct vn_sim *sim, const struct function_entry *e)
{
        if (e->deployment >= sim->demo->config.deployment_count)
                return false;
        struct vn_sim_function *f = &sim->functions[e->deployment];
        f->revision = e->revision;
        f->looks = e->looks;
        f->wanted_mb = e->wanted_mb;
        f->before_mb = e->before_mb;
        f->before_revision = e->before_revision;
        f->changed_us = e->changed_us;
        f->settles_us = e->settles_us;
        f->operation = e->operation;
        sim->next_id = e->next_id;
        return true;
}

static bool replay(struct vn_sim *sim, const struct entry_head *head, const void *payload, uint64_t *latest_instance)
{
        const struct session_entry *session = payload;
        if (head->kind == ENTRY_RECORD && head->bytes == sizeof(struct record_entry))
                return replay_record(sim, payload, latest_instance);
        if (head->kind == ENTRY_FUNCTION && head->bytes == sizeof(struct function_entry))
                return replay_function(sim, payload);
        if (head->kind != ENTRY_SESSION || head->bytes != sizeof *session || session->slot >= VN_SIM_SESSIONS ||
            session->session.account >= VN_SIM_ACCOUNTS)
                return false;
        sim->sessions[session->slot] = session->session;
        sim->session_next = session->slot + 1;
        return true;
}

/* Puts the sizes that had settled into force. */
static void settle(struct vn_sim *sim)
{
        struct vn_err err;
        for (uint32_t d = 0; d < sim->demo->config.deployment_count; d++) {
                const struct vn_sim_function *f = &sim->functions[d];
                if (f->settles_us == INT64_MAX && f->wanted_mb != sim->demo->deployments[d].memory_mb)
                        VN_IGNORE(vn_platform_set_memory(sim->platform, d, f->wanted_mb, 0,
                                                         &err)); /* it was taken before */
        }
}

static enum vn_rc load_journal(struct vn_sim *sim, int fd, struct vn_err *err)
{
        struct entry_head head;
        union {
                char bytes[MAX_PAYLOAD_BYTES];
                struct record_entry record;
                struct function_entry function;
                struct session_entry session;
        } payload;
        uint64_t latest_instance = 0;
        int own = dup(fd);
        FILE *file = own >= 0 ? fdopen(own, "rb") : NULL;
        off_t good = 0;
        if (!file)
                return vn_fail(err, vn_rc_from_errno(errno), "the journal cannot be read");
        while (fread(&head, sizeof head, 1, file) == 1 && head.bytes <= sizeof payload.bytes &&
               fread(payload.bytes, head.bytes, 1, file) == 1 &&
               head.hash == vn_hash64(payload.bytes, head.bytes, head.kind) &&
               replay(sim, &head, &payload, &latest_instance))
                good += (off_t)(sizeof head + head.bytes);
        fclose(file);
        if (ftruncate(fd, good) || lseek(fd, good, SEEK_SET) != good)
                return vn_fail(err, vn_rc_from_errno(errno), "the journal's torn end cannot be cut off");
        vn_platform_skip_instances(sim->platform, latest_instance);
        settle(sim);
        return VN_OK;
}

enum vn_rc vn_sim_keep_open(struct vn_sim *sim, const char *dir, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_IDENTITY_BYTES);
        char path[512];
        snprintf(path, sizeof path, "%s/identity.json", dir);
        enum vn_rc rc = vn_file_read(path, &text, err);
        bool begun = rc == VN_OK;
        if (begun) {
                VN_TRY(read_identity(sim, vn_buf_view(&text), err));
        } else if (rc == VN_NOT_FOUND) {
                VN_TRY(make_authority(sim, err));
                VN_TRY(write_identity(sim, path, err));
        } else {
                return rc;
        }
        snprintf(path, sizeof path, "%s/journal", dir);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s cannot be opened", path);
        rc = load_journal(sim, fd, err);
        struct vn_sim_keep *keep = rc == VN_OK ? vn_alloc(sizeof *keep) : NULL;
        if (!keep) {
                close(fd);
                return rc != VN_OK ? rc : vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory");
        }
        keep->fd = fd;
        sim->keep = keep;
        return VN_OK;
}

struct vn_sim_keep *vn_sim_keep_free(struct vn_sim_keep *keep)
{
        if (!keep)
                return NULL;
        close(keep->fd);
        vn_free(keep);
        return NULL;
}
