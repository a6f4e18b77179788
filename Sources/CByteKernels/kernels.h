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
    /* A character from U+0080 to U+00FF in UTF-8, in a block in which, or beside which, eight bytes at a multiple of eight are characters
       below U+0100 in UTF-8. */
    STRONGROOM_MARK_PAIR = 8,
    /* Of eight bytes at a multiple of eight every other one is zero, and of the others at most one: numbers of 32 bits, which tables in
       programs are full of, are not meant. */
    STRONGROOM_MARK_UTF16 = 16,
};

enum {
    /* What a byte may be: part of base64 text, of a list of numbers, the first or the second byte of an escape that says a number. */
    STRONGROOM_CLASS_BASE64 = 1,
    STRONGROOM_CLASS_LIST = 2,
    STRONGROOM_CLASS_ESCAPE = 4,
    STRONGROOM_CLASS_ESCAPED = 8,
};

/* The classes of each byte. No byte from 128 on has one. */
typedef struct {
    uint8_t of[256];
} strongroom_byte_classes;

#if defined(__x86_64__)
#include <immintrin.h>

#define STRONGROOM_KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi"))) static inline

/* Whether this processor has what the kernels need. */
static inline int strongroom_has_kernels(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi");
}

/* The upper bit of each of the eight bytes of a mask that is all ones. */
static inline uint64_t strongroom_full_bytes(uint64_t mask) {
    return ((mask & 0x7f7f7f7f7f7f7f7fu) + 0x0101010101010101u) & mask & 0x8080808080808080u;
}

static inline int strongroom_is_hex(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
}

/* Whether an escape that says a number may begin at one of these places of a block: the second byte of a percent escape may be one of a
   backslash's, and the other way round. */
static inline int strongroom_has_escape(const uint8_t *at, uint64_t places) {
    for (; places; places &= places - 1) {
        const uint8_t *place = at + __builtin_ctzll(places);
        if (place[0] == '%' ? strongroom_is_hex(place[1]) && strongroom_is_hex(place[2])
                            : place[1] == 'x' || place[1] == 'u' || (place[1] & 0xf8) == '0')
            return 1;
    }
    return 0;
}

/* Whether a mask of zero bytes has eight of which every other one is zero, and of the others at most one. */
static inline int strongroom_has_utf16(uint64_t zero) {
    for (int shift = 0; shift < 64; shift += 8) {
        unsigned here = zero >> shift & 0xff, even = here & 0x55, odd = here & 0xaa;
        if ((even == 0x55 && !(odd & (odd - 1))) || (odd == 0xaa && !(even & (even - 1)))) return 1;
    }
    return 0;
}

/* Writes a mark for each of `count` blocks of 64 bytes. One byte before the first block and two behind the last are read too.

   What random bytes hardly ever have is asked for in branches, which are nearly always guessed right; what they have in every other block is
   not. */
