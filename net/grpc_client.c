/* Channels and the short forms; one call's life is in grpc_client_call.c. */
#include "net/grpc_client.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdio.h>

#include "net/grpc_client_internal.h"

static bool is_loopback(const char *target)
{
        struct vn_str rest = vn_str(target);
        if (vn_str_starts(rest, VN_STR("[::1]:")))
                return true;
        struct vn_str host = vn_str_cut(&rest, ':');
        return rest.ptr && (vn_str_eq(host, VN_STR("127.0.0.1")) || vn_str_eq_nocase(host, VN_STR("localhost")));
}

static enum vn_rc no_memory(struct vn_err *err)
{
        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a gRPC channel");
}

static enum vn_rc check_options(const struct vn_grpc_options *o, struct vn_err *err)
{
        if (!o->target || !strchr(o->target, ':') || strlen(o->target) > 255)
                return vn_fail(err, VN_INVALID_ARGUMENT, "not a host:port to call");
        if (!o->ca_pem.len && !is_loopback(o->target))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: plain text is for loopback only; give a CA", o->target);
        if (!o->cert_pem.len != !o->key_pem.len)
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "a client certificate needs its key, and a key its certificate");
        if (o->token.len > GRPC_MAX_TOKEN_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "a token longer than %d bytes", GRPC_MAX_TOKEN_BYTES);
        for (size_t i = 0; i < o->token.len; i++)
                if (o->token.ptr[i] <= ' ' || o->token.ptr[i] > '~')
                        return vn_fail(err, VN_INVALID_ARGUMENT,
                                       "the token holds something that is not a token's character");
        return VN_OK;
}

static enum vn_rc make_credentials(const struct vn_grpc_options *o, grpc_channel_credentials **ret,
                                   struct vn_err *err)
{
        VN_AUTO(vn_text)
        ca = NULL;
        VN_AUTO(vn_text)
        cert = NULL;
        char *key = NULL;
        grpc_ssl_pem_key_cert_pair pair;

        if (!o->ca_pem.len) {
                *ret = grpc_insecure_credentials_create();
                return *ret ? VN_OK : no_memory(err);
        }
        ca = vn_strndup(o->ca_pem.ptr, o->ca_pem.len);
        if (o->cert_pem.len) {
                cert = vn_strndup(o->cert_pem.ptr, o->cert_pem.len);
                key = vn_strndup(o->key_pem.ptr, o->key_pem.len);
        }
        if (!ca || (o->cert_pem.len && (!cert || !key))) {
                vn_free_secret(key, key ? o->key_pem.len : 0);
                return no_memory(err);
        }
        pair = (grpc_ssl_pem_key_cert_pair){key, cert};
        *ret = grpc_ssl_credentials_create(ca, cert ? &pair : NULL, NULL, NULL);
        vn_free_secret(key, key ? o->key_pem.len : 0);
        return *ret ? VN_OK : vn_fail(err, VN_INVALID_ARGUMENT, "%s: the CA or certificate is not usable", o->target);
}

#define MAX_ARGS 16
struct args {
        grpc_arg list[MAX_ARGS];
        size_t count;
};

