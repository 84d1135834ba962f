/* blob.c - Azure Blob Storage: Put Blob (block blobs), Get Blob, Get Blob Properties, List Blobs; Entra tokens only. */
#include <stdio.h>

#include "sim/azure.h"
#include "sim/objects.h"

#define AUDIENCE "https://storage.azure.com"
#define CONTAINER "vane-logs"
#define PAGE 5000
#define SUFFIX ".blob.core.windows.net"

static void refuse(struct vn_sim_response *response, int status, const char *code, const char *message)
{
        vn_sim_text(response, status, "application/xml", "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>");
        vn_buf_printf(&response->body, "%s</Code><Message>%s</Message></Error>", code, message);
        vn_sim_set_header(response, "x-ms-error-code", code);
}

/* UINT32_MAX: no storage account is called so. */
static uint32_t account_of(const struct vn_sim *sim, struct vn_str name)
{
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++) {
                char store[40] = "vane";
                size_t n = strlen(store);
                if (sim->accounts[i].cloud != VN_PLATFORM_AZURE)
                        continue;
                for (const char *c = sim->accounts[i].name; *c && n + 1 < sizeof store; c++)
                        if (*c != '-')
                                store[n++] = *c;
                store[n] = 0;
                if (vn_str_eq_nocase(name, vn_str(store)))
                        return i;
        }
        return UINT32_MAX;
}

/* The storage account, and what of the path is below it. */
static uint32_t find(const struct vn_sim *sim, const struct vn_sim_request *request, struct vn_str *ret_path)
{
        struct vn_str host = vn_sim_header(request, "host"), suffix = VN_STR(SUFFIX);
        host = vn_str_cut(&host, ':');
        *ret_path = request->path;
        vn_str_cut(ret_path, '/');
        if (vn_str_ends(host, suffix))
                return account_of(sim, vn_str_n(host.ptr, host.len - suffix.len));
        return ret_path->ptr ? account_of(sim, vn_str_cut(ret_path, '/')) : UINT32_MAX;
}

static void set_blob_headers(const struct vn_sim_object *o, struct vn_sim_response *response)
{
        char quoted[40], date[40];
        snprintf(quoted, sizeof quoted, "\"0x%.14s\"", o->etag);
        vn_sim_http_date(o->modified_us, date);
        vn_sim_set_header(response, "etag", quoted);
        vn_sim_set_header(response, "last-modified", date);
        vn_sim_set_header(response, "x-ms-blob-type", "BlockBlob");
}

static void list(const struct vn_sim *sim, uint32_t account, struct vn_str query, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        prefix = VN_BUF_INIT(2048);
        VN_AUTO(vn_buf)
        after = VN_BUF_INIT(2048);
        uint64_t most, count = 0;
        const struct vn_sim_object *o;
        vn_sim_param(query, "prefix", &prefix);
        vn_sim_param(query, "marker", &after);
        if (vn_sim_param_u64(query, "maxresults", PAGE, PAGE, &most) != VN_OK || !most) {
                refuse(response, 400, "OutOfRangeQueryParameterValue", "maxresults is out of range.");
                return;
        }
        vn_sim_text(response, 200, "application/xml",
                    "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ContainerName=\"" CONTAINER "\">"
                    "<Prefix>");
        vn_sim_xml_text(&response->body, vn_buf_view(&prefix));
        vn_buf_text(&response->body, "</Prefix><Blobs>");
        while ((o = vn_sim_object_next(sim, account, vn_buf_view(&prefix), vn_buf_view(&after))) && count < most) {
                char date[40];
                vn_sim_http_date(o->modified_us, date);
                vn_buf_text(&response->body, "<Blob><Name>");
                vn_sim_xml_text(&response->body, vn_str(o->key));
                vn_buf_printf(&response->body,
                              "</Name><Properties><Last-Modified>%s</Last-Modified><Etag>0x%.14s</Etag>"
                              "<Content-Length>%zu</Content-Length><Content-Type>",
                              date, o->etag, o->len);
                vn_sim_xml_text(&response->body, vn_str(o->content_type));
                vn_buf_text(&response->body, "</Content-Type><BlobType>BlockBlob</BlobType></Properties></Blob>");
                vn_buf_reset(&after);
                vn_buf_text(&after, o->key);
                count++;
        }
        vn_buf_text(&response->body, "</Blobs><NextMarker>");
        if (o)
                vn_sim_xml_text(&response->body, vn_buf_view(&after));
        vn_buf_text(&response->body, "</NextMarker></EnumerationResults>");
}

