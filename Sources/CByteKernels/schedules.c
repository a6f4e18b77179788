/* Where key schedules may lie. */
#if defined(__x86_64__)

#include "schedules.h"

STRONGROOM_KERNEL size_t strongroom_next_hinted(const uint32_t *hints, size_t count, size_t from, int bit) {
    for (; from < count; from += 8) {
        uint64_t eight = strongroom_hinted(strongroom_load_half(hints + from), bit);
        if (!eight) continue;
        from += (size_t)__builtin_ctzll(eight);
        return from < count ? from : count;
    }
    return count;
}

STRONGROOM_KERNEL size_t strongroom_next_schedule(const uint8_t *bytes, size_t count, size_t from) {
    for (; from < count; from++) {
        while (from + 1 < count && !strongroom_may_have_schedule(bytes + STRONGROOM_SCHEDULE_STRIDE * from)) from += 2;
        if (from < count && strongroom_is_like_schedule(bytes + STRONGROOM_SCHEDULE_STRIDE * from)) return from;
    }
    return count;
}

#endif
