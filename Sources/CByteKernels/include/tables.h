/* What the loops of the scanner are told, and what they say. */
#ifndef STRONGROOM_TABLES_H
#define STRONGROOM_TABLES_H

#include <stddef.h>
#include <stdint.h>

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

/* Where in a word it stands what a group may hold. */
enum {
    /* Eight bytes at a multiple of eight that may all be text, or all be text in UTF-16: for each of three blocks a bit for each of four places in
       one of its halves or the other. */
    STRONGROOM_HINT_TEXT_BIT = 0,
    STRONGROOM_HINT_UTF16_BIT = 12,
    /* Where an escape or a pair may begin: for each of three blocks a bit. */
    STRONGROOM_HINT_ESCAPE_BIT = 24,
    STRONGROOM_HINT_PAIR_BIT = 27,
    /* Words that are related as those of an AES-256 key schedule are. */
    STRONGROOM_HINT_SCHEDULE_BIT = 30,
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

/* What a byte may be. */
enum {
    /* Part of base64 text. */
    STRONGROOM_CLASS_BASE64,
    /* Part of a list of numbers. */
    STRONGROOM_CLASS_LIST,
    STRONGROOM_CLASS_HEX,
    /* A digit of base64, and of base32 in either case. */
    STRONGROOM_CLASS_BASE64_DIGIT,
    STRONGROOM_CLASS_BASE32_DIGIT,
    /* What follows a backslash in an escape that says a number: `x`, `u`, an octal digit. */
    STRONGROOM_CLASS_ESCAPED,
    STRONGROOM_CLASSES,
};

/* What a list may hold. */
enum {
    STRONGROOM_LIST_HEX = 1,
    STRONGROOM_LIST_DECIMAL = 2,
};

/* What ASCII characters are. Bytes from 128 on have no class. */
typedef struct {
    /* Of each class, for each lower half of a character's number, the upper halves of its members, a bit each. */
    uint8_t members[STRONGROOM_CLASSES][16];
} strongroom_tables;

/* Which windows may be a needle's. The upper bits of a window's hash say in which word each sets bits; one in each byte, which that byte's own
   lowest three bits in the hash say, or, of a window of digits, two. */
typedef struct {
    const uint32_t *words;
    /* There are two to the power of so many words; of windows of digits as many again, for a second place. */
    unsigned bits;
} strongroom_filter;

/* Of windows of digits. */
typedef struct {
    strongroom_filter base64, base32, hex;
} strongroom_digit_filters;

/* Where a survey says what it found. */
typedef struct {
    /* What each group may hold, with room for sixteen more. */
    uint32_t *hints;
    /* Which of each group's windows may be a needle's. */
    uint16_t *windows;
    /* What each block of a group holds, and, where it has base64, which of its bytes are. */
    uint8_t *marks;
    uint64_t *base64;
} strongroom_survey_results;

/* A row of bytes whose blocks are marked. */
typedef struct {
    const uint8_t *bytes;
    size_t length;
    /* Eight more than there are blocks, the last ones zero. */
    const uint8_t *marks;
    /* Which bytes are base64, for each block that has that mark. */
    const uint64_t *base64;
} strongroom_row;

/* Fibonacci hashing: two to the power of 32, or 64, divided by the golden ratio. */
#define STRONGROOM_HASH_32 0x9e3779b1u
#define STRONGROOM_HASH_64 0x9e3779b97f4a7c15ull
/* Another, for a second place. */
#define STRONGROOM_SECOND_HASH_64 0xd6e8feb86659fd93ull

#endif
