/* streams.c - the gateways' streams. What a gateway says goes to the control loop, one message at a time: the next is read when
 * that one is done, so a gateway cannot fill the loop's queue. */
#include "server/grants/internal.h"
#include "server/registry/hub.h"

struct said {
        struct vn_task task; /* to the control loop, then back */
        struct vn_call *call;
        uint64_t stream;
        Vane__V1__GatewayMessage *message;
};

static void read_on(struct vn_task *task)
{
        struct said *said = (struct said *)task;
        if (!vn_call_over(said->call))
                vn_call_pause_reading(said->call, false);
        vn_call_unref(said->call);
        vn_free(said);
}

static void pong(struct vn_server *server, uint64_t stream, uint64_t number)
{
        Vane__V1__GatewayEvent event = VANE__V1__GATEWAY_EVENT__INIT;
        event.event_case = VANE__V1__GATEWAY_EVENT__EVENT_PONG;
        event.pong = number;
        vn_hub_send_gateway(server, stream, &event.base);
}

static void said_run(struct vn_task *task)
{
        struct said *said = (struct said *)task;
        struct vn_server *server = vn_call_context(said->call);
        Vane__V1__GatewayMessage *message = said->message;
        if (message->message_case == VANE__V1__GATEWAY_MESSAGE__MESSAGE_HELLO && !vn_call_over(said->call)) {
                vn_gateway_hello(server, said->stream, vn_call_identity(said->call), message);
        } else {
                if (message->message_case == VANE__V1__GATEWAY_MESSAGE__MESSAGE_PING)
                        pong(server, said->stream, message->ping);
                vane__v1__gateway_message__free_unpacked(message, NULL);
        }
        said->task.run = read_on;
        vn_loop_post(vn_call_loop(said->call), &said->task);
}

void vn_grants_open(struct vn_call *call)
{
        struct vn_server *server = vn_call_context(call);
        uint64_t *stream = vn_arena_alloc(vn_call_arena(call), sizeof *stream);
        struct vn_err err;
        if (!stream || !(*stream = vn_hub_attach_gateway(server, call))) {
                vn_call_finish(call, vn_fail(&err, VN_RESOURCE_EXHAUSTED, "too many open streams"), &err);
                return;
        }
        vn_call_set_user(call, stream);
}

static Vane__V1__GatewayMessage *copy_of(const ProtobufCMessage *message)
{
        size_t n = protobuf_c_message_get_packed_size(message);
        uint8_t *bytes = vn_alloc(n + 1);
        Vane__V1__GatewayMessage *copy = NULL;
        if (bytes)
                copy = vane__v1__gateway_message__unpack(NULL, protobuf_c_message_pack(message, bytes), bytes);
        vn_free(bytes);
        return copy;
}

void vn_grants_message(struct vn_call *call, const ProtobufCMessage *message)
{
        struct vn_server *server = vn_call_context(call);
        const uint64_t *stream = vn_call_user(call);
        struct said *said = vn_alloc(sizeof *said);
        Vane__V1__GatewayMessage *copy = said && stream ? copy_of(message) : NULL;
        if (!copy) {
                vn_free(said); /* a ping that is not answered: what the gateway holds runs out */
                return;
        }
        *said = (struct said){.task.run = said_run, .call = vn_call_ref(call), .stream = *stream, .message = copy};
        vn_call_pause_reading(call, true);
        vn_loop_post(server->control, &said->task);
}

struct gone {
        struct vn_task task;
        struct vn_server *server;
        uint64_t stream;
};

static void gone_run(struct vn_task *task)
{
        struct gone *gone = (struct gone *)task;
        vn_gateway_gone(gone->server, gone->stream);
        vn_free(gone);
}

void vn_grants_cancelled(struct vn_call *call)
{
        struct vn_server *server = vn_call_context(call);
        const uint64_t *stream = vn_call_user(call);
        struct gone *gone = stream ? vn_alloc(sizeof *gone) : NULL;
        vn_hub_detach(server, call);
        if (!gone)
                return;
        *gone = (struct gone){.task.run = gone_run, .server = server, .stream = *stream};
        vn_loop_post(server->control, &gone->task);
}

void vn_grants_half_close(struct vn_call *call)
{
        vn_grants_cancelled(call);
        vn_call_finish(call, VN_OK, NULL);
}
