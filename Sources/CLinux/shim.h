/* Linux calls that Swift cannot import by itself: variadic functions and constants behind casts. */
#ifndef STRONGROOM_CLINUX_SHIM_H
#define STRONGROOM_CLINUX_SHIM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static inline int strongroom_set_dumpable(int dumpable) {
    return prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
}

static inline int strongroom_advise_dont_dump(void *address, size_t length) {
    return madvise(address, length, MADV_DONTDUMP);
}

static inline int strongroom_advise_wipe_on_fork(void *address, size_t length) {
    return madvise(address, length, MADV_WIPEONFORK);
}

static inline void *strongroom_map_private(size_t length) {
    void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

/* Whoever installed a handler for it, the signal kills the process again as if nobody had. */
static inline int strongroom_restore_default_handler(int signal_number) {
    struct sigaction action = {0};
    action.sa_handler = SIG_DFL;
    return sigaction(signal_number, &action, NULL);
}

/* Renames, and fails with EEXIST where the target exists. */
static inline int strongroom_rename_without_replacing(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

static const int strongroom_open_direct = O_DIRECT;

/* Where the next part of a file that has data begins at or behind an offset (data != 0), or the next hole; -1 with errno
   ENXIO where there is none. */
static inline long long strongroom_seek_part(int descriptor, long long offset, int data) {
    return lseek(descriptor, offset, data ? SEEK_DATA : SEEK_HOLE);
}

/* Lets two files share what one of them holds; the file system copies what is changed later. */
static inline int strongroom_clone(int target, int source) { return ioctl(target, FICLONE, source); }

/* The process that holds a POSIX or open-file-description lock on the range: 0 nobody, -1 an error. */
static inline int strongroom_is_range_locked(int descriptor, long long start, long long length) {
    struct flock lock = {0};
    lock.l_type = F_WRLCK;
    lock.l_whence = 0;
    lock.l_start = start;
    lock.l_len = length;
    if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0) {
        return -1;
    }
    return lock.l_type == F_UNLCK ? 0 : 1;
}

/* Non-zero where the directory lies in memory (tmpfs or ramfs). */
static inline int strongroom_is_memory_backed(const char *path) {
    struct statfs information;
    if (statfs(path, &information) != 0) {
        return 0;
    }
    return information.f_type == 0x01021994 || information.f_type == 0x858458f6;
}

#endif
