/// The SQL of the coach.
enum CoachQueries {
    static let attempts = """
        SELECT count(*) FROM run
        """
    static let feedbackReady = """
        SELECT count(*) FROM run WHERE feedback_id IS NOT NULL
        """
    static let lastBefore = """
        SELECT max(recorded_at) FROM run WHERE recorded_at < ?
        """
    static let countBetween = """
        SELECT count(*) FROM run WHERE recorded_at >= ? AND recorded_at < ?
        """
    static let talk = """
        SELECT audience, planned_minutes,
            (SELECT count(*) FROM run WHERE project_id = project.id) AS runs,
            EXISTS (SELECT 1 FROM run JOIN artifact ON artifact.run_id = run.id AND artifact.kind = 'audio'
                WHERE run.project_id = project.id) AS has_audio,
            EXISTS (SELECT 1 FROM run JOIN artifact ON artifact.run_id = run.id AND artifact.kind = 'transcript'
                WHERE run.project_id = project.id) AS has_transcript,
            EXISTS (SELECT 1 FROM run WHERE project_id = project.id AND feedback_id IS NOT NULL) AS has_feedback,
            (SELECT duration_seconds FROM run WHERE project_id = project.id
                ORDER BY recorded_at DESC, id DESC LIMIT 1) AS last_duration
        FROM project WHERE id = ?
        """
}
