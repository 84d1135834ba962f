#include "store/tlog.h"

#include <string.h>

#include "base/hash.h"

struct vn_hash vn_tlog_leaf_hash(struct vn_str leaf)
{
        struct vn_hash hash;
        struct vn_str parts[2] = {vn_str_n("\0", 1), leaf};
        vn_sha256_parts(parts, 2, hash.b);
        return hash;
}

struct vn_hash vn_tlog_node_hash(const struct vn_hash *left, const struct vn_hash *right)
{
        struct vn_hash hash;
        uint8_t bytes[1 + 2 * VN_HASH_BYTES] = {1};
        memcpy(bytes + 1, left->b, VN_HASH_BYTES);
        memcpy(bytes + 1 + VN_HASH_BYTES, right->b, VN_HASH_BYTES);
        vn_sha256(bytes, sizeof bytes, hash.b);
        return hash;
}

struct vn_hash vn_tlog_empty_root(void)
{
        struct vn_hash hash;
        vn_sha256("", 0, hash.b);
        return hash;
}

bool vn_hash_eq(const struct vn_hash *a, const struct vn_hash *b)
{
        return !memcmp(a->b, b->b, VN_HASH_BYTES);
}

/* --- verification --- */
enum vn_rc vn_tlog_verify_inclusion(uint64_t index, uint64_t size, const struct vn_hash *leaf_hash,
                                    const struct vn_hash *proof, size_t proof_count, const struct vn_hash *root,
                                    struct vn_err *err)
{
        if (index >= size)
                return vn_fail(err, VN_INVALID_ARGUMENT, "leaf index is not below the tree's size");
        /* RFC 9162 section 2.1.3.2: fn is the node's place in its row, sn the last place in that row. */
        uint64_t fn = index, sn = size - 1;
        struct vn_hash hash = *leaf_hash;
        for (size_t i = 0; i < proof_count; i++) {
                if (sn == 0)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "proof is too long");
                if ((fn & 1) || fn == sn) {
                        hash = vn_tlog_node_hash(&proof[i], &hash);
                        while (!(fn & 1) && fn) {
                                fn >>= 1;
                                sn >>= 1;
                        }
                } else {
                        hash = vn_tlog_node_hash(&hash, &proof[i]);
                }
                fn >>= 1;
                sn >>= 1;
        }
        if (sn != 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "proof is too short");
        if (!vn_hash_eq(&hash, root))
                return vn_fail(err, VN_DATA_LOSS, "proof does not lead to the root");
        return VN_OK;
}

static bool subtree_is_valid(uint64_t start, uint64_t end)
{
        if (start > end)
                return false;
        uint64_t width = end - start, power = 1;
        while (power < width && power)
                power <<= 1;
        return power && !(start & (power - 1));
}

enum vn_rc vn_tlog_verify_subtree_inclusion(uint64_t index, uint64_t start, uint64_t end,
                                            const struct vn_hash *leaf_hash, const struct vn_hash *proof,
                                            size_t proof_count, const struct vn_hash *root, struct vn_err *err)
{
        if (!subtree_is_valid(start, end) || index < start || index >= end)
                return vn_fail(err, VN_INVALID_ARGUMENT, "not a leaf of a valid subtree");
        return vn_tlog_verify_inclusion(index - start, end - start, leaf_hash, proof, proof_count, root, err);
}

/* The places of a subtree's first and last node and of the tree's last node, in one row. */
struct rows {
        uint64_t first;
        uint64_t last;
        uint64_t tree_last;
};

static void rows_up(struct rows *r)
{
        r->first >>= 1;
        r->last >>= 1;
        r->tree_last >>= 1;
}

enum vn_rc vn_tlog_verify_subtree_consistency(uint64_t start, uint64_t end, uint64_t size,
                                              const struct vn_hash *subtree_root, const struct vn_hash *root,
                                              const struct vn_hash *proof, size_t proof_count, struct vn_err *err)
{
        if (!subtree_is_valid(start, end) || end > size)
                return vn_fail(err, VN_INVALID_ARGUMENT, "not a valid subtree of this tree");
        if (start == end) {
                struct vn_hash empty = vn_tlog_empty_root();
                if (proof_count)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "proof of an empty subtree is not empty");
                if (!vn_hash_eq(subtree_root, &empty))
                        return vn_fail(err, VN_DATA_LOSS, "root of an empty subtree is wrong");
                return VN_OK;
        }
        /* Climb to where the proof starts: the widest complete tree that ends the subtree, or the subtree itself. */
        struct rows r = {start, end - 1, size - 1};
        bool at_end = r.last == r.tree_last;
        while (r.first != r.last && (at_end || (r.last & 1)))
                rows_up(&r);
        struct vn_hash sub = *subtree_root;
        size_t i = 0;
        if (r.first != r.last) {
                if (!proof_count)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "proof is too short");
                sub = proof[i++];
        }
        struct vn_hash whole = sub;
        for (; i < proof_count; i++) {
                if (r.tree_last == 0)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "proof is too long");
                if ((r.last & 1) || r.last == r.tree_last) {
                        if (r.first < r.last)
                                sub = vn_tlog_node_hash(&proof[i], &sub);
                        whole = vn_tlog_node_hash(&proof[i], &whole);
                        while (!(r.last & 1))
                                rows_up(&r);
                } else {
                        whole = vn_tlog_node_hash(&whole, &proof[i]);
                }
                rows_up(&r);
        }
        if (r.tree_last != 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "proof is too short");
        if (!vn_hash_eq(&sub, subtree_root) || !vn_hash_eq(&whole, root))
                return vn_fail(err, VN_DATA_LOSS, "proof does not lead to both roots");
        return VN_OK;
}

