/* A credential file of any bytes: what is taken leads to Google's hosts or this one only, and has all that its kind needs. */
#include "clouds/gcp/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct vn_gcp_source *source)
{
        VN_ASSERT(!source->token_url.len || vn_str_starts(source->token_url, VN_STR("https://")));
        VN_ASSERT(!source->token_uri.len || vn_str_starts(source->token_uri, VN_STR("https://")));
        VN_ASSERT(!source->impersonate_url.len ||
                  vn_str_ends(source->impersonate_url, VN_STR(":generateAccessToken")));
        VN_ASSERT(source->subject_header_count <= VN_GCP_MAX_SUBJECT_HEADERS);
        switch (source->kind) {
        case VN_GCP_KEY: VN_ASSERT(source->email.len && source->pem.len && source->token_uri.len); break;
        case VN_GCP_EXTERNAL:
                VN_ASSERT(source->token_url.len && !source->subject_file.len != !source->subject_url.len);
                break;
        case VN_GCP_IMPERSONATED: VN_ASSERT(source->impersonate_url.len && source->via && !source->via->via); break;
        case VN_GCP_METADATA: VN_ASSERT(false); break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        VN_AUTO(vn_gcp_source)
        source = NULL;
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str subject;
        if (vn_gcp_source_parse(vn_str_n(data, size), false, &source, NULL) != VN_OK)
                return 0;
        check(source);
        if (source->via)
                check(source->via);
        /* The same bytes as the subject's file. */
        if (vn_gcp_subject(source, vn_str_n(data, size), &root, &subject, NULL) == VN_OK)
                VN_ASSERT(subject.len && vn_is_visible(subject));
        return 0;
}
