#include "server/registry/hub.h"

#include <pthread.h>
#include <stdatomic.h>

#include "server/registry/registry.h"
#include "server/rounds/rounds.h"
#include "server/state.h"
#include "server/tuning/pauses.h"
#include "server/tuning/tuning.h"
#include "vane/v1/agent.pb-c.h"
#include "vane/v1/control.pb-c.h"

#define MAX_STREAMS 20000

/* A call's reference count belongs to its loop, so another thread holds on to the stream instead. Both the list's
 * reference and a delivery's are given back on the loop. */
struct stream {
        struct stream *next;
        struct vn_call *call; /* one reference while the stream lives */
        unsigned refs;        /* under the hub's mutex */
        bool agent;
        uint64_t gateway; /* its number; 0: not a gateway's */
        bool greeted; /* an agent's: its level and its pauses go out first, without which it would refuse or do too much */
        uint64_t account_id;
        char tenant[VN_MAX_TENANT_BYTES];
        char kind[24], workload[192];
};

struct vn_hub {
        struct vn_server *server;
        pthread_mutex_t mutex; /* of the list and the streams' counts; nothing is sent under it */
        struct stream *streams, *gateway_streams;
        size_t count;      /* of both */
        uint64_t gateways; /* numbers given so far */
        _Atomic uint64_t dropped;
};

/* One message on its way to one stream's loop. */
struct delivery {
        struct vn_task task;
        struct vn_hub *hub;
        struct stream *stream;
        const ProtobufCMessageDescriptor *descriptor;
        size_t n;
        uint8_t bytes[];
};

enum vn_rc vn_hub_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_hub *hub = server->hub = vn_alloc(sizeof *hub);
        if (!hub)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        hub->server = server;
        pthread_mutex_init(&hub->mutex, NULL);
        return VN_OK;
}

void vn_hub_stop(struct vn_server *server)
{
        struct vn_hub *hub = server->hub;
        if (!hub)
                return;
        VN_ASSERT(!hub->streams &&
                  !hub->gateway_streams); /* the edge is gone, and each call's end took its stream out */
        pthread_mutex_destroy(&hub->mutex);
        vn_free(hub);
        server->hub = NULL;
}

uint64_t vn_hub_dropped(const struct vn_server *server)
{
        return atomic_load(&server->hub->dropped);
}

size_t vn_hub_agent_streams(const struct vn_server *server)
{
        struct vn_hub *hub = server->hub;
        size_t count = 0;
        pthread_mutex_lock(&hub->mutex);
        for (const struct stream *s = hub->streams; s; s = s->next)
                count += s->agent;
        pthread_mutex_unlock(&hub->mutex);
        return count;
}

bool vn_hub_has_watchers(const struct vn_server *server, const char *tenant)
{
        struct vn_hub *hub = server->hub;
        bool found = false;
        pthread_mutex_lock(&hub->mutex);
        for (const struct stream *s = hub->streams; s && !found; s = s->next)
                found = !s->agent && !strcmp(s->tenant, tenant);
        pthread_mutex_unlock(&hub->mutex);
        return found;
}

enum stream_kind { STREAM_AGENT, STREAM_DECISIONS, STREAM_GATEWAY };

static struct stream *attach(struct vn_hub *hub, struct vn_call *call, enum stream_kind what, const char *kind,
                             const char *workload)
{
        struct stream *stream = vn_alloc(sizeof *stream);
        const struct vn_identity *who = vn_call_identity(call);
        if (!stream || !vn_str_copy(stream->kind, sizeof stream->kind, vn_str(kind)) ||
            !vn_str_copy(stream->workload, sizeof stream->workload, vn_str(workload))) {
                vn_free(stream);
                return NULL;
        }
        stream->agent = what == STREAM_AGENT;
        stream->account_id = who->account_id;
        memcpy(stream->tenant, who->tenant, sizeof stream->tenant);
        pthread_mutex_lock(&hub->mutex);
        bool room = hub->count < MAX_STREAMS;
        if (room) {
                stream->call = vn_call_ref(call);
                stream->refs = 1;
                stream->gateway = what == STREAM_GATEWAY ? ++hub->gateways : 0;
                struct stream **list = what == STREAM_GATEWAY ? &hub->gateway_streams : &hub->streams;
                stream->next = *list;
                *list = stream;
                hub->count++;
        }
        pthread_mutex_unlock(&hub->mutex);
        if (room)
                return stream;
        vn_free(stream);
        return NULL;
}