enum vn_rc vn_tlog_verify_consistency(uint64_t size1, uint64_t size2, const struct vn_hash *root1,
                                      const struct vn_hash *root2, const struct vn_hash *proof, size_t proof_count,
                                      struct vn_err *err)
{
        if (size1 == 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "an empty tree is consistent with all: this proves nothing");
        if (size1 > size2)
                return vn_fail(err, VN_INVALID_ARGUMENT, "the first tree is larger than the second");
        return vn_tlog_verify_subtree_consistency(0, size1, size2, root1, root2, proof, proof_count, err);
}

/* --- roots and proofs from stored hashes --- */
struct vn_hash vn_tlog_tile_root(const struct vn_hash *hashes, size_t count)
{
        VN_ASSERT(count >= 1 && count <= VN_TILE_WIDTH);
        struct vn_hash row[VN_TILE_WIDTH];
        memcpy(row, hashes, count * sizeof *hashes);
        for (; count > 1; count = (count + 1) / 2) {
                for (size_t i = 0; i + 1 < count; i += 2)
                        row[i / 2] = vn_tlog_node_hash(&row[i], &row[i + 1]);
                if (count & 1)
                        row[count / 2] = row[count - 1];
        }
        return row[0];
}

/* Root of the complete tree of 2^height leaves that begins at leaf `index << height`. */
static enum vn_rc complete_root(const struct vn_tlog_reader *reader, unsigned height, uint64_t index,
                                struct vn_hash *ret, struct vn_err *err)
{
        struct vn_hash hashes[VN_TILE_WIDTH];
        size_t count = (size_t)1 << (height % 8);
        VN_TRY(reader->read(reader->arg, height / 8, index * count, count, hashes, err));
        *ret = vn_tlog_tile_root(hashes, count);
        return VN_OK;
}

/* Root of leaves [lo, hi), where lo is a multiple of the power of two that holds hi - lo. */
static enum vn_rc range_root(const struct vn_tlog_reader *reader, uint64_t lo, uint64_t hi, struct vn_hash *ret,
                             struct vn_err *err)
{
        struct vn_hash parts[64];
        size_t n = 0;
        while (lo < hi) {
                unsigned height = 63u - (unsigned)__builtin_clzll(hi - lo);
                VN_TRY(complete_root(reader, height, lo >> height, &parts[n++], err));
                lo += UINT64_C(1) << height;
        }
        *ret = parts[n - 1];
        for (size_t i = n - 1; i > 0; i--)
                *ret = vn_tlog_node_hash(&parts[i - 1], ret);
        return VN_OK;
}

enum vn_rc vn_tlog_root(const struct vn_tlog_reader *reader, uint64_t size, struct vn_hash *ret, struct vn_err *err)
{
        if (!size) {
                *ret = vn_tlog_empty_root();
                return VN_OK;
        }
        return range_root(reader, 0, size, ret, err);
}

/* The largest power of two below n (n >= 2): where RFC 6962 splits a tree. */
static uint64_t split(uint64_t n)
{
        return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

static void proof_reverse(struct vn_proof *proof)
{
        for (size_t i = 0; i < proof->n / 2; i++) {
                struct vn_hash other = proof->hash[i];
                proof->hash[i] = proof->hash[proof->n - 1 - i];
                proof->hash[proof->n - 1 - i] = other;
        }
}

enum vn_rc vn_tlog_prove_inclusion(const struct vn_tlog_reader *reader, uint64_t index, uint64_t size,
                                   struct vn_proof *ret, struct vn_err *err)
{
        if (index >= size)
                return vn_fail(err, VN_OUT_OF_RANGE, "leaf index is not below the tree's size");
        uint64_t lo = 0, hi = size;
        ret->n = 0;
        while (hi - lo > 1) {
                uint64_t middle = lo + split(hi - lo);
                bool left = index < middle;
                VN_TRY(range_root(reader, left ? middle : lo, left ? hi : middle, &ret->hash[ret->n++], err));
                if (left)
                        hi = middle;
                else
                        lo = middle;
        }
        proof_reverse(ret);
        return VN_OK;
}

enum vn_rc vn_tlog_prove_consistency(const struct vn_tlog_reader *reader, uint64_t size1, uint64_t size2,
                                     struct vn_proof *ret, struct vn_err *err)
{
        if (!size1 || size1 > size2)
                return vn_fail(err, VN_OUT_OF_RANGE, "sizes must be 1 <= first <= second");
        uint64_t lo = 0, hi = size2;
        ret->n = 0;
        while (size1 < hi) {
                uint64_t middle = lo + split(hi - lo);
                bool left = size1 <= middle;
                VN_TRY(range_root(reader, left ? middle : lo, left ? hi : middle, &ret->hash[ret->n++], err));
                if (left)
                        hi = middle;
                else
                        lo = middle;
        }
        /* RFC 6962: the old tree's last complete part, unless it is the whole old tree. */
        if (lo != 0)
                VN_TRY(range_root(reader, lo, hi, &ret->hash[ret->n++], err));
        proof_reverse(ret);
        return VN_OK;
}
