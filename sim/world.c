/* world.c - see world.h. */
#include "sim/world.h"

#include "sim/objects.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/identity.h"
#include "sim/keep.h"
#include "sim/token.h"

static const char *const names[VN_SIM_ACCOUNTS] = {"aws-a", "aws-b", "azure-a", "azure-b", "gcp-a", "gcp-b"};

static void random_hex(char *ret, size_t digits)
{
        uint8_t bytes[64];
        char hex[2 * sizeof bytes + 1];
        vn_random_bytes(bytes, sizeof bytes);
        vn_hex(bytes, sizeof bytes, hex);
        memcpy(ret, hex, digits);
        ret[digits] = 0;
}

static void random_guid(char ret[40])
{
        uint64_t bits;
        vn_random_bytes(&bits, sizeof bits);
        vn_sim_uuid(bits, ret);
}

static enum vn_rc make_account(struct vn_sim *sim, uint32_t i, struct vn_err *err)
{
        struct vn_sim_account *a = &sim->accounts[i];
        uint64_t number;
        vn_random_bytes(&number, sizeof number);
        a->name = names[i];
        a->cloud = sim->demo->sites[i].cloud;
        VN_ASSERT(vn_str_copy(a->region, sizeof a->region, vn_str(sim->demo->sites[i].region)));
        switch (a->cloud) {
        case VN_PLATFORM_AWS:
                snprintf(a->id, sizeof a->id, "%012llu",
                         (unsigned long long)(number % UINT64_C(900000000000) + UINT64_C(100000000000)));
                memcpy(a->key_id, "AKIA", 4);
                random_hex(a->key_id + 4, 16);
                for (char *c = a->key_id; *c; c++)
                        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
                random_hex(a->secret, 40);
                return VN_OK;
        case VN_PLATFORM_AZURE:
                random_guid(a->id);
                random_guid(a->key_id);
                random_guid(a->tenant);
                random_guid(a->workspace);
                random_guid(a->app_id);
                random_hex(a->secret, 40);
                return VN_OK;
        case VN_PLATFORM_GCP:
                snprintf(a->id, sizeof a->id, "vane-%s-%06x", a->name, (unsigned)(number & 0xffffff));
                snprintf(a->key_id, sizeof a->key_id, "agent@vane-%s-%06x.iam.gserviceaccount.com", a->name,
                         (unsigned)(number & 0xffffff));
                return vn_token_make_key(&a->secret[0], sizeof a->secret, &a->private_pem, &a->public_pem, err);
        }
        return VN_OK;
}

static uint64_t name_hash(struct vn_str name)
{
        char lower[64];
        size_t n = name.len < sizeof lower ? name.len : sizeof lower;
        for (size_t i = 0; i < n; i++)
                lower[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] + 32 : name.ptr[i]);
        return vn_hash64(lower, n, 0);
}

static enum vn_rc index_names(struct vn_sim *sim, struct vn_err *err)
{
        sim->name_slots = 64;
        while (sim->name_slots < 2 * sim->trace->function_count)
                sim->name_slots *= 2;
        sim->names = vn_alloc_array(sim->name_slots, sizeof *sim->names);
        if (!sim->names)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the simulator");
        for (size_t f = 0; f < sim->trace->function_count; f++) {
                size_t slot = name_hash(vn_str(sim->trace->functions[f].name)) & (sim->name_slots - 1);
                while (sim->names[slot])
                        slot = (slot + 1) & (sim->name_slots - 1);
                sim->names[slot] = (uint32_t)f + 1;
        }
        return VN_OK;
}

