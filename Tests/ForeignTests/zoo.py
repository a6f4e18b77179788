#!/usr/bin/python3
"""Databases that are odd and honest: what apps of twenty years have left behind, each small. Made and compared by a SQLite that is not the
one under test.

  zoo.py make DIRECTORY        one <name>.db each; prints a line of JSON for each
  zoo.py compare ONE OTHER     prints what differs, and nothing where both hold the same
"""

import json
import os
import shutil
import sqlite3
import sys

ANIMALS = {}

# Plain SQL: the name says what is odd.
SQL = {
    "nothing_but_a_number": "PRAGMA user_version = 7",
    "one_empty_table": "CREATE TABLE t (a)",
    "negative_numbers_in_the_header": "PRAGMA user_version = -5; PRAGMA application_id = -9; CREATE TABLE t (a)",
    "sequence_row_missing": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (9); DELETE FROM sqlite_sequence",
    "sequence_reset": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (9); UPDATE sqlite_sequence SET seq = 0",
    "sequence_ahead": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (9); UPDATE sqlite_sequence SET seq = 5000",
    "sequence_of_no_table": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO sqlite_sequence VALUES ('gone', 5)",
    "sequence_twice": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (1); INSERT INTO sqlite_sequence VALUES ('t', 8)",
    "sequence_is_text": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO sqlite_sequence VALUES ('t', 'many'), (NULL, NULL), (x'00', 1.5)",
    "sequence_without_tables": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO t VALUES (1); DROP TABLE t; CREATE TABLE u (a)",
    "double_quoted_strings": """CREATE TABLE t (a TEXT CHECK (a <> "never"), b TEXT GENERATED ALWAYS AS (a || "!") STORED, c DEFAULT "d");
        INSERT INTO t (a) VALUES ('x'); CREATE INDEX i ON t (a) WHERE a = "y"; CREATE INDEX j ON t (a || "z")""",
    "foreign_keys_broken": "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p (id), q REFERENCES nowhere (x)); INSERT INTO c VALUES (7, 8)",
    "foreign_keys_in_a_ring": """CREATE TABLE a (id INTEGER PRIMARY KEY, b REFERENCES b DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE b (id INTEGER PRIMARY KEY, a REFERENCES a ON DELETE CASCADE); INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1)""",
    "triggers_of_every_kind": """CREATE TABLE t (a); CREATE TABLE log (x); CREATE VIEW v AS SELECT a FROM t;
        CREATE TRIGGER one BEFORE INSERT ON t BEGIN INSERT INTO log VALUES ('before'); END;
        CREATE TRIGGER two AFTER UPDATE OF a ON t WHEN new.a > 1 BEGIN DELETE FROM log; END;
        CREATE TRIGGER three INSTEAD OF DELETE ON v BEGIN SELECT RAISE(ABORT, 'no'); END;
        CREATE TRIGGER four AFTER DELETE ON t FOR EACH ROW BEGIN UPDATE log SET x = old.a; END; INSERT INTO t VALUES (1), (2)""",
    "a_trigger_that_empties_its_table": "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2); CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END",
    "a_trigger_with_a_function_of_its_app": "CREATE TABLE t (a); CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT its_own(new.a); END; ",
    "a_view_of_nothing": "CREATE VIEW v AS SELECT * FROM nowhere; CREATE TABLE t (a)",
    "views_of_each_other": "CREATE VIEW v AS SELECT * FROM w; CREATE VIEW w AS SELECT * FROM v",
    "a_view_that_counts_for_ever": "CREATE VIEW v AS WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
    "a_view_with_a_function_of_its_app": "CREATE TABLE t (a); CREATE VIEW v AS SELECT its_own(a) AS b FROM t",
    "names_with_everything": """CREATE TABLE "two words" ("sel""ect" TEXT, [from] INT, `group` BLOB, "\U0001F98A" REAL, "new
        line" TEXT); INSERT INTO "two words" VALUES ('a', 1, x'01', 1.5, 'b'); CREATE INDEX "an ""index" ON "two words" ("\U0001F98A");
        CREATE TABLE 'quoted like text' (a); CREATE TABLE "order" ("table" TEXT PRIMARY KEY); CREATE TABLE "it's" ("it's")""",
    "names_of_nothing": """CREATE TABLE "" ("" TEXT, b); INSERT INTO "" VALUES ('x', 1); CREATE INDEX " " ON "" ("")""",
    "names_of_databases": "CREATE TABLE main (main); CREATE TABLE temp (temp); INSERT INTO main.main VALUES (1); CREATE TABLE sqlitex (a)",
    "a_column_named_rowid": "CREATE TABLE t (rowid TEXT, b); INSERT INTO t VALUES ('x', 1), ('y', 2)",
    "all_names_of_the_rowid_taken": "CREATE TABLE t (rowid TEXT, _rowid_ TEXT, oid TEXT); INSERT INTO t VALUES ('a', 'b', 'c'), ('d', 'e', 'f')",
    "rowids_at_both_ends": "CREATE TABLE t (a); INSERT INTO t (rowid, a) VALUES (9223372036854775807, 1), (-9223372036854775808, 2), (0, 3), (-1, 4)",
    "a_key_that_is_no_rowid": "CREATE TABLE t (a INTEGER PRIMARY KEY DESC, b); INSERT INTO t VALUES (5, 1), (3, 2); CREATE TABLE u (a INT PRIMARY KEY); INSERT INTO u VALUES (3)",
    "nulls_in_a_primary_key": "CREATE TABLE t (a TEXT PRIMARY KEY, b); INSERT INTO t VALUES (NULL, 1), (NULL, 2), ('x', 3)",
    "numbers_at_their_ends": "CREATE TABLE t (a); INSERT INTO t VALUES (9e999), (-9e999), (-0.0), (0.0), (4.9e-324), (1.7976931348623157e308), (9223372036854775807), (0.1)",
    "values_of_no_length": "CREATE TABLE t (a, b TEXT, c BLOB); INSERT INTO t VALUES (NULL, '', x''), (zeroblob(0), NULL, '')",
    "text_with_a_nul": "CREATE TABLE t (a TEXT, b TEXT UNIQUE); INSERT INTO t VALUES ('a' || char(0) || 'b', char(0)), (char(0, 0), 'x')",
    "text_that_is_no_text": "CREATE TABLE t (a TEXT, b TEXT UNIQUE); INSERT INTO t VALUES (CAST(x'ff00fe' AS TEXT), CAST(x'c328' AS TEXT)), (CAST(x'ed9fbfeda080' AS TEXT), 'y')",
    "numbers_as_text_and_text_as_numbers": "CREATE TABLE t (a INTEGER, b TEXT, c REAL, d NUMERIC, e); INSERT INTO t VALUES ('x', 5, 'y', '1e3', '7'), ('5', x'35', 3, 'nope', 8), (1.5, 1.5, '2.5', 9223372036854775808, 2)",
    "a_large_value": "CREATE TABLE t (a, b); INSERT INTO t VALUES (hex(zeroblob(1500000)), randomblob(700000))",
    "types_that_are_none": """CREATE TABLE t (a VARCHAR(255, 3), b "my type", c UNSIGNED BIG INT, d POINT, e FLOATING POINT, f DECIMAL(10,5), g BOOLEAN, h DATETIME);
        INSERT INTO t VALUES ('1', '2', '3', '4', '5', '6.50', 'true', '2020-01-01')""",
    "strict_tables": "CREATE TABLE t (a INT, b INTEGER, c REAL, d TEXT, e BLOB, f ANY) STRICT; INSERT INTO t VALUES (1, 2, 3, '4', x'05', 6), (NULL, NULL, NULL, NULL, NULL, '7')",
    "strict_without_rowid": "CREATE TABLE t (a TEXT PRIMARY KEY, b ANY) STRICT, WITHOUT ROWID; INSERT INTO t VALUES ('b', 1), ('a', '1')",
    "without_rowid": "CREATE TABLE t (a TEXT, b INT, c, PRIMARY KEY (b DESC, a COLLATE NOCASE)) WITHOUT ROWID; INSERT INTO t VALUES ('b', 2, 1), ('B', 3, 1), ('a', 2, NULL); CREATE INDEX i ON t (c)",
    "generated_columns": """CREATE TABLE t (a INTEGER, b AS (a * 2), c TEXT GENERATED ALWAYS AS (a || 'x') STORED UNIQUE, d AS (b + 1) NOT NULL CHECK (d > 0));
        INSERT INTO t (a) VALUES (1), (2); CREATE INDEX i ON t (b); CREATE INDEX j ON t (d DESC) WHERE c > '1'""",
    "a_generated_key": "CREATE TABLE t (a, b AS (json_extract(a, '$.id')) STORED, c AS (json_extract(a, '$.x'))); INSERT INTO t VALUES ('{\"id\": 4, \"x\": [1]}'); CREATE UNIQUE INDEX i ON t (b)",
    "indexes_over_expressions": "CREATE TABLE t (a TEXT, b); INSERT INTO t VALUES ('Ab', 1), ('c', 2); CREATE INDEX i ON t (lower(a), b + 1 DESC); CREATE UNIQUE INDEX j ON t (substr(a, 1, 1) COLLATE NOCASE) WHERE b NOT NULL; CREATE INDEX k ON t (abs(b), length(a), coalesce(b, a))",
    "conflict_clauses": """CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE, b NOT NULL ON CONFLICT REPLACE DEFAULT 7, c PRIMARY KEY ON CONFLICT IGNORE, d NOT NULL ON CONFLICT ROLLBACK, e CHECK (e > 0));
        INSERT INTO t VALUES (1, 2, 3, 4, 1), (2, 3, 4, 5, NULL)""",
    "defaults_of_every_kind": "CREATE TABLE t (a DEFAULT (random()), b DEFAULT CURRENT_TIMESTAMP, c DEFAULT x'00ff', d DEFAULT -1.5e3, e DEFAULT 'it''s', f DEFAULT (datetime('now')), g DEFAULT NULL, h DEFAULT TRUE); INSERT INTO t (a) VALUES (1)",
    "columns_added_later": "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2); ALTER TABLE t ADD COLUMN b DEFAULT 'late'; ALTER TABLE t ADD COLUMN c NOT NULL DEFAULT 5; INSERT INTO t VALUES (3, 'x', 6)",
    "renamed_and_dropped": "CREATE TABLE t (a, b, c); INSERT INTO t VALUES (1, 2, 3); ALTER TABLE t RENAME TO \"u v\"; ALTER TABLE \"u v\" RENAME COLUMN a TO \"a b\"; ALTER TABLE \"u v\" DROP COLUMN b",
    "comments_in_the_schema": """CREATE /* why */ TABLE -- not
        t (a, -- first
        b /* ; second */); CREATE VIEW v AS SELECT ';' AS a, 1 /* CREATE TABLE x (a); */; CREATE INDEX i ON t (a) -- the end""",
    "a_table_from_a_query": "CREATE TABLE s (a TEXT, b INT); INSERT INTO s VALUES ('x', 1); CREATE TABLE t AS SELECT *, a || b AS c, 1.5 FROM s",
    "statistics": "CREATE TABLE t (a, b); WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200) INSERT INTO t SELECT x, x % 7 FROM c; CREATE INDEX i ON t (b, a); ANALYZE",
    "statistics_by_hand": "CREATE TABLE t (a); CREATE INDEX i ON t (a); ANALYZE; INSERT INTO sqlite_stat1 VALUES ('t', 'i', 'nonsense'), ('gone', NULL, 5)",
    "full_text": """CREATE VIRTUAL TABLE f USING fts5 (a, b, tokenize = 'porter unicode61 remove_diacritics 2', prefix = '2 3'); INSERT INTO f VALUES ('running foxes', 'x'), ('Über', 'ünder');
        CREATE TABLE d (id INTEGER PRIMARY KEY, body); INSERT INTO d VALUES (1, 'some words'); CREATE VIRTUAL TABLE e USING fts5 (body, content = 'd', content_rowid = 'id'); INSERT INTO e (e) VALUES ('rebuild');
        CREATE VIRTUAL TABLE n USING fts5 (x, content = ''); INSERT INTO n (rowid, x) VALUES (4, 'contentless')""",
    "full_text_with_many_segments": "CREATE VIRTUAL TABLE f USING fts5 (a); " + "".join(f"INSERT INTO f VALUES ('word{i} common {'x' * (i * 40)}');" for i in range(60)) + " DELETE FROM f WHERE rowid % 3 = 0; INSERT INTO f (f, rank) VALUES ('merge', 4)",
    "full_text_of_2010": "CREATE VIRTUAL TABLE f USING fts4 (a, b, tokenize = porter); INSERT INTO f VALUES ('old words', 'here'); CREATE VIRTUAL TABLE g USING fts3 (x); INSERT INTO g VALUES ('older')",
    "boxes": "CREATE VIRTUAL TABLE r USING rtree (id, x0, x1, y0, y1, +note TEXT); INSERT INTO r VALUES (1, 0, 1, 2, 3, 'n'); CREATE VIRTUAL TABLE s USING rtree_i32 (id, a, b); INSERT INTO s VALUES (7, 1, 2)",
    "many_tables": "".join(f"CREATE TABLE t{i} (a INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i{i} ON t{i} (b); INSERT INTO t{i} VALUES ({i}, 'x');" for i in range(2000)),
    "long_names": f"CREATE TABLE {'t' * 9000} ({'c' * 9000} TEXT); INSERT INTO {'t' * 9000} VALUES ('x'); CREATE INDEX {'i' * 9000} ON {'t' * 9000} ({'c' * 9000})",
    "a_long_check": "CREATE TABLE t (a TEXT CHECK (a IN (" + ", ".join(f"'v{i}'" for i in range(20000)) + "))); INSERT INTO t VALUES ('v7')",
    "a_deep_check": "CREATE TABLE t (a CHECK (" + "(" * 60 + "a > 0" + ")" * 60 + " AND " + " AND ".join(f"a <> {-i}" for i in range(1, 400)) + ")); INSERT INTO t VALUES (5)",
    "an_index_of_many_columns": "CREATE TABLE t (" + ", ".join(f"c{i}" for i in range(64)) + "); INSERT INTO t (c0) VALUES (1); CREATE INDEX i ON t (" + ", ".join(f"c{i}" for i in range(64)) + ")",
    "columns_1999": "CREATE TABLE t (" + ", ".join(f"c{i}" for i in range(1999)) + "); INSERT INTO t (c0, c1998) VALUES (1, 2)",
    "columns_2000_without_a_key": "CREATE TABLE t (" + ", ".join(f"c{i}" for i in range(2000)) + "); INSERT INTO t (rowid, c0, c1999) VALUES (70, 1, 2), (-4, 'x', 'y')",
    "columns_2000_with_a_key": "CREATE TABLE t (id INTEGER PRIMARY KEY, " + ", ".join(f"c{i}" for i in range(1999)) + "); INSERT INTO t (id, c1998) VALUES (5, 2)",
    "columns_2000_without_rowid": "CREATE TABLE t (id TEXT PRIMARY KEY, " + ", ".join(f"c{i}" for i in range(1999)) + ") WITHOUT ROWID; INSERT INTO t (id, c1998) VALUES ('b', 2), ('a', 3)",
    "of_grdb": "CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY); INSERT INTO grdb_migrations VALUES ('v1'), ('v2'); CREATE TABLE player (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE, data JSONB); INSERT INTO player VALUES (1, 'A', x'0b')",
    "of_android_room": """CREATE TABLE android_metadata (locale TEXT); INSERT INTO android_metadata VALUES ('de_DE'); CREATE TABLE room_master_table (id INTEGER PRIMARY KEY, identity_hash TEXT); INSERT INTO room_master_table VALUES (42, 'c0ffee');
        CREATE TABLE `User` (`uid` INTEGER NOT NULL, `first` TEXT, PRIMARY KEY(`uid`)); CREATE INDEX `index_User_first` ON `User` (`first`)""",
    "of_core_data": """CREATE TABLE ZNOTE ( Z_PK INTEGER PRIMARY KEY, Z_ENT INTEGER, Z_OPT INTEGER, ZDATE TIMESTAMP, ZTEXT VARCHAR, ZDATA BLOB ); CREATE TABLE Z_METADATA (Z_VERSION INTEGER PRIMARY KEY, Z_UUID VARCHAR(255), Z_PLIST BLOB);
        CREATE TABLE Z_PRIMARYKEY (Z_ENT INTEGER PRIMARY KEY, Z_NAME VARCHAR, Z_SUPER INTEGER, Z_MAX INTEGER); INSERT INTO ZNOTE VALUES (1, 1, 1, 5.0e8, 'x', x'62706c69'); INSERT INTO Z_METADATA VALUES (1, 'u', x'00')""",
    "of_django": """CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "applied" datetime NOT NULL); INSERT INTO django_migrations VALUES (1, 'a', '2020-01-01 00:00:00');
        CREATE TABLE "auth" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "price" decimal NOT NULL, "active" bool NOT NULL, CHECK ("price" >= 0)); CREATE UNIQUE INDEX "u" ON "auth" ("price", "active")""",
    "of_geopackage": """PRAGMA application_id = 0x47504B47; CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')));
        INSERT INTO gpkg_contents VALUES ('roads', 'features', '2020'); CREATE TABLE roads (fid INTEGER PRIMARY KEY, geom BLOB); INSERT INTO roads VALUES (1, x'4750'); CREATE VIRTUAL TABLE rtree_roads_geom USING rtree (id, minx, maxx, miny, maxy);
        CREATE TRIGGER rtree_roads_geom_insert AFTER INSERT ON roads WHEN (new.geom NOT NULL AND NOT ST_IsEmpty(NEW.geom)) BEGIN INSERT OR REPLACE INTO rtree_roads_geom VALUES (NEW.fid, ST_MinX(NEW.geom), 1, 2, 3); END""",
    "of_a_browser": """CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url LONGVARCHAR, rev_host LONGVARCHAR, frecency INTEGER DEFAULT -1 NOT NULL); CREATE TABLE meta (key LONGVARCHAR NOT NULL UNIQUE PRIMARY KEY, value LONGVARCHAR);
        INSERT INTO meta VALUES ('version', '20'); CREATE INDEX moz_places_f ON moz_places (frecency); CREATE TABLE urls (id INTEGER PRIMARY KEY AUTOINCREMENT, url LONGVARCHAR); INSERT INTO urls VALUES (1, 'u')""",
}

