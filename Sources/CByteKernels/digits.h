/* Whether digits may say something that is looked for, told without putting them together: see DigitFilter.swift. */
#ifndef STRONGROOM_DIGITS_H
#define STRONGROOM_DIGITS_H

#include "bytes.h"

enum { STRONGROOM_LONGEST_RUN = 4096 };

/* Digits of a run, with room for what is written or read behind the last. */
typedef struct {
    size_t count;
    uint8_t digits[STRONGROOM_LONGEST_RUN + 128 + 64];
} strongroom_digits;

/* Leaves nothing of what a file says on the stack; the compiler must not know that nobody reads it. */
static inline void strongroom_wipe_digits(strongroom_digits *digits) {
    memset(digits->digits, 0, digits->count + 64);
    __asm__ volatile("" : : "r"(digits->digits) : "memory");
}

/* Values of digits; of other bytes, anything. */
STRONGROOM_KERNEL static inline __m256i strongroom_base64_values(__m256i half) {
    /* What is added to digits and letters, by the upper half of their numbers; and the values of `+`, `-`, `/` and `_`, by the lower half. */
    const __m256i added = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i others = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 62, 0, 62, 0, 63));
    __m256i upper = _mm256_and_si256(_mm256_srli_epi16(half, 4), STRONGROOM_ALL(15));
    __m256i is_other = _mm256_or_si256(_mm256_cmpeq_epi8(upper, STRONGROOM_ALL(2)), _mm256_cmpeq_epi8(half, STRONGROOM_ALL('_')));
    return _mm256_blendv_epi8(_mm256_add_epi8(half, _mm256_shuffle_epi8(added, upper)), _mm256_shuffle_epi8(others, half), is_other);
}

STRONGROOM_KERNEL static inline __m256i strongroom_base32_values(__m256i half) {
    __m256i letter = _mm256_sub_epi8(_mm256_and_si256(half, STRONGROOM_ALL(31)), STRONGROOM_ALL(1));
    __m256i digit = _mm256_sub_epi8(half, STRONGROOM_ALL('2' - 26));
    return _mm256_blendv_epi8(letter, digit, _mm256_cmpgt_epi8(STRONGROOM_ALL('A'), half));
}

STRONGROOM_KERNEL static inline __m256i strongroom_hex_values(__m256i half) {
    /* Nine more than the lower half of a letter. */
    __m256i letter = _mm256_and_si256(_mm256_cmpgt_epi8(half, STRONGROOM_ALL('9')), STRONGROOM_ALL(9));
    return _mm256_add_epi8(_mm256_and_si256(half, STRONGROOM_ALL(15)), letter);
}

#define STRONGROOM_VALUES(of, block) ((strongroom_block){strongroom_##of##_values((block).low), strongroom_##of##_values((block).high)})

STRONGROOM_KERNEL static inline void strongroom_store(uint8_t *at, strongroom_block block) {
    _mm256_storeu_si256((__m256i *)(void *)at, block.low);
    _mm256_storeu_si256((__m256i *)(void *)(at + 32), block.high);
}

/* Eight ones for each of eight bits. */
STRONGROOM_KERNEL static inline uint64_t strongroom_as_bytes(uint64_t bits) { return _pdep_u64(bits, 0x0101010101010101u) * 0xff; }

/* Writes those of 64 digits that are kept; up to 64 bytes more are written. */
STRONGROOM_KERNEL static inline void strongroom_append(strongroom_digits *to, strongroom_block digits, uint64_t kept) {
    if (!~kept) {
        strongroom_store(to->digits + to->count, digits);
        to->count += 64;
        return;
    }
    uint8_t all[64];
    strongroom_store(all, digits);
    for (int done = 0; done < 64; done += 8) {
        uint64_t here = kept >> done & 0xff, packed = _pext_u64(strongroom_read_64(all + done), strongroom_as_bytes(here));
        memcpy(to->digits + to->count, &packed, 8);
        to->count += (size_t)__builtin_popcountll(here);
    }
}

/* Whether a window may be a needle's. Of the hash the upper bits say in which word, and five and five behind those which two bits of it. */
static inline int strongroom_filter_has(const strongroom_filter *filter, const uint32_t *words, uint64_t hash) {
    uint32_t word = words[hash >> (64 - filter->bits)];
    return (int)(word >> (hash >> (59 - filter->bits) & 31) & word >> (hash >> (54 - filter->bits) & 31) & 1);
}

