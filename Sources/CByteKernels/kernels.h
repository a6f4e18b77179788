/* The loops of the leakage scanner that see every byte of a file, for processors with AVX-512 VBMI. Everywhere else the scanner does the same
   in Swift. A row is surveyed in groups of 192 bytes, which says what a group may hold and is never wrong about what it does not; what may
   hold something is then looked at in blocks of 64 bytes, exactly. */
#ifndef STRONGROOM_CBYTEKERNELS_H
#define STRONGROOM_CBYTEKERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    STRONGROOM_BLOCK_BYTES = 64,
    STRONGROOM_GROUP_BYTES = 192,
    /* In each group, windows of four differences at every twelfth byte. */
    STRONGROOM_GROUP_WINDOWS = 16,
    STRONGROOM_WINDOW_STRIDE = 12,
    /* Half a group. */
    STRONGROOM_SCHEDULE_STRIDE = 96,
    /* As many digits of base64 as say sixteen bytes. */
    STRONGROOM_BASE64_MINIMUM = 22,
    /* As many characters of a list as sixteen numbers need. */
    STRONGROOM_LIST_MINIMUM = 31,
    STRONGROOM_LIST_NUMBERS = 16,
};

/* What a group may hold. */
enum {
    /* Eight characters of text at a multiple of eight. */
    STRONGROOM_HINT_TEXT = 1,
    STRONGROOM_HINT_ESCAPE = 2,
    STRONGROOM_HINT_PAIR = 4,
    STRONGROOM_HINT_UTF16 = 8,
    /* Words that are related as those of an AES-256 key schedule are. */
    STRONGROOM_HINT_SCHEDULE = 16,
};

/* What a block holds. */
enum {
    /* Eight bytes at a multiple of eight are all of a class. */
    STRONGROOM_MARK_BASE64 = 1,
    /* Sixteen bytes at a multiple of sixteen are all of a class. */
    STRONGROOM_MARK_LIST = 2,
    /* A backslash or per cent sign that an escape may begin with. */
    STRONGROOM_MARK_ESCAPE = 4,
    /* A character from U+0080 to U+00FF in UTF-8, among 17 bytes of characters below U+0100; or as near to a border of the block that it may be. */
    STRONGROOM_MARK_PAIR = 8,
    /* Of eight bytes at a multiple of eight every other one is zero, and of the others at most one: numbers of 32 bits, which tables in
       programs are full of, are not meant. */
    STRONGROOM_MARK_UTF16 = 16,
    /* In a block with base64, a line that ends, and another that begins with a blank. */
    STRONGROOM_MARK_INDENTED = 32,
};

enum {
    /* What a byte may be: part of base64 text, of a list of numbers, of any text; the first byte of an escape that says a number. */
    STRONGROOM_CLASS_BASE64 = 1,
    STRONGROOM_CLASS_LIST = 2,
    STRONGROOM_CLASS_TEXT = 4,
    STRONGROOM_CLASS_ESCAPE = 8,
    STRONGROOM_CLASS_HEX = 16,
    /* What follows a backslash in an escape that says a number: `x`, `u`, an octal digit. */
    STRONGROOM_CLASS_ESCAPED = 32,
};

/* What ASCII characters are. Bytes from 128 on have no class. */
typedef struct {
    /* The classes that a character is *not* of: a row of bytes that are all of a class has no such bit. */
    uint8_t lacks[128];
    /* STRONGROOM_CLASS_ESCAPE, where a character is not the second one of any escape that says a number. */
    uint8_t lacks_behind[128];
    /* Six bits, for a digit of base64; 128 for every other character. */
    uint8_t base64_values[128];
    /* Five bits, for a digit of base32 in either case. */
    uint8_t base32_values[128];
    /* Four bits, for a hex digit. */
    uint8_t hex_values[128];
    /* Three of eight bits each, for filters. */
    uint8_t filter_patterns[64];
} strongroom_tables;

/* Which windows may be a needle's: each sets three bits of one byte. */
typedef struct {
    const uint8_t *bytes;
    /* There are two to the power of so many bytes; of windows of digits as many again, for a second place. */
    unsigned bits;
} strongroom_filter;

