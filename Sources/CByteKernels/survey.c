/* What each group of 192 bytes of a row may hold, and which of its windows may be a needle's. */
#if defined(__x86_64__)

#include "marks.h"
#include "schedules.h"

/* What half a block may hold: all ones in eight bytes that may be text of one kind, or in a byte where something may begin. */
typedef struct {
    __m256i text, utf16, escape, pair;
} strongroom_hints;

STRONGROOM_KERNEL static inline strongroom_hints strongroom_hints_of_half(const uint8_t *at) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i here = strongroom_load_half(at), next = strongroom_load_half(at + 1);
    strongroom_hints hints;

    /* Eight bytes from tabulator to 127. */
    hints.text = _mm256_cmpeq_epi64(_mm256_cmpgt_epi8(here, STRONGROOM_ALL('\t' - 1)), STRONGROOM_ALL(0xff));

    /* One of each two bytes is zero, and the second or fourth two are not. */
    __m256i lesser = _mm256_min_epu8(here, _mm256_srli_epi16(here, 8));
    __m256i no_text = _mm256_cmpeq_epi64(_mm256_and_si256(here, _mm256_set1_epi32((int)0xffff0000)), zero);
    hints.utf16 = _mm256_andnot_si256(no_text, _mm256_cmpeq_epi64(lesser, zero));

    /* `\` or `%`, to which the lower half of a byte leads, before what may be a digit: the lower half of its number is not above nine. */
    const __m256i marks = _mm256_broadcastsi128_si256(_mm_setr_epi8(-1, -1, -1, -1, -1, '%', -1, -1, -1, -1, -1, -1, '\\', -1, -1, -1));
    const __m256i before_digits = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 127, 127, 127, 127, 127, 127));
    __m256i mark = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(marks, here), here);
    __m256i digit = _mm256_cmpgt_epi8(next, _mm256_shuffle_epi8(before_digits, next));
    hints.escape = _mm256_and_si256(mark, digit);

    hints.pair = strongroom_begins_pair(here, next);
    return hints;
}

/* Of each four places whether one half or the other has something, and whether either has anything. */
STRONGROOM_KERNEL static inline uint32_t strongroom_four(__m256i low, __m256i high) {
    return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_or_si256(low, high)));
}

STRONGROOM_KERNEL static inline uint32_t strongroom_any(__m256i low, __m256i high) {
    return _mm256_movemask_epi8(_mm256_or_si256(low, high)) != 0;
}

/* What a group may hold, but for schedules. */
STRONGROOM_KERNEL static inline uint32_t strongroom_hints_of_group(const uint8_t *at) {
    uint32_t hints = 0;
    for (int block = 0; block < 3; block++) {
        strongroom_hints low = strongroom_hints_of_half(at + 64 * block), high = strongroom_hints_of_half(at + 64 * block + 32);
        hints |= strongroom_four(low.text, high.text) << (STRONGROOM_HINT_TEXT_BIT + 4 * block) |
                 strongroom_four(low.utf16, high.utf16) << (STRONGROOM_HINT_UTF16_BIT + 4 * block) |
                 strongroom_any(low.escape, high.escape) << (STRONGROOM_HINT_ESCAPE_BIT + block) |
                 strongroom_any(low.pair, high.pair) << (STRONGROOM_HINT_PAIR_BIT + block);
    }
    return hints;
}

/* The differences of sixteen bytes: the first four and the last four are windows. */
STRONGROOM_KERNEL static inline __m128 strongroom_two_windows(const uint8_t *at) {
    return _mm_castsi128_ps(_mm_xor_si128(
        _mm_loadu_si128((const __m128i *)(const void *)at), _mm_loadu_si128((const __m128i *)(const void *)(at + 1))));
}

/* Eight windows, twelve bytes apart. */
STRONGROOM_KERNEL static inline __m256i strongroom_eight_windows(const uint8_t *at) {
    enum { TWO = 2 * STRONGROOM_WINDOW_STRIDE };
    __m128 low = _mm_shuffle_ps(strongroom_two_windows(at), strongroom_two_windows(at + TWO), _MM_SHUFFLE(3, 0, 3, 0));
    __m128 high = _mm_shuffle_ps(strongroom_two_windows(at + 2 * TWO), strongroom_two_windows(at + 3 * TWO), _MM_SHUFFLE(3, 0, 3, 0));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_castps_si128(low)), _mm_castps_si128(high), 1);
}

