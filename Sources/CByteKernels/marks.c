/* What each block of 64 bytes holds, of groups that may hold something. */
#if defined(__x86_64__)

#include "bytes.h"

/* Which bytes of a block are characters below U+0100 in a row of 17 bytes or more that has one from U+0080 on; what stands on either side of
   the block may be such characters. One byte before the block is read too. */
STRONGROOM_KERNEL static inline uint8_t strongroom_mark_pairs(const uint8_t *at) {
    __m512i here = _mm512_loadu_si512(at), lacks = strongroom_lacks_pair(here, _mm512_loadu_si512(at + 1));
    uint64_t pairs = _mm512_testn_epi8_mask(lacks, lacks);
    uint64_t begun_before = (at[-1] & 0xfe) == 0xc2 && (at[0] & 0xc0) == 0x80;
    uint64_t fits = ~(uint64_t)_mm512_movepi8_mask(here) | pairs | pairs << 1 | begun_before;
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
STRONGROOM_KERNEL static inline uint8_t strongroom_mark_text(const strongroom_loaded *loaded, const uint8_t *at, uint64_t *base64) {
    __m512i here = _mm512_loadu_si512(at), next = _mm512_loadu_si512(at + 1), lacks = strongroom_lacks(loaded, here);
    const __m512i no_base64 = STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_BASE64);
    unsigned list = _mm512_testn_epi64_mask(lacks, STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_LIST));
    uint64_t blanks = _mm512_cmpeq_epi8_mask(next, STRONGROOM_ALL(' ')) | _mm512_cmpeq_epi8_mask(next, STRONGROOM_ALL('\t'));
    *base64 = _mm512_testn_epi8_mask(lacks, no_base64);
    uint8_t is_base64 = _mm512_testn_epi64_mask(lacks, no_base64) != 0;
    uint8_t is_indented = (_mm512_cmpeq_epi8_mask(here, STRONGROOM_ALL('\n')) & blanks) != 0;
    return is_base64 * STRONGROOM_MARK_BASE64 | (is_base64 & is_indented) * STRONGROOM_MARK_INDENTED |
           ((list & list >> 1 & 0x55) != 0) * STRONGROOM_MARK_LIST;
}

/* Two hex digits have to follow a per cent sign; `x`, `u` or an octal digit a backslash. Two bytes behind the block are read too. */
STRONGROOM_KERNEL static inline uint8_t strongroom_mark_escapes(const strongroom_loaded *loaded, const uint8_t *at) {
    __m512i here = _mm512_loadu_si512(at), next = _mm512_loadu_si512(at + 1);
    __m512i behind = strongroom_lacks(loaded, next), far_behind = strongroom_lacks(loaded, _mm512_loadu_si512(at + 2));
    __mmask64 percent = _mm512_mask_cmpeq_epi8_mask(
        _mm512_testn_epi8_mask(_mm512_or_si512(behind, far_behind), STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_HEX)), here, STRONGROOM_ALL('%'));
    __mmask64 backslash = _mm512_mask_cmpeq_epi8_mask(
        _mm512_testn_epi8_mask(behind, STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_ESCAPED)), here, STRONGROOM_ALL('\\'));
    return ((percent | backslash) != 0) * STRONGROOM_MARK_ESCAPE;
}

/* Kind by kind, because a processor guesses badly which hints the next group has. */
STRONGROOM_KERNEL void strongroom_mark_groups(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const uint8_t *hints, uint8_t *marks, uint64_t *base64) {
    const strongroom_loaded loaded = strongroom_load_tables(tables);
    memset(marks, 0, 3 * count);
    for (size_t done = 0; done < count; done += 64) {
        __mmask64 there = count - done < 64 ? ((__mmask64)1 << (count - done)) - 1 : ~(__mmask64)0;
        __m512i here = _mm512_maskz_loadu_epi8(there, hints + done);
#define STRONGROOM_FOR_EACH(hint, body) \
    for (uint64_t groups = _mm512_test_epi8_mask(here, STRONGROOM_ALL(hint)); groups; groups &= groups - 1) { \
        size_t first = 3 * (done + (size_t)__builtin_ctzll(groups)); \
        for (size_t block = first; block < first + 3; block++) marks[block] |= body; \
    }
        STRONGROOM_FOR_EACH(STRONGROOM_HINT_TEXT, strongroom_mark_text(&loaded, bytes + 64 * block, base64 + block))
        STRONGROOM_FOR_EACH(STRONGROOM_HINT_ESCAPE, strongroom_mark_escapes(&loaded, bytes + 64 * block))
        STRONGROOM_FOR_EACH(STRONGROOM_HINT_PAIR, strongroom_mark_pairs(bytes + 64 * block))
        STRONGROOM_FOR_EACH(STRONGROOM_HINT_UTF16, (strongroom_utf16_groups(bytes + 64 * block) != 0) * STRONGROOM_MARK_UTF16)
#undef STRONGROOM_FOR_EACH
    }
}

#endif
