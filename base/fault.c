#include "base/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define MAX_FAULTS 16
struct fault {
        char name[48];
        uint64_t passes;
        uint64_t fire_at;
        enum vn_fault_action action;
};
static struct fault faults[MAX_FAULTS];
static _Atomic int fault_count; /* zero keeps the untested path at one load */
static pthread_mutex_t fault_mutex = PTHREAD_MUTEX_INITIALIZER;

void vn_fault_arm(const char *name, uint64_t nth, enum vn_fault_action action)
{
        pthread_mutex_lock(&fault_mutex);
        int n = atomic_load(&fault_count), at = 0;
        while (at < n && strcmp(faults[at].name, name))
                at++;
        VN_ASSERT(at < MAX_FAULTS);
        VN_ASSERT(vn_str_copy(faults[at].name, sizeof faults[at].name, vn_str(name)));
        faults[at].passes = 0;
        faults[at].fire_at = nth;
        faults[at].action = action;
        if (at == n)
                atomic_store(&fault_count, n + 1);
        pthread_mutex_unlock(&fault_mutex);
}

void vn_fault_clear(void)
{
        pthread_mutex_lock(&fault_mutex);
        atomic_store(&fault_count, 0);
        memset(faults, 0, sizeof faults);
        pthread_mutex_unlock(&fault_mutex);
}

uint64_t vn_fault_passes(const char *name)
{
        uint64_t passes = 0;
        pthread_mutex_lock(&fault_mutex);
        for (int i = 0; i < atomic_load(&fault_count); i++)
                if (!strcmp(faults[i].name, name))
                        passes = faults[i].passes;
        pthread_mutex_unlock(&fault_mutex);
        return passes;
}

#ifdef VN_FAULTS
bool vn_fault_hit(const char *name)
{
        if (atomic_load_explicit(&fault_count, memory_order_relaxed) == 0)
                return false;
        bool fire = false;
        pthread_mutex_lock(&fault_mutex);
        for (int i = 0; i < atomic_load(&fault_count); i++) {
                struct fault *f = &faults[i];
                if (strcmp(f->name, name))
                        continue;
                fire = ++f->passes == f->fire_at;
                if (fire && f->action == VN_FAULT_KILL)
                        kill(getpid(), SIGKILL);
        }
        pthread_mutex_unlock(&fault_mutex);
        return fire;
}
#endif

void vn_fault_init(void)
{
        const char *text = getenv("VANE_FAULT");
        struct vn_str rest = vn_str(text);
        while (rest.ptr && rest.len) {
                struct vn_str item = vn_str_cut(&rest, ',');
                struct vn_str name = vn_str_cut(&item, '=');
                enum vn_fault_action action = VN_FAULT_FAIL;
                if (item.ptr && vn_str_starts(item, VN_STR("kill@"))) {
                        action = VN_FAULT_KILL;
                        item = vn_str_n(item.ptr + 5, item.len - 5);
                }
                uint64_t nth;
                char name_text[48];
                if (item.ptr && vn_str_to_u64(item, &nth) == VN_OK && vn_str_copy(name_text, sizeof name_text, name))
                        vn_fault_arm(name_text, nth, action);
        }
}