/* Where eight windows are looked up, two in each number, and what is to be found there. */
STRONGROOM_KERNEL static inline void strongroom_write_places(__m256i windows, unsigned bits, uint64_t places[4], uint32_t wanted[8]) {
    __m256i hash = _mm256_mullo_epi32(windows, _mm256_set1_epi32((int)STRONGROOM_HASH_32));
    __m256i pattern = strongroom_bits_numbered(_mm256_and_si256(hash, STRONGROOM_ALL(7)));
    /* Of no differences at all, which are no window, more than there can be. */
    __m256i none = _mm256_cmpeq_epi32(windows, _mm256_setzero_si256());
    _mm256_storeu_si256((__m256i *)(void *)places, _mm256_srl_epi32(hash, _mm_cvtsi32_si128((int)(32 - bits))));
    _mm256_storeu_si256((__m256i *)(void *)wanted, _mm256_or_si256(pattern, none));
}

/* All ones for each of four windows whose word has what is wanted. */
STRONGROOM_KERNEL static inline __m128i strongroom_look_up_four(const uint32_t *words, const uint64_t places[2], const uint32_t wanted[4]) {
    uint64_t first = places[0], second = places[1];
    __m128i found = _mm_cvtsi32_si128((int)words[(uint32_t)first]);
    found = _mm_insert_epi32(found, (int)words[first >> 32], 1);
    found = _mm_insert_epi32(found, (int)words[(uint32_t)second], 2);
    found = _mm_insert_epi32(found, (int)words[second >> 32], 3);
    __m128i pattern = _mm_loadu_si128((const __m128i *)(const void *)wanted);
    return _mm_cmpeq_epi32(_mm_and_si128(found, pattern), pattern);
}

/* Which of sixteen windows may be a needle's. */
STRONGROOM_KERNEL static inline uint16_t strongroom_look_up(const uint32_t *words, const uint64_t places[8], const uint32_t wanted[16]) {
    __m128i low = _mm_packs_epi32(
        strongroom_look_up_four(words, places, wanted), strongroom_look_up_four(words, places + 2, wanted + 4));
    __m128i high = _mm_packs_epi32(
        strongroom_look_up_four(words, places + 4, wanted + 8), strongroom_look_up_four(words, places + 6, wanted + 12));
    return (uint16_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));
}

/* A few pages at a time, what groups may hold first, then what their blocks hold, and then their windows: loops of which each has all that it
   needs in registers take less time than one, and what they read stays in the nearest cache.

   Places in the filter are written down, and read some groups later: a processor does not read quickly, in parts, what it has just written as
   something longer, and it can read places of one group while it computes those of another. */
STRONGROOM_KERNEL void strongroom_survey(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const strongroom_filter *filter, unsigned word,
    const strongroom_survey_results *results) {
    uint32_t *hints = results->hints;
    uint16_t *windows = results->windows;
    const uint32_t *words = filter->words;
    const unsigned bits = filter->bits;
    enum { LAG = 4, HELD = 2 * LAG, AT_ONCE = 64 };
    uint64_t places[HELD][STRONGROOM_GROUP_WINDOWS / 2];
    uint32_t wanted[HELD][STRONGROOM_GROUP_WINDOWS];
    for (size_t step = 0, end = 0; end < count + LAG;) {
        end += AT_ONCE;
        const size_t groups_end = end < count ? end : count;
        for (size_t group = step; group < groups_end; group++) {
            const uint8_t *at = bytes + STRONGROOM_GROUP_BYTES * group;
            hints[group] = strongroom_hints_of_group(at) | (uint32_t)strongroom_may_have_schedule(at + word) << STRONGROOM_HINT_SCHEDULE_BIT;
        }
        if (step < groups_end)
            strongroom_mark_groups(
                bytes + STRONGROOM_GROUP_BYTES * step, groups_end - step, tables, hints + step, results->marks + 3 * step,
                results->base64 + 3 * step);
        for (; step < (end < count + LAG ? end : count + LAG); step++) {
            if (step < count) {
                const uint8_t *at = bytes + STRONGROOM_GROUP_BYTES * step;
                uint64_t *to = places[step % HELD];
                uint32_t *want = wanted[step % HELD];
                strongroom_write_places(strongroom_eight_windows(at), bits, to, want);
                strongroom_write_places(strongroom_eight_windows(at + 96), bits, to + 4, want + 8);
            }
            if (step >= LAG)
                windows[step - LAG] = strongroom_look_up(words, places[(step - LAG) % HELD], wanted[(step - LAG) % HELD]);
        }
    }
}

#endif
