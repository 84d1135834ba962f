/* grpc_client_internal.h - what the files of the gRPC client share. */
#ifndef VANE_NET_GRPC_CLIENT_INTERNAL_H
#define VANE_NET_GRPC_CLIENT_INTERNAL_H

#include <grpc/grpc.h>

#include "net/grpc_client.h"

#define GRPC_MAX_MESSAGE_BYTES (8 << 20)
#define GRPC_MAX_TOKEN_BYTES 1024

struct vn_grpc_channel {
        grpc_channel *core;
        char token[GRPC_MAX_TOKEN_BYTES + 16]; /* "Bearer ..." */
        size_t token_bytes;                    /* 0: none */
};

#endif
