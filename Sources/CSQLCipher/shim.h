/* The two codec entry points of SQLCipher, and nothing else: its own sqlite3.h would show the compiler a second,
   different SQLite module beside the one GRDB is built with. The static archive is linked on purpose: its
   definitions land in the executable and win over any shared SQLite, in whatever order the libraries are named. */
#ifndef STRONGROOM_CSQLCIPHER_SHIM_H
#define STRONGROOM_CSQLCIPHER_SHIM_H

struct sqlite3;

int sqlite3_key_v2(struct sqlite3 *database, const char *schema, const void *key, int key_length);
int sqlite3_rekey_v2(struct sqlite3 *database, const char *schema, const void *key, int key_length);

#endif
