#include "net/grant_holder.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "base/hash.h"
#include "base/hpke.h"
#include "net/grant_seal.h"
#include "vane/v1/control.pb-c.h"

#define MAX_GRANTS 64
#define MAX_WANTED 32
#define MAX_SECRET_BYTES 65536
#define ARENA_BYTES (1u << 20)
#define FIRST_BACKOFF_US (100 * VN_US_PER_MS)
#define MAX_BACKOFF_US (5 * VN_US_PER_S)

struct held {
        char id[17], account[64];
        int64_t expires_us;
        char *secret; /* pages of its own */
        size_t len, mapped;
};

struct vn_grant_holder {
        struct vn_grant_holder_options options;
        pthread_t thread;
        pthread_mutex_t mutex; /* of everything below */
        pthread_cond_t changed;
        struct vn_grpc_call *call; /* while open */
        bool stopping, pinging;
        uint8_t private_key[VN_HPKE_KEY_BYTES], public_key[VN_HPKE_KEY_BYTES]; /* of this stream */
        int64_t lease_until_us;                                                /* real monotonic time */
        struct held held[MAX_GRANTS];
        size_t count;
        char trouble[VN_ERR_MSG_BYTES];
};

/* --- secrets, with the mutex held --- */

static void drop(struct vn_grant_holder *h, size_t i)
{
        explicit_bzero(h->held[i].secret, h->held[i].mapped);
        munmap(h->held[i].secret, h->held[i].mapped);
        h->held[i] = h->held[--h->count];
        memset(&h->held[h->count], 0, sizeof h->held[0]);
}

static void drop_all(struct vn_grant_holder *h)
{
        while (h->count)
                drop(h, h->count - 1);
        h->lease_until_us = 0;
}

static void drop_by_id(struct vn_grant_holder *h, const char *id)
{
        for (size_t i = 0; i < h->count; i++)
                if (!strcmp(h->held[i].id, id)) {
                        drop(h, i);
                        return;
                }
}

static void drop_expired(struct vn_grant_holder *h)
{
        int64_t now_us = vn_now_us(h->options.clock);
        for (size_t i = h->count; i-- > 0;)
                if (h->held[i].expires_us <= now_us)
                        drop(h, i);
}

