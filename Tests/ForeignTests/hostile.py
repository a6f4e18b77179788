#!/usr/bin/python3
"""Databases that mean harm, one fault each, named by it. None of them needs more than a hand on the file.

  hostile.py make DIRECTORY OUTSIDE    one <name>.db each; prints a line of JSON for each. What they are after is a file under OUTSIDE.
"""

import json
import os
import sqlite3
import struct
import sys

VECTORS = []
OUTSIDE = ""

UNSUPPORTED = "import_source_unsupported"
DAMAGED = "import_source_damaged"
RESERVED = "import_source_reserved_name"


def connect(path):
    connection = sqlite3.connect(path, isolation_level=None)
    return connection


class Base:
    """A database with a table `t` of two rows and a few spare trees, whose schema anybody may write."""

    def __init__(self, path, prepare="", leaf=False):
        self.path = path
        self.connection = connect(path)
        self.connection.executescript(
            "CREATE TABLE t (a, b); INSERT INTO t VALUES ('secret', 1), ('other', 2); CREATE TABLE spare (x, y);" + ("INSERT INTO spare VALUES (1, 1), (2, 2); CREATE INDEX leaf ON spare (x);" if leaf else "")
            + prepare + "; PRAGMA writable_schema = ON")

    def root(self, name):
        return self.connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]

    def insert(self, kind, name, table, root, sql):
        self.connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", (kind, name, table, root, sql))

    def update(self, name, sql):
        self.connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, name))

    def done(self):
        self.connection.close()


def attack(name):
    leak = os.path.join(OUTSIDE, name + ".db")
    return f"ATTACH DATABASE '{leak}' AS z KEY ''; CREATE TABLE z.stolen AS SELECT * FROM main.t; DETACH z"


def vector(name, refused, build, runs=False):
    """`runs`: a text that would do harm if it was run as it stands."""
    VECTORS.append((name, refused, build, runs))


def schema_row(name, refused, kind, row, table, sql, root=None, runs=False, prepare=""):
    def build(path):
        base = Base(path, prepare, leaf=kind == "index")
        place = {"table": "spare", "index": "leaf"}.get(kind)
        number = (base.root(place) if place else 0) if root is None else root
        # The spare tree gets a new owner.
        if place and root is None:
            base.connection.execute("DELETE FROM sqlite_master WHERE name = ?", (place,))
        text = sql(name) if callable(sql) else sql
        base.insert(kind, row, table, number, text)
        base.done()
        return text
    vector(name, refused, build, runs)


