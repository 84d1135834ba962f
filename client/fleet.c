#include "client/fleet.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clouds/account.h"

#define MAX_SIM_FILE_BYTES (1u << 20)
#define MIN_ELAPSED_US VN_US_PER_MS
#define LOST_ELAPSED_US (100 * VN_US_PER_MS) /* what a caller waits for a connection that breaks */

struct worker {
        struct vn_fleet *fleet;
        struct vn_cloud_account *account;
        struct vn_cloud_list functions; /* sorted by name */
        pthread_t thread;
        bool started;
        pthread_cond_t wake;
        struct vn_fleet_job *head, **tail; /* under the fleet's mutex */
        char *payload;
        enum vn_rc rc; /* of the start */
        struct vn_err err;
};

struct vn_fleet {
        pthread_mutex_t mutex;
        pthread_cond_t done_wake;
        struct vn_fleet_job *done, **done_tail;
        struct worker workers[VN_FLEET_MAX_ACCOUNTS];
        size_t count, ready;
        bool stop;
};

static int function_cmp(const void *a, const void *b)
{
        const struct vn_cloud_function *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static struct vn_cloud_function *find_function(const struct worker *w, const char *name)
{
        struct vn_cloud_function key;

        if (strlen(name) >= sizeof(key.name) || w->functions.count == 0)
                return NULL;
        memcpy(key.name, name, strlen(name) + 1);
        return bsearch(&key, w->functions.functions, w->functions.count, sizeof(key), function_cmp);
}

static void read_result(const struct vn_cloud_result *result, struct vn_fleet_job *job)
{
        struct vn_str elapsed = vn_cloud_response_header(&result->response, "x-vane-sim-elapsed-us");

        if (!elapsed.ptr || vn_str_to_i64(elapsed, &job->elapsed_us) != VN_OK)
                job->elapsed_us = LOST_ELAPSED_US;
        job->response_bytes = (uint32_t)result->response.body.len;
        job->status = result->throttled        ? VN_FLEET_THROTTLED
                      : result->timed_out      ? VN_FLEET_TIMEOUT
                      : result->function_error ? VN_FLEET_ERROR
                                               : VN_FLEET_OK;
        if (job->status != VN_FLEET_OK)
                snprintf(job->problem, sizeof(job->problem), "%s answered %d: %.60s", job->function,
                         result->http_status, result->response.body.ptr ? result->response.body.ptr : "");
}

static void run(struct worker *w, struct vn_fleet_job *job)
{
        struct vn_cloud_function *function = find_function(w, job->function);
        struct vn_cloud *cloud = vn_cloud_account_cloud(w->account);
        struct vn_cloud_result result;
        struct vn_err err;
        char at[24];

        job->response_bytes = 0;
        job->elapsed_us = LOST_ELAPSED_US;
        job->status = VN_FLEET_UNREACHED;
        if (!function) {
                snprintf(job->problem, sizeof(job->problem), "%s: the account has no such function", job->function);
                return;
        }
        snprintf(at, sizeof(at), "%lld", (long long)job->at_us);
        vn_cloud_set_invoke_header(cloud, VN_STR("x-vane-sim-at-us"), vn_str(at));
        if (vn_cloud_invoke(cloud, function, vn_str_n(w->payload, job->payload_bytes), &result, &err) != VN_OK) {
                snprintf(job->problem, sizeof(job->problem), "%s", err.msg);
                return;
        }
        read_result(&result, job);
        vn_cloud_result_done(&result);
        if (job->elapsed_us < MIN_ELAPSED_US)
                job->elapsed_us = MIN_ELAPSED_US;
}

static enum vn_rc prepare(struct worker *w)
{
        w->payload = vn_alloc(VN_FLEET_MAX_PAYLOAD_BYTES);
        if (!w->payload)
                return vn_fail(&w->err, VN_RESOURCE_EXHAUSTED, "out of memory for payloads");
        memset(w->payload, '1', VN_FLEET_MAX_PAYLOAD_BYTES); /* valid JSON of any length: a number */
        VN_TRY(vn_cloud_list(vn_cloud_account_cloud(w->account), &w->functions, &w->err));
        if (w->functions.count > 0)
                qsort(w->functions.functions, w->functions.count, sizeof(w->functions.functions[0]), function_cmp);
        return VN_OK;
}

static void *worker_main(void *arg)
{
        struct worker *w = arg;
        struct vn_fleet *fleet = w->fleet;
        enum vn_rc rc = prepare(w);

        pthread_mutex_lock(&fleet->mutex);
        w->rc = rc;
        fleet->ready++;
        pthread_cond_signal(&fleet->done_wake);
        while (!fleet->stop) {
                struct vn_fleet_job *job = w->head;

                if (!job) {
                        pthread_cond_wait(&w->wake, &fleet->mutex);
                        continue;
                }
                w->head = job->next;
                if (!w->head)
                        w->tail = &w->head;
                pthread_mutex_unlock(&fleet->mutex);
                run(w, job);
                pthread_mutex_lock(&fleet->mutex);
                job->next = NULL;
                *fleet->done_tail = job;
                fleet->done_tail = &job->next;
                pthread_cond_signal(&fleet->done_wake);
        }
        pthread_mutex_unlock(&fleet->mutex);
        return NULL;
}

/* An account's own members, and what its cloud says for all of its accounts. */
static enum vn_rc open_account(struct vn_fleet *fleet, const char *cloud, json_t *shared, json_t *account,
                               const struct vn_clock *clock, struct vn_err *err)
{
        static const char *const inherited[] = {"endpoint", "functions_endpoint", "ca_file"};
        struct worker *w = &fleet->workers[fleet->count];
        json_t *whole = json_deep_copy(account);
        enum vn_rc rc;

        if (fleet->count == VN_FLEET_MAX_ACCOUNTS || !whole) {
                json_decref(whole);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "more than %d accounts, or out of memory",
                               VN_FLEET_MAX_ACCOUNTS);
        }
        json_object_set_new(whole, "cloud", json_string(cloud));
        for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++)
                if (!json_object_get(whole, inherited[i]) && json_object_get(shared, inherited[i]))
                        json_object_set(whole, inherited[i], json_object_get(shared, inherited[i]));
        rc = vn_cloud_account_open(whole, clock, &w->account, err);
        json_decref(whole);
        if (rc != VN_OK)
                return rc;
        w->fleet = fleet;
        w->tail = &w->head;
        pthread_cond_init(&w->wake, NULL);
        fleet->count++;
        return VN_OK;
}

