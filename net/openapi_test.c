#include "net/openapi.h"

#include <stdlib.h>

#include "base/json.h"
#include "tests/test.h"
#include "vane/v1/control.pb-c.h"
#include "vane/v1/routing.pb-c.h"

#define ROW(s, n, k, a, req, res, v, p)                                                                              \
        {                                                                                                            \
                .service = "vane.v1." s, .name = n, .kind = k, .access = a,                                          \
                .request = &vane__v1__##req##__descriptor, .response = &vane__v1__##res##__descriptor, .verb = v,    \
                .path = p, .help = "Says \"what\"."                                                                  \
        }
static const struct vn_method rows[] = {
        ROW("Policies", "GetPolicy", VN_UNARY, VN_ACCESS_VIEWER, get_policy_request, policy, VN_HTTP_GET,
            "/v1/policies/{name}"),
        ROW("Routing", "Report", VN_UNARY, VN_ACCESS_OPERATOR, report_request, report_response, VN_HTTP_POST,
            "/v1/outcomes"),
        ROW("Accounts", "ListAccounts", VN_UNARY, VN_ACCESS_VIEWER, page_request, list_accounts_response, VN_HTTP_GET,
            "/v1/accounts"),
        ROW("Accounts", "CreateAccount", VN_UNARY, VN_ACCESS_ADMIN, create_account_request, create_account_response,
            VN_HTTP_POST, "/v1/accounts"),
        ROW("Decisions", "WatchDecisions", VN_SERVER_STREAM, VN_ACCESS_VIEWER, watch_decisions_request, decision,
            VN_HTTP_GET, "/v1/decisions:watch"),
        ROW("Routing", "RouteStream", VN_BIDI, VN_ACCESS_OPERATOR, route_batch, route_batch_response, VN_HTTP_NONE,
            NULL),
};

static json_t *document(void)
{
        static const struct vn_json_limits limits = {1 << 20, 32, 100000};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 20);
        struct vn_err err;
        json_t *root = NULL;

        CHECK_OK(vn_openapi_print(rows, sizeof(rows) / sizeof(rows[0]), "Vane", "0.1", &text, &err));
        CHECK_OK(vn_json_parse(vn_buf_view(&text), &limits, &root, &err));
        return root;
}

static json_t *walk(json_t *node, const char *path)
{
        struct vn_str rest = vn_str(path);
        while (node && rest.ptr) {
                char name[128];
                CHECK(vn_str_copy(name, sizeof(name), vn_str_cut(&rest, '|')));
                node = json_is_array(node) ? json_array_get(node, strtoul(name, NULL, 10))
                                           : json_object_get(node, name);
        }
        return node;
}

static void check_text(json_t *root, const char *path, const char *want)
{
        const char *text = json_string_value(walk(root, path));
        if (!text)
                test_fail(__FILE__, __LINE__, "%s: no text there", path);
        CHECK_TEXT(want, text);
}

/* Every $ref points at something in the document. */
static void check_refs(json_t *root, json_t *node)
{
        const char *key;
        json_t *value;
        size_t i;

        if (json_is_array(node))
                json_array_foreach(node, i, value) check_refs(root, value);
        json_object_foreach(node, key, value)
        {
                if (strcmp(key, "$ref")) {
                        check_refs(root, value);
                        continue;
                }
                char path[200];
                CHECK(vn_str_copy(path, sizeof(path), vn_str(json_string_value(value) + 2)));
                for (char *c = path; *c; c++)
                        if (*c == '/')
                                *c = '|';
                if (!walk(root, path))
                        test_fail(__FILE__, __LINE__, "dangling %s", path);
        }
}

TEST(openapi_describes_rows)
{
        VN_AUTO(vn_json)
        root = document();

        check_refs(root, root);
        check_text(root, "openapi", "3.1.0");
        CHECK_INT(4, json_object_size(json_object_get(root, "paths")));
        CHECK_INT(2, json_object_size(walk(root, "paths|/v1/accounts")));
        check_text(root, "paths|/v1/policies/{name}|get|parameters|0|in", "path");
        check_text(root, "paths|/v1/policies/{name}|get|parameters|1|name", "version");
        check_text(root, "paths|/v1/policies/{name}|get|summary", "Says \"what\".");
        CHECK(walk(root, "paths|/v1/decisions:watch|get|responses|200|content|text/event-stream"));
        CHECK(walk(root, "paths|/v1/outcomes|post|requestBody|content|application/json|schema"));
        CHECK(walk(root, "paths|/v1/outcomes|post|responses|default"));
        CHECK(walk(root, "components|schemas|Outcome|properties|latencyUs"));
        /* a reply's plain fields are all there; nothing is demanded of a request */
        CHECK(json_array_size(walk(root, "components|schemas|Policy|required")) == 8);
        CHECK(!walk(root, "components|schemas|CreateAccountRequest|required"));
}

TEST(openapi_refuses_what_it_cannot_describe)
{
        struct vn_method bad = rows[0];
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(100);
        VN_AUTO(vn_buf)
        large = VN_BUF_INIT(1 << 20);

        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_openapi_print(rows, 1, "Vane", "0.1", &text, NULL));
        bad.path = "/v1/policies/{nobody}";
        CHECK_RC(VN_INVALID_ARGUMENT, vn_openapi_print(&bad, 1, "Vane", "0.1", &large, NULL));
}

static enum vn_rc print_it(void)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 20);
        return vn_openapi_print(rows, 3, "Vane", "0.1", &text, NULL);
}

TEST(openapi_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(print_it);
}
