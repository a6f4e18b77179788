#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

const int strongroom_open_direct = O_DIRECT;

int strongroom_set_dumpable(int dumpable) { return prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0); }

int strongroom_advise_dont_dump(void *address, size_t length) { return madvise(address, length, MADV_DONTDUMP); }

int strongroom_advise_wipe_on_fork(void *address, size_t length) { return madvise(address, length, MADV_WIPEONFORK); }

void *strongroom_map_private(size_t length) {
    void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

int strongroom_restore_default_handler(int signal_number) {
    struct sigaction action = {0};
    action.sa_handler = SIG_DFL;
    return sigaction(signal_number, &action, NULL);
}

int strongroom_rename_without_replacing(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

long strongroom_read_access_list(int descriptor, void *buffer, size_t length) {
    ssize_t count = fgetxattr(descriptor, "system.posix_acl_access", buffer, length);
    return count < 0 && (errno == ENODATA || errno == ENOTSUP) ? 0 : count;
}

long long strongroom_seek_part(int descriptor, long long offset, int data) {
    return lseek(descriptor, offset, data ? SEEK_DATA : SEEK_HOLE);
}

int strongroom_allocate(int descriptor, long long length) { return fallocate(descriptor, 0, 0, length); }

int strongroom_clone(int target, int source) { return ioctl(target, FICLONE, source); }

int strongroom_is_range_locked(int descriptor, long long start, long long length) {
    struct flock lock = {0};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    if (fcntl(descriptor, F_OFD_GETLK, &lock) != 0) {
        return -1;
    }
    return lock.l_type == F_UNLCK ? 0 : 1;
}

int strongroom_is_memory_backed(const char *path) {
    struct statfs information;
    if (statfs(path, &information) != 0) {
        return 0;
    }
    return information.f_type == TMPFS_MAGIC || information.f_type == RAMFS_MAGIC;
}

int strongroom_output_arrived(void) { return fflush(stdout) == 0 && ferror(stdout) == 0; }
