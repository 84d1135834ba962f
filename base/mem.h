/* mem.h - allocation with fault injection, cleanup attribute, ownership transfer, arenas.
 * Threads: any; an arena belongs to one thread at a time.
 * Ownership: vn_alloc/vn_realloc/vn_strdup results are released by vn_free (plain free is equal).
 * Faults: in test builds the N-th allocation can be made to fail (vn_alloc_fail_at), which is what the
 *   allocation-failure loop of tests/test.h counts through. */
#ifndef VANE_BASE_MEM_H
#define VANE_BASE_MEM_H

#include "base/err.h"

/* NULL when memory is out (or a fault is injected): callers return VN_RESOURCE_EXHAUSTED. Zeroed. */
void *vn_alloc(size_t bytes) VN_MUST_USE;
void *vn_alloc_array(size_t count, size_t item_bytes) VN_MUST_USE; /* NULL also on overflow */
void *vn_realloc(void *old, size_t bytes) VN_MUST_USE;
char *vn_strdup(const char *text) VN_MUST_USE;
char *vn_strndup(const char *text, size_t bytes) VN_MUST_USE;
void vn_free(void *memory);
/* free() that first overwrites; for keys and tokens. */
void vn_free_secret(void *memory, size_t bytes);

/* Tests only: the n-th allocation of this thread from now on fails (0 = none). Returns how many were counted. */
void vn_alloc_fail_at(uint64_t n);
uint64_t vn_alloc_count(void);

/* VN_AUTO(x) variable: calls x_cleanup(&variable) when it leaves scope. */
#define VN_AUTO(name) __attribute__((cleanup(name##_cleanup))) name##_auto
typedef char *vn_text_auto;
static inline void vn_text_cleanup(char **p)
{
        vn_free(*p);
}
/* For `struct x *x_free(struct x *)`: makes VN_AUTO(x) a `struct x *` freed at scope end. */
#define VN_DEFINE_AUTO(name)                                                                                         \
        typedef struct name *name##_auto;                                                                            \
        static inline void name##_cleanup(struct name **p)                                                           \
        {                                                                                                            \
                name##_free(*p);                                                                                     \
        }                                                                                                            \
        struct name /* takes the semicolon */

/* Returns *pointer and sets it to NULL: marks that ownership moves on. */
#define vn_steal(pointer)                                                                                            \
        ({                                                                                                           \
                __typeof__(*(pointer)) vn_stolen_ = *(pointer);                                                      \
                *(pointer) = NULL;                                                                                   \
                vn_stolen_;                                                                                          \
        })

/* --- arena: bump allocation with a cap; everything goes at once --- */
struct vn_arena_block;
struct vn_arena {
        struct vn_arena_block *head;
        size_t used_bytes; /* counted against max_bytes, headers included */
        size_t max_bytes;
};
void vn_arena_init(struct vn_arena *arena, size_t max_bytes);
/* Zeroed, aligned to 16; NULL beyond the cap or when memory is out. */
void *vn_arena_alloc(struct vn_arena *arena, size_t bytes) VN_MUST_USE;
char *vn_arena_strndup(struct vn_arena *arena, const char *text, size_t bytes) VN_MUST_USE;
/* Keeps the first block for the next use. */
void vn_arena_reset(struct vn_arena *arena);
void vn_arena_done(struct vn_arena *arena);
typedef struct vn_arena vn_arena_auto;
static inline void vn_arena_cleanup(struct vn_arena *arena)
{
        vn_arena_done(arena);
}

#endif
