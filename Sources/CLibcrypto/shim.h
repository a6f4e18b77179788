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

#endif