static enum vn_rc build(struct vn_sim *sim, const struct vn_sim_texts *texts, size_t functions, struct vn_err *err)
{
        struct vn_trace_options options;
        vn_trace_options_default(&options);
        VN_TRY(vn_trace_build(texts->invocations, texts->durations, texts->memory, &options, &sim->trace, err));
        if (functions)
                VN_TRY(vn_trace_extend(sim->trace, (functions + VN_SIM_ACCOUNTS - 1) / VN_SIM_ACCOUNTS, sim->seed,
                                       err));
        VN_TRY(index_names(sim, err));
        VN_TRY(vn_price_table_parse(texts->functions_prices, texts->aws_tiers, texts->egress, &sim->prices, err));
        VN_TRY(vn_demo_build(sim->trace, &sim->prices, &sim->demo, err));
        /* Owners of large fleets have their limits raised. */
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++)
                if (sim->demo->sites[i].concurrency_limit < functions)
                        sim->demo->sites[i].concurrency_limit = (uint32_t)functions;
        VN_TRY(vn_platform_new(&sim->demo->config, sim->seed, &sim->platform, err));
        sim->functions = vn_alloc_array(sim->demo->config.deployment_count, sizeof *sim->functions);
        if (!sim->functions)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the simulator");
        for (size_t i = 0; i < sim->demo->config.deployment_count; i++) {
                sim->functions[i].settles_us = INT64_MAX;
                sim->functions[i].changed_us = vn_now_us(sim->clock) - 24 * VN_US_PER_HOUR;
                sim->functions[i].wanted_mb = sim->demo->deployments[i].memory_mb;
        }
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++)
                VN_TRY(make_account(sim, i, err));
        vn_random_bytes(sim->token_key, sizeof sim->token_key);
        random_hex(sim->control_token, 2 * VN_SIM_KEY_BYTES);
        return VN_OK;
}

enum vn_rc vn_sim_new(const struct vn_sim_texts *texts, const struct vn_clock *clock,
                      const struct vn_sim_options *options, struct vn_sim **ret, struct vn_err *err)
{
        VN_AUTO(vn_sim)
        sim = vn_alloc(sizeof *sim);
        if (!sim)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the simulator");
        sim->clock = clock;
        sim->seed = options->seed;
        VN_TRY(build(sim, texts, options->functions, err));
        *ret = vn_steal(&sim);
        return VN_OK;
}

struct vn_sim *vn_sim_free(struct vn_sim *sim)
{
        if (!sim)
                return NULL;
        for (size_t i = 0; sim->functions && i < sim->demo->config.deployment_count; i++) {
                vn_free(sim->functions[i].records);
                vn_free(sim->functions[i].lambda);
                vn_free(sim->functions[i].blocks);
        }
        for (size_t i = 0; i < VN_SIM_ACCOUNTS; i++) {
                vn_free(sim->accounts[i].private_pem);
                vn_free(sim->accounts[i].public_pem);
                json_decref(sim->accounts[i].policy);
        }
        vn_sim_identity_free(sim->identity);
        for (size_t i = 0; i < VN_SIM_SESSIONS; i++)
                json_decref(sim->sessions[i].policy);
        vn_free(sim->functions);
        for (size_t f = 0; sim->real_urls && f < sim->trace->function_count; f++)
                vn_free(sim->real_urls[f]);
        vn_free(sim->real_urls);
        vn_free(sim->names);
        vn_sim_keep_free(sim->keep);
        vn_free(sim->ca_pem);
        vn_free(sim->ca_key_pem);
        vn_free(sim->arrivals);
        vn_sim_objects_free(sim->objects);
        vn_platform_free(sim->platform);
        vn_demo_free(sim->demo);
        vn_trace_free(sim->trace);
        vn_free_secret(sim, sizeof *sim);
        return NULL;
}

uint32_t vn_sim_find(const struct vn_sim *sim, uint32_t account, struct vn_str name)
{
        size_t slot = name_hash(name) & (sim->name_slots - 1);
        for (; sim->names[slot]; slot = (slot + 1) & (sim->name_slots - 1)) {
                uint32_t f = sim->names[slot] - 1;
                if (vn_str_eq_nocase(name, vn_str(sim->trace->functions[f].name)))
                        return vn_demo_deployment(sim->demo, account, f);
        }
        return UINT32_MAX;
}

size_t vn_sim_next_record(const struct vn_sim_function *function, size_t at, int64_t from_us, int64_t until_us)
{
        while (at < function->record_count) {
                const struct vn_sim_block *block = &function->blocks[at / VN_SIM_BLOCK];
                size_t end = (at / VN_SIM_BLOCK + 1) * VN_SIM_BLOCK;
                end = end < function->record_count ? end : function->record_count;
                if (block->until_us < from_us || block->from_us >= until_us) {
                        at = end;
                        continue;
                }
                for (; at < end; at++) {
                        if (function->records[at].end_us >= from_us && function->records[at].at_us < until_us)
                                return at;
                }
        }
        return at;
}

const char *vn_sim_function_name(const struct vn_sim *sim, uint32_t deployment)
{
        return sim->trace->functions[deployment % sim->demo->function_count].name;
}

