/* cli/connect.h - from flags and environment to a channel.
 * Order: flag, then VANE_SERVER, VANE_TOKEN_FILE, VANE_CA_FILE, then http://127.0.0.1:8420 without a token. */
#ifndef VANE_CLI_CONNECT_H
#define VANE_CLI_CONNECT_H

#include "cli/command.h"
#include "net/grpc_client.h"

enum vn_rc cli_connect(const struct cli_input *input, struct vn_grpc_channel **ret, struct vn_err *err) VN_MUST_USE;
/* "https://host:port" or "http://host:port" taken apart; INVALID_ARGUMENT for anything else. */
enum vn_rc cli_server(const char *url, char ret_target[256], bool *ret_tls, struct vn_err *err) VN_MUST_USE;

#endif
