/// The SQL of preferences, the same in the global database and in each profile.
enum PreferencesQueries {
    static let value = """
        SELECT value FROM preference WHERE key = ?
        """
    static let set = """
        INSERT INTO preference (key, value, updated_at) VALUES (?, ?, ?)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
        """
    static let delete = """
        DELETE FROM preference WHERE key = ?
        """
}
