/* login.c - authentication of every call, and the browser's log-in, session and log-out. */
#include <jansson.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/tls.h"
#include "server/people.h"
#include "server/people_table.h"
#include "server/ui.h"
#include "server/registry/registry.h"

#define COOKIE_NAME "vane_session="

void vn_people_csrf(struct vn_str session_token, char ret[65])
{
        uint8_t digest[32];
        vn_hmac_sha256(session_token, VN_STR("vane csrf"), digest);
        vn_hex(digest, sizeof digest, ret);
}

struct vn_str vn_people_cookie(struct vn_call *call)
{
        struct vn_str rest = vn_call_header(call, "cookie");
        while (rest.ptr && rest.len) {
                struct vn_str one = vn_str_trim(vn_str_cut(&rest, ';'));
                if (vn_str_starts(one, VN_STR(COOKIE_NAME)))
                        return vn_str_n(one.ptr + sizeof COOKIE_NAME - 1, one.len - (sizeof COOKIE_NAME - 1));
        }
        return vn_str_n(NULL, 0);
}

static void identity_of_token(const struct vn_auth_token *token, struct vn_identity *ret)
{
        ret->access = token->access;
        ret->person_id = token->person_id;
        VN_ASSERT(vn_str_copy(ret->tenant, sizeof ret->tenant, vn_str(token->tenant)));
        static const char prefix[] = "person:";
        memcpy(ret->actor, prefix, sizeof prefix);
        VN_ASSERT(vn_str_copy(ret->actor + sizeof prefix - 1, sizeof ret->actor - (sizeof prefix - 1),
                              vn_str(token->person)));
}

static bool valid_token(struct vn_server *server, struct vn_str text, enum vn_token_kind kind,
                        struct vn_auth_token *ret)
{
        uint8_t hash[32];
        if (text.len == 0 || text.len >= VN_TOKEN_TEXT_BYTES)
                return false;
        vn_sha256(text.ptr, text.len, hash);
        return vn_auth_token(server->people->auth, hash, ret) && ret->kind == kind &&
               ret->expires_us > vn_now_us(server->wall);
}

static enum vn_rc by_certificate(struct vn_server *server, const char *uri, struct vn_identity *ret,
                                 struct vn_err *err)
{
        static const char prefix[] = "spiffe://" VN_TRUST_DOMAIN "/account/";
        uint64_t id;
        struct vn_auth_account account;
        if (strncmp(uri, prefix, sizeof prefix - 1) || vn_str_to_u64(vn_str(uri + sizeof prefix - 1), &id) != VN_OK)
                return vn_fail(err, VN_UNAUTHENTICATED, "the client certificate names no account of this server");
        if (!vn_auth_account(server->people->auth, id, &account))
                return vn_fail(err, VN_UNAUTHENTICATED, "the client certificate's account does not exist");
        if (account.revoked)
                return vn_fail(err, VN_UNAUTHENTICATED, "this account is revoked");
        ret->access = VN_ACCESS_AGENT;
        ret->account_id = id;
        VN_ASSERT(vn_str_copy(ret->tenant, sizeof ret->tenant, vn_str(account.tenant)));
        snprintf(ret->actor, sizeof ret->actor, "account:%llu", (unsigned long long)id);
        return VN_OK;
}

static enum vn_rc by_cookie(struct vn_server *server, struct vn_call *call, struct vn_str cookie,
                            struct vn_identity *ret, struct vn_err *err)
{
        struct vn_auth_token token;
        if (!valid_token(server, cookie, VN_TOKEN_SESSION, &token))
                return VN_OK; /* an old cookie is as good as none: the page then asks to log in */
        const struct vn_method *method = vn_call_method(call);
        bool writes = method ? method->verb != VN_HTTP_GET
                             : !vn_str_eq(vn_call_verb(call), VN_STR("GET")) &&
                                       !vn_str_eq(vn_call_verb(call), VN_STR("HEAD"));
        char csrf[65];
        vn_people_csrf(cookie, csrf);
        if (writes && !vn_str_eq_secret(vn_call_header(call, "x-vane-csrf"), vn_str(csrf)))
                return vn_fail(err, VN_PERMISSION_DENIED, "a write from a browser needs the X-Vane-CSRF header");
        identity_of_token(&token, ret);
        return VN_OK;
}