static void put(struct vn_sim *sim, uint32_t account, struct vn_str key, const struct vn_sim_request *request,
                struct vn_sim_response *response)
{
        struct vn_str type = vn_sim_header(request, "x-ms-blob-content-type");
        if (!vn_str_eq(vn_sim_header(request, "x-ms-blob-type"), VN_STR("BlockBlob"))) {
                refuse(response, 400, "MissingRequiredHeader", "x-ms-blob-type must be BlockBlob here.");
                return;
        }
        const struct vn_sim_object *o = vn_sim_object_put(sim, account, key, request->body,
                                                          type.len ? type : vn_sim_header(request, "content-type"));
        if (!o) {
                refuse(response, 503, "ServerBusy", "The server is busy.");
                return;
        }
        vn_sim_text(response, 201, "application/xml", "");
        set_blob_headers(o, response);
}

static void blob(struct vn_sim *sim, uint32_t account, struct vn_str path, const struct vn_sim_request *request,
                 struct vn_sim_response *response)
{
        struct vn_str container = path.ptr ? vn_str_cut(&path, '/') : VN_STR(""), key = path;
        VN_AUTO(vn_buf)
        comp = VN_BUF_INIT(64);
        bool get = vn_str_eq(request->verb, VN_STR("GET")), head = vn_str_eq(request->verb, VN_STR("HEAD"));
        const struct vn_sim_object *o;
        vn_sim_param(request->query, "comp", &comp);
        if (!vn_str_eq(container, VN_STR(CONTAINER))) {
                refuse(response, 404, "ContainerNotFound", "The specified container does not exist.");
        } else if (!key.len && get && vn_str_eq(vn_buf_view(&comp), VN_STR("list"))) {
                list(sim, account, request->query, response);
        } else if (key.len && !comp.len && vn_str_eq(request->verb, VN_STR("PUT"))) {
                put(sim, account, key, request, response);
        } else if (key.len && !comp.len && (get || head)) {
                o = vn_sim_object_get(sim, account, key);
                if (!o) {
                        refuse(response, 404, "BlobNotFound", "The specified blob does not exist.");
                        return;
                }
                vn_sim_text(response, 200, o->content_type, "");
                vn_buf_add(&response->body, o->bytes, o->len);
                set_blob_headers(o, response);
        } else {
                refuse(response, 405, "UnsupportedHttpVerb", "The resource doesn't support the specified HTTP verb.");
        }
}

/* Storage's own form, in which its clients look for the tenant. */
static void challenge(const struct vn_sim *sim, uint32_t store, struct vn_sim_response *response)
{
        char text[200], **copy = NULL, *fresh;
        snprintf(text, sizeof text,
                 "Bearer authorization_uri=https://login.microsoftonline.com/%s/oauth2/authorize "
                 "resource_id=" AUDIENCE,
                 sim->accounts[store].tenant);
        for (size_t i = 0; i < response->header_count; i++)
                if (!strcmp(response->headers[i].name, "www-authenticate"))
                        copy = &response->headers[i].value;
        if (copy && (fresh = vn_strdup(text))) {
                vn_free(*copy);
                *copy = fresh;
        }
}

bool vn_sim_blob(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_str path;
        uint32_t store = find(sim, request, &path), caller;
        if (store == UINT32_MAX)
                return false;
        if (!vn_sim_azure_bearer(sim, request, AUDIENCE, response, &caller)) {
                challenge(sim, store, response);
                return true;
        }
        vn_sim_set_header(response, "x-ms-version", "2023-11-03");
        if (!vn_sim_header(request, "x-ms-version").len)
                refuse(response, 400, "MissingRequiredHeader", "x-ms-version is needed with a token.");
        else if (caller != store)
                refuse(response, 403, "AuthorizationPermissionMismatch",
                       "This request is not authorized to perform this operation using this permission.");
        else
                blob(sim, store, path, request, response);
        return true;
}
