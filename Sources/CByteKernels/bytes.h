/* What kind of byte each is, 64 at a time. */
#ifndef STRONGROOM_BYTES_H
#define STRONGROOM_BYTES_H

#include "CByteKernels.h"

#include <immintrin.h>
#include <string.h>

/* What strongroom_has_kernels asks for. */
#define STRONGROOM_KERNEL __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))

#define STRONGROOM_ALL(byte) _mm256_set1_epi8((char)(byte))

/* Sixty-four bytes. */
typedef struct {
    __m256i low, high;
} strongroom_block;

STRONGROOM_KERNEL static inline __m256i strongroom_load_half(const void *at) { return _mm256_loadu_si256((const __m256i *)at); }

STRONGROOM_KERNEL static inline strongroom_block strongroom_load(const uint8_t *at) {
    return (strongroom_block){strongroom_load_half(at), strongroom_load_half(at + 32)};
}

/* The first so many bytes, which may be less than 64 or more, and zeros. */
STRONGROOM_KERNEL static inline strongroom_block strongroom_load_some(const uint8_t *at, size_t count) {
    if (count >= 64) return strongroom_load(at);
    uint8_t some[64] = {0};
    memcpy(some, at, count);
    return strongroom_load(some);
}

/* The uppermost bit of each byte. */
STRONGROOM_KERNEL static inline uint64_t strongroom_uppermost(strongroom_block block) {
    return (uint32_t)_mm256_movemask_epi8(block.low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(block.high) << 32;
}

/* One bit of each byte. */
STRONGROOM_KERNEL static inline uint64_t strongroom_bit(strongroom_block block, int bit) {
    return strongroom_uppermost((strongroom_block){_mm256_slli_epi16(block.low, 7 - bit), _mm256_slli_epi16(block.high, 7 - bit)});
}

STRONGROOM_KERNEL static inline uint64_t strongroom_equal(strongroom_block block, uint8_t byte) {
    return strongroom_uppermost((strongroom_block){
        _mm256_cmpeq_epi8(block.low, STRONGROOM_ALL(byte)), _mm256_cmpeq_epi8(block.high, STRONGROOM_ALL(byte))});
}

/* A table of sixteen bytes, for both halves of a register. */
STRONGROOM_KERNEL static inline __m256i strongroom_load_table(const uint8_t table[16]) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}

/* The bit with the number that each byte is, up to seven; none for those from eight to fifteen. */
STRONGROOM_KERNEL static inline __m256i strongroom_bits_numbered(__m256i numbers) {
    const __m256i bits = _mm256_broadcastsi128_si256(_mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0));
    return _mm256_shuffle_epi8(bits, numbers);
}

/* The bit with the number of the upper four of each byte; none for bytes from 128 on. */
STRONGROOM_KERNEL static inline __m256i strongroom_row_bits(__m256i half) {
    return strongroom_bits_numbered(_mm256_and_si256(_mm256_srli_epi16(half, 4), STRONGROOM_ALL(15)));
}

/* All ones where a byte is not of a class. */
STRONGROOM_KERNEL static inline __m256i strongroom_lacks(__m256i half, __m256i row_bits, __m256i members) {
    return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(members, half), row_bits), _mm256_setzero_si256());
}

/* Which bytes are of a class. */
STRONGROOM_KERNEL static inline uint64_t strongroom_of_class(strongroom_block block, const strongroom_tables *tables, int of) {
    const __m256i members = strongroom_load_table(tables->members[of]);
    return ~strongroom_uppermost((strongroom_block){
        strongroom_lacks(block.low, strongroom_row_bits(block.low), members),
        strongroom_lacks(block.high, strongroom_row_bits(block.high), members)});
}

static inline int strongroom_is_of(const strongroom_tables *tables, uint8_t byte, int of) {
    return tables->members[of][byte & 15] >> (byte >> 4 & 7) & 1 & (byte < 128);
}

/* All ones where a character from U+0080 to U+00FF begins in UTF-8. */
STRONGROOM_KERNEL static inline __m256i strongroom_begins_pair(__m256i here, __m256i next) {
    __m256i leads = _mm256_cmpeq_epi8(_mm256_and_si256(here, STRONGROOM_ALL(0xfe)), STRONGROOM_ALL(0xc2));
    return _mm256_and_si256(leads, _mm256_cmpgt_epi8(STRONGROOM_ALL(0xc0), next));
}

/* Which bytes of a block begin a character from U+0080 to U+00FF in UTF-8; one byte behind the block is looked at. */
STRONGROOM_KERNEL static inline uint64_t strongroom_pairs(strongroom_block here, strongroom_block next) {
    return strongroom_uppermost(
        (strongroom_block){strongroom_begins_pair(here.low, next.low), strongroom_begins_pair(here.high, next.high)});
}

/* Which groups of four characters of a block may be text in UTF-16, as a bit in every eighth: every other byte is zero, and of the others at
   most one is. */
STRONGROOM_KERNEL static inline uint64_t strongroom_utf16_groups(strongroom_block block) {
    uint64_t zero = strongroom_equal(block, 0);
    uint64_t four = zero & zero >> 2;
    four &= four >> 4;
    uint64_t characters = ~(zero & zero >> 1), both = characters & characters >> 2, either = characters | characters >> 2;
    uint64_t three = (both & either >> 4) | (either & both >> 4);
    return (four | four >> 1) & three & 0x0101010101010101u;
}

/* Which of eight groups have a hint, by one bit of it. */
STRONGROOM_KERNEL static inline uint64_t strongroom_hinted(__m256i hints, int bit) {
    return (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_sll_epi32(hints, _mm_cvtsi32_si128(31 - bit))));
}

static inline uint64_t strongroom_read_64(const uint8_t *at) {
    uint64_t read;
    memcpy(&read, at, 8);
    return read;
}

/* The first so many bits, up to 64. */
static inline uint64_t strongroom_first_bits(size_t count) { return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0; }

/* The last bit of each byte of a mask that is all ones. */
static inline uint64_t strongroom_full_bytes(uint64_t mask) {
    return ((mask & 0x7f7f7f7f7f7f7f7fu) + 0x0101010101010101u) & mask & 0x8080808080808080u;
}

/* Which bytes of a block may begin an escape that says a number: two hex digits have to follow a per cent sign; `x`, `u` or an octal digit a
   backslash. Of the bytes from the block's first on so many can be read. */
STRONGROOM_KERNEL static inline uint64_t strongroom_escapes(const uint8_t *at, size_t readable, const strongroom_tables *tables) {
    strongroom_block here = strongroom_load_some(at, readable);
    uint64_t percent = strongroom_equal(here, '%'), backslash = strongroom_equal(here, '\\');
    if (!(percent | backslash)) return 0;
    strongroom_block next = strongroom_load_some(at + 1, readable - 1);
    if (percent) percent &= strongroom_of_class(next, tables, STRONGROOM_CLASS_HEX);
    if (percent && readable > 1)
        percent &= strongroom_of_class(strongroom_load_some(at + 2, readable - 2), tables, STRONGROOM_CLASS_HEX);
    return percent | (backslash & strongroom_of_class(next, tables, STRONGROOM_CLASS_ESCAPED));
}

#endif
