/* Whether digits may say something that is looked for, told without putting them together: see DigitFilter.swift. */
#ifndef STRONGROOM_DIGITS_H
#define STRONGROOM_DIGITS_H

#include "bytes.h"

/* Whether two bytes of a mask that follow each other are all ones, as in every 23 ones in a row; `before` says whether the last byte before it
   was, and then whether its own last one is. */
static inline int strongroom_has_full_bytes(uint64_t mask, uint64_t *before) {
    uint64_t full = ((mask & 0x7f7f7f7f7f7f7f7fu) + 0x0101010101010101u) & mask & 0x8080808080808080u;
    int has = (full & (full << 8 | *before)) != 0;
    *before = full >> 56;
    return has;
}

/* Whether eight windows, of which some are wanted, may be a needle's. */
STRONGROOM_KERNEL static inline int strongroom_filter_has_any(
    const strongroom_filter *filter, const strongroom_tables *tables, __m512i windows, __mmask8 wanted) {
    __m512i hash = _mm512_mullo_epi64(windows, _mm512_set1_epi64((long long)STRONGROOM_HASH_64));
    __m512i place = _mm512_srl_epi64(hash, _mm_cvtsi32_si128((int)(64 - filter->bits)));
    __m512i number = _mm512_srl_epi64(hash, _mm_cvtsi32_si128((int)(58 - filter->bits)));
    __m128i pattern = _mm512_cvtepi64_epi8(_mm512_permutexvar_epi8(number, _mm512_loadu_si512(tables->filter_patterns)));
    const uint8_t *bytes = filter->bytes;
    __m128i low = _mm512_castsi512_si128(place), second = _mm512_extracti32x4_epi32(place, 1);
    __m128i third = _mm512_extracti32x4_epi32(place, 2), high = _mm512_extracti32x4_epi32(place, 3);
    uint64_t read = (uint64_t)bytes[_mm_cvtsi128_si64(low)] | (uint64_t)bytes[_mm_extract_epi64(low, 1)] << 8 |
                    (uint64_t)bytes[_mm_cvtsi128_si64(second)] << 16 | (uint64_t)bytes[_mm_extract_epi64(second, 1)] << 24 |
                    (uint64_t)bytes[_mm_cvtsi128_si64(third)] << 32 | (uint64_t)bytes[_mm_extract_epi64(third, 1)] << 40 |
                    (uint64_t)bytes[_mm_cvtsi128_si64(high)] << 48 | (uint64_t)bytes[_mm_extract_epi64(high, 1)] << 56;
    __m128i found = _mm_cvtsi64_si128((long long)read);
    wanted &= (__mmask8)_mm_cmpeq_epi8_mask(_mm_and_si128(found, pattern), pattern);
    if (!wanted) return 0;
    uint64_t known[8];
    _mm512_storeu_si512(known, windows);
    for (; wanted; wanted &= wanted - 1) {
        uint64_t second_hash = known[__builtin_ctz(wanted)] * STRONGROOM_SECOND_HASH_64;
        uint8_t bits = tables->filter_patterns[second_hash >> (58 - filter->bits) & 63];
        if ((bytes[((size_t)1 << filter->bits) + (second_hash >> (64 - filter->bits))] & bits) == bits) return 1;
    }
    return 0;
}

/* Whether digits have a window that may be a needle's: eight differences of digits that stand so far apart. */
STRONGROOM_KERNEL static inline int strongroom_has_digit_window(
    const uint8_t *digits, size_t count, size_t distance, const strongroom_tables *tables, const strongroom_filter *filter) {
    for (size_t done = 0; done + 8 + distance <= count; done += 64) {
        size_t rest = count - done;
        __m512i windows = _mm512_xor_si512(
            _mm512_maskz_loadu_epi8(strongroom_first_bits(rest), digits + done),
            _mm512_maskz_loadu_epi8(strongroom_first_bits(rest - distance), digits + done + distance));
        if (strongroom_filter_has_any(filter, tables, windows, (__mmask8)strongroom_first_bits((rest - distance) / 8))) return 1;
    }
    return 0;
}

/* Whether what 64 digits of base64 or fewer say may be text, of which one byte in eight may be something else, at one of the four phases.

   The uppermost bit of a byte of text is zero. It is the sixth bit of the first digit of four, the fourth of the second, the second of the
   third. The byte at the last digit is not whole. */