/* Of windows of digits. */
typedef struct {
    strongroom_filter base64, base32, hex;
} strongroom_digit_filters;

/* A row of bytes whose blocks are marked. */
typedef struct {
    const uint8_t *bytes;
    size_t length;
    /* Eight more than there are blocks, the last ones zero. */
    const uint8_t *marks;
    /* Which bytes are base64, for each block that has that mark. */
    const uint64_t *base64;
} strongroom_row;

/* Fibonacci hashing: two to the power of 32, or 64, divided by the golden ratio. The upper bits say which byte, the next six which
   three bits of it. */
#define STRONGROOM_HASH_32 0x9e3779b1u
#define STRONGROOM_HASH_64 0x9e3779b97f4a7c15ull
/* Another, for a second place. */
#define STRONGROOM_SECOND_HASH_64 0xd6e8feb86659fd93ull

#if defined(__x86_64__)
#include <immintrin.h>

#define STRONGROOM_KERNEL \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,bmi,bmi2,popcnt"))) static inline

/* Whether this processor has what the kernels need. */
static inline int strongroom_has_kernels(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

#define STRONGROOM_ALL(byte) _mm512_set1_epi8((char)(byte))

/* (a ^ b) & c, a | (b & c) and a ^ b ^ c, as what _mm512_ternarylogic_epi32 wants. */
enum { STRONGROOM_DIFFERS_IN = 0x28, STRONGROOM_OR_BOTH = 0xf8, STRONGROOM_XOR = 0x96 };

/* The tables, in registers. */
typedef struct {
    __m512i lacks[2], behind[2];
} strongroom_loaded;

STRONGROOM_KERNEL strongroom_loaded strongroom_load_tables(const strongroom_tables *tables) {
    return (strongroom_loaded){
        {_mm512_loadu_si512(tables->lacks), _mm512_loadu_si512(tables->lacks + 64)},
        {_mm512_loadu_si512(tables->lacks_behind), _mm512_loadu_si512(tables->lacks_behind + 64)}};
}

/* The classes that each byte is not of; the uppermost bit as well, for bytes from 128 on. */
STRONGROOM_KERNEL __m512i strongroom_lacks(const strongroom_loaded *loaded, __m512i here) {
    __m512i lacks = _mm512_permutex2var_epi8(loaded->lacks[0], here, loaded->lacks[1]);
    return _mm512_ternarylogic_epi32(lacks, here, STRONGROOM_ALL(0x80), STRONGROOM_OR_BOTH);
}

/* Zero where an escape may begin, given the bytes behind each. */
STRONGROOM_KERNEL __m512i strongroom_lacks_escape(const strongroom_loaded *loaded, __m512i lacks, __m512i next) {
    return _mm512_ternarylogic_epi32(
        _mm512_permutex2var_epi8(loaded->behind[0], next, loaded->behind[1]), lacks, STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_ESCAPE),
        STRONGROOM_OR_BOTH);
}

/* Zero where a character from U+0080 to U+00FF begins in UTF-8. */
STRONGROOM_KERNEL __m512i strongroom_lacks_pair(__m512i here, __m512i next) {
    __m512i lead = _mm512_ternarylogic_epi32(here, STRONGROOM_ALL(0xc2), STRONGROOM_ALL(0xfe), STRONGROOM_DIFFERS_IN);
    __m512i continued = _mm512_ternarylogic_epi32(next, STRONGROOM_ALL(0x80), STRONGROOM_ALL(0xc0), STRONGROOM_DIFFERS_IN);
    return _mm512_or_si512(lead, continued);
}

/* Which eight bytes may be text in UTF-16: every other one is zero, and the second or fourth character is not. */
STRONGROOM_KERNEL __mmask8 strongroom_may_be_utf16(__m512i here) {
    __mmask8 halves = _mm512_testn_epi64_mask(here, _mm512_set1_epi16(0x00ff)) |
                      _mm512_testn_epi64_mask(here, _mm512_set1_epi16((short)0xff00));
    return halves & _mm512_test_epi64_mask(here, _mm512_set1_epi32((int)0xffff0000));
}