/* On the call's loop. */
static void let_go(struct vn_hub *hub, struct stream *stream)
{
        pthread_mutex_lock(&hub->mutex);
        bool last = --stream->refs == 0;
        pthread_mutex_unlock(&hub->mutex);
        if (last) {
                vn_call_unref(stream->call);
                vn_free(stream);
        }
}

/* With the mutex held. */
static struct stream *take_out(struct stream **list, const struct vn_call *call)
{
        for (struct stream **at = list; *at; at = &(*at)->next) {
                struct stream *found = *at;
                if (found->call == call) {
                        *at = found->next;
                        return found;
                }
        }
        return NULL;
}

static void detach(struct vn_hub *hub, struct vn_call *call)
{
        pthread_mutex_lock(&hub->mutex);
        struct stream *found = take_out(&hub->streams, call);
        found = found ? found : take_out(&hub->gateway_streams, call);
        hub->count -= found != NULL;
        pthread_mutex_unlock(&hub->mutex);
        if (found)
                let_go(hub, found);
}

void vn_hub_detach(struct vn_server *server, struct vn_call *call)
{
        detach(server->hub, call);
}

static void deliver(struct vn_task *task)
{
        struct delivery *d = (struct delivery *)task;
        struct vn_call *call = d->stream->call;
        if (!vn_call_over(call)) {
                ProtobufCMessage *m = protobuf_c_message_unpack(d->descriptor, NULL, d->n, d->bytes);
                if (!m || vn_call_send(call, m) != VN_OK)
                        atomic_fetch_add(&d->hub->dropped, 1);
                if (m)
                        protobuf_c_message_free_unpacked(m, NULL);
        }
        let_go(d->hub, d->stream);
        vn_free(d);
}

/* With the list's mutex held: makes the delivery; posting it is a short append. */
static void post(struct vn_hub *hub, struct stream *stream, const ProtobufCMessage *message)
{
        size_t n = protobuf_c_message_get_packed_size(message);
        struct delivery *d = vn_alloc(sizeof *d + n);
        if (!d) {
                atomic_fetch_add(&hub->dropped, 1);
                return;
        }
        d->task.run = deliver;
        d->hub = hub;
        d->stream = stream;
        stream->refs++;
        d->n = n;
        d->descriptor = message->descriptor;
        protobuf_c_message_pack(message, d->bytes);
        vn_loop_post(vn_call_loop(stream->call), &d->task);
}

void vn_hub_send_agent(struct vn_server *server, uint64_t account_id, const ProtobufCMessage *event)
{
        struct vn_hub *hub = server->hub;
        pthread_mutex_lock(&hub->mutex);
        for (struct stream *s = hub->streams; s; s = s->next)
                if (s->greeted && s->account_id == account_id)
                        post(hub, s, event);
        pthread_mutex_unlock(&hub->mutex);
}

void vn_hub_send_agents(struct vn_server *server, const char *tenant, const ProtobufCMessage *event)
{
        struct vn_hub *hub = server->hub;
        pthread_mutex_lock(&hub->mutex);
        for (struct stream *s = hub->streams; s; s = s->next)
                if (s->greeted && !strcmp(s->tenant, tenant))
                        post(hub, s, event);
        pthread_mutex_unlock(&hub->mutex);
}

uint64_t vn_hub_attach_gateway(struct vn_server *server, struct vn_call *call)
{
        /* Taken out only on this loop, so it still stands. */
        const struct stream *stream = attach(server->hub, call, STREAM_GATEWAY, "", "");
        return stream ? stream->gateway : 0;
}

void vn_hub_send_gateway(struct vn_server *server, uint64_t stream, const ProtobufCMessage *event)
{
        struct vn_hub *hub = server->hub;
        pthread_mutex_lock(&hub->mutex);
        for (struct stream *s = hub->gateway_streams; s; s = s->next)
                if (s->gateway == stream)
                        post(hub, s, event);
        pthread_mutex_unlock(&hub->mutex);
}