STRONGROOM_KERNEL static inline int strongroom_base64_may_be_text(__m512i digits, size_t count, size_t of) {
    uint64_t sixth = _mm512_test_epi8_mask(digits, STRONGROOM_ALL(32)), fourth = _mm512_test_epi8_mask(digits, STRONGROOM_ALL(8));
    uint64_t second = _mm512_test_epi8_mask(digits, STRONGROOM_ALL(2)), whole = strongroom_first_bits(count) >> 1;
    int may_be = 0;
    for (unsigned phase = 0; phase < 4; phase++) {
        uint64_t firsts = 0x1111111111111111u << phase;
        uint64_t others = ((sixth & firsts) | (fourth & firsts << 1) | (second & firsts << 2)) & whole;
        size_t bytes = (of - phase) * 6 / 8;
        may_be |= (size_t)__builtin_popcountll(others) * 8 <= (bytes < 64 ? bytes : 64);
    }
    return may_be;
}

/* The same of base32, whose digits have five bits, at one of eight phases. */
STRONGROOM_KERNEL static inline int strongroom_base32_may_be_text(__m512i digits, size_t count, size_t of) {
    uint64_t bits[5], whole = strongroom_first_bits(count) >> 1;
    for (int bit = 0; bit < 5; bit++) bits[bit] = _mm512_test_epi8_mask(digits, STRONGROOM_ALL(1 << bit));
    for (unsigned phase = 0; phase < 8; phase++) {
        uint64_t firsts = 0x0101010101010101u << phase;
        uint64_t others = ((bits[4] & firsts) | (bits[1] & firsts << 1) | (bits[3] & firsts << 3) | (bits[0] & firsts << 4) |
                           (bits[2] & firsts << 6)) & whole;
        size_t bytes = (of - phase) * 5 / 8;
        if ((size_t)__builtin_popcountll(others) * 8 <= (bytes < 64 ? bytes : 64)) return 1;
    }
    return 0;
}

enum { STRONGROOM_LONGEST_RUN = 4096 };

/* The digits of a run, everything else left out.

   Returns how many there are. Up to 64 bytes more are written. */
STRONGROOM_KERNEL static inline size_t strongroom_write_digits(
    const uint8_t *run, size_t length, const uint8_t values[128], uint8_t digits[STRONGROOM_LONGEST_RUN + 64]) {
    size_t count = 0;
    for (size_t done = 0; done < length; done += 64) {
        uint64_t there = strongroom_first_bits(length - done);
        __m512i read = _mm512_permutex2var_epi8(
            _mm512_loadu_si512(values), _mm512_maskz_loadu_epi8(there, run + done), _mm512_loadu_si512(values + 64));
        there &= ~(uint64_t)_mm512_movepi8_mask(read);
        _mm512_storeu_si512(digits + count, _mm512_maskz_compress_epi8(there, read));
        count += (size_t)__builtin_popcountll(there);
    }
    return count;
}

/* Leaves nothing of what a file says on the stack; the compiler must not know that nobody reads it. */
static inline void strongroom_wipe_digits(uint8_t *digits, size_t count) {
    memset(digits, 0, count + 64);
    __asm__ volatile("" : : "r"(digits) : "memory");
}

/* Whether a run may be base32 that is worth a look. */
STRONGROOM_KERNEL __attribute__((noinline)) static int strongroom_base32_is_worth_a_look(
    const uint8_t *run, size_t length, const strongroom_tables *tables, const strongroom_filter *filter, unsigned minimum) {
    uint8_t digits[STRONGROOM_LONGEST_RUN + 64];
    size_t count = strongroom_write_digits(run, length, tables->base32_values, digits);
    int is_worth_it = count >= minimum && (strongroom_has_digit_window(digits, count, 8, tables, filter) ||
                                           strongroom_base32_may_be_text(_mm512_loadu_si512(digits), count < 64 ? count : 64, count));
    strongroom_wipe_digits(digits, count);
    return is_worth_it;
}

/* Whether a run that is long, or has line ends in it, may be base64 that is worth a look. */
STRONGROOM_KERNEL __attribute__((noinline)) static int strongroom_long_base64_is_worth_a_look(
    const uint8_t *run, size_t length, const strongroom_tables *tables, const strongroom_filter *filter) {
    uint8_t digits[STRONGROOM_LONGEST_RUN + 64];
    size_t count = strongroom_write_digits(run, length, tables->base64_values, digits);
    int is_worth_it = count >= STRONGROOM_BASE64_MINIMUM &&
                      (strongroom_has_digit_window(digits, count, 4, tables, filter) ||
                       strongroom_base64_may_be_text(_mm512_loadu_si512(digits), count < 64 ? count : 64, count));
    strongroom_wipe_digits(digits, count);
    return is_worth_it;
}