int64_t vn_sim_arrival(const struct vn_sim *sim, const struct vn_sim_request *request)
{
        int64_t at_us;
        struct vn_str text = vn_sim_header(request, "x-vane-sim-at-us");
        if (text.len && vn_str_to_i64(text, &at_us) == VN_OK && at_us >= 0)
                return at_us;
        return vn_now_us(sim->clock);
}

static bool grow(void **items, size_t *cap, size_t count, size_t item_bytes)
{
        if (count < *cap)
                return true;
        size_t wanted = *cap ? *cap * 2 : 64;
        void *bigger = vn_realloc(*items, wanted * item_bytes);
        if (!bigger)
                return false;
        *items = bigger;
        *cap = wanted;
        return true;
}

static void account_for(struct vn_sim_function *f, const struct vn_platform_outcome *out)
{
        f->invocations++;
        f->failed += out->status != VN_RUN_OK;
        f->cold += out->cold;
        f->cost.request_usd += out->cost.request_usd;
        f->cost.compute_usd += out->cost.compute_usd;
        f->cost.memory_usd += out->cost.memory_usd;
        f->cost.init_usd += out->cost.init_usd;
        f->cost.egress_usd += out->cost.egress_usd;
        f->cost.total_usd += out->cost.total_usd;
}

static uint32_t cap32(int64_t value)
{
        return value < 0 ? 0 : value > (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static bool make_room(struct vn_sim *sim, struct vn_sim_function *f)
{
        return sim->record_total < VN_MAX_SIM_RECORDS && vn_sim_keep_good(sim) &&
               grow((void **)&f->records, &f->record_cap, f->record_count, sizeof *f->records) &&
               grow((void **)&f->blocks, &f->block_cap, f->record_count / VN_SIM_BLOCK, sizeof *f->blocks) &&
               grow((void **)&sim->arrivals, &sim->arrival_cap, sim->arrival_count, sizeof *sim->arrivals);
}

/* There is room for it. */
static struct vn_sim_record *add_record(struct vn_sim *sim, struct vn_sim_function *f,
                                        const struct vn_sim_record *record)
{
        struct vn_sim_block *block = &f->blocks[f->record_count / VN_SIM_BLOCK];
        bool first = f->record_count % VN_SIM_BLOCK == 0;
        if (first || record->at_us < block->from_us)
                block->from_us = record->at_us;
        if (first || record->end_us > block->until_us)
                block->until_us = record->end_us;
        sim->arrivals[sim->arrival_count++] = (struct vn_sim_arrival){
                record->at_us, (uint32_t)((size_t)(f - sim->functions) % sim->demo->function_count),
                record->payload_bytes};
        sim->record_total++;
        f->records[f->record_count] = *record;
        return &f->records[f->record_count++];
}

const struct vn_sim_record *vn_sim_invoke(struct vn_sim *sim, uint32_t deployment,
                                          const struct vn_sim_request *request, struct vn_sim_response *response,
                                          struct vn_platform_outcome *outcome)
{
        struct vn_sim_function *f = &sim->functions[deployment];
        int64_t at_us = vn_sim_arrival(sim, request);
        char text[24];
        memset(outcome, 0, sizeof *outcome);
        outcome->status = VN_RUN_UNAVAILABLE;
        if (!make_room(sim, f))
                return NULL;
        VN_IGNORE(vn_sim_busy(sim, deployment, false)); /* puts a change that is due into force */
        if (sim->real_urls && sim->real_urls[deployment % sim->demo->function_count]) {
                if (!sim->real) {
                        response->real_url = sim->real_urls[deployment % sim->demo->function_count];
                        return NULL;
                }
                at_us = sim->real->at_us;
        }
        const struct vn_platform_measured measured = {.run_us = sim->real ? sim->real->run_us : 0,
                                                      .response_bytes = sim->real ? sim->real->response_bytes : 0,
                                                      .failed = sim->real && sim->real->failed};
        vn_platform_invoke_measured(sim->platform, deployment, at_us, request->body.len, sim->real ? &measured : NULL,
                                    outcome);
        if (sim->real)
                sim->real->used = outcome->status == VN_RUN_OK || outcome->status == VN_RUN_ERROR;
        snprintf(text, sizeof text, "%lld", (long long)outcome->elapsed_us);
        vn_sim_set_header(response, "x-vane-sim-elapsed-us", text);
        account_for(f, outcome);
        const struct vn_sim_record record = {.at_us = at_us,
                                             .end_us = at_us + outcome->elapsed_us,
                                             .payload_bytes = cap32((int64_t)request->body.len),
                                             .run_ms_x1000 = cap32(outcome->run_us),
                                             .init_ms_x1000 = cap32(outcome->init_us),
                                             .billed_ms = cap32(outcome->billed_us / 1000),
                                             .memory_mb = (uint16_t)outcome->memory_mb,
                                             .used_mb = (uint16_t)outcome->used_mb,
                                             .status = (uint8_t)outcome->status,
                                             .cold = outcome->cold,
                                             .response_bytes = cap32((int64_t)outcome->response_bytes),
                                             .instance = outcome->instance_id,
                                             .id = vn_hash64(&sim->next_id, 8, sim->seed)};
        const struct vn_sim_record *r = add_record(sim, f, &record);
        vn_sim_keep_record(sim, deployment, r, outcome);
        sim->next_id++;
        return outcome->instance_id ? r : NULL;
}

bool vn_sim_restore_record(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_record *record,
                           const struct vn_platform_outcome *outcome)
{
        struct vn_sim_function *f = &sim->functions[deployment];
        if (!make_room(sim, f))
                return false;
        account_for(f, outcome);
        add_record(sim, f, record);
        return true;
}

enum vn_rc vn_sim_set_real(struct vn_sim *sim, struct vn_str name, struct vn_str url, struct vn_err *err)
{
        static const char *const local[] = {"http://127.0.0.1:", "http://localhost:", "http://[::1]:"};
        struct vn_str lambda = VN_STR("lambda+");
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1024);
        bool invoke = vn_str_starts(url, lambda), here = false;
        if (invoke)
                url = vn_str_n(url.ptr + lambda.len, url.len - lambda.len);
        for (size_t i = 0; i < 3; i++)
                here = here || vn_str_starts(url, vn_str(local[i]));
        uint32_t function = vn_sim_find(sim, 0, name);
        if (!here || function == UINT32_MAX)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%.*s: %s", VN_FMT(name),
                               here ? "there is no such function"
                                    : "real functions run on this machine's loopback only");
        /* lambda+http://HOST:PORT/NAME is HOST:PORT's invoke call for NAME. */
        size_t slash = url.len;
        while (invoke && slash && url.ptr[slash - 1] != '/')
                slash--;
        vn_buf_str(&text, vn_str_n(url.ptr, slash));
        if (invoke)
                vn_buf_printf(&text, "2015-03-31/functions/%.*s/invocations", (int)(url.len - slash),
                              url.ptr + slash);
        if (!sim->real_urls)
                sim->real_urls = vn_alloc_array(sim->trace->function_count, sizeof *sim->real_urls);
        if (!sim->real_urls || text.failed)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for an address");
        char **at = &sim->real_urls[function % sim->demo->function_count];
        vn_free(*at);
        *at = vn_buf_take(&text);
        return VN_OK;
}

