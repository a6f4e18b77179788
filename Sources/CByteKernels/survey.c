/* What each group of 192 bytes of a row may hold, and which of its windows may be a needle's. */
#if defined(__x86_64__)

#include "schedules.h"

/* What the survey sees of a block. */
typedef struct {
    __m512i here, next, lacks_escape, lacks_pair;
    __mmask8 text, utf16;
} strongroom_block;

STRONGROOM_KERNEL static inline strongroom_block strongroom_read_block(const strongroom_loaded *loaded, const uint8_t *at) {
    strongroom_block block;
    block.here = _mm512_loadu_si512(at);
    block.next = _mm512_loadu_si512(at + 1);
    __m512i lacks = strongroom_lacks(loaded, block.here);
    block.text = _mm512_testn_epi64_mask(lacks, STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_TEXT));
    block.lacks_escape = strongroom_lacks_escape(loaded, lacks, block.next);
    block.lacks_pair = strongroom_lacks_pair(block.here, block.next);
    block.utf16 = strongroom_may_be_utf16(block.here);
    return block;
}

/* Places in the filter are written down, read some groups later, and what was found there is compared some groups later still: a processor does
   not read quickly what it has just written as part of something longer, or in shorter parts, and it can read places of one group while it
   computes those of another. `volatile` keeps the compiler from reading them with instructions that take longer. */
STRONGROOM_KERNEL void strongroom_survey(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const strongroom_filter *filter, unsigned word,
    uint8_t *hints, uint16_t *windows) {
    enum { LAG = 8, HELD = 4 * LAG, WINDOWS = STRONGROOM_GROUP_WINDOWS };
    const strongroom_loaded loaded = strongroom_load_tables(tables);
    const uint8_t *filter_bytes = filter->bytes;
    const __m512i patterns = _mm512_loadu_si512(tables->filter_patterns), multiplier = _mm512_set1_epi32((int)STRONGROOM_HASH_32);
    const __m128i to_byte = _mm_cvtsi32_si128((int)(32 - filter->bits)), to_pattern = _mm_cvtsi32_si128((int)(26 - filter->bits));
    /* Where the windows stand: ten in the first two blocks, six in the last two. */
    uint8_t first_places[64] = {0}, last_places[64] = {0};
    for (int window = 0; window < WINDOWS; window++)
        for (int byte = 0; byte < 4; byte++) {
            int place = STRONGROOM_WINDOW_STRIDE * window + byte;
            if (window < 10) first_places[4 * window + byte] = (uint8_t)place;
            else last_places[4 * window + byte] = (uint8_t)(place - 64);
        }
    const __m512i in_first = _mm512_loadu_si512(first_places), in_last = _mm512_loadu_si512(last_places);
    uint32_t places[HELD][WINDOWS];
    uint8_t wanted[HELD][WINDOWS], found[HELD][WINDOWS];
    uint16_t is_window[HELD];
    for (size_t step = 0; step < count + 2 * LAG; step++) {
        if (step < count) {
            const uint8_t *at = bytes + STRONGROOM_GROUP_BYTES * step;
            const strongroom_block first = strongroom_read_block(&loaded, at);
            const strongroom_block second = strongroom_read_block(&loaded, at + 64);
            const strongroom_block third = strongroom_read_block(&loaded, at + 128);

            __m512i middle = _mm512_xor_si512(second.here, second.next);
            __m512i window = _mm512_mask_blend_epi32(
                0xfc00, _mm512_permutex2var_epi8(_mm512_xor_si512(first.here, first.next), in_first, middle),
                _mm512_permutex2var_epi8(middle, in_last, _mm512_xor_si512(third.here, third.next)));
            __m512i hash = _mm512_mullo_epi32(window, multiplier);
            is_window[step % HELD] = _mm512_test_epi32_mask(window, window);
            _mm512_storeu_si512(places[step % HELD], _mm512_srl_epi32(hash, to_byte));
            _mm_storeu_si128(
                (__m128i *)wanted[step % HELD],
                _mm512_cvtepi32_epi8(_mm512_permutexvar_epi8(_mm512_srl_epi32(hash, to_pattern), patterns)));

            __mmask8 text = first.text | second.text | third.text, utf16 = first.utf16 | second.utf16 | third.utf16;
            __m512i escapes = _mm512_min_epu8(_mm512_min_epu8(first.lacks_escape, second.lacks_escape), third.lacks_escape);
            __m512i pairs = _mm512_min_epu8(_mm512_min_epu8(first.lacks_pair, second.lacks_pair), third.lacks_pair);
            hints[step] = (uint8_t)(
                (text != 0) * STRONGROOM_HINT_TEXT | (_mm512_testn_epi8_mask(escapes, escapes) != 0) * STRONGROOM_HINT_ESCAPE |
                (_mm512_testn_epi8_mask(pairs, pairs) != 0) * STRONGROOM_HINT_PAIR | (utf16 != 0) * STRONGROOM_HINT_UTF16 |
                (strongroom_may_be_schedule(at + word) | strongroom_may_be_schedule(at + word + STRONGROOM_SCHEDULE_STRIDE)) *
                    STRONGROOM_HINT_SCHEDULE);
        }
        /* Before the first and behind the last there are places of groups that are none: they are looked up too, in vain. */
        if (step >= LAG && step < count + LAG) {
            volatile const uint32_t *place = places[(step - LAG) % HELD];
            volatile uint8_t *to = found[(step - LAG) % HELD];
            to[0] = filter_bytes[place[0]];
            to[1] = filter_bytes[place[1]];
            to[2] = filter_bytes[place[2]];
            to[3] = filter_bytes[place[3]];
            to[4] = filter_bytes[place[4]];
            to[5] = filter_bytes[place[5]];
            to[6] = filter_bytes[place[6]];
            to[7] = filter_bytes[place[7]];
            to[8] = filter_bytes[place[8]];
            to[9] = filter_bytes[place[9]];
            to[10] = filter_bytes[place[10]];
            to[11] = filter_bytes[place[11]];
            to[12] = filter_bytes[place[12]];
            to[13] = filter_bytes[place[13]];
            to[14] = filter_bytes[place[14]];
            to[15] = filter_bytes[place[15]];
        }
        if (step >= 2 * LAG) {
            size_t held = (step - 2 * LAG) % HELD;
            __m128i pattern = _mm_loadu_si128((const __m128i *)wanted[held]), read = _mm_loadu_si128((const __m128i *)found[held]);
            windows[step - 2 * LAG] = _mm_cmpeq_epi8_mask(_mm_and_si128(read, pattern), pattern) & is_window[held];
        }
    }
}

#endif
