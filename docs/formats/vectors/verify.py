#!/usr/bin/env python3
"""Opens the vectors from the format documents alone, with no code of Strongroom's. Needs the package `cryptography`."""
import base64, hashlib, hmac, json, pathlib, re, sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = pathlib.Path(__file__).parent
KEY_FILE, PASSPHRASE = bytes(range(32)), b"correct horse battery staple"


def hkdf(key, info, salt=b"", length=32):
    return HKDF(hashes.SHA256(), length, salt or None, info.encode()).derive(key)


def b64(text):
    return base64.b64decode(text, validate=True)


def unseal(sealed, wrapping_key, *fields):
    label = "strongroom/seal/v1"
    associated = b"".join(len(f.encode()).to_bytes(4, "big") + f.encode() for f in (label, *fields))
    return AESGCM(hkdf(wrapping_key, label, sealed[:32])).decrypt(sealed[32:44], sealed[44:], associated)


def read(name):
    raw = (HERE / name).read_bytes()
    body, line = re.fullmatch(rb"(.*)\n(mac [^\n]*)\n", raw, re.S).groups()
    words = line.decode().split(" ")
    assert words[:2] == ["mac", "hmac-sha256"] and words[4] == "sha256"
    assert hashlib.sha256(raw[: -1 - 64 - 8]).hexdigest() == words[5]
    return json.loads(body), raw[: -1 - 64 - 8 - 64], words[3]


def check_mac(root, document, authenticated, tag):
    key = hkdf(root, "strongroom/mac/v1/" + document["format"])
    assert hmac.new(key, authenticated, "sha256").hexdigest() == tag


def open_root(document, unlocker, version=1):
    sealing, ring = unlocker["sealing"], document["keyringId"]
    salt = b64(sealing["salt"])
    if unlocker["kind"] == "keyFile":
        unlocking = hkdf(KEY_FILE, "strongroom/unlocker/key-file/v1", salt)
    else:
        unlocking = hashlib.scrypt(PASSPHRASE, salt=salt, n=1 << sealing["logN"], r=sealing["blockSize"],
                                   p=sealing["parallelism"], maxmem=1 << 28, dklen=32)
    assert hkdf(unlocking, "strongroom/unlocker/commitment/v1/" + unlocker["id"]) == b64(sealing["commitment"])
    public = b64(unlocker["publicKey"])
    private = unseal(b64(sealing["privateKey"]), hkdf(unlocking, "strongroom/unlocker/wrap/v1"), "unlocker-private-key",
                     ring, unlocker["id"], unlocker["kind"], public.hex())
    key = X25519PrivateKey.from_private_bytes(private)
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    assert key.public_key().public_bytes(*raw) == public
    entry = next(r for r in document["rootKeys"] if r["version"] == version)
    recipient = next(r for r in entry["recipients"] if r["unlocker"] == unlocker["id"])
    ephemeral = b64(recipient["ephemeralKey"])
    shared = key.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    wrapping = hkdf(shared, "strongroom/root/wrap/v1", ephemeral + public)
    return unseal(b64(recipient["rootKey"]), wrapping, "root-key", ring, unlocker["id"], str(version))


def fields(*texts):
    return b"".join(len(t.encode()).to_bytes(4, "big") + t.encode() for t in texts)


def check_endorsement():
    """docs/formats/keyring.md, "Endorsements": root key 2 is vouched for by root key 1."""
    keyring, authenticated, tag = read("keyring-rotating-v1.json")
    assert keyring["critical"] == ["endorsement", "rotations"] and keyring["rotations"][0]["kind"] == "root"
    assert [(r["version"], r["state"]) for r in keyring["rootKeys"]] == [(1, "decryptOnly"), (2, "active")]
    old, new = (open_root(keyring, keyring["unlockers"][0], version) for version in (1, 2))
    check_mac(new, keyring, authenticated, tag)
    label = "strongroom/root/endorse/v1"
    message = fields(label, keyring["keyringId"], "1", "2")
    proof = hmac.new(hkdf(new, "strongroom/root/proof/v1"), message, "sha256").digest()
    endorsement = hmac.new(hkdf(old, label), message + proof, "sha256").digest()
    assert endorsement == b64(keyring["rootKeys"][1]["endorsement"])


def check_recovery_key():
    """docs/formats/recovery-key.md: the texts of the private key 00 01 ... 1f, as the tests of the keyring have them."""
    private = bytes(range(32))
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(*raw)

    def text(prefix, key):
        digits = base64.b32encode(key + hashlib.sha256(prefix.encode() + key).digest()[:3]).decode().lower()
        return prefix + "-".join(digits[i : i + 4] for i in range(0, len(digits), 4))

    summed = private + hashlib.sha256(b"srkey1-" + private).digest()[:4]
    consonants, vowels = "bdfghjklmnprstvz", "aiou"
    values = [int.from_bytes(summed[i : i + 2], "big") for i in range(0, 36, 2)]
    words = " ".join(consonants[v >> 12 & 15] + vowels[v >> 10 & 3] + consonants[v >> 6 & 15] + vowels[v >> 4 & 3]
                     + consonants[v & 15] for v in values)
    tests = (HERE.parent.parent.parent / "Tests/KeyringTests/RecoveryKeyTests.swift").read_text()
    for expected in (public.hex(), text("srkey1-", private), text("srpub1-", public), words):
        assert expected in tests, expected