static enum vn_rc open_all(struct vn_fleet *fleet, json_t *sim, const struct vn_clock *clock, struct vn_err *err)
{
        for (int kind = VN_CLOUD_AWS; kind <= VN_CLOUD_GCP; kind++) {
                const char *name = vn_cloud_kind_name((enum vn_cloud_kind)kind);
                json_t *cloud = json_object_get(sim, name), *account;
                size_t i;

                json_array_foreach(json_object_get(cloud, "accounts"), i, account)
                        VN_TRY(open_account(fleet, name, cloud, account, clock, err));
        }
        return fleet->count > 0 ? VN_OK : vn_fail(err, VN_INVALID_ARGUMENT, "the ready file names no accounts");
}

enum vn_rc vn_fleet_open(const char *sim_file, const struct vn_clock *clock, struct vn_fleet **ret,
                         struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_SIM_FILE_BYTES);
        VN_AUTO(vn_fleet)
        fleet = NULL;
        pthread_condattr_t monotonic;
        json_error_t error;
        json_t *sim;
        enum vn_rc rc;

        VN_TRY(vn_file_read(sim_file, &text, err));
        fleet = vn_alloc(sizeof(*fleet));
        sim = json_loadb(text.ptr ? text.ptr : "", text.len, 0, &error);
        if (!fleet || !sim) {
                json_decref(sim);
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s is not JSON (line %d)", sim_file, error.line);
        }
        pthread_mutex_init(&fleet->mutex, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&fleet->done_wake, &monotonic);
        pthread_condattr_destroy(&monotonic);
        fleet->done_tail = &fleet->done;
        rc = open_all(fleet, sim, clock, err);
        json_decref(sim);
        if (rc == VN_OK)
                *ret = vn_steal(&fleet);
        return rc;
}

