/* vane_echo_main.c - bench.Echo/Echo on the edge, one loop; the message is unpacked and packed, as a handler's is.
 * Prints its port, serves until it is killed. */
#include <stdio.h>
#include <unistd.h>

#include "echo.pb-c.h"
#include "net/edge.h"

static void echo(struct vn_call *call, const ProtobufCMessage *message)
{
        vn_call_reply(call, message);
}

static const struct vn_method rows[] = {{
        .service = "bench.Echo",
        .name = "Echo",
        .kind = VN_UNARY,
        .access = VN_ACCESS_PUBLIC,
        .request = &bench__echo_message__descriptor,
        .response = &bench__echo_message__descriptor,
        .help = "Sends its message back.",
        .start = echo,
}};

static enum vn_rc serve(struct vn_err *err)
{
        struct vn_edge *edge;
        uint16_t port;
        VN_TRY(vn_edge_new(NULL, 1, &edge, err));
        VN_TRY(vn_edge_add_methods(edge, rows, 1, NULL, err));
        VN_TRY(vn_edge_listen(edge, "127.0.0.1", 0, NULL, &port, err));
        VN_TRY(vn_edge_start(edge, err));
        printf("%u\n", port);
        fflush(stdout);
        for (;;)
                pause();
}

int main(void)
{
        struct vn_err err = {0};
        if (serve(&err) != VN_OK)
                fprintf(stderr, "bench-edge-vane: %s\n", err.msg);
        return 1;
}
