/* h1_fuzz.c - properties of the HTTP/1 parser on any bytes: it reads nothing outside them, finds the same head however
 * they are cut, and never accepts a head with two meanings. */
#include <stdlib.h>

#include "net/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *bytes = (const char *)data;
        struct vn_h1_head head;
        size_t whole = 0, cut = 0;
        long at_once = vn_h1_find_head(bytes, size, &whole), in_parts = 0;
        for (size_t n = 1; n <= size && !in_parts; n++)
                in_parts = vn_h1_find_head(bytes, n, &cut);
        if (at_once != in_parts)
                abort();
        if (at_once > 0 && vn_h1_parse_head(bytes, (size_t)at_once, &head) == 0) {
                if ((head.chunked && head.has_length) || (head.minor_0 && head.chunked))
                        abort();
                if (!head.minor_0 && !memchr(bytes, ':', (size_t)at_once))
                        abort();
        }
        uint64_t chunk;
        bool last;
        if (vn_h1_chunk_line(bytes, size, &chunk) > (long)size || vn_h1_trailer_line(bytes, size, &last) > (long)size)
                abort();
        return 0;
}