/* In each group of four bits, the lowest if three or four are ones. */
static inline uint32_t strongroom_three_of_four(uint32_t bits) {
    uint32_t both = bits & bits >> 1, either = bits | bits >> 1;
    return ((both & either >> 2) | (either & both >> 2)) & 0x11111111u;
}

static inline uint64_t strongroom_read_64(const uint8_t *at) {
    uint64_t read;
    memcpy(&read, at, 8);
    return read;
}

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
STRONGROOM_KERNEL int strongroom_is_like_schedule(const uint8_t *at) {
    __m128i zeroth = _mm_loadu_si128((const __m128i *)at), first = _mm_loadu_si128((const __m128i *)(at + 4));
    __m128i eighth = _mm_loadu_si128((const __m128i *)(at + 32)), ninth = _mm_loadu_si128((const __m128i *)(at + 36));
    __m128i encryption = _mm_ternarylogic_epi32(first, eighth, ninth, STRONGROOM_XOR);
    __m128i decryption = _mm_ternarylogic_epi32(zeroth, first, ninth, STRONGROOM_XOR);
    __m128i either = _mm_or_si128(first, ninth);
    __mmask8 known = _mm_test_epi32_mask(either, either);
    return (strongroom_three_of_four(_mm_testn_epi32_mask(encryption, encryption) & known) |
            strongroom_three_of_four(_mm_testn_epi32_mask(decryption, decryption) & known)) != 0;
}

/* What the survey sees of a block. */
typedef struct {
    __m512i here, next, lacks_escape, lacks_pair;
    __mmask8 text, utf16;
} strongroom_block;

STRONGROOM_KERNEL strongroom_block strongroom_read_block(const strongroom_loaded *loaded, const uint8_t *at) {
    strongroom_block block;
    block.here = _mm512_loadu_si512(at);
    block.next = _mm512_loadu_si512(at + 1);
    __m512i lacks = strongroom_lacks(loaded, block.here);
    block.text = _mm512_testn_epi64_mask(lacks, STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_TEXT));
    block.lacks_escape = strongroom_lacks_escape(loaded, lacks, block.next);
    block.lacks_pair = strongroom_lacks_pair(block.here, block.next);
    block.utf16 = strongroom_may_be_utf16(block.here);
    return block;
}

/* Surveys groups of 192 bytes: writes, for each, what it may hold, and which of its windows may be a needle's. One byte behind the last group
   is read too; words of four bytes are aligned at `word` bytes behind where each begins.

   Places in the filter are written down, read some groups later, and what was found there is compared some groups later still: a processor does
   not read quickly what it has just written as part of something longer, or in shorter parts, and it can read places of one group while it
   computes those of another. `volatile` keeps the compiler from reading them with instructions that take longer. */
