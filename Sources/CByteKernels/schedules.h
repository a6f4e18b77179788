/* Words that are related as those of an AES-256 key schedule are: see ScheduleFinder.swift. */
#ifndef STRONGROOM_SCHEDULES_H
#define STRONGROOM_SCHEDULES_H

#include "bytes.h"

/* The uppermost bit of each of two words that is zero, and now and then of one that is not. */
static inline uint64_t strongroom_zero_words(uint64_t two) { return (two - 0x0000000100000001u) & ~two & 0x8000000080000000u; }

/* Whether the word here or the next one may be related to words behind them as those of a schedule are: see ScheduleFinder.swift. Without vectors,
   because those are what a survey waits for. */
static inline int strongroom_may_be_schedule(const uint8_t *at) {
    uint64_t zeroth = strongroom_read_64(at), first = strongroom_read_64(at + 4);
    uint64_t eighth = strongroom_read_64(at + 32), ninth = strongroom_read_64(at + 36);
    uint64_t encryption = strongroom_zero_words(first ^ eighth ^ ninth), decryption = strongroom_zero_words(zeroth ^ first ^ ninth);
    return ((encryption | decryption) & ~strongroom_zero_words(first | ninth)) != 0;
}

/* The same of three of four words. */
STRONGROOM_KERNEL static inline int strongroom_is_like_schedule(const uint8_t *at) {
    __m128i zeroth = _mm_loadu_si128((const __m128i *)at), first = _mm_loadu_si128((const __m128i *)(at + 4));
    __m128i eighth = _mm_loadu_si128((const __m128i *)(at + 32)), ninth = _mm_loadu_si128((const __m128i *)(at + 36));
    __m128i encryption = _mm_ternarylogic_epi32(first, eighth, ninth, STRONGROOM_XOR);
    __m128i decryption = _mm_ternarylogic_epi32(zeroth, first, ninth, STRONGROOM_XOR);
    __m128i either = _mm_or_si128(first, ninth);
    __mmask8 known = _mm_test_epi32_mask(either, either);
    return (strongroom_three_of_four(_mm_testn_epi32_mask(encryption, encryption) & known) |
            strongroom_three_of_four(_mm_testn_epi32_mask(decryption, decryption) & known)) != 0;
}

#endif