def check_pages(database, name, tag_length, size=1024):
    """docs/formats/page.md: the tag of every page, and the SQLite header that page 1 decrypts to."""
    key, salt = bytes(range(32)), bytes(range(0x40, 0x50))
    assert database[:16] == salt and len(database) == 2 * size
    hmac_key = hashlib.pbkdf2_hmac("sha512", key, bytes(b ^ 0x3A for b in salt), 2, 32)
    for number in (1, 2):
        page = database[(number - 1) * size : number * size]
        start = 16 if number == 1 else 0
        message = page[start : size - tag_length] + number.to_bytes(4, "little")
        assert hmac.new(hmac_key, message, name).digest() == page[size - tag_length :]
        iv = page[size - tag_length - 16 : size - tag_length]
        decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        plaintext = decryptor.update(page[start : size - tag_length - 16])
        if number == 1:
            assert int.from_bytes(plaintext[0:2], "big") == size  # bytes 16 and 17 of SQLite's header


def check_snapshot(database, raw, size=1024):
    """docs/formats/snapshot.md: both MACs of the manifest, every tag, and the root over the tags."""
    key = bytes(range(32))
    body, verify, seal = re.fullmatch(rb"(.*\n)(verify [^\n]*\n)(mac [^\n]*)\n", raw, re.S).groups()
    words, manifest = seal.decode().split(" "), json.loads(body)
    assert hashlib.sha256(raw[: -1 - 64 - 8]).hexdigest() == words[5]
    salt = hkdf(key, "strongroom/kid/v1", length=16)
    assert database[:16].hex() == salt.hex() == manifest["keyId"] == words[2][4:]
    page_key = hashlib.pbkdf2_hmac("sha512", key, bytes(b ^ 0x3A for b in salt), 2, 32)
    owner, auditor = hkdf(key, "strongroom/snapshot/manifest/v1"), hkdf(page_key, "strongroom/snapshot/verify/v1")
    assert hmac.new(owner, raw[: -1 - 64 - 8 - 64], "sha256").hexdigest() == words[3]
    assert hmac.new(auditor, body, "sha256").hexdigest() == verify.decode().split()[3]

    count, tags = len(database) // size, []
    assert manifest["pageCount"] == count and len(database) == count * size
    for number in range(1, count + 1):
        page = database[(number - 1) * size : number * size]
        message = page[16 if number == 1 else 0 : size - 64] + number.to_bytes(4, "little")
        assert hmac.new(page_key, message, "sha512").digest() == page[-64:]
        tags.append(page[-64:])
    group = (1 << 20) // size
    leaves = [hashlib.sha256(b"\0" + b"".join(tags[i : i + group])).digest() for i in range(0, count, group)]
    assert hashlib.sha256(b"\1" + count.to_bytes(8, "little") + b"".join(leaves)).hexdigest() == manifest["tagRoot"]


def main():
    expected = (HERE / "README.md").read_text()
    keyring, authenticated, tag = read("keyring-v1.json")
    roots = {open_root(keyring, unlocker) for unlocker in keyring["unlockers"]}
    assert len(roots) == 1 and len(keyring["unlockers"]) == 2
    root = roots.pop()
    check_mac(root, keyring, authenticated, tag)
    assert hmac.new(root, b"strongroom vector", "sha256").hexdigest() in expected

    envelope, authenticated, tag = read("envelope-v1.json")
    check_mac(root, envelope, authenticated, tag)
    entry = envelope["keys"][0]
    data_key = unseal(b64(entry["dataKey"]), hkdf(root, "strongroom/data/wrap/v1"), "data-key", envelope["keyringId"],
                      envelope["scope"], "1", entry["state"], entry["keyId"])
    assert hkdf(data_key, "strongroom/kid/v1", length=16).hex() == entry["keyId"]
    assert entry["keyId"] in expected
    session, authenticated, tag = read("envelope-session-v1.json")
    check_mac(root, session, authenticated, tag)
    assert session["critical"] == ["session"] and session["session"] == "open"
    assert session["keyringSequence"] == keyring["sequence"] and session["keys"] == envelope["keys"]
    for name, tag_length in (("sha512", 64), ("sha256", 32)):
        check_pages((HERE / f"page-{name}.db").read_bytes(), name, tag_length)
    check_snapshot((HERE / "snapshot-v1.db").read_bytes(), (HERE / "snapshot-v1.json").read_bytes())
    check_endorsement()
    check_recovery_key()
    print("vectors open")


sys.exit(main())
