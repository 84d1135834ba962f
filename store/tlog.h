/* tlog.h - the Merkle log's arithmetic: hashes, proofs, tiles, checkpoints. Pure: no files, no clock.
 * Purpose: everything that makes or checks a proof, so that vanectl and the browser's judge verify offline.
 * Sources: RFC 6962 section 2.1 (hashing), RFC 9162 section 2.1 (proof verification), C2SP tlog-tiles,
 *   tlog-checkpoint and signed-note.
 * Threads: any. Ownership: callers own all buffers. All lengths are checked; every input may be hostile. */
#ifndef VANE_STORE_TLOG_H
#define VANE_STORE_TLOG_H

#include "base/err.h"
#include "base/str.h"

#define VN_HASH_BYTES 32
#define VN_PROOF_MAX 64 /* hashes in a proof of a tree of up to 2^63 leaves */
#define VN_TILE_WIDTH 256
#define VN_TILE_BYTES (VN_TILE_WIDTH * VN_HASH_BYTES)
#define VN_LEAF_MAX_BYTES 256
#define VN_TILE_PATH_BYTES 96

struct vn_hash {
        uint8_t b[VN_HASH_BYTES];
};
struct vn_proof {
        size_t n;
        struct vn_hash hash[VN_PROOF_MAX];
};
struct vn_hash vn_tlog_leaf_hash(struct vn_str leaf);
struct vn_hash vn_tlog_node_hash(const struct vn_hash *left, const struct vn_hash *right);
struct vn_hash vn_tlog_empty_root(void);
bool vn_hash_eq(const struct vn_hash *a, const struct vn_hash *b);

/* --- verification: OK, INVALID_ARGUMENT (impossible sizes or length) or DATA_LOSS (hashes do not match) --- */
enum vn_rc vn_tlog_verify_inclusion(uint64_t index, uint64_t size, const struct vn_hash *leaf_hash,
                                    const struct vn_hash *proof, size_t proof_count, const struct vn_hash *root,
                                    struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_tlog_verify_consistency(uint64_t size1, uint64_t size2, const struct vn_hash *root1,
                                      const struct vn_hash *root2, const struct vn_hash *proof, size_t proof_count,
                                      struct vn_err *err) VN_MUST_USE;
/* Subtree [start, end) of a tree: start is a multiple of the least power of two that is not below end - start. */
enum vn_rc vn_tlog_verify_subtree_inclusion(uint64_t index, uint64_t start, uint64_t end,
                                            const struct vn_hash *leaf_hash, const struct vn_hash *proof,
                                            size_t proof_count, const struct vn_hash *root,
                                            struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_tlog_verify_subtree_consistency(uint64_t start, uint64_t end, uint64_t size,
                                              const struct vn_hash *subtree_root, const struct vn_hash *root,
                                              const struct vn_hash *proof, size_t proof_count,
                                              struct vn_err *err) VN_MUST_USE;

/* --- making roots and proofs from stored hashes ---
 * read gives hash `n` of tile level `level` (level 0: leaf hashes; level L: roots of complete trees of 256^L leaves). */
struct vn_tlog_reader {
        enum vn_rc (*read)(void *arg, unsigned level, uint64_t first, size_t count, struct vn_hash *ret,
                           struct vn_err *err);
        void *arg;
};
enum vn_rc vn_tlog_root(const struct vn_tlog_reader *reader, uint64_t size, struct vn_hash *ret,
                        struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_tlog_prove_inclusion(const struct vn_tlog_reader *reader, uint64_t index, uint64_t size,
                                   struct vn_proof *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_tlog_prove_consistency(const struct vn_tlog_reader *reader, uint64_t size1, uint64_t size2,
                                     struct vn_proof *ret, struct vn_err *err) VN_MUST_USE;
/* Root over the hashes of one complete or partial tile row (count in 1..256). */
struct vn_hash vn_tlog_tile_root(const struct vn_hash *hashes, size_t count);

/* --- tile paths: "tile/0/x001/234", "tile/entries/005.p/17" --- */
#define VN_TILE_ENTRIES 255u /* as a level: the bundle of the entries themselves */
struct vn_tile_name {
        unsigned level; /* 0..7, or VN_TILE_ENTRIES */
        unsigned width; /* 1..255 partial, 256 full */
        uint64_t index;
};
enum vn_rc vn_tile_path(const struct vn_tile_name *tile, char ret[VN_TILE_PATH_BYTES]) VN_MUST_USE;
enum vn_rc vn_tile_parse(struct vn_str path, struct vn_tile_name *ret) VN_MUST_USE; /* canonical spelling only */

#endif
