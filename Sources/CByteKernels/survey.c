/* What each group of 192 bytes of a row may hold, and which of its windows may be a needle's. */
#if defined(__x86_64__)

#include "schedules.h"

/* What half a block may hold: all ones in eight bytes that may be text of one kind, or in a byte where something may begin. */
typedef struct {
    __m256i text, utf16, escape, pair;
} strongroom_hints;

STRONGROOM_KERNEL static inline void strongroom_add_hints(strongroom_hints *hints, const uint8_t *at) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i here = strongroom_load_half(at), next = strongroom_load_half(at + 1);

    /* Eight bytes from tabulator to 127. */
    __m256i text = _mm256_cmpgt_epi8(here, STRONGROOM_ALL('\t' - 1));
    hints->text = _mm256_or_si256(hints->text, _mm256_cmpeq_epi64(text, STRONGROOM_ALL(0xff)));

    /* Every other byte is zero, and the second or fourth character is not. */
    __m256i first_zero = _mm256_cmpeq_epi64(_mm256_and_si256(here, _mm256_set1_epi16(0x00ff)), zero);
    __m256i second_zero = _mm256_cmpeq_epi64(_mm256_and_si256(here, _mm256_set1_epi16((short)0xff00)), zero);
    __m256i no_text = _mm256_cmpeq_epi64(_mm256_and_si256(here, _mm256_set1_epi32((int)0xffff0000)), zero);
    hints->utf16 = _mm256_or_si256(hints->utf16, _mm256_andnot_si256(no_text, _mm256_or_si256(first_zero, second_zero)));

    /* `\` or `%`, which the lower half of a byte leads to, before what may be a digit. */
    const __m256i marks = _mm256_broadcastsi128_si256(_mm_setr_epi8(-1, -1, -1, -1, -1, '%', -1, -1, -1, -1, -1, -1, '\\', -1, -1, -1));
    __m256i mark = _mm256_cmpeq_epi8(_mm256_shuffle_epi8(marks, here), here);
    __m256i digit = _mm256_cmpgt_epi8(next, STRONGROOM_ALL('0' - 1));
    hints->escape = _mm256_or_si256(hints->escape, _mm256_and_si256(mark, digit));

    hints->pair = _mm256_or_si256(hints->pair, strongroom_begins_pair(here, next));
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

/* Where eight windows are looked up, and what is to be found there. */
STRONGROOM_KERNEL static inline void strongroom_write_places(__m256i windows, unsigned bits, uint32_t places[8], uint32_t wanted[8]) {
    const __m256i one = _mm256_set1_epi32(1), five = _mm256_set1_epi32(31);
    __m256i hash = _mm256_mullo_epi32(windows, _mm256_set1_epi32((int)STRONGROOM_HASH_32));
    __m256i first = _mm256_and_si256(_mm256_srl_epi32(hash, _mm_cvtsi32_si128((int)(27 - bits))), five);
    __m256i second = _mm256_and_si256(_mm256_srl_epi32(hash, _mm_cvtsi32_si128((int)(22 - bits))), five);
    /* Of no differences at all, which are no window, more than there can be. */
    __m256i none = _mm256_cmpeq_epi32(windows, _mm256_setzero_si256());
    __m256i both = _mm256_or_si256(_mm256_sllv_epi32(one, first), _mm256_sllv_epi32(one, second));
    _mm256_storeu_si256((__m256i *)(void *)places, _mm256_srl_epi32(hash, _mm_cvtsi32_si128((int)(32 - bits))));
    _mm256_storeu_si256((__m256i *)(void *)wanted, _mm256_or_si256(both, none));
}

/* Which of eight windows have what was wanted. */
STRONGROOM_KERNEL static inline unsigned strongroom_compare(const uint32_t found[8], const uint32_t wanted[8]) {
    __m256i pattern = strongroom_load_half(wanted);
    __m256i has = _mm256_cmpeq_epi32(_mm256_and_si256(strongroom_load_half(found), pattern), pattern);
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(has));
}

/* Places in the filter are written down, read some groups later, and what was found there is compared some groups later still: a processor does
   not read quickly what it has just written as part of something longer, or in shorter parts, and it can read places of one group while it
   computes those of another. `volatile` keeps the compiler from reading them with instructions that take longer. */
STRONGROOM_KERNEL void strongroom_survey(
    const uint8_t *bytes, size_t count, const strongroom_filter *filter, unsigned word, uint8_t *hints, uint16_t *windows) {
    enum { LAG = 8, HELD = 4 * LAG, WINDOWS = STRONGROOM_GROUP_WINDOWS };
    const uint32_t *words = filter->words;
    const unsigned bits = filter->bits;
    uint32_t places[HELD][WINDOWS], wanted[HELD][WINDOWS], found[HELD][WINDOWS];
    /* Those of groups that are none, before the first and behind the last. */
    memset(places, 0, sizeof places);
    for (size_t step = 0; step < count + 2 * LAG; step++) {
        if (step < count) {
            const uint8_t *at = bytes + STRONGROOM_GROUP_BYTES * step;
            strongroom_hints here = {
                _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
            for (int half = 0; half < 6; half++) strongroom_add_hints(&here, at + 32 * half);
            uint32_t *to = places[step % HELD], *want = wanted[step % HELD];
            strongroom_write_places(strongroom_eight_windows(at), bits, to, want);
            strongroom_write_places(strongroom_eight_windows(at + 96), bits, to + 8, want + 8);
            hints[step] = (uint8_t)(
                (_mm256_movemask_epi8(here.text) != 0) << STRONGROOM_HINT_TEXT_BIT | (_mm256_movemask_epi8(here.escape) != 0) << STRONGROOM_HINT_ESCAPE_BIT |
                (_mm256_movemask_epi8(here.pair) != 0) << STRONGROOM_HINT_PAIR_BIT | (_mm256_movemask_epi8(here.utf16) != 0) << STRONGROOM_HINT_UTF16_BIT |
                strongroom_may_have_schedule(at + word) << STRONGROOM_HINT_SCHEDULE_BIT);
        }
        if (step >= LAG && step < count + LAG) {
            const volatile uint32_t *place = places[(step - LAG) % HELD];
            volatile uint32_t *to = found[(step - LAG) % HELD];
            to[0] = words[place[0]];
            to[1] = words[place[1]];
            to[2] = words[place[2]];
            to[3] = words[place[3]];
            to[4] = words[place[4]];
            to[5] = words[place[5]];
            to[6] = words[place[6]];
            to[7] = words[place[7]];
            to[8] = words[place[8]];
            to[9] = words[place[9]];
            to[10] = words[place[10]];
            to[11] = words[place[11]];
            to[12] = words[place[12]];
            to[13] = words[place[13]];
            to[14] = words[place[14]];
            to[15] = words[place[15]];
        }
        if (step >= 2 * LAG) {
            size_t held = (step - 2 * LAG) % HELD;
            windows[step - 2 * LAG] =
                (uint16_t)(strongroom_compare(found[held], wanted[held]) | strongroom_compare(found[held] + 8, wanted[held] + 8) << 8);
        }
    }
}

#endif
