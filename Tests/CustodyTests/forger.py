#!/usr/bin/python3
"""What an attacker can make of a store's files, written from docs/formats alone. It shares no code with the product.

One JSON object a line on standard input, `{"do": NAME, …}`; one answer a line on standard output, `{"ok": true, …}` or `{"ok": false, "error": …}`.
Keys and other bytes are hex digits, `file` is a path that is read, `out` one that is written (0600). Roots are `{"VERSION": KEY}`.
An attacker's knowledge is what a request gives: nothing is remembered between two requests. The commands are the functions below `# Commands`.
"""
import base64, hashlib, hmac, json, os, re, struct, sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TAGS = {"hmac-sha512": ("sha512", 64), "hmac-sha256": ("sha256", 32)}  # docs/formats/page.md
COMMANDS = {}


def command(function):
    COMMANDS[function.__name__.replace("_", "-")] = function
    return function


# docs/formats/keyring.md: keys, sealed values, endorsements


def hkdf(key, info, salt=b"", length=32):
    return HKDF(hashes.SHA256(), length, salt or None, info.encode()).derive(key)


def mac(key, message, name="sha256"):
    return hmac.new(key, message, name).digest()


def fields(*texts):
    return b"".join(len(t.encode()).to_bytes(4, "big") + t.encode() for t in texts)


def seal(value, wrapping, *purpose):
    salt, nonce, label = os.urandom(32), os.urandom(12), "strongroom/seal/v1"
    return salt + nonce + AESGCM(hkdf(wrapping, label, salt)).encrypt(nonce, value, fields(label, *purpose))


def unseal(sealed, wrapping, *purpose):
    label = "strongroom/seal/v1"
    return AESGCM(hkdf(wrapping, label, sealed[:32])).decrypt(sealed[32:44], sealed[44:], fields(label, *purpose))


def public_half(private):
    return private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def seal_root(root, version, unlocker, ring):
    """To an unlocker's public half, which needs no secret of its owner."""
    ephemeral, public = X25519PrivateKey.generate(), b64(unlocker["publicKey"])
    short = public_half(ephemeral)
    wrapping = hkdf(ephemeral.exchange(X25519PublicKey.from_public_bytes(public)), "strongroom/root/wrap/v1", short + public)
    sealed = seal(root, wrapping, "root-key", ring, unlocker["id"], str(version))
    return {"unlocker": unlocker["id"], "ephemeralKey": text(short), "rootKey": text(sealed)}


def endorsement(ring, old, old_version, new, new_version):
    message = fields("strongroom/root/endorse/v1", ring, str(old_version), str(new_version))
    proof = mac(hkdf(new, "strongroom/root/proof/v1"), message)
    return mac(hkdf(old, "strongroom/root/endorse/v1"), message + proof)


def b64(digits):
    return base64.b64decode(digits, validate=True)


def text(value):
    return base64.b64encode(value).decode()


def identifier(prefix):
    return prefix + base64.b32encode(os.urandom(10)).decode().lower()


# docs/formats/keyring.md, "The authenticated file", and the two lines of docs/formats/snapshot.md, "Manifest"

FILE = re.compile(rb"(?P<body>.*?)\n(?P<verify>verify [^\n]*\n)?mac (?P<algorithm>\S+) (?P<key>\S+) (?P<tag>\S+) sha256 (?P<sum>\S+)\n", re.S)