/* Whether digits have a window that may be a needle's: eight differences of digits that stand so far apart. */
static inline int strongroom_has_digit_window(const uint8_t *digits, size_t count, size_t distance, const strongroom_filter *filter) {
    for (size_t done = 0; done + 8 + distance <= count; done += 8) {
        uint64_t window = strongroom_read_64(digits + done) ^ strongroom_read_64(digits + done + distance);
        if (strongroom_filter_has(filter, filter->words, window * STRONGROOM_HASH_64) &&
            strongroom_filter_has(filter, filter->words + ((size_t)1 << filter->bits), window * STRONGROOM_SECOND_HASH_64))
            return 1;
    }
    return 0;
}

/* Whether bytes of which so many are known may be text: one in eight may be something else. `others` has a bit for each known one that is
   none. */
static inline int strongroom_may_be_text(uint64_t others, size_t bytes) {
    return (size_t)__builtin_popcountll(others) * 8 <= (bytes < 64 ? bytes : 64);
}

/* Whether what the first 64 digits of base64 or fewer say may be text, at one of the four phases.

   The uppermost bit of a byte of text is zero. It is the sixth bit of the first digit of four, the fourth of the second, the second of the
   third. The byte at the last digit is not whole. */
STRONGROOM_KERNEL static inline int strongroom_base64_may_be_text(const uint8_t *digits, size_t count) {
    strongroom_block here = strongroom_load(digits);
    uint64_t sixth = strongroom_bit(here, 5), fourth = strongroom_bit(here, 3), second = strongroom_bit(here, 1);
    uint64_t whole = strongroom_first_bits(count) >> 1;
    int may_be = 0;
    for (unsigned phase = 0; phase < 4; phase++) {
        uint64_t firsts = 0x1111111111111111u << phase;
        uint64_t others = ((sixth & firsts) | (fourth & firsts << 1) | (second & firsts << 2)) & whole;
        may_be |= strongroom_may_be_text(others, (count - phase) * 6 / 8);
    }
    return may_be;
}

/* The same of base32, whose digits have five bits, at one of eight phases. */
STRONGROOM_KERNEL static inline int strongroom_base32_may_be_text(const uint8_t *digits, size_t count) {
    strongroom_block here = strongroom_load(digits);
    uint64_t bits[5], whole = strongroom_first_bits(count) >> 1;
    for (int bit = 0; bit < 5; bit++) bits[bit] = strongroom_bit(here, bit);
    for (unsigned phase = 0; phase < 8; phase++) {
        uint64_t firsts = 0x0101010101010101u << phase;
        uint64_t others = ((bits[4] & firsts) | (bits[1] & firsts << 1) | (bits[3] & firsts << 3) | (bits[0] & firsts << 4) |
                           (bits[2] & firsts << 6)) & whole;
        if (strongroom_may_be_text(others, (count - phase) * 5 / 8)) return 1;
    }
    return 0;
}

/* The same of hex digits, at one of two. */
STRONGROOM_KERNEL static inline int strongroom_hex_may_be_text(const uint8_t *digits, size_t count) {
    uint64_t fourth = strongroom_bit(strongroom_load(digits), 3), whole = strongroom_first_bits(count) >> 1;
    for (unsigned phase = 0; phase < 2; phase++)
        if (strongroom_may_be_text(fourth & whole & 0x5555555555555555u << phase, (count - phase) / 2)) return 1;
    return 0;
}

/* The part of a row that may be text of digits. */
typedef struct {
    const uint8_t *bytes;
    size_t length;
    /* How many bytes can be read. */
    size_t readable;
} strongroom_run;

/* The bytes of a run from one on; what is behind it may be anything. */
STRONGROOM_KERNEL static inline strongroom_block strongroom_load_run(const strongroom_run *run, size_t from) {
    return strongroom_load_some(run->bytes + from, run->readable - from);
}

/* A kind of digits: its class, what its digits are worth, how far apart those stand whose differences are taken, and whether they may say text. */
typedef struct {
    int of_class;
    __m256i (*values)(__m256i half);
    size_t distance;
    int (*may_be_text)(const uint8_t *digits, size_t count);
} strongroom_code;

/* Whether the digits of a run, of which there have to be so many, are worth a look. */
STRONGROOM_KERNEL static inline __attribute__((always_inline)) int strongroom_digits_are_worth_a_look(
    const strongroom_run *run, const strongroom_tables *tables, const strongroom_filter *filter, strongroom_code code, size_t minimum) {
    strongroom_digits digits;
    digits.count = 0;
    for (size_t done = 0; done < run->length; done += 64) {
        strongroom_block here = strongroom_load_run(run, done);
        uint64_t kept = strongroom_of_class(here, tables, code.of_class) & strongroom_first_bits(run->length - done);
        strongroom_append(&digits, (strongroom_block){code.values(here.low), code.values(here.high)}, kept);
    }
    int is_worth_it = digits.count >= minimum && (strongroom_has_digit_window(digits.digits, digits.count, code.distance, filter) ||
                                                  code.may_be_text(digits.digits, digits.count));
    strongroom_wipe_digits(&digits);
    return is_worth_it;
}

