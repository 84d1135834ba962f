/* Small things that the three clouds share: JSON picks, tokens, lists, responses. */
#include "clouds/call.h"

#define TOKEN_MARGIN_US (5 * VN_US_PER_MIN)

/* --- JSON --- */

enum vn_rc vn_json_load(struct vn_str text, json_t **ret, struct vn_err *err)
{
        json_error_t error;

        *ret = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_ALLOW_NUL, &error);
        if (*ret)
                return VN_OK;
        if (json_error_code(&error) == json_error_out_of_memory)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory reading an answer");
        return vn_fail(err, VN_DATA_LOSS, "answer is not JSON: line %d column %d", error.line, error.column);
}

json_t *vn_json_at(json_t *root, const char *dotted)
{
        struct vn_str rest = vn_str(dotted);

        while (rest.ptr && root) {
                struct vn_str part = vn_str_cut(&rest, '.');
                char key[64];

                root = vn_str_copy(key, sizeof(key), part) ? json_object_get(root, key) : NULL;
        }
        return json_is_null(root) ? NULL : root;
}

struct vn_str vn_json_str(json_t *root, const char *dotted)
{
        json_t *at = vn_json_at(root, dotted);

        return json_is_string(at) ? vn_str_n(json_string_value(at), json_string_length(at)) : VN_STR("");
}

double vn_json_pick_number(json_t *root, const char *dotted, double missing)
{
        json_t *at = vn_json_at(root, dotted);
        double value;

        if (json_is_number(at))
                return json_number_value(at);
        if (json_is_string(at) &&
            vn_str_to_double(vn_str_n(json_string_value(at), json_string_length(at)), &value) == VN_OK)
                return value;
        return missing;
}

void vn_text_copy(char *to, size_t to_bytes, struct vn_str from)
{
        size_t n = from.len < to_bytes ? from.len : to_bytes - 1;

        if (n > 0)
                memcpy(to, from.ptr, n);
        to[n] = '\0';
}

/* --- tokens --- */

const struct vn_cloud_token *vn_token_find(struct vn_cloud *cloud, const char *audience)
{
        int64_t now = vn_now_us(cloud->clock);

        for (size_t i = 0; i < cloud->token_count; i++)
                if (!strcmp(cloud->tokens[i].audience, audience))
                        return cloud->tokens[i].text && cloud->tokens[i].expires_us - TOKEN_MARGIN_US > now
                                       ? &cloud->tokens[i]
                                       : NULL;
        return NULL;
}

enum vn_rc vn_token_get(struct vn_cloud *cloud, const char *audience, vn_token_fetch fetch,
                        const struct vn_cloud_token **ret, struct vn_err *err)
{
        int64_t now = vn_now_us(cloud->clock);
        struct vn_cloud_token *old = NULL;
        enum vn_rc rc;

        *ret = vn_token_find(cloud, audience);
        if (*ret)
                return VN_OK;
        for (size_t i = 0; i < cloud->token_count; i++)
                if (!strcmp(cloud->tokens[i].audience, audience) && cloud->tokens[i].expires_us > now)
                        old = &cloud->tokens[i];
        if (old && old->ask_again_us > now) {
                *ret = old;
                return VN_OK;
        }
        rc = fetch(cloud, audience, ret, err);
        if (rc != VN_UNAVAILABLE && rc != VN_DEADLINE_EXCEEDED && rc != VN_RESOURCE_EXHAUSTED)
                return rc;
        /* The search may have given the place to another. */
        if (!old || strcmp(old->audience, audience) || old->expires_us <= now)
                return rc;
        old->ask_again_us = now + VN_US_PER_MIN;
        *ret = old;
        return VN_OK;
}

void vn_token_drop(struct vn_cloud *cloud, const char *audience)
{
        for (size_t i = 0; i < cloud->token_count; i++)
                if (!strcmp(cloud->tokens[i].audience, audience))
                        cloud->tokens[i].expires_us = 0;
}

