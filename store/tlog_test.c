#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "store/note.h"
#include "tests/test.h"

/* --- the published vectors: every file found under the data root --- */
static uint64_t number(json_t *object, const char *name)
{
        json_t *value = json_object_get(object, name);
        if (json_is_real(value)) /* 2^64 - 1 is beyond what jansson holds as an integer */
                return UINT64_MAX;
        return (uint64_t)json_integer_value(value);
}

static struct vn_hash hash_of(json_t *value)
{
        struct vn_hash hash = {.b = {0}};
        VN_AUTO(vn_buf)
        raw = VN_BUF_INIT(256);
        const char *text = json_string_value(value);
        if (text && vn_base64_decode(vn_str(text), &raw) == VN_OK)
                memcpy(hash.b, raw.ptr, raw.len < VN_HASH_BYTES ? raw.len : VN_HASH_BYTES);
        return hash;
}

/* A hash of no bytes cannot be said in our interface: whoever reads one from outside refuses it there. */
static bool is_empty(json_t *value)
{
        return json_string_length(value) == 0;
}

static enum vn_rc run_vector(const char *path, json_t *v)
{
        struct vn_hash proof[VN_PROOF_MAX + 8], a, b;
        size_t n = json_array_size(json_object_get(v, "proof"));
        VN_ASSERT(n <= sizeof proof / sizeof *proof);
        for (size_t i = 0; i < n; i++)
                proof[i] = hash_of(json_array_get(json_object_get(v, "proof"), i));
        if (strstr(path, "inclusion/")) {
                if (is_empty(json_object_get(v, "leafHash")) || is_empty(json_object_get(v, "root")))
                        return VN_INVALID_ARGUMENT;
                a = hash_of(json_object_get(v, "leafHash"));
                b = hash_of(json_object_get(v, "root"));
                if (strstr(path, "subtree"))
                        return vn_tlog_verify_subtree_inclusion(number(v, "leafIdx"), number(v, "start"),
                                                                number(v, "end"), &a, proof, n, &b, NULL);
                return vn_tlog_verify_inclusion(number(v, "leafIdx"), number(v, "treeSize"), &a, proof, n, &b, NULL);
        }
        a = hash_of(json_object_get(v, "root1"));
        b = hash_of(json_object_get(v, "root2"));
        if (strstr(path, "subtree"))
                return vn_tlog_verify_subtree_consistency(number(v, "start"), number(v, "end"), number(v, "size"), &a,
                                                          &b, proof, n, NULL);
        return vn_tlog_verify_consistency(number(v, "size1"), number(v, "size2"), &a, &b, proof, n, NULL);
}

static unsigned walk_vectors(const char *path, unsigned *failed)
{
        unsigned count = 0;
        DIR *dir = opendir(path);
        if (!dir)
                return 0;
        for (struct dirent *entry; (entry = readdir(dir));) {
                char child[4096];
                struct stat st;
                if (entry->d_name[0] == '.')
                        continue;
                snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
                if (stat(child, &st) == 0 && S_ISDIR(st.st_mode)) {
                        count += walk_vectors(child, failed);
                        continue;
                }
                if (!vn_str_ends(vn_str(child), VN_STR(".json")))
                        continue;
                json_t *v = json_load_file(child, 0, NULL);
                if (!v) /* the one number that is too large for a signed integer */
                        v = json_load_file(child, JSON_DECODE_INT_AS_REAL, NULL);
                bool want_error = json_is_true(json_object_get(v, "wantErr"));
                if (!v || (run_vector(child, v) != VN_OK) != want_error) {
                        fprintf(stderr, "  vector %s: want %s\n", child, want_error ? "an error" : "no error");
                        ++*failed;
                }
                json_decref(v);
                count++;
        }
        closedir(dir);
        return count;
}

TEST(every_published_vector_passes)
{
        unsigned failed = 0, count = walk_vectors(test_data("merkle"), &failed);
        fprintf(stderr, "  %u vectors\n", count);
        CHECK(count > 0);
        CHECK_INT(0, failed);
}

/* --- against the definition --- */
#define MAX_LEAVES 1500
static struct vn_hash leaves[MAX_LEAVES];

static void make_leaves(void)
{
        for (uint32_t i = 0; i < MAX_LEAVES; i++)
                leaves[i] = vn_tlog_leaf_hash(vn_str_n(&i, sizeof i));
}

static struct vn_hash plain_root(size_t lo, size_t hi)
{
        if (lo == hi)
                return vn_tlog_empty_root();
        if (hi - lo == 1)
                return leaves[lo];
        size_t k = 1;
        while (2 * k < hi - lo)
                k *= 2;
        struct vn_hash left = plain_root(lo, lo + k), right = plain_root(lo + k, hi);
        return vn_tlog_node_hash(&left, &right);
}