/* Whether a run may be base32 that is worth a look. */
STRONGROOM_KERNEL __attribute__((noinline)) static int strongroom_base32_is_worth_a_look(
    const strongroom_run *run, const strongroom_tables *tables, const strongroom_filter *filter, unsigned minimum) {
    const strongroom_code base32 = {STRONGROOM_CLASS_BASE32_DIGIT, strongroom_base32_values, 8, strongroom_base32_may_be_text};
    return strongroom_digits_are_worth_a_look(run, tables, filter, base32, minimum);
}

/* Whether a run that is long, or has line ends in it, may be base64 that is worth a look. */
STRONGROOM_KERNEL __attribute__((noinline)) static int strongroom_long_base64_is_worth_a_look(
    const strongroom_run *run, const strongroom_tables *tables, const strongroom_filter *filter) {
    const strongroom_code base64 = {STRONGROOM_CLASS_BASE64_DIGIT, strongroom_base64_values, 4, strongroom_base64_may_be_text};
    return strongroom_digits_are_worth_a_look(run, tables, filter, base64, STRONGROOM_BASE64_MINIMUM);
}

/* The same of one that is neither. */
STRONGROOM_KERNEL static inline int strongroom_short_base64_is_worth_a_look(
    const strongroom_run *run, strongroom_block here, const strongroom_filter *filter) {
    uint8_t digits[64];
    strongroom_store(digits, STRONGROOM_VALUES(base64, here));
    int is_worth_it = strongroom_has_digit_window(digits, run->length, 4, filter) || strongroom_base64_may_be_text(digits, run->length);
    const strongroom_block nothing = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    strongroom_store(digits, nothing);
    __asm__ volatile("" : : "r"(digits) : "memory");
    return is_worth_it;
}

/* Whether two bytes of a mask that follow each other are all ones, as in every 23 ones in a row; `before` says whether the last byte before it
   was, and then whether its own last one is. */
static inline int strongroom_has_full_bytes(uint64_t mask, uint64_t *before) {
    uint64_t full = strongroom_full_bytes(mask);
    int has = (full & (full << 8 | *before)) != 0;
    *before = full >> 56;
    return has;
}

/* Whether what a run of base64 text may say has to be looked at: bytes with a window that may be a needle's, or text; the same of base32. Of a
   run that is very long, or has a backslash, that is not told. */
STRONGROOM_KERNEL static inline int strongroom_base64_is_worth_a_look(
    const strongroom_run *run, const strongroom_tables *tables, const strongroom_digit_filters *filters, unsigned base32_minimum) {
    if (run->length > STRONGROOM_LONGEST_RUN) return 1;
    uint64_t all_upper = 0, all_lower = 0, all_others = 0, backslashes = 0;
    uint64_t upper_before = 0, lower_before = 0;
    int may_be_base32 = 0;
    strongroom_block here = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (size_t done = 0; done < run->length; done += 64) {
        uint64_t there = strongroom_first_bits(run->length - done);
        here = strongroom_load_run(run, done);
        uint64_t digits = strongroom_of_class(here, tables, STRONGROOM_CLASS_BASE64_DIGIT);
        uint64_t others = there & ~digits, in_base32 = strongroom_of_class(here, tables, STRONGROOM_CLASS_BASE32_DIGIT) & there;
        /* Of letters, one bit is set, and another in lower case. */
        uint64_t letters = digits & strongroom_bit(here, 6) & ~strongroom_equal(here, '_') & there, lower = letters & strongroom_bit(here, 5);
        uint64_t upper = letters & ~lower;
        /* Line ends and hyphens do not end base32. */
        uint64_t neither = others | (there & strongroom_equal(here, '-'));
        may_be_base32 |= strongroom_has_full_bytes((in_base32 & ~lower) | neither, &upper_before);
        may_be_base32 |= strongroom_has_full_bytes((in_base32 & ~upper) | neither, &lower_before);
        all_upper |= upper;
        all_lower |= lower;
        all_others |= others;
        if (others) backslashes |= others & strongroom_equal(here, '\\');
    }
    if (backslashes) return 1;
    if (may_be_base32 && strongroom_base32_is_worth_a_look(run, tables, &filters->base32, base32_minimum)) return 1;
    /* Base64 of random bytes has letters in both cases: see TextRuns.mayBe. */
    if (!all_upper || !all_lower) return 0;
    if (all_others || run->length > 64) return strongroom_long_base64_is_worth_a_look(run, tables, &filters->base64);
    return strongroom_short_base64_is_worth_a_look(run, here, &filters->base64);
}