enum vn_rc vn_token_store(struct vn_cloud *cloud, const char *audience, struct vn_str text, int64_t expires_us,
                          const struct vn_cloud_token **ret, struct vn_err *err)
{
        struct vn_cloud_token *slot = NULL;
        char *copy;

        if (strlen(audience) >= sizeof(slot->audience) || text.len == 0)
                return vn_fail(err, VN_DATA_LOSS, "token answer has no token");
        copy = vn_strndup(text.ptr, text.len);
        if (!copy)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a token");
        for (size_t i = 0; i < cloud->token_count && !slot; i++)
                if (!strcmp(cloud->tokens[i].audience, audience))
                        slot = &cloud->tokens[i];
        if (!slot && cloud->token_count < VN_CLOUD_MAX_TOKENS)
                slot = &cloud->tokens[cloud->token_count++];
        if (!slot) { /* full: the one that ends first goes */
                slot = &cloud->tokens[0];
                for (size_t i = 1; i < cloud->token_count; i++)
                        if (cloud->tokens[i].expires_us < slot->expires_us)
                                slot = &cloud->tokens[i];
        }
        vn_free_secret(slot->text, slot->len);
        memcpy(slot->audience, audience, strlen(audience) + 1);
        slot->text = copy;
        slot->len = text.len;
        slot->expires_us = expires_us;
        slot->ask_again_us = 0;
        *ret = slot;
        return VN_OK;
}

enum vn_rc vn_bearer(struct vn_cloud_request *request, struct vn_arena *scratch, const struct vn_cloud_token *token,
                     struct vn_err *err)
{
        static const char scheme[] = "Bearer ";
        size_t prefix = sizeof(scheme) - 1, len = prefix + token->len;
        char *value = vn_arena_alloc(scratch, len + 1); /* zeroed, so terminated */

        if (!value)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a token");
        memcpy(value, scheme, sizeof(scheme));
        memcpy(value + prefix, token->text, token->len);
        vn_request_header(request, VN_STR("Authorization"), vn_str_n(value, len));
        return VN_OK;
}

/* --- growing lists --- */

static bool grow(void **items, size_t count, size_t *cap, size_t item_bytes)
{
        size_t more = *cap ? *cap * 2 : 16;
        void *bigger;

        if (count < *cap)
                return true;
        bigger = vn_realloc(*items, more * item_bytes);
        if (!bigger)
                return false;
        *items = bigger;
        *cap = more;
        return true;
}

enum vn_rc vn_list_add(struct vn_cloud_list *list, const struct vn_cloud_function *function, struct vn_err *err)
{
        if (list->count >= VN_CLOUD_MAX_FUNCTIONS) {
                list->complete = false;
                return VN_OK;
        }
        if (!grow((void **)&list->functions, list->count, &list->cap, sizeof(*function)))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a list of functions");
        list->functions[list->count++] = *function;
        return VN_OK;
}

enum vn_rc vn_list_unreachable(struct vn_cloud_list *list, struct vn_str location, struct vn_err *err)
{
        void *bigger = vn_realloc(list->unreachable, (list->unreachable_count + 1) * sizeof(list->unreachable[0]));

        if (!bigger)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a list of locations");
        list->unreachable = bigger;
        vn_text_copy(list->unreachable[list->unreachable_count++], VN_CLOUD_REGION_BYTES, location);
        list->complete = false;
        return VN_OK;
}

enum vn_rc vn_list_partial(struct vn_cloud_list *list, enum vn_rc rc, const char *what, struct vn_err *err)
{
        if (rc == VN_UNAVAILABLE || rc == VN_DEADLINE_EXCEEDED || rc == VN_RESOURCE_EXHAUSTED ||
            rc == VN_PERMISSION_DENIED || rc == VN_DATA_LOSS)
                return vn_list_unreachable(list, vn_str(what), err);
        return rc;
}

void vn_cloud_list_done(struct vn_cloud_list *list)
{
        vn_free(list->functions);
        vn_free(list->unreachable);
        memset(list, 0, sizeof(*list));
}

int64_t vn_price_since(struct vn_str text)
{
        int64_t since_us;

        return text.len && vn_time_parse(text.ptr, text.len, &since_us) == VN_OK ? since_us : 0;
}

