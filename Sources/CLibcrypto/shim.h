/* What Strongroom uses of OpenSSL 3's libcrypto. */
#ifndef STRONGROOM_CLIBCRYPTO_SHIM_H
#define STRONGROOM_CLIBCRYPTO_SHIM_H

/* Key schedules are only to be had through the calls that OpenSSL 3 no longer recommends for encryption. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/aes.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "Strongroom needs OpenSSL 3.0 or newer"
#endif

/* Parameter names as constants: libcrypto keeps the pointer, so a string that Swift makes for one call will not do. */
static const char *const strongroom_kdf_digest = OSSL_KDF_PARAM_DIGEST;
static const char *const strongroom_kdf_key = OSSL_KDF_PARAM_KEY;
static const char *const strongroom_kdf_salt = OSSL_KDF_PARAM_SALT;
static const char *const strongroom_kdf_info = OSSL_KDF_PARAM_INFO;
static const char *const strongroom_mac_digest = OSSL_MAC_PARAM_DIGEST;

/* The 240 bytes of an AES-256 key schedule, for encryption or (equivalent inverse cipher) decryption; 0 where refused. The words
   are in the order of this machine's implementation. */
static inline int strongroom_aes256_schedule(const unsigned char *key, int is_decryption, unsigned char *schedule) {
    AES_KEY expanded;
    int result = is_decryption ? AES_set_decrypt_key(key, 256, &expanded) : AES_set_encrypt_key(key, 256, &expanded);
    int done = result == 0 && expanded.rounds == 14;
    if (done) {
        for (int index = 0; index < 240; index++) {
            schedule[index] = ((const unsigned char *)expanded.rd_key)[index];
        }
    }
    OPENSSL_cleanse(&expanded, sizeof expanded);
    return done;
}

#endif