# Made in another way: what the connection is told first, and the SQL.
SETTINGS = {
    "utf16_little": ("PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a TEXT UNIQUE, b); INSERT INTO t VALUES ('ä\U0001F98A', 1), ('\uffee', 2), ('z', 3); CREATE INDEX i ON t (a COLLATE NOCASE)"),
    "utf16_little_text_key": ("PRAGMA encoding = 'UTF-16le'", "CREATE TABLE t (a TEXT PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO t VALUES ('\U0001F98A', 1), ('\uffee', 2), ('ä', 3), ('z', 4)"),
    "utf16_big_text_key": ("PRAGMA encoding = 'UTF-16be'", "CREATE TABLE t (a TEXT PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO t VALUES ('\U0001F98A', 1), ('\uffee', 2), ('ä', 3), ('z', 4)"),
    "utf16_names": ("PRAGMA encoding = 'UTF-16be'", "CREATE TABLE \"tä\U0001F98A\" (\"ö\" TEXT CHECK (\"ö\" <> 'ü')); INSERT INTO \"tä\U0001F98A\" VALUES ('ß'); CREATE VIEW \"ü\" AS SELECT 'ä'"),
    "pages_of_512": ("PRAGMA page_size = 512", "CREATE TABLE t (a); INSERT INTO t VALUES (hex(randomblob(3000)))"),
    "pages_of_65536": ("PRAGMA page_size = 65536", "CREATE TABLE t (a); INSERT INTO t VALUES (hex(randomblob(3000)))"),
    "vacuums_by_itself": ("PRAGMA auto_vacuum = FULL", "CREATE TABLE t (a); INSERT INTO t VALUES (hex(zeroblob(90000))); DELETE FROM t; INSERT INTO t VALUES (1)"),
    "vacuums_by_and_by": ("PRAGMA auto_vacuum = INCREMENTAL", "CREATE TABLE t (a); INSERT INTO t VALUES (hex(zeroblob(90000))); DELETE FROM t"),
    "in_the_format_of_2005": ("PRAGMA legacy_file_format = ON", "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2), (3, 4); CREATE INDEX i ON t (a DESC)"),
    "reserved_bytes": ("PRAGMA page_size = 1024", "CREATE TABLE t (a); INSERT INTO t VALUES (1)"),
    "in_wal_mode": ("PRAGMA journal_mode = WAL", "CREATE TABLE t (a); INSERT INTO t VALUES (1)"),
    "mostly_free_pages": ("PRAGMA page_size = 1024", "CREATE TABLE t (a); INSERT INTO t VALUES (hex(zeroblob(300000))); CREATE TABLE u (b); INSERT INTO u VALUES (1); DROP TABLE t"),
}

