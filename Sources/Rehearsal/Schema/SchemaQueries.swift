/// The SQL of the migrations, oldest first. A step that an app has shipped is never changed.
enum SchemaQueries {
    // MARK: The global database

    static let createSettings = """
        CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT);
        """

    static let settingsBecomePreferences = """
        CREATE TABLE preference (
            key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        INSERT INTO preference (key, value, updated_at)
            SELECT CAST(name AS TEXT), CAST(value AS TEXT), 0 FROM setting WHERE name IS NOT NULL AND value IS NOT NULL;
        DROP TABLE setting;
        """

    // MARK: A profile

    static let createProjectsAndRuns = """
        CREATE TABLE project (id INTEGER PRIMARY KEY, title TEXT NOT NULL, created_at INTEGER NOT NULL);
        CREATE TABLE run (
            id INTEGER PRIMARY KEY, project_id INTEGER, recorded_at INTEGER NOT NULL, audio BLOB, transcript TEXT);
        """

    static let addFeedback = """
        CREATE TABLE feedback (
            id INTEGER PRIMARY KEY, run_id INTEGER, score INTEGER, comments TEXT, created_at INTEGER NOT NULL);
        ALTER TABLE run ADD COLUMN feedback_id INTEGER;
        """

    static let addPreferences = """
        CREATE TABLE preference (
            key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        """

    static let planTalks = """
        ALTER TABLE project ADD COLUMN audience TEXT NOT NULL DEFAULT 'peers';
        ALTER TABLE project ADD COLUMN planned_minutes INTEGER NOT NULL DEFAULT 20;
        ALTER TABLE run ADD COLUMN title TEXT;
        ALTER TABLE run ADD COLUMN duration_seconds INTEGER;
        """

    static let moveArtifactsOutOfRuns = """
        CREATE TABLE artifact (
            id INTEGER PRIMARY KEY, run_id INTEGER, kind TEXT NOT NULL, media_type TEXT NOT NULL, content BLOB NOT NULL,
            created_at INTEGER NOT NULL);
        INSERT INTO artifact (run_id, kind, media_type, content, created_at)
            SELECT id, 'audio', 'audio/ogg', CAST(audio AS BLOB), recorded_at FROM run WHERE audio IS NOT NULL;
        INSERT INTO artifact (run_id, kind, media_type, content, created_at)
            SELECT id, 'transcript', 'text/plain', CAST(transcript AS BLOB), recorded_at FROM run
            WHERE transcript IS NOT NULL;
        ALTER TABLE run DROP COLUMN audio;
        ALTER TABLE run DROP COLUMN transcript;
        """