STRONGROOM_KERNEL void strongroom_survey(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const strongroom_filter *filter, unsigned word,
    uint8_t *hints, uint16_t *windows) {
    enum { LAG = 8, HELD = 4 * LAG, WINDOWS = STRONGROOM_GROUP_WINDOWS };
    const strongroom_loaded loaded = strongroom_load_tables(tables);
    const uint8_t *filter_bytes = filter->bytes;
    const __m512i patterns = _mm512_loadu_si512(tables->filter_patterns), multiplier = _mm512_set1_epi32((int)STRONGROOM_HASH_32);
    const __m128i to_byte = _mm_cvtsi32_si128((int)(32 - filter->bits)), to_pattern = _mm_cvtsi32_si128((int)(26 - filter->bits));
    /* Where the windows stand: ten in the first two blocks, six in the last two. */
    uint8_t first_places[64] = {0}, last_places[64] = {0};
    for (int window = 0; window < WINDOWS; window++)
        for (int byte = 0; byte < 4; byte++) {
            int place = STRONGROOM_WINDOW_STRIDE * window + byte;
            if (window < 10) first_places[4 * window + byte] = (uint8_t)place;
            else last_places[4 * window + byte] = (uint8_t)(place - 64);
        }
    const __m512i in_first = _mm512_loadu_si512(first_places), in_last = _mm512_loadu_si512(last_places);
    uint32_t places[HELD][WINDOWS];
    uint8_t wanted[HELD][WINDOWS], found[HELD][WINDOWS];
    uint16_t is_window[HELD];
    for (size_t step = 0; step < count + 2 * LAG; step++) {
        if (step < count) {
            const uint8_t *at = bytes + STRONGROOM_GROUP_BYTES * step;
            const strongroom_block first = strongroom_read_block(&loaded, at);
            const strongroom_block second = strongroom_read_block(&loaded, at + 64);
            const strongroom_block third = strongroom_read_block(&loaded, at + 128);

            __m512i middle = _mm512_xor_si512(second.here, second.next);
            __m512i window = _mm512_mask_blend_epi32(
                0xfc00, _mm512_permutex2var_epi8(_mm512_xor_si512(first.here, first.next), in_first, middle),
                _mm512_permutex2var_epi8(middle, in_last, _mm512_xor_si512(third.here, third.next)));
            __m512i hash = _mm512_mullo_epi32(window, multiplier);
            is_window[step % HELD] = _mm512_test_epi32_mask(window, window);
            _mm512_storeu_si512(places[step % HELD], _mm512_srl_epi32(hash, to_byte));
            _mm_storeu_si128(
                (__m128i *)wanted[step % HELD],
                _mm512_cvtepi32_epi8(_mm512_permutexvar_epi8(_mm512_srl_epi32(hash, to_pattern), patterns)));

            __mmask8 text = first.text | second.text | third.text, utf16 = first.utf16 | second.utf16 | third.utf16;
            __m512i escapes = _mm512_min_epu8(_mm512_min_epu8(first.lacks_escape, second.lacks_escape), third.lacks_escape);
            __m512i pairs = _mm512_min_epu8(_mm512_min_epu8(first.lacks_pair, second.lacks_pair), third.lacks_pair);
            hints[step] = (uint8_t)(
                (text != 0) * STRONGROOM_HINT_TEXT | (_mm512_testn_epi8_mask(escapes, escapes) != 0) * STRONGROOM_HINT_ESCAPE |
                (_mm512_testn_epi8_mask(pairs, pairs) != 0) * STRONGROOM_HINT_PAIR | (utf16 != 0) * STRONGROOM_HINT_UTF16 |
                (strongroom_may_be_schedule(at + word) | strongroom_may_be_schedule(at + word + STRONGROOM_SCHEDULE_STRIDE)) *
                    STRONGROOM_HINT_SCHEDULE);
        }
        /* Before the first and behind the last there are places of groups that are none: they are looked up too, in vain. */
        if (step >= LAG && step < count + LAG) {
            volatile const uint32_t *place = places[(step - LAG) % HELD];
            volatile uint8_t *to = found[(step - LAG) % HELD];
            to[0] = filter_bytes[place[0]];
            to[1] = filter_bytes[place[1]];
            to[2] = filter_bytes[place[2]];
            to[3] = filter_bytes[place[3]];
            to[4] = filter_bytes[place[4]];
            to[5] = filter_bytes[place[5]];
            to[6] = filter_bytes[place[6]];
            to[7] = filter_bytes[place[7]];
            to[8] = filter_bytes[place[8]];
            to[9] = filter_bytes[place[9]];
            to[10] = filter_bytes[place[10]];
            to[11] = filter_bytes[place[11]];
            to[12] = filter_bytes[place[12]];
            to[13] = filter_bytes[place[13]];
            to[14] = filter_bytes[place[14]];
            to[15] = filter_bytes[place[15]];
        }
        if (step >= 2 * LAG) {
            size_t held = (step - 2 * LAG) % HELD;
            __m128i pattern = _mm_loadu_si128((const __m128i *)wanted[held]), read = _mm_loadu_si128((const __m128i *)found[held]);
            windows[step - 2 * LAG] = _mm_cmpeq_epi8_mask(_mm_and_si128(read, pattern), pattern) & is_window[held];
        }
    }
}