# The schema was edited afterwards (PRAGMA writable_schema): SQL first, then what stands in the schema instead.
EDITED = {
    "affinity_text_to_integer": ("CREATE TABLE t (a TEXT, b); INSERT INTO t VALUES ('12', 1), ('x', 2)", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INTEGER, b)' WHERE name = 't'"),
    "affinity_integer_to_text": ("CREATE TABLE t (a INTEGER, b); INSERT INTO t VALUES (12, 1), (NULL, 2)", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a VARCHAR(9), b)' WHERE name = 't'"),
    "affinity_with_an_index": ("CREATE TABLE t (a, b); INSERT INTO t VALUES (12, 1), ('12', 2), (1.0, 3)", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a REAL, b NUMERIC)' WHERE name = 't'"),
    "not_null_later": ("CREATE TABLE t (a, b); INSERT INTO t VALUES (NULL, 1), (2, NULL)", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a NOT NULL, b)' WHERE name = 't'"),
    "not_null_with_a_default_later": ("CREATE TABLE t (a, b); INSERT INTO t VALUES (NULL, 1), (2, NULL)", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a NOT NULL ON CONFLICT REPLACE DEFAULT 5, b)' WHERE name = 't'"),
    "a_check_later": ("CREATE TABLE t (a); INSERT INTO t VALUES (1), (-1)", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a CHECK (a > 0))' WHERE name = 't'"),
    "strict_later": ("CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES ('x', 'y'), (1, 'z')", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INT, b TEXT) STRICT' WHERE name = 't'"),
    "unfinished_semicolons": ("CREATE TABLE t (a); CREATE VIEW v AS SELECT 1; INSERT INTO t VALUES (1)", "UPDATE sqlite_master SET sql = sql || ' ;; -- the end' || char(10) || ';'"),
    "unusual_spelling": ("CREATE TABLE t (a); INSERT INTO t VALUES (1)", "UPDATE sqlite_master SET sql = 'cReAtE' || char(10) || 'tAbLe' || char(9) || '[t]' || char(12) || '(\"a\")' WHERE name = 't'"),
    "collation_of_the_phone": ("CREATE TABLE t (a TEXT, b TEXT); INSERT INTO t VALUES ('x', 'y')", "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a TEXT COLLATE LOCALIZED, b TEXT COLLATE UNICODE)' WHERE name = 't'"),
    "a_module_that_is_not_here": ("CREATE TABLE t (a); CREATE TABLE x_data (b)", "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, 'CREATE VIRTUAL TABLE x USING spatialindex (''a'', b = 1)')"),
    "a_tokenizer_that_is_not_here": ("CREATE VIRTUAL TABLE f USING fts5 (a); INSERT INTO f VALUES ('word')", "UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE f USING fts5 (a, tokenize = ''icu de'')' WHERE name = 'f'"),
    "full_text_of_the_phone": ("CREATE VIRTUAL TABLE f USING fts4 (a); INSERT INTO f VALUES ('word')", "UPDATE sqlite_master SET sql = 'CREATE VIRTUAL TABLE f USING fts4 (a, tokenize = HTMLTokenizer ''de'')' WHERE name = 'f'"),
    "a_view_with_a_collation_of_its_app": ("CREATE TABLE t (a); CREATE VIEW v AS SELECT a FROM t", "UPDATE sqlite_master SET sql = 'CREATE VIEW v AS SELECT a FROM t ORDER BY a COLLATE LOCALIZED' WHERE name = 'v'"),
}