/* Takes the text into pages that are neither swapped nor dumped, where the system lets them be locked. */
static bool keep(struct vn_grant_holder *h, const Vane__V1__SealedGrant *grant, struct vn_str text)
{
        struct held held = {.expires_us = grant->expires_us, .len = text.len, .mapped = (text.len / 4096 + 1) * 4096};
        if (h->count == MAX_GRANTS || !vn_str_copy(held.id, sizeof held.id, vn_str(grant->id)) ||
            !vn_str_copy(held.account, sizeof held.account, vn_str(grant->account)))
                return false;
        held.secret = mmap(NULL, held.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (held.secret == MAP_FAILED)
                return false;
        if (mlock(held.secret, held.mapped) || madvise(held.secret, held.mapped, MADV_DONTDUMP))
                snprintf(h->trouble, sizeof h->trouble, "the grants' memory cannot be locked");
        memcpy(held.secret, text.ptr, text.len);
        h->held[h->count++] = held;
        return true;
}

static void take_grant(struct vn_grant_holder *h, const Vane__V1__SealedGrant *grant)
{
        struct vn_buf text = VN_BUF_INIT(MAX_SECRET_BYTES);
        char associated[VN_GRANT_ASSOCIATED_BYTES];
        struct vn_err err = {0};
        enum vn_rc rc = vn_grant_associated(grant->id, h->public_key, grant->expires_us, associated, &err);
        if (rc == VN_OK && grant->enc.len != VN_HPKE_KEY_BYTES)
                rc = vn_fail(&err, VN_INVALID_ARGUMENT, "a grant without its key");
        if (rc == VN_OK)
                rc = vn_hpke_open(h->private_key, grant->enc.data, VN_GRANT_INFO, vn_str(associated),
                                  vn_str_n(grant->sealed.data, grant->sealed.len), &text, &err);
        if (rc == VN_OK && !keep(h, grant, vn_buf_view(&text)))
                rc = vn_fail(&err, VN_RESOURCE_EXHAUSTED, "no room for another grant");
        if (rc != VN_OK)
                memcpy(h->trouble, err.msg, sizeof h->trouble);
        if (text.ptr)
                explicit_bzero(text.ptr, text.cap);
        vn_buf_done(&text);
}

/* --- lookup --- */

/* A secret is lines of "name value"; a line "function NAME" begins what belongs to that function. */
static bool next_line(struct vn_str *rest, struct vn_str *ret_name, struct vn_str *ret_value)
{
        if (!rest->ptr || !rest->len)
                return false;
        struct vn_str line = vn_str_cut(rest, '\n');
        *ret_name = vn_str_cut(&line, ' ');
        *ret_value = line.ptr ? line : VN_STR("");
        return true;
}

static bool names_function(const struct held *held, const char *function)
{
        struct vn_str rest = vn_str_n(held->secret, held->len), name, value;
        while (next_line(&rest, &name, &value))
                if (vn_str_eq(name, VN_STR("function")) && vn_str_eq(value, vn_str(function)))
                        return true;
        return false;
}

static bool read_use(const struct held *held, const char *function, struct vn_grant_use *ret)
{
        const struct {
                const char *name;
                char *to;
                size_t bytes;
        } fields[] = {{"cloud", ret->cloud, sizeof ret->cloud},
                      {"region", ret->region, sizeof ret->region},
                      {"access_key_id", ret->access_key_id, sizeof ret->access_key_id},
                      {"secret_access_key", ret->secret_access_key, sizeof ret->secret_access_key},
                      {"session_token", ret->session_token, sizeof ret->session_token},
                      {"url", ret->url, sizeof ret->url},
                      {"header", ret->header, sizeof ret->header},
                      {"value", ret->value, sizeof ret->value}};
        struct vn_str rest = vn_str_n(held->secret, held->len), name, value;
        bool mine = true, fits = true;
        while (next_line(&rest, &name, &value)) {
                if (vn_str_eq(name, VN_STR("function")))
                        mine = vn_str_eq(value, vn_str(function));
                for (size_t i = 0; mine && i < sizeof fields / sizeof fields[0]; i++)
                        if (vn_str_eq(name, vn_str(fields[i].name)))
                                fits = fits && vn_str_copy(fields[i].to, fields[i].bytes, value);
        }
        return fits && vn_str_copy(ret->id, sizeof ret->id, vn_str(held->id));
}

static const struct held *find(const struct vn_grant_holder *h, const char *account, const char *function)
{
        const struct held *best = NULL;
        for (size_t i = 0; i < h->count; i++)
                if (!strcmp(h->held[i].account, account) && names_function(&h->held[i], function) &&
                    (!best || h->held[i].expires_us > best->expires_us))
                        best = &h->held[i];
        return best;
}

enum vn_rc vn_grant_holder_use(struct vn_grant_holder *holder, const char *account, const char *function,
                               struct vn_grant_use *ret, struct vn_err *err)
{
        memset(ret, 0, sizeof *ret);
        pthread_mutex_lock(&holder->mutex);
        drop_expired(holder);
        const struct held *found = find(holder, account, function);
        enum vn_rc rc = VN_OK;
        if (vn_mono_us(vn_clock_real()) >= holder->lease_until_us)
                rc = vn_fail(err, VN_UNAVAILABLE, "the server is not heard: grants are not used%s%s",
                             holder->trouble[0] ? ": " : "", holder->trouble);
        else if (!found)
                rc = vn_fail(err, VN_UNAVAILABLE, "no grant for %.64s in %.64s%s%s", function, account,
                             holder->trouble[0] ? ": " : "", holder->trouble);
        else if (!read_use(found, function, ret))
                rc = vn_fail(err, VN_UNAVAILABLE, "the grant for %.64s cannot be read", function);
        pthread_mutex_unlock(&holder->mutex);
        if (rc != VN_OK)
                vn_grant_use_done(ret);
        return rc;
}

void vn_grant_use_done(struct vn_grant_use *use)
{
        explicit_bzero(use, sizeof *use);
}

/* --- the stream --- */

static void take_event(struct vn_grant_holder *h, const Vane__V1__GatewayEvent *event)
{
        int64_t now_us = vn_mono_us(vn_clock_real());
        pthread_mutex_lock(&h->mutex);
        switch (event->event_case) {
        case VANE__V1__GATEWAY_EVENT__EVENT_PONG:
                /* The number is the time at which the ping was sent: what the server says later cannot be older. */
                if (event->pong <= (uint64_t)now_us && (int64_t)event->pong + VN_GRANT_LEASE_US > h->lease_until_us)
                        h->lease_until_us = (int64_t)event->pong + VN_GRANT_LEASE_US;
                break;
        case VANE__V1__GATEWAY_EVENT__EVENT_GRANT: take_grant(h, event->grant); break;
        case VANE__V1__GATEWAY_EVENT__EVENT_REVOKED: drop_by_id(h, event->revoked->id); break;
        case VANE__V1__GATEWAY_EVENT__EVENT_TROUBLE:
                snprintf(h->trouble, sizeof h->trouble, "%.60s: %.120s", event->trouble->account,
                         event->trouble->message);
                break;
        case VANE__V1__GATEWAY_EVENT__EVENT__NOT_SET:
        case _VANE__V1__GATEWAY_EVENT__EVENT__CASE_IS_INT_SIZE: break;
        }
        pthread_mutex_unlock(&h->mutex);
}

/* Waits with the mutex held; false once this stream's pinging, or all, is to end. */
static bool wait_more(struct vn_grant_holder *h, int64_t us, const bool *going)
{
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += us / VN_US_PER_S;
        until.tv_nsec += us % VN_US_PER_S * 1000;
        if (until.tv_nsec >= 1000000000)
                until.tv_nsec -= 1000000000, until.tv_sec++;
        while (!h->stopping && (!going || *going))
                if (pthread_cond_timedwait(&h->changed, &h->mutex, &until))
                        break;
        return !h->stopping && (!going || *going);
}

static void *ping(void *arg)
{
        struct vn_grant_holder *h = arg;
        pthread_mutex_lock(&h->mutex);
        struct vn_grpc_call *call = h->call; /* freed only after this thread has ended */
        do {
                Vane__V1__GatewayMessage message = VANE__V1__GATEWAY_MESSAGE__INIT;
                message.message_case = VANE__V1__GATEWAY_MESSAGE__MESSAGE_PING;
                pthread_mutex_unlock(&h->mutex);
                message.ping = (uint64_t)vn_mono_us(vn_clock_real());
                bool sent = vn_grpc_send(call, &message.base, NULL) == VN_OK;
                pthread_mutex_lock(&h->mutex);
                if (!sent)
                        break; /* the receiving thread finds out why */
        } while (wait_more(h, VN_GRANT_PING_US, &h->pinging));
        pthread_mutex_unlock(&h->mutex);
        return NULL;
}

static enum vn_rc say_hello(struct vn_grant_holder *h, struct vn_grpc_call *call, struct vn_err *err)
{
        Vane__V1__GatewayMessage message = VANE__V1__GATEWAY_MESSAGE__INIT;
        Vane__V1__GatewayHello hello = VANE__V1__GATEWAY_HELLO__INIT;
        Vane__V1__GrantWish wishes[MAX_WANTED], *list[MAX_WANTED];
        union {
                const char *in;
                char *out;
        } cast;
        for (size_t i = 0; i < h->options.wanted_count; i++) {
                list[i] = &wishes[i];
                vane__v1__grant_wish__init(list[i]);
                cast.in = h->options.wanted[i].account;
                wishes[i].account = cast.out; /* protobuf-c packs from char * but does not write to it */
                wishes[i].functions = h->options.wanted[i].functions;
                wishes[i].n_functions = h->options.wanted[i].count;
        }
        hello.public_key = (ProtobufCBinaryData){VN_HPKE_KEY_BYTES, h->public_key};
        hello.wishes = list;
        hello.n_wishes = h->options.wanted_count;
        message.message_case = VANE__V1__GATEWAY_MESSAGE__MESSAGE_HELLO;
        message.hello = &hello;
        return vn_grpc_send(call, &message.base, err);
}

static enum vn_rc receive(struct vn_grant_holder *h, struct vn_grpc_call *call, struct vn_err *err)
{
        struct vn_arena arena;
        enum vn_rc rc;
        vn_arena_init(&arena, ARENA_BYTES);
        for (;;) {
                ProtobufCMessage *message = NULL;
                rc = vn_grpc_recv(call, &arena, &message, err);
                if (rc != VN_OK || !message)
                        break;
                take_event(h, (const Vane__V1__GatewayEvent *)message);
                vn_arena_reset(&arena);
        }
        if (rc == VN_OK)
                rc = vn_grpc_finish(call, err);
        vn_arena_done(&arena);
        return rc == VN_OK ? vn_fail(err, VN_UNAVAILABLE, "the server ended the stream") : rc;
}

/* One stream from its key to its end. */
static enum vn_rc hold_once(struct vn_grant_holder *h, struct vn_err *err)
{
        struct vn_grpc_method method = {"/vane.v1.Grants/WatchGrants", &vane__v1__gateway_event__descriptor, 0, true};
        VN_AUTO(vn_grpc_call)
        call = NULL;
        pthread_t pinger;
        VN_TRY(vn_hpke_make_key(h->private_key, h->public_key, err));
        VN_TRY(vn_grpc_open(h->options.channel, &method, &call, err));
        pthread_mutex_lock(&h->mutex);
        bool stopping = h->stopping;
        h->call = call;
        h->pinging = true;
        pthread_mutex_unlock(&h->mutex);
        enum vn_rc rc = stopping ? vn_fail(err, VN_CANCELLED, "stopping") : say_hello(h, call, err);
        bool started = rc == VN_OK && !pthread_create(&pinger, NULL, ping, h);
        if (rc == VN_OK)
                rc = started ? receive(h, call, err) : vn_fail(err, VN_RESOURCE_EXHAUSTED, "no thread");
        else if (rc == VN_CANCELLED && !stopping)
                rc = vn_grpc_finish(call, err);
        pthread_mutex_lock(&h->mutex);
        drop_all(h); /* at the other end they have ended too */
        h->call = NULL;
        h->pinging = false;
        explicit_bzero(h->private_key, sizeof h->private_key);
        memcpy(h->trouble, err->msg, sizeof h->trouble);
        pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->mutex);
        vn_grpc_cancel(call); /* a ping that waits to be sent */
        if (started)
                pthread_join(pinger, NULL);
        return rc;
}