    /// Old data had no references to hold it together. What leads nowhere is given something to lead to, and no row is thrown away:
    /// runs without a project come into one called "Recovered", and so does a run that only its feedback or its artifacts remember. A number that
    /// is out of its bounds becomes the nearest one within.
    static let enforceReferences = """
        ALTER TABLE project RENAME TO old_project;
        ALTER TABLE run RENAME TO old_run;
        ALTER TABLE feedback RENAME TO old_feedback;
        ALTER TABLE artifact RENAME TO old_artifact;

        CREATE TABLE project (
            id INTEGER PRIMARY KEY,
            title TEXT NOT NULL,
            audience TEXT NOT NULL,
            planned_minutes INTEGER NOT NULL CHECK (planned_minutes BETWEEN 1 AND 480),
            created_at INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE run (
            id INTEGER PRIMARY KEY,
            project_id INTEGER NOT NULL REFERENCES project,
            title TEXT,
            recorded_at INTEGER NOT NULL,
            duration_seconds INTEGER CHECK (duration_seconds >= 0),
            feedback_id INTEGER REFERENCES feedback DEFERRABLE INITIALLY DEFERRED
        ) STRICT;
        CREATE TABLE feedback (
            id INTEGER PRIMARY KEY,
            run_id INTEGER NOT NULL REFERENCES run DEFERRABLE INITIALLY DEFERRED,
            score INTEGER NOT NULL CHECK (score BETWEEN 0 AND 100),
            comments TEXT NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE artifact (
            id INTEGER PRIMARY KEY,
            run_id INTEGER NOT NULL REFERENCES run,
            kind TEXT NOT NULL CHECK (kind IN ('audio', 'transcript')),
            media_type TEXT NOT NULL,
            content BLOB NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT;

        INSERT INTO project (id, title, audience, planned_minutes, created_at)
            SELECT id, CAST(title AS TEXT), CAST(audience AS TEXT),
                max(1, min(480, CAST(planned_minutes AS INTEGER))), CAST(created_at AS INTEGER)
            FROM old_project;

        -- Feedback and artifacts that name no run belong to the run that links to them, or to one that is made for them.
        UPDATE old_feedback SET run_id = (SELECT min(id) FROM old_run WHERE feedback_id = old_feedback.id)
            WHERE (run_id IS NULL OR run_id NOT IN (SELECT id FROM old_run))
                AND EXISTS (SELECT 1 FROM old_run WHERE feedback_id = old_feedback.id);
        CREATE TEMP TABLE lost_run (id INTEGER PRIMARY KEY);
        INSERT INTO lost_run (id)
            SELECT coalesce((SELECT max(id) FROM (
                SELECT id FROM old_run UNION ALL SELECT run_id FROM old_feedback UNION ALL SELECT run_id FROM old_artifact)), 0) + 1
            WHERE EXISTS (SELECT 1 FROM old_feedback WHERE run_id IS NULL)
                OR EXISTS (SELECT 1 FROM old_artifact WHERE run_id IS NULL);
        UPDATE old_feedback SET run_id = (SELECT id FROM lost_run) WHERE run_id IS NULL;
        UPDATE old_artifact SET run_id = (SELECT id FROM lost_run) WHERE run_id IS NULL;
        INSERT OR IGNORE INTO lost_run (id)
            SELECT run_id FROM old_feedback WHERE run_id NOT IN (SELECT id FROM old_run)
            UNION SELECT run_id FROM old_artifact WHERE run_id NOT IN (SELECT id FROM old_run);

        INSERT INTO project (title, audience, planned_minutes, created_at)
            SELECT 'Recovered', 'everyone', 20, 0
            WHERE EXISTS (SELECT 1 FROM lost_run)
                OR EXISTS (SELECT 1 FROM old_run WHERE project_id IS NULL OR project_id NOT IN (SELECT id FROM project));
        INSERT INTO run (id, project_id, title, recorded_at, duration_seconds, feedback_id)
            SELECT id,
                CASE WHEN project_id IN (SELECT id FROM old_project) THEN project_id ELSE (SELECT max(id) FROM project) END,
                CAST(title AS TEXT), CAST(recorded_at AS INTEGER), max(0, CAST(duration_seconds AS INTEGER)), feedback_id
            FROM old_run;
        INSERT INTO run (id, project_id, recorded_at)
            SELECT id, (SELECT max(id) FROM project), coalesce((SELECT min(created_at) FROM (
                SELECT created_at FROM old_feedback WHERE run_id = lost_run.id
                UNION ALL SELECT created_at FROM old_artifact WHERE run_id = lost_run.id)), 0)
            FROM lost_run;
        INSERT INTO feedback (id, run_id, score, comments, created_at)
            SELECT id, run_id, max(0, min(100, CAST(coalesce(score, 0) AS INTEGER))), CAST(coalesce(comments, '') AS TEXT),
                CAST(created_at AS INTEGER)
            FROM old_feedback;
        INSERT INTO artifact (id, run_id, kind, media_type, content, created_at)
            SELECT id, run_id, kind, media_type, CAST(content AS BLOB), CAST(created_at AS INTEGER) FROM old_artifact;

        -- A run links to feedback of its own: its newest, where what it linked to is not there or another run's.
        UPDATE run SET feedback_id = (
                SELECT id FROM feedback WHERE run_id = run.id ORDER BY created_at DESC, id DESC LIMIT 1)
            WHERE NOT EXISTS (SELECT 1 FROM feedback WHERE feedback.id = run.feedback_id AND feedback.run_id = run.id);

        DROP TABLE lost_run;
        DROP TABLE old_artifact;
        DROP TABLE old_feedback;
        DROP TABLE old_run;
        DROP TABLE old_project;
        """

    static let indexHotReads = """
        -- From here on a run has one artifact of each kind: its newest. Older ones are kept apart.
        CREATE TABLE older_artifact (
            id INTEGER PRIMARY KEY,
            run_id INTEGER NOT NULL REFERENCES run,
            kind TEXT NOT NULL,
            media_type TEXT NOT NULL,
            content BLOB NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT;
        INSERT INTO older_artifact
            SELECT id, run_id, kind, media_type, content, created_at FROM artifact
            WHERE EXISTS (SELECT 1 FROM artifact AS newer WHERE newer.run_id = artifact.run_id
                AND newer.kind = artifact.kind AND newer.id > artifact.id);
        DELETE FROM artifact WHERE id IN (SELECT id FROM older_artifact);
        CREATE UNIQUE INDEX artifact_of_run ON artifact (run_id, kind);
        CREATE INDEX older_artifact_of_run ON older_artifact (run_id);
        CREATE INDEX run_of_project ON run (project_id, recorded_at DESC, id DESC);
        CREATE INDEX run_by_date ON run (recorded_at);
        CREATE INDEX run_with_feedback ON run (feedback_id) WHERE feedback_id IS NOT NULL;
        CREATE INDEX feedback_of_run ON feedback (run_id);
        """
}
