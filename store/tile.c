#include <stdio.h>
#include <string.h>

#include "store/tlog.h"

#define MAX_TILE_LEVEL 7u

enum vn_rc vn_tile_path(const struct vn_tile_name *tile, char ret[VN_TILE_PATH_BYTES])
{
        if ((tile->level > MAX_TILE_LEVEL && tile->level != VN_TILE_ENTRIES) || tile->width < 1 ||
            tile->width > VN_TILE_WIDTH || tile->index >> 56)
                return VN_INVALID_ARGUMENT;
        struct vn_buf path = VN_BUF_INIT(VN_TILE_PATH_BYTES);
        if (tile->level == VN_TILE_ENTRIES)
                vn_buf_text(&path, "tile/entries");
        else
                vn_buf_printf(&path, "tile/%u", tile->level);
        uint64_t group = 1;
        while (tile->index / group >= 1000)
                group *= 1000;
        for (; group > 1; group /= 1000)
                vn_buf_printf(&path, "/x%03u", (unsigned)(tile->index / group % 1000));
        vn_buf_printf(&path, "/%03u", (unsigned)(tile->index % 1000));
        if (tile->width < VN_TILE_WIDTH)
                vn_buf_printf(&path, ".p/%u", tile->width);
        bool fits = !path.failed && vn_str_copy(ret, VN_TILE_PATH_BYTES, vn_buf_view(&path));
        vn_buf_done(&path);
        return fits ? VN_OK : VN_RESOURCE_EXHAUSTED;
}

static bool three_digits(struct vn_str text, unsigned *ret)
{
        *ret = 0;
        for (size_t i = 0; i < text.len; i++) {
                if (text.ptr[i] < '0' || text.ptr[i] > '9')
                        return false;
                *ret = *ret * 10 + (unsigned)(text.ptr[i] - '0');
        }
        return text.len == 3;
}

enum vn_rc vn_tile_parse(struct vn_str path, struct vn_tile_name *ret)
{
        struct vn_str rest = path;
        uint64_t number;
        if (!vn_str_eq(vn_str_cut(&rest, '/'), VN_STR("tile")) || !rest.ptr)
                return VN_INVALID_ARGUMENT;
        struct vn_str level = vn_str_cut(&rest, '/');
        struct vn_tile_name tile = {.level = VN_TILE_ENTRIES, .width = VN_TILE_WIDTH};
        if (!vn_str_eq(level, VN_STR("entries"))) {
                if (level.len != 1 || vn_str_to_u64(level, &number) != VN_OK || number > MAX_TILE_LEVEL)
                        return VN_INVALID_ARGUMENT;
                tile.level = (unsigned)number;
        }
        unsigned group, groups = 0;
        struct vn_str part = {NULL, 0};
        for (; rest.ptr; groups++) {
                part = vn_str_cut(&rest, '/');
                if (part.len != 4 || part.ptr[0] != 'x')
                        break;
                if (groups == 6 || !three_digits(vn_str_n(part.ptr + 1, 3), &group))
                        return VN_INVALID_ARGUMENT;
                tile.index = tile.index * 1000 + group;
        }
        if (vn_str_ends(part, VN_STR(".p"))) {
                if (!rest.ptr || vn_str_to_u64(rest, &number) != VN_OK || number < 1 || number >= VN_TILE_WIDTH)
                        return VN_INVALID_ARGUMENT;
                tile.width = (unsigned)number;
                part.len -= 2;
                rest = (struct vn_str){NULL, 0};
        }
        if (rest.ptr || !three_digits(part, &group))
                return VN_INVALID_ARGUMENT;
        tile.index = tile.index * 1000 + group;

        /* Only the one spelling that vn_tile_path gives: no second name for the same tile, no leading zeros. */
        char again[VN_TILE_PATH_BYTES];
        VN_TRY(vn_tile_path(&tile, again));
        if (!vn_str_eq(path, vn_str(again)))
                return VN_INVALID_ARGUMENT;
        *ret = tile;
        return VN_OK;
}