static void *run(void *arg)
{
        struct vn_grant_holder *h = arg;
        int64_t backoff_us = FIRST_BACKOFF_US;
        bool more = true;
        while (more) {
                struct vn_err err = {0};
                int64_t from_us = vn_mono_us(vn_clock_real());
                VN_IGNORE(hold_once(h, &err)); /* kept as the trouble */
                if (vn_mono_us(vn_clock_real()) - from_us > MAX_BACKOFF_US)
                        backoff_us = FIRST_BACKOFF_US;
                pthread_mutex_lock(&h->mutex);
                more = wait_more(h, backoff_us, NULL);
                pthread_mutex_unlock(&h->mutex);
                backoff_us = backoff_us * 2 < MAX_BACKOFF_US ? backoff_us * 2 : MAX_BACKOFF_US;
        }
        return NULL;
}

enum vn_rc vn_grant_holder_new(const struct vn_grant_holder_options *options, struct vn_grant_holder **ret,
                               struct vn_err *err)
{
        pthread_condattr_t attributes;
        if (!options->wanted_count || options->wanted_count > MAX_WANTED)
                return vn_fail(err, VN_INVALID_ARGUMENT, "1 to %d accounts can be wanted", MAX_WANTED);
        struct vn_grant_holder *h = vn_alloc(sizeof *h);
        if (!h)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        h->options = *options;
        pthread_mutex_init(&h->mutex, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&h->changed, &attributes);
        pthread_condattr_destroy(&attributes);
        if (pthread_create(&h->thread, NULL, run, h)) {
                pthread_cond_destroy(&h->changed);
                pthread_mutex_destroy(&h->mutex);
                vn_free(h);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no thread");
        }
        *ret = h;
        return VN_OK;
}

struct vn_grant_holder *vn_grant_holder_free(struct vn_grant_holder *holder)
{
        if (!holder)
                return NULL;
        pthread_mutex_lock(&holder->mutex);
        holder->stopping = true;
        if (holder->call)
                vn_grpc_cancel(holder->call);
        pthread_cond_broadcast(&holder->changed);
        pthread_mutex_unlock(&holder->mutex);
        pthread_join(holder->thread, NULL);
        pthread_cond_destroy(&holder->changed);
        pthread_mutex_destroy(&holder->mutex);
        vn_free_secret(holder, sizeof *holder);
        return NULL;
}
