/* The two loops of the leakage scanner that see every byte of a file, for processors with AVX-512. Everywhere else the scanner does the
   same in Swift. Each writes one byte for each 64 bytes that it looks at; what that points to is looked at again, in Swift. */
#ifndef STRONGROOM_CBYTEKERNELS_H
#define STRONGROOM_CBYTEKERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* Eight bytes at a multiple of eight are all of a class. */
    STRONGROOM_MARK_BASE64 = 1,
    /* Sixteen bytes at a multiple of sixteen are all of a class. */
    STRONGROOM_MARK_LIST = 2,
    /* A backslash or per cent sign that an escape may begin with. */
    STRONGROOM_MARK_ESCAPE = 4,
    /* A character from U+0080 to U+00FF in UTF-8. */
    STRONGROOM_MARK_PAIR = 8,
    /* Eight bytes at a multiple of eight are characters below U+0100 in UTF-8. */
    STRONGROOM_MARK_UTF8 = 16,
    /* Of eight bytes at a multiple of eight every other one is zero, and not all are. */
    STRONGROOM_MARK_UTF16 = 32,
};

/* A class of bytes, by their halves: a byte belongs to it where low[byte & 15] & high[byte >> 4] is not zero. */
typedef struct {
    uint8_t low[16];
    uint8_t high[16];
} strongroom_byte_class;

/* What `strongroom_mark_blocks` asks of bytes. */
typedef struct {
    strongroom_byte_class base64;
    strongroom_byte_class list;
    /* What may follow a backslash, or a per cent sign, in an escape that says a number. */
    strongroom_byte_class after_backslash;
    strongroom_byte_class hex_digit;
} strongroom_byte_classes;

#if defined(__x86_64__)
#include <immintrin.h>

#define STRONGROOM_KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) static inline

