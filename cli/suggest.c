#include "cli/command.h"

#define MAX_WORD 48

/* Damerau-Levenshtein distance with adjacent transpositions (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
        size_t rows[3][MAX_WORD + 1], la = strlen(a), lb = strlen(b);

        if (la > MAX_WORD || lb > MAX_WORD)
                return MAX_WORD;
        for (size_t j = 0; j <= lb; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= la; i++) {
                size_t *now = rows[i % 3], *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
                now[0] = i;
                for (size_t j = 1; j <= lb; j++) {
                        size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
                        if (last[j] + 1 < best)
                                best = last[j] + 1;
                        if (now[j - 1] + 1 < best)
                                best = now[j - 1] + 1;
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                            before[j - 2] + 1 < best)
                                best = before[j - 2] + 1;
                        now[j] = best;
                }
        }
        return rows[la % 3][lb];
}

const char *cli_nearest(const char *typed, const char *const *words, size_t count)
{
        size_t best = MAX_WORD, length = strlen(typed);
        const char *found = NULL;

        for (size_t i = 0; i < count; i++) {
                size_t d = distance(typed, words[i]);
                if (d < best) {
                        best = d;
                        found = words[i];
                }
        }
        return best <= (length <= 4 ? 1 : length / 3 + 1) ? found : NULL;
}