/* Which bytes of a block are characters below U+0100 in a row of 17 bytes or more that has one from U+0080 on; what stands on either side of
   the block may be such characters. One byte before the block is read too. */
STRONGROOM_KERNEL uint8_t strongroom_mark_pairs(const uint8_t *at) {
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
STRONGROOM_KERNEL uint8_t strongroom_mark_text(const strongroom_loaded *loaded, const uint8_t *at, uint64_t *base64) {
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
STRONGROOM_KERNEL uint8_t strongroom_mark_escapes(const strongroom_loaded *loaded, const uint8_t *at) {
    __m512i here = _mm512_loadu_si512(at), next = _mm512_loadu_si512(at + 1);
    __m512i behind = strongroom_lacks(loaded, next), far_behind = strongroom_lacks(loaded, _mm512_loadu_si512(at + 2));
    __mmask64 percent = _mm512_mask_cmpeq_epi8_mask(
        _mm512_testn_epi8_mask(_mm512_or_si512(behind, far_behind), STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_HEX)), here, STRONGROOM_ALL('%'));
    __mmask64 backslash = _mm512_mask_cmpeq_epi8_mask(
        _mm512_testn_epi8_mask(behind, STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_ESCAPED)), here, STRONGROOM_ALL('\\'));
    return ((percent | backslash) != 0) * STRONGROOM_MARK_ESCAPE;
}

/* Which of eight groups of four characters a block may have in UTF-16, as a bit in every fourth. */
STRONGROOM_KERNEL uint32_t strongroom_utf16_groups(const uint8_t *at) {
    __m512i here = _mm512_loadu_si512(at);
    return strongroom_three_of_four(_mm512_test_epi16_mask(here, here)) & _pdep_u32(strongroom_may_be_utf16(here), 0x11111111u);
}

/* Marks the blocks of every group that has a hint, and no others. A byte before the first group and two behind the last are read too. Kind by
   kind, because a processor guesses badly which hints the next group has. */
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

/* The first so many bits, up to 64. */
static inline uint64_t strongroom_first_bits(size_t count) { return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0; }

/* Whether two bytes of a mask that follow each other are all ones, as in every 23 ones in a row; `before` says whether the last byte before it
   was, and then whether its own last one is. */
static inline int strongroom_has_full_bytes(uint64_t mask, uint64_t *before) {
    uint64_t full = ((mask & 0x7f7f7f7f7f7f7f7fu) + 0x0101010101010101u) & mask & 0x8080808080808080u;
    int has = (full & (full << 8 | *before)) != 0;
    *before = full >> 56;
    return has;
}

