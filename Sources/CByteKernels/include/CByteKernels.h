/* The loops of the leakage scanner that see every byte of a file, for processors with AVX2. Everywhere else the scanner does the same in
   Swift. A row is surveyed in groups of 192 bytes, which says what a group may hold and is never wrong about what it does not; what may
   hold something is then marked in blocks of 64 bytes, exactly; and text is found from the marks. */
#ifndef STRONGROOM_BYTE_KERNELS_H
#define STRONGROOM_BYTE_KERNELS_H

#include "tables.h"

/* Whether this processor has what all of these need. */
int strongroom_has_kernels(void);

/* Surveys groups of 192 bytes; words of four bytes are aligned at `word` bytes behind where each begins. One byte before the first group and two
   behind the last are read too. */
void strongroom_survey(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const strongroom_filter *filter, unsigned word,
    const strongroom_survey_results *results);

/* Finds the next run of base64 text that is worth a look and begins at or behind `from`: 22 digits, or, where it ends with a line and may go
   on in the next, which is indented, sixteen characters.

   Returns where it begins, and writes where it ends; the length of the row where there is none. */
size_t strongroom_next_base64(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, unsigned base32_minimum,
    size_t *end);

/* Finds the next run of a list that is worth a look and begins at or behind `from`.

   Returns where it begins, and writes where it ends and what it may hold; the length of the row where there is none. */
size_t strongroom_next_list(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, size_t *end, int *held);

/* Finds the next text in UTF-16 with characters below U+0100 that begins at or behind `from` and is `minimum` bytes long or longer.

   Returns where its first character begins that is not zero, and writes where it ends; the length of the row where there is none. */
size_t strongroom_next_utf16(const strongroom_row *row, size_t from, size_t minimum, size_t *end);

/* Finds the next place, at or behind `from`, where an escape may begin that says a number, and the next where a character from U+0080 to U+00FF
   begins in UTF-8, in a block that has its mark; the length of the row where there is none. */
size_t strongroom_next_escape(const strongroom_row *row, size_t from, const strongroom_tables *tables);
size_t strongroom_next_pair(const strongroom_row *row, size_t from);

/* The next group, at or behind `from`, that has a hint; `count` where there is none. */
size_t strongroom_next_hinted(const uint32_t *hints, size_t count, size_t from, int bit);

/* The next of places, STRONGROOM_SCHEDULE_STRIDE apart, that may lie within a schedule; `count` where there is none at or behind `from`. 52 bytes are read
   at each. */
size_t strongroom_next_schedule(const uint8_t *bytes, size_t count, size_t from);

#endif
