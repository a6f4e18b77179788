/* Whether there are kernels for this processor; and what stands in their place where there are none for its architecture. */
#include "CByteKernels.h"

#if defined(__x86_64__)

int strongroom_has_kernels(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("popcnt");
}

#else

int strongroom_has_kernels(void) { return 0; }

void strongroom_survey(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const strongroom_filter *filter, unsigned word,
    const strongroom_survey_results *results) {
    (void)bytes, (void)count, (void)tables, (void)filter, (void)word, (void)results;
}

size_t strongroom_next_base64(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, unsigned base32_minimum,
    size_t *end) {
    (void)from, (void)tables, (void)filters, (void)base32_minimum;
    return *end = row->length;
}

size_t strongroom_next_list(
    const strongroom_row *row, size_t from, const strongroom_tables *tables, const strongroom_digit_filters *filters, size_t *end, int *held) {
    (void)from, (void)tables, (void)filters, (void)held;
    return *end = row->length;
}

size_t strongroom_next_utf16(const strongroom_row *row, size_t from, size_t minimum, size_t *end) {
    (void)from, (void)minimum;
    return *end = row->length;
}

size_t strongroom_next_escape(const strongroom_row *row, size_t from, const strongroom_tables *tables) {
    (void)from, (void)tables;
    return row->length;
}

size_t strongroom_next_pair(const strongroom_row *row, size_t from) {
    (void)from;
    return row->length;
}

size_t strongroom_next_hinted(const uint32_t *hints, size_t count, size_t from, int bit) {
    (void)hints, (void)from, (void)bit;
    return count;
}

size_t strongroom_next_schedule(const uint8_t *bytes, size_t count, size_t from) {
    (void)bytes, (void)from;
    return count;
}

#endif
