#include "server/op.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/loop.h"
#include "server/server.h"

#define PAGE_DEFAULT 50
#define PAGE_MAX 500

struct op_task {
        struct vn_task task;
        struct vn_op op;
        vn_op_fn fn;
        const ProtobufCMessage *request;
        ProtobufCMessage *reply;
        enum vn_rc rc;
        struct vn_err err;
};

static void op_answer(struct vn_task *task)
{
        struct op_task *t = (struct op_task *)task;
        struct vn_call *call = t->op.call;
        if (!vn_call_over(call)) {
                if (t->rc == VN_OK)
                        vn_call_reply(call, t->reply);
                else
                        vn_call_finish(call, t->rc, &t->err);
        }
        vn_call_unref(call); /* the task lives in the call's arena: not touched after this */
}

static void op_run(struct vn_task *task)
{
        struct op_task *t = (struct op_task *)task;
        if (!vn_call_over(t->op.call)) {
                t->op.now_us = vn_now_us(t->op.server->clock);
                t->rc = t->fn(&t->op, t->request, &t->reply, &t->err);
        } else {
                t->rc = vn_fail(&t->err, VN_CANCELLED, "the caller has gone");
        }
        t->task.run = op_answer;
        vn_loop_post(vn_call_loop(t->op.call), &t->task);
}

void vn_op_run(struct vn_server *server, struct vn_call *call, vn_op_fn fn, const ProtobufCMessage *request)
{
        struct op_task *t = vn_arena_alloc(vn_call_arena(call), sizeof *t);
        if (!t) {
                struct vn_err err;
                vn_call_finish(call, vn_op_no_memory(&err), &err);
                return;
        }
        t->task.run = op_run;
        t->fn = fn;
        t->request = request;
        t->op = (struct vn_op){.server = server,
                               .identity = vn_call_identity(call),
                               .arena = vn_call_arena(call),
                               .call = vn_call_ref(call)};
        const struct vn_method *method = vn_call_method(call);
        vn_loop_post(method && vn_api_only_reads_store(method) ? server->reader : server->control, &t->task);
}

void vn_op_start(struct vn_call *call, const ProtobufCMessage *request)
{
        vn_op_run(vn_call_context(call), call, vn_api_operation(vn_call_method(call)), request);
}

char *vn_op_text(struct vn_op *op, const char *text)
{
        char *copy = vn_arena_strndup(op->arena, text, strlen(text));
        static char empty[1] = "";
        return copy ? copy : empty;
}

char *vn_op_printf(struct vn_op *op, const char *format, ...)
{
        char text[1024];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        return vn_op_text(op, text);
}

enum vn_rc vn_op_page(struct vn_op *op, uint32_t page_size, const char *token, size_t total, struct vn_page *ret,
                      struct vn_err *err)
{
        uint64_t from = 0;
        if (page_size > PAGE_MAX)
                return vn_fail(err, VN_INVALID_ARGUMENT, "page_size: at most %d", PAGE_MAX);
        if (token && token[0] && (vn_str_to_u64(vn_str(token), &from) != VN_OK || from > total))
                return vn_fail(err, VN_INVALID_ARGUMENT, "page_token: not one that this server gave");
        size_t want = page_size ? page_size : PAGE_DEFAULT;
        size_t left = total - (size_t)from;
        ret->from = (size_t)from;
        ret->count = left < want ? left : want;
        ret->next_token = left > want ? vn_op_printf(op, "%zu", (size_t)from + want) : vn_op_text(op, "");
        return VN_OK;
}
