/* What kind of byte each is, 64 at a time. */
#ifndef STRONGROOM_BYTES_H
#define STRONGROOM_BYTES_H

#include "CByteKernels.h"

#include <immintrin.h>
#include <string.h>

/* What strongroom_has_kernels asks for. */
#define STRONGROOM_KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt")))

#define STRONGROOM_ALL(byte) _mm512_set1_epi8((char)(byte))

/* (a ^ b) & c, a | (b & c) and a ^ b ^ c, as what _mm512_ternarylogic_epi32 wants. */
enum { STRONGROOM_DIFFERS_IN = 0x28, STRONGROOM_OR_BOTH = 0xf8, STRONGROOM_XOR = 0x96 };

/* The tables, in registers. */
typedef struct {
    __m512i lacks[2], behind[2];
} strongroom_loaded;

STRONGROOM_KERNEL static inline strongroom_loaded strongroom_load_tables(const strongroom_tables *tables) {
    return (strongroom_loaded){
        {_mm512_loadu_si512(tables->lacks), _mm512_loadu_si512(tables->lacks + 64)},
        {_mm512_loadu_si512(tables->lacks_behind), _mm512_loadu_si512(tables->lacks_behind + 64)}};
}

/* The classes that each byte is not of; the uppermost bit as well, for bytes from 128 on. */
STRONGROOM_KERNEL static inline __m512i strongroom_lacks(const strongroom_loaded *loaded, __m512i here) {
    __m512i lacks = _mm512_permutex2var_epi8(loaded->lacks[0], here, loaded->lacks[1]);
    return _mm512_ternarylogic_epi32(lacks, here, STRONGROOM_ALL(0x80), STRONGROOM_OR_BOTH);
}

/* Zero where an escape may begin, given the bytes behind each. */
STRONGROOM_KERNEL static inline __m512i strongroom_lacks_escape(const strongroom_loaded *loaded, __m512i lacks, __m512i next) {
    return _mm512_ternarylogic_epi32(
        _mm512_permutex2var_epi8(loaded->behind[0], next, loaded->behind[1]), lacks, STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_ESCAPE),
        STRONGROOM_OR_BOTH);
}

/* Zero where a character from U+0080 to U+00FF begins in UTF-8. */
STRONGROOM_KERNEL static inline __m512i strongroom_lacks_pair(__m512i here, __m512i next) {
    __m512i lead = _mm512_ternarylogic_epi32(here, STRONGROOM_ALL(0xc2), STRONGROOM_ALL(0xfe), STRONGROOM_DIFFERS_IN);
    __m512i continued = _mm512_ternarylogic_epi32(next, STRONGROOM_ALL(0x80), STRONGROOM_ALL(0xc0), STRONGROOM_DIFFERS_IN);
    return _mm512_or_si512(lead, continued);
}

/* Which eight bytes may be text in UTF-16: every other one is zero, and the second or fourth character is not. */
STRONGROOM_KERNEL static inline __mmask8 strongroom_may_be_utf16(__m512i here) {
    __mmask8 halves = _mm512_testn_epi64_mask(here, _mm512_set1_epi16(0x00ff)) |
                      _mm512_testn_epi64_mask(here, _mm512_set1_epi16((short)0xff00));
    return halves & _mm512_test_epi64_mask(here, _mm512_set1_epi32((int)0xffff0000));
}

/* In each group of four bits, the lowest if three or four are ones. */
static inline uint32_t strongroom_three_of_four(uint32_t bits) {
    uint32_t both = bits & bits >> 1, either = bits | bits >> 1;
    return ((both & either >> 2) | (either & both >> 2)) & 0x11111111u;
}

/* Which of eight groups of four characters a block may have in UTF-16, as a bit in every fourth. */
STRONGROOM_KERNEL static inline uint32_t strongroom_utf16_groups(const uint8_t *at) {
    __m512i here = _mm512_loadu_si512(at);
    return strongroom_three_of_four(_mm512_test_epi16_mask(here, here)) & _pdep_u32(strongroom_may_be_utf16(here), 0x11111111u);
}

static inline uint64_t strongroom_read_64(const uint8_t *at) {
    uint64_t read;
    memcpy(&read, at, 8);
    return read;
}

/* The first so many bits, up to 64. */
static inline uint64_t strongroom_first_bits(size_t count) { return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0; }

#endif
