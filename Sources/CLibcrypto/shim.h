/* What Strongroom uses of OpenSSL 3's libcrypto. */
#ifndef STRONGROOM_CLIBCRYPTO_SHIM_H
#define STRONGROOM_CLIBCRYPTO_SHIM_H

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

#endif