/* Whether what a run of base64 text may say has to be looked at: bytes with a window that may be a needle's, or text; the same of base32. Of a
   run that is very long, or has a backslash, that is not told. */
STRONGROOM_KERNEL static inline int strongroom_base64_is_worth_a_look(
    const uint8_t *run, size_t length, const strongroom_tables *tables, const strongroom_digit_filters *filters, unsigned base32_minimum) {
    if (length > STRONGROOM_LONGEST_RUN) return 1;
    const __m512i low_values = _mm512_loadu_si512(tables->base64_values), high_values = _mm512_loadu_si512(tables->base64_values + 64);
    uint64_t all_upper = 0, all_lower = 0, all_others = 0, backslashes = 0;
    uint64_t upper_before = 0, lower_before = 0;
    int may_be_base32 = 0;
    __m512i digits = _mm512_setzero_si512();
    for (size_t done = 0; done < length; done += 64) {
        __mmask64 there = strongroom_first_bits(length - done);
        __m512i here = _mm512_maskz_loadu_epi8(there, run + done);
        digits = _mm512_permutex2var_epi8(low_values, here, high_values);
        uint64_t others = _mm512_movepi8_mask(digits) & there;
        uint64_t upper = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(here, STRONGROOM_ALL('A')), STRONGROOM_ALL(26));
        uint64_t lower = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(here, STRONGROOM_ALL('a')), STRONGROOM_ALL(26));
        uint64_t either = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(here, STRONGROOM_ALL('2')), STRONGROOM_ALL(6));
        /* Line ends and hyphens do not end base32. */
        either |= others | _mm512_mask_cmpeq_epi8_mask(there, here, STRONGROOM_ALL('-'));
        may_be_base32 |= strongroom_has_full_bytes(upper | either, &upper_before);
        may_be_base32 |= strongroom_has_full_bytes(lower | either, &lower_before);
        all_upper |= upper;
        all_lower |= lower;
        all_others |= others;
        backslashes |= _mm512_cmpeq_epi8_mask(here, STRONGROOM_ALL('\\'));
    }
    if (backslashes) return 1;
    if (may_be_base32 && strongroom_base32_is_worth_a_look(run, length, tables, &filters->base32, base32_minimum)) return 1;
    /* Base64 of random bytes has letters in both cases: see TextRuns.mayBe. */
    if (!all_upper || !all_lower) return 0;
    if (all_others || length > 64) return strongroom_long_base64_is_worth_a_look(run, length, tables, &filters->base64);
    __m512i behind = _mm512_permutex2var_epi8(
        low_values, _mm512_maskz_loadu_epi8(strongroom_first_bits(length - 4), run + 4), high_values);
    return strongroom_filter_has_any(
               &filters->base64, tables, _mm512_xor_si512(digits, behind), (__mmask8)strongroom_first_bits((length - 4) / 8)) ||
           strongroom_base64_may_be_text(digits, length, length);
}

/* Whether what 64 hex digits or fewer say may be text, at one of two phases: see strongroom_base64_may_be_text. */
STRONGROOM_KERNEL static inline int strongroom_hex_may_be_text(__m512i digits, size_t count, size_t of) {
    uint64_t fourth = _mm512_test_epi8_mask(digits, STRONGROOM_ALL(8)), whole = strongroom_first_bits(count) >> 1;
    for (unsigned phase = 0; phase < 2; phase++) {
        size_t bytes = (of - phase) / 2;
        if ((size_t)__builtin_popcountll(fourth & whole & 0x5555555555555555u << phase) * 8 <= (bytes < 64 ? bytes : 64)) return 1;
    }
    return 0;
}

/* The nibbles of a row of hex digits, of which some are given: a digit that stands alone has a zero before it.

   Returns how many were written, 128 at most. */
