import GRDB
public import Strongroom

/// What the app expects of its databases, and how it came to that.
public enum RehearsalSchema {
    static let globalSteps = [
        ("create-settings", SchemaQueries.createSettings),
        ("settings-become-preferences", SchemaQueries.settingsBecomePreferences),
    ]
    static let profileSteps = [
        ("create-projects-and-runs", SchemaQueries.createProjectsAndRuns),
        ("add-feedback", SchemaQueries.addFeedback),
        ("add-preferences", SchemaQueries.addPreferences),
        ("plan-talks", SchemaQueries.planTalks),
        ("move-artifacts-out-of-runs", SchemaQueries.moveArtifactsOutOfRuns),
        ("enforce-references", SchemaQueries.enforceReferences),
        ("index-hot-reads", SchemaQueries.indexHotReads),
    ]

    /// The migrations of both kinds of database.
    public static var current: StoreSchema {
        StoreSchema(global: migrations(globalSteps), profile: migrations(profileSteps))
    }

    static func migrations(_ steps: some Sequence<(String, String)>) -> Migrations {
        var migrations = Migrations()
        for (name, sql) in steps { migrations.add(name) { db in try db.execute(sql: sql) } }
        return migrations
    }
}
