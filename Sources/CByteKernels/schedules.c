/* Where key schedules may lie. */
#if defined(__x86_64__)

#include "schedules.h"

STRONGROOM_KERNEL size_t strongroom_next_schedule(const uint8_t *bytes, size_t count, size_t from) {
    while (from < count && !strongroom_is_like_schedule(bytes + STRONGROOM_SCHEDULE_STRIDE * from)) from++;
    return from;
}

#endif
