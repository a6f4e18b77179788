#if defined(__x86_64__)

#include "marks.h"

/* Whether a block has a character from U+0080 on in a row of 17 bytes or more that are characters below U+0100; what stands on either side of the
   block may be such characters. One byte before the block is read too. */
STRONGROOM_KERNEL static inline uint8_t strongroom_mark_pairs(const uint8_t *at) {
    strongroom_block here = strongroom_load(at);
    uint64_t pairs = strongroom_pairs(here, strongroom_load(at + 1));
    uint64_t begun_before = (at[-1] & 0xfe) == 0xc2 && (at[0] & 0xc0) == 0x80;
    uint64_t fits = ~strongroom_uppermost(here) | pairs | pairs << 1 | begun_before;
    for (; pairs; pairs &= pairs - 1) {
        uint64_t place = _tzcnt_u64(pairs);
        uint64_t behind = _tzcnt_u64(~(fits >> place)), before = _lzcnt_u64(~(fits << (63 - place)));
        if (behind + before > 17 || behind == 64 - place || before == place + 1) return STRONGROOM_MARK_PAIR;
    }
    return 0;
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

/* Which blocks of sixteen groups have a hint, of which the bits for each block stand `distance` apart: those of the first block of each group,
   then those of the second, then those of the third. */
STRONGROOM_KERNEL static inline uint64_t strongroom_hinted_blocks(const __m256i hints[2], int first, int distance) {
    uint64_t blocks = 0;
    for (int block = 0; block < 3; block++) {
        int bit = first + distance * block;
        blocks |= (strongroom_hinted(hints[0], bit) | strongroom_hinted(hints[1], bit) << 8) << 16 * block;
    }
    return blocks;
}

/* Kind by kind, because a processor guesses badly which hints the next group has. */
STRONGROOM_KERNEL void strongroom_mark_groups(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const uint32_t *hints, uint8_t *marks, uint64_t *base64) {
    memset(marks, 0, 3 * count);
    for (size_t done = 0; done < count; done += 16) {
        const uint64_t there = (count - done < 16 ? ((uint64_t)1 << (count - done)) - 1 : 0xffff) * 0x100010001u;
        __m256i here[2] = {strongroom_load_half(hints + done), strongroom_load_half(hints + done + 8)}, of_four[2];
        /* Whether any of four bits is set, in the lowest of them. */
        for (int half = 0; half < 2; half++) {
            __m256i two = _mm256_or_si256(here[half], _mm256_srli_epi32(here[half], 1));
            of_four[half] = _mm256_or_si256(two, _mm256_srli_epi32(two, 2));
        }
#define STRONGROOM_FOR_EACH(blocks, mark) \
    for (uint64_t left = (blocks) & there; left; left &= left - 1) { \
        size_t number = (size_t)__builtin_ctzll(left), block = 3 * (done + number % 16) + number / 16; \
        marks[block] |= mark; \
    }
        STRONGROOM_FOR_EACH(
            strongroom_hinted_blocks(of_four, STRONGROOM_HINT_TEXT_BIT, 4), strongroom_mark_text(tables, bytes + 64 * block, base64 + block))
        STRONGROOM_FOR_EACH(
            strongroom_hinted_blocks(of_four, STRONGROOM_HINT_UTF16_BIT, 4),
            (strongroom_utf16_groups(strongroom_load(bytes + 64 * block)) != 0) * STRONGROOM_MARK_UTF16)
        STRONGROOM_FOR_EACH(
            strongroom_hinted_blocks(here, STRONGROOM_HINT_ESCAPE_BIT, 1),
            (strongroom_escapes(bytes + 64 * block, 66, tables) != 0) * STRONGROOM_MARK_ESCAPE)
        STRONGROOM_FOR_EACH(strongroom_hinted_blocks(here, STRONGROOM_HINT_PAIR_BIT, 1), strongroom_mark_pairs(bytes + 64 * block))
#undef STRONGROOM_FOR_EACH
    }
}

#endif
