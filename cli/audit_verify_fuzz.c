/* Any file as an export of the log: it ends with a verdict, and nothing that the key did not sign is called proven. */
#include "cli/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cli_export_report found;
        struct vn_err err = {.rc = VN_OK};
        union {
                const uint8_t *in;
                void *out;
        } bytes = {.in = data}; /* fmemopen takes a void * but only reads */
        FILE *in = size ? fmemopen(bytes.out, size, "r") : NULL;
        if (!in)
                return 0;
        /* A key whose secret half no input can know. */
        VN_ASSERT(cli_verify_export(in, "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", &found,
                                    &err) != VN_OK &&
                  err.msg[0]);
        vn_buf_done(&found.text);
        fclose(in);
        /* With the key that the file brings along it may agree with itself. */
        in = fmemopen(bytes.out, size, "r");
        VN_ASSERT(in);
        VN_IGNORE(cli_verify_export(in, NULL, &found, &err));
        vn_buf_done(&found.text);
        fclose(in);
        return 0;
}
