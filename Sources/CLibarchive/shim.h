/* Reading gzip, zip, tar and their like: libarchive. */
#ifndef STRONGROOM_CLIBARCHIVE_SHIM_H
#define STRONGROOM_CLIBARCHIVE_SHIM_H

#include <archive.h>
#include <archive_entry.h>

#endif