enum vn_rc vn_price_add(struct vn_cloud_price_list *list, const struct vn_cloud_price *price, struct vn_err *err)
{
        if (list->count >= VN_CLOUD_MAX_PRICES)
                return vn_fail(err, VN_OUT_OF_RANGE, "more than %d prices", VN_CLOUD_MAX_PRICES);
        if (!grow((void **)&list->prices, list->count, &list->cap, sizeof(*price)))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for prices");
        list->prices[list->count++] = *price;
        return VN_OK;
}

void vn_cloud_price_list_done(struct vn_cloud_price_list *list)
{
        vn_free(list->prices);
        memset(list, 0, sizeof(*list));
}

bool vn_minute_add(struct vn_cloud_minute *ret, size_t cap, size_t *count, int64_t start_us,
                   const struct vn_cloud_minute *add)
{
        size_t at = *count;

        start_us -= start_us % VN_US_PER_MIN;
        while (at > 0 && ret[at - 1].start_us > start_us)
                at--;
        if (at == 0 || ret[at - 1].start_us != start_us) {
                if (*count >= cap)
                        return false;
                memmove(ret + at + 1, ret + at, (*count - at) * sizeof(*ret));
                ret[at++] = (struct vn_cloud_minute){.start_us = start_us};
                (*count)++;
        }
        ret[at - 1].calls += add->calls;
        ret[at - 1].errors += add->errors;
        ret[at - 1].throttles += add->throttles;
        ret[at - 1].billed_gb_s += add->billed_gb_s;
        ret[at - 1].billed_instance_s += add->billed_instance_s;
        if (add->p95_us > ret[at - 1].p95_us)
                ret[at - 1].p95_us = add->p95_us;
        return true;
}

/* --- instances --- */

bool vn_instance_is_new(struct vn_cloud *cloud, const char *function, const char *instance)
{
        uint64_t hash = vn_hash64(instance, strlen(instance), vn_hash64(function, strlen(function), 7)) | 1;
        size_t at = hash % VN_CLOUD_MAX_SEEN;

        if (!instance[0])
                return false;
        if (!cloud->seen)
                cloud->seen = vn_alloc_array(VN_CLOUD_MAX_SEEN, sizeof(uint64_t));
        if (!cloud->seen)
                return false;
        if (cloud->seen_count > VN_CLOUD_MAX_SEEN / 2) { /* forgetting all is rare and only names some starts twice */
                memset(cloud->seen, 0, VN_CLOUD_MAX_SEEN * sizeof(uint64_t));
                cloud->seen_count = 0;
        }
        for (; cloud->seen[at]; at = (at + 1) % VN_CLOUD_MAX_SEEN)
                if (cloud->seen[at] == hash)
                        return false;
        cloud->seen[at] = hash;
        cloud->seen_count++;
        return true;
}

/* --- responses --- */

#define MAX_HEADER_BYTES (64u << 10)

void vn_cloud_response_init(struct vn_cloud_response *response)
{
        response->status = 0;
        response->headers = VN_BUF_INIT(MAX_HEADER_BYTES);
        response->body = VN_BUF_INIT(VN_CLOUD_MAX_RESPONSE_BYTES);
}

void vn_cloud_response_done(struct vn_cloud_response *response)
{
        vn_buf_done(&response->headers);
        vn_buf_done(&response->body);
}

bool vn_cloud_response_add_header(struct vn_cloud_response *response, struct vn_str name, struct vn_str value)
{
        for (size_t i = 0; i < name.len; i++)
                vn_buf_char(&response->headers,
                            name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? (char)(name.ptr[i] + 32) : name.ptr[i]);
        vn_buf_char(&response->headers, '\0');
        vn_buf_str(&response->headers, value);
        return vn_buf_char(&response->headers, '\0');
}

struct vn_str vn_cloud_response_header(const struct vn_cloud_response *response, const char *lower_name)
{
        struct vn_str rest = vn_buf_view(&response->headers);

        while (rest.ptr && rest.len > 0) {
                struct vn_str name = vn_str_cut(&rest, '\0'), value = vn_str_cut(&rest, '\0');

                if (vn_str_eq(name, vn_str(lower_name)))
                        return value;
        }
        return (struct vn_str){0};
}