HONEST = {
    "table": ("x", "x", "CREATE TABLE x (a)"),
    "index": ("i", "spare", "CREATE INDEX i ON spare (x)"),
    "view": ("v", "v", "CREATE VIEW v AS SELECT 1"),
    "trigger": ("g", "t", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END"),
    "virtual table": ("w", "w", "CREATE VIRTUAL TABLE w USING fts5 (a)"),
}


def second_statements():
    for kind, (row, table, sql) in HONEST.items():
        label = kind.replace(" ", "_")
        type = "table" if kind == "virtual table" else kind
        root = 0 if kind == "virtual table" else None
        schema_row(f"a_second_statement_in_a_{label}", [UNSUPPORTED, "notOneStatement"], type, row, table,
                   lambda name, sql=sql: f"{sql}; {attack(name)}", root, runs=kind != "virtual table")
        schema_row(f"a_second_statement_behind_a_comment_in_a_{label}", [UNSUPPORTED, "notOneStatement"], type, row, table,
                   lambda name, sql=sql: f"{sql} /* ; -- */;;\n-- the end\n;{attack(name)}; -- ", root, runs=kind != "virtual table")
        schema_row(f"a_second_statement_behind_a_nul_in_a_{label}", [UNSUPPORTED, "notText"], type, row, table,
                   lambda name, sql=sql: f"{sql}\0; {attack(name)}", root)
    for word, text in {
        "pragma": "PRAGMA writable_schema = ON", "vacuum": "VACUUM INTO '{leak}'", "insert": "INSERT INTO t VALUES (9, 9)",
        "drop": "DROP TABLE t", "select": "SELECT load_extension('{leak}')", "transaction": "COMMIT", "rekey": "PRAGMA rekey = 'x'",
        "export": "SELECT sqlcipher_export('main')", "no_statement": "not SQL at all",
    }.items():
        schema_row(f"a_second_statement_of_{word}", [UNSUPPORTED, "notOneStatement"], "table", "x", "x",
                   lambda name, text=text: "CREATE TABLE x (a); " + text.replace("{leak}", os.path.join(OUTSIDE, name)))


def hidden_statements():
    def named(path, column, table="CREATE TABLE {} (a)"):
        base = Base(path)
        base.connection.execute(table.format('"' + column.replace('"', '""') + '"'))
        base.done()
    vector("a_statement_in_a_name", [], lambda path: named(path, 'x" (a); ' + attack("in_a_name") + " --"))
    vector("a_statement_in_a_type", [], lambda path: named(path, 'INT); ' + attack("in_a_type") + " --", "CREATE TABLE x (a {})"))
    vector("a_statement_in_a_column", [], lambda path: named(path, 'a); ' + attack("in_a_column") + " --", "CREATE TABLE x ({}, b)"))
    vector("a_statement_in_a_default", [], lambda path: named(path, 'x', "CREATE TABLE {} (a DEFAULT '); " + attack("in_a_default").replace("'", "''") + " --')"))
    vector("a_statement_in_an_index_name", [], lambda path: named(path, 'i" ON t (a); ' + attack("in_an_index") + " --", "CREATE INDEX {} ON t (a)"))
    schema_row("a_statement_instead_of_an_object", [UNSUPPORTED, "notReadable"], "table", "x", "x", attack)
    schema_row("an_explained_statement", [UNSUPPORTED, "notReadable"], "table", "x", "x", "EXPLAIN CREATE TABLE x (a)")
    schema_row("a_table_made_of_a_query", [UNSUPPORTED, "unknownFunction"], "table", "x", "x", "CREATE TABLE x AS SELECT load_extension('x')")
    schema_row("a_temporary_table", [UNSUPPORTED, "forbidden"], "table", "x", "x", "CREATE TEMP TABLE x (a)")
    schema_row("a_table_in_another_database", [UNSUPPORTED, "notReadable"], "table", "x", "x", "CREATE TABLE z.x (a)")
    schema_row("a_temporary_view", [UNSUPPORTED, "forbidden"], "view", "v", "v", "CREATE TEMP VIEW v AS SELECT 1")
    schema_row("a_trigger_on_a_temporary_table", [UNSUPPORTED, "forbidden"], "trigger", "g", "t", "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END")


def false_rows():
    schema_row("a_table_that_makes_a_view", [UNSUPPORTED, "otherObject"], "table", "x", "x", "CREATE VIEW x AS SELECT load_extension('x')")
    schema_row("a_view_that_makes_a_table", [UNSUPPORTED, "otherObject"], "view", "x", "x", "CREATE TABLE x (a)")
    schema_row("a_view_that_makes_a_trigger", [UNSUPPORTED, "otherObject"], "view", "g", "g", HONEST["trigger"][2])
    schema_row("a_trigger_that_makes_an_index", [UNSUPPORTED, "otherObject"], "trigger", "i", "t", "CREATE INDEX i ON t (a)")
    schema_row("an_index_that_makes_a_trigger", [UNSUPPORTED, "otherObject"], "index", "g", "t", HONEST["trigger"][2])
    schema_row("a_row_of_another_name", [UNSUPPORTED, "otherObject"], "table", "x", "x", "CREATE TABLE y (a)")
    schema_row("an_index_of_another_table", [UNSUPPORTED, "otherObject"], "index", "i", "t", "CREATE INDEX i ON spare (x)")
    schema_row("a_trigger_of_another_table", [UNSUPPORTED, "otherObject"], "trigger", "g", "spare", HONEST["trigger"][2])
    schema_row("a_row_of_no_type", [UNSUPPORTED, "otherObject"], "tableau", "x", "x", "CREATE TABLE x (a)")
    schema_row("a_row_of_type_null", [UNSUPPORTED, "otherObject"], None, "x", "x", "CREATE TABLE x (a)")
    schema_row("a_name_that_is_no_text", [UNSUPPORTED, "notText"], "view", b"\xff\xfe", "v", "CREATE VIEW v AS SELECT 1")
    schema_row("sql_that_is_a_number", [UNSUPPORTED, "notReadable"], "table", "x", "x", 5)
    schema_row("a_table_of_sqlites_name", [UNSUPPORTED, "otherObject"], "table", "sqlite_evil", "sqlite_evil", "CREATE TABLE sqlite_evil (a)")
    schema_row("a_view_called_sqlite_sequence", [UNSUPPORTED, "notReadable"], "view", "sqlite_sequence", "sqlite_sequence", "CREATE VIEW sqlite_sequence AS SELECT load_extension('x')")
    schema_row("a_sequence_with_other_columns", [], "table", "sqlite_sequence", "sqlite_sequence", "CREATE TABLE sqlite_sequence (name, seq CHECK (load_extension(seq)))")
    schema_row("our_table", [RESERVED, "reservedName"], "table", "_strongroom", "_strongroom", "CREATE TABLE _strongroom (name TEXT PRIMARY KEY, value)")
    schema_row("a_view_of_our_table's_name", [RESERVED, "reservedName"], "view", "_STRONGROOM", "_STRONGROOM", "CREATE VIEW _STRONGROOM AS SELECT 'epoch' AS name, 99 AS value")
    schema_row("a_trigger_that_writes_our_table", [RESERVED, "reservedName"], "trigger", "g", "t", "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE _strongroom SET value = 0; END")


def root_pages():
    for label, number in {"the_schema_itself": 1, "nothing": 0, "what_is_below_zero": -5, "a_page_that_is_not_there": 9999, "more_than_there_can_be": 2**40}.items():
        schema_row(f"a_table_at_{label}", [DAMAGED], "table", "x", "x", "CREATE TABLE x (a)", number)
        schema_row(f"an_index_at_{label}", [DAMAGED], "index", "i", "t", "CREATE INDEX i ON t (a)", number)

    def shared(path, kind, sql, name):
        base = Base(path)
        base.insert(kind, name, "t" if kind == "index" else name, base.root("t"), sql)
        base.done()
    vector("two_tables_at_one_page", [DAMAGED], lambda path: shared(path, "table", "CREATE TABLE x (a)", "x"))
    vector("an_index_at_the_page_of_its_table", [DAMAGED], lambda path: shared(path, "index", "CREATE INDEX i ON t (a)", "i"))
    schema_row("a_virtual_table_with_pages", [UNSUPPORTED, "otherObject"], "table", "w", "w", HONEST["virtual table"][2])
    schema_row("a_view_with_pages", [UNSUPPORTED, "otherObject"], "view", "v", "v", "CREATE VIEW v AS SELECT 1", 2)


def functions():
    for function in ("load_extension('x')", "fts3_tokenizer('simple')", "sqlcipher_export('main')", "readfile(a)", "writefile(a, b)", "edit(a)", "randomblob(9)", "last_insert_rowid()", "sqlite_log(1, a)"):
        name = function.split("(")[0]
        # In a CHECK SQLite resolves names only when it is used.
        schema_row(f"a_check_that_calls_{name}", [UNSUPPORTED, "unknownFunction"], "table", "x", "x", f"CREATE TABLE x (a, b, CHECK ({function}))")
        schema_row(f"a_generated_column_that_calls_{name}", [UNSUPPORTED, "unknownFunction"], "table", "x", "x", f"CREATE TABLE x (a, b, c AS ({function}) STORED)")
        schema_row(f"an_index_that_calls_{name}", [UNSUPPORTED, "unknownFunction"], "index", "i", "t", f"CREATE INDEX i ON t ({function})".replace("(a", "(a"))
    schema_row("an_index_where_a_function_is_called", [UNSUPPORTED, "unknownFunction"], "index", "i", "t", "CREATE INDEX i ON t (a) WHERE load_extension(a)")
    schema_row("a_default_that_calls_a_function", [], "table", "x", "x", "CREATE TABLE x (a DEFAULT (load_extension('x')))")
    schema_row("a_view_that_calls_a_function", [], "view", "v", "v", "CREATE VIEW v AS SELECT load_extension('x'), writefile('x', 'y')")
    schema_row("a_trigger_that_calls_a_function", [], "trigger", "g", "t", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT load_extension('x'); END")
    schema_row("a_trigger_that_loses_rows", [], "trigger", "g", "t", "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END")
    schema_row("a_trigger_that_never_ends", [], "trigger", "g", "t", "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO t WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT x, x FROM c; END")
    schema_row("a_view_that_never_ends", [], "view", "v", "v", "CREATE VIEW v AS WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT x FROM c")
    for module in ("zipfile('/etc/passwd')", "csv(filename='/etc/passwd')", "fsdir", "dbstat", "sqlite_dbpage", "fts5(a, tokenize='x y')"):
        name = module.split("(")[0]
        schema_row(f"a_virtual_table_of_{name}", [], "table", "w", "w", f"CREATE VIRTUAL TABLE w USING {module}", 0)


def sizes():
    schema_row("a_row_of_two_megabytes", [UNSUPPORTED, "tooLong"], "view", "v", "v", "CREATE VIEW v AS SELECT '" + "x" * (2 << 20) + "'")
    schema_row("columns_3000", [UNSUPPORTED, "notReadable"], "table", "x", "x", "CREATE TABLE x (" + ", ".join(f"c{i}" for i in range(3000)) + ")")
    schema_row("a_check_5000_deep", [UNSUPPORTED, "notReadable"], "table", "x", "x", "CREATE TABLE x (a CHECK (" + "NOT " * 5000 + "a))")
    schema_row("an_index_with_a_pattern_of_60000", [UNSUPPORTED, "notReadable"], "index", "i", "t", "CREATE INDEX i ON t (a) WHERE a LIKE '" + "%_" * 30000 + "'")
    schema_row("an_index_over_a_gigabyte", [], "index", "i", "t", "CREATE INDEX i ON t (printf('%1999999999d', b))")
    schema_row("an_index_over_zeros", [UNSUPPORTED, "notReadable"], "index", "i", "t", "CREATE INDEX i ON t (zeroblob(2000000000))")

    def rows(path):
        base = Base(path)
        base.connection.execute("BEGIN")
        for number in range(20_100):
            base.insert("view", f"v{number}", f"v{number}", 0, f"CREATE VIEW v{number} AS SELECT 1")
        base.connection.execute("COMMIT")
        base.done()
    vector("objects_20100", [UNSUPPORTED, "tooLong"], rows)


def published():
    """Flaws of SQLite that were published since 3.46.1, written down from their descriptions: docs/security/engine.md."""
    def concat_ws(path):
        # 125 separators of this length are 79 bytes more than 32 bits can count.
        base = Base(path, leaf=True, prepare="CREATE TABLE big (a); INSERT INTO big VALUES (1), (2); UPDATE big SET a = substr(replace(hex(zeroblob(17179870)), '0', 'x'), 2) WHERE a = 2")
        number = base.root("leaf")
        base.connection.execute("DELETE FROM sqlite_master WHERE name = 'leaf'")
        base.insert("index", "i", "big", number, "CREATE INDEX i ON big (concat_ws(a" + ", 'y'" * 126 + "))")
        base.done()
    vector("cve_2025_29087_concat_ws", [UNSUPPORTED, "notReadable"], concat_ws)

    def aggregates(path):
        base = Base(path)
        base.connection.executescript("CREATE TABLE wide (" + ", ".join(f"c{i}" for i in range(2000)) + ")")
        # More terms than 16 bits can count, no expression deep and no SELECT wide.
        columns = ["max(" + ", ".join(f"count({t}.c{c})" for c in range(i * 6, i * 6 + 120)) + ")" for t in "ab" for i in range(150)]
        base.insert("view", "v", "v", 0, f"CREATE VIEW v AS SELECT {', '.join(columns)} FROM wide a, wide b")
        base.done()
    vector("cve_2025_6965_aggregates", [], aggregates)

    def page(path, change):
        base = Base(path, "CREATE VIRTUAL TABLE f USING fts5 (a); INSERT INTO f SELECT 'word' || value || ' common common' FROM "
                    "(WITH RECURSIVE c (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < 3000) SELECT value FROM c); INSERT INTO f (f) VALUES ('optimize')")
        change(base.connection)
        base.done()

    def leaf(connection, change, which="id > 100000"):
        for (number, block) in connection.execute(f"SELECT id, block FROM f_data WHERE {which} ORDER BY id DESC").fetchall():
            connection.execute("UPDATE f_data SET block = ? WHERE id = ?", (change(block), number))

    index = [UNSUPPORTED, "damagedIndex"]
    vector("cve_2026_11824_leaf_smaller_than_its_header", index, lambda path: page(path, lambda c: leaf(c, lambda b: b[:2] + b"\x00\x01" + b[4:])))
    vector("cve_2026_11822_leaf_larger_than_its_page", index, lambda path: page(path, lambda c: leaf(c, lambda b: b[:2] + b"\xff\xff" + b[4:])))
    vector("cve_2026_11822_rowid_behind_its_leaf", index, lambda path: page(path, lambda c: leaf(c, lambda b: b"\xff\xf0" + b[2:])))
    vector("cve_2026_11822_leaf_of_three_bytes", index, lambda path: page(path, lambda c: leaf(c, lambda b: b[:3])))
    # The structure record of version 2 says how many pages of tombstones a segment has.
    record = struct.pack(">I", 0) + b"\xff\x00\x00\x01" + bytes([1, 1, 1, 0, 1, 1, 1, 1, 0, 0]) + b"\x8f\xff\xff\xff\x7f" + b"\x00\x00"
    vector("cve_2025_7709_too_many_tombstones", index, lambda path: page(path, lambda c: leaf(c, lambda b: record, "id = 10")))
    vector("cve_2025_7709_too_many_levels", index, lambda path: page(path, lambda c: leaf(c, lambda b: struct.pack(">I", 0) + b"\x8f\xff\xff\xff\x7f\x01\x01", "id = 10")))
    vector("a_full_text_index_without_a_structure", index, lambda path: page(path, lambda c: c.execute("DELETE FROM f_data WHERE id = 10")))


def checksum(data, start):
    first, second = start
    for left, right in struct.iter_unpack(">II", data):
        first = (first + left + second) & 0xFFFFFFFF
        second = (second + right + first) & 0xFFFFFFFF
    return first, second


def companions():
    """A WAL or journal beside a sound database. Nobody needs more than a text editor for one."""
    def wal(path, number, commit, page_size=4096):
        Base(path).done()
        with open(path, "rb") as file:
            page = file.read(4096)
        header = struct.pack(">8I", 0x377F0683, 3007000, page_size, 0, 1, 2, 0, 0)[:24]
        total = checksum(header, (0, 0))
        frame = struct.pack(">II", number, commit)
        sums = checksum(page, checksum(frame, total))
        with open(path + "-wal", "wb") as file:
            file.write(header + struct.pack(">II", *total) + frame + struct.pack(">IIII", 1, 2, *sums) + page)
    vector("a_wal_with_more_pages_than_there_are", [DAMAGED], lambda path: wal(path, 1, 0xFFFFFFFF))
    vector("a_wal_with_a_page_far_away", [DAMAGED], lambda path: wal(path, 0xFFFFFFFE, 0xFFFFFFFF))
    vector("a_wal_with_one_page", [DAMAGED], lambda path: wal(path, 1, 1))

    def journal(path, pages, count, sector=512, page_size=4096, number=2):
        Base(path).done()
        with open(path, "rb") as file:
            page = file.read(8192)[4096:]
        header = bytes.fromhex("d9d505f920a163d7") + struct.pack(">5I", count, 7, pages, sector, page_size)
        total = (7 + sum(page[i] for i in range(page_size - 200, 0, -200) if i < len(page))) & 0xFFFFFFFF
        with open(path + "-journal", "wb") as file:
            file.write(header.ljust(min(sector, 65536), b"\0") + struct.pack(">I", number) + page + struct.pack(">I", total))
    vector("a_journal_with_more_pages_than_there_are", [DAMAGED], lambda path: journal(path, 0xFFFFFFFF, 1))
    vector("a_journal_that_cuts_the_database", [DAMAGED], lambda path: journal(path, 1, 1))
    vector("a_journal_with_more_records_than_there_are", [], lambda path: journal(path, os.path.getsize(path) // 4096 if os.path.exists(path) else 4, 0xFFFFFFF0))
    vector("a_journal_with_a_sector_of_no_size", [], lambda path: journal(path, 1, 1, sector=0))
    vector("a_journal_with_pages_of_no_size", [], lambda path: journal(path, 1, 1, page_size=3))


def main():
    global OUTSIDE
    OUTSIDE = sys.argv[3]
    for group in (second_statements, hidden_statements, false_rows, root_pages, functions, sizes, published, companions):
        group()
    for name, refused, build, runs in VECTORS:
        name = name.replace("'", "")
        sql = build(os.path.join(sys.argv[2], name + ".db"))
        print(json.dumps({"name": name, "skip": [], "refused": refused, "runs": sql if runs else None}))


main()