/* Whether eight windows, of which some are wanted, may be a needle's. */
STRONGROOM_KERNEL int strongroom_filter_has_any(
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
STRONGROOM_KERNEL int strongroom_has_digit_window(
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
STRONGROOM_KERNEL int strongroom_base64_may_be_text(__m512i digits, size_t count, size_t of) {
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
STRONGROOM_KERNEL int strongroom_base32_may_be_text(__m512i digits, size_t count, size_t of) {
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
STRONGROOM_KERNEL size_t strongroom_write_digits(
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

/* Whether a run may be base32 that is worth a look. */
STRONGROOM_KERNEL __attribute__((noinline)) int strongroom_base32_is_worth_a_look(
    const uint8_t *run, size_t length, const strongroom_tables *tables, const strongroom_filter *filter, unsigned minimum) {
    uint8_t digits[STRONGROOM_LONGEST_RUN + 64];
    size_t count = strongroom_write_digits(run, length, tables->base32_values, digits);
    return count >= minimum && (strongroom_has_digit_window(digits, count, 8, tables, filter) ||
                                strongroom_base32_may_be_text(_mm512_loadu_si512(digits), count < 64 ? count : 64, count));
}

/* Whether a run that is long, or has line ends in it, may be base64 that is worth a look. */
STRONGROOM_KERNEL __attribute__((noinline)) int strongroom_long_base64_is_worth_a_look(
    const uint8_t *run, size_t length, const strongroom_tables *tables, const strongroom_filter *filter) {
    uint8_t digits[STRONGROOM_LONGEST_RUN + 64];
    size_t count = strongroom_write_digits(run, length, tables->base64_values, digits);
    return count >= STRONGROOM_BASE64_MINIMUM &&
           (strongroom_has_digit_window(digits, count, 4, tables, filter) ||
            strongroom_base64_may_be_text(_mm512_loadu_si512(digits), count < 64 ? count : 64, count));
}

/* Whether what a run of base64 text may say has to be looked at: bytes with a window that may be a needle's, or text; the same of base32. Of a
   run that is very long, or has a backslash, that is not told. */
STRONGROOM_KERNEL int strongroom_base64_is_worth_a_look(
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

static inline int strongroom_is_base64(const strongroom_tables *tables, uint8_t byte) {
    return byte < 128 && !(tables->lacks[byte] & STRONGROOM_CLASS_BASE64);
}

/* Finds the next run of base64 text that is worth a look and begins at or behind `from`: 22 digits, or, where it ends with a line and may go
   on in the next, which is indented, sixteen characters.

   Returns where it begins, and writes where it ends; the length of the row where there is none. */
STRONGROOM_KERNEL size_t strongroom_next_base64(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, unsigned base32_minimum,
    size_t *end) {
    const size_t blocks = (row->length + 63) / 64;
    size_t block = from / 64;
    while (block < blocks) {
        uint64_t eight = strongroom_read_64(row->marks + block) & 0x0101010101010101u * STRONGROOM_MARK_BASE64;
        if (!eight) {
            block += 8;
            continue;
        }
        block += (size_t)__builtin_ctzll(eight) / 8;
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
            while (start > from && strongroom_is_base64(tables, row->bytes[start - 1])) start--;
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
                while (position < row->length && strongroom_is_base64(tables, row->bytes[position])) position++;
                break;
            }
            if (position > row->length) position = row->length;
            int may_go_on = row->bytes[position - 1] == '\n' && position < row->length &&
                            (row->bytes[position] == ' ' || row->bytes[position] == '\t');
            if (may_go_on || (position - start >= STRONGROOM_BASE64_MINIMUM &&
                              strongroom_base64_is_worth_a_look(row->bytes + start, position - start, tables, filters, base32_minimum))) {
                *end = position;
                return start;
            }
            from = position;
            after = position / 64 > block ? position / 64 : block + 1;
        }
        block = after;
    }
    *end = row->length;
    return row->length;
}

/* Whether what 64 hex digits or fewer say may be text, at one of two phases: see strongroom_base64_may_be_text. */
STRONGROOM_KERNEL int strongroom_hex_may_be_text(__m512i digits, size_t count, size_t of) {
    uint64_t fourth = _mm512_test_epi8_mask(digits, STRONGROOM_ALL(8)), whole = strongroom_first_bits(count) >> 1;
    for (unsigned phase = 0; phase < 2; phase++) {
        size_t bytes = (of - phase) / 2;
        if ((size_t)__builtin_popcountll(fourth & whole & 0x5555555555555555u << phase) * 8 <= (bytes < 64 ? bytes : 64)) return 1;
    }
    return 0;
}

/* Whether a run of a list may be one of sixteen numbers: hex digits with a window that may be a needle's, or that say text; or as many decimal numbers.
   Of a run that is very long, or has a digit that stands alone, that is not told. */
STRONGROOM_KERNEL int strongroom_list_is_worth_a_look(
    const uint8_t *run, size_t length, const strongroom_tables *tables, const strongroom_digit_filters *filters) {
    if (length > STRONGROOM_LONGEST_RUN) return 1;
    uint8_t digits[STRONGROOM_LONGEST_RUN + 64];
    size_t count = 0, numbers = 0, alone = 0;
    uint64_t digit_before = 0, hex_before = 0;
    const __m512i low_values = _mm512_loadu_si512(tables->hex_values), high_values = _mm512_loadu_si512(tables->hex_values + 64);
    for (size_t done = 0; done < length; done += 64) {
        uint64_t there = strongroom_first_bits(length - done);
        __m512i here = _mm512_maskz_loadu_epi8(there, run + done);
        __m512i next = _mm512_maskz_loadu_epi8(strongroom_first_bits(length - done - 1), run + done + 1);
        __m512i read = _mm512_permutex2var_epi8(low_values, here, high_values);
        uint64_t hex = there & ~(uint64_t)_mm512_movepi8_mask(read);
        uint64_t next_hex = ~(uint64_t)_mm512_movepi8_mask(_mm512_permutex2var_epi8(low_values, next, high_values));
        uint64_t decimal = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(here, STRONGROOM_ALL('0')), STRONGROOM_ALL(10));
        uint64_t firsts = hex & ~(hex << 1 | hex_before);
        /* The zero of `0x`. */
        uint64_t prefix = firsts & _mm512_mask_cmpeq_epi8_mask(
                                       _mm512_cmpeq_epi8_mask(here, STRONGROOM_ALL('0')),
                                       _mm512_or_si512(next, STRONGROOM_ALL(0x20)), STRONGROOM_ALL('x'));
        numbers += (size_t)__builtin_popcountll(decimal & ~(decimal << 1 | digit_before));
        alone += (size_t)__builtin_popcountll(firsts & ~prefix & ~next_hex);
        digit_before = decimal >> 63;
        hex_before = hex >> 63;
        _mm512_storeu_si512(digits + count, _mm512_maskz_compress_epi8(hex & ~prefix, read));
        count += (size_t)__builtin_popcountll(hex & ~prefix);
    }
    if (numbers >= STRONGROOM_LIST_NUMBERS) return 1;
    /* A digit that stands alone says a number, and two say one otherwise. */
    if (count + alone < 2 * STRONGROOM_LIST_NUMBERS) return 0;
    return alone || strongroom_has_digit_window(digits, count, 2, tables, &filters->hex) ||
           strongroom_hex_may_be_text(_mm512_loadu_si512(digits), count < 64 ? count : 64, count);
}

/* Which bytes of a block may be part of a list. */
STRONGROOM_KERNEL uint64_t strongroom_list_mask(const strongroom_row *row, size_t block, const strongroom_loaded *loaded) {
    uint64_t there = strongroom_first_bits(row->length - 64 * block);
    return there & _mm512_testn_epi8_mask(
                       strongroom_lacks(loaded, _mm512_maskz_loadu_epi8(there, row->bytes + 64 * block)),
                       STRONGROOM_ALL(0x80 | STRONGROOM_CLASS_LIST));
}

/* Finds the next run of a list that is worth a look and begins at or behind `from`.

   Returns where it begins, and writes where it ends; the length of the row where there is none. */
STRONGROOM_KERNEL size_t strongroom_next_list(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, size_t *end) {
    const strongroom_loaded loaded = strongroom_load_tables(tables);
    const size_t blocks = (row->length + 63) / 64;
    for (size_t block = from / 64; block < blocks; block++) {
        uint64_t eight = strongroom_read_64(row->marks + block) & 0x0101010101010101u * STRONGROOM_MARK_LIST;
        if (!eight) {
            block += 7;
            continue;
        }
        block += (size_t)__builtin_ctzll(eight) / 8;
        unsigned __int128 rows = strongroom_list_mask(row, block, &loaded);
        if (block + 1 < blocks) rows |= (unsigned __int128)strongroom_list_mask(row, block + 1, &loaded) << 64;
        uint64_t others = ~(uint64_t)rows;
        /* As many as begin here, and with what stands at the end of the block before. */
        size_t first = others ? (size_t)__builtin_ctzll(others) : 64, before = 0;
        if (first && block > 0) {
            uint64_t others_before = ~strongroom_list_mask(row, block - 1, &loaded);
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
            while (start > from && row->bytes[start - 1] < 128 && !(tables->lacks[row->bytes[start - 1]] & STRONGROOM_CLASS_LIST)) start--;
            for (size_t at = block; at < blocks; at++, position = 64 * at) {
                uint64_t ends = ~strongroom_list_mask(row, at, &loaded) >> (position & 63);
                if (ends) {
                    position += (size_t)__builtin_ctzll(ends);
                    break;
                }
            }
            if (position > row->length) position = row->length;
            if (position - start >= STRONGROOM_LIST_MINIMUM &&
                strongroom_list_is_worth_a_look(row->bytes + start, position - start, tables, filters)) {
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
STRONGROOM_KERNEL size_t strongroom_utf16_end(const strongroom_row *row, size_t from, size_t before) {
    const uint64_t even = 0x5555555555555555u, odd = ~even;
    size_t position = from;
    unsigned zeros = 0;
    while (position + 65 <= row->length) {
        __m512i here = _mm512_loadu_si512(row->bytes + position - before);
        uint64_t zero = _mm512_testn_epi8_mask(here, here);
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

/* Finds the next text in UTF-16 with characters below U+0100 that begins at or behind `from` and is `minimum` bytes long or longer.

   Returns where its first character begins that is not zero, and writes where it ends; the length of the row where there is none. */
STRONGROOM_KERNEL size_t strongroom_next_utf16(const strongroom_row *row, size_t from, size_t minimum, size_t *end) {
    const size_t blocks = (row->length + 63) / 64;
    for (size_t block = from / 64; block < blocks; block++) {
        uint64_t eight = strongroom_read_64(row->marks + block) & 0x0101010101010101u * STRONGROOM_MARK_UTF16;
        if (!eight) {
            block += 7;
            continue;
        }
        block += (size_t)__builtin_ctzll(eight) / 8;
        size_t here = 64 * block;
        uint32_t groups;
        if (here + 64 <= row->length) {
            groups = strongroom_utf16_groups(row->bytes + here);
        } else {
            uint8_t last[64] = {0};
            memcpy(last, row->bytes + here, row->length - here);
            groups = strongroom_utf16_groups(last);
        }
        for (; groups; groups &= groups - 1) {
            size_t first = here + 2 * (size_t)__builtin_ctz(groups);
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

/* The next of places, STRONGROOM_SCHEDULE_STRIDE apart, that may lie within a schedule; `count` where there is none at or behind `from`. 52 bytes are read
   at each. */
STRONGROOM_KERNEL size_t strongroom_next_schedule(const uint8_t *bytes, size_t count, size_t from) {
    while (from < count && !(strongroom_may_be_schedule(bytes + STRONGROOM_SCHEDULE_STRIDE * from) &&
                             strongroom_is_like_schedule(bytes + STRONGROOM_SCHEDULE_STRIDE * from)))
        from++;
    return from;
}

#undef STRONGROOM_ALL
#undef STRONGROOM_KERNEL
#else

static inline int strongroom_has_kernels(void) { return 0; }
static inline void strongroom_survey(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const strongroom_filter *filter, unsigned word,
    uint8_t *hints, uint16_t *windows) {
    (void)bytes, (void)count, (void)tables, (void)filter, (void)word, (void)hints, (void)windows;
}
static inline void strongroom_mark_groups(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const uint8_t *hints, uint8_t *marks, uint64_t *base64) {
    (void)bytes, (void)count, (void)tables, (void)hints, (void)marks, (void)base64;
}
static inline size_t strongroom_next_base64(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, unsigned base32_minimum,
    size_t *end) {
    (void)from, (void)tables, (void)filters, (void)base32_minimum;
    return *end = row->length;
}
static inline size_t strongroom_next_list(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, size_t *end) {
    (void)from, (void)tables, (void)filters;
    return *end = row->length;
}
static inline size_t strongroom_next_utf16(const strongroom_row *row, size_t from, size_t minimum, size_t *end) {
    (void)from, (void)minimum;
    return *end = row->length;
}
static inline size_t strongroom_next_schedule(const uint8_t *bytes, size_t count, size_t from) {
    (void)bytes, (void)from;
    return count;
}

#endif
#endif
