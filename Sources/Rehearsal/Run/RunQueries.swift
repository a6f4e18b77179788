/// The SQL of projects and runs.
enum RunQueries {
    static let insertProject = """
        INSERT INTO project (title, audience, planned_minutes, created_at) VALUES (?, ?, ?, ?)
        """
    static let projects = """
        SELECT id, title, audience, planned_minutes, created_at FROM project ORDER BY id
        """
    static let project = """
        SELECT id, title, audience, planned_minutes, created_at FROM project WHERE id = ?
        """
    static let insertRun = """
        INSERT INTO run (project_id, title, recorded_at, duration_seconds) VALUES (?, ?, ?, ?)
        """
    static let run = """
        SELECT id, project_id, title, recorded_at, duration_seconds, feedback_id FROM run WHERE id = ?
        """
    static let latest = """
        SELECT id, project_id, title, recorded_at, duration_seconds, feedback_id FROM run
        ORDER BY recorded_at DESC, id DESC LIMIT 1
        """
    static let latestOfProject = """
        SELECT id, project_id, title, recorded_at, duration_seconds, feedback_id FROM run
        WHERE project_id = ? ORDER BY recorded_at DESC, id DESC LIMIT 1
        """
    static let firstPage = """
        SELECT run.id, run.title, run.recorded_at, run.duration_seconds, feedback.score,
            EXISTS (SELECT 1 FROM artifact WHERE run_id = run.id AND kind = 'audio') AS has_audio,
            EXISTS (SELECT 1 FROM artifact WHERE run_id = run.id AND kind = 'transcript') AS has_transcript
        FROM run LEFT JOIN feedback ON feedback.id = run.feedback_id
        WHERE run.project_id = ?
        ORDER BY run.recorded_at DESC, run.id DESC LIMIT ?
        """
    static let pageBefore = """
        SELECT run.id, run.title, run.recorded_at, run.duration_seconds, feedback.score,
            EXISTS (SELECT 1 FROM artifact WHERE run_id = run.id AND kind = 'audio') AS has_audio,
            EXISTS (SELECT 1 FROM artifact WHERE run_id = run.id AND kind = 'transcript') AS has_transcript
        FROM run LEFT JOIN feedback ON feedback.id = run.feedback_id
        WHERE run.project_id = ? AND (run.recorded_at, run.id) < (?, ?)
        ORDER BY run.recorded_at DESC, run.id DESC LIMIT ?
        """
    static let artifacts = """
        SELECT kind, media_type, length(content) AS bytes, created_at FROM artifact WHERE run_id = ? ORDER BY kind
        """
    static let artifactContent = """
        SELECT kind, media_type, length(content) AS bytes, created_at, content FROM artifact WHERE run_id = ? AND kind = ?
        """
    static let insertArtifact = """
        INSERT INTO artifact (run_id, kind, media_type, content, created_at) VALUES (?, ?, ?, ?, ?)
        """
    static let deleteArtifact = """
        DELETE FROM artifact WHERE run_id = ? AND kind = ?
        """
    static let feedback = """
        SELECT id, score, comments, created_at FROM feedback WHERE id = ?
        """
    static let insertFeedback = """
        INSERT INTO feedback (run_id, score, comments, created_at) VALUES (?, ?, ?, ?)
        """
    static let linkFeedback = """
        UPDATE run SET feedback_id = ? WHERE id = ?
        """
}
