/* Linux calls that Swift cannot import by itself: variadic functions, and constants that are GNU's or stand behind casts.
   The header includes nothing that depends on _GNU_SOURCE: Swift's own Glibc module is built without it, and one type
   seen with two definitions stops the compiler. */
#ifndef STRONGROOM_CLINUX_H
#define STRONGROOM_CLINUX_H

#include <stddef.h>

/* The flag of open(2) that goes past the page cache. */
extern const int strongroom_open_direct;

int strongroom_set_dumpable(int dumpable);

int strongroom_advise_dont_dump(void *address, size_t length);

int strongroom_advise_wipe_on_fork(void *address, size_t length);

/* Pages of the process's own, zeroed; NULL where there are none. */
void *strongroom_map_private(size_t length);

/* Whichever handler was installed for it, the signal kills the process again by default. */
int strongroom_restore_default_handler(int signal_number);

/* Renames, and fails with EEXIST where the target exists. */
int strongroom_rename_without_replacing(const char *from, const char *to);

/* The length of the access control list of an open file, and the list as the kernel keeps it; 0 where there is none, -1 with errno. */
long strongroom_read_access_list(int descriptor, void *buffer, size_t length);

/* Where the next part of a file that has data begins at or behind an offset (data != 0), or the next hole; -1 with errno
   ENXIO where there is none. */
long long strongroom_seek_part(int descriptor, long long offset, int data);

/* Gives a file its length, and the room for it on the disk. */
int strongroom_allocate(int descriptor, long long length);

/* Lets two files share what one of them holds; the file system copies what is changed later. */
int strongroom_clone(int target, int source);

/* Whether a process holds a POSIX or open-file-description lock on the range: 0 no, 1 yes, -1 an error. */
int strongroom_is_range_locked(int descriptor, long long start, long long length);

/* Non-zero where the directory lies in memory (tmpfs or ramfs). */
int strongroom_is_memory_backed(const char *path);

/* Whether all that was printed has left the process. Swift does not let `stdout` be named. */
int strongroom_output_arrived(void);

#endif
