#include "server/people.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/tls.h"
#include "server/auth.h"
#include "server/people_table.h"
#include "server/record.h"
#include "server/registry/registry.h"
#include "server/state.h"
#include "vane/state/state.pb-c.h"

const char *vn_role_name(enum vn_access access)
{
        switch (access) {
        case VN_ACCESS_VIEWER: return "viewer";
        case VN_ACCESS_OPERATOR: return "operator";
        case VN_ACCESS_APPROVER: return "approver";
        case VN_ACCESS_ADMIN: return "admin";
        case VN_ACCESS_PUBLIC:
        case VN_ACCESS_ENROLL:
        case VN_ACCESS_AGENT: break;
        }
        return "";
}

bool vn_role_parse(const char *name, enum vn_access *ret)
{
        for (enum vn_access a = VN_ACCESS_VIEWER; a <= VN_ACCESS_ADMIN; a++)
                if (!strcmp(name, vn_role_name(a))) {
                        *ret = a;
                        return true;
                }
        return false;
}

struct vn_person_entry *vn_people_find(struct vn_people *people, const char *tenant, const char *name)
{
        for (size_t i = 0; i < people->person_count; i++)
                if (!strcmp(people->persons[i].tenant, tenant) && !strcmp(people->persons[i].name, name))
                        return &people->persons[i];
        return NULL;
}

uint64_t vn_people_id(const struct vn_people *people, const char *tenant, const char *name)
{
        /* The upper half of the numbers: accounts count up from 1. */
        return vn_hash64(name, strlen(name), vn_hash64(tenant, strlen(tenant), people->id_seed)) | UINT64_C(1) << 63;
}

struct vn_person_entry *vn_people_append(struct vn_people *people)
{
        if (people->person_count == VN_MAX_PEOPLE)
                return NULL;
        struct vn_person_entry *grown =
                vn_realloc(people->persons, (people->person_count + 1) * sizeof *people->persons);
        if (!grown)
                return NULL;
        people->persons = grown;
        memset(&grown[people->person_count], 0, sizeof *grown);
        return &grown[people->person_count++];
}

static struct vn_auth_token *token_append(struct vn_people *people)
{
        if (people->token_count == VN_MAX_TOKENS)
                return NULL;
        struct vn_auth_token *grown = vn_realloc(people->tokens, (people->token_count + 1) * sizeof *people->tokens);
        if (!grown)
                return NULL;
        people->tokens = grown;
        memset(&grown[people->token_count], 0, sizeof *grown);
        return &grown[people->token_count++];
}

static enum vn_rc publish(struct vn_server *server, struct vn_err *err)
{
        struct vn_people *people = server->people;
        struct vn_auth_account *accounts = NULL;
        size_t count = 0;
        if (server->registry)
                VN_TRY(vn_registry_auth_accounts(server->registry, &accounts, &count, err));
        enum vn_rc rc = vn_auth_publish(people->auth, people->tokens, people->token_count, accounts, count, err);
        vn_free(accounts);
        return rc;
}

void vn_people_publish(struct vn_server *server)
{
        struct vn_err err;
        /* An auth table that cannot be rebuilt for want of memory would let a revoked one stay: stop instead. */
        VN_ASSERT(publish(server, &err) == VN_OK);
}

static void token_key(struct vn_key *key, const char *tenant, const uint8_t sha256[32])
{
        vn_key_bytes(vn_key_init(key, vn_str(tenant)), sha256, 32);
}

