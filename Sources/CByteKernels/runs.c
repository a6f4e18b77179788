/* Where text begins and ends, found from the marks of blocks. */
#if defined(__x86_64__)

#include "digits.h"

/* The next block that has a mark, at or behind `block`; `blocks` where there is none. */
static inline size_t strongroom_next_marked(const strongroom_row *row, size_t block, size_t blocks, uint8_t mark) {
    while (block < blocks) {
        uint64_t eight = strongroom_read_64(row->marks + block) & 0x0101010101010101u * mark;
        if (eight) return block + (size_t)__builtin_ctzll(eight) / 8;
        block += 8;
    }
    return blocks;
}

STRONGROOM_KERNEL size_t strongroom_next_base64(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, unsigned base32_minimum,
    size_t *end) {
    const size_t blocks = (row->length + 63) / 64;
    size_t block = strongroom_next_marked(row, from / 64, blocks, STRONGROOM_MARK_BASE64);
    while (block < blocks) {
        /* Of a block that has no mark, no more than seven bytes at its beginning can belong to a run. */
        uint8_t next_mark = row->marks[block + 1];
        unsigned __int128 rows = row->base64[block];
        if (block + 1 < blocks)
            rows |= (unsigned __int128)(next_mark & STRONGROOM_MARK_BASE64 ? row->base64[block + 1] : 0x7f) << 64;
        rows &= rows >> 1;
        rows &= rows >> 2;
        rows &= rows >> 4;
        rows &= rows >> 8;
        int may_be_indented = (row->marks[block] | next_mark) & STRONGROOM_MARK_INDENTED;
        uint64_t starts = (uint64_t)(may_be_indented ? rows : rows & rows >> 6);
        /* And no more than seven at its end. */
        if (block > 0 && !(row->marks[block - 1] & STRONGROOM_MARK_BASE64)) {
            uint64_t others = ~row->base64[block];
            unsigned known = others ? (unsigned)__builtin_ctzll(others) : 64;
            if (known + 7 >= (may_be_indented ? 16u : STRONGROOM_BASE64_MINIMUM)) starts |= 1;
        }
        size_t after = block + 1;
        while (starts) {
            size_t start = 64 * block + (size_t)__builtin_ctzll(starts), position = start;
            if (start < from) {
                starts &= from - 64 * block < 64 ? ~(uint64_t)0 << (from - 64 * block) : 0;
                continue;
            }
            /* A run may begin in a block before, that has no mark. */
            while (start > from && strongroom_is_of(tables, row->bytes[start - 1], STRONGROOM_CLASS_BASE64)) start--;
            /* To its end, block by block where there are masks. */
            for (size_t here = block;;) {
                uint64_t others = ~row->base64[here] >> (position & 63);
                if (others) {
                    position += (size_t)__builtin_ctzll(others);
                    break;
                }
                position = 64 * ++here;
                if (position >= row->length) break;
                if (row->marks[here] & STRONGROOM_MARK_BASE64) continue;
                while (position < row->length && strongroom_is_of(tables, row->bytes[position], STRONGROOM_CLASS_BASE64)) position++;
                break;
            }
            if (position > row->length) position = row->length;
            int may_go_on = row->bytes[position - 1] == '\n' && position < row->length &&
                            (row->bytes[position] == ' ' || row->bytes[position] == '\t');
            if (may_go_on || (position - start >= STRONGROOM_BASE64_MINIMUM &&
                              strongroom_base64_is_worth_a_look(
                                  &(strongroom_run){row->bytes + start, position - start, row->length - start}, tables, filters,
                                  base32_minimum))) {
                *end = position;
                return start;
            }
            from = position;
            after = position / 64 > block ? position / 64 : block + 1;
        }
        block = strongroom_next_marked(row, after, blocks, STRONGROOM_MARK_BASE64);
    }
    *end = row->length;
    return row->length;
}

