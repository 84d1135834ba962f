/* Path and query of any bytes: signing ends, gives the same signature twice, and a signature for each accepted input. */
#include "clouds/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct vn_sigv4_key key = {VN_STR("A"), VN_STR("S"), VN_STR("T"), VN_STR("r"), VN_STR("s")};
        const struct vn_sigv4_options options = {.time_us = 1, .expires_s = 60};
        struct vn_str rest = vn_str_n(data, size), path = vn_str_cut(&rest, '\0'), query = vn_str_cut(&rest, '\0');
        struct vn_sigv4_header headers[] = {{VN_STR("host"), VN_STR("h")},
                                            {VN_STR("x"), rest.ptr ? rest : VN_STR("")}};
        struct vn_sigv4_request request = {VN_STR("GET"), path, query.ptr ? query : VN_STR(""),
                                           headers,       2,    VN_STR("")};
        struct vn_sigv4_result a, b;
        enum vn_rc rc;

        vn_sigv4_result_init(&a);
        vn_sigv4_result_init(&b);
        rc = vn_sigv4_sign_headers(&request, &key, &options, &a, NULL);
        VN_ASSERT(rc == vn_sigv4_sign_headers(&request, &key, &options, &b, NULL));
        if (rc == VN_OK)
                VN_ASSERT(strlen(a.signature) == 64 && !strcmp(a.signature, b.signature));
        VN_IGNORE(vn_sigv4_sign_query(&request, &key, &options, &b, NULL)); /* must only end */
        vn_sigv4_result_done(&a);
        vn_sigv4_result_done(&b);
        return 0;
}