enum vn_rc vn_people_authenticate(void *context, struct vn_call *call, struct vn_identity *ret, struct vn_err *err)
{
        struct vn_server *server = context;
        *ret = (struct vn_identity){.access = VN_ACCESS_PUBLIC};
        const char *uri = vn_call_peer_uri(call);
        if (uri)
                return by_certificate(server, uri, ret, err);
        struct vn_str authorization = vn_call_header(call, "authorization");
        if (authorization.len) {
                struct vn_auth_token token;
                struct vn_str scheme = vn_str_cut(&authorization, ' ');
                if (!vn_str_eq_nocase(scheme, VN_STR("bearer")) || !authorization.ptr ||
                    !valid_token(server, vn_str_trim(authorization), VN_TOKEN_API, &token))
                        return vn_fail(err, VN_UNAUTHENTICATED, "the token is not known, or has expired");
                identity_of_token(&token, ret);
                return VN_OK;
        }
        struct vn_str cookie = vn_people_cookie(call);
        return cookie.len ? by_cookie(server, call, cookie, ret, err) : VN_OK;
}

/* --- the browser's part: POST /login, GET /session, POST /logout, POST /login-link --- */

struct login_task {
        struct vn_task task;
        struct vn_server *server;
        struct vn_call *call;
        char token[VN_TOKEN_TEXT_BYTES]; /* what came in */
        char session[VN_TOKEN_TEXT_BYTES];
        struct vn_person_entry person;
        enum { LOG_IN, LOG_OUT, MAKE_LINK } what;
        enum vn_rc rc;
        struct vn_err err;
};

static void reply_error(struct vn_call *call, enum vn_rc rc, const struct vn_err *err)
{
        VN_AUTO(vn_buf)
        body = VN_BUF_INIT(4096);
        vn_buf_printf(&body, "{\"code\":%d,\"message\":", rc);
        vn_buf_json_string(&body, vn_str(err->msg));
        vn_buf_text(&body, ",\"details\":[]}");
        vn_http_reply(call, vn_rc_http_status(rc), "application/json", vn_buf_view(&body), NULL, 0);
}

static void reply_session(struct vn_call *call, struct vn_str session, const char *name, const char *role,
                          const char *tenant, bool set_cookie)
{
        char csrf[65], cookie[200];
        vn_people_csrf(session, csrf);
        snprintf(cookie, sizeof cookie, COOKIE_NAME "%.*s; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200",
                 VN_FMT(session));
        VN_AUTO(vn_buf)
        body = VN_BUF_INIT(4096);
        vn_buf_printf(&body, "{\"csrfToken\":\"%s\",\"name\":\"%s\",\"role\":\"%s\",\"tenant\":\"%s\"}", csrf, name,
                      role, tenant);
        struct vn_http_header headers[] = {{"cache-control", "no-store"}, {"set-cookie", cookie}};
        vn_http_reply(call, 200, "application/json", vn_buf_view(&body), headers, set_cookie ? 2 : 1);
}

static void login_answer(struct vn_task *task)
{
        struct login_task *t = (struct login_task *)task;
        struct vn_call *call = t->call;
        if (vn_call_over(call)) {
                /* nobody is left to answer */
        } else if (t->rc != VN_OK) {
                reply_error(call, t->rc, &t->err);
        } else if (t->what == LOG_IN) {
                reply_session(call, vn_str(t->session), t->person.name, vn_role_name(t->person.access),
                              t->person.tenant, true);
        } else if (t->what == LOG_OUT) {
                struct vn_http_header gone = {"set-cookie",
                                              COOKIE_NAME "; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"};
                vn_http_reply(call, 200, "application/json", VN_STR("{}"), &gone, 1);
        } else {
                VN_AUTO(vn_buf)
                body = VN_BUF_INIT(512);
                vn_buf_printf(&body, "{\"link\":\"http://127.0.0.1:%u/login#%s\"}", t->server->http_port, t->session);
                struct vn_http_header none = {"cache-control", "no-store"};
                vn_http_reply(call, 200, "application/json", vn_buf_view(&body), &none, 1);
        }
        explicit_bzero(t->token, sizeof t->token);
        explicit_bzero(t->session, sizeof t->session);
        vn_call_unref(call);
}

static enum vn_rc log_in(struct login_task *t, struct vn_batch *batch, struct vn_err *err)
{
        struct vn_server *server = t->server;
        struct vn_auth_token token;
        bool link = valid_token(server, vn_str(t->token), VN_TOKEN_LOGIN_LINK, &token);
        if (!link && !valid_token(server, vn_str(t->token), VN_TOKEN_API, &token))
                return vn_fail(err, VN_UNAUTHENTICATED, "this link or token is not known, was used, or has expired");
        struct vn_person_entry *person = vn_people_find(server->people, token.tenant, token.person);
        if (!person || person->revoked)
                return vn_fail(err, VN_UNAUTHENTICATED, "this person may not log in");
        if (link)
                vn_people_drop_token(server, batch, token.sha256);
        t->person = *person;
        return vn_people_make_token(server, batch, person, VN_TOKEN_SESSION, VN_SESSION_US, t->session, err);
}