void vn_hub_send_decision(struct vn_server *server, const char *tenant, const char *kind, const char *workload,
                          const ProtobufCMessage *decision)
{
        struct vn_hub *hub = server->hub;
        pthread_mutex_lock(&hub->mutex);
        for (struct stream *s = hub->streams; s; s = s->next)
                if (!s->agent && !strcmp(s->tenant, tenant) && (!s->kind[0] || !strcmp(s->kind, kind)) &&
                    (!s->workload[0] || !strcmp(s->workload, workload)))
                        post(hub, s, decision);
        pthread_mutex_unlock(&hub->mutex);
}

/* --- the streams themselves, on their edge loops --- */

struct hello {
        struct vn_task task;
        struct vn_server *server;
        uint64_t account_id;
};

/* From here on the account's streams are told what happens; the greeting itself comes first. */
static void open_to_events(struct vn_hub *hub, uint64_t account_id)
{
        pthread_mutex_lock(&hub->mutex);
        for (struct stream *s = hub->streams; s; s = s->next)
                s->greeted |= s->agent && s->account_id == account_id;
        pthread_mutex_unlock(&hub->mutex);
}

/* What may leave the account: the agent reports nothing before it knows. */
static void send_rules(struct vn_server *server, const struct vn_account_entry *account)
{
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__DataNotice data = VANE__V1__DATA_NOTICE__INIT;
        struct vn_leave_rules rules;
        vn_registry_rules(server, account, &rules);
        data.data_class = vn_state_text(vn_data_class_name(rules.data_class));
        data.residency = rules.residency;
        data.server_residency = rules.server_residency;
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_DATA;
        event.data = &data;
        vn_hub_send_agent(server, account->id, &event.base);
}

/* On the control loop: what an agent missed while it was away. */
static void hello_run(struct vn_task *task)
{
        struct hello *hello = (struct hello *)task;
        struct vn_account_entry *account = vn_registry_by_id(hello->server->registry, hello->account_id);
        if (account) {
                vn_registry_heard(hello->server, account);
                open_to_events(hello->server->hub, account->id);
                Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
                Vane__V1__LevelNotice level = VANE__V1__LEVEL_NOTICE__INIT;
                union {
                        const char *in;
                        char *out;
                } name = {.in = vn_level_name(account->level)};
                level.level = name.out;
                event.event_case = VANE__V1__AGENT_EVENT__EVENT_LEVEL;
                event.level = &level;
                vn_hub_send_agent(hello->server, account->id, &event.base);
                send_rules(hello->server, account);
                vn_pauses_hello(hello->server, account); /* before the commands that they may forbid */
                vn_rounds_hello(hello->server, account->id);
                vn_tuning_hello(hello->server, account->id);
        }
        vn_free(hello);
}

void vn_watch_start(struct vn_call *call, const ProtobufCMessage *request)
{
        (void)request;
        struct vn_server *server = vn_call_context(call);
        struct hello *hello = vn_alloc(sizeof *hello);
        struct vn_err err;
        if (!hello || !attach(server->hub, call, STREAM_AGENT, "", "")) {
                vn_free(hello);
                vn_call_finish(call, vn_fail(&err, VN_RESOURCE_EXHAUSTED, "too many open streams"), &err);
                return;
        }
        *hello = (struct hello){
                .task.run = hello_run, .server = server, .account_id = vn_call_identity(call)->account_id};
        vn_loop_post(server->control, &hello->task);
}

void vn_watch_cancelled(struct vn_call *call)
{
        detach(((struct vn_server *)vn_call_context(call))->hub, call);
}

void vn_decisions_watch_start(struct vn_call *call, const ProtobufCMessage *request)
{
        const Vane__V1__WatchDecisionsRequest *watch = (const Vane__V1__WatchDecisionsRequest *)request;
        struct vn_server *server = vn_call_context(call);
        struct vn_err err;
        if (!attach(server->hub, call, STREAM_DECISIONS, watch->kind, watch->workload))
                vn_call_finish(call,
                               vn_fail(&err, VN_RESOURCE_EXHAUSTED, "too many open streams, or a filter too long"),
                               &err);
}

void vn_decisions_watch_cancelled(struct vn_call *call)
{
        vn_watch_cancelled(call);
}
