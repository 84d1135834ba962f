#include "server/auth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct table {
        struct table *next; /* all that are still referenced: a thread that ended takes its reference along */
        size_t references;  /* under the set's mutex */
        uint64_t epoch;
        size_t token_count, account_count;
        struct vn_auth_token *tokens;     /* by hash */
        struct vn_auth_account *accounts; /* by id */
};

struct vn_auth {
        pthread_mutex_t mutex;
        _Atomic uint64_t epoch;
        struct table *current, *all;
};

/* Each thread's own reference: as long as the epoch stands still, a lookup takes no lock. */
static _Thread_local struct {
        struct vn_auth *auth;
        struct table *table;
} mine;

static struct table *table_free(struct table *table)
{
        if (table) {
                vn_free(table->tokens);
                vn_free(table->accounts);
                vn_free(table);
        }
        return NULL;
}

/* With the mutex held. */
static void table_put(struct vn_auth *auth, struct table *table)
{
        if (!table || --table->references)
                return;
        struct table **at = &auth->all;
        while (*at != table)
                at = &(*at)->next;
        *at = table->next;
        table_free(table);
}

struct vn_auth *vn_auth_new(void)
{
        struct vn_auth *auth = vn_alloc(sizeof *auth);
        if (auth)
                pthread_mutex_init(&auth->mutex, NULL);
        return auth;
}

struct vn_auth *vn_auth_free(struct vn_auth *auth)
{
        if (auth) {
                if (mine.auth == auth)
                        mine.auth = NULL, mine.table = NULL;
                for (struct table *next, *table = auth->all; table; table = next) {
                        next = table->next;
                        table_free(table);
                }
                pthread_mutex_destroy(&auth->mutex);
                vn_free(auth);
        }
        return NULL;
}

static int by_hash(const void *a, const void *b)
{
        return memcmp(((const struct vn_auth_token *)a)->sha256, ((const struct vn_auth_token *)b)->sha256, 32);
}

static int by_id(const void *a, const void *b)
{
        uint64_t x = ((const struct vn_auth_account *)a)->id, y = ((const struct vn_auth_account *)b)->id;
        return (x > y) - (x < y);
}

enum vn_rc vn_auth_publish(struct vn_auth *auth, const struct vn_auth_token *tokens, size_t token_count,
                           const struct vn_auth_account *accounts, size_t account_count, struct vn_err *err)
{
        struct table *table = vn_alloc(sizeof *table);
        if (table) {
                table->tokens = vn_alloc_array(token_count + 1, sizeof *table->tokens);
                table->accounts = vn_alloc_array(account_count + 1, sizeof *table->accounts);
        }
        if (!table || !table->tokens || !table->accounts) {
                table_free(table);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        table->references = 1;
        table->token_count = token_count;
        table->account_count = account_count;
        if (token_count)
                memcpy(table->tokens, tokens, token_count * sizeof *tokens);
        if (account_count)
                memcpy(table->accounts, accounts, account_count * sizeof *accounts);
        qsort(table->tokens, token_count, sizeof *table->tokens, by_hash);
        qsort(table->accounts, account_count, sizeof *table->accounts, by_id);
        pthread_mutex_lock(&auth->mutex);
        table_put(auth, auth->current);
        auth->current = table;
        table->next = auth->all;
        auth->all = table;
        table->epoch = atomic_fetch_add(&auth->epoch, 1) + 1;
        pthread_mutex_unlock(&auth->mutex);
        return VN_OK;
}

static const struct table *table_of_thread(struct vn_auth *auth)
{
        if (mine.auth == auth && mine.table && mine.table->epoch == atomic_load(&auth->epoch))
                return mine.table;
        pthread_mutex_lock(&auth->mutex);
        if (mine.auth == auth)
                table_put(auth, mine.table);
        mine.auth = auth;
        mine.table = auth->current;
        if (mine.table)
                mine.table->references++;
        pthread_mutex_unlock(&auth->mutex);
        return mine.table;
}

bool vn_auth_token(struct vn_auth *auth, const uint8_t sha256[32], struct vn_auth_token *ret)
{
        const struct table *table = table_of_thread(auth);
        struct vn_auth_token key;
        memcpy(key.sha256, sha256, 32);
        /* The bytes compared are hashes of what the caller knows: their timing tells nothing of a token. */
        const struct vn_auth_token *found =
                table ? bsearch(&key, table->tokens, table->token_count, sizeof key, by_hash) : NULL;
        if (found)
                *ret = *found;
        return found != NULL;
}

bool vn_auth_account(struct vn_auth *auth, uint64_t id, struct vn_auth_account *ret)
{
        const struct table *table = table_of_thread(auth);
        struct vn_auth_account key = {.id = id};
        const struct vn_auth_account *found =
                table ? bsearch(&key, table->accounts, table->account_count, sizeof key, by_id) : NULL;
        if (found)
                *ret = *found;
        return found != NULL;
}
