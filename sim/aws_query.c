/* aws_query.c - CloudWatch's older form: parameters as a form, answers and errors as XML. Clients released before 2025 speak it
 * (botocore up to 1.39, with 2010-08-01 as the version).
 * The form is turned into the JSON of the newer protocol, and that protocol's answer into XML: one behaviour, two forms. */
#include <stdio.h>

#include "sim/aws.h"

#define SPACE "http://monitoring.amazonaws.com/doc/2010-08-01/"
#define MAX_PARAMS 8000
#define MAX_DEPTH 10
#define MAX_MEMBERS 500

static json_t *value_of(struct vn_str name, struct vn_str text)
{
        int64_t number;
        if (vn_str_eq(name, VN_STR("StartTime")) || vn_str_eq(name, VN_STR("EndTime")))
                return vn_time_parse(text.ptr, text.len, &number) == VN_OK ? json_real((double)number / 1e6) : NULL;
        if (vn_str_eq(name, VN_STR("Period")) || vn_str_eq(name, VN_STR("MaxDatapoints")))
                return vn_str_to_i64(text, &number) == VN_OK ? json_integer(number) : NULL;
        return json_stringn(text.ptr, text.len);
}

static json_t *object_in(json_t *object, struct vn_str name, bool array)
{
        char key[128];
        if (!vn_str_copy(key, sizeof key, name) || !name.len)
                return NULL;
        json_t *there = json_object_get(object, key);
        if (!there && json_object_set_new(object, key, array ? json_array() : json_object()) == 0)
                there = json_object_get(object, key);
        return (array ? json_is_array(there) : json_is_object(there)) ? there : NULL;
}

static json_t *member_in(json_t *array, struct vn_str index)
{
        uint64_t n;
        if (vn_str_to_u64(index, &n) != VN_OK || n < 1 || n > MAX_MEMBERS || n > json_array_size(array) + 1)
                return NULL;
        if (n > json_array_size(array) && json_array_append_new(array, json_object()))
                return NULL;
        json_t *member = json_array_get(array, (size_t)n - 1);
        return json_is_object(member) ? member : NULL;
}

/* "A.member.1.B" is {"A": [{"B": value}]}, "A.member.1" is {"A": [value]}. */
static bool put(json_t *root, struct vn_str path, struct vn_str text)
{
        struct vn_str mark = VN_STR("member.");
        json_t *node = root;
        for (int depth = 0; node && depth < MAX_DEPTH; depth++) {
                struct vn_str name = vn_str_cut(&path, '.');
                char key[128];
                if (!path.ptr) {
                        json_t *value = value_of(name, text);
                        return value && vn_str_copy(key, sizeof key, name) && !json_object_set_new(node, key, value);
                }
                bool array = vn_str_starts(path, mark);
                node = object_in(node, name, array);
                if (!node || !array)
                        continue;
                path = vn_str_n(path.ptr + mark.len, path.len - mark.len);
                struct vn_str index = vn_str_cut(&path, '.');
                if (!path.ptr)
                        return json_array_size(node) < MAX_MEMBERS &&
                               !json_array_append_new(node, json_stringn(text.ptr, text.len));
                node = member_in(node, index);
        }
        return false;
}

static bool plain(struct vn_str text, struct vn_buf *ret)
{
        VN_AUTO(vn_buf)
        spaced = VN_BUF_INIT(1 << 16);
        vn_buf_reset(ret);
        for (size_t i = 0; i < text.len; i++)
                vn_buf_char(&spaced, text.ptr[i] == '+' ? ' ' : text.ptr[i]);
        return vn_url_decode(vn_buf_view(&spaced), ret) == VN_OK && !ret->failed && !spaced.failed;
}

static bool read_form(struct vn_str form, json_t *root)
{
        VN_AUTO(vn_buf)
        name = VN_BUF_INIT(1024);
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 16);
        for (int n = 0; form.ptr && form.len; n++) {
                struct vn_str value = vn_str_cut(&form, '&'), key = vn_str_cut(&value, '=');
                if (n == MAX_PARAMS || !plain(key, &name) || !plain(value.ptr ? value : VN_STR(""), &text))
                        return false;
                if (vn_str_eq(vn_buf_view(&name), VN_STR("Action")) ||
                    vn_str_eq(vn_buf_view(&name), VN_STR("Version")))
                        continue;
                if (!put(root, vn_buf_view(&name), vn_buf_view(&text)))
                        return false;
        }
        return true;
}