class Document:
    """A JSON file with its last line or two. `verify` is there in manifests only, whose line names a data key and no root key."""

    def __init__(self, path, content=None):
        match = FILE.fullmatch(read(path) if content is None else content)
        if not match:
            raise ValueError("no authenticated file")
        self.body, self.verify = match["body"], match["verify"]
        self.algorithm, self.key, self.tag, self.sum = (match[name].decode() for name in ("algorithm", "key", "tag", "sum"))
        self.json = json.loads(self.body)

    def edit(self, request):
        """`edits`: a list of `{"path": [key or index, …], "value": …}`; without a value what is there goes; an index at the end appends."""
        for change in request.get("edits", []):
            *way, last = change["path"]
            place = self.json
            for step in way:
                place = place[step]
            if "value" not in change:
                del place[last]
            elif isinstance(place, list) and last == len(place):
                place.append(change["value"])
            else:
                place[last] = change["value"]
        if request.get("edits"):
            self.encode()
        for name in ("algorithm", "key"):  # of the MAC line: `{"line": {"key": "root=7"}}`
            setattr(self, name, request.get("line", {}).get(name, getattr(self, name)))
        return self

    def encode(self):
        self.body = json.dumps(self.json, indent=2, sort_keys=True, separators=(",", " : ")).encode()

    def authenticated(self):
        return self.body + b"\n" + (self.verify or b"") + f"mac {self.algorithm} {self.key} ".encode()

    def mac_key(self, key):
        """A root key's, or in a manifest a data key's."""
        return hkdf(key, "strongroom/snapshot/manifest/v1" if self.verify else "strongroom/mac/v1/" + self.json["format"])

    def sign(self, key):
        self.tag = mac(self.mac_key(key), self.authenticated()).hex()
        return self

    def verify_tag(self, page_key):
        return mac(hkdf(page_key, "strongroom/snapshot/verify/v1"), self.body + b"\n").hex()

    def sign_verify(self, page_key):
        self.verify = b"verify hmac-sha256 " + self.key.encode() + b" " + self.verify_tag(page_key).encode() + b"\n"
        return self

    def write(self, path):
        """The sum always fits: it needs no key."""
        whole = self.authenticated() + self.tag.encode()
        write(path, whole + f" sha256 {hashlib.sha256(whole).hexdigest()}\n".encode())


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


# docs/formats/page.md: tags


def page_key(data_key, key_id):
    return hashlib.pbkdf2_hmac("sha512", data_key, bytes(b ^ 0x3A for b in key_id), 2, 32)


def tag_of(page, number, key, authentication):
    name, length = TAGS[authentication]
    return mac(key, page[16 if number == 1 else 0 : len(page) - length] + number.to_bytes(4, "little"), name)


def tag_root(content, size, length):
    """docs/formats/snapshot.md, "The root over the tags"."""
    count, group = len(content) // size, (1 << 20) // size
    tags = [content[(n + 1) * size - length : (n + 1) * size] for n in range(count)]
    leaves = [hashlib.sha256(b"\0" + b"".join(tags[i : i + group])).digest() for i in range(0, count, group)]
    return hashlib.sha256(b"\1" + count.to_bytes(8, "little") + b"".join(leaves)).hexdigest()


# Commands: what opens


@command
def open_keyring(keyring, keyFile, **_):
    """The root keys that a key file opens, as `roots`, and the unlocker's id and private key."""
    document, secret = Document(keyring).json, read(keyFile)
    ring = document["keyringId"]
    for unlocker in document["unlockers"]:
        if unlocker["kind"] != "keyFile":
            continue
        sealing, public = unlocker["sealing"], b64(unlocker["publicKey"])
        unlocking = hkdf(secret, "strongroom/unlocker/key-file/v1", b64(sealing["salt"]))
        if hkdf(unlocking, "strongroom/unlocker/commitment/v1/" + unlocker["id"]) != b64(sealing["commitment"]):
            continue
        wrapping = hkdf(unlocking, "strongroom/unlocker/wrap/v1")
        private = unseal(b64(sealing["privateKey"]), wrapping, "unlocker-private-key", ring, unlocker["id"], unlocker["kind"], public.hex())
        roots = {}
        for root in document["rootKeys"]:
            for recipient in root["recipients"]:
                if recipient["unlocker"] == unlocker["id"]:
                    short = b64(recipient["ephemeralKey"])
                    shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(short))
                    key = unseal(b64(recipient["rootKey"]), hkdf(shared, "strongroom/root/wrap/v1", short + public), "root-key", ring,
                                 unlocker["id"], str(root["version"]))
                    roots[str(root["version"])] = key.hex()
        return {"unlocker": unlocker["id"], "privateKey": private.hex(), "roots": roots}
    raise ValueError("the key file opens no unlocker")


