#if defined(__x86_64__)

#include "marks.h"

/* Which bytes of a block are characters below U+0100 in a row of 17 bytes or more that has one from U+0080 on; what stands on either side of
   the block may be such characters. One byte before the block is read too. */
STRONGROOM_KERNEL static inline uint8_t strongroom_mark_pairs(const uint8_t *at) {
    strongroom_block here = strongroom_load(at), next = strongroom_load(at + 1);
    uint64_t pairs = strongroom_uppermost(
        (strongroom_block){strongroom_begins_pair(here.low, next.low), strongroom_begins_pair(here.high, next.high)});
    uint64_t begun_before = (at[-1] & 0xfe) == 0xc2 && (at[0] & 0xc0) == 0x80;
    uint64_t fits = ~strongroom_uppermost(here) | pairs | pairs << 1 | begun_before;
    /* Where so many bytes begin that fit, and then every place among them. */
    uint64_t rows = fits;
    rows &= rows >> 1 | 1ull << 63;
    rows &= rows >> 2 | 3ull << 62;
    rows &= rows >> 4 | 15ull << 60;
    rows &= rows >> 8 | 255ull << 56;
    rows &= rows >> 1 | 1ull << 63;
    rows |= rows << 1;
    rows |= rows << 2;
    rows |= rows << 4;
    rows |= rows << 8;
    rows |= rows << 1;
    uint64_t from_before = fits & ~(fits + 1);
    return ((pairs & (rows | from_before)) != 0) * STRONGROOM_MARK_PAIR;
}

/* Says what text a block holds, and writes down which of its bytes are base64. */
STRONGROOM_KERNEL static inline uint8_t strongroom_mark_text(const strongroom_tables *tables, const uint8_t *at, uint64_t *base64) {
    strongroom_block here = strongroom_load(at);
    *base64 = strongroom_of_class(here, tables, STRONGROOM_CLASS_BASE64);
    uint64_t list = strongroom_full_bytes(strongroom_of_class(here, tables, STRONGROOM_CLASS_LIST));
    uint8_t is_base64 = strongroom_full_bytes(*base64) != 0, is_indented = 0;
    if (is_base64) {
        strongroom_block next = strongroom_load(at + 1);
        is_indented = (strongroom_equal(here, '\n') & (strongroom_equal(next, ' ') | strongroom_equal(next, '\t'))) != 0;
    }
    return is_base64 * STRONGROOM_MARK_BASE64 | is_indented * STRONGROOM_MARK_INDENTED |
           ((list & list >> 8 & 0x0080008000800080u) != 0) * STRONGROOM_MARK_LIST;
}

/* Two hex digits have to follow a per cent sign; `x`, `u` or an octal digit a backslash. Two bytes behind the block are read too. */
STRONGROOM_KERNEL static inline uint8_t strongroom_mark_escapes(const strongroom_tables *tables, const uint8_t *at) {
    strongroom_block here = strongroom_load(at), next = strongroom_load(at + 1);
    uint64_t percent = strongroom_equal(here, '%'), backslash = strongroom_equal(here, '\\');
    if (percent)
        percent &= strongroom_of_class(next, tables, STRONGROOM_CLASS_HEX) &
                   strongroom_of_class(strongroom_load(at + 2), tables, STRONGROOM_CLASS_HEX);
    if (backslash) backslash &= strongroom_of_class(next, tables, STRONGROOM_CLASS_ESCAPED);
    return ((percent | backslash) != 0) * STRONGROOM_MARK_ESCAPE;
}

/* Which of eight groups have a hint. */
STRONGROOM_KERNEL static inline unsigned strongroom_hinted(__m256i hints, uint32_t wanted) {
    __m256i lacks = _mm256_cmpeq_epi32(_mm256_and_si256(hints, _mm256_set1_epi32((int)wanted)), _mm256_setzero_si256());
    return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(lacks)) & 0xff;
}

/* Kind by kind, because a processor guesses badly which hints the next group has. */
STRONGROOM_KERNEL void strongroom_mark_groups(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const uint32_t *hints, uint8_t *marks, uint64_t *base64) {
    memset(marks, 0, 3 * count);
    for (size_t done = 0; done < count; done += 8) {
        __m256i here = strongroom_load_half(hints + done);
        if (count - done < 8)
            here = _mm256_and_si256(
                here, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(count - done)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
#define STRONGROOM_FOR_EACH(hint, body) \
    for (unsigned groups = strongroom_hinted(here, hint); groups; groups &= groups - 1) { \
        size_t first = 3 * (done + (size_t)__builtin_ctz(groups)); \
        for (size_t block = first; block < first + 3; block++) body; \
    }
/* Those blocks only that have it. */
#define STRONGROOM_FOR_EACH_BLOCK(hint, body) \
    for (unsigned groups = strongroom_hinted(here, hint); groups; groups &= groups - 1) { \
        size_t group = done + (size_t)__builtin_ctz(groups); \
        for (uint32_t left = hints[group] & (hint); left; ) { \
            unsigned bit = (unsigned)__builtin_ctz(left) & ~3u; \
            left &= ~(15u << bit); \
            size_t block = 3 * group + (bit - (unsigned)__builtin_ctz(hint)) / 4; \
            body; \
        } \
    }
        STRONGROOM_FOR_EACH_BLOCK(STRONGROOM_HINT_TEXT, marks[block] |= strongroom_mark_text(tables, bytes + 64 * block, base64 + block))
        STRONGROOM_FOR_EACH_BLOCK(
            STRONGROOM_HINT_UTF16,
            marks[block] |= (strongroom_utf16_groups(strongroom_load(bytes + 64 * block)) != 0) * STRONGROOM_MARK_UTF16)
        STRONGROOM_FOR_EACH(STRONGROOM_HINT_ESCAPE, marks[block] |= strongroom_mark_escapes(tables, bytes + 64 * block))
        STRONGROOM_FOR_EACH(STRONGROOM_HINT_PAIR, marks[block] |= strongroom_mark_pairs(bytes + 64 * block))
#undef STRONGROOM_FOR_EACH
#undef STRONGROOM_FOR_EACH_BLOCK
    }
}

#endif