static void add_integer(struct args *args, const char *key, int value)
{
        VN_ASSERT(args->count < MAX_ARGS);
        args->list[args->count++] =
                (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static void add_text(struct args *args, const char *key, const char *value)
{
        VN_ASSERT(args->count < MAX_ARGS);
        args->list[args->count++] = (grpc_arg){
                .type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)key, .value.string = (char *)(uintptr_t)value};
}

static grpc_channel *make_channel(const struct vn_grpc_options *o, grpc_channel_credentials *credentials)
{
        struct args args = {.count = 0};
        grpc_channel_args list;

        add_integer(&args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, GRPC_MAX_MESSAGE_BYTES);
        add_integer(&args, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, GRPC_MAX_MESSAGE_BYTES);
        add_integer(&args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
        add_integer(&args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
        add_integer(&args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
        add_integer(&args, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
        add_integer(&args, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
        /* Each channel its own connection: the certificate differs, and an old one must be able to drain. */
        add_integer(&args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        if (o->keep_alive) {
                add_integer(&args, GRPC_ARG_KEEPALIVE_TIME_MS, 60000);
                add_integer(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
        }
        if (o->server_name)
                add_text(&args, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, o->server_name);
        list = (grpc_channel_args){args.count, args.list};
        return grpc_channel_create(o->target, credentials, &list);
}

enum vn_rc vn_grpc_channel_new(const struct vn_grpc_options *options, struct vn_grpc_channel **ret,
                               struct vn_err *err)
{
        struct vn_grpc_channel *channel;
        grpc_channel_credentials *credentials = NULL;
        enum vn_rc rc;

        VN_TRY(check_options(options, err));
        channel = vn_alloc(sizeof(*channel));
        if (!channel)
                return no_memory(err);
        grpc_init();
        rc = make_credentials(options, &credentials, err);
        if (rc == VN_OK) {
                channel->core = make_channel(options, credentials);
                grpc_channel_credentials_release(credentials);
                if (!channel->core)
                        rc = no_memory(err);
        }
        if (rc == VN_OK && options->token.len)
                channel->token_bytes = (size_t)snprintf(channel->token, sizeof(channel->token), "Bearer %.*s",
                                                        VN_FMT(options->token));
        if (rc == VN_OK)
                *ret = channel;
        else
                vn_grpc_channel_free(channel);
        return rc;
}

struct vn_grpc_channel *vn_grpc_channel_free(struct vn_grpc_channel *channel)
{
        if (!channel)
                return NULL;
        if (channel->core)
                grpc_channel_destroy(channel->core);
        vn_free_secret(channel, sizeof(*channel));
        /* The last one waits for the core's own threads: a program that ends right after must not leave them half-way. */
        grpc_shutdown_blocking();
        return NULL;
}

/* --- messages --- */

static void *arena_alloc(void *arena, size_t bytes)
{
        return vn_arena_alloc(arena, bytes);
}

static void arena_free(void *arena, void *memory)
{
        (void)arena, (void)memory; /* goes with the arena */
}

ProtobufCAllocator vn_grpc_arena_allocator(struct vn_arena *arena)
{
        return (ProtobufCAllocator){arena_alloc, arena_free, arena};
}

/* --- short forms --- */

enum vn_rc vn_grpc_unary(struct vn_grpc_channel *channel, const struct vn_grpc_method *method,
                         const ProtobufCMessage *request, struct vn_arena *arena, ProtobufCMessage **ret,
                         struct vn_err *err)
{
        VN_AUTO(vn_grpc_call)
        call = NULL;
        ProtobufCMessage *message = NULL;
        struct vn_err receive_err = {.rc = VN_OK};
        enum vn_rc received;

        VN_TRY(vn_grpc_open(channel, method, &call, err));
        /* A refusal may come before the request is out: then only the status counts. */
        if (vn_grpc_send(call, request, NULL) != VN_OK || vn_grpc_send_done(call, NULL) != VN_OK) {
                VN_TRY(vn_grpc_finish(call, err));
                return vn_fail(err, VN_UNAVAILABLE, "the server ended the call before it had the request");
        }
        received = vn_grpc_recv(call, arena, &message, &receive_err);
        if (received != VN_OK) {
                if (err)
                        *err = receive_err;
                return received;
        }
        VN_TRY(vn_grpc_finish(call, err));
        if (!message)
                return vn_fail(err, VN_INTERNAL, "%s: an answer without a message", method->path);
        *ret = message;
        return VN_OK;
}

enum vn_rc vn_grpc_server_stream(struct vn_grpc_channel *channel, const struct vn_grpc_method *method,
                                 const ProtobufCMessage *request, size_t arena_bytes,
                                 enum vn_rc (*each)(void *context, const ProtobufCMessage *message,
                                                    struct vn_err *err),
                                 void *context, struct vn_err *err)
{
        VN_AUTO(vn_grpc_call)
        call = NULL;
        VN_AUTO(vn_arena)
        arena;
        ProtobufCMessage *message;

        vn_arena_init(&arena, arena_bytes);
        VN_TRY(vn_grpc_open(channel, method, &call, err));
        if (vn_grpc_send(call, request, NULL) == VN_OK)
                VN_IGNORE(vn_grpc_send_done(call, NULL)); /* the status says why it failed */
        for (;;) {
                vn_arena_reset(&arena);
                VN_TRY(vn_grpc_recv(call, &arena, &message, err));
                if (!message)
                        return vn_grpc_finish(call, err);
                VN_TRY(each(context, message, err));
        }
}
