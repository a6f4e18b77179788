/* The loops of the leakage scanner that see every byte of a file, for processors with AVX-512 VBMI and VBMI2. Everywhere else the scanner does the
   same in Swift. A row is surveyed in groups of 192 bytes, which says what a group may hold and is never wrong about what it does not; what may
   hold something is then marked in blocks of 64 bytes, exactly; and text is found from the marks. */
#ifndef STRONGROOM_KERNELS_H
#define STRONGROOM_KERNELS_H

#include "tables.h"

#if defined(__x86_64__)

#include "marks.h"
#include "runs.h"
#include "schedules.h"
#include "survey.h"

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
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, size_t *end, int *held) {
    (void)from, (void)tables, (void)filters, (void)held;
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
