/* ui.h - what vaned serves over plain HTTP beside the API: the pages, metrics, health, the log's tiles.
 * Threads: handlers run on edge loops; the pages are read into memory once, at start. */
#ifndef VANE_SERVER_UI_H
#define VANE_SERVER_UI_H

#include "server/server.h"

struct vn_ui;
enum vn_rc vn_ui_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_ui_stop(struct vn_server *server);
/* Answers with the page itself; its script shows what the path asks for. */
void vn_ui_page(struct vn_server *server, struct vn_call *call);

#endif
