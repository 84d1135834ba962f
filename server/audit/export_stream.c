/* export_stream.c - ExportAudit: lines are made on the reader loop and sent on the call's loop, a few at a time; a
 * client that reads slowly stops the making, not the server. */
#include "server/audit/audit.h"

#define LINES_A_TURN 64

struct stream {
        struct vn_task task;
        struct vn_server *server;
        struct vn_call *call;
        struct vn_export *export;
        struct vn_buf lines[LINES_A_TURN];
        size_t count, sent;
        bool more, ended, busy; /* busy: the task is queued or running */
        enum vn_rc rc;
        struct vn_err err;
};

static void make_lines(struct vn_task *task);

static void stream_free(struct stream *s)
{
        for (size_t i = 0; i < LINES_A_TURN; i++)
                vn_buf_done(&s->lines[i]);
        vn_export_free(s->export);
        vn_free(s);
}

static void finish(struct stream *s, enum vn_rc rc, const struct vn_err *err)
{
        struct vn_call *call = s->call;
        vn_call_set_user(call, NULL);
        if (!vn_call_over(call))
                vn_call_finish(call, rc, rc == VN_OK ? NULL : err);
        stream_free(s);
        vn_call_unref(call);
}

/* On the call's loop. */
static void send_lines(struct stream *s)
{
        while (s->sent < s->count) {
                Vane__V1__ExportLine line = VANE__V1__EXPORT_LINE__INIT;
                struct vn_buf *text = &s->lines[s->sent];
                text->ptr[--text->len] = 0; /* the newline belongs to the file, not to the message */
                line.json = text->ptr;
                enum vn_rc rc = vn_call_send(s->call, &line.base);
                if (rc == VN_RESOURCE_EXHAUSTED) {
                        text->ptr[text->len++] = '\n';
                        return; /* vn_export_writable goes on */
                }
                if (rc != VN_OK)
                        return finish(s, VN_CANCELLED, NULL);
                s->sent++;
        }
        if (s->rc != VN_OK)
                return finish(s, s->rc, &s->err);
        if (!s->more)
                return finish(s, VN_OK, NULL);
        s->busy = true;
        s->task.run = make_lines;
        vn_loop_post(s->server->reader, &s->task);
}

static void lines_made(struct vn_task *task)
{
        struct stream *s = (struct stream *)task;
        s->busy = false;
        if (s->ended || vn_call_over(s->call))
                finish(s, VN_CANCELLED, NULL);
        else
                send_lines(s);
}

static void make_lines(struct vn_task *task)
{
        struct stream *s = (struct stream *)task;
        s->count = s->sent = 0;
        s->more = true;
        /* Many may ask and hang up: nothing is made for those who have gone. */
        while (s->more && s->rc == VN_OK && s->count < LINES_A_TURN && !vn_call_over(s->call)) {
                struct vn_buf *line = &s->lines[s->count];
                vn_buf_reset(line);
                s->rc = vn_export_next(s->export, line, &s->more, &s->err);
                if (s->rc == VN_OK && line->len)
                        s->count++;
        }
        s->task.run = lines_made;
        vn_loop_post(vn_call_loop(s->call), &s->task);
}

void vn_export_start(struct vn_call *call, const ProtobufCMessage *message)
{
        const Vane__V1__ExportAuditRequest *request = (const Vane__V1__ExportAuditRequest *)message;
        struct vn_server *server = vn_call_context(call);
        struct vn_err err;
        struct stream *s = vn_alloc(sizeof *s);
        enum vn_rc rc = s ? VN_OK : vn_op_no_memory(&err);
        if (rc == VN_OK && (request->from_us < 0 || request->to_us < 0))
                rc = vn_fail(&err, VN_INVALID_ARGUMENT, "from_us, to_us: not negative");
        if (rc == VN_OK)
                rc = vn_export_new(server, vn_call_identity(call)->tenant, request->from_us, request->to_us,
                                   &s->export, &err);
        if (rc != VN_OK) {
                vn_free(s);
                vn_call_finish(call, rc, &err);
                return;
        }
        for (size_t i = 0; i < LINES_A_TURN; i++)
                s->lines[i] = VN_BUF_INIT(VN_EXPORT_LINE_BYTES);
        s->server = server;
        s->call = vn_call_ref(call);
        s->busy = true;
        s->task.run = make_lines;
        vn_call_set_user(call, s);
        vn_loop_post(server->reader, &s->task);
}

void vn_export_writable(struct vn_call *call)
{
        struct stream *s = vn_call_user(call);
        if (s && !s->busy)
                send_lines(s);
}

void vn_export_cancelled(struct vn_call *call)
{
        struct stream *s = vn_call_user(call);
        if (!s)
                return;
        s->ended = true;
        if (!s->busy)
                finish(s, VN_CANCELLED, NULL);
}