void vn_sim_payload(const struct vn_platform_outcome *outcome, struct vn_buf *ret)
{
        vn_buf_text(ret, "{\"ok\":true,\"data\":\"");
        size_t fixed = ret->len + 2, more = outcome->response_bytes > fixed ? outcome->response_bytes - fixed : 0;
        if (vn_buf_reserve(ret, more + 3)) {
                memset(ret->ptr + ret->len, 'x', more);
                ret->len += more;
        }
        vn_buf_text(ret, "\"}");
}

/* Whether reads still show what was there before the latest change. */
static bool is_stale(const struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_function *f = &sim->functions[deployment];
        double seconds;
        return f->before_mb &&
               vn_sim_event_now(sim, VN_SIM_STALE, (uint32_t)(deployment / sim->demo->function_count), &seconds) &&
               vn_now_us(sim->clock) < f->changed_us + (int64_t)(seconds * 1e6);
}

uint32_t vn_sim_memory(const struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_function *f = &sim->functions[deployment];
        return is_stale(sim, deployment) ? f->before_mb : f->wanted_mb;
}

uint32_t vn_sim_revision(const struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_function *f = &sim->functions[deployment];
        return is_stale(sim, deployment) ? f->before_revision : f->revision;
}

bool vn_sim_busy(struct vn_sim *sim, uint32_t deployment, bool look)
{
        struct vn_sim_function *f = &sim->functions[deployment];
        int64_t now_us = vn_now_us(sim->clock);
        if (f->settles_us == INT64_MAX)
                return false;
        f->looks += look;
        if (now_us < f->settles_us && f->looks < 3)
                return true;
        struct vn_err err;
        /* Checked when it was asked for, so it cannot fail now. */
        VN_ASSERT(vn_platform_set_memory(sim->platform, deployment, f->wanted_mb, now_us, &err) == VN_OK);
        f->settles_us = INT64_MAX;
        f->revision++;
        f->changed_us = now_us;
        vn_sim_keep_function(sim, deployment);
        return false;
}