static enum vn_rc read_plain(void *arg, unsigned level, uint64_t first, size_t count, struct vn_hash *ret,
                             struct vn_err *err)
{
        size_t width = (size_t)1 << (8 * level);
        if ((first + count) * width > *(uint64_t *)arg)
                return vn_fail(err, VN_NOT_FOUND, "beyond the tree");
        for (size_t i = 0; i < count; i++)
                ret[i] = plain_root((first + i) * width, (first + i + 1) * width);
        return VN_OK;
}

static void check_tree(uint64_t size, uint64_t index, uint64_t older)
{
        struct vn_tlog_reader reader = {read_plain, &size};
        struct vn_hash root, want = plain_root(0, size), old = plain_root(0, older);
        struct vn_proof proof;
        CHECK_OK(vn_tlog_root(&reader, size, &root, NULL));
        CHECK(vn_hash_eq(&root, &want));
        CHECK_OK(vn_tlog_prove_inclusion(&reader, index, size, &proof, NULL));
        CHECK_OK(vn_tlog_verify_inclusion(index, size, &leaves[index], proof.hash, proof.n, &root, NULL));
        CHECK(vn_tlog_verify_inclusion(index, size, &leaves[(index + 1) % MAX_LEAVES], proof.hash, proof.n, &root,
                                       NULL) != VN_OK);
        for (size_t i = 0; i < proof.n; i++) {
                proof.hash[i].b[i % 32] ^= 1;
                CHECK_RC(VN_DATA_LOSS,
                         vn_tlog_verify_inclusion(index, size, &leaves[index], proof.hash, proof.n, &root, NULL));
                proof.hash[i].b[i % 32] ^= 1;
        }
        CHECK_OK(vn_tlog_prove_consistency(&reader, older, size, &proof, NULL));
        CHECK_OK(vn_tlog_verify_consistency(older, size, &old, &root, proof.hash, proof.n, NULL));
        old.b[3] ^= 4;
        CHECK(vn_tlog_verify_consistency(older, size, &old, &root, proof.hash, proof.n, NULL) != VN_OK);
}

TEST(proofs_hold_for_every_small_tree)
{
        make_leaves();
        for (uint64_t size = 1; size <= 33; size++)
                for (uint64_t index = 0; index < size; index++)
                        check_tree(size, index, index + 1);
}

TEST(proofs_hold_for_larger_trees)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        make_leaves();
        const uint64_t edges[] = {255, 256, 257, 511, 512, 513, 1024, 1500};
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
                check_tree(edges[i], vn_rng_below(&rng, edges[i]), 1 + vn_rng_below(&rng, edges[i]));
        for (int i = 0; i < 20; i++) {
                uint64_t size = 1 + vn_rng_below(&rng, MAX_LEAVES);
                check_tree(size, vn_rng_below(&rng, size), 1 + vn_rng_below(&rng, size));
        }
}

/* --- tile names --- */
TEST(tile_paths_are_those_of_the_specification)
{
        static const struct {
                const char *path;
                struct vn_tile_name tile;
        } cases[] = {
                {"tile/0/000", {0, 256, 0}},
                {"tile/0/x001/234", {0, 256, 1234}},
                {"tile/0/x001/x234/067", {0, 256, 1234067}},
                {"tile/3/004.p/37", {3, 37, 4}},
                {"tile/entries/x001/x234/067.p/1", {VN_TILE_ENTRIES, 1, 1234067}},
                {"tile/7/x072/x057/x594/x037/x927/935", {7, 256, 72057594037927935}},
        };
        char path[VN_TILE_PATH_BYTES];
        struct vn_tile_name tile;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CHECK_OK(vn_tile_path(&cases[i].tile, path));
                CHECK_TEXT(cases[i].path, path);
                CHECK_OK(vn_tile_parse(vn_str(path), &tile));
                CHECK_INT(cases[i].tile.index, tile.index);
                CHECK_INT(cases[i].tile.level, tile.level);
                CHECK_INT(cases[i].tile.width, tile.width);
        }
        static const char *bad[] = {"",
                                    "tile",
                                    "tile/",
                                    "tile/0",
                                    "tile/0/",
                                    "tile/8/000",
                                    "tile/00/000",
                                    "tile/-1/000",
                                    "tile/0/0000",
                                    "tile/0/x000/001",
                                    "tile/0/001.p/256",
                                    "tile/0/001.p/0",
                                    "tile/0/001.p/01",
                                    "tile/0/001.p/",
                                    "tile/0/001.p",
                                    "tile/0/001/",
                                    "tile/0/x001",
                                    "tile/0/x001/",
                                    "tile/0/a01",
                                    "tile/0/../000",
                                    "/tile/0/000",
                                    "tile/entries/x1/000",
                                    "tile/0/x999/x999/x999/x999/x999/x999/999"};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CHECK_RC(VN_INVALID_ARGUMENT, vn_tile_parse(vn_str(bad[i]), &tile));
}
