/* Any bytes as authorization, query and token: the verifiers end and accept nothing (the keys are not in the input). */
#include <string.h>

#include "sim/sigv4.h"
#include "sim/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fields {
        struct vn_str authorization, date, query;
};

static struct vn_str header(const void *context, const char *name)
{
        const struct fields *fields = context;
        if (!strcmp(name, "authorization"))
                return fields->authorization;
        return strcmp(name, "x-amz-date") ? VN_STR("x") : fields->date;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct vn_sigv4_key key = {"AKIDEXAMPLE", "a secret that no input can know", "us-east-1"};
        static const uint8_t token_key[32] = {7, 1, 9};
        struct vn_str rest = vn_str_n(data, size);
        struct fields fields = {.authorization = vn_str_cut(&rest, '\n')};
        fields.date = rest.ptr ? vn_str_cut(&rest, '\n') : VN_STR("");
        fields.query = rest.ptr ? rest : VN_STR("");
        const struct vn_sim_request request = {.verb = VN_STR("GET"),
                                               .path = VN_STR("/a b"),
                                               .query = fields.query,
                                               .header = header,
                                               .header_context = &fields};
        struct vn_sigv4_result result;
        struct vn_err err;
        json_t *claims = NULL;
        VN_ASSERT(vn_sigv4_verify(&request, &key, 1, 0, 0, &result) != VN_SIGV4_OK);
        VN_ASSERT(vn_token_verify(token_key, fields.authorization, &claims, &err) == VN_UNAUTHENTICATED && !claims);
        return 0;
}