enum vn_rc vn_sim_change(struct vn_sim *sim, uint32_t deployment, uint32_t memory_mb, int64_t delay_us,
                         struct vn_err *err)
{
        struct vn_sim_function *f = &sim->functions[deployment];
        int64_t now_us = vn_now_us(sim->clock);
        if (vn_sim_busy(sim, deployment, false))
                return vn_fail(err, VN_FAILED_PRECONDITION, "another change is under way");
        VN_TRY(vn_platform_check_memory(sim->demo->deployments[deployment].plan, memory_mb, err));
        f->before_mb = f->wanted_mb;
        f->before_revision = f->revision;
        f->wanted_mb = memory_mb;
        f->settles_us = now_us + delay_us;
        f->looks = 0;
        f->revision++;
        f->changed_us = now_us;
        f->operation = vn_hash64(&sim->next_id, 8, sim->seed + 1);
        sim->next_id++;
        vn_sim_keep_function(sim, deployment);
        return vn_sim_keep_good(sim) ? VN_OK : vn_fail(err, VN_UNAVAILABLE, "the change cannot be kept");
}

static int compare_i64(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return x < y ? -1 : x > y;
}

static int compare_arrivals(const void *a, const void *b)
{
        const struct vn_sim_arrival *x = a, *y = b;
        if (x->at_us != y->at_us)
                return x->at_us < y->at_us ? -1 : 1;
        return x->function < y->function ? -1 : x->function > y->function;
}

enum vn_rc vn_sim_alone(const struct vn_sim *sim, const uint32_t account_of_third[3], struct vn_sim_alone *ret,
                        struct vn_err *err)
{
        struct vn_platform *platform = NULL;
        VN_TRY(vn_platform_new(&sim->demo->config, sim->seed, &platform, err));
        size_t count = sim->arrival_count;
        int64_t *elapsed = vn_alloc_array(count + 1, sizeof *elapsed);
        struct vn_sim_arrival *arrivals = vn_alloc_array(count + 1, sizeof *arrivals);
        memset(ret, 0, sizeof *ret);
        if (!elapsed || !arrivals) {
                vn_free(elapsed);
                vn_free(arrivals);
                vn_platform_free(platform);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory to replay %zu arrivals", count);
        }
        for (size_t i = 0; i < sim->injection_count; i++)
                VN_IGNORE(vn_platform_inject(platform, &sim->injections[i], err)); /* it took the same before */
        if (count)
                memcpy(arrivals, sim->arrivals, count * sizeof *arrivals);
        qsort(arrivals, count, sizeof *arrivals, compare_arrivals);
        for (size_t i = 0; i < count; i++) {
                struct vn_platform_outcome out;
                /* Drawn a call, so that no function is lucky with its cloud. */
                uint32_t account = account_of_third[vn_hash64(&i, sizeof i, sim->seed) % 3];
                vn_platform_invoke(platform, vn_demo_deployment(sim->demo, account, arrivals[i].function),
                                   arrivals[i].at_us, arrivals[i].payload_bytes, &out);
                ret->cost_usd += out.cost.total_usd;
                ret->failed += out.status != VN_RUN_OK;
                elapsed[i] = out.elapsed_us;
        }
        qsort(elapsed, count, sizeof *elapsed, compare_i64);
        ret->p95_ms = count ? (double)elapsed[count * 95 / 100] / 1e3 : 0;
        ret->invocations = count;
        vn_free(elapsed);
        vn_free(arrivals);
        vn_platform_free(platform);
        return VN_OK;
}