STRONGROOM_KERNEL static inline size_t strongroom_write_nibbles(__m512i digits, uint64_t given, uint64_t alone, uint8_t *nibbles) {
    size_t count = 0;
    for (int half = 0; half < 2; half++, given >>= 32, alone >>= 32) {
        __m256i here = half ? _mm512_extracti64x4_epi64(digits, 1) : _mm512_castsi512_si256(digits);
        /* A zero before each digit, which only those keep that stand alone. */
        uint64_t kept = _pdep_u64(given, 0xaaaaaaaaaaaaaaaau) | _pdep_u64(alone, 0x5555555555555555u);
        _mm512_storeu_si512(nibbles + count, _mm512_maskz_compress_epi8(kept, _mm512_slli_epi16(_mm512_cvtepu8_epi16(here), 8)));
        count += (size_t)__builtin_popcountll(kept);
    }
    return count;
}

/* What a run of a list may hold that is worth a look: hex digits with a window that may be a needle's, or that say text; sixteen decimal
   numbers or more, of which only the first and the last may have a letter of a hex number beside them. */
STRONGROOM_KERNEL static inline int strongroom_list_is_worth_a_look(
    const uint8_t *run, size_t length, const strongroom_tables *tables, const strongroom_digit_filters *filters) {
    uint8_t digits[STRONGROOM_LONGEST_RUN + 128 + 64];
    size_t count = 0, all = 0, numbers = 0, most = 0;
    uint64_t digit_before = 0, hex_before = 0, letter_before = 0;
    unsigned long long number_goes_on = 0;
    int has_window = 0, may_be_text = 0;
    const __m512i low_values = _mm512_loadu_si512(tables->hex_values), high_values = _mm512_loadu_si512(tables->hex_values + 64);
    for (size_t done = 0; done < length; done += 64) {
        uint64_t there = strongroom_first_bits(length - done);
        __m512i here = _mm512_maskz_loadu_epi8(there, run + done);
        __m512i next = _mm512_maskz_loadu_epi8(strongroom_first_bits(length - done - 1), run + done + 1);
        __m512i read = _mm512_permutex2var_epi8(low_values, here, high_values);
        uint64_t hex = there & ~(uint64_t)_mm512_movepi8_mask(read);
        uint64_t next_hex = ~(uint64_t)_mm512_movepi8_mask(_mm512_permutex2var_epi8(low_values, next, high_values));
        uint64_t x = _mm512_cmpeq_epi8_mask(_mm512_or_si512(here, STRONGROOM_ALL(0x20)), STRONGROOM_ALL('x'));
        uint64_t next_x = _mm512_cmpeq_epi8_mask(_mm512_or_si512(next, STRONGROOM_ALL(0x20)), STRONGROOM_ALL('x'));
        uint64_t decimal = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(here, STRONGROOM_ALL('0')), STRONGROOM_ALL(10));

        /* A number that begins behind no letter carries to the place behind its last digit. */
        uint64_t letter = (hex & ~decimal) | x;
        uint64_t begins = decimal & ~(decimal << 1 | digit_before) & ~(letter << 1 | letter_before);
        unsigned long long goes_on;
        uint64_t ends = __builtin_addcll(decimal, begins, number_goes_on, &goes_on) & ~decimal;
        numbers += (size_t)__builtin_popcountll(ends & ~letter);
        number_goes_on = goes_on;

        uint64_t firsts = hex & ~(hex << 1 | hex_before);
        /* The zero of `0x`. */
        uint64_t prefix = firsts & next_x & _mm512_cmpeq_epi8_mask(here, STRONGROOM_ALL('0'));
        size_t written = strongroom_write_nibbles(read, hex & ~prefix, firsts & ~prefix & ~next_hex, digits + count);
        count += written;
        all += written;
        digit_before = decimal >> 63;
        hex_before = hex >> 63;
        letter_before = letter >> 63;
        if (count < STRONGROOM_LONGEST_RUN && done + 64 < length) continue;

        if (count > most) most = count;
        may_be_text |= all == count && strongroom_hex_may_be_text(_mm512_loadu_si512(digits), count < 64 ? count : 64, count);
        has_window |= strongroom_has_digit_window(digits, count, 2, tables, &filters->hex);
        /* Of sixteen numbers' digits, 17 or more stand at the end of one part, or ten or more at the beginning of the next: either hold a window. */
        count = 0;
    }
    strongroom_wipe_digits(digits, most);
    int is_hex = all >= 2 * STRONGROOM_LIST_NUMBERS && (has_window || may_be_text);
    return is_hex * STRONGROOM_LIST_HEX | (numbers + number_goes_on + 2 >= STRONGROOM_LIST_NUMBERS) * STRONGROOM_LIST_DECIMAL;
}

#endif