/* Which bytes of a block may be part of a list. */
STRONGROOM_KERNEL static inline uint64_t strongroom_list_mask(const strongroom_row *row, size_t block, const strongroom_tables *tables) {
    size_t count = row->length - 64 * block;
    return strongroom_first_bits(count) &
           strongroom_of_class(strongroom_load_some(row->bytes + 64 * block, count), tables, STRONGROOM_CLASS_LIST);
}

STRONGROOM_KERNEL size_t strongroom_next_list(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, size_t *end, int *held) {
    const size_t blocks = (row->length + 63) / 64;
    for (size_t block = from / 64; (block = strongroom_next_marked(row, block, blocks, STRONGROOM_MARK_LIST)) < blocks; block++) {
        unsigned __int128 rows = strongroom_list_mask(row, block, tables);
        if (block + 1 < blocks) rows |= (unsigned __int128)strongroom_list_mask(row, block + 1, tables) << 64;
        uint64_t others = ~(uint64_t)rows;
        /* As many as begin here, and with what stands at the end of the block before. */
        size_t first = others ? (size_t)__builtin_ctzll(others) : 64, before = 0;
        if (first && block > 0) {
            uint64_t others_before = ~strongroom_list_mask(row, block - 1, tables);
            before = others_before ? (size_t)__builtin_clzll(others_before) : 64;
        }
        rows &= rows >> 1;
        rows &= rows >> 2;
        rows &= rows >> 4;
        rows &= rows >> 8;
        rows &= rows >> 15;
        uint64_t starts = (uint64_t)rows;
        if (before && before + first >= STRONGROOM_LIST_MINIMUM) starts |= 1;
        while (starts) {
            size_t start = 64 * block + (size_t)__builtin_ctzll(starts);
            if (start < from) {
                starts &= from - 64 * block < 64 ? ~(uint64_t)0 << (from - 64 * block) : 0;
                continue;
            }
            size_t position = start;
            /* A run that begins in a block that has the mark has been found from there; in others there is little of it. */
            while (start > from && strongroom_is_of(tables, row->bytes[start - 1], STRONGROOM_CLASS_LIST)) start--;
            for (size_t at = block; at < blocks; at++, position = 64 * at) {
                uint64_t ends = ~strongroom_list_mask(row, at, tables) >> (position & 63);
                if (ends) {
                    position += (size_t)__builtin_ctzll(ends);
                    break;
                }
            }
            if (position > row->length) position = row->length;
            *held = position - start < STRONGROOM_LIST_MINIMUM
                        ? 0
                        : strongroom_list_is_worth_a_look(
                              &(strongroom_run){row->bytes + start, position - start, row->length - start}, tables, filters);
            if (*held) {
                *end = position;
                return start;
            }
            from = position;
        }
        if (from > 64 * (block + 1)) block = from / 64 - 1;
    }
    *end = row->length;
    return row->length;
}

/* How far characters of UTF-16 reach whose other half is zero, from one of them on: to the fourth zero in a row, or to a half that is not zero.
   `before` is 1 where that half stands before its character. */
STRONGROOM_KERNEL static inline size_t strongroom_utf16_end(const strongroom_row *row, size_t from, size_t before) {
    const uint64_t even = 0x5555555555555555u, odd = ~even;
    size_t position = from;
    unsigned zeros = 0;
    while (position + 65 <= row->length) {
        uint64_t zero = strongroom_equal(strongroom_load(row->bytes + position - before), 0);
        uint32_t halves = (uint32_t)_pext_u64(zero, before ? even : odd), characters = (uint32_t)_pext_u64(zero, before ? odd : even);
        unsigned fit = ~halves ? (unsigned)__builtin_ctz(~halves) : 32;
        /* With those that stand before. */
        uint64_t known = ((uint64_t)characters & strongroom_first_bits(fit)) << zeros | strongroom_first_bits(zeros);
        uint64_t four = known & known >> 1 & known >> 2 & known >> 3;
        if (four) return position + 2 * ((unsigned)__builtin_ctzll(four) + 4 - zeros);
        position += 2 * fit;
        if (fit < 32) return position;
        zeros = (unsigned)__builtin_clz(~characters);
    }
    for (; position + 1 - before < row->length && !row->bytes[position + 1 - 2 * before] && zeros < 4; position += 2)
        zeros = row->bytes[position] ? 0 : zeros + 1;
    return position;
}