static void xml_text(struct vn_buf *to, const char *text)
{
        for (; *text; text++) {
                switch (*text) {
                case '<': vn_buf_text(to, "&lt;"); break;
                case '>': vn_buf_text(to, "&gt;"); break;
                case '&': vn_buf_text(to, "&amp;"); break;
                default: vn_buf_char(to, *text);
                }
        }
}

static void xml_scalar(struct vn_buf *to, const char *name, const json_t *value)
{
        char text[VN_TIME_TEXT_BYTES > VN_NUMBER_TEXT_BYTES ? VN_TIME_TEXT_BYTES : VN_NUMBER_TEXT_BYTES];
        if (json_is_string(value)) {
                xml_text(to, json_string_value(value));
        } else if (!strncmp(name, "Timestamp", 9)) {
                vn_time_format((int64_t)(json_number_value(value) * 1e6), text);
                vn_buf_text(to, text);
        } else if (vn_json_number(json_number_value(value), text)) {
                vn_buf_text(to, text);
        }
}

/* The answers are the simulator's own: three levels of objects and arrays at most. NOLINTNEXTLINE(misc-no-recursion) */
static void xml(struct vn_buf *to, const char *name, json_t *value)
{
        const char *key;
        json_t *item;
        size_t i;
        if (json_is_array(value)) {
                json_array_foreach(value, i, item)
                {
                        vn_buf_text(to, "<member>");
                        xml(to, name, item);
                        vn_buf_text(to, "</member>");
                }
        } else if (json_is_object(value) && !strcmp(name, "ExtendedStatistics")) {
                json_object_foreach(value, key, item)
                {
                        vn_buf_printf(to, "<entry><key>%s</key><value>", key);
                        xml_scalar(to, name, item);
                        vn_buf_text(to, "</value></entry>");
                }
        } else if (json_is_object(value)) {
                json_object_foreach(value, key, item)
                {
                        vn_buf_printf(to, "<%s>", key);
                        xml(to, key, item);
                        vn_buf_printf(to, "</%s>", key);
                }
        } else {
                xml_scalar(to, name, value);
        }
}

static void answer(struct vn_sim *sim, const char *action, struct vn_sim_response *json,
                   struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = json_loadb(json->body.ptr ? json->body.ptr : "", json->body.len, 0, NULL);
        char id[40];
        if (json->status != 200) {
                const char *code = json_string_value(json_object_get(body, "__type")),
                           *message = json_string_value(json_object_get(body, "message"));
                vn_sim_aws_error(response, VN_AWS_QUERY, json->status, code ? code : "InternalServiceFault", "%s",
                                 message ? message : "");
                return;
        }
        vn_sim_uuid(vn_hash64(&sim->next_id, 8, sim->seed + 3), id);
        sim->next_id++;
        vn_sim_text(response, 200, "text/xml", "");
        vn_buf_printf(&response->body, "<%sResponse xmlns=\"" SPACE "\"><%sResult>", action, action);
        xml(&response->body, "", body);
        vn_buf_printf(&response->body,
                      "</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>",
                      action, id, action);
}

bool vn_sim_aws_is_monitoring(const struct vn_sim_request *request)
{
        VN_AUTO(vn_buf)
        version = VN_BUF_INIT(64);
        return vn_sim_param(request->body, "Version", &version) &&
               vn_str_eq(vn_buf_view(&version), VN_STR("2010-08-01"));
}

void vn_sim_aws_query(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                      struct vn_sim_response *response)
{
        static const char *const actions[] = {"GetMetricData", "GetMetricStatistics", "ListMetrics"};
        VN_AUTO(vn_buf)
        action = VN_BUF_INIT(128);
        VN_AUTO(vn_json)
        form = json_object();
        struct vn_sim_response json;
        vn_sim_param(request->body, "Action", &action);
        const char *known = NULL;
        for (size_t i = 0; i < 3; i++) {
                if (vn_str_eq(vn_buf_view(&action), vn_str(actions[i])))
                        known = actions[i];
        }
        if (!known || !read_form(request->body, form)) {
                vn_sim_aws_error(response, VN_AWS_QUERY, 400, known ? "MalformedInput" : "InvalidAction", "%s",
                                 known ? "The request's parameters cannot be read"
                                       : "Could not find operation for version 2010-08-01");
                return;
        }
        vn_sim_response_init(&json);
        vn_sim_aws_monitoring(sim, account, known, form, &json);
        answer(sim, known, &json, response);
        vn_sim_response_done(&json);
}
