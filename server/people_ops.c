/* people_ops.c - operations on people and their tokens. */
#include "server/people.h"
#include "server/people_table.h"
#include "server/record.h"
#include "vane/v1/control.pb-c.h"

static enum vn_rc person_reply(struct vn_op *op, const struct vn_person_entry *person, ProtobufCMessage **ret_reply,
                               struct vn_err *err)
{
        Vane__V1__Person *reply = VN_NEW_MESSAGE(op->arena, Vane__V1__Person, vane__v1__person__init);
        if (!reply)
                return vn_op_no_memory(err);
        reply->name = vn_op_text(op, person->name);
        reply->role = vn_op_text(op, vn_role_name(person->access));
        reply->tenant = vn_op_text(op, person->tenant);
        reply->created_us = person->created_us;
        reply->revoked = person->revoked;
        *ret_reply = &reply->base;
        return VN_OK;
}

static enum vn_rc find_person(struct vn_op *op, const char *name, struct vn_person_entry **ret, struct vn_err *err)
{
        *ret = vn_people_find(op->server->people, op->identity->tenant, name);
        return *ret ? VN_OK : vn_fail(err, VN_NOT_FOUND, "name: no person \"%.64s\"", name);
}

enum vn_rc op_create_person(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                            struct vn_err *err)
{
        const Vane__V1__CreatePersonRequest *request = (const Vane__V1__CreatePersonRequest *)message;
        struct vn_people *people = op->server->people;
        enum vn_access access;
        if (!vn_str_is_name(vn_str(request->name), 63))
                return vn_fail(err, VN_INVALID_ARGUMENT, "name: 1 to 63 letters, digits, '-', '_', '.'");
        if (!vn_role_parse(request->role, &access))
                return vn_fail(err, VN_INVALID_ARGUMENT, "role: viewer, operator, approver or admin");
        if (vn_people_find(people, op->identity->tenant, request->name))
                return vn_fail(err, VN_ALREADY_EXISTS, "name: \"%s\" exists", request->name);
        struct vn_person_entry person = {.access = access, .created_us = vn_now_us(op->server->wall)};
        VN_ASSERT(vn_str_copy(person.tenant, sizeof person.tenant, vn_str(op->identity->tenant)));
        VN_ASSERT(vn_str_copy(person.name, sizeof person.name, vn_str(request->name)));
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_op_no_memory(err);
        vn_people_store(batch, &person);
        struct vn_change change = {.kind = VN_RECORD_PEOPLE,
                                   .tenant = person.tenant,
                                   .actor = op->identity->actor,
                                   .subject = person.name,
                                   .choice = vn_role_name(access)};
        VN_TRY(vn_record_change(op->server, batch, &change, NULL, err));
        VN_TRY(vn_store_commit(op->server->store, batch, err));
        struct vn_person_entry *entry = vn_people_append(people);
        if (!entry)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "at most %d people", VN_MAX_PEOPLE);
        *entry = person;
        return person_reply(op, entry, ret_reply, err);
}

enum vn_rc op_list_people(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        (void)message;
        struct vn_people *people = op->server->people;
        Vane__V1__ListPeopleResponse *reply =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListPeopleResponse, vane__v1__list_people_response__init);
        if (reply)
                reply->people = vn_arena_alloc(op->arena, (people->person_count + 1) * sizeof *reply->people);
        if (!reply || !reply->people)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < people->person_count; i++) {
                ProtobufCMessage *one;
                if (strcmp(people->persons[i].tenant, op->identity->tenant))
                        continue;
                VN_TRY(person_reply(op, &people->persons[i], &one, err));
                reply->people[reply->n_people++] = (Vane__V1__Person *)one;
        }
        *ret_reply = &reply->base;
        return VN_OK;
}

enum vn_rc op_who_am_i(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                       struct vn_err *err)
{
        (void)message;
        struct vn_person_entry *person;
        struct vn_str actor = vn_str(op->identity->actor);
        if (!vn_str_starts(actor, VN_STR("person:")))
                return vn_fail(err, VN_PERMISSION_DENIED, "only people have a name here");
        VN_TRY(find_person(op, op->identity->actor + 7, &person, err));
        return person_reply(op, person, ret_reply, err);
}

enum vn_rc op_create_token(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        const Vane__V1__CreateTokenRequest *request = (const Vane__V1__CreateTokenRequest *)message;
        struct vn_person_entry *person;
        VN_TRY(find_person(op, request->name, &person, err));
        if (person->revoked)
                return vn_fail(err, VN_FAILED_PRECONDITION, "name: \"%s\" is revoked", person->name);
        if (request->lifetime_s > 366 * 86400u)
                return vn_fail(err, VN_INVALID_ARGUMENT, "lifetime_s: at most a year");
        int64_t lifetime_us = (request->lifetime_s ? request->lifetime_s : 90 * 86400u) * VN_US_PER_S;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        Vane__V1__CreateTokenResponse *reply =
                VN_NEW_MESSAGE(op->arena, Vane__V1__CreateTokenResponse, vane__v1__create_token_response__init);
        if (!batch || !reply)
                return vn_op_no_memory(err);
        char token[VN_TOKEN_TEXT_BYTES];
        VN_TRY(vn_people_make_token(op->server, batch, person, VN_TOKEN_API, lifetime_us, token, err));
        struct vn_change change = {.kind = VN_RECORD_PEOPLE,
                                   .tenant = person->tenant,
                                   .actor = op->identity->actor,
                                   .subject = person->name,
                                   .choice = "token"};
        VN_TRY(vn_record_change(op->server, batch, &change, NULL, err));
        VN_TRY(vn_store_commit(op->server->store, batch, err));
        vn_people_publish(op->server);
        reply->token = vn_op_text(op, token);
        reply->expires_us = vn_now_us(op->server->wall) + lifetime_us;
        explicit_bzero(token, sizeof token);
        *ret_reply = &reply->base;
        return VN_OK;
}

enum vn_rc op_revoke_person(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                            struct vn_err *err)
{
        const Vane__V1__PersonName *request = (const Vane__V1__PersonName *)message;
        struct vn_people *people = op->server->people;
        struct vn_person_entry *person;
        VN_TRY(find_person(op, request->name, &person, err));
        if (!strcmp(op->identity->actor + strlen("person:"), person->name))
                return vn_fail(err, VN_FAILED_PRECONDITION, "nobody revokes themselves: another admin does");
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_op_no_memory(err);
        struct vn_person_entry revoked = *person;
        revoked.revoked = true;
        vn_people_store(batch, &revoked);
        struct vn_change change = {.kind = VN_RECORD_PEOPLE,
                                   .tenant = person->tenant,
                                   .actor = op->identity->actor,
                                   .subject = person->name,
                                   .choice = "revoked"};
        VN_TRY(vn_record_change(op->server, batch, &change, NULL, err));
        for (size_t i = people->token_count; i-- > 0;)
                if (!strcmp(people->tokens[i].person, person->name) &&
                    !strcmp(people->tokens[i].tenant, person->tenant)) {
                        uint8_t hash[32];
                        memcpy(hash, people->tokens[i].sha256, 32);
                        vn_people_drop_token(op->server, batch, hash);
                }
        VN_TRY(vn_store_commit(op->server->store, batch, err));
        person->revoked = true;
        vn_people_publish(op->server);
        vn_edge_end_account(op->server->edge, vn_people_id(people, person->tenant, person->name));
        return person_reply(op, person, ret_reply, err);
}