STRONGROOM_KERNEL size_t strongroom_next_utf16(const strongroom_row *row, size_t from, size_t minimum, size_t *end) {
    const size_t blocks = (row->length + 63) / 64;
    for (size_t block = from / 64; (block = strongroom_next_marked(row, block, blocks, STRONGROOM_MARK_UTF16)) < blocks; block++) {
        size_t here = 64 * block;
        for (uint64_t groups = strongroom_utf16_groups(strongroom_load_some(row->bytes + here, row->length - here)); groups;
             groups &= groups - 1) {
            size_t first = here + (size_t)__builtin_ctzll(groups);
            if (first < from) continue;
            if (first + 8 > row->length) break;
            uint64_t word = strongroom_read_64(row->bytes + first);
            /* Whether the other half stands behind a character or before it cannot be told from the middle of a text, and makes no difference to what
               the characters are. */
            const size_t character = first + (word & 0xff00ff00ff00ff00u ? 1 : 0);
            const size_t before = character + 1 < row->length && !row->bytes[character + 1] ? 0 : 1;
            size_t start = character, zeros = 0;
            for (; start >= 2 + before && !row->bytes[start - 1 - 2 * before] && zeros < 4; start -= 2)
                zeros = row->bytes[start - 2] ? 0 : zeros + 1;
            size_t after = strongroom_utf16_end(row, character, before);
            /* Zeros around a text are none of it. */
            while (start < after && !row->bytes[start]) start += 2;
            while (after > start + 2 && !row->bytes[after - 2]) after -= 2;
            /* The last character may have its zero before it. */
            after = after + 2 < row->length ? after + 2 : row->length;
            if (after - start >= minimum) {
                *end = after;
                return start;
            }
            from = after > first + 8 ? after : first + 8;
        }
    }
    *end = row->length;
    return row->length;
}

/* Says which places a block has, from where it begins and how many bytes can be read there. */
typedef uint64_t strongroom_places(const uint8_t *at, size_t readable, const strongroom_tables *tables);

/* The first of them at or behind `from`, in a block with a mark; the length of the row where there is none. */
STRONGROOM_KERNEL static inline __attribute__((always_inline)) size_t strongroom_next_place(
    const strongroom_row *row, size_t from, uint8_t mark, strongroom_places *places, const strongroom_tables *tables) {
    const size_t blocks = (row->length + 63) / 64;
    for (size_t block = from / 64; (block = strongroom_next_marked(row, block, blocks, mark)) < blocks; block++) {
        uint64_t found = places(row->bytes + 64 * block, row->length - 64 * block, tables);
        if (64 * block < from) found &= ~(uint64_t)0 << (from & 63);
        if (found) return 64 * block + (size_t)__builtin_ctzll(found);
    }
    return row->length;
}

STRONGROOM_KERNEL size_t strongroom_next_escape(const strongroom_row *row, size_t from, const strongroom_tables *tables) {
    return strongroom_next_place(row, from, STRONGROOM_MARK_ESCAPE, strongroom_escapes, tables);
}

STRONGROOM_KERNEL static inline uint64_t strongroom_pair_places(const uint8_t *at, size_t readable, const strongroom_tables *tables) {
    (void)tables;
    return strongroom_pairs(strongroom_load_some(at, readable), strongroom_load_some(at + 1, readable - 1));
}

STRONGROOM_KERNEL size_t strongroom_next_pair(const strongroom_row *row, size_t from) {
    return strongroom_next_place(row, from, STRONGROOM_MARK_PAIR, strongroom_pair_places, 0);
}

#endif