@command
def data_keys(envelope, roots, **_):
    """The data keys of an envelope, by generation; `entry` is that of a verify key file."""
    document = Document(envelope)
    root, found = bytes.fromhex(roots[document.key[5:]]), {}
    for key in document.json["keys"]:
        if "dataKey" in key:
            value = unseal(b64(key["dataKey"]), hkdf(root, "strongroom/data/wrap/v1"), "data-key", document.json["keyringId"],
                           document.json["scope"], str(key["generation"]), key["state"], key["keyId"])
            entry = key["keyId"] + page_key(value, bytes.fromhex(key["keyId"])).hex()
            found[str(key["generation"])] = {"key": value.hex(), "entry": entry, **{n: key[n] for n in ("state", "keyId", "pageSize", "pageAuthentication")}}
    return {"keys": found}


@command
def verify_key(file, **_):
    """The entries of a verify key file (docs/formats/snapshot.md, "Files beside it"): key id and page key."""
    head, rest = read(file).split(b"\n", 1)
    if head != b"strongroom/verify-key/v1" or len(rest) % 48:
        raise ValueError("no verify key")
    return {"entries": [rest[i : i + 48].hex() for i in range(0, len(rest), 48)]}


@command
def describe(file, pageSize=4096, **_):
    """What can be read without a key, so that two files can be compared."""
    content = read(file)
    if FILE.fullmatch(content):
        document = Document(file)
        fits = hashlib.sha256(document.authenticated() + document.tag.encode()).hexdigest() == document.sum
        return {"kind": "document", "json": document.json, "key": document.key, "tag": document.tag, "sumFits": fits}
    if content[:4] in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"):
        size = struct.unpack(">I", content[8:12])[0]
        frames = [struct.unpack(">II", content[at : at + 8]) for at in range(32, len(content) - size - 23, size + 24)]
        return {"kind": "wal", "pageSize": size, "frames": [{"page": page, "commit": commit} for page, commit in frames]}
    return {"kind": "pages", "keyId": content[:16].hex(), "pages": len(content) // pageSize, "sha256": hashlib.sha256(content).hexdigest()}


@command
def masscheck(file, roots={}, dataKeys=[], entries=[], **_):
    """Under which of the known keys a file's MAC is right, whatever its line claims. For the oracle: no forged byte under a new MAC."""
    document = Document(file)
    tag = lambda key: mac(document.mac_key(bytes.fromhex(key)), document.authenticated()).hex()
    return {
        "claims": document.key,
        "roots": [] if document.verify else [int(version) for version, key in roots.items() if tag(key) == document.tag],
        "dataKeys": [n for n, key in enumerate(dataKeys) if document.verify and tag(key) == document.tag],
        "entries": [n for n, entry in enumerate(entries)
                    if document.verify and document.verify_tag(bytes.fromhex(entry[32:])) == document.verify.decode().split()[3]],
    }

@command
def audit(root, fresh, facts, keyFile, accepted=False, restored=False, **_):
    """What is wrong with the MACs of files that were written just now: for the oracle. `facts` is a file with what was the present before."""
    known, wrong = json.loads(read(facts)), []
    roots = dict(known["roots"])
    keyring = os.path.join(root, "store/keyring/keyring.json")
    try:
        roots.update(open_keyring(keyring, keyFile)["roots"])
    except (OSError, ValueError, LookupError, InvalidTag):
        pass
    for path in fresh:
        content = read(os.path.join(root, path))
        if not FILE.fullmatch(content):
            continue
        document = Document(path, content)
        if document.verify:
            continue
        fits = lambda key: mac(document.mac_key(bytes.fromhex(key)), document.authenticated()).hex() == document.tag
        if any(fits(key) for key in known["foreignRoots"]):
            wrong.append(f"{path} is under a root key of the attacker's")
        if any(fits(key) for key in known["oldRoots"].values()):
            wrong.append(f"{path} is under a root key that was rotated")
        under = [version for version, key in roots.items() if fits(key) and key not in known["foreignRoots"] and key not in known["oldRoots"].values()]
        if under:
            wrong += [f"{path}: {text}" for text in fresh_document(document.json, roots[under[0]], known, accepted, restored)]
    return {"wrong": wrong}


def fresh_document(data, root, known, accepted, restored):
    """Why a document should not be under a new MAC."""
    wrong, kind = [], data["format"]
    if kind == "strongroom/store" and (data["storeId"] != known["storeId"] or data["policy"]["digest"] != known["digest"]):
        wrong.append("another store or policy was signed")
    if kind == "strongroom/keyring" and not accepted:
        strangers = {u["id"] for u in data["unlockers"]} - set(known["unlockers"])
        if any(u["label"] != "spare" for u in data["unlockers"] if u["id"] in strangers):
            wrong.append("an unlocker that is none of the present was signed")
        if data["sequence"] <= known["sequence"]:
            wrong.append("a keyring that is no newer was signed")
    if kind == "strongroom/envelope":
        before = known["envelopes"].get(data["scope"])
        for key in data["keys"]:
            if "dataKey" in key:
                value = unseal(b64(key["dataKey"]), hkdf(bytes.fromhex(root), "strongroom/data/wrap/v1"), "data-key", data["keyringId"],
                               data["scope"], str(key["generation"]), key["state"], key["keyId"])
                if value.hex() in known["foreignKeys"]:
                    wrong.append("a data key of the attacker's was signed")
        if before and not accepted:
            keys = {str(k["generation"]): k for k in data["keys"]}
            # A backup's envelope with the same keys takes the place of one that cannot be used.
            if data["sequence"] <= before["sequence"] and not restored:
                wrong.append("an envelope that is no newer was signed")
            for generation, key in before["keys"].items():
                now = keys.get(generation)
                if not now or now["keyId"] != key["keyId"]:
                    wrong.append(f"key {generation} is gone")
                elif key["state"] == "destroyed" and now["state"] != "destroyed":
                    wrong.append(f"key {generation} was destroyed and is back")
    return wrong


# Commands: documents


@command
def resum(file, out, **request):
    """Edits, the sum that fits, and the MAC that was there: what needs no key."""
    Document(file).edit(request).write(out)


@command
def sign(file, out, root=None, version=None, dataKey=None, **request):
    """Edits under a MAC of a root key (whose version the line gets), or a manifest's under those of a data key."""
    document = Document(file)
    if version is not None:
        document.key = f"root={version}"
    document.edit(request)
    if dataKey:
        key = bytes.fromhex(dataKey)
        document.sign_verify(page_key(key, bytes.fromhex(document.key[4:])))
    document.sign(bytes.fromhex(dataKey or root)).write(out)


@command
def compose(document, out, root=None, version=1, **_):
    """A document of the attacker's own making, `restore.json` for one, under a MAC of a root key, or without it under none that fits."""
    made = Document(None, json.dumps(document).encode() + f"\nmac hmac-sha256 root={version} {'00' * 32} sha256 -\n".encode())
    made.encode()
    (made.sign(bytes.fromhex(root)) if root else made).write(out)


@command
def takeover(keyring, out, endorsed="missing", known=None, version=None, by=1, destroys=True, **_):
    """Rule 1's attack: one root key of the attacker's, sealed to every unlocker; all others destroyed; the sequence raised.

    `endorsed` is `missing`, `random` or `known`: by the root key `{"version": N, "root": KEY}` of an earlier moment. Without `destroys` the
    others stay, `decryptOnly`, so that a reader has to check the endorsement."""
    document = Document(keyring)
    data, root = document.json, os.urandom(32)
    ring, version = data["keyringId"], version or max(r["version"] for r in data["rootKeys"]) + 1
    for entry in data["rootKeys"]:
        if destroys or entry["state"] == "destroyed":
            entry.update(state="destroyed", recipients=[])
        else:
            entry["state"] = "decryptOnly"
    new = {"version": version, "state": "active", "created": data["updated"],
           "recipients": [seal_root(root, version, unlocker, ring) for unlocker in data["unlockers"]]}
    if endorsed == "random":
        new["endorsement"] = text(os.urandom(32))
    elif endorsed == "known":
        new["endorsement"] = text(endorsement(ring, bytes.fromhex(known["root"]), known["version"], root, version))
    data["rootKeys"].append(new)
    data["sequence"] += by
    data["critical"] = sorted({*data["critical"], *(["endorsement"] if endorsed != "missing" else [])})
    document.key = f"root={version}"
    document.encode()
    document.sign(root).write(out)
    return {"root": root.hex(), "version": version}


@command
def envelope(file, out, root, version, by=1, **_):
    """What goes with a takeover: an envelope of the same database, with one data key of the attacker's, under a root key."""
    document, key = Document(file), os.urandom(32)
    data, wrapping = document.json, hkdf(bytes.fromhex(root), "strongroom/data/wrap/v1")
    key_id, last = hkdf(key, "strongroom/kid/v1", length=16).hex(), data["keys"][-1]
    generation = max(k["generation"] for k in data["keys"]) + 1
    sealed = seal(key, wrapping, "data-key", data["keyringId"], data["scope"], str(generation), "active", key_id)
    for old in data["keys"]:
        old["state"] = "destroyed"
        old.pop("dataKey", None)
    data["keys"].append({**{n: last[n] for n in ("created", "pageSize", "pageAuthentication")}, "generation": generation,
                         "state": "active", "keyId": key_id, "dataKey": text(sealed)})
    data["sequence"] += by
    document.key = f"root={version}"
    document.encode()
    document.sign(bytes.fromhex(root)).write(out)
    return {"key": key.hex(), "keyId": key_id, "generation": generation}


@command
def unlockers(keyring, out, count=64, kind="passphrase", sealing=None, first=False, keep=None, **_):
    """Rule 8's attack: forged unlockers until there are `count`, behind the true ones or before them; `keep` names the true ones that stay."""
    document = Document(keyring)
    data, cost = document.json, sealing or {"algorithm": "scrypt", "logN": 20, "blockSize": 16, "parallelism": 4}
    true = [u for u in data["unlockers"] if keep is None or u["id"] in keep]
    random = lambda length: text(os.urandom(length))
    forged = [{"id": identifier("ulk_"), "kind": kind, "label": f"unlocker {n}", "created": data["updated"], "publicKey": random(32),
               "sealing": {**cost, "salt": random(32), "commitment": random(32), "privateKey": random(92)}} for n in range(count - len(true))]
    data["unlockers"] = forged + true if first else true + forged
    for root in data["rootKeys"]:
        if root["state"] != "destroyed":
            of = {r["unlocker"]: r for r in root["recipients"]}
            root["recipients"] = [of.get(u["id"]) or {"unlocker": u["id"], "ephemeralKey": random(32), "rootKey": random(92)} for u in data["unlockers"]]
    document.encode()
    document.write(out)
    return {"true": [u["id"] for u in true], "forged": [u["id"] for u in forged]}


# Commands: pages


@command
def page(file, out, entry, number, bits=[], pageSize=4096, authentication="hmac-sha512", retag=True, **_):
    """Flips bits of a page (0 is the lowest of its first byte) and tags it anew with an entry of a verify key: no data key is needed."""
    content, length = bytearray(read(file)), TAGS[authentication][1]
    start, end = (number - 1) * pageSize, number * pageSize
    for bit in bits:
        content[start + bit // 8] ^= 1 << bit % 8
    if retag:
        content[end - length : end] = tag_of(bytes(content[start:end]), number, bytes.fromhex(entry[32:]), authentication)
    write(out, content)


@command
def manifest(file, pages, out, entry, **request):
    """A manifest for other pages: their number, their root, and the `verify` line. The `mac` stays what it was, and so is wrong."""
    document, content = Document(file).edit(request), read(pages)
    size, length = document.json["pageSize"], TAGS[document.json["pageAuthentication"]][1]
    document.json.update(pageCount=len(content) // size, tagRoot=tag_root(content, size, length))
    document.encode()
    document.sign_verify(bytes.fromhex(entry[32:])).write(out)


@command
def swap(file, out, a, b, pageSize=4096, **_):
    """Exchanges two pages."""
    content = bytearray(read(file))
    first, second = (slice((n - 1) * pageSize, n * pageSize) for n in (a, b))
    content[first], content[second] = content[second], content[first]
    write(out, content)


@command
def transplant(file, source, out, numbers, pageSize=4096, **_):
    """Puts pages of another file in their own places: older versions of themselves, for one."""
    content, other = bytearray(read(file)), read(source)
    for number in numbers:
        place = slice((number - 1) * pageSize, number * pageSize)
        content[place] = other[place]
    write(out, content)


@command
def truncate(file, out, bytes=None, pages=None, pageSize=4096, **_):
    write(out, read(file)[: bytes if bytes is not None else pages * pageSize])


@command
def empty(out, **_):
    write(out, b"")


@command
def garbage(out, bytes=4096, **_):
    write(out, os.urandom(bytes))


# Commands: SQLite's files around a database (its file format document, sections 3 and 4; docs/formats/page.md, "The WAL")


def write_wal(out, size, salts, checkpoint, frames):
    """Every check sum anew, over little-endian words."""
    def run(state, content):
        first, second = state
        for word, next_word in struct.iter_unpack("<II", content):
            first = (first + word + second) & 0xFFFFFFFF
            second = (second + next_word + first) & 0xFFFFFFFF
        return first, second

    head = struct.pack(">IIII", 0x377F0682, 3007000, size, checkpoint) + salts
    state = run((0, 0), head)
    content = bytearray(head + struct.pack(">II", *state))
    for number, commit, data in frames:
        state = run(run(state, struct.pack(">II", number, commit)), data)
        content += struct.pack(">II", number, commit) + salts + struct.pack(">II", *state) + data
    write(out, content)


@command
def wal(file, out, edits, **_):
    """Changes frames of a WAL: `{"frame": from 1 on, or -1 for the last; "commit": SIZE, "page": NUMBER}`; the frames of its round are written."""
    content = read(file)
    size, checkpoint = struct.unpack(">II", content[8:16])
    salts, frames = content[16:24], []
    for at in range(32, len(content) - size - 23, size + 24):
        if content[at + 8 : at + 16] != salts:
            break
        frames.append([*struct.unpack(">II", content[at : at + 8]), content[at + 24 : at + 24 + size]])
    for change in edits:
        frame = frames[change["frame"] - 1 if change["frame"] > 0 else change["frame"]]
        frame[0], frame[1] = change.get("page", frame[0]), change.get("commit", frame[1])
    write_wal(out, size, salts, checkpoint, frames)
    return {"frames": len(frames)}


@command
def build_wal(out, frames, pageSize=4096, **_):
    """A WAL of pages of databases: `{"page": NUMBER, "commit": SIZE or 0, "file": PATH, "from": its number there if another}`."""
    made = []
    for frame in frames:
        start = (frame.get("from", frame["page"]) - 1) * pageSize
        made.append((frame["page"], frame["commit"], read(frame["file"])[start : start + pageSize]))
    write_wal(out, pageSize, os.urandom(8), 0, made)


@command
def journal(out, pages, pageSize=4096, sector=512, records=[], **_):
    """A rollback journal that makes SQLite shorten a database to `pages`, and that needs no key; with pages of `{"page": NUMBER, "file": PATH}`."""
    nonce = 0x5EED
    content = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", len(records), nonce, pages, sector, pageSize)
    content += bytes(sector - len(content))
    for record in records:
        data = read(record["file"])[(record["page"] - 1) * pageSize :][:pageSize]
        # Every 200th byte, from 200 before the end of the page on.
        sum_of = (nonce + sum(data[at] for at in range(pageSize - 200, 0, -200))) & 0xFFFFFFFF
        content += struct.pack(">I", record["page"]) + data + struct.pack(">I", sum_of)
    write(out, content)


def answer(line):
    try:
        request = json.loads(line)
        return {"ok": True, **(COMMANDS[request.pop("do")](**request) or {})}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, InvalidTag, struct.error) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)
