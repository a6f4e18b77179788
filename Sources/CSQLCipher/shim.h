/* The codec entry points of SQLCipher and what the system's sqlite3.h is too old for, and nothing else: its own sqlite3.h would show the compiler a second,
   different SQLite module beside the one GRDB is built with. The static archive is linked on purpose: its
   definitions land in the executable and win over any shared SQLite, in whatever order the libraries are named. */
#ifndef STRONGROOM_CSQLCIPHER_SHIM_H
#define STRONGROOM_CSQLCIPHER_SHIM_H

struct sqlite3;

int sqlite3_key_v2(struct sqlite3 *database, const char *schema, const void *key, int key_length);
int sqlite3_rekey_v2(struct sqlite3 *database, const char *schema, const void *key, int key_length);

/* A switch of a connection. The function is variadic, which Swift cannot call. */
int sqlite3_db_config(struct sqlite3 *database, int option, ...);

static inline int strongroom_db_switch(struct sqlite3 *database, int option, int on) {
    int result = 0;
    int code = sqlite3_db_config(database, option, on, &result);
    return code != 0 ? code : result == on ? 0 : 1;
}

/* SQLite 3.44, which SQLCipher 4.5.6 brings. */
void *sqlite3_get_clientdata(struct sqlite3 *database, const char *name);
int sqlite3_set_clientdata(struct sqlite3 *database, const char *name, void *data, void (*destroy)(void *));

/* What ATTACH and VACUUM of SQLCipher ask whether a database has a key; its name was changed in 4.6. */
__attribute__((weak)) void sqlcipherCodecGetKey(struct sqlite3 *database, int index, void **key, int *length);
__attribute__((weak)) void sqlite3CodecGetKey(struct sqlite3 *database, int index, void **key, int *length);

/* Whether the database at an index of a connection is under a key; the key itself is not looked at. */
static inline int strongroom_has_key(struct sqlite3 *database, int index) {
  void *key = 0;
  int length = 0;
  if (sqlcipherCodecGetKey) {
    sqlcipherCodecGetKey(database, index, &key, &length);
  } else if (sqlite3CodecGetKey) {
    sqlite3CodecGetKey(database, index, &key, &length);
  }
  return length > 0;
}

#endif