enum vn_rc vn_people_make_token(struct vn_server *server, struct vn_batch *batch,
                                const struct vn_person_entry *person, enum vn_token_kind kind, int64_t lifetime_us,
                                char ret_token[VN_TOKEN_TEXT_BYTES], struct vn_err *err)
{
        static const char *const prefixes[] = {"vane_", "vanelogin_", "vanesession_"};
        uint8_t random[32];
        vn_random_bytes(random, sizeof random);
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_TOKEN_TEXT_BYTES - 1);
        vn_buf_text(&text, prefixes[kind]);
        vn_buf_base64url(&text, random, sizeof random);
        explicit_bzero(random, sizeof random);
        VN_TRY(vn_buf_check(&text, err));
        struct vn_auth_token *token = token_append(server->people);
        if (!token)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "at most %d tokens and sessions", VN_MAX_TOKENS);
        vn_sha256(text.ptr, text.len, token->sha256);
        token->kind = kind;
        token->access = person->access;
        token->person_id = vn_people_id(server->people, person->tenant, person->name);
        token->expires_us = vn_now_us(server->wall) + lifetime_us;
        VN_ASSERT(vn_str_copy(token->tenant, sizeof token->tenant, vn_str(person->tenant)));
        VN_ASSERT(vn_str_copy(token->person, sizeof token->person, vn_str(person->name)));
        Vane__State__Token stored = VANE__STATE__TOKEN__INIT;
        stored.tenant = token->tenant;
        stored.person = token->person;
        stored.sha256 = (ProtobufCBinaryData){32, token->sha256};
        stored.expires_us = token->expires_us;
        stored.kind = kind;
        struct vn_key key;
        token_key(&key, token->tenant, token->sha256);
        vn_state_put(batch, VN_TABLE_tokens, &key, &stored.base);
        memcpy(ret_token, text.ptr, text.len + 1);
        explicit_bzero(text.ptr, text.len);
        return VN_OK;
}

void vn_people_drop_token(struct vn_server *server, struct vn_batch *batch, const uint8_t sha256[32])
{
        struct vn_people *people = server->people;
        for (size_t i = 0; i < people->token_count; i++) {
                if (memcmp(people->tokens[i].sha256, sha256, 32))
                        continue;
                struct vn_key key;
                token_key(&key, people->tokens[i].tenant, sha256);
                vn_batch_delete(batch, VN_TABLE_tokens, &key);
                people->tokens[i] = people->tokens[--people->token_count];
                return;
        }
}

void vn_people_store(struct vn_batch *batch, const struct vn_person_entry *person)
{
        Vane__State__Person stored = VANE__STATE__PERSON__INIT;
        stored.tenant = vn_state_text(person->tenant);
        stored.name = vn_state_text(person->name);
        stored.role = vn_state_text(vn_role_name(person->access));
        stored.created_us = person->created_us;
        stored.revoked = person->revoked;
        struct vn_key key;
        vn_key_text(vn_key_init(&key, vn_str(person->tenant)), vn_str(person->name));
        vn_state_put(batch, VN_TABLE_people, &key, &stored.base);
}

static enum vn_rc load_person(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        Vane__State__Person *p = (Vane__State__Person *)message;
        struct vn_person_entry *person = vn_people_append(arg);
        bool good = person && vn_role_parse(p->role, &person->access) &&
                    vn_str_copy(person->tenant, sizeof person->tenant, vn_str(p->tenant)) &&
                    vn_str_copy(person->name, sizeof person->name, vn_str(p->name));
        enum vn_rc rc = vn_state_taken(person, good, "people: a stored person", err);
        if (rc == VN_OK) {
                person->created_us = p->created_us;
                person->revoked = p->revoked;
        }
        vane__state__person__free_unpacked(p, NULL);
        return rc;
}

static enum vn_rc load_token(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        struct vn_people *people = arg;
        Vane__State__Token *t = (Vane__State__Token *)message;
        struct vn_person_entry *person = vn_people_find(people, t->tenant, t->person);
        bool good = person && t->sha256.len == 32;
        struct vn_auth_token *token = good ? token_append(people) : NULL;
        good = token && vn_str_copy(token->tenant, sizeof token->tenant, vn_str(t->tenant)) &&
               vn_str_copy(token->person, sizeof token->person, vn_str(t->person));
        enum vn_rc rc = vn_state_taken(person && t->sha256.len == 32 ? (void *)token : (void *)t, good,
                                       "tokens: a stored token", err);
        if (rc == VN_OK) {
                memcpy(token->sha256, t->sha256.data, 32);
                token->kind = (enum vn_token_kind)t->kind;
                token->access = person->access;
                token->person_id = vn_people_id(people, person->tenant, person->name);
                token->expires_us = t->expires_us;
        }
        vane__state__token__free_unpacked(t, NULL);
        return rc;
}