enum vn_rc vn_fleet_start(struct vn_fleet *fleet, struct vn_err *err)
{
        size_t running = 0;

        for (size_t i = 0; i < fleet->count; i++) {
                struct worker *w = &fleet->workers[i];

                w->started = !pthread_create(&w->thread, NULL, worker_main, w);
                running += w->started;
        }
        pthread_mutex_lock(&fleet->mutex);
        while (fleet->ready < running)
                pthread_cond_wait(&fleet->done_wake, &fleet->mutex);
        pthread_mutex_unlock(&fleet->mutex);
        if (running < fleet->count)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no more threads");
        for (size_t i = 0; i < fleet->count; i++) {
                struct worker *w = &fleet->workers[i];

                if (w->rc != VN_OK)
                        return vn_fail(err, w->rc, "%s: %s", vn_cloud_account_name(w->account), w->err.msg);
        }
        return VN_OK;
}

struct vn_fleet *vn_fleet_free(struct vn_fleet *fleet)
{
        if (!fleet)
                return NULL;
        pthread_mutex_lock(&fleet->mutex);
        fleet->stop = true;
        for (size_t i = 0; i < fleet->count; i++)
                pthread_cond_signal(&fleet->workers[i].wake);
        pthread_mutex_unlock(&fleet->mutex);
        for (size_t i = 0; i < fleet->count; i++) {
                struct worker *w = &fleet->workers[i];

                if (w->started)
                        pthread_join(w->thread, NULL);
                vn_cloud_list_done(&w->functions);
                vn_cloud_account_free(w->account);
                pthread_cond_destroy(&w->wake);
                vn_free(w->payload);
        }
        pthread_cond_destroy(&fleet->done_wake);
        pthread_mutex_destroy(&fleet->mutex);
        vn_free(fleet);
        return NULL;
}

size_t vn_fleet_accounts(const struct vn_fleet *fleet)
{
        return fleet->count;
}

const char *vn_fleet_account_name(const struct vn_fleet *fleet, uint32_t account)
{
        return vn_cloud_account_name(fleet->workers[account].account);
}

const char *vn_fleet_account_cloud(const struct vn_fleet *fleet, uint32_t account)
{
        return vn_cloud_kind_name(vn_cloud_kind(vn_cloud_account_cloud(fleet->workers[account].account)));
}

uint32_t vn_fleet_find(const struct vn_fleet *fleet, const char *name)
{
        for (uint32_t i = 0; i < fleet->count; i++)
                if (!strcmp(vn_fleet_account_name(fleet, i), name))
                        return i;
        return UINT32_MAX;
}

void vn_fleet_submit(struct vn_fleet *fleet, struct vn_fleet_job *job)
{
        struct worker *w = &fleet->workers[job->account];

        VN_ASSERT(job->account < fleet->count && job->payload_bytes <= VN_FLEET_MAX_PAYLOAD_BYTES);
        job->next = NULL;
        pthread_mutex_lock(&fleet->mutex);
        *w->tail = job;
        w->tail = &job->next;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&fleet->mutex);
}

struct vn_fleet_job *vn_fleet_take(struct vn_fleet *fleet, int64_t wait_us)
{
        struct vn_fleet_job *done;
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += wait_us % VN_US_PER_S * 1000;
        until.tv_sec += wait_us / VN_US_PER_S + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&fleet->mutex);
        while (!fleet->done && wait_us > 0)
                if (pthread_cond_timedwait(&fleet->done_wake, &fleet->mutex, &until))
                        break;
        done = fleet->done;
        fleet->done = NULL;
        fleet->done_tail = &fleet->done;
        pthread_mutex_unlock(&fleet->mutex);
        return done;
}