/* Writes the nibbles of a row of hex digits, of which some are given: a digit that stands alone has a zero before it. Up to 128 are written, and
   room is needed for more. */
STRONGROOM_KERNEL static inline void strongroom_append_nibbles(
    strongroom_digits *to, strongroom_block digits, uint64_t given, uint64_t alone) {
    if (!alone) return strongroom_append(to, digits, given);
    uint8_t all[64];
    strongroom_store(all, digits);
    for (int done = 0; done < 64; done += 4) {
        /* A zero before each digit, which only those keep that stand alone. */
        uint32_t four;
        memcpy(&four, all + done, 4);
        uint64_t spread = _pdep_u64(four, 0xff00ff00ff00ff00u);
        uint64_t kept = _pdep_u64(given >> done & 15, 0xaa) | _pdep_u64(alone >> done & 15, 0x55);
        uint64_t packed = _pext_u64(spread, strongroom_as_bytes(kept));
        memcpy(to->digits + to->count, &packed, 8);
        to->count += (size_t)__builtin_popcountll(kept);
    }
}

/* What a run of a list may hold that is worth a look: hex digits with a window that may be a needle's, or that say text; sixteen decimal
   numbers or more, of which only the first and the last may have a letter of a hex number beside them. */
STRONGROOM_KERNEL static inline int strongroom_list_is_worth_a_look(
    const strongroom_run *run, const strongroom_tables *tables, const strongroom_digit_filters *filters) {
    strongroom_digits digits;
    digits.count = 0;
    size_t all = 0, numbers = 0, most = 0;
    uint64_t digit_before = 0, hex_before = 0, letter_before = 0;
    unsigned long long number_goes_on = 0;
    int has_window = 0, may_be_text = 0;
    for (size_t done = 0; done < run->length; done += 64) {
        uint64_t there = strongroom_first_bits(run->length - done), next_there = strongroom_first_bits(run->length - done - 1);
        strongroom_block here = strongroom_load_run(run, done);
        strongroom_block next = strongroom_load_some(run->bytes + done + 1, run->readable - done - 1);
        uint64_t hex = there & strongroom_of_class(here, tables, STRONGROOM_CLASS_HEX);
        uint64_t next_hex = next_there & strongroom_of_class(next, tables, STRONGROOM_CLASS_HEX);
        uint64_t x = there & (strongroom_equal(here, 'x') | strongroom_equal(here, 'X'));
        uint64_t next_x = next_there & (strongroom_equal(next, 'x') | strongroom_equal(next, 'X'));
        /* Of hex digits, letters have one bit. */
        uint64_t decimal = hex & ~strongroom_bit(here, 6);

        /* A number that begins behind no letter carries to the place behind its last digit. */
        uint64_t letter = (hex & ~decimal) | x;
        uint64_t begins = decimal & ~(decimal << 1 | digit_before) & ~(letter << 1 | letter_before);
        unsigned long long goes_on;
        uint64_t ends = __builtin_addcll(decimal, begins, number_goes_on, &goes_on) & ~decimal;
        numbers += (size_t)__builtin_popcountll(ends & ~letter);
        number_goes_on = goes_on;

        uint64_t firsts = hex & ~(hex << 1 | hex_before);
        /* The zero of `0x`. */
        uint64_t prefix = firsts & next_x;
        if (prefix) prefix &= strongroom_equal(here, '0');
        size_t before = digits.count;
        strongroom_append_nibbles(&digits, STRONGROOM_VALUES(hex, here), hex & ~prefix, firsts & ~prefix & ~next_hex);
        all += digits.count - before;
        digit_before = decimal >> 63;
        hex_before = hex >> 63;
        letter_before = letter >> 63;
        if (digits.count < STRONGROOM_LONGEST_RUN && done + 64 < run->length) continue;

        if (digits.count > most) most = digits.count;
        may_be_text |= all == digits.count && strongroom_hex_may_be_text(digits.digits, digits.count);
        has_window |= strongroom_has_digit_window(digits.digits, digits.count, 2, &filters->hex);
        /* Of sixteen numbers' digits, 17 or more stand at the end of one part, or ten or more at the beginning of the next: either hold a window. */
        digits.count = 0;
    }
    digits.count = most;
    strongroom_wipe_digits(&digits);
    int is_hex = all >= 2 * STRONGROOM_LIST_NUMBERS && (has_window || may_be_text);
    return is_hex * STRONGROOM_LIST_HEX | (numbers + number_goes_on + 2 >= STRONGROOM_LIST_NUMBERS) * STRONGROOM_LIST_DECIMAL;
}

#endif
