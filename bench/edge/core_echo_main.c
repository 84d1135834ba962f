/* core_echo_main.c - the same echo on a bare gRPC C core server: one completion queue, one thread, a registered method
 * whose payload the core reads itself, and the request's bytes sent back unparsed. The peer of the edge bench. */
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <stdlib.h>

#define WAITING_CALLS 256

struct echo {
        grpc_call *call;
        grpc_byte_buffer *payload;
        grpc_metadata_array metadata;
        gpr_timespec deadline;
        int cancelled;
        int answering;
};

static grpc_completion_queue *queue;
static grpc_server *server;
static void *method;

static void wait_for_call(struct echo *echo)
{
        *echo = (struct echo){0};
        grpc_metadata_array_init(&echo->metadata);
        if (grpc_server_request_registered_call(server, method, &echo->call, &echo->deadline, &echo->metadata,
                                                &echo->payload, queue, queue, echo) != GRPC_CALL_OK)
                abort();
}

static void answer(struct echo *echo)
{
        grpc_op ops[4] = {0};
        ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
        ops[1].op = GRPC_OP_SEND_MESSAGE;
        ops[1].data.send_message.send_message = echo->payload;
        ops[2].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        ops[2].data.send_status_from_server.status = GRPC_STATUS_OK;
        ops[3].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[3].data.recv_close_on_server.cancelled = &echo->cancelled;
        echo->answering = 1;
        if (!echo->payload || grpc_call_start_batch(echo->call, ops, 4, echo, NULL) != GRPC_CALL_OK)
                abort();
}

static void done(struct echo *echo)
{
        grpc_byte_buffer_destroy(echo->payload);
        grpc_metadata_array_destroy(&echo->metadata);
        grpc_call_unref(echo->call);
        wait_for_call(echo);
}

int main(void)
{
        static struct echo calls[WAITING_CALLS];
        grpc_init();
        queue = grpc_completion_queue_create_for_next(NULL);
        server = grpc_server_create(NULL, NULL);
        grpc_server_register_completion_queue(server, queue, NULL);
        method = grpc_server_register_method(server, "/bench.Echo/Echo", NULL,
                                             GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
        grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
        int port = grpc_server_add_http2_port(server, "127.0.0.1:0", plain);
        grpc_server_credentials_release(plain);
        grpc_server_start(server);
        for (int i = 0; i < WAITING_CALLS; i++)
                wait_for_call(&calls[i]);
        printf("%d\n", port);
        fflush(stdout);
        for (;;) {
                grpc_event event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
                struct echo *echo = event.tag;
                if (event.type != GRPC_OP_COMPLETE)
                        continue;
                if (echo->answering)
                        done(echo);
                else if (event.success)
                        answer(echo);
        }
}