/* Whether this processor has what the kernels need. */
static inline int strongroom_has_kernels(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

STRONGROOM_KERNEL __mmask64 strongroom_in_class(__m512i bytes, __m512i high_halves, __m512i low, __m512i high) {
    /* A shuffle takes the lower four bits of each byte, and gives zero where its uppermost bit is set. */
    const __m512i fifteen = _mm512_set1_epi8(15);
    __m512i by_low = _mm512_shuffle_epi8(low, _mm512_and_si512(bytes, fifteen));
    return _mm512_test_epi8_mask(by_low, _mm512_shuffle_epi8(high, high_halves));
}

/* The upper bit of each of the eight bytes of a mask that is all ones. */
static inline uint64_t strongroom_full_bytes(uint64_t mask) {
    return ((mask & 0x7f7f7f7f7f7f7f7fu) + 0x0101010101010101u) & mask & 0x8080808080808080u;
}

/* Writes a mark for each of `count` blocks of 64 bytes. One byte before the first block and two behind the last are read too. */
STRONGROOM_KERNEL void strongroom_mark_blocks(
    const uint8_t *bytes, size_t count, const strongroom_byte_classes *classes, uint8_t *marks) {
#define STRONGROOM_TABLE(half) _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(half)))
    const __m512i base64_low = STRONGROOM_TABLE(classes->base64.low), base64_high = STRONGROOM_TABLE(classes->base64.high);
    const __m512i list_low = STRONGROOM_TABLE(classes->list.low), list_high = STRONGROOM_TABLE(classes->list.high);
    const __m512i after_low = STRONGROOM_TABLE(classes->after_backslash.low);
    const __m512i after_high = STRONGROOM_TABLE(classes->after_backslash.high);
    const __m512i hex_low = STRONGROOM_TABLE(classes->hex_digit.low), hex_high = STRONGROOM_TABLE(classes->hex_digit.high);
#undef STRONGROOM_TABLE
    const __m512i fifteen = _mm512_set1_epi8(15);
    const __m512i backslash = _mm512_set1_epi8('\\'), percent = _mm512_set1_epi8('%');
    const __m512i all_but_last = _mm512_set1_epi8((char)0xfe), two_leads = _mm512_set1_epi8((char)0xc2);
    const __m512i upper_two = _mm512_set1_epi8((char)0xc0), continues = _mm512_set1_epi8((char)0x80);
    for (size_t block = 0; block < count; block++) {
        const uint8_t *at = bytes + 64 * block;
        __m512i here = _mm512_loadu_si512(at);
        __m512i high_halves = _mm512_and_si512(_mm512_srli_epi16(here, 4), fifteen);
        uint64_t base64 = strongroom_in_class(here, high_halves, base64_low, base64_high);
        uint64_t list = strongroom_in_class(here, high_halves, list_low, list_high);
        __m512i next = _mm512_loadu_si512(at + 1), before = _mm512_loadu_si512(at - 1);
        __m512i next_high = _mm512_and_si512(_mm512_srli_epi16(next, 4), fifteen);

        /* No branch on what random bytes have in every other block: they would be guessed wrong. */
        uint64_t escapes = _mm512_cmpeq_epi8_mask(here, backslash) & strongroom_in_class(next, next_high, after_low, after_high);
        uint64_t digits = _mm512_cmpeq_epi8_mask(here, percent) & strongroom_in_class(next, next_high, hex_low, hex_high);
        uint64_t lead = _mm512_cmpeq_epi8_mask(_mm512_and_si512(here, all_but_last), two_leads);
        uint64_t led = _mm512_cmpeq_epi8_mask(_mm512_and_si512(before, all_but_last), two_leads);
        uint64_t continued = _mm512_cmpeq_epi8_mask(_mm512_and_si512(next, upper_two), continues);
        uint64_t continuing = _mm512_cmpeq_epi8_mask(_mm512_and_si512(here, upper_two), continues);
        uint64_t ascii = ~(uint64_t)_mm512_movepi8_mask(here);
        uint64_t zero = _mm512_testn_epi8_mask(here, here);

        uint64_t pairs = lead & continued;
        uint64_t utf8 = strongroom_full_bytes(ascii | pairs | (continuing & led));
        /* The zeros of every other byte fill the gaps of the others. */
        uint64_t utf16 = (strongroom_full_bytes(zero | 0x5555555555555555u) | strongroom_full_bytes(zero | 0xaaaaaaaaaaaaaaaau)) &
                         ~strongroom_full_bytes(zero);
        if (digits) {
            __m512i second = _mm512_loadu_si512(at + 2);
            __m512i second_high = _mm512_and_si512(_mm512_srli_epi16(second, 4), fifteen);
            escapes |= digits & strongroom_in_class(second, second_high, hex_low, hex_high);
        }
        uint8_t mark = (strongroom_full_bytes(base64) != 0) * STRONGROOM_MARK_BASE64;
        mark |= (strongroom_full_bytes(list & (list >> 8) & 0x00ff00ff00ff00ffu) != 0) * STRONGROOM_MARK_LIST;
        mark |= (escapes != 0) * STRONGROOM_MARK_ESCAPE;
        mark |= (pairs != 0) * STRONGROOM_MARK_PAIR;
        mark |= (utf8 != 0) * STRONGROOM_MARK_UTF8;
        mark |= (utf16 != 0) * STRONGROOM_MARK_UTF16;
        marks[block] = mark;
    }
}

/* Writes, for each of `count` blocks of 64 bytes, which of its eight windows have their bit set in a filter: see WindowTable.swift. One
   byte behind the last block is read too. */
STRONGROOM_KERNEL void strongroom_probe_windows(
    const uint8_t *bytes, size_t count, const uint64_t *filter, unsigned shift, uint8_t *hits) {
    const __m512i multiplier = _mm512_set1_epi64((long long)0x9e3779b97f4a7c15u);
    const __m512i all_but_sign = _mm512_set1_epi64(0x7fffffffffffffffll);
    const __m512i sixty_three = _mm512_set1_epi64(63);
    const __m512i one = _mm512_set1_epi64(1);
    const __m128i by_shift = _mm_cvtsi32_si128((int)shift);
    for (size_t block = 0; block < count; block++) {
        const uint8_t *at = bytes + 64 * block;
        __m512i window = _mm512_xor_si512(_mm512_loadu_si512(at), _mm512_loadu_si512(at + 1));
        __m512i mixed = _mm512_mullo_epi64(window, multiplier);
        __m512i hash = _mm512_and_si512(_mm512_xor_si512(mixed, _mm512_srli_epi64(mixed, 32)), all_but_sign);
        __m512i bit = _mm512_srl_epi64(hash, by_shift);
        __m512i word = _mm512_i64gather_epi64(_mm512_srli_epi64(bit, 6), (const long long *)filter, 8);
        hits[block] = _mm512_test_epi64_mask(_mm512_srlv_epi64(word, _mm512_and_si512(bit, sixty_three)), one);
    }
}

#undef STRONGROOM_KERNEL
#else

static inline int strongroom_has_kernels(void) { return 0; }
static inline void strongroom_mark_blocks(
    const uint8_t *bytes, size_t count, const strongroom_byte_classes *classes, uint8_t *marks) {
    (void)bytes, (void)count, (void)classes, (void)marks;
}
static inline void strongroom_probe_windows(
    const uint8_t *bytes, size_t count, const uint64_t *filter, unsigned shift, uint8_t *hits) {
    (void)bytes, (void)count, (void)filter, (void)shift, (void)hits;
}

#endif
#endif