STRONGROOM_KERNEL void strongroom_mark_blocks(
    const uint8_t *bytes, size_t count, const strongroom_byte_classes *classes, uint8_t *marks) {
    const __m512i lower_classes = _mm512_loadu_si512(classes->of), upper_classes = _mm512_loadu_si512(classes->of + 64);
    const __m512i all_but_last = _mm512_set1_epi8((char)0xfe), two_leads = _mm512_set1_epi8((char)0xc2);
    const __m512i first_lead = _mm512_set1_epi8((char)0xc0);
    const __m512i escape = _mm512_set1_epi8(STRONGROOM_CLASS_ESCAPE), escaped = _mm512_set1_epi8(STRONGROOM_CLASS_ESCAPED);
    uint64_t lead_before = count && (bytes[-1] & 0xfe) == 0xc2;
    /* What stands beside the first and the last block is not known: it may be text. */
    uint64_t utf8_before = 1;
    uint8_t pair_before = 0;
    for (size_t block = 0; block < count; block++) {
        const uint8_t *at = bytes + 64 * block;
        const uint8_t next = at[64];
        __m512i here = _mm512_loadu_si512(at);
        __mmask64 above = _mm512_movepi8_mask(here);
        __m512i class = _mm512_maskz_permutex2var_epi8(_knot_mask64(above), lower_classes, here, upper_classes);

        uint64_t lead = _mm512_cmpeq_epi8_mask(_mm512_and_si512(here, all_but_last), two_leads);
        uint64_t continuing = _mm512_cmplt_epi8_mask(here, first_lead);
        uint64_t continued = continuing >> 1 | (uint64_t)(next >> 6 == 2) << 63;
        uint64_t pairs = lead & continued;
        uint64_t utf8 = strongroom_full_bytes(~(uint64_t)above | pairs | (continuing & (lead << 1 | lead_before)));
        lead_before = lead >> 63;
        uint64_t zero = _mm512_testn_epi8_mask(here, here);
        /* The class is the fourth bit, and the next block's first byte stands in the sixty-fourth. */
        uint64_t is_escaped = _mm512_test_epi8_mask(class, escaped) >> 1 |
                              (uint64_t)(classes->of[next] & STRONGROOM_CLASS_ESCAPED) << 60;
        uint64_t escapes = _mm512_test_epi8_mask(class, escape) & is_escaped;

        uint8_t pair = (pairs != 0) * STRONGROOM_MARK_PAIR;
        uint8_t mark = ((utf8 | utf8_before) != 0) * pair;
        if (escapes) mark |= strongroom_has_escape(at, escapes) * STRONGROOM_MARK_ESCAPE;
        if (utf8) {
            /* Text of any other kind is text of this one. */
            uint64_t base64 = _mm512_test_epi8_mask(class, _mm512_set1_epi8(STRONGROOM_CLASS_BASE64));
            uint64_t list = _mm512_test_epi8_mask(class, _mm512_set1_epi8(STRONGROOM_CLASS_LIST));
            if (block > 0) marks[block - 1] |= pair_before;
            mark |= (strongroom_full_bytes(base64) != 0) * STRONGROOM_MARK_BASE64;
            mark |= (strongroom_full_bytes(list & (list >> 8) & 0x00ff00ff00ff00ffu) != 0) * STRONGROOM_MARK_LIST;
        }
        if (__builtin_popcountll(zero) >= 4) {
            /* The zeros of every other byte fill the gaps of the others. */
            uint64_t halves = strongroom_full_bytes(zero | 0x5555555555555555u) | strongroom_full_bytes(zero | 0xaaaaaaaaaaaaaaaau);
            if (halves & ~strongroom_full_bytes(zero)) mark |= strongroom_has_utf16(zero) * STRONGROOM_MARK_UTF16;
        }
        marks[block] = mark;
        utf8_before = utf8;
        pair_before = pair;
    }
    if (count) marks[count - 1] |= pair_before;
}

/* Writes, for each of `count` blocks of 64 bytes, which of its eight windows have their bit set in a filter: see WindowTable.swift. One
   byte behind the last block is read too. The filter is read a byte at a time: a gather takes three times as long. */
STRONGROOM_KERNEL void strongroom_probe_windows(
    const uint8_t *bytes, size_t count, const uint64_t *filter, unsigned shift, uint8_t *hits) {
    const uint8_t *filter_bytes = (const uint8_t *)filter;
    const __m512i multiplier = _mm512_set1_epi64((long long)0x9e3779b97f4a7c15u);
    const __m512i all_but_sign = _mm512_set1_epi64(0x7fffffffffffffffll);
    const __m512i seven = _mm512_set1_epi64(7), one = _mm512_set1_epi64(1);
    const __m128i by_shift = _mm_cvtsi32_si128((int)shift);
    for (size_t block = 0; block < count; block++) {
        const uint8_t *at = bytes + 64 * block;
        __m512i window = _mm512_xor_si512(_mm512_loadu_si512(at), _mm512_loadu_si512(at + 1));
        __m512i mixed = _mm512_mullo_epi64(window, multiplier);
        __m512i hash = _mm512_and_si512(_mm512_xor_si512(mixed, _mm512_srli_epi64(mixed, 32)), all_but_sign);
        __m512i bit = _mm512_srl_epi64(hash, by_shift);
        uint32_t place[8];
        _mm256_storeu_si256((__m256i *)place, _mm512_cvtepi64_epi32(_mm512_srli_epi64(bit, 3)));
        uint64_t lower = (uint32_t)filter_bytes[place[0]] | (uint32_t)filter_bytes[place[1]] << 8 |
                         (uint32_t)filter_bytes[place[2]] << 16 | (uint32_t)filter_bytes[place[3]] << 24;
        uint64_t upper = (uint32_t)filter_bytes[place[4]] | (uint32_t)filter_bytes[place[5]] << 8 |
                         (uint32_t)filter_bytes[place[6]] << 16 | (uint32_t)filter_bytes[place[7]] << 24;
        __m128i read = _mm_cvtsi64_si128((long long)(lower | upper << 32));
        __m128i wanted = _mm512_cvtepi64_epi8(_mm512_sllv_epi64(one, _mm512_and_si512(bit, seven)));
        hits[block] = (uint8_t)_mm_test_epi8_mask(read, wanted);
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