static enum vn_rc login_change(struct login_task *t, struct vn_batch *batch, struct vn_err *err)
{
        uint8_t hash[32];
        switch (t->what) {
        case LOG_IN: return log_in(t, batch, err);
        case LOG_OUT:
                vn_sha256(t->token, strlen(t->token), hash);
                vn_people_drop_token(t->server, batch, hash);
                return VN_OK;
        case MAKE_LINK: {
                const struct vn_identity *who = vn_call_identity(t->call);
                struct vn_person_entry *person = vn_people_find(t->server->people, who->tenant, who->actor + 7);
                if (!person || person->revoked)
                        return vn_fail(err, VN_PERMISSION_DENIED, "only people have log-in links");
                return vn_people_make_token(t->server, batch, person, VN_TOKEN_LOGIN_LINK, VN_LOGIN_LINK_US,
                                            t->session, err);
        }
        }
        return VN_OK;
}

static void login_run(struct vn_task *task)
{
        struct login_task *t = (struct login_task *)task;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        t->rc = batch ? login_change(t, batch, &t->err) : vn_op_no_memory(&t->err);
        if (t->rc == VN_OK)
                t->rc = vn_store_commit(t->server->store, batch, &t->err);
        vn_people_publish(t->server);
        t->task.run = login_answer;
        vn_loop_post(vn_call_loop(t->call), &t->task);
}

static void login_start(struct vn_server *server, struct vn_call *call, int what, struct vn_str token)
{
        struct vn_err err;
        struct login_task *t = vn_arena_alloc(vn_call_arena(call), sizeof *t);
        if (!t || !vn_str_copy(t->token, sizeof t->token, token)) {
                reply_error(call, vn_fail(&err, VN_UNAUTHENTICATED, "this link or token is not known"), &err);
                return;
        }
        t->task.run = login_run;
        t->server = server;
        t->call = vn_call_ref(call);
        t->what = what;
        vn_loop_post(server->control, &t->task);
}

static void handle_login(void *context, const struct vn_http_request *request)
{
        struct vn_err err;
        if (!vn_str_eq(request->verb, VN_STR("POST"))) {
                /* The link itself: the page reads the token from the fragment, which is never sent. */
                vn_ui_page(context, request->call);
                return;
        }
        json_error_t where;
        json_t *body = json_loadb(request->body.ptr ? request->body.ptr : "", request->body.len,
                                  JSON_REJECT_DUPLICATES, &where);
        const char *token = body ? json_string_value(json_object_get(body, "token")) : NULL;
        if (token)
                login_start(context, request->call, LOG_IN, vn_str(token));
        else
                reply_error(request->call, vn_fail(&err, VN_INVALID_ARGUMENT, "token: required"), &err);
        json_decref(body);
}

static void handle_session(void *context, const struct vn_http_request *request)
{
        struct vn_server *server = context;
        struct vn_auth_token token;
        struct vn_err err;
        struct vn_str cookie = vn_people_cookie(request->call);
        if (valid_token(server, cookie, VN_TOKEN_SESSION, &token))
                reply_session(request->call, cookie, token.person, vn_role_name(token.access), token.tenant, false);
        else
                reply_error(request->call, vn_fail(&err, VN_UNAUTHENTICATED, "not logged in"), &err);
}

static bool is_post(const struct vn_http_request *request)
{
        bool post = vn_str_eq(request->verb, VN_STR("POST"));
        if (!post)
                vn_http_reply(request->call, 405, "application/json",
                              VN_STR("{\"code\":12,\"message\":\"POST only\",\"details\":[]}"),
                              &(struct vn_http_header){"allow", "POST"}, 1);
        return post;
}

static void handle_logout(void *context, const struct vn_http_request *request)
{
        if (is_post(request))
                login_start(context, request->call, LOG_OUT, vn_people_cookie(request->call));
}

static void handle_login_link(void *context, const struct vn_http_request *request)
{
        if (is_post(request))
                login_start(context, request->call, MAKE_LINK, VN_STR("-"));
}

enum vn_rc vn_people_add_http(struct vn_server *server, struct vn_err *err)
{
        VN_TRY(vn_edge_add_http(server->edge, "/login", VN_ACCESS_PUBLIC, handle_login, server, err));
        VN_TRY(vn_edge_add_http(server->edge, "/session", VN_ACCESS_PUBLIC, handle_session, server, err));
        VN_TRY(vn_edge_add_http(server->edge, "/logout", VN_ACCESS_PUBLIC, handle_logout, server, err));
        return vn_edge_add_http(server->edge, "/login-link", VN_ACCESS_VIEWER, handle_login_link, server, err);
}
