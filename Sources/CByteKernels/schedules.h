/* Words that are related as those of an AES-256 key schedule are: see ScheduleFinder.swift. */
#ifndef STRONGROOM_SCHEDULES_H
#define STRONGROOM_SCHEDULES_H

#include "bytes.h"

/* Which of four words are related to words behind them as those of a schedule are, as a bit each. */
STRONGROOM_KERNEL static inline int strongroom_schedule_words(__m128i zeroth, __m128i first, __m128i eighth, __m128i ninth) {
    const __m128i zero = _mm_setzero_si128();
    __m128i related = _mm_xor_si128(first, ninth);
    __m128i encryption = _mm_cmpeq_epi32(_mm_xor_si128(related, eighth), zero);
    __m128i decryption = _mm_cmpeq_epi32(_mm_xor_si128(related, zeroth), zero);
    __m128i unknown = _mm_cmpeq_epi32(_mm_or_si128(first, ninth), zero);
    return _mm_movemask_ps(_mm_castsi128_ps(_mm_andnot_si128(unknown, _mm_or_si128(encryption, decryption))));
}

/* Two words here, and two half a group behind. */
STRONGROOM_KERNEL static inline __m128i strongroom_read_schedule_words(const uint8_t *at) {
    __m128d here = _mm_load_sd((const double *)(const void *)at);
    return _mm_castpd_si128(_mm_loadh_pd(here, (const double *)(const void *)(at + STRONGROOM_SCHEDULE_STRIDE)));
}

/* Whether the word here or the next one, or one of the two half a group behind, may be such a word. */
STRONGROOM_KERNEL static inline int strongroom_may_have_schedule(const uint8_t *at) {
    return strongroom_schedule_words(
               strongroom_read_schedule_words(at), strongroom_read_schedule_words(at + 4), strongroom_read_schedule_words(at + 32),
               strongroom_read_schedule_words(at + 36)) != 0;
}

STRONGROOM_KERNEL static inline __m128i strongroom_read_words(const uint8_t *at) { return _mm_loadu_si128((const __m128i *)(const void *)at); }

/* Whether the word here or the next one may be such a word, and three of four are. */
STRONGROOM_KERNEL static inline int strongroom_is_like_schedule(const uint8_t *at) {
    __m128i zeroth = strongroom_read_words(at), first = strongroom_read_words(at + 4);
    __m128i eighth = strongroom_read_words(at + 32), ninth = strongroom_read_words(at + 36);
    int words = strongroom_schedule_words(zeroth, first, eighth, ninth);
    return (words & 3) != 0 && __builtin_popcount((unsigned)words) >= 3;
}

#endif
