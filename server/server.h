/* server.h - vaned as one legible object.
 * Purpose: what main.c starts in order and stops backwards; every module gets at the others through here.
 * Threads: the control loop owns everything except what a member's own header says otherwise. Edge loops use the
 *   routing module, the watch hub and the auth table, which are made for that.
 * Ownership: main.c owns the server; members are made by their x_start and freed by their x_stop. */
#ifndef VANE_SERVER_SERVER_H
#define VANE_SERVER_SERVER_H

#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"
#include "net/edge.h"
#include "server/api.h"
#include "store/store.h"

#define VN_TENANT_DEFAULT "default"
#define VN_TRUST_DOMAIN "vane.local"

struct vn_tenants;
struct vn_people;
struct vn_recorder;
struct vn_pki;
struct vn_registry;
struct vn_observing;
struct vn_hub;
struct vn_grants;
struct vn_policy_table;
struct vn_telemetry;
struct vn_routing;
struct vn_pauses;
struct vn_rounds;
struct vn_tuning;
struct vn_explain;
struct vn_ui;
struct vn_ticker;
struct vn_retention;
struct vn_backups;
struct vn_tls_server;
struct vn_note_key;

struct vn_server_config {
        char state_dir[512];
        char ui_dir[512];
        uint16_t http_port;
        char https_host[64];
        uint16_t https_port;
        uint32_t edge_loops; /* 0: one a core */
        uint64_t disk_budget_bytes;
        uint32_t ring_slots;
        uint32_t join_token_lifetime_s;
        uint32_t certificate_lifetime_s;
        uint32_t round_interval_s, round_deadline_s, round_quorum;
        uint32_t tuning_interval_s;
        char residency[32]; /* VN_MAX_RESIDENCY; region group that the server stands in; empty: not said */
        uint32_t window_retention_s, replay_window_s, record_retention_s, record_segment_s;
};

struct vn_server {
        const struct vn_clock *clock; /* of decisions and telemetry: the sandbox's, where there is one */
        const struct vn_clock *wall;  /* of certificates, tokens and sessions: always the real one */
        struct vn_server_config config;
        const char *settings_file; /* that the configuration was read from; NULL in tests */
        int64_t started_us;
        struct vn_note_key *log_key;
        struct vn_recorder *recorder;
        struct vn_store *store;
        struct vn_loop *control;
        struct vn_loop *reader; /* operations that only read the store: decisions, audit */
        struct vn_tls_server *tls;
        struct vn_edge *edge;
        uint16_t http_port, https_port;
        struct vn_pki *pki;
        struct vn_tenants *tenants;
        struct vn_people *people;
        struct vn_registry *registry;
        struct vn_observing *observing;
        struct vn_hub *hub;
        struct vn_grants *grants;
        struct vn_policy_table *policies;
        struct vn_telemetry *telemetry;
        struct vn_routing *routing;
        struct vn_explain *explain;
        struct vn_pauses *pauses;
        struct vn_rounds *rounds;
        struct vn_tuning *tuning;
        struct vn_ui *ui;
        struct vn_ticker *ticker;
        struct vn_retention *retention;
        struct vn_backups *backups;
};

#endif