def connect(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_function("its_own", 1, lambda value: value, deterministic=True)
    return connection


def animal(function):
    ANIMALS[function.__name__] = function
    return function


@animal
def a_persistent_journal_with_a_zeroed_header(path):
    connection = connect(path)
    connection.executescript("PRAGMA journal_mode = PERSIST; CREATE TABLE t (a); INSERT INTO t VALUES (1); UPDATE t SET a = 2")
    connection.close()
    with open(path + "-journal", "rb") as journal:
        assert journal.read(8) == bytes(8)


@animal
def a_journal_of_no_length(path):
    connection = connect(path)
    connection.executescript("PRAGMA journal_mode = TRUNCATE; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    connection.close()
    assert os.path.getsize(path + "-journal") == 0


def left_behind(path, script, suffix, prepare):
    """What a crash leaves: copies of the files while a connection is in the middle of something."""
    live = path + ".live"
    connection = connect(live)
    connection.executescript(prepare)
    connection.executescript(script)
    for part in ("", suffix):
        shutil.copyfile(live + part, path + part)
    connection.close()
    for part in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(live + part):
            os.remove(live + part)


@animal
def changes_in_a_wal(path):
    left_behind(path, "INSERT INTO t SELECT randomblob(900) FROM pragma_function_list LIMIT 60; UPDATE t SET a = 1 WHERE rowid % 2",
                "-wal", "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1); PRAGMA wal_checkpoint")


@animal
def a_wal_with_an_unfinished_transaction(path):
    left_behind(path, "INSERT INTO t VALUES (2); PRAGMA cache_size = 1; BEGIN; INSERT INTO t SELECT randomblob(3000) FROM pragma_function_list LIMIT 90",
                "-wal", "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")


@animal
def everything_in_a_wal(path):
    left_behind(path, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)", "-wal", "PRAGMA journal_mode = WAL; PRAGMA user_version = 3")


@animal
def a_wal_that_shrinks_the_database(path):
    left_behind(path, "DELETE FROM t; VACUUM; INSERT INTO t VALUES (5)", "-wal",
                "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t SELECT randomblob(3000) FROM pragma_function_list LIMIT 90; PRAGMA wal_checkpoint")


@animal
def a_hot_journal(path):
    left_behind(path, "PRAGMA cache_size = 1; BEGIN; UPDATE t SET a = randomblob(3000); INSERT INTO t SELECT randomblob(3000) FROM pragma_function_list LIMIT 90",
                "-journal", "CREATE TABLE t (a); INSERT INTO t SELECT randomblob(3000) FROM pragma_function_list LIMIT 40")
    with open(path + "-journal", "rb") as journal:
        assert journal.read(1) == b"\xd9"


@animal
def a_hot_journal_of_512_byte_pages(path):
    left_behind(path, "PRAGMA cache_size = 1; BEGIN; DELETE FROM t; INSERT INTO t SELECT randomblob(3000) FROM pragma_function_list LIMIT 30",
                "-journal", "PRAGMA page_size = 512; CREATE TABLE t (a); INSERT INTO t SELECT randomblob(700) FROM pragma_function_list LIMIT 60")


@animal
def damage_that_a_schema_row_can_name_only(path):
    """An index over a function that only its app has: what is indexed can be left out (see `skip`)."""
    connection = connect(path)
    connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE INDEX i ON t (its_own(a)); CREATE INDEX j ON t (a)")
    connection.close()


@animal
def a_table_sorted_as_only_its_app_can(path):
    connection = connect(path)
    connection.create_collation("LOCALIZED", lambda a, b: (a > b) - (a < b))
    connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE TABLE u (a TEXT COLLATE LOCALIZED PRIMARY KEY); INSERT INTO u VALUES ('x'), ('b'); CREATE VIEW w AS SELECT * FROM u")
    connection.close()


@animal
def a_table_of_our_name(path):
    connect(path).executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE TABLE _strongroom (x); INSERT INTO _strongroom VALUES ('theirs')")


# What is left out of an import, since it cannot come in.
SKIPPED = {
    "damage_that_a_schema_row_can_name_only": ["i"],
    "a_table_sorted_as_only_its_app_can": ["u", "w"],
    "a_table_of_our_name": ["_strongroom"],
}
# The error without leaving it out.
REFUSED = {
    "damage_that_a_schema_row_can_name_only": ["import_source_unsupported", "unknownFunction"],
    "a_table_sorted_as_only_its_app_can": ["import_source_unsupported", "unknownCollation"],
    "a_table_of_our_name": ["import_source_reserved_name", "reservedName"],
}


def make(directory):
    for name, script in SQL.items():
        ANIMALS[name] = lambda path, script=script: connect(path).executescript(script)
    for name, (setting, script) in SETTINGS.items():
        ANIMALS[name] = lambda path, setting=setting, script=script: connect(path).executescript(setting + ";" + script)

    def edit(path, script, change):
        connection = connect(path)
        connection.executescript(script + "; PRAGMA writable_schema = ON;" + change)
        connection.close()

    for name, (script, change) in EDITED.items():
        ANIMALS[name] = lambda path, script=script, change=change: edit(path, script, change)
    for name, build in ANIMALS.items():
        build(os.path.join(directory, name + ".db"))
        print(json.dumps({"name": name, "runs": None, "skip": SKIPPED.get(name, []), "refused": REFUSED.get(name, [])}))


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def contents(path, skipped):
    """All that a database holds, as lines; virtual tables by what they keep in tables of their own."""
    connection = connect(path)
    connection.text_factory = bytes
    for name in ("LOCALIZED", "UNICODE"):
        connection.create_collation(name, lambda a, b: (a > b) - (a < b))
    rows = connection.execute("SELECT type, name, tbl_name, sql, rootpage FROM sqlite_master").fetchall()
    lines = []
    for kind, name, table, sql, root in rows:
        names = {name.decode("utf-8", "surrogateescape"), table.decode("utf-8", "surrogateescape")}
        if names & skipped:
            continue
        if sql is not None and not name.startswith(b"sqlite_"):
            lines.append(repr(("schema", kind, name, table, sql)))
        if kind != b"table" or not root:
            continue
        text = quoted(name.decode())
        if name == b"sqlite_sequence" or name.startswith(b"sqlite_stat"):
            lines += [repr((name, row)) for row in connection.execute(f"SELECT * FROM {text}")]
            continue
        columns = [row[1].decode() for row in connection.execute(f"PRAGMA table_xinfo({text})")]
        folded = {column.lower() for column in columns}
        # A table without rowids is its own key's index.
        isKeyed = any(row[3] == b"pk" and not any(r[0] == b"index" and r[1] == row[1] for r in rows)
                      for row in connection.execute(f"PRAGMA index_list({text})"))
        rowid = None if isKeyed else next((word for word in ("rowid", "_rowid_", "oid") if word not in folded), None)
        parts = [columns[i:i + 900] for i in range(0, len(columns), 900)]
        for part in parts:
            chosen = ", ".join(f"typeof({quoted(c)}), {quoted(c)}" for c in part)
            query = f"SELECT {rowid + ', ' if rowid else ''}{chosen} FROM {text} NOT INDEXED"
            lines += [repr((name, part[0], row)) for row in connection.execute(query)]
    for pragma in ("user_version", "application_id", "encoding"):
        lines.append(repr((pragma, connection.execute(f"PRAGMA {pragma}").fetchone())))
    return lines, connection


def compare(one, other, skipped):
    before, _ = contents(one, skipped)
    after, connection = contents(other, skipped)
    # The order of the schema may differ, that of the rows of a table not.
    def parts(lines):
        schema = sorted(line for line in lines if line.startswith("('schema'"))
        rows = {}
        for line in lines:
            if not line.startswith("('schema'"):
                rows.setdefault(line.split(",")[0], []).append(line)
        return schema, rows
    (schema, rows), (other_schema, other_rows) = parts(before), parts(after)
    for line in set(schema) ^ set(other_schema):
        print("schema:", ("-" if line in schema else "+"), line[:300])
    for table in sorted(rows.keys() | other_rows.keys()):
        if rows.get(table) != other_rows.get(table):
            print("rows:", table[:300], str(rows.get(table))[:400], "|", str(other_rows.get(table))[:400])
    rules = ("NULL value", "CHECK constraint", "NUMERIC value", "TEXT value", "non-")
    try:
        for (line,) in connection.execute("PRAGMA integrity_check"):
            line = line.decode("utf-8", "replace")
            if line != "ok" and not line.startswith(rules):
                print("integrity:", line[:300])
    except sqlite3.DatabaseError as error:
        # Where the schema asks for what only its app has.
        if not any(word in str(error) for word in ("no such", "unknown", "malformed")):
            print("integrity:", error)


def main():
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        compare(sys.argv[2], sys.argv[3], set(sys.argv[4:]))


main()
