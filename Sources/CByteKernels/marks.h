/* What each block of 64 bytes holds, of groups that may hold something. */
#ifndef STRONGROOM_MARKS_H
#define STRONGROOM_MARKS_H

#include "bytes.h"

/* Marks the blocks of every group that has a hint, and no others. A byte before the first group and two behind the last are read too, and up to
   fifteen hints behind the last. */
void strongroom_mark_groups(
    const uint8_t *bytes, size_t count, const strongroom_tables *tables, const uint32_t *hints, uint8_t *marks, uint64_t *base64);

#endif