enum vn_rc vn_people_make_first(struct vn_server *server, struct vn_batch *batch, const char *tenant,
                                const char *actor, struct vn_first_login ret[VN_FIRST_PEOPLE], struct vn_err *err)
{
        static const struct {
                const char *name;
                enum vn_access access;
        } first[VN_FIRST_PEOPLE] = {{"admin", VN_ACCESS_ADMIN}, {"approver", VN_ACCESS_APPROVER}};
        _Static_assert(sizeof ret->token == VN_TOKEN_TEXT_BYTES, "a token fits");
        for (size_t i = 0; i < VN_FIRST_PEOPLE; i++) {
                struct vn_person_entry *person = vn_people_append(server->people);
                if (!person)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "at most %d people", VN_MAX_PEOPLE);
                VN_ASSERT(vn_str_copy(person->tenant, sizeof person->tenant, vn_str(tenant)));
                VN_ASSERT(vn_str_copy(person->name, sizeof person->name, vn_str(first[i].name)));
                person->access = first[i].access;
                person->created_us = vn_now_us(server->wall);
                vn_people_store(batch, person);
                ret[i].name = first[i].name;
                ret[i].access = first[i].access;
                ret[i].expires_us = vn_now_us(server->wall) + VN_LOGIN_LINK_US;
                VN_TRY(vn_people_make_token(server, batch, person, VN_TOKEN_LOGIN_LINK, VN_LOGIN_LINK_US,
                                            ret[i].token, err));
                VN_TRY(vn_record_change(server, batch,
                                        &(struct vn_change){.kind = VN_RECORD_PEOPLE,
                                                            .tenant = tenant,
                                                            .actor = actor,
                                                            .subject = first[i].name,
                                                            .choice = vn_role_name(first[i].access)},
                                        NULL, err));
        }
        return VN_OK;
}

/* The links go into a file that only the owner can read. */
static enum vn_rc first_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_first_login logins[VN_FIRST_PEOPLE];
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(vn_people_make_first(server, batch, VN_TENANT_DEFAULT, "system:first-start", logins, err));
        VN_AUTO(vn_buf)
        file = VN_BUF_INIT(4096);
        vn_buf_text(&file, "{\"people\":[");
        for (size_t i = 0; i < VN_FIRST_PEOPLE; i++)
                vn_buf_printf(&file,
                              "%s{\"name\":\"%s\",\"role\":\"%s\",\"token\":\"%s\",\"link\":\"http://127.0.0.1:%u/"
                              "login#%s\"}",
                              i ? "," : "", logins[i].name, vn_role_name(logins[i].access), logins[i].token,
                              server->config.http_port, logins[i].token);
        vn_buf_text(&file, "]}\n");
        explicit_bzero(logins, sizeof logins);
        VN_TRY(vn_buf_check(&file, err));
        VN_TRY(vn_store_commit(server->store, batch, err));
        char path[600];
        snprintf(path, sizeof path, "%s/first-login.json", server->config.state_dir);
        return vn_file_write_atomic(path, vn_buf_view(&file), 0600, err);
}

enum vn_rc vn_people_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_people *people = vn_alloc(sizeof *people);
        if (people)
                people->auth = vn_auth_new();
        server->people = people;
        if (!people || !people->auth)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_random_bytes(&people->id_seed, sizeof people->id_seed);
        VN_TRY(vn_state_load(server->store, VN_TABLE_people, &vane__state__person__descriptor, load_person, people,
                             err));
        VN_TRY(vn_state_load(server->store, VN_TABLE_tokens, &vane__state__token__descriptor, load_token, people,
                             err));
        if (people->person_count == 0)
                VN_TRY(first_start(server, err));
        return publish(server, err);
}

void vn_people_stop(struct vn_server *server)
{
        struct vn_people *people = server->people;
        if (!people)
                return;
        vn_auth_free(people->auth);
        vn_free(people->persons);
        vn_free(people->tokens);
        vn_free(people);
        server->people = NULL;
}

void vn_people_show_links(struct vn_server *server)
{
        char path[600];
        snprintf(path, sizeof path, "%s/first-login.json", server->config.state_dir);
        if (isatty(STDOUT_FILENO) && access(path, R_OK) == 0)
                printf("first log-in: the one-time links are in %s\n", path);
}
