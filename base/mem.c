#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local uint64_t alloc_counter;
static _Thread_local uint64_t alloc_fail_number;

void vn_alloc_fail_at(uint64_t n)
{
        alloc_counter = 0;
        alloc_fail_number = n;
}

uint64_t vn_alloc_count(void)
{
        return alloc_counter;
}

static bool alloc_must_fail(void)
{
#ifdef VN_FAULTS
        return ++alloc_counter == alloc_fail_number;
#else
        return false;
#endif
}

void *vn_alloc(size_t bytes)
{
        return alloc_must_fail() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *vn_alloc_array(size_t count, size_t item_bytes)
{
        size_t bytes;
        if (__builtin_mul_overflow(count, item_bytes, &bytes))
                return NULL;
        return vn_alloc(bytes);
}

void *vn_realloc(void *old, size_t bytes)
{
        return alloc_must_fail() ? NULL : realloc(old, bytes ? bytes : 1);
}

char *vn_strndup(const char *text, size_t bytes)
{
        char *copy = vn_alloc(bytes + 1);
        if (copy && bytes)
                memcpy(copy, text, bytes);
        return copy;
}

char *vn_strdup(const char *text)
{
        return vn_strndup(text, strlen(text));
}

void vn_free(void *memory)
{
        free(memory);
}

void vn_free_secret(void *memory, size_t bytes)
{
        if (memory)
                explicit_bzero(memory, bytes);
        free(memory);
}

#define ARENA_FIRST_BYTES 4096
#define ARENA_ALIGN 16

struct vn_arena_block {
        struct vn_arena_block *next;
        size_t used_bytes;
        size_t size_bytes;
        size_t pad;
        _Alignas(ARENA_ALIGN) unsigned char data[];
};

void vn_arena_init(struct vn_arena *arena, size_t max_bytes)
{
        *arena = (struct vn_arena){.max_bytes = max_bytes};
}

static bool arena_grow(struct vn_arena *arena, size_t need)
{
        size_t size = arena->head ? arena->head->size_bytes * 2 : ARENA_FIRST_BYTES;
        size_t room = arena->max_bytes - arena->used_bytes;
        if (size > room)
                size = room;
        if (size < need)
                return false;
        struct vn_arena_block *block = vn_alloc(sizeof *block + size);
        if (!block)
                return false;
        block->size_bytes = size;
        block->next = arena->head;
        arena->head = block;
        arena->used_bytes += size;
        return true;
}

void *vn_arena_alloc(struct vn_arena *arena, size_t bytes)
{
        if (bytes > SIZE_MAX - ARENA_ALIGN)
                return NULL;
        size_t need = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
        if (need == 0)
                need = ARENA_ALIGN;
        struct vn_arena_block *block = arena->head;
        if (!block || block->size_bytes - block->used_bytes < need) {
                /* A block doubles, but an item that is larger than that still gets a block of its own size. */
                if (!arena_grow(arena, need)) {
                        if (need > arena->max_bytes - arena->used_bytes)
                                return NULL;
                        struct vn_arena_block *own = vn_alloc(sizeof *own + need);
                        if (!own)
                                return NULL;
                        own->size_bytes = need;
                        own->next = arena->head;
                        arena->head = own;
                        arena->used_bytes += need;
                }
                block = arena->head;
        }
        void *memory = block->data + block->used_bytes;
        block->used_bytes += need;
        memset(memory, 0, need);
        return memory;
}

char *vn_arena_strndup(struct vn_arena *arena, const char *text, size_t bytes)
{
        if (bytes == SIZE_MAX)
                return NULL;
        char *copy = vn_arena_alloc(arena, bytes + 1);
        if (copy && bytes)
                memcpy(copy, text, bytes);
        return copy;
}

void vn_arena_reset(struct vn_arena *arena)
{
        struct vn_arena_block *block = arena->head;
        while (block && block->next) {
                struct vn_arena_block *next = block->next;
                arena->used_bytes -= block->size_bytes;
                free(block);
                block = next;
        }
        arena->head = block;
        if (block)
                block->used_bytes = 0;
}

void vn_arena_done(struct vn_arena *arena)
{
        vn_arena_reset(arena);
        free(arena->head);
        *arena = (struct vn_arena){0};
}
